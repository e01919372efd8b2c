"""Compiled solution of the penalised row problem; it is stated in `row`."""

import math

from theoryrl._numba import strict_kernel

STEPS = 200
"""Most Newton steps; they increase monotonically and converge quadratically (about ten are made)."""


@strict_kernel
def best_allowed(V, allowed):
    """Return the lowest maximiser of V among the allowed states."""
    best = -1
    for i in range(V.shape[0]):
        if allowed[i] and (best < 0 or V[i] > V[best]):
            best = i
    return best


@strict_kernel
def point_on(p, state):
    """Write the distribution that is sure of one state."""
    for i in range(p.shape[0]):
        p[i] = 0.0
    p[state] = 1.0


@strict_kernel
def _slope(counts, n, c, V, top, t):
    """Return g(t) = sum_i c phat_i / (t + top - V_i) and sum_i c phat_i / (t + top - V_i)^2."""
    g, s = 0.0, 0.0
    for i in range(V.shape[0]):
        if counts[i] > 0:
            inverse = 1.0 / (t + (top - V[i]))
            share = c * (counts[i] / n) * inverse
            g += share
            s += share * inverse
    return g, s


@strict_kernel
def multiplier(counts, n, c, V, top):
    """Return t > 0 with g(t) = 1: Newton on 1 / g - 1, which is concave and increasing.

    From a point where g >= 1 the iterates increase to the root; they stop when rounding stops them.
    """
    share = 0.0
    for i in range(V.shape[0]):
        if counts[i] > 0 and V[i] == top:
            share += counts[i] / n
    t = c * share
    for _ in range(STEPS):
        g, s = _slope(counts, n, c, V, top, t)
        step = g * (g - 1.0) / s
        if step <= 1e-15 * t:
            break
        t += step
    return t


@strict_kernel
def penalised_row(counts, n, c, V, allowed, p):
    """Write the maximiser p of <p, V> - c KL(phat || p), phat = counts / n; return the value.

    Without observations, or at price zero, all mass goes to the best allowed state.
    """
    best = best_allowed(V, allowed)
    if n == 0 or c == 0.0:
        point_on(p, best)
        return V[best]
    top, first = 0.0, True
    for i in range(V.shape[0]):
        if counts[i] > 0 and (first or V[i] > top):
            top, first = V[i], False
    t = multiplier(counts, n, c, V, top)
    left_over = -1
    if V[best] - top >= t:  # then g(V[best] - top) <= 1: mass is left for the best unseen state
        t, left_over = V[best] - top, best
    total, logs = 0.0, 0.0
    for i in range(V.shape[0]):
        p[i] = 0.0
        if counts[i] > 0:
            phat, gap = counts[i] / n, t + (top - V[i])
            p[i] = c * phat / gap
            total += p[i]
            x = ((t - c) + (top - V[i])) / c  # not (gap - c): for a large price that loses the gap
            logs += phat * (math.log1p(x) if abs(x) < 0.5 else math.log(gap / c))
    if left_over >= 0:
        p[left_over] = max(0.0, 1.0 - total)
    else:
        for i in range(V.shape[0]):
            p[i] /= total
    return top + (t - c) - c * logs


@strict_kernel
def row_divergence(counts, n, p):
    """Return n KL(phat || p); infinite where p excludes what was seen."""
    total = 0.0
    for i in range(p.shape[0]):
        if counts[i] > 0:
            if p[i] <= 0.0:
                return math.inf
            total += counts[i] * math.log(counts[i] / (n * p[i]))
    return total
