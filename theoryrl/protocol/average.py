"""Playing an average-reward MDP, which may change: one round is one step.

A learner decides on a stationary policy and when to decide anew: after so many visits of some pair, after so
many steps, or when its monitor calls. Whole stretches are played in one compiled call. The monitor is
then shown what happened and says after how many steps it would have called; what lies behind is taken back,
random numbers included, so that the trace is the one that single steps leave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models import AverageRewardMDP, PiecewiseStationaryMDP
from theoryrl.models._validation import check_count, check_real, index_array
from theoryrl.models.stationary import StationaryMDP
from theoryrl.protocol.core import NOTHING, Outcome, Streams
from theoryrl.solvers.average import SegmentSolution, segment_gains
from theoryrl.solvers.average.simulation import NEVER, Steps, Walker

BLOCK = 1 << 13
"""Steps whose random numbers are drawn at once, and that one call plays at most."""


@dataclass(frozen=True)
class AverageSpec:
    """What a learner may know: sizes, the horizon T, and the state in which the run begins.

    Observed rewards lie in [0, 1]. Whether and when the model changes is not told.
    """

    n_states: int
    n_actions: int
    rounds: int
    start: int = 0


@runtime_checkable
class Monitor(Protocol):
    """Watches the steps of a decision, in order and each one once."""

    def watch(self, steps: Steps) -> int:
        """Return after how many of these steps the decision must end, or -1."""


class AverageDecision(NamedTuple):
    """A stationary policy, and how long it is held.

    Attributes
    ----------
    policy
        Action in each state: shape [S].
    visits
        Hold it until a pair that it is about to play has been played this many times: shape [S, A], at
        least 1. None: without such a limit.
    rounds
        Hold it for this many steps at most.
    exploration
        Probability of a uniform action in each step.
    monitor
        May end it at any step.
    diagnostics
        Numbers for the trace.
    """

    policy: Int[np.ndarray, " S"]
    visits: Int[np.ndarray, "S A"] | None = None
    rounds: int | None = None
    exploration: float = 0.0
    monitor: Monitor | None = None
    diagnostics: Mapping[str, float] = NOTHING


class AverageEnvironment:
    """The process of one run."""

    def __init__(
        self, walker: Walker, gains: Float[np.ndarray, " L"], start: int, rng: np.random.Generator
    ) -> None:
        self._walker, self._gains, self._rng = walker, gains, rng
        self._state, self._step = start, 0
        self._uniforms, self._used = np.zeros((0, 3)), 0
        self._left = NEVER
        self._budget = np.zeros((0, 0), dtype=np.int64)

    def begin(self, decision: AverageDecision) -> None:
        """Take over a policy; the process goes on where it is.

        Raises
        ------
        ValueError
            If the decision does not fit the model.
        """
        S, A = self._walker.r.shape[1:]
        index_array("decision.policy", decision.policy, (S,), A)
        check_real("decision.exploration", decision.exploration, 0.0, 1.0)
        rounds = decision.rounds
        self._left = NEVER if rounds is None else check_count("decision.rounds", rounds)
        if decision.visits is None:
            self._budget = np.full((S, A), NEVER)
        else:
            self._budget = index_array("decision.visits", decision.visits, (S, A), NEVER).copy()

    def interact(self, decision: AverageDecision, rounds: int) -> Outcome:
        """Play at most `rounds` steps; the observation is a `Steps`."""
        if self._used == len(self._uniforms):
            self._uniforms, self._used = self._rng.random((BLOCK, 3)), 0
        numbers = self._uniforms[self._used : self._used + min(rounds, self._left)]
        steps, means, finished = self._walker.walk(
            self._step, self._state, decision.policy, float(decision.exploration), self._budget, numbers
        )
        if decision.monitor is not None:
            called = decision.monitor.watch(steps)
            if called >= 0:
                steps, means, finished = steps.first(called), means[:called], True
        count = steps.rounds
        gains = self._gains_of(count)
        self._used += count
        self._step += count
        self._left -= count
        self._state = int(steps.states[-1])
        shown = {
            "state": steps.states[:-1].astype(np.float64),
            "action": steps.actions.astype(np.float64),
            "reward": steps.rewards,
        }
        return Outcome(steps, count, finished or self._left == 0, means, gains, shown)

    def _gains_of(self, count: int) -> Float[np.ndarray, " B"]:
        """Return the optimal gain of the segment of each of the next steps."""
        first, last = np.searchsorted(self._walker.ends, [self._step, self._step + count - 1], side="right")
        if first == last:
            return np.full(count, self._gains[first])
        segment = np.searchsorted(self._walker.ends, self._step + np.arange(count), side="right")
        return np.asarray(self._gains[segment])


@dataclass(frozen=True, eq=False)
class AverageProblem:
    """An average-reward MDP to be learned while it is played.

    The value of a step is the mean reward of what was played, the benchmark the optimal gain of the
    segment that it falls in, so that regret is the pseudo-regret sum_t (rho*_t - r(s_t, a_t)). It may be
    negative for a while: gains are averages, and good states come in runs.

    Parameters
    ----------
    model
        The true model, which no learner sees; a stationary one has Bernoulli rewards unless it has noise
        of its own.
    key
        Name of the instance.
    start
        State in which every run begins.

    Raises
    ------
    ValueError
        If a segment is not communicating, if the start is no state, or if observed rewards may leave
        [0, 1].
    """

    model: PiecewiseStationaryMDP
    key: str = "average"
    start: int = 0

    def __post_init__(self) -> None:
        check_count("start", self.start, low=0, high=self.model.n_states - 1)
        assert self.solution is not None

    @classmethod
    def from_stationary(cls, mdp: AverageRewardMDP, key: str) -> AverageProblem:
        """Return the problem of a model that does not change."""
        noise = None if mdp.noise.kind == "none" else mdp.noise
        return cls(PiecewiseStationaryMDP.of([mdp], [], noise), key)

    @cached_property
    def solution(self) -> SegmentSolution:
        """Optimal gain and policy of every segment, proven to 1e-9."""
        return segment_gains(self.model)

    @property
    def change_points(self) -> tuple[int, ...]:
        """First steps of the segments after the first; only oracles are told."""
        return tuple(self.model.change_points.tolist())

    @property
    def segments(self) -> tuple[StationaryMDP, ...]:
        """The stationary models."""
        return self.model.segments

    @property
    def benchmark(self) -> None:
        """Optimal gains change with the segment; each outcome tells them."""
        return None

    @cached_property
    def _walker(self) -> Walker:
        return Walker(self.model)

    def spec(self, rounds: int) -> AverageSpec:
        """Return what a learner may know."""
        return AverageSpec(
            self.model.n_states, self.model.n_actions, check_count("rounds", rounds), self.start
        )

    def value(self, decision: AverageDecision) -> None:
        """Mean rewards belong to steps, and come with the outcome."""

    def environment(self, streams: Streams) -> AverageEnvironment:
        """Return a fresh process."""
        return AverageEnvironment(self._walker, self.solution.value, self.start, streams.environment)
