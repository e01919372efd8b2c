"""Garnets: random models in which every action has few successors."""

import numpy as np

from theoryrl.instances._build import start_in
from theoryrl.models import EpisodicMDP
from theoryrl.models._validation import check_count, check_memory, check_real

SMALLEST_CONCENTRATION = 0.1
"""Below it, weights underflow to zero often enough that the branching factor would not be exact."""


def garnet(
    n_states: int = 10,
    n_actions: int = 3,
    horizon: int = 10,
    branching: int = 3,
    concentration: float = 1.0,
    reward_fraction: float = 0.2,
    stationary: bool = True,
    seed: int = 0,
) -> EpisodicMDP:
    """A sparse random model: exactly `branching` successors per state and action, few rewards.

    The successors of each cell are drawn without replacement, and their probabilities from a
    symmetric Dirichlet law. A given fraction of the cells pays an expected reward that is uniform
    on [0, 1]; the others pay 0. Every episode starts in state 0.

    Parameters
    ----------
    n_states, n_actions, horizon
        S, A and H, at least 1 each.
    branching
        Number b of successors, in [1, S].
    concentration
        Parameter of the Dirichlet law, at least 0.1. The default 1 is the law of the gaps between
        b - 1 sorted uniform numbers, which is how garnets are usually described.
    reward_fraction
        Part of the cells that pays, in [0, 1]; their number is rounded to the nearest integer.
    stationary
        Whether one kernel and one reward table serve all stages. A cell is (s, a) then, and
        (h, s, a) otherwise.
    seed
        Non-negative integer.

    Returns
    -------
    EpisodicMDP
        The optimum has no closed form.

    Notes
    -----
    Archibald, McKinnon and Thomas (1995), "On the generation of Markov decision processes"; the
    name and the parameters (S, A, b) are those of Bhatnagar, Sutton, Ghavamzadeh and Lee (2009).
    Sparse rewards, uniform on [0, 1], are ours.
    """
    S, A, H = (
        check_count("n_states", n_states),
        check_count("n_actions", n_actions),
        check_count("horizon", horizon),
    )
    b = check_count("branching", branching, high=S)
    check_real("concentration", concentration, low=SMALLEST_CONCENTRATION)
    check_real("reward_fraction", reward_fraction, 0.0, 1.0)
    check_memory("P", H, S, A, S)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    cells = (S, A) if stationary else (H, S, A)
    P = _sparse_rows(cells, b, concentration, rng)
    r = _sparse_rewards(cells, reward_fraction, rng)
    if stationary:
        return EpisodicMDP.stationary(P, r, start_in(0, S), H)
    return EpisodicMDP(P, r, start_in(0, S))


def _sparse_rows(
    cells: tuple[int, ...], branching: int, concentration: float, rng: np.random.Generator
) -> np.ndarray:
    n_states = cells[-2]
    successors = np.argsort(rng.random((*cells, n_states)), axis=-1)[..., :branching]
    P = np.zeros((*cells, n_states))
    np.put_along_axis(P, successors, rng.dirichlet(np.full(branching, float(concentration)), cells), axis=-1)
    return P


def _sparse_rewards(cells: tuple[int, ...], fraction: float, rng: np.random.Generator) -> np.ndarray:
    r = np.zeros(cells)
    paying = rng.choice(r.size, size=round(fraction * r.size), replace=False)
    r.flat[paying] = rng.random(paying.size)
    return r
