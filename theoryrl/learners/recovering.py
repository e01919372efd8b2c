"""PeriodicUCB: learn recovery curves while playing purely periodic policies.

Time is cut into phases of length phi. At the start of each, upper confidence bounds on R_i(d) for the
structured periods d <= phi are turned into a purely periodic policy by the offline planner, and that is
played to the end of the phase. Inside a phase every pull of an arm but its first has the idle time of its
period, so its reward is a sample of one cell of the table.

Source: Simchi-Levi, Zheng and Zhu (2021), arXiv 2106.14813: "integrate the offline periodic policy with the
upper confidence bound". That structure and the rate are the paper's; the constants are derived and proved
on the page of this paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from theoryrl.learners._guarantee import check_bonus_scale, warn_if_void
from theoryrl.learners._recovering import credit, upper_bounds
from theoryrl.models import PeriodicSchedule
from theoryrl.models._validation import check_choice, check_count, check_fraction
from theoryrl.protocol import RecoveringDecision, RecoveringSpec
from theoryrl.solvers.recovering import Pulls, best_classes, structured_periods
from theoryrl.solvers.recovering._kernels import plan

SHORTEST_PHASE = 4
FIRST_EPOCH = 16
"""Length of the first epoch when the horizon is not known."""


@dataclass(slots=True, eq=False)
class PeriodicState:
    """State of a run.

    Attributes
    ----------
    spec
        What is known of the problem.
    T, end
        Horizon of the present epoch, and the period at which it ends (both ``spec.rounds`` if known).
    phase_length
        phi of the present epoch.
    grid
        Structured periods up to phi: shape [M].
    position
        ``position[d]``: column of idle time d in the grid, or -1.
    radius
        Half-width of the confidence interval of one sample.
    n, s
        Samples and their sum per (arm, period of the grid): shape [N, M].
    U
        Upper bounds at the start of the present phase: shape [N, M].
    column
        Column of each arm's period in the present schedule, or -1: shape [N].
    seen
        Whether the arm has been pulled in this phase: shape [N].
    played, phase
        Periods so far, and number of the present phase.
    """

    spec: RecoveringSpec
    T: int
    end: int
    phase_length: int
    grid: Int[np.ndarray, " M"]
    position: Int[np.ndarray, " P"]
    radius: float
    n: Int[np.ndarray, "N M"]
    s: Float[np.ndarray, "N M"]
    U: Float[np.ndarray, "N M"]
    column: Int[np.ndarray, " N"]
    seen: Bool[np.ndarray, " N"]
    played: int = 0
    phase: int = -1


def confidence_log(n_arms: int, periods: int, T: int, delta: float) -> float:
    """Return L = log(2 N M T / delta): a union over both sides, the cells and the number of samples."""
    return math.log(2 * n_arms * periods * T / delta)


@dataclass(frozen=True, kw_only=True)
class PeriodicUCB:
    """Upper confidence bounds inside the purely periodic planner, phase by phase.

    Parameters
    ----------
    classes
        a of the structured periods; default: the one that maximises the guarantee for this K.
    phase_length
        phi; default max(4, floor(sqrt(T))).
    delta
        Probability that some confidence bound fails; default 1 / T.
    bonus_scale
        Factor on the widths, for illustration; below 1 the guarantee is void, above 1 its width term grows
        by this factor.
    fractional
        ``"best"``: move the planner's fractional arm to its upper or its lower corner, as the bounds
        prefer; ``"up"``: always to the upper one. The proof covers both.
    reuse_first
        Also use the first pull of an arm in a phase, where its true idle time is in the grid.
    horizon
        ``"known"``, or ``"doubling"``: forget T, and start anew at epochs of doubling length.

    Notes
    -----
    Guarantee (proof on the page): with rewards in [0, 1] and delta = 1 / T, in expectation

        rho UB T - Reward <= 3 N T / phi + 2 N phi S_a + 2 (1 + sqrt 2) sqrt(L / 2) W + K,

    W = min(sqrt(N M K T), N sqrt(S_a T)), rho = ``planner_ratio(K, a)``, S_a = sum over the grid of 1 / d:
    of order N sqrt(T). See `theoryrl.theory.recovering.regret_bound`. Doubling costs a factor of
    sqrt 2 / (sqrt 2 - 1).

    Diagnostics: ``phase``, ``planned`` (value of the schedule under the bounds), ``relaxed`` (value of the
    relaxation under the bounds).
    """

    classes: int | None = None
    phase_length: int | None = None
    delta: float | None = None
    bonus_scale: float = 1.0
    fractional: str = "best"
    reuse_first: bool = False
    horizon: str = "known"

    key: ClassVar[str] = "periodic-ucb"

    def __post_init__(self) -> None:
        if self.classes is not None:
            check_count("classes", self.classes)
        if self.phase_length is not None:
            check_count("phase_length", self.phase_length, low=2)
        if self.delta is not None:
            check_fraction("delta", self.delta)
        check_choice("fractional", self.fractional, ("up", "best"))
        check_choice("horizon", self.horizon, ("known", "doubling"))
        check_bonus_scale(self.bonus_scale)
        warn_if_void(self, self.bonus_scale)

    @property
    def guaranteed(self) -> bool:
        """Whether the widths are at least those of the theory."""
        return self.bonus_scale >= 1

    def init(self, spec: RecoveringSpec, rng: np.random.Generator) -> PeriodicState:
        """Return the state without data.

        Raises
        ------
        ValueError
            If the curves may decrease: the bounds and the plan rest on that they do not.
        """
        require_recovering(spec, self.key)
        if not spec.monotone:
            raise ValueError(
                f"{self.key} needs non-decreasing curves; those of the problem decrease somewhere"
            )
        length = spec.rounds if self.horizon == "known" else min(FIRST_EPOCH, spec.rounds)
        return self._epoch(spec, length, 0, -1)

    def _epoch(self, spec: RecoveringSpec, T: int, start: int, phase: int) -> PeriodicState:
        """Return a state without data for an epoch of length T."""
        a = self.classes or best_classes(spec.K)
        phi = self.phase_length or max(SHORTEST_PHASE, math.isqrt(T))
        grid = structured_periods(a, phi)
        position = np.full(phi + 1, -1, dtype=np.int64)
        position[grid] = np.arange(len(grid))
        N, M = spec.n_arms, len(grid)
        log_term = confidence_log(N, M, T, self.delta or 1 / max(T, 2))
        return PeriodicState(
            spec=spec,
            T=T,
            end=start + T,
            phase_length=phi,
            grid=grid,
            position=position,
            radius=self.bonus_scale * spec.sub_gaussian * math.sqrt(2 * log_term),
            n=np.zeros((N, M), dtype=np.int64),
            s=np.zeros((N, M)),
            U=np.empty((N, M)),
            column=np.full(N, -1, dtype=np.int64),
            seen=np.zeros(N, dtype=np.bool_),
            played=start,
            phase=phase,
        )

    def plan(self, state: PeriodicState) -> RecoveringDecision:
        """Bound the curves, plan, and hold the schedule for a phase."""
        if state.played >= state.end:
            fresh = self._epoch(state.spec, 2 * state.T, state.played, state.phase)
            for name in PeriodicState.__slots__:
                setattr(state, name, getattr(fresh, name))
        state.phase += 1
        self.refresh(state)
        schedule, audit = self.schedule(state)
        state.column = np.where(schedule.periods > 0, np.searchsorted(state.grid, schedule.periods), -1)
        state.seen[:] = False
        planned = float(audit[3])
        rounds = min(state.phase_length, state.end - state.played)
        worth = np.where(state.column >= 0, state.U[np.arange(len(state.U)), state.column], 0.0)
        value = float((worth / np.maximum(schedule.periods, 1)).sum())
        numbers = {"phase": float(state.phase), "planned": value, "relaxed": planned}
        return RecoveringDecision(schedule, rounds, None, numbers)

    def refresh(self, state: PeriodicState) -> None:
        """Compute the upper bounds from the samples."""
        upper_bounds(state.n, state.s, state.radius, state.spec.reward_max, True, state.U)

    def schedule(self, state: PeriodicState) -> tuple[PeriodicSchedule, Float[np.ndarray, " 5"]]:
        """Return the planner's schedule for the present bounds, and what it notes (see `plan`)."""
        N, M = state.U.shape
        periods, offsets, machines = np.empty((3, N), dtype=np.int64)
        audit = np.empty(5)
        both = self.fractional == "best"
        plan(
            state.U,
            state.grid,
            state.U,
            state.grid,
            np.arange(M),
            state.spec.K,
            both,
            periods,
            offsets,
            machines,
            audit,
        )
        return PeriodicSchedule.trusted(periods, offsets, machines, state.spec.K), audit

    def update(self, state: PeriodicState, decision: RecoveringDecision, observation: Pulls) -> PeriodicState:
        """Credit the pulls to the cells of their idle times.

        Raises
        ------
        ValueError
            If a reward is outside of what the spec promises.
        """
        check_rewards(observation, state.spec)
        credit(
            observation.arms,
            observation.idle,
            observation.rewards,
            state.column,
            state.position,
            self.reuse_first,
            state.seen,
            state.n,
            state.s,
        )
        state.played += observation.rounds
        return state


def check_rewards(observation: Pulls, spec: RecoveringSpec) -> None:
    """Raise if an observed reward is not in [0, spec.observed_max], or not finite if that is infinite."""
    rewards = observation.rewards
    if not math.isfinite(spec.observed_max):
        finite = np.isfinite(rewards)
        if not finite.all():
            m = int(np.argmin(finite))
            raise ValueError(f"rewards[{m}] must be finite; got {float(rewards[m])!r}")
        return
    if len(rewards) and not (rewards.min() >= 0 and rewards.max() <= spec.observed_max):
        m = int(np.argmax(~((rewards >= 0) & (rewards <= spec.observed_max))))
        raise ValueError(f"rewards[{m}] must be in [0, {spec.observed_max:g}]; got {float(rewards[m])!r}")


def require_recovering(spec: object, learner: str) -> None:
    """Raise unless the problem is a recovering bandit."""
    if not isinstance(spec, RecoveringSpec):
        raise ValueError(f"{learner} plays recovering bandits; got a {type(spec).__name__}")
