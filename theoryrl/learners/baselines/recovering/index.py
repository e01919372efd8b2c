"""Greedy learners: pull the arms whose upper confidence bound is largest now."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners._counts import visit_budget
from theoryrl.learners._guarantee import check_bonus_scale, warn_if_void
from theoryrl.learners._recovering import count_pulls, upper_bounds
from theoryrl.learners.recovering import check_rewards, confidence_log, require_recovering
from theoryrl.models import IndexRule
from theoryrl.models._validation import check_count, check_fraction, check_real
from theoryrl.protocol import RecoveringDecision, RecoveringSpec
from theoryrl.solvers.recovering import Pulls


@dataclass(slots=True, eq=False)
class IndexState:
    """Samples per arm and idle time.

    Attributes
    ----------
    spec
        What is known of the problem.
    radius
        Half-width of the confidence interval of one sample.
    n, s
        Number and sum of the rewards: shape [N, D], the last column for all longer idle times.
    """

    spec: RecoveringSpec
    radius: float
    n: Int[np.ndarray, "N D"]
    s: Float[np.ndarray, "N D"]


@dataclass(frozen=True, kw_only=True)
class _IndexLearner:
    """Hoeffding bounds per cell; subclasses turn them into an index."""

    delta: float | None = None
    bonus_scale: float = 1.0
    refresh_growth: float = 0.0

    key: ClassVar[str]

    def __post_init__(self) -> None:
        if self.delta is not None:
            check_fraction("delta", self.delta)
        check_real("refresh_growth", self.refresh_growth, low=0.0)
        check_bonus_scale(self.bonus_scale)
        warn_if_void(self, self.bonus_scale)

    @property
    def guaranteed(self) -> bool:
        """Whether the widths are those of valid confidence bounds."""
        return self.bonus_scale >= 1

    def init(self, spec: RecoveringSpec, rng: np.random.Generator) -> IndexState:
        """Return the state without data."""
        require_recovering(spec, self.key)
        N, D, T = spec.n_arms, self.columns(spec), spec.rounds
        log_term = confidence_log(N, D, T, self.delta or 1 / max(T, 2))
        radius = self.bonus_scale * spec.sub_gaussian * math.sqrt(2 * log_term)
        return IndexState(spec, radius, np.zeros((N, D), dtype=np.int64), np.zeros((N, D)))

    def columns(self, spec: RecoveringSpec) -> int:
        """Return the number D of idle times that are told apart."""
        raise NotImplementedError

    def index(self, state: IndexState, U: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N W"]:
        """Return the index table of the upper bounds."""
        return U

    def plan(self, state: IndexState) -> RecoveringDecision:
        """Return the index rule, held until some cell has grown enough."""
        U = np.empty_like(state.s)
        upper_bounds(state.n, state.s, state.radius, state.spec.reward_max, state.spec.monotone, U)
        rule = IndexRule(self.index(state, U), state.spec.K)
        if self.refresh_growth == 0:
            return RecoveringDecision(rule, 1)
        return RecoveringDecision(rule, None, visit_budget(state.n, self.refresh_growth))

    def update(self, state: IndexState, decision: RecoveringDecision, observation: Pulls) -> IndexState:
        """Count the pulls."""
        check_rewards(observation, state.spec)
        count_pulls(observation.arms, observation.idle, observation.rewards, state.n, state.s)
        return state


@dataclass(frozen=True, kw_only=True)
class UCBGreedy(_IndexLearner):
    """Pull the at most K arms of largest upper bound at their present idle time.

    Parameters
    ----------
    memory
        Idle times from here on are taken to be equal (the first pull of an arm counts among them).
    delta
        Probability that some bound fails; default 1 / T.
    bonus_scale
        Factor on the widths; below 1 the bounds are void.
    refresh_growth
        Recompute the bounds when some cell has grown by this factor; 0: in every period.

    Notes
    -----
    It learns the greedy policy, which can be far from optimal where curves are not concave.
    """

    memory: int = 16

    key: ClassVar[str] = "ucb-greedy"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("memory", self.memory)

    def columns(self, spec: RecoveringSpec) -> int:
        """The memory."""
        return self.memory


@dataclass(frozen=True, kw_only=True)
class BlockingUCB(_IndexLearner):
    """Pull the available arms of largest upper bound: blocking bandits with known delays.

    See `UCBGreedy` for the parameters. The spec must tell the delays (`RecoveringProblem.known_delays`).

    Notes
    -----
    Basu, Sen, Sanghavi and Shakkottai (2019), recalled: the greedy policy over available arms, with upper
    confidence bounds in place of the means. All pulls of an arm are pooled, whatever its idle time was,
    which bounds its reward only if that is constant once the delay is over.
    """

    key: ClassVar[str] = "blocking-ucb"

    @property
    def guaranteed(self) -> bool:
        """Whether the theory covers the run: the learner cannot see that the arms are blocking ones."""
        return False

    def init(self, spec: RecoveringSpec, rng: np.random.Generator) -> IndexState:
        """Return the state without data.

        Raises
        ------
        ValueError
            If the spec does not tell the delays.
        """
        require_recovering(spec, self.key)
        if spec.delays is None:
            raise ValueError(f"{self.key} needs known delays; spec.delays is None (see known_delays)")
        return super().init(spec, rng)

    def columns(self, spec: RecoveringSpec) -> int:
        """One: an available arm pays the same however long it has rested."""
        return 1

    def index(self, state: IndexState, U: Float[np.ndarray, "N 1"]) -> Float[np.ndarray, "N W"]:
        """Return the bound where the arm is available."""
        delays = state.spec.delays
        assert delays is not None
        return np.where(np.arange(1, int(delays.max()) + 1) >= delays[:, None], U, 0.0)
