"""The supremum over all non-negative weights, in closed form.

For a residual g and data with law mu, each entry of the weight is chosen by itself::

    sup_{0 <= w <= c} sum_{s,a} mu (w g - alpha w^2),    w* = min(max(g / (2 alpha), 0), c).

Without clipping the value is ``sum mu max(g, 0)^2 / (4 alpha)``; with it, a Huber function of g.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.models._validation import check_real, real_array
from theoryrl.solvers.coefficients.ratios import check_clip, measure_array


def worst_weight(
    residual: Any, mu: Any, alpha: float, clip: float | None = None
) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
    """Return the worst weight w* and the value ``sum mu (w* g - alpha w*^2)`` of each stage.

    Parameters
    ----------
    residual
        g[..., h, s, a], such as ``f_h - r - P max f_{h+1}``.
    mu
        Law of the data, or weights of the pairs: shape [H, S, A] or that of the residual.
    alpha
        Weight of the quadratic term, positive.
    clip
        Largest weight c > 0; None for no limit.

    Raises
    ------
    ValueError
        If an argument is not finite, alpha or clip is not positive, or mu has a negative entry.
    """
    g = real_array("residual", residual, tuple(np.shape(residual)))
    mu = measure_array("mu", mu)
    if check_real("alpha", alpha, low=0.0) == 0:
        raise ValueError(f"alpha must be positive; got {alpha!r}")
    ceiling = np.inf if clip is None else check_clip(clip)
    w = np.minimum(np.maximum(g / (2 * alpha), 0.0), ceiling)
    return w, np.asarray(np.sum(mu * (w * g - alpha * w**2), axis=(-2, -1)))
