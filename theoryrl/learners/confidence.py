"""Confidence radii for the rows of a tabular kernel, as compiled functions of the counts.

Each holds for all numbers of visits at once: within a cell (h, s, a) the successive next states are
independent draws in the order of the visits, however the visits were chosen.
"""

import math

from theoryrl._numba import kernel


@kernel
def kl_mixture_threshold(counts, size, log_inverse_delta):
    """Return x with P( exists n: n KL(phat_n || p) > x ) <= delta, from the counts themselves.

    x = log(1/delta) + log[ Gamma(n + S/2) Gamma(1/2)^S / (Gamma(S/2) prod_i Gamma(n_i + 1/2)) ]
    + sum_i n_i log(n_i / n): the likelihood ratio of the Dirichlet(1/2) mixture against p is a
    non-negative martingale with mean one, and Ville's inequality bounds its supremum. `size` is S,
    or the size of the known support. Proof: StepMix page, section "Why it is safe".
    """
    n = 0.0
    total = 0.0
    for i in range(counts.shape[0]):
        c = float(counts[i])
        if c > 0.0:
            n += c
            total += c * math.log(c) - math.lgamma(c + 0.5) + math.lgamma(0.5)
    half = 0.5 * size
    return log_inverse_delta + math.lgamma(n + half) - math.lgamma(half) + total - n * math.log(n)


@kernel
def kl_counting_threshold(n, size, log_inverse_delta):
    """Return log(1/delta) + (S-1) log(e (1 + n/(S-1))), a bound on the Dirichlet(1)-mixture threshold.

    Source: Jonsson et al. (2020), Proposition 1. For S = 1 the second term is zero.
    """
    if size <= 1:
        return log_inverse_delta
    return log_inverse_delta + (size - 1) * (1.0 + math.log1p(n / (size - 1.0)))
