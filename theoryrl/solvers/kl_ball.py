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

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from theoryrl.models._validation import check_distribution, check_real, real_array
from theoryrl.solvers._kernels import kl_extremes


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
