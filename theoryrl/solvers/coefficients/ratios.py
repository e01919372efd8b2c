"""Density ratios of occupancy measures, as arrays: 0 / 0 := 0, x / 0 := infinity.

The weight functions of GLOW and MABO.CR are such ratios, clipped: ``clip_c[w] = min(w, c)``. The *clipped
concentrability* of a policy for data with law mu is the mean of the clipped ratio under the policy::

    CC_h(pi, mu, c) = sum_{s,a} d_h^pi(s, a) min(d_h^pi(s, a) / mu_h(s, a), c).

It is at most c and at most the largest ratio, non-decreasing in c, and bounds what clipping costs:
``c Pr_{d_h}(w > c) <= CC_h`` and ``E_mu[min(w, c)^2] <= CC_h``.

Source: Amortila, Foster, Jiang, Sekhari and Xie (2024), "Harnessing Density Ratios for Online
Reinforcement Learning", section 2 and Definition 4.3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.models._validation import at, check_real, first_index, real_array


def density_ratio(d: Any, mu: Any) -> Float[np.ndarray, ...]:
    """Return d / mu entry by entry, with 0 / 0 := 0 and x / 0 := infinity.

    Parameters
    ----------
    d, mu
        Non-negative measures (occupancies, or sums of them) whose shapes broadcast, such as
        [N, H, S, A] and [H, S, A].

    Raises
    ------
    ValueError
        If an entry is negative or not finite, or the shapes do not broadcast.

    Notes
    -----
    A ratio above the largest float64 is reported as infinite.
    """
    return _ratio(*_measures(d, mu))


def largest_ratio(d: Any, mu: Any) -> Float[np.ndarray, ...]:
    """Return ``max_{s,a} d_h(s, a) / mu_h(s, a)`` for each stage: the last two axes are (s, a)."""
    return np.asarray(density_ratio(d, mu).max(axis=(-2, -1)))


def mean_clipped_ratio(d: Any, mu: Any, clip: float | None = None) -> Float[np.ndarray, ...]:
    """Return ``CC_h = sum_{s,a} d_h min(d_h / mu_h, clip)`` for each stage: the last two axes are (s, a).

    Parameters
    ----------
    d, mu
        Non-negative measures whose shapes broadcast, such as [N, H, S, A] and [H, S, A].
    clip
        The level c > 0; None for no clipping, which gives the squared norm ``E_mu[(d / mu)^2]``
        (one plus the chi-square divergence), infinite where mu misses a part of d.

    Raises
    ------
    ValueError
        As `density_ratio`, or if the level is not positive.
    """
    d, mu = _measures(d, mu)
    weights = _ratio(d, mu)
    if clip is not None:
        weights = np.minimum(weights, check_clip(clip))
    return np.asarray(np.sum(d * weights, axis=(-2, -1)))


def check_clip(clip: float) -> float:
    """Return the level of clipping if it is a positive number."""
    level = check_real("clip", clip, low=0.0)
    if level == 0:
        raise ValueError(f"clip must be positive; got {clip!r}")
    return level


def measure_array(name: str, value: Any) -> np.ndarray:
    """Return `value` as an array of finite non-negative numbers."""
    array = real_array(name, value, tuple(np.shape(value)))
    if (array < 0).any():
        index = first_index(array < 0)
        raise ValueError(f"{at(name, index)} must not be negative; got {float(array[index])!r}")
    return array


def _measures(d: Any, mu: Any) -> tuple[np.ndarray, np.ndarray]:
    d, mu = measure_array("d", d), measure_array("mu", mu)
    try:
        np.broadcast_shapes(d.shape, mu.shape)
    except ValueError:
        raise ValueError(f"d and mu must have shapes that broadcast; got {d.shape} and {mu.shape}") from None
    return d, mu


def _ratio(d: np.ndarray, mu: np.ndarray) -> np.ndarray:
    d, mu = np.broadcast_arrays(d, mu)
    ratio = np.where(d > 0, np.inf, 0.0)
    with np.errstate(over="ignore"):
        np.divide(d, mu, out=ratio, where=(mu > 0) & (d > 0))
    return ratio
