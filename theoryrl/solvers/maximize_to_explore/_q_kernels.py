"""Compiled planning over all tables of action values; the problem is stated in `tabular_q`."""

import numpy as np

from theoryrl._numba import strict_kernel


@strict_kernel
def expected(counts, n, V):
    """Return (Phat V) for one row of counts."""
    total = 0.0
    for t in range(V.shape[0]):
        total += counts[t] * V[t]
    return total / n


@strict_kernel
def greedy_layer(Q, V, actions):
    """Write the lowest maximisers and the maxima of Q[s, a]."""
    S, A = Q.shape
    for s in range(S):
        best = 0
        for a in range(1, A):
            if Q[s, a] > Q[s, best]:
                best = a
        actions[s], V[s] = best, Q[s, best]


@strict_kernel
def bonus_values(counts, n, r, bonus, Q, V, actions):
    """Fill Q = clip(r + Phat V + bonus, 0, H-h), H-h without data, and its greedy values."""
    H, S, A = r.shape
    for h in range(H - 1, -1, -1):
        for s in range(S):
            for a in range(A):
                Q[h, s, a] = float(H - h)
                if n[h, s, a] > 0:
                    backup = r[h, s, a] + expected(counts[h, s, a], n[h, s, a], V[h + 1]) + bonus[h, s, a]
                    Q[h, s, a] = max(0.0, min(backup, float(H - h)))
        greedy_layer(Q[h], V[h], actions[h])


@strict_kernel
def q_loss(counts, n, r, Q):
    """Return sum n (Q - r - Phat V)^2 with V = max_a Q."""
    H, S, A = r.shape
    V = np.zeros(S)
    total = 0.0
    for h in range(H - 1, -1, -1):
        for s in range(S):
            for a in range(A):
                if n[h, s, a] > 0:
                    error = Q[h, s, a] - r[h, s, a] - expected(counts[h, s, a], n[h, s, a], V)
                    total += n[h, s, a] * error * error
        for s in range(S):
            V[s] = Q[h, s].max()
    return total


@strict_kernel
def q_objective(counts, n, r, rho, eta, Q):
    """Return V_Q(rho) - eta sum n (Q - r - Phat V)^2, from nothing but Q."""
    start = 0.0
    for s in range(Q.shape[1]):
        start += rho[s] * Q[0, s].max()
    return start - eta * q_loss(counts, n, r, Q)


@strict_kernel
def empirical_visits(counts, n, rho, actions, d):
    """Fill the occupancy of deterministic actions under Phat; what reaches a cell without data stops."""
    H, S = actions.shape
    d[0, :] = rho
    for h in range(H - 1):
        d[h + 1, :] = 0.0
        for s in range(S):
            a = actions[h, s]
            if d[h, s] > 0.0 and n[h, s, a] > 0:
                for t in range(S):
                    d[h + 1, t] += d[h, s] * counts[h, s, a, t] / n[h, s, a]


@strict_kernel
def climb(counts, n, r, rho, eta, Q, V, actions, steps):
    """Minorise-maximise from a policy, in place: the bonus d^2 / (4 eta n) by its tangent d / (2 eta n).

    Keeps the Q with the largest objective, and its greedy actions. Returns (objective, dynamic programs).
    """
    H, S, A = r.shape
    bonus, d = np.zeros((H, S, A)), np.empty((H, S))
    trial, W, chosen = np.empty_like(Q), np.zeros((H + 1, S)), actions.copy()
    best = -np.inf
    for step in range(steps):
        empirical_visits(counts, n, rho, chosen, d)
        bonus[:] = 0.0
        for h in range(H):
            for s in range(S):
                a = chosen[h, s]
                if n[h, s, a] > 0:
                    bonus[h, s, a] = d[h, s] / (2.0 * eta * n[h, s, a])
        bonus_values(counts, n, r, bonus, trial, W, chosen)
        value = q_objective(counts, n, r, rho, eta, trial)
        if value <= best + 1e-12:
            return best, step + 1
        best = value
        Q[:] = trial
        V[:] = W
        actions[:] = chosen
    return best, steps


@strict_kernel
def plan_q(counts, n, r, rho, eta, cap, warm, steps, Q, V, actions):
    """Upper bound with the bonus cap / (4 eta n); climb from its policy and from `actions` if `warm`.

    Leaves the better one in (Q, V, actions). Returns (objective, upper bound, dynamic programs).
    """
    H, S, A = r.shape
    bonus, Q1, V1, actions1 = (
        np.zeros((H, S, A)),
        np.empty_like(Q),
        np.zeros((H + 1, S)),
        np.empty_like(actions),
    )
    for h in range(H):
        for s in range(S):
            for a in range(A):
                if n[h, s, a] > 0:
                    bonus[h, s, a] = cap[h, s] / (4.0 * eta * n[h, s, a])
    bonus_values(counts, n, r, bonus, Q1, V1, actions1)
    upper = 0.0
    for s in range(S):
        upper += rho[s] * V1[0, s]
    value, made = climb(counts, n, r, rho, eta, Q1, V1, actions1, steps)
    if warm:
        kept, more = climb(counts, n, r, rho, eta, Q, V, actions, steps)
        made += more
        if kept >= value:
            return kept, upper, made + 1
    Q[:] = Q1
    V[:] = V1
    actions[:] = actions1
    return value, upper, made + 1
