"""What the solvers of total rewards return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from theoryrl.solvers.solution import Solution


@dataclass(frozen=True, eq=False)
class TotalSolution(Solution):
    """Optimal total rewards: `value`, `lower` and `upper` have shape [S] and may be infinite.

    Attributes
    ----------
    finite
        Where the optimal value is finite: shape [S]. Elsewhere value and bounds are all the same
        infinity, which the graph of the model proves.
    """

    finite: Bool[np.ndarray, " S"]

    @property
    def gap(self) -> float:
        """Largest distance between the bounds of finite values."""
        return float((self.upper[self.finite] - self.lower[self.finite]).max(initial=0.0))
