"""Compiled ascent over mixtures of kernels; the problem is stated in `mixture`."""

import math

import numpy as np

from theoryrl._numba import strict_kernel
from theoryrl.solvers.maximize_to_explore._model_kernels import visits
from theoryrl.solvers.maximize_to_explore._row_kernels import penalised_row

CLOSE = 1e-10
"""Certificate at which an inner maximisation stops."""


@strict_kernel
def optimal(P, r, V, actions):
    """Fill V and an optimal policy of P."""
    H, S, A = r.shape
    for h in range(H - 1, -1, -1):
        for s in range(S):
            best, top = 0, -np.inf
            for a in range(A):
                value = r[h, s, a]
                for t in range(S):
                    value += P[h, s, a, t] * V[h + 1, t]
                if value > top:
                    best, top = a, value
            actions[h, s], V[h, s] = best, top


@strict_kernel
def log_mixture(g, weights, base, steps, theta):
    """Maximise <g, theta> + sum_j weights[j] log(sum_i theta_i base[i, j]) from theta > 0, in place.

    Returns (value, certificate): the maximum is at most their sum.
    """
    d, J = base.shape
    gradient, pull, trial = np.empty(d), np.empty(d), np.empty(d)
    allowed = np.ones(d, dtype=np.bool_)
    total = weights.sum()
    value, certificate = 0.0, np.inf
    for _ in range(steps):
        value = 0.0
        for i in range(d):
            pull[i] = 0.0
            value += g[i] * theta[i]
        for j in range(J):
            if weights[j] > 0:
                mixed = 0.0
                for i in range(d):
                    mixed += theta[i] * base[i, j]
                value += weights[j] * math.log(mixed)
                for i in range(d):
                    pull[i] += weights[j] * base[i, j] / mixed
        largest, mean = -np.inf, 0.0
        for i in range(d):
            gradient[i] = g[i] + pull[i]
            largest = max(largest, gradient[i])
            mean += theta[i] * gradient[i]
            pull[i] *= theta[i]
        certificate = largest - mean
        if certificate <= CLOSE:
            break
        # EM: the logarithms are at least sum_i pull_i log theta_i + constant; then a penalised row.
        penalised_row(pull, total, total, g, allowed, trial)
        for i in range(d):
            theta[i] = trial[i]
    return value, max(0.0, certificate)


@strict_kernel
def mix(P, theta, out):
    """Write sum_i theta[h, i] P[i, h]."""
    d, H = P.shape[0], P.shape[1]
    for h in range(H):
        out[h] = 0.0
        for i in range(d):
            out[h] += theta[h, i] * P[i, h]


@strict_kernel
def ascend(P, N, r, rho, eta, sweeps, steps, theta):
    """Block-coordinate ascent over the stages, in place; return V(rho) + eta sum N log P_theta."""
    d, H, S, A, _ = P.shape
    mixed, V, actions, occupancy = (
        np.empty_like(N),
        np.zeros((H + 1, S)),
        np.empty((H, S), dtype=np.int64),
        np.empty((H, S)),
    )
    g = np.empty(d)
    before = -np.inf
    now = before
    for _ in range(sweeps):
        mix(P, theta, mixed)
        optimal(mixed, r, V, actions)
        visits(mixed, actions, rho, occupancy)
        now = 0.0
        for s in range(S):
            now += rho[s] * V[0, s]
        for h in range(H):
            for s in range(S):
                for a in range(A):
                    for t in range(S):
                        if N[h, s, a, t] > 0:
                            now += eta * N[h, s, a, t] * math.log(mixed[h, s, a, t])
        if now <= before + 1e-12:
            break
        before = now
        for h in range(H - 1, -1, -1):
            for i in range(d):
                g[i] = 0.0
                for s in range(S):
                    for t in range(S):
                        g[i] += occupancy[h, s] * P[i, h, s, actions[h, s], t] * V[h + 1, t]
            weights = eta * N[h].copy().reshape(S * A * S)
            log_mixture(g, weights, np.ascontiguousarray(P[:, h]).reshape(d, S * A * S), steps, theta[h])
            mix(P, theta, mixed)
            for s in range(S):
                value = r[h, s, actions[h, s]]
                for t in range(S):
                    value += mixed[h, s, actions[h, s], t] * V[h + 1, t]
                V[h, s] = value
    return now


@strict_kernel
def relaxed(P, N, n, r, rho, eta, steps):
    """Return the upper bound: every row has a theta of its own, at the price eta n per nat."""
    d, H, S, A, _ = P.shape
    V, W = np.zeros(S), np.zeros(S)
    g, theta = np.empty(d), np.empty(d)
    for h in range(H - 1, -1, -1):
        for s in range(S):
            top = -np.inf
            for a in range(A):
                for i in range(d):
                    theta[i] = 1.0 / d
                    g[i] = 0.0
                    for t in range(S):
                        g[i] += P[i, h, s, a, t] * V[t]
                if n[h, s, a] > 0:
                    base = np.ascontiguousarray(P[:, h, s, a])
                    value, certificate = log_mixture(g, eta * N[h, s, a], base, steps, theta)
                    entropy = 0.0
                    for t in range(S):
                        if N[h, s, a, t] > 0:
                            entropy += N[h, s, a, t] * math.log(N[h, s, a, t] / n[h, s, a])
                    value += certificate - eta * entropy
                else:
                    value = g.max()
                top = max(top, r[h, s, a] + value)
            W[s] = top
        V[:] = W
    total = 0.0
    for s in range(S):
        total += rho[s] * V[s]
    return total
