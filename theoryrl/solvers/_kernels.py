"""Compiled search for the extreme expectations over a KL ball; the problem is stated in `kl_ball`."""

import math

from theoryrl._numba import kernel

MAX_STEPS = 40
FLAT = 1e-12
"""Below this range of V every expectation equals its maximum up to rounding."""


@kernel
def _tilt(p, d, t):
    """Return (sum p x/(1+x), sum p log(1+x), sum p x/(1+x)^2) at x = d / t."""
    first, logs, second = 0.0, 0.0, 0.0
    for i in range(p.shape[0]):
        if p[i] > 0.0:
            x = d[i] / t
            share = x / (1.0 + x)
            first += p[i] * share
            logs += p[i] * math.log1p(x)
            second += p[i] * share / (1.0 + x)
    return first, logs, second


@kernel
def least_expectation(p, d, eps):
    """Return a lower bound on min { q . d : KL(p || q) <= eps } for d >= 0 with min d = 0.

    Exact up to the stopping rule; valid wherever the search stops.
    """
    mean, square, top, floor, away = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(p.shape[0]):
        top = max(top, d[i])
        if p[i] > 0.0:
            mean += p[i] * d[i]
            square += p[i] * d[i] * d[i]
            if d[i] > 0.0:
                away += p[i]
                floor += p[i] * math.log(d[i])
    if top < FLAT or away == 0.0:
        return 0.0
    if eps <= 0.0:
        return mean
    best = 0.0
    if away >= 1.0 - 1e-15:
        inverse = 0.0
        for i in range(p.shape[0]):
            if p[i] > 0.0:
                inverse += p[i] / d[i]
        best = math.exp(floor - eps)
        if math.log(inverse) + floor <= eps:
            return best
    high = math.log(top) - math.log(math.expm1(eps)) if eps < 700.0 else math.log(top) - eps
    low = math.log(top) - 600.0
    high = max(high, low)
    variance = max(square - mean * mean, 0.0)
    u = min(max(0.5 * math.log(variance / (2.0 * eps) + 1e-300), low), high)
    for _ in range(MAX_STEPS):
        t = math.exp(u)
        first, logs, second = _tilt(p, d, t)
        best = max(best, t * math.expm1(logs - eps))
        G = math.log1p(-first) + logs
        if G > eps:
            low = u
        else:
            high = u
        slope = second / (1.0 - first) - first
        step = math.inf
        if G > 0.0 and slope < 0.0:
            step = -math.log(G / eps) * G / slope
        if abs(step) < 1e-7 or high - low < 1e-7:
            break
        u = u + step if low < u + step < high else 0.5 * (low + high)
    return best


@kernel
def kl_extremes(p, U, L, allowed, eps, d):
    """Return bounds (>= max q . U, <= min q . L) over q with KL(p || q) <= eps and q in `allowed`.

    `d` is scratch space of the same length.
    """
    highest, lowest = -math.inf, math.inf
    for i in range(p.shape[0]):
        if allowed[i]:
            highest = max(highest, U[i])
            lowest = min(lowest, L[i])
    for i in range(p.shape[0]):
        d[i] = highest - U[i] if allowed[i] else 0.0
    upper = highest - least_expectation(p, d, eps)
    for i in range(p.shape[0]):
        d[i] = L[i] - lowest if allowed[i] else 0.0
    return upper, lowest + least_expectation(p, d, eps)
