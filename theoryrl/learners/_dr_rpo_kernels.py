"""Compiled planning of DR-RPO: one backward pass over the stages."""

import math

import numpy as np

from theoryrl._numba import kernel
from theoryrl.learners.bonus_radius import TWO_REGRESSIONS
from theoryrl.solvers._sorting import sort_indices
from theoryrl.solvers.robust._factors import SETS

TIE = 1e-12
"""Action values that differ by less are equal up to rounding."""

FACTOR, FACTOR_L2, ELLIPTIC = 0, 1, 2

DUALS = (*SETS, TWO_REGRESSIONS)
"""Names of the duals that can be estimated; a kernel receives the position of one."""


@kernel
def tv_dual(m, V, order, radius):
    """Return max over a in {0} and the values of V of sum_s m(s) min(V(s), a) - radius a, for V >= 0.

    The weights m are signed, so the objective is not concave; it is piecewise linear with kinks at the
    values, and its last piece does not rise.
    """
    rest = 0.0
    for s in range(m.shape[0]):
        rest += m[s]
    best, below = 0.0, 0.0
    for k in range(m.shape[0]):
        s = order[k]
        best = max(best, below + V[s] * rest - radius * V[s])
        below += m[s] * V[s]
        rest -= m[s]
    return best


@kernel
def chi2_penalty_dual(m, V, order, price, top):
    """Return max over y in [0, top] of y - sum_s m(s) k(y - V(s)).

    k(x) = x + x^2 / (4 price) for x >= -2 price, else -price. Piecewise quadratic with kinks at
    V(s) - 2 price: the maximum lies at an end, a kink, or the stationary point of a piece.
    """
    S = m.shape[0]
    best = max(_chi2_objective(m, V, price, 0.0), _chi2_objective(m, V, price, top))
    mass, sum_v = 0.0, 0.0
    for k in range(S):
        s = order[k]
        kink = min(max(V[s] - 2.0 * price, 0.0), top)
        best = max(best, _chi2_objective(m, V, price, kink))
        mass += m[s]
        sum_v += m[s] * V[s]
        if mass != 0.0:
            y = (2.0 * price * (1.0 - mass) + sum_v) / mass
            if 0.0 < y < top:
                best = max(best, _chi2_objective(m, V, price, y))
    return best


@kernel
def _chi2_objective(m, V, price, y):
    total = y
    for s in range(m.shape[0]):
        x = y - V[s]
        total -= m[s] * (x + x * x / (4.0 * price) if x >= -2.0 * price else -price)
    return total


@kernel
def _moments_objective(first, second, price, top):
    first, second = min(max(first, 0.0), top), min(max(second, 0.0), top * top)
    return first - (second - first * first) / (4.0 * price)


@kernel
def chi2_penalty_moments(m, V, order, price, top):
    """Return max over a in [0, max V] of E - (E2 - E^2) / (4 price), with clipped estimates of the moments.

    E = sum_s m(s) min(V(s), a) and E2, of its square, are clipped to [0, top] and [0, top^2]. Between two
    values E is linear and E2 quadratic in a: the maximum lies at an end, at the stationary point of the
    unclipped objective, or where a clip begins. The values alone are too few, for ever.
    """
    S = m.shape[0]
    rest, first, second, low, best = 0.0, 0.0, 0.0, 0.0, -math.inf
    for s in range(S):
        rest += m[s]
    for k in range(S):
        high = V[order[k]]
        for c in range(7):
            a = low
            if c == 1:
                a = high
            elif c == 2:
                a = (2.0 * price + first) / (1.0 - rest) if rest != 1.0 else low
            elif rest != 0.0:
                if c == 3:
                    a = -first / rest
                elif c == 4:
                    a = (top - first) / rest
                elif c == 5:
                    a = math.sqrt(max(-second / rest, 0.0))
                else:
                    a = math.sqrt(max((top * top - second) / rest, 0.0))
            a = min(max(a, low), high)
            value = _moments_objective(first + rest * a, second + rest * a * a, price, top)
            best = max(best, value)
        first += m[order[k]] * high
        second += m[order[k]] * high * high
        rest -= m[order[k]]
        low = high
    return best


@kernel
def estimate(code, m, V, order, radius, top):
    """Return the estimated least expectation of V for signed weights m; `code` as in `DUALS`."""
    if code == 4:
        return chi2_penalty_moments(m, V, order, radius, top)
    if code == 0:
        return tv_dual(m, V, order, radius)
    if code == 3:
        return chi2_penalty_dual(m, V, order, radius, top)
    total = 0.0
    for s in range(m.shape[0]):
        total += m[s] * (min(V[s], radius) if code == 1 else math.exp(-V[s] / radius))
    if code == 1:
        return total
    return -radius * math.log(min(max(total, math.exp(-top / radius)), 1.0))


