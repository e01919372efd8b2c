"""RiverSwim: a small sure reward upstream of a large one that must be swum for."""

import numpy as np

from theoryrl.instances._build import start_in
from theoryrl.models import EpisodicMDP
from theoryrl.models._validation import check_count, check_memory

LEFT, RIGHT = 0, 1


def riverswim(n_states: int = 6, horizon: int = 20) -> EpisodicMDP:
    """RiverSwim, episodic: swim right against the current, or drift left.

    Action 0 (left) moves one state to the left surely. Action 1 (right):

    ===========  =====  =====  =====
    state        down   stay   up
    ===========  =====  =====  =====
    0                   0.40   0.60
    interior     0.05   0.60   0.35
    n_states-1   0.40   0.60
    ===========  =====  =====  =====

    Expected rewards are r(0, left) = 5/1000, r(n_states-1, right) = 1, and 0 elsewhere; the kernel
    does not depend on the stage. Every episode starts in state 0.

    Parameters
    ----------
    n_states
        Length of the river, at least 2; six is the field's.
    horizon
        Stages per episode, at least 1.

    Returns
    -------
    EpisodicMDP
        S = n_states, A = 2, H = horizon.

    Notes
    -----
    Introduced by Strehl and Littman (2008) with rewards 5 and 10000 and other probabilities; these
    numbers are those of Osband, Russo and Van Roy (2013). There is no closed form of V* for finite
    H. Always swimming right is a birth-death chain whose stationary law w has
    w_{i+1} / w_i = P(i, right, i+1) / P(i+1, right, i), so V* grows by w_{n-1} per stage as H does
    (0.428622 for six states) as long as that exceeds 5/1000.
    """
    check_count("n_states", n_states, low=2)
    check_count("horizon", horizon)
    check_memory("P", horizon, n_states, 2, n_states)
    P = np.zeros((n_states, 2, n_states))
    for s in range(n_states):
        P[s, LEFT, max(s - 1, 0)] = 1.0
    P[0, RIGHT, :2] = 0.4, 0.6
    for s in range(1, n_states - 1):
        P[s, RIGHT, s - 1 : s + 2] = 0.05, 0.6, 0.35
    P[-1, RIGHT, -2:] = 0.4, 0.6
    r = np.zeros((n_states, 2))
    r[0, LEFT] = 5 / 1000
    r[-1, RIGHT] = 1.0
    return EpisodicMDP.stationary(P, r, start_in(0, n_states), horizon)
