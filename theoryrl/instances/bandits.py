"""Bernoulli bandits: evenly spaced means, or one good arm among equals; and losses whose level shifts."""

import numpy as np

from theoryrl.models import LossTable, StochasticBandit
from theoryrl.models._validation import check_count, check_memory, check_real


def bernoulli_bandit(n_arms: int = 10, best: float = 0.9, worst: float = 0.1) -> StochasticBandit:
    """Bernoulli rewards with evenly spaced means, the best arm first.

    Parameters
    ----------
    n_arms
        Number of arms, at least 2.
    best, worst
        Means of the first and of the last arm, in [0, 1].
    """
    check_count("n_arms", n_arms, low=2)
    check_memory("means", n_arms)
    check_real("best", best, 0.0, 1.0)
    check_real("worst", worst, 0.0, 1.0)
    if worst >= best:
        raise ValueError(f"worst must be below best = {best:g}; got {worst!r}")
    return StochasticBandit(np.linspace(best, worst, n_arms))


def hidden_arm(n_arms: int = 10, gap: float = 0.1) -> StochasticBandit:
    """Bernoulli rewards of mean 1/2, but the last arm's is larger: the hardest bandit for a given gap.

    Parameters
    ----------
    n_arms
        Number of arms, at least 2.
    gap
        How much better the last arm is, in (0, 1/2].
    """
    check_count("n_arms", n_arms, low=2)
    check_memory("means", n_arms)
    if check_real("gap", gap, high=0.5) <= 0:
        raise ValueError(f"gap must be positive; got {gap!r}")
    means = np.full(n_arms, 0.5)
    means[-1] += gap
    return StochasticBandit(means)


def shifting_levels(
    n_arms: int = 10, rounds: int = 2000, gap: float = 0.125, growth: float = 1.6, seed: int = 0
) -> LossTable:
    """Bernoulli losses whose level jumps while the gaps stay: one arm is better by `gap` in every round.

    In phases that grow geometrically the better arm has mean loss 0 and all others `gap`, then ``1 - gap``
    and 1, and so on. Means that were seen in different phases cannot be compared, which misleads rules for
    independent rewards.

    Parameters
    ----------
    n_arms
        Number of arms, at least 2; the last one is the better.
    rounds
        Number of rounds T.
    gap
        In (0, 1].
    growth
        Ratio of the lengths of a phase and of the one before, more than 1.
    seed
        Of the losses.

    Source: Zimmert and Seldin (2021), stochastically constrained adversary.
    """
    check_count("n_arms", n_arms, low=2)
    check_count("rounds", rounds)
    check_memory("losses", rounds, n_arms)
    if check_real("gap", gap, high=1.0) <= 0:
        raise ValueError(f"gap must be positive; got {gap!r}")
    if check_real("growth", growth) <= 1:
        raise ValueError(f"growth must be more than 1; got {growth!r}")
    means = np.full(n_arms, gap)
    means[-1] = 0.0
    phase = np.floor(np.log1p(np.arange(rounds)) / np.log(growth))
    levels = np.where(phase % 2 == 0, 0.0, 1 - gap)
    drawn = np.random.default_rng(check_count("seed", seed, low=0)).random((rounds, n_arms))
    return LossTable((drawn < levels[:, None] + means).astype(np.float64))
