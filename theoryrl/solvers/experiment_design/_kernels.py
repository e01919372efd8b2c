"""Compiled loops over a class of deterministic policies and the empirical model."""

import numpy as np

from theoryrl._numba import kernel


@kernel
def occupancies(P, rho, actions, d):
    """Fill d[m, h, s], the mass of policy m at each state; P may be sub-stochastic."""
    M, H, S = actions.shape
    for m in range(M):
        for s in range(S):
            d[m, 0, s] = rho[s]
        for h in range(H - 1):
            for t in range(S):
                d[m, h + 1, t] = 0.0
            for s in range(S):
                mass = d[m, h, s]
                if mass > 0:
                    row = P[h, s, actions[m, h, s]]
                    for t in range(S):
                        d[m, h + 1, t] += mass * row[t]


@kernel
def widths(actions, d, N, lam, g, root, values, R, W):
    """Fill values[m] = <d, R> and W[m], the widths; root is the square root of kappa."""
    M, H, S = actions.shape
    for m in range(M):
        value, width = 0.0, 0.0
        for h in range(H):
            square, bias = 0.0, 0.0
            for s in range(S):
                mass = d[m, h, s]
                if mass > 0:
                    a = actions[m, h, s]
                    share = mass / (N[h, s, a] + lam)
                    value += mass * R[h, s, a]
                    square += mass * share
                    bias += share
            width += g[h] * np.sqrt(square) + root * (H - h) * lam * bias
        values[m], W[m] = value, width


@kernel
def plan(P, G, rng, V, chosen):
    """Fill chosen[h, s] with a policy that collects the most of G, ties drawn at random."""
    H, S, A = G.shape
    for s in range(S):
        V[H, s] = 0.0
    for h in range(H - 1, -1, -1):
        for s in range(S):
            best, ties = -1.0, 0
            for a in range(A):
                total = G[h, s, a]
                for t in range(S):
                    total += P[h, s, a, t] * V[h + 1, t]
                if total > best:
                    best, ties = total, 1
                    chosen[h, s] = a
                elif total == best:
                    ties += 1
                    if rng.random() * ties < 1:
                        chosen[h, s] = a
            V[h, s] = best


@kernel
def design(P, rho, actions, d, N, lam, g, root, eta, parts, rng, Nv, policies):
    """Fill policies[j, h, s]: Frank-Wolfe steps on virtual counts, each of parts[j] episodes.

    Nv starts as a copy of N; the gains are those of the smoothed largest width at the current Nv, with
    the radii g and the occupancies d held fixed.
    """
    M, H, S = actions.shape
    G = np.zeros(N.shape)
    W, R = np.empty(M), np.zeros(N.shape)
    unused = np.empty(M)
    V = np.zeros((H + 1, S))
    flow = np.empty((1, H, S))
    for j in range(parts.shape[0]):
        widths(actions, d, Nv, lam, g, root, unused, R, W)
        top = W.max()
        G[:] = 0.0
        for m in range(M):
            q = np.exp(eta * (W[m] / top - 1))
            if q < 1e-12:
                continue
            for h in range(H):
                square = 0.0
                for s in range(S):
                    square += d[m, h, s] ** 2 / (Nv[h, s, actions[m, h, s]] + lam)
                if square == 0.0:
                    continue
                norm = np.sqrt(square)
                for s in range(S):
                    mass = d[m, h, s]
                    if mass > 0:
                        a = actions[m, h, s]
                        share = mass / (Nv[h, s, a] + lam)
                        G[h, s, a] += q * (
                            g[h] * share**2 / (2 * norm) + root * (H - h) * lam * share / (Nv[h, s, a] + lam)
                        )
        plan(P, G, rng, V, policies[j])
        occupancies(P, rho, policies[j : j + 1], flow)
        for h in range(H):
            for s in range(S):
                Nv[h, s, policies[j, h, s]] += parts[j] * flow[0, h, s]
