"""Bernoulli bandits: evenly spaced means, or one good arm among equals; and losses that change sides."""

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


def switching_losses(n_arms: int = 10, rounds: int = 2000, gap: float = 0.5, blocks: int = 4) -> LossTable:
    """Losses of 1/2, except for the arm that is best in the current block of rounds: 1/2 - gap.

    The best arm of block j is arm j for even j, and the last arm for odd j and in the last block, which is as
    long as all others together. A learner that trusts its past is misled; only the last arm is good overall.

    Parameters
    ----------
    n_arms
        Number of arms, at least 2.
    rounds
        Number of rounds T, at least twice the number of blocks.
    gap
        How much better the best arm of a block is, in (0, 1/2].
    blocks
        Number of blocks, at least 2.
    """
    check_count("n_arms", n_arms, low=2)
    check_count("blocks", blocks, low=2)
    check_count("rounds", rounds, low=2 * blocks)
    check_memory("losses", rounds, n_arms)
    if check_real("gap", gap, high=0.5) <= 0:
        raise ValueError(f"gap must be positive; got {gap!r}")
    losses = np.full((rounds, n_arms), 0.5)
    edges = np.linspace(0, rounds // 2, blocks).astype(int)
    for block in range(blocks - 1):
        arm = block % (n_arms - 1) if block % 2 == 0 else n_arms - 1
        losses[edges[block] : edges[block + 1], arm] -= gap
    losses[edges[-1] :, -1] -= gap
    return LossTable(losses)
