r"""Value iteration from below and from above at once, on the merged problem.

Bellman's operator T is monotone: lower <= v implies T lower <= T v = v, and the same from above, so that
both ends stay proven in every sweep, with each sweep's rounding taken off (Haddad and Monmege 2018;
Baier, Klein, Leuschner, Parker and Wunderlich 2017). Without merging, the upper end would stop at a
fixed point that is too large.

The start: below, the value of a policy that ends; above, zero if no reward is positive, else the bound
that expected times prove.
"""

from __future__ import annotations

import numpy as np

from theoryrl.models import TotalRewardMDP
from theoryrl.models._validation import check_count
from theoryrl.solvers._quotient import NodeValues, Quotient, lower_bound, solve_quotient, upper_bound
from theoryrl.solvers.solution import InterruptedSolve, OnSweep, Progress, check_tolerance
from theoryrl.solvers.total._problem import prepare
from theoryrl.solvers.total.policy_iteration import checked
from theoryrl.solvers.total.solution import TotalSolution

UNIT = 2.0**-53


def interval_iteration(
    mdp: TotalRewardMDP,
    tol: float = 1e-6,
    *,
    max_sweeps: int = 100_000,
    on_sweep: OnSweep | None = None,
) -> TotalSolution:
    """Return the optimal total reward of every state by interval iteration.

    Parameters
    ----------
    mdp, tol
        As of `policy_iteration`.
    max_sweeps
        Largest number of sweeps.
    on_sweep
        Called after each sweep with a `Progress`.

    Raises
    ------
    NotConvergedError, InterruptedSolve, ValueError
        As of `policy_iteration`; bounds are attached to the first two.
    """
    check_tolerance(tol)
    check_count("max_sweeps", max_sweeps)
    problem = prepare(mdp)
    ends = Interval(problem.merged)
    try:
        while ends.gap > 2 * tol and ends.sweeps < max_sweeps:
            if not ends.sweep():
                break
            if on_sweep is not None:
                on_sweep(Progress(ends.sweeps, ends.gap, tol))
    except KeyboardInterrupt as interrupt:
        raise InterruptedSolve(problem.solution(ends.found(), "interval iteration")) from interrupt
    return checked(problem, problem.solution(ends.found(), "interval iteration"), tol)


class LowerEnd:
    """The lower end of the interval, which starts at the value of a policy that ends.

    Attributes
    ----------
    lower
        Proven bound of the nodes.
    choice
        The last row that made each node's lower end rise, so that lower <= T_choice lower. It ends: in
        a part that it never left, the average of T_choice lower - lower is its gain, which is negative.
    value
        The value of the first choice, as it was computed.
    """

    def __init__(self, merged: Quotient) -> None:
        self.merged, self.sweeps = merged, 0
        self.choice = merged.stopping_choice()
        self.value = merged.value(self.choice)
        self.lower = lower_bound(merged, self.value, self.choice)
        self.upper = np.full(merged.n, np.inf)

    @property
    def gap(self) -> float:
        """Largest distance of the ends."""
        with np.errstate(invalid="ignore"):
            return float(np.nan_to_num(self.upper - self.lower, nan=np.inf).max(initial=0.0))

    def raise_lower(self) -> float:
        """Move the lower end; return by how much it moved at most."""
        lower = self.lower
        if not np.isfinite(lower).all():
            return 0.0
        found = self.merged.residuals(lower, self.choice)
        rises = found.low > np.maximum(found.kept_low, 0.0)
        self.choice = np.where(rises, found.best, self.choice)
        self.lower = np.maximum(lower, added(lower, found.low, -1.0))
        return float((self.lower - lower).max(initial=0.0))

    def found(self) -> NodeValues:
        """Return the present interval, the lower end being that of the choice's own value too."""
        merged = self.merged
        own = lower_bound(merged, merged.value(self.choice), self.choice)
        lower = np.where(np.isfinite(own), own, self.lower)
        return NodeValues(lower, lower, self.upper, self.choice, self.sweeps)


class Interval(LowerEnd):
    """Both ends of the interval; `upper` is a proven bound from the start."""

    def __init__(self, merged: Quotient) -> None:
        super().__init__(merged)
        if merged.r[merged.active].max(initial=0.0) <= 0:
            self.upper = np.zeros(merged.n)
        else:
            self.upper = upper_bound(merged, self.value, self.choice)
        if not np.isfinite(self.upper).all():
            self.upper = solve_quotient(merged).upper

    def sweep(self) -> bool:
        """Move both ends; return whether either moved anywhere."""
        self.sweeps += 1
        upper = self.upper
        if np.isfinite(upper).all():
            found = self.merged.residuals(upper, self.choice)
            self.upper = np.minimum(upper, added(upper, found.high, 1.0))
        return self.raise_lower() > 0 or bool((self.upper < upper).any())


def added(v: np.ndarray, step: np.ndarray, side: float) -> np.ndarray:
    """Return v + step, rounded away from the value."""
    moved = v + step
    return np.asarray(moved + side * 2 * UNIT * np.abs(moved))
