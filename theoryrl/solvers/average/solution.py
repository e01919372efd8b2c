"""What the average-reward solvers return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from theoryrl.solvers.solution import Solution


@dataclass(frozen=True, eq=False)
class GainSolution(Solution):
    """An optimal gain with its certificate: `value`, `lower` and `upper` have shape [S].

    The gain of `policy` lies above `lower` too.

    Attributes
    ----------
    relative_values
        h[s] that proved the bounds, within each communicating class: there g + h = max_a r + P h up
        to the bounds. Zero elsewhere. For the bias of a policy with its own certificate, see
        `gain_and_bias`.
    classes
        Number of the communicating class of each state, -1 for none: shape [S].
    """

    relative_values: Float[np.ndarray, " S"]
    classes: Int[np.ndarray, " S"]


@dataclass(frozen=True, eq=False)
class BiasSolution(Solution):
    """Gain and bias of one policy: `value`, `lower` and `upper` bound the gain, of shape [S].

    Attributes
    ----------
    bias
        h[s] = sum_t E[r_t - g(s_t) | s_0 = s] (a Cesaro limit if the chain is periodic).
    bias_lower, bias_upper
        Proven bounds on the bias; infinite where none could be proven.
    classes
        Number of the recurrent class of each state, -1 if transient: shape [S].
    """

    bias: Float[np.ndarray, " S"]
    bias_lower: Float[np.ndarray, " S"]
    bias_upper: Float[np.ndarray, " S"]
    classes: Int[np.ndarray, " S"]

    @property
    def span(self) -> tuple[float, float]:
        """Proven bounds on max h - min h."""
        low = float(self.bias_lower.max() - self.bias_upper.min())
        high = float(self.bias_upper.max() - self.bias_lower.min())
        grain = 2.0**-52 * (abs(low) + abs(high)) if np.isfinite(high) else 0.0
        return max(0.0, low - grain), high + grain
