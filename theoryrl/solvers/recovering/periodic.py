"""Purely periodic policies: each arm that is used has a period and an offset.

Periods come from D[a] = { j 2^l : j odd, j <= 2a - 1 }, in which every number can be rounded up by a factor
of at most (a + 1) / a, and whose members of one odd part j can be packed without a gap. Two planners, both
worth at least ``ratio(K, a) = a K / ((a + 1)(a + K))`` times the relaxation's bound:

* ``round``: solve the relaxation over all periods, move the fractional arm up to its next corner, round
  every period up into D[a];
* ``grid``: solve the relaxation over the periods of D[a] only, move the fractional arm up.

Then pack the arms of each odd part on machines of one pull per period, and keep the K best machines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from theoryrl.models import PeriodicSchedule, RecoveringBandit
from theoryrl.models._validation import check_choice, check_count, check_type, index_array
from theoryrl.solvers.recovering import _kernels
from theoryrl.solvers.recovering.fluid import fluid_bound
from theoryrl.solvers.solution import Solution, rounding_unit

METHODS = ("grid", "round")
LONGEST = 2**31
"""Periods stay below it, so that products of two of them fit into 64 bits."""


def planner_ratio(K: int, a: int) -> float:
    """Return a K / ((a + 1)(a + K)), what the planner with a classes keeps of the relaxation at least."""
    check_count("K", K)
    check_count("a", a)
    return a * K / ((a + 1) * (a + K))


def best_classes(K: int) -> int:
    """Return the smallest number of classes a that maximises `planner_ratio`; about sqrt(K)."""
    root = math.isqrt(check_count("K", K))
    return max((max(root, 1), root + 1), key=lambda a: (planner_ratio(K, a), -a))


def ppp_guarantee(K: int) -> float:
    """Return gamma_K, the ratio of the planner with the best number of classes.

    gamma_K = 1 / (1 + 1 / sqrt(K))^2 where sqrt(K) is an integer, and 1 - gamma_K = O(1 / sqrt(K)).
    """
    return planner_ratio(K, best_classes(K))


def structured_periods(a: int, top: int) -> Int[np.ndarray, " M"]:
    """Return the members of D[a] up to `top`, increasing."""
    check_count("a", a)
    check_count("top", top)
    members = [
        j << level for j in range(1, 2 * a, 2) for level in range(top.bit_length()) if j << level <= top
    ]
    return np.array(sorted(members), dtype=np.int64)


def round_up(d: int, a: int) -> int:
    """Return the smallest member of D[a] that is at least d; at most d (a + 1) / a."""
    check_count("d", d, high=LONGEST)
    check_count("a", a)
    return int(_kernels.round_up(d, a))


def pack(periods: Int[np.ndarray, " N"]) -> PeriodicSchedule:
    """Give arms with the given periods (0: not used) offsets on as few machines as their odd parts allow.

    Arms whose periods have the odd part j take exactly ceil(sum of 1 / period) machines.

    Raises
    ------
    ValueError
        If no arm is used.
    """
    wanted = np.array(index_array("periods", periods, ("N",), LONGEST))
    if not wanted.any():
        raise ValueError("periods must have a positive entry; all are 0")
    offsets, machines = np.empty_like(wanted), np.empty_like(wanted)
    count = _kernels.pack(wanted, offsets, machines)
    return PeriodicSchedule(wanted, offsets, machines, int(count))


@dataclass(frozen=True, eq=False)
class PeriodicSolution(Solution):
    """A purely periodic policy: `policy` is a `PeriodicSchedule`, whose checked machines prove it feasible.

    Attributes
    ----------
    classes
        The number a of odd parts that it was planned with.
    guarantee
        What the proof promises: ratio times the relaxation's bound.
    relaxed
        Value of the relaxation that the planner solved (over all periods, or over D[a]).
    density, machines, total
        Pulls per period, machines and value before all but K machines were dropped.
    """

    meaning: ClassVar[str] = "per round, in the long run"
    classes: int
    guarantee: float
    relaxed: float
    density: float
    machines: int
    total: float


def purely_periodic(
    bandit: RecoveringBandit, a: int | None = None, method: str = "best", fractional: str = "best"
) -> PeriodicSolution:
    """Plan a purely periodic policy.

    Parameters
    ----------
    bandit
        With non-decreasing curves.
    a
        Number of classes; default: the best of 1, ..., 4 floor(sqrt(K)) + 4.
    method
        ``"grid"``, ``"round"``, or the better of both (``"best"``).
    fractional
        ``"up"`` (as in the proof), or also try ``"down"`` and keep the better (``"best"``).

    Returns
    -------
    PeriodicSolution
        `value` and `lower` are attained by the schedule; `upper` is the relaxation's bound on every policy.

    Raises
    ------
    ValueError
        If a curve decreases somewhere: rounding a period up could lose reward.
    """
    check_type("bandit", bandit, RecoveringBandit)
    check_choice("method", method, (*METHODS, "best"))
    check_choice("fractional", fractional, ("up", "best"))
    bandit.require_monotone("a purely periodic policy")
    upper = float(fluid_bound(bandit).upper)
    classes = range(1, 4 * math.isqrt(bandit.K) + 5) if a is None else (check_count("a", a),)
    methods = METHODS if method == "best" else (method,)
    plans = [_planned(bandit, c, m, fractional == "best", upper) for c in classes for m in methods]
    return max(plans, key=lambda plan: float(plan.value))


def _planned(bandit: RecoveringBandit, a: int, method: str, both: bool, upper: float) -> PeriodicSolution:
    N, D = bandit.R.shape
    rounded = structured_periods(a, 2 * D)
    W = bandit.at(rounded)
    if method == "grid":
        V, grid, position = W, rounded, np.arange(len(rounded))
    else:
        V, grid = np.array(bandit.R), np.arange(1, D + 1)
        position = np.searchsorted(rounded, [_kernels.round_up(int(d), a) for d in grid])
    periods, offsets, machines = np.empty((3, N), dtype=np.int64)
    audit = np.empty(5)
    value = _kernels.plan(V, grid, W, rounded, position, bandit.K, both, periods, offsets, machines, audit)
    error = rounding_unit(N + 2) * value
    return PeriodicSolution(
        value=np.array(value),
        policy=PeriodicSchedule(periods, offsets, machines, bandit.K),
        lower=np.array(value - error),
        upper=np.array(upper),
        iterations=1,
        method=f"purely periodic ({method}, a = {a})",
        classes=a,
        guarantee=planner_ratio(bandit.K, a) * upper,
        relaxed=float(audit[3]),
        density=float(audit[0]),
        machines=int(audit[1]),
        total=float(audit[2]),
    )


def periodic_value(bandit: RecoveringBandit, schedule: PeriodicSchedule) -> float:
    """Return the long-run average reward sum_i R_i(d_i) / d_i of a schedule."""
    check_type("schedule", schedule, PeriodicSchedule)
    if len(schedule.periods) != bandit.n_arms:
        raise ValueError(f"schedule has {len(schedule.periods)} arms; the bandit has {bandit.n_arms}")
    used = np.flatnonzero(schedule.periods)
    d = schedule.periods[used]
    return float((bandit.R[used, np.minimum(d, bandit.R.shape[1]) - 1] / d).sum())
