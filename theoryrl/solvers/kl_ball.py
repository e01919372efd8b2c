r"""Extreme expectations over a Kullback-Leibler ball around an empirical distribution.

For p in the simplex, V in R^S and eps >= 0::

    upper = max { q . V : KL(p || q) <= eps },     lower = min { q . V : KL(p || q) <= eps }.

With d_i = max V - V_i >= 0 the upper problem is max V - min q . d, and for *every* t > 0

    min q . d  >=  exp( sum_i p_i log(d_i + t) - eps ) - t,

with equality at the best t (Lagrange duality; t = nu - max V in the usual form). So a search for t
may stop anywhere without losing validity. The optimal t solves G(t) = eps with

    G(t) = log sum_i p_i / (d_i + t) + sum_i p_i log(d_i + t),

a decreasing function, unless G(0) <= eps, where t = 0 is optimal. Newton's method on log G over
log t, inside a bracket, converges in a handful of steps: log G is nearly linear in log t.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from theoryrl._numba import kernel
from theoryrl.models._validation import check_distribution, check_real, real_array

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


class KLExtremes(NamedTuple):
    """Bounds on the expectation of V over the ball: `lower` <= q . V <= `upper` for each q in it."""

    lower: float
    upper: float


def kl_ball(
    p: Float[np.ndarray, " S"],
    V: Float[np.ndarray, " S"],
    eps: float,
    support: Bool[np.ndarray, " S"] | None = None,
) -> KLExtremes:
    """Bound the expectation of V over { q : KL(p || q) <= eps }.

    Parameters
    ----------
    p
        Centre of the ball, a distribution: shape [S].
    V
        Values: shape [S].
    eps
        Radius in nats, at least 0.
    support
        States that q may charge; default all. It must contain the support of p.

    Returns
    -------
    KLExtremes
        Dual values, hence valid bounds wherever the scalar search stops; exact to about 1e-12
        relative to the range of V.
    """
    centre = real_array("p", p, ("S",))
    check_distribution("p", centre)
    values = real_array("V", V, centre.shape)
    check_real("eps", eps, low=0.0)
    allowed = np.ones(centre.shape, dtype=np.bool_) if support is None else np.array(support, dtype=np.bool_)
    outside = (centre > 0) & ~allowed
    if outside.any():
        index = int(np.argmax(outside))
        raise ValueError(f"support[{index}] must be true, because p[{index}] = {centre[index]!r} > 0")
    upper, lower = kl_extremes(centre, values, values, allowed, float(eps), np.empty_like(values))
    return KLExtremes(lower, upper)
