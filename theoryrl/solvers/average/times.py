r"""Expected times: to reach a state as fast as possible, and the diameter.

    T(s) = 0 in the target,   T(s) = 1 + min_a sum_t P(t | s, a) T(t) elsewhere,
    D = max_{s != s'} min_pi E_pi[ time from s to s' ]        (Jaksch, Ortner and Auer 2010, definition 1).

A time is infinite where no policy reaches the target with probability one, which the graph decides.

Certificate: if T >= 1 - d + P_pi T then T / (1 - d) bounds the policy's times from above; if
T <= 1 + d + P_a T for every action then T / (1 + d) bounds all times from below. Errors are relative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from theoryrl.models import AverageRewardMDP, DeterministicPolicy, DiscountedMDP, TotalRewardMDP
from theoryrl.models._validation import check_type, index_array
from theoryrl.solvers._quotient import Quotient, improve_choice
from theoryrl.solvers._reach import surely_reaching
from theoryrl.solvers._rows import Attractor, Rows
from theoryrl.solvers.average import _small_kernels
from theoryrl.solvers.classes import EndComponents, communicating_classes
from theoryrl.solvers.solution import Solution

SMALL = 400
"""States up to which the chains of the diameter are written as dense matrices."""
AnyMDP = AverageRewardMDP | DiscountedMDP | TotalRewardMDP
"""Times depend on the transitions only."""


def hitting_times(mdp: AnyMDP, target: int | Int[np.ndarray, " N"] | list[int]) -> Solution:
    """Return the least expected number of steps to reach a state, or any of several.

    Parameters
    ----------
    mdp
        The model; its rewards do not matter.
    target
        The state, or the states.

    Returns
    -------
    Solution
        Times from each state, zero in the target and infinite where it cannot be reached surely;
        bounds; and a policy that attains them, whose times lie within the bounds too.
    """
    check_type("mdp", mdp, AverageRewardMDP, DiscountedMDP, TotalRewardMDP)
    targets = index_array("target", np.atleast_1d(target), ("N",), mdp.n_states)
    return _times(mdp, targets, Attractor(mdp))


def _times(mdp: AnyMDP, targets: np.ndarray, attract: Attractor) -> Solution:
    S, A = mdp.r.shape
    goal = np.zeros(S, dtype=np.bool_)
    goal[targets] = True
    kept, active = surely_reaching(mdp, goal, mdp.mask, attract)
    stops = goal | ~kept
    # Every state is a node of its own; the target stops, and so do the hopeless, which nobody enters.
    singles = EndComponents(np.arange(S), np.zeros((S, A), dtype=np.bool_), S)
    problem = Quotient.merge(
        mdp, singles, np.full((S, A), -1.0), active & ~stops[:, None], np.where(stops, 0.0, -np.inf)
    )
    choice = np.full(S, -1, dtype=np.int64)
    led = np.zeros(S, dtype=np.int64)
    attract(problem.active, stops, led)
    moving = np.flatnonzero(~stops)
    choice[moving] = moving * A + led[moving]
    v, choice, iterations = improve_choice(problem, choice)
    lower, upper = _scaled(problem, v, choice, moving)
    lower[~kept], upper[~kept] = np.inf, np.inf
    value = np.where(kept & np.isfinite(upper), (lower + upper) / 2, upper)
    actions = np.where(choice >= 0, choice % A, mdp.mask.argmax(axis=1))
    policy = DeterministicPolicy(actions, A)
    return TimeSolution(value, policy, lower, upper, iterations, "policy iteration")


@dataclass(frozen=True, eq=False)
class TimeSolution(Solution):
    """Times with bounds; infinite ones are exact."""

    @property
    def gap(self) -> float:
        """Largest distance between the bounds of finite times."""
        finite = np.isfinite(self.lower)
        return float((self.upper[finite] - self.lower[finite]).max(initial=0.0))


def _scaled(
    problem: Quotient, v: np.ndarray, choice: np.ndarray, moving: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    times = np.abs(v)
    if moving.size == 0:
        return times, times.copy()
    found = problem.residuals(v, choice)
    above = max(0.0, float(found.high[moving].max()))
    below = max(0.0, -float(found.kept_low[moving].min()))
    if not (np.isfinite(times).all() and below < 1 and v.max() <= 0):
        # At least the one step that every state outside the target needs.
        lower, upper = np.zeros(v.size), np.zeros(v.size)
        lower[moving], upper[moving] = 1.0, np.inf
        return lower, upper
    return times / (1 + above) * (1 - 2.0**-51), times / (1 - below) * (1 + 2.0**-51)


@dataclass(frozen=True)
class Diameter:
    """The diameter with proven bounds, and a pair of states that attains it.

    Attributes
    ----------
    value, lower, upper
        In steps; all infinite if some state cannot be reached surely from some other.
    source, target
        From where to where it takes so long.
    """

    value: float
    lower: float
    upper: float
    source: int
    target: int


def diameter(mdp: AnyMDP) -> Diameter:
    """Return the largest, over pairs of states, of the least expected time from one to the other.

    Zero for a single state, which has no pairs.

    Notes
    -----
    One policy iteration per target: O(S) linear systems of S unknowns, times a few; those of a model of
    at most `SMALL` states are solved in one compiled call. A model that is not communicating has an
    infinite diameter, which is known without solving anything.
    """
    check_type("mdp", mdp, AverageRewardMDP, DiscountedMDP, TotalRewardMDP)
    S = mdp.n_states
    parts = communicating_classes(mdp)
    attract = Attractor(mdp)
    if S > 1 and not parts.is_communicating:
        return _infinite(mdp, attract)
    if 1 < S <= SMALL:
        rows = Rows.of(mdp)
        low, high, start, end = _small_kernels.longest_way(rows.P, mdp.mask, rows.unit, rows.tau)
        if high < np.inf:
            low, high = low * (1 - 2.0**-51), high * (1 + 2.0**-51)
            return Diameter((low + high) / 2, low, high, int(start), int(end))
    best = Diameter(0.0, 0.0, 0.0, 0, 0)
    lower, upper = 0.0, 0.0
    for target in range(S if S > 1 else 0):
        found = _times(mdp, np.array([target]), attract)
        source = int(np.argmax(found.lower))
        lower, upper = max(lower, float(found.lower[source])), max(upper, float(found.upper.max()))
        if found.value[source] > best.value:
            best = Diameter(float(found.value[source]), 0.0, 0.0, source, target)
    return Diameter(best.value, lower, upper, best.source, best.target)


def _infinite(mdp: AnyMDP, attract: Attractor) -> Diameter:
    for target in range(mdp.n_states):
        goal = np.zeros(mdp.n_states, dtype=np.bool_)
        goal[target] = True
        kept, _ = surely_reaching(mdp, goal, mdp.mask, attract)
        if not kept.all():
            return Diameter(np.inf, np.inf, np.inf, int(np.argmin(kept)), target)
    raise AssertionError("a model that is not communicating has a state that cannot be reached")
