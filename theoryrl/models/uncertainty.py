r"""Sets of probability rows around a nominal row, and prices for leaving it.

An adversary chooses the row p that is worst for values V, either from a ball or at a price::

    ball      inf { p . V : D(p, p0) <= radius },
    penalty   inf { p . V + radius D(p, p0) }.

The divergences D, with their keys:

============== ===========================================================================
tv             total variation, half the L1 distance; radius in [0, 1]
l1             L1 distance, twice total variation; radius in [0, 2]
linf           largest change of one probability; radius in [0, 1]
kl             KL(p || p0) in nats; infinite where p leaves the support of p0
chi2           sum (p - p0)^2 / p0; infinite where p leaves the support of p0
wasserstein    least cost of moving p0 to p, the cost of a move from s to t being cost[s, t]
contamination  least w with p = (1 - w) p0 + w q for some row q; radius in [0, 1]
============== ===========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import (
    at,
    check_choice,
    check_interval,
    check_real,
    count_axes,
    first_index,
    real_array,
)

LARGEST_RADIUS: Mapping[str, float] = {
    "tv": 1.0,
    "l1": 2.0,
    "linf": 1.0,
    "kl": np.inf,
    "chi2": np.inf,
    "wasserstein": np.inf,
    "contamination": 1.0,
}
"""Divergence to the largest radius that a ball may have (beyond it nothing changes)."""

PENALTY = "-penalty"


@dataclass(frozen=True, eq=False)
class Uncertainty(Frozen):
    """How far from its nominal row the adversary may go, or what going there costs.

    Parameters
    ----------
    divergence
        Key of the divergence D.
    radius
        Radius of the ball, or price per unit of D. One number for all rows, or an array that
        broadcasts to the shape of the rows ([H, S, A] for a tabular model, [H, d] for factors).
    penalty
        Whether `radius` is a price.
    cost
        For ``"wasserstein"`` only: cost[s, t] >= 0 of moving mass from s to t, with zero diagonal.

    Raises
    ------
    ValueError
        If the divergence is unknown or has no penalised form (``"contamination"``), a radius is
        negative or too large, a price is not positive, or the cost is not such a matrix.
    """

    divergence: str
    radius: float | Float[np.ndarray, ...]
    penalty: bool = False
    cost: Float[np.ndarray, "S S"] | None = None

    def __post_init__(self) -> None:
        check_choice("divergence", self.divergence, tuple(LARGEST_RADIUS))
        if self.penalty not in (False, True):
            raise ValueError(f"penalty must be true or false; got {self.penalty!r}")
        top = np.inf if self.penalty else LARGEST_RADIUS[self.divergence]
        if self.penalty and self.divergence == "contamination":
            raise ValueError("divergence 'contamination' has no penalised form")
        object.__setattr__(self, "radius", self._checked_radius(top))
        object.__setattr__(self, "penalty", bool(self.penalty))
        object.__setattr__(self, "cost", self._checked_cost())

    def _checked_radius(self, top: float) -> float | np.ndarray:
        axes = count_axes("radius", self.radius)
        if axes == 0:
            number = check_real("radius", self.radius, 0.0, top)
            radii = np.array([number])
        else:
            radii = real_array("radius", self.radius, [chr(ord("i") + k) for k in range(axes)])
            check_interval("radius", radii, 0.0, top)
        free = radii <= 0
        if self.penalty and free.any():
            where = at("radius", first_index(free) if axes else ())
            raise ValueError(f"{where} of a penalty must be positive; got {float(radii[free][0])!r}")
        return number if axes == 0 else radii

    def _checked_cost(self) -> np.ndarray | None:
        if self.divergence != "wasserstein":
            if self.cost is not None:
                raise ValueError(f"cost is for the divergence 'wasserstein' only; got {self.divergence!r}")
            return None
        if self.cost is None:
            raise ValueError("cost is needed for the divergence 'wasserstein'")
        cost = real_array("cost", self.cost, ("S", "S"))
        check_interval("cost", cost, 0.0, np.inf)
        moved = np.flatnonzero(np.diagonal(cost))
        if moved.size:
            s = int(moved[0])
            raise ValueError(f"cost[{s}, {s}] must be 0; got {float(cost[s, s])!r}")
        return cost

    @classmethod
    def parse(cls, text: str, n_states: int) -> Uncertainty:
        """Return the set that a text such as ``tv:0.1`` or ``kl-penalty:2`` names.

        Parameters
        ----------
        text
            ``DIVERGENCE:RADIUS`` or ``DIVERGENCE-penalty:PRICE``.
        n_states
            Number of states S; for ``"wasserstein"`` the cost is the difference of the states' indices.
        """
        name, colon, number = text.partition(":")
        divergence = name.removesuffix(PENALTY)
        check_choice("uncertainty", divergence, tuple(LARGEST_RADIUS))
        try:
            radius = float(number)
        except ValueError:
            expected = f"{name}:RADIUS" if not colon or not number else "a number after the colon"
            raise ValueError(f"uncertainty {text!r}: expected {expected}") from None
        line = np.arange(n_states)
        cost = np.abs(line[:, None] - line).astype(np.float64) if divergence == "wasserstein" else None
        return cls(divergence, radius, penalty=name != divergence, cost=cost)

    @property
    def name(self) -> str:
        """Key of the divergence, with its form."""
        return self.divergence + PENALTY * self.penalty

    @property
    def creates_support(self) -> bool:
        """Whether a row of the set may charge states that the nominal row does not."""
        return self.divergence not in ("kl", "chi2")

    def radii(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the radius of each row as a contiguous array of this shape."""
        try:
            return np.ascontiguousarray(np.broadcast_to(self.radius, shape), dtype=np.float64)
        except ValueError:
            raise ValueError(
                f"radius of shape {np.shape(self.radius)} does not broadcast to the rows' shape {shape}"
            ) from None

    def __repr__(self) -> str:
        size = np.shape(self.radius)
        shown = f"radii of shape {size}" if size else f"{self.radius!r}"
        return f"Uncertainty({self.name!r}, {shown})"
