r"""Bonus factors beta of the robust ridge regressions, with their proofs on the DR-RPO page.

With probability 1 - delta, for all episodes, stages h and factors i, and for every value function V that
the algorithm can produce::

    abs(nu_{h,i}(V) - sigma_{h,i}(V)) <= beta_h sqrt((Lambda_h^{-1})_{ii}),

where sigma is the least expectation of V over the set around the factor, and nu its estimate. R = H - 1 - h
(stages from 0) is the range of V_{h+1}, and L = d log(1 + K / (lambda d)), or log det(Lambda_h / lambda).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

TWO_REGRESSIONS = "chi2-penalty, two regressions"
"""Name of the chi-square penalty's dual that is estimated by one regression for each of two moments."""

LARGEST_EXPONENT = 500.0
"""Range over price of a KL penalty beyond which exp overflows; the bonus is vacuous long before."""


class Regression(NamedTuple):
    """What the bonus factors depend on: d, H, K, lambda and delta."""

    dimension: int
    horizon: int
    rounds: int
    ridge: float
    delta: float

    @property
    def log_det_bound(self) -> float:
        """The largest log det(Lambda / lambda) after K features of norm at most one."""
        d = self.dimension
        return d * math.log1p(self.rounds / (self.ridge * d))

    def width(self, cover: float, L: float, range_factor: float = 1.0) -> float:
        """sqrt(lambda d) + range_factor / 2 sqrt(L + 2 [cover + log(H / delta)]) + 1/2."""
        noise = math.sqrt(L + 2 * (cover + math.log(self.horizon / self.delta)))
        return math.sqrt(self.ridge * self.dimension) + 0.5 * range_factor * noise + 0.5


def theory_beta(
    name: str,
    regression: Regression,
    prices: Float[np.ndarray, "H d"],
    log_det: Sequence[float] | None = None,
    ranges: Float[np.ndarray, " H"] | None = None,
) -> Float[np.ndarray, " H"]:
    """Return beta_h for the set of this name (``"tv"`` or a penalty), zero at the last stage.

    Parameters
    ----------
    name
        One of ``"tv"``, ``"tv-penalty"``, ``"kl-penalty"``, ``"chi2-penalty"``, or `TWO_REGRESSIONS`.
    regression
        Sizes and confidence.
    prices
        Radii, or prices of the penalty. Each price of a stage has a function, and so an event, of its own:
        they share delta, and the largest beta is taken. All radii share one event.
    log_det
        log det(Lambda_h / lambda) per stage, which may replace its bound. Default: the bound.
    ranges
        R_h, the range of the next value, per stage. Default: H - 1 - h.
    """
    H = regression.horizon
    R = np.arange(H - 1.0, -1.0, -1.0) if ranges is None else ranges
    beta = np.zeros(H)
    for h in range(H - 1):
        L = regression.log_det_bound if log_det is None else float(log_det[h])
        levels = np.unique(prices[h]) if name != "tv" else prices[h, :1]
        shared = regression._replace(delta=regression.delta / len(levels))
        beta[h] = max(_beta(name, float(R[h]), shared, L, float(tau)) for tau in levels)
    return beta


def _beta(name: str, R: float, regression: Regression, L: float, tau: float) -> float:
    d, root = regression.dimension, math.sqrt(regression.rounds)
    if name == "tv":
        return R * regression.width((d + 1) * math.log(math.ceil(2 * root)), L)
    if name == "tv-penalty":
        clipped = min(R, tau)
        return clipped * regression.width(d * math.log(math.ceil(2 * R / clipped * root)), L)
    if name == "kl-penalty":
        if R / tau > LARGEST_EXPONENT:
            raise ValueError(f"a KL penalty needs a price of at least {R / LARGEST_EXPONENT:g}; got {tau!r}")
        cover = d * math.log(math.ceil(2 * R * root / tau))
        return tau * math.exp(R / tau) * regression.width(cover, L, -math.expm1(-R / tau))
    if name == TWO_REGRESSIONS:  # each moment may fail with half the probability
        half = regression._replace(delta=regression.delta / 2)
        mean = R * half.width((d + 1) * math.log(math.ceil(2 * root)), L)
        square = R * R * half.width((d + 1) * math.log(math.ceil(4 * root)), L)
        return (1 + R / (2 * tau)) * mean + square / (4 * tau)
    cover = (d + 1) * math.log(math.ceil(8 * root))
    return (R + R * R / (4 * tau)) * regression.width(cover, L)
