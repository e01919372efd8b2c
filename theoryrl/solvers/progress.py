"""What iterative solvers tell while they run, and how they end early."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from theoryrl.solvers.solution import Solution


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


class InterruptedSolve(KeyboardInterrupt):  # noqa: N818 - a KeyboardInterrupt is no error
    """Ctrl-C, or `on_sweep` raised KeyboardInterrupt; `solution` holds the bounds of that moment.

    Attributes
    ----------
    solution
        The last certified iterate.
    """

    def __init__(self, solution: Solution) -> None:
        super().__init__(f"interrupted; the proven error is {solution.gap / 2:.3g} (see .solution)")
        self.solution = solution


def check_tolerance(tol: float) -> None:
    """Raise unless the tolerance is a positive number."""
    if not (isinstance(tol, float | int) and 0 < tol < math.inf):
        raise ValueError(f"tol must be a positive number; got {tol!r}")
