"""Compiled evaluation of a policy in a robust linear MDP: the loop of a run that is scored exactly.

One call does what `robust_policy_evaluation` does stage by stage, without certificate or worst rows, for
the sets that learners play with.
"""

import math

import numpy as np

from theoryrl._numba import kernel
from theoryrl.solvers._sorting import sort_indices
from theoryrl.solvers.robust._kernels import (
    chi_square_penalty,
    kullback_leibler_penalty,
    total_variation,
    total_variation_penalty,
)

SETS = ("tv", "tv-penalty", "kl-penalty", "chi2-penalty")
"""Names of the sets; a kernel receives the position of one."""


@kernel
def least_factors(code, mu, v, order, radii, sigma, scratch, nothing):
    """Write the least expectation of v over the set of each factor."""
    if code == 0:
        total_variation(mu, v, order, radii, 1.0, sigma, scratch, nothing)
    elif code == 1:
        total_variation_penalty(mu, v, order, radii, 1.0, sigma, scratch, nothing)
    elif code == 2:
        kullback_leibler_penalty(mu, v, order, radii, 1.0, sigma, scratch, nothing)
    else:
        chi_square_penalty(mu, v, order, radii, 1.0, sigma, scratch, nothing)


@kernel
def robust_values(code, phi, theta, mu, radii, pi, eta, log_reference, Q, V):
    """Fill Q[h, s, a] and V[h, s] of the policy pi[h, s, a], less eta KL(pi || reference)."""
    H, S, A = pi.shape
    d = phi.shape[2]
    sigma, scratch, nothing = np.empty(d), np.empty(d), np.empty((0, S))
    order, other = np.empty(S, dtype=np.int64), np.empty(S, dtype=np.int64)
    for s in range(S):
        V[H, s] = 0.0
    for h in range(H - 1, -1, -1):
        sort_indices(V[h + 1], 1.0, order, other)
        least_factors(code, mu[h], V[h + 1], order, radii[h], sigma, scratch, nothing)
        for s in range(S):
            total = 0.0
            for a in range(A):
                q = 0.0
                for i in range(d):
                    q += phi[s, a, i] * (theta[h, i] + sigma[i])
                Q[h, s, a] = q
                weight = pi[h, s, a]
                if weight > 0.0:
                    total += weight * q
                    if eta > 0.0:
                        total -= eta * weight * (math.log(weight) - log_reference[h, s, a])
            V[h, s] = total
