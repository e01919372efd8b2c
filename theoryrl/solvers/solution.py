"""What a solver returns, an answer and a proven bound on its error; and how it stops before its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from theoryrl.models._validation import check_real


@dataclass(frozen=True, eq=False)
class Solution:
    """An answer with a certificate.

    Attributes
    ----------
    value
        The computed value; its shape is the solver's (a value per stage and state, a gain, ...).
    policy
        A policy that attains it up to the certificate.
    lower, upper
        Proven bounds on the true optimal value, of the same shape as `value`.
    iterations
        Sweeps, pivots or stages that the method used.
    method
        Name of the solver.
    """

    entry: ClassVar[str] = "state"
    """What the entries of `value` belong to."""

    meaning: ClassVar[str] = ""
    """What the number `overall` is the value of, in words."""

    value: np.ndarray
    policy: Any
    lower: np.ndarray
    upper: np.ndarray
    iterations: int
    method: str

    @property
    def overall(self) -> tuple[float, float, float] | None:
        """Value with its bounds, where the answer is a single number; else None."""
        if np.size(self.value) != 1:
            return None
        return float(np.max(self.value)), float(np.max(self.lower)), float(np.max(self.upper))

    @property
    def gap(self) -> float:
        """Largest distance between the two bounds."""
        return float(np.max(self.upper - self.lower))


class Progress(NamedTuple):
    """What `on_sweep` is told after each Bellman sweep.

    Attributes
    ----------
    sweeps
        Bellman sweeps so far.
    gap
        Proven distance between the bounds at this moment; the error of `value` is half of it.
    tol
        The error that is asked for.
    """

    sweeps: int
    gap: float
    tol: float


OnSweep: TypeAlias = Callable[[Progress], object]


class InterruptedSolve(KeyboardInterrupt):
    """Ctrl-C, or `on_sweep` raised KeyboardInterrupt; `solution` holds the bounds of that moment.

    Attributes
    ----------
    solution
        The last certified iterate.
    """

    def __init__(self, solution: Solution) -> None:
        super().__init__(f"interrupted; the proven error is {solution.gap / 2:.3g} (see .solution)")
        self.solution = solution


class NotConvergedError(RuntimeError):
    """The bound that was asked for was not met; `solution` holds the bounds that were.

    Attributes
    ----------
    solution
        The best that was found, with bounds that are proven all the same.
    """

    def __init__(self, reason: str, solution: Solution) -> None:
        super().__init__(f"{reason}; the proven error is {solution.gap / 2:.3g} (see .solution)")
        self.solution = solution


def rounding_unit(n_operations: int) -> float:
    """Return gamma_n = n u / (1 - n u), the relative error of n float64 operations in any order.

    Source: Higham, Accuracy and Stability of Numerical Algorithms (2002), Lemma 3.1.
    """
    unit = n_operations * 2.0**-53
    return unit / (1 - unit)


def check_tolerance(tol: float) -> None:
    """Raise unless the tolerance is a positive number."""
    if check_real("tol", tol) <= 0:
        raise ValueError(f"tol must be positive; got {tol!r}")
