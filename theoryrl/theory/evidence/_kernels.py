"""Compiled streams for checks that need many of them."""

import math

import numpy as np

from theoryrl._numba import kernel
from theoryrl.learners.confidence import kl_mixture_threshold


@kernel
def largest_excess(p, cum, log_inverse_delta, uniforms):
    """Return max over n of n KL(phat_n || p) - x_n, stopping at the first crossing."""
    S = p.shape[0]
    counts = np.zeros(S, dtype=np.int64)
    worst = -math.inf
    for n in range(uniforms.shape[0]):
        i = 0
        while uniforms[n] >= cum[i]:
            i += 1
        counts[i] += 1
        divergence = 0.0
        for t in range(S):
            if counts[t] > 0:
                divergence += counts[t] * math.log(counts[t] / ((n + 1.0) * p[t]))
        worst = max(worst, divergence - kl_mixture_threshold(counts, float(S), log_inverse_delta))
        if worst > 0.0:
            return worst
    return worst
