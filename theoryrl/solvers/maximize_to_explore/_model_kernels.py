"""Compiled planning over all kernels of a tabular model; the problem is stated in `tabular_model`."""

import numpy as np

from theoryrl._numba import strict_kernel
from theoryrl.solvers.maximize_to_explore._row_kernels import penalised_row, row_divergence

SMALLEST_OCCUPANCY = 1e-9
"""Stands for an occupancy of zero in a price, which would be infinite; the objective does not use it."""


@strict_kernel
def empirical_row(counts, n, p):
    """Write phat."""
    for i in range(p.shape[0]):
        p[i] = counts[i] / n


@strict_kernel
def best_row(counts, n, r, price, V, allowed, P, trial):
    """Fill P[a] with the best penalised row of each action; return the best action and its value.

    `price` is eta over the occupancy: the row's price is price * n.
    """
    best, top = 0, -np.inf
    for a in range(r.shape[0]):
        value = r[a] + penalised_row(counts[a], n[a], price * n[a], V, allowed[a], trial)
        P[a, :] = trial
        if value > top:
            best, top = a, value
    return best, top


@strict_kernel
def relaxed_values(counts, n, r, eta, cap, allowed, P, V, actions):
    """Dynamic program whose rows pay eta n / cap[h, s] per nat: fill P, V and the greedy actions.

    With caps that no occupancy exceeds, rho . V[0] is an upper bound on the objective of any kernel.
    """
    H, S, _ = r.shape
    trial = np.empty(S)
    for h in range(H - 1, -1, -1):
        for s in range(S):
            price = eta / max(cap[h, s], SMALLEST_OCCUPANCY)
            actions[h, s], V[h, s] = best_row(
                counts[h, s], n[h, s], r[h, s], price, V[h + 1], allowed[h, s], P[h, s], trial
            )


@strict_kernel
def visits(P, actions, rho, d):
    """Fill d[h, s] = Pr(s_h = s) of deterministic actions."""
    H, S = actions.shape
    d[0, :] = rho
    for h in range(H - 1):
        d[h + 1, :] = 0.0
        for s in range(S):
            if d[h, s] > 0.0:
                for t in range(S):
                    d[h + 1, t] += d[h, s] * P[h, s, actions[h, s], t]


@strict_kernel
def penalty(counts, n, P):
    """Return the sum of n KL(phat || P) over all cells."""
    H, S, A = n.shape
    total = 0.0
    for h in range(H):
        for s in range(S):
            for a in range(A):
                if n[h, s, a] > 0:
                    total += row_divergence(counts[h, s, a], n[h, s, a], P[h, s, a])
    return total


@strict_kernel
def model_objective(counts, n, r, rho, eta, P, V, actions):
    """Return V*_P(rho) - eta sum n KL(phat || P) from nothing but P; fill V and an optimal policy."""
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
    start = 0.0
    for s in range(S):
        start += rho[s] * V[0, s]
    return start - eta * penalty(counts, n, P)


@strict_kernel
def ascend(counts, n, r, rho, eta, allowed, P, V, actions, d, sweeps):
    """Block-coordinate ascent over the stages from (P, actions), in place; return the sweeps made.

    One sweep goes backwards: the occupancy of a stage does not depend on the later blocks. Per state the
    block is solved exactly; rows that are not played go back to the data. Stops when a sweep gains less
    than 1e-12.
    """
    H, S, A = r.shape
    trial = np.empty(S)
    before = -np.inf
    for sweep in range(sweeps):
        visits(P, actions, rho, d)
        for h in range(H - 1, -1, -1):
            for s in range(S):
                price = eta / max(d[h, s], SMALLEST_OCCUPANCY)
                best, _ = best_row(
                    counts[h, s], n[h, s], r[h, s], price, V[h + 1], allowed[h, s], P[h, s], trial
                )
                for a in range(A):
                    if a != best and n[h, s, a] > 0:
                        empirical_row(counts[h, s, a], n[h, s, a], P[h, s, a])
                value = r[h, s, best]
                for t in range(S):
                    value += P[h, s, best, t] * V[h + 1, t]
                actions[h, s], V[h, s] = best, value
        now = -eta * penalty(counts, n, P)
        for s in range(S):
            now += rho[s] * V[0, s]
        if now <= before + 1e-12:
            return sweep + 1
        before = now
    return sweeps


