"""Compiled bookkeeping of learners on recovering bandits."""

import math

from theoryrl._numba import kernel


@kernel
def upper_bounds(n, s, radius, top, monotone, out):
    """Fill out[i, k] >= R_i(grid[k]): Hoeffding, cut at `top`; then the least over all longer periods.

    `radius` is the half-width for one sample. The last step is for curves that do not decrease.
    """
    N, M = n.shape
    for i in range(N):
        least = top
        for k in range(M - 1, -1, -1):
            if not monotone:
                least = top
            if n[i, k] > 0:
                least = min(least, s[i, k] / n[i, k] + radius / math.sqrt(n[i, k]))
            out[i, k] = least


@kernel
def credit(arms, idle, rewards, column, position, reuse, seen, n, s):
    """Add the pulls of a phase to the cells of their idle times.

    The first pull of an arm in a phase is not used, because its idle time is not the period's; with
    `reuse` it is, where its true idle time is one of the grid's (``position``) and known.
    """
    for m in range(arms.shape[0]):
        i = arms[m]
        k = column[i]
        if not seen[i]:
            seen[i] = True
            k = position[idle[m]] if reuse and 0 < idle[m] < position.shape[0] else -1
        if k >= 0:
            n[i, k] += 1
            s[i, k] += rewards[m]


@kernel
def count_pulls(arms, idle, rewards, n, s):
    """Add pulls to the cells (arm, idle time); longer idle times and first pulls go to the last column."""
    for m in range(arms.shape[0]):
        k = n.shape[1] if idle[m] == 0 else min(idle[m], n.shape[1])
        n[arms[m], k - 1] += 1
        s[arms[m], k - 1] += rewards[m]
