"""The combination lock: one sequence of actions pays, and nothing tells how long it is right."""

import numpy as np

from theoryrl.instances._build import start_in
from theoryrl.models import EpisodicMDP
from theoryrl.models._validation import check_count, check_memory, check_real

OPEN, DEAD = 0, 1


def combination_lock(
    horizon: int = 6, n_actions: int = 2, distractor: float = 0.0, seed: int = 0
) -> EpisodicMDP:
    """A lock that opens only if every one of the `horizon` actions is right.

    In state 0 the right action of stage h keeps the lock alive, and any other leads to state 1,
    which is absorbing and pays nothing. The right action of the last stage pays 1. A wrong action
    in state 0 pays `distractor` at once: greedy learners are drawn away from the lock.

    Parameters
    ----------
    horizon
        Length of the combination, at least 1.
    n_actions
        A, at least 2.
    distractor
        What giving up pays, in [0, 1).
    seed
        Seed of the combination, `default_rng(seed).integers(n_actions, size=horizon)`.

    Returns
    -------
    EpisodicMDP
        S = 2, A = n_actions, H = horizon, with a stage-dependent kernel.

    Notes
    -----
    V* = 1, attained by the combination alone; a policy that meets it with probability q has value
    q + (1 - q) distractor, and the uniform policy has q = A^-H. The idea goes back to Whitehead
    (1991) and to Koenig and Simmons (1993); rewards that mislead are as in the lock of Misra,
    Henaff, Krishnamurthy and Langford (2020), without its observations. Two states and a kernel
    that depends on the stage are the smallest form of it.
    """
    check_count("horizon", horizon)
    check_count("n_actions", n_actions, low=2)
    check_real("distractor", distractor, low=0.0)
    if distractor >= 1:
        raise ValueError(f"distractor must be in [0, 1); got {distractor!r}")
    check_memory("P", horizon, 2, n_actions, 2)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    combination = rng.integers(n_actions, size=horizon)
    right = combination[:, None] == np.arange(n_actions)
    P = np.zeros((horizon, 2, n_actions, 2))
    P[:, OPEN, :, OPEN] = right
    P[:, OPEN, :, DEAD] = ~right
    P[:, DEAD, :, DEAD] = 1.0
    r = np.zeros((horizon, 2, n_actions))
    r[:, OPEN] = np.where(right, 0.0, distractor)
    r[-1, OPEN, combination[-1]] = 1.0
    return EpisodicMDP(P, r, start_in(OPEN, 2))