@strict_kernel
def unplayed_rows_to_data(counts, n, actions, P):
    """Set the rows of the actions that are not played to phat, where there are data."""
    H, S, A = n.shape
    for h in range(H):
        for s in range(S):
            for a in range(A):
                if a != actions[h, s] and n[h, s, a] > 0:
                    empirical_row(counts[h, s, a], n[h, s, a], P[h, s, a])


@strict_kernel
def plan_model(counts, n, r, rho, eta, cap, allowed, warm, sweeps, P, V, actions):
    """Upper bound, then ascent from the relaxation's maximiser and from (P, actions) if `warm`.

    Leaves the better of the two in (P, V, actions). Returns (objective, upper bound, sweeps).
    """
    H, S, _ = r.shape
    P1, V1, actions1, d = np.empty_like(P), np.zeros((H + 1, S)), np.empty_like(actions), np.empty((H, S))
    relaxed_values(counts, n, r, eta, cap, allowed, P1, V1, actions1)
    upper = 0.0
    for s in range(S):
        upper += rho[s] * V1[0, s]
    unplayed_rows_to_data(counts, n, actions1, P1)
    made = ascend(counts, n, r, rho, eta, allowed, P1, V1, actions1, d, sweeps)
    value = model_objective(counts, n, r, rho, eta, P1, V1, actions1)
    if warm:
        made += ascend(counts, n, r, rho, eta, allowed, P, V, actions, d, sweeps)
        kept = model_objective(counts, n, r, rho, eta, P, V, actions)
        if kept >= value:
            return kept, upper, made
    P[:] = P1
    V[:] = V1
    actions[:] = actions1
    return value, upper, made


@strict_kernel
def node_bound(counts, n, r, rho, eta, low, high, allowed, target, steps, P, V, actions, d):
    """Return an upper bound on the objective of kernels whose occupancies lie in [low, high].

    Lagrangian of the two constraints over the relaxation with prices eta n / high, by projected Polyak
    steps towards `target`; each iterate is a bound. P, actions and d are left at the best one.
    """
    H, S, A = r.shape
    plus, minus, shifted = np.zeros((H, S)), np.zeros((H, S)), np.empty_like(r)
    P1, actions1, d1 = np.empty_like(P), np.empty_like(actions), np.empty_like(d)
    best = np.inf
    for _ in range(steps):
        bound = 0.0
        for h in range(H):
            for s in range(S):
                bound += plus[h, s] * high[h, s] - minus[h, s] * low[h, s]
                for a in range(A):
                    shifted[h, s, a] = r[h, s, a] - plus[h, s] + minus[h, s]
        relaxed_values(counts, n, shifted, eta, high, allowed, P1, V, actions1)
        for s in range(S):
            bound += rho[s] * V[0, s]
        visits(P1, actions1, rho, d1)
        if bound < best:
            best = bound
            P[:] = P1
            actions[:] = actions1
            d[:] = d1
        # Only violated constraints, and those with a positive multiplier, can move.
        norm = 0.0
        for h in range(H):
            for s in range(S):
                g, f = high[h, s] - d1[h, s], d1[h, s] - low[h, s]
                norm += g * g if (plus[h, s] > 0.0 or g < 0.0) else 0.0
                norm += f * f if (minus[h, s] > 0.0 or f < 0.0) else 0.0
        if norm <= 1e-18 or best <= target:
            break
        step = (bound - target) / norm
        for h in range(H):
            for s in range(S):
                plus[h, s] = max(0.0, plus[h, s] - step * (high[h, s] - d1[h, s]))
                minus[h, s] = max(0.0, minus[h, s] - step * (d1[h, s] - low[h, s]))
    return best