@kernel
def bonus(kind, x, g, inverse, beta):
    """Return Gamma(s, a) for the features x; g_i = beta sqrt(inverse_ii), negative for pessimism."""
    total = 0.0
    if kind == FACTOR:
        for i in range(x.shape[0]):
            total += x[i] * g[i]
        return total
    for i in range(x.shape[0]):
        if kind == FACTOR_L2:
            total += (x[i] * g[i]) ** 2
        else:
            for j in range(x.shape[0]):
                total += x[i] * inverse[i, j] * x[j] * beta * beta
    return math.copysign(math.sqrt(max(total, 0.0)), beta)


@kernel
def soft_values(Q, log_reference, eta, pi):
    """Write pi proportional to reference exp(Q / eta); return eta log sum reference exp(Q / eta)."""
    top = -math.inf
    for a in range(Q.shape[0]):
        pi[a] = Q[a] / eta + log_reference[a]
        top = max(top, pi[a])
    total = 0.0
    for a in range(Q.shape[0]):
        pi[a] = math.exp(pi[a] - top)
        total += pi[a]
    for a in range(Q.shape[0]):
        pi[a] /= total
    return eta * (top + math.log(total))


@kernel
def greedy_values(Q, raw, tie_break, pi):
    """Write the greedy policy: among equal values the largest untruncated one, then the first."""
    chosen, top = -1, -math.inf
    for a in range(Q.shape[0]):
        top = max(top, Q[a])
    for a in range(Q.shape[0]):
        pi[a] = 0.0
        if Q[a] >= top - TIE and (chosen < 0 or (tie_break and raw[a] > raw[chosen])):
            chosen = a
    pi[chosen] = 1.0
    return top


@kernel
def proximal_values(Q, log_reference, eta, keep, gain, log_previous, pi):
    """Write pi proportional to reference^(1 - keep) previous^keep exp(gain Q), and remember its logarithm.

    Returns sum_a pi Q - eta KL(pi || reference).
    """
    top = -math.inf
    for a in range(Q.shape[0]):
        log_previous[a] = (1.0 - keep) * log_reference[a] + keep * log_previous[a] + gain * Q[a]
        top = max(top, log_previous[a])
    total = 0.0
    for a in range(Q.shape[0]):
        total += math.exp(log_previous[a] - top)
    value = 0.0
    for a in range(Q.shape[0]):
        log_previous[a] -= top + math.log(total)
        pi[a] = math.exp(log_previous[a])
        value += pi[a] * (Q[a] - eta * (log_previous[a] - log_reference[a]))
    return value


@kernel
def plan(
    code,
    kind,
    phi,
    theta,
    radii,
    inverse,
    M,
    beta,
    caps,
    fail,
    eta,
    log_reference,
    keep,
    gain,
    log_previous,
    tie_break,
    nu,
    g,
    Q,
    V,
    pi,
):
    """Fill the estimates nu, the bonuses g, and Q[h, s, a], V[h, s], pi[h, s, a] of the optimistic plan.

    With the factor bonus each coordinate is truncated to the range of the next value; action values are
    truncated to that of the value, and are zero in the fail state (if fail >= 0). With keep > 0 the
    policy is a proximal step from the last one, whose logarithm is replaced.
    """
    H, S, A = pi.shape
    d = phi.shape[2]
    order, other = np.empty(S, dtype=np.int64), np.empty(S, dtype=np.int64)
    u, raw = np.empty(d), np.empty(A)
    for s in range(S):
        V[H, s] = 0.0
    for h in range(H - 1, -1, -1):
        top = caps[h + 1]
        sort_indices(V[h + 1], 1.0, order, other)
        for i in range(d):
            nu[h, i], g[h, i] = 0.0, 0.0
            if h < H - 1:
                nu[h, i] = estimate(code, M[h, i], V[h + 1], order, radii[h, i], top)
                g[h, i] = beta[h] * math.sqrt(max(inverse[h, i, i], 0.0))
            u[i] = theta[h, i]
            if kind == FACTOR:
                u[i] += min(max(nu[h, i] + g[h, i], 0.0), top)
            else:
                u[i] += nu[h, i]
        for s in range(S):
            for a in range(A):
                x = phi[s, a]
                Gamma = bonus(kind, x, g[h], inverse[h], beta[h]) if h < H - 1 else 0.0
                value = 0.0
                raw[a] = Gamma
                for i in range(d):
                    value += x[i] * u[i]
                    raw[a] += x[i] * (theta[h, i] + nu[h, i])
                if kind != FACTOR:
                    value += Gamma
                Q[h, s, a] = 0.0 if s == fail else min(max(value, 0.0), caps[h])
            if keep > 0.0:
                V[h, s] = proximal_values(
                    Q[h, s], log_reference[h, s], eta, keep, gain, log_previous[h, s], pi[h, s]
                )
            elif eta > 0.0:
                V[h, s] = soft_values(Q[h, s], log_reference[h, s], eta, pi[h, s])
            else:
                V[h, s] = greedy_values(Q[h, s], raw, tie_break, pi[h, s])
