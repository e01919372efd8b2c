"""Discounted relatives of the episodic instances: grid worlds, garnets and random models."""

import numpy as np

from theoryrl.instances._build import check_positive
from theoryrl.instances.garnet import SMALLEST_CONCENTRATION
from theoryrl.instances.gridworld import MOVES
from theoryrl.models import DiscountedMDP, SparseTransitions
from theoryrl.models._validation import check_count, check_memory, check_real


def discounted_gridworld(
    width: int = 10, height: int = 10, gamma: float = 0.95, slip: float = 0.1
) -> DiscountedMDP:
    """An open grid world of any size, with few successors per move.

    Actions 0, 1, 2, 3 try to move up, right, down, left. A move succeeds with probability 1 - slip,
    and goes to either side with probability slip / 2 each; one over the edge stays. The goal, in the
    bottom right corner, is absorbing and pays 1 per step.

    Parameters
    ----------
    width, height
        Columns and rows.
    gamma
        Discount factor, in [0, 1).
    slip
        Probability of going sideways, in [0, 1].

    Returns
    -------
    DiscountedMDP
        Sparse, with the cells in reading order as states. V* of the goal is 1 / (1 - gamma).
    """
    columns, rows = check_count("width", width), check_count("height", height)
    p = check_real("slip", slip, 0.0, 1.0)
    S = columns * rows
    row, column = np.divmod(np.arange(S), columns)
    after = [
        np.clip(row + down, 0, rows - 1) * columns + np.clip(column + right, 0, columns - 1)
        for down, right in MOVES
    ]
    next_states = np.empty((S, 4, 3), dtype=np.int64)
    for a in range(4):
        for k, direction in enumerate((a, (a + 1) % 4, (a - 1) % 4)):
            next_states[:, a, k] = after[direction]
    next_states[S - 1] = S - 1
    weights = np.broadcast_to([1 - p, p / 2, p / 2], (S, 4, 3))
    P = SparseTransitions(weights.ravel(), next_states.ravel(), np.arange(0, 12 * S + 1, 3), S)
    r = np.zeros((S, 4))
    r[S - 1] = 1.0
    return DiscountedMDP(P, r, gamma)


def discounted_garnet(
    n_states: int = 50,
    n_actions: int = 3,
    branching: int = 4,
    gamma: float = 0.95,
    concentration: float = 1.0,
    reward_fraction: float = 0.2,
    seed: int = 0,
) -> DiscountedMDP:
    """A sparse random model of any size: `branching` successors per pair, few rewards.

    Successors are drawn with replacement (one that is drawn twice has both probabilities), so that a
    large model costs no more memory than its entries; otherwise as `garnet`.

    Parameters
    ----------
    n_states, n_actions
        S and A, at least 1 each.
    branching
        Number of drawn successors, at least 1.
    gamma
        Discount factor, in [0, 1).
    concentration
        Parameter of the Dirichlet law of the probabilities, at least 0.1.
    reward_fraction
        Part of the pairs that pays, in [0, 1]; rewards are uniform on [0, 1].
    seed
        Non-negative integer.

    Returns
    -------
    DiscountedMDP
        Sparse.
    """
    S, A = check_count("n_states", n_states), check_count("n_actions", n_actions)
    b = check_count("branching", branching)
    check_real("concentration", concentration, low=SMALLEST_CONCENTRATION)
    fraction = check_real("reward_fraction", reward_fraction, 0.0, 1.0)
    check_memory("P", S, A, b)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    weights = rng.dirichlet(np.full(b, float(concentration)), S * A)
    next_states = rng.integers(S, size=S * A * b)
    P = SparseTransitions(weights.ravel(), next_states, np.arange(0, S * A * b + 1, b), S)
    return DiscountedMDP(P, rng.random((S, A)) * (rng.random((S, A)) < fraction), gamma)


def discounted_random(
    n_states: int = 20, n_actions: int = 4, gamma: float = 0.95, concentration: float = 1.0, seed: int = 0
) -> DiscountedMDP:
    """A dense random model: Dirichlet rows, rewards uniform on [0, 1].

    Parameters
    ----------
    n_states, n_actions
        S and A, at least 1 each.
    gamma
        Discount factor, in [0, 1).
    concentration
        Parameter of the symmetric Dirichlet law of each row, positive.
    seed
        Non-negative integer.

    Returns
    -------
    DiscountedMDP
        Dense.
    """
    S, A = check_count("n_states", n_states), check_count("n_actions", n_actions)
    check_positive("concentration", concentration)
    check_memory("P", S, A, S)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    return DiscountedMDP(rng.dirichlet(np.full(S, float(concentration)), (S, A)), rng.random((S, A)), gamma)
