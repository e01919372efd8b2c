r"""One loop for all methods: a Bellman sweep with its certificate, then the method's own step.

Whatever h a method proposes, the sweep W = max_a (r + gamma P h) proves two-sided bounds (MacQueen
1966, Porteus 1971). If W >= h + d, then for the constant y = gamma d / (1 - gamma)

    T(W + y) = T(W) + gamma y >= T(h + d) + gamma y = W + gamma d + gamma y = W + y,

so V* >= W + y because T is monotone and a contraction; the upper bound is the mirror image. The greedy
policy of h satisfies the same inequalities for its own operator, so `lower` bounds its value too.

Rows that sum to one only up to tau are covered by taking gamma (1 - tau) or gamma (1 + tau), whichever
is worse, and rounding by widening d by the error of a computed backup. Only differences of h matter,
so methods keep h centred around zero, where rounding is smallest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from theoryrl.models import DeterministicPolicy
from theoryrl.models._validation import check_count, real_array
from theoryrl.solvers.discounted._kernels import centre, count_changes, difference_range, largest_size
from theoryrl.solvers.discounted._operators import Operator
from theoryrl.solvers.solution import (
    InterruptedSolve,
    NotConvergedError,
    OnSweep,
    Progress,
    Solution,
    check_tolerance,
)

UNIT = 2.0**-53
FLOOR, NEAR, PATIENCE = 1.5, 100.0, 50
"""Rounding has won where the gap is below FLOOR times what rounding alone makes, or below NEAR times
that and no smaller than at any of the last PATIENCE sweeps."""


@dataclass(frozen=True)
class Shifts:
    """V* lies in [W + low, W + high] for the W of a Bellman sweep."""

    low: float
    high: float

    @property
    def gap(self) -> float:
        """Distance of the bounds."""
        return self.high - self.low


def shifts_from_residuals(operator: Operator, smallest: float, largest: float, error: float) -> Shifts:
    """Return the bounds proven by smallest <= W - h <= largest, where W may be off by `error`."""
    least, most = resolvent_range(operator.gamma, operator.row_sum_error)
    if math.isinf(most):
        return Shifts(-math.inf, math.inf)
    low, high = smallest - error, largest + error
    low = min(low * least, low * most) - error
    high = max(high * least, high * most) + error
    return Shifts(low - 8 * UNIT * abs(low), high + 8 * UNIT * abs(high))


def resolvent_range(gamma: float, tau: float) -> tuple[float, float]:
    """Return bounds on g / (1 - g) for every g within gamma (1 - tau) and gamma (1 + tau).

    The difference 1 - gamma is exact for gamma >= 1/2 (Sterbenz), whereas gamma (1 + tau) would round
    tau away: it must be subtracted from that difference. The factors cover what remains of rounding.
    """
    distance = 1 - gamma
    if distance <= 2 * gamma * tau:
        return 0.0, math.inf
    least = gamma * (1 - tau) / ((distance + gamma * tau) * (1 + 4 * UNIT)) * (1 - 8 * UNIT)
    most = gamma * (1 + tau) / ((distance - gamma * tau) * (1 - 4 * UNIT)) * (1 + 8 * UNIT)
    return least, most


class Certified(NamedTuple):
    """The outcome of one Bellman sweep: V* lies in W + [shifts.low, shifts.high], max |W| = size.

    Replaced as a whole, so that an interrupt at any moment finds a consistent one.
    """

    W: np.ndarray
    actions: np.ndarray
    shifts: Shifts
    size: float
    sweeps: int


class Search:
    """The state of a run: an iterate h, and the certified outcome of the last Bellman sweep.

    A method's step writes `h` and nothing else.

    Attributes
    ----------
    h
        The iterate: shape [S].
    W, actions
        Its Bellman backup and the maximisers: shape [S] each.
    span
        max(W - h) - min(W - h).
    lowered
        By how much h was moved down before the last sweep.
    changed
        States whose greedy action differs from that of the sweep before.
    """

    def __init__(
        self,
        operator: Operator,
        tol: float,
        start: np.ndarray | None,
        eliminate: bool,
        method: str,
        wrap: Callable[[Search], Solution],
    ) -> None:
        S = operator.n_states
        self.operator, self.tol, self.method, self.eliminate = operator, tol, method, eliminate
        self.h = np.zeros(S) if start is None else np.array(start)
        nothing = Shifts(-math.inf, math.inf)
        self.certified = Certified(np.zeros(S), np.zeros(S, dtype=np.int64), nothing, 0.0, 0)
        self._spare = np.zeros(S), np.zeros(S, dtype=np.int64)
        self.changed = S
        self.span = math.inf
        self.lowered = 0.0
        self.backup_error = 0.0
        self.wrap = wrap
        self._smallest_gap, self._stalled = math.inf, 0

    @property
    def W(self) -> np.ndarray:
        """The Bellman backup of the last sweep's h."""
        return self.certified.W

    @property
    def actions(self) -> np.ndarray:
        """The maximisers of the last sweep."""
        return self.certified.actions

    @property
    def shifts(self) -> Shifts:
        """The bounds of the last sweep."""
        return self.certified.shifts

    @property
    def sweeps(self) -> int:
        """Bellman sweeps so far."""
        return self.certified.sweeps

    def sweep(self) -> None:
        """Back h up, and bound the optimal value by the result."""
        self.lowered = centre(self.h)
        W, actions = self._spare
        self.backup_error = self.operator.backup_error(self.h)
        self.operator.bellman(self.h, self._margin(), W, actions)
        smallest, largest = difference_range(W, self.h)
        self.span = largest - smallest
        # The difference is rounded once, relative to itself.
        error = self.backup_error + UNIT * max(abs(smallest), abs(largest))
        shifts = shifts_from_residuals(self.operator, smallest, largest, error)
        self.changed = int(count_changes(actions, self.actions))
        before = self.certified
        self.certified = Certified(W, actions, shifts, largest_size(W), before.sweeps + 1)
        self._spare = before.W, before.actions

    def _margin(self) -> float | None:
        """How much worse than the best of its state an action must be to be provably not optimal.

        With V* in h + [low, high]: Q*(s, a) <= Q_h(s, a) + gamma high, V*(s) >= max Q_h + gamma low.
        The bounds are those of the last sweep, carried over to the present h.
        """
        if not self.eliminate:
            return None
        if not math.isfinite(self.shifts.gap):
            return math.inf
        gamma, tau = self.operator.gamma, self.operator.row_sum_error
        least, most = difference_range(self.W, self.h)
        rounding = 4 * UNIT * (self.certified.size + largest_size(self.h))
        low = least + self.shifts.low - rounding
        high = most + self.shifts.high + rounding
        return gamma * (high - low) + gamma * tau * (abs(high) + abs(low)) + 2 * self.backup_error

    @property
    def floor(self) -> float:
        """Width of the bounds that rounding alone makes at this iterate."""
        nothing = shifts_from_residuals(self.operator, 0.0, 0.0, self.backup_error)
        drift = self.operator.row_sum_error * self.operator.gamma / (1 - self.operator.gamma)
        return nothing.gap + 2 * drift * max(abs(self.shifts.low), abs(self.shifts.high))

    def rounding_has_won(self) -> bool:
        """Whether more sweeps would be in vain; to be asked once after each."""
        self._stalled = 0 if self.gap < self._smallest_gap else self._stalled + 1
        self._smallest_gap = min(self.gap, self._smallest_gap)
        return self.gap <= FLOOR * self.floor or (
            self._stalled >= PATIENCE and self._smallest_gap <= NEAR * self.floor
        )

    @property
    def target_span(self) -> float:
        """The span of the residual that meets the tolerance, but for rounding."""
        gamma = self.operator.gamma
        return max(2 * self.tol - self.floor, 0.1 * self.tol) * (1 - gamma) / max(gamma, 1e-300)

    def solution(self) -> Solution:
        """Return the present iterate as a certified answer."""
        return self.wrap(self)

    def bounds(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (value, lower, upper); the value is midway."""
        lower, upper = self.W + self.shifts.low, self.W + self.shifts.high
        slack = 2 * UNIT * np.maximum(np.abs(lower), np.abs(upper))
        return (lower + upper) / 2, lower - slack, upper + slack

    @property
    def gap(self) -> float:
        """Distance of the bounds that `solution` would return."""
        size = self.certified.size + max(abs(self.shifts.low), abs(self.shifts.high))
        return self.shifts.gap + 8 * UNIT * size


Step: TypeAlias = Callable[[Search], None]
"""What a method does between two Bellman sweeps: it replaces `search.h`."""


def run(
    operator: Operator,
    step: Step,
    method: str,
    *,
    tol: float,
    max_sweeps: int,
    on_sweep: OnSweep | None = None,
    start: np.ndarray | None = None,
    eliminate: bool = False,
    wrap: Callable[[Search], Solution] | None = None,
) -> Solution:
    """Alternate Bellman sweeps with the method's step until the error is proven to be at most `tol`."""
    check_tolerance(tol)
    check_count("max_sweeps", max_sweeps)
    if start is not None:
        start = real_array("start", start, (operator.n_states,))
    search = Search(operator, tol, start, eliminate, method, wrap or optimal)
    try:
        while True:
            search.sweep()  # what an interrupt finds is the sweep before, until this one is complete
            if on_sweep is not None:
                on_sweep(Progress(search.sweeps, search.gap, tol))
            if search.gap <= 2 * tol:
                return search.solution()
            if search.rounding_has_won():
                reason = f"rounding in float64 prevents an error of {tol:.3g}"
                raise NotConvergedError(reason, search.solution())
            if search.sweeps >= max_sweeps:
                raise NotConvergedError(f"{max_sweeps} sweeps did not reach {tol:.3g}", search.solution())
            step(search)
    except KeyboardInterrupt as interrupt:
        raise InterruptedSolve(search.solution()) from interrupt


def optimal(search: Search) -> Solution:
    """Return the iterate as a solution with its greedy policy."""
    value, lower, upper = search.bounds()
    policy = DeterministicPolicy(search.actions.copy(), search.operator.n_actions)
    return Solution(value, policy, lower, upper, search.sweeps, search.method)
