"""What the structure coefficients return: numbers with proven bounds, stage by stage.

All of them are sums, products and maxima of non-negative numbers. Such a computation has a small
*relative* error however small the result: each of its n roundings multiplies a term by 1 + delta with
``|delta| <= u``, so the exact result is the computed one times 1 + theta with ``|theta| <= gamma_n``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theoryrl.solvers.solution import rounding_unit

UNDERFLOW = float(np.finfo(np.float64).tiny)
"""More than all that is lost to underflow (2^-1075 for each operation) in a recursion that fits memory."""


@dataclass(frozen=True, eq=False)
class Coefficient:
    """A coefficient of each stage; that of the model is the largest of them.

    Attributes
    ----------
    stages, stage_lower, stage_upper
        The coefficient of each stage and proven bounds on its true value: shape [H]. Infinite where the
        definition is.
    """

    stages: Float[np.ndarray, " H"]
    stage_lower: Float[np.ndarray, " H"]
    stage_upper: Float[np.ndarray, " H"]

    @property
    def value(self) -> float:
        """The coefficient of the model."""
        return self._extreme(self.stages)

    @property
    def lower(self) -> float:
        """Proven lower bound on the coefficient of the model."""
        return self._extreme(self.stage_lower)

    @property
    def upper(self) -> float:
        """Proven upper bound on the coefficient of the model."""
        return self._extreme(self.stage_upper)

    @property
    def gap(self) -> float:
        """Distance between the two bounds; zero if both are infinite."""
        return 0.0 if self.lower == self.upper else self.upper - self.lower

    def _extreme(self, stages: np.ndarray) -> float:
        return float(stages.max())


@dataclass(frozen=True, eq=False)
class Enclosure:
    """Computed non-negative numbers, and bounds of the same shape on the exact ones."""

    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def enclose(value: np.ndarray, operations: int, support: np.ndarray | bool = True) -> Enclosure:
    """Bound the exact result of `operations` roundings of non-negative numbers.

    Entries outside `support` are known to be zero, and have zero as both bounds.
    """
    error = rounding_unit(operations + 2)  # two more for the bounds themselves
    lower = np.maximum(value * (1 - error) - UNDERFLOW, 0.0)
    upper = np.where(support, value * (1 + error) + UNDERFLOW, 0.0)
    return Enclosure(value, lower, upper)


def enclose_sum(terms: Enclosure, n_axes: int) -> Enclosure:
    """Sum over the last `n_axes` axes, with the rounding of the sums."""
    axes = tuple(range(-n_axes, 0))
    count = int(np.prod(terms.value.shape[-n_axes:]))
    error = rounding_unit(count + 2)
    return Enclosure(
        terms.value.sum(axis=axes),
        terms.lower.sum(axis=axes) * (1 - error),
        terms.upper.sum(axis=axes) * (1 + error),
    )
