"""Counts of many independent episodes at once, exact in law.

K independent episodes of one policy are at stage h in state s a number of times m_h(s); given these
numbers, actions, next states and (Bernoulli) rewards of the stage are multinomial. So the counts of all
(h, s, a, s') are drawn stage by stage from binomials, in a time that does not depend on K. The law of the
counts is exact; which episode was where is not kept.
"""

from __future__ import annotations

import numpy as np

from theoryrl.models import EpisodicMDP, MarkovPolicy, TransitionCounts
from theoryrl.models._validation import LARGEST_COUNT, check_count
from theoryrl.solvers.episodic import _kernels
from theoryrl.solvers.episodic.planning import check_sizes


def simulate_counts(
    mdp: EpisodicMDP, policy: MarkovPolicy, episodes: int, rng: np.random.Generator
) -> TransitionCounts:
    """Return the counts of `episodes` independent episodes of a Markov policy.

    Parameters
    ----------
    mdp
        The model, with rewards that are Bernoulli or without noise.
    policy
        What is played.
    episodes
        K, at least 0.
    rng
        Source of chance.

    Raises
    ------
    ValueError
        If the law of the sum of rewards is not available, or sizes disagree.
    """
    check_count("episodes", episodes, low=0, high=LARGEST_COUNT)
    check_noise(mdp)
    check_sizes(mdp, policy)
    counts = np.zeros(mdp.P.shape, dtype=np.int64)
    sums = np.zeros(mdp.r.shape)
    draw_counts(mdp, policy.stages(mdp.horizon), episodes, rng, counts, sums)
    return TransitionCounts(counts, sums)


def check_noise(mdp: EpisodicMDP) -> None:
    """Raise unless the sum of many rewards of one pair can be drawn at once."""
    if mdp.noise.kind not in ("none", "bernoulli"):
        raise ValueError(f"mdp.noise must be 'none' or 'bernoulli'; got {mdp.noise.kind!r}")


def draw_counts(
    mdp: EpisodicMDP,
    pi: np.ndarray,
    episodes: int,
    rng: np.random.Generator,
    counts: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Add the counts of episodes of pi[h, s, a] to the given arrays."""
    _kernels.add_counts(mdp.P, mdp.r, mdp.rho, mdp.noise.kind == "bernoulli", pi, episodes, rng, counts, sums)
