"""What a bandit rule remembers besides a number for each arm: one entry of the clock for each.

`ROUNDS` and `LOSSES` are the rounds so far and the sum of their losses. `LEADER` is the arm to look at first,
and `SEPARATOR` a number that tells it from the others.

Thompson sampling: `OTHERS` is the sum of the bounds on the other arms' costs, infinite where nothing tells
the arms apart; `MINE` the bound on the leader's, `DENSITY` its posterior's density at the separator, from
which that follows; `EXPIRY` the round of the next separator; `PURSE` what the coins of the round may cost.

KL-UCB: `OTHERS` is the least budget at which another arm's index is the separator; `CHANCE` and `LOG_CHANCE`
are the separator as a chance, and the logarithm of that.
"""

ROUNDS, LOSSES, LEADER, SEPARATOR, OTHERS, MINE, DENSITY, EXPIRY, PURSE = range(9)
CHANCE, LOG_CHANCE = MINE, DENSITY
