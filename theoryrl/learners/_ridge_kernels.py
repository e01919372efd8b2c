"""Compiled updates of ridge regressions."""

import math

import numpy as np

from theoryrl._numba import kernel


@kernel
def rank_one(Lambda, inverse, x, weight):
    """Add weight x x^T to Lambda and update its inverse; return the growth of log det.

    Source: Sherman and Morrison (1950).
    """
    d = x.shape[0]
    y = np.zeros(d)
    for i in range(d):
        for j in range(d):
            y[i] += inverse[i, j] * x[j]
    scale = 1.0
    for i in range(d):
        scale += weight * x[i] * y[i]
    for i in range(d):
        for j in range(d):
            Lambda[i, j] += weight * x[i] * x[j]
            inverse[i, j] -= weight * y[i] * y[j] / scale
    return math.log(scale)


@kernel
def record_episodes(phi, states, actions, weights, Lambda, inverse, G, log_det):
    """Add the transitions of whole episodes to the regressions of their stages."""
    N, H = actions.shape
    for n in range(N):
        for h in range(H):
            x = phi[states[n, h], actions[n, h]]
            log_det[h] += rank_one(Lambda[h], inverse[h], x, weights[n, h])
            for i in range(x.shape[0]):
                G[h, i, states[n, h + 1]] += weights[n, h] * x[i]
