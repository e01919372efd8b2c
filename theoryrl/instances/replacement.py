"""Machine replacement: run an ageing machine, or buy a new one."""

import numpy as np

from theoryrl.models import DiscountedMDP, SparseTransitions
from theoryrl.models._validation import check_count, check_real

KEEP, REPLACE = 0, 1


def replacement(n_states: int = 50, gamma: float = 0.95, wear: float = 0.9) -> DiscountedMDP:
    """A machine earns less the older it is, and nothing in the step in which it is replaced.

    The state is the age 0, ..., n_states - 1. Action 0 keeps the machine: it earns
    1 - (age / (n_states - 1))^2, and ages by one with probability `wear` (never beyond the last age).
    Action 1 earns 0 and leads to age 0.

    Parameters
    ----------
    n_states
        Number of ages, at least 2.
    gamma
        Discount factor, in [0, 1).
    wear
        Probability of ageing in a step, in [0, 1].

    Returns
    -------
    DiscountedMDP
        Sparse. A control-limit policy is optimal: replace from some age on (Derman 1963). Long
        chains with gamma near one are slow for value iteration.
    """
    n = check_count("n_states", n_states, low=2)
    p = check_real("wear", wear, 0.0, 1.0)
    age = np.arange(n)
    next_states = np.stack([np.minimum(age + 1, n - 1), age, np.zeros(n, dtype=np.int64)], axis=1)
    probabilities = np.broadcast_to([p, 1 - p, 1.0], (n, 3))
    starts = np.append((3 * age[:, None] + np.array([0, 2])).ravel(), 3 * n)
    P = SparseTransitions(probabilities.ravel(), next_states.ravel(), starts, n)
    r = np.zeros((n, 2))
    r[:, KEEP] = 1 - (age / (n - 1)) ** 2
    return DiscountedMDP(P, r, gamma)
