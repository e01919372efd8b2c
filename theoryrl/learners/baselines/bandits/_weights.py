"""Probabilities of the rules that draw their arm: exponential weights and Tsallis-INF."""

import math

from theoryrl._numba import strict_kernel
from theoryrl.learners.baselines.bandits._search import first_largest

NEWTON_STEPS = 100


@strict_kernel
def draw(p, rng):
    """Arm i with probability p[i]; p may be off one by rounding."""
    total = 0.0
    for i in range(p.shape[0]):
        total += p[i]
    u, run = rng.random() * total, 0.0
    for i in range(p.shape[0]):
        run += p[i]
        if u < run:
            return i
    return first_largest(p)


@strict_kernel
def tsallis_probabilities(L, eta, p):
    """Fill p with the minimiser of <L, p> - (4 / eta) sum_i sqrt(p_i) over the simplex; return the steps.

    p_i = 4 / (eta (L_i - x))^2 with x < min L such that they sum to one. The sum is convex and increasing in
    x, and at least one at the start, so Newton's steps descend to the root without passing it.
    """
    least = L.min()
    x = -2.0 / eta
    for step in range(NEWTON_STEPS):
        total, slope = 0.0, 0.0
        for i in range(L.shape[0]):
            root = 2.0 / (eta * (L[i] - least - x))
            p[i] = root * root
            total += p[i]
            slope += p[i] * root
        following = x - (total - 1.0) / (eta * slope)
        if not following < x:
            return step
        x = following
    return NEWTON_STEPS


@strict_kernel
def exponential_weights(L, eta, p):
    """Fill p with probabilities proportional to exp(-eta L)."""
    least, total = L.min(), 0.0
    for i in range(L.shape[0]):
        p[i] = math.exp(-eta * (L[i] - least))
        total += p[i]
    for i in range(L.shape[0]):
        p[i] /= total
