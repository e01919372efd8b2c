"""What a bandit rule remembers besides a number for each arm: one entry of the clock for each."""

ROUNDS, LOSSES, LEADER, SEPARATOR, OTHERS, MINE, DENSITY, EXPIRY, PURSE = range(9)
CHANCE, LOG_CHANCE = MINE, DENSITY
"""KL-UCB keeps these in the places that Thompson sampling has for others."""
