"""Lookahead: play the best sequence of the next few periods, then look again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from theoryrl.learners._recovering import count_pulls
from theoryrl.learners.baselines.recovering._kernels import best_sequence
from theoryrl.learners.baselines.recovering.oracles import check_sizes
from theoryrl.learners.recovering import check_rewards, require_recovering
from theoryrl.models import PullSequence, RecoveringBandit
from theoryrl.models._validation import check_count, check_real
from theoryrl.protocol import RecoveringDecision, RecoveringSpec
from theoryrl.solvers.recovering import Pulls
from theoryrl.solvers.recovering.exact import choices, count_choices

MAX_LEAVES = 10_000_000
"""Largest tree of sequences that is searched."""


def chosen_sequence(
    table: Float[np.ndarray, "N D"], sets: Bool[np.ndarray, "A N"], depth: int, idle: Int[np.ndarray, " N"]
) -> PullSequence:
    """Return the sequence of sets that earns most under the table."""
    best = best_sequence(table, sets, depth, idle)
    width = int(sets.sum(axis=1).max())
    rows = np.full((depth, width), -1, dtype=np.int64)
    for row, c in zip(rows, best, strict=True):
        arms = np.flatnonzero(sets[c])
        row[: len(arms)] = arms
    return PullSequence(rows, sets.shape[1])


def searched_sets(spec: RecoveringSpec, depth: int) -> Bool[np.ndarray, "A N"]:
    """Return all sets of at most K arms; raise if the tree of their sequences is too large."""
    count = count_choices(spec.n_arms, spec.K)
    if count**depth > MAX_LEAVES:
        raise ValueError(
            f"depth must keep the tree below {MAX_LEAVES} leaves; {depth} gives {count} ** {depth}"
        )
    return choices(spec.n_arms, spec.K)


def moved_on(idle: Int[np.ndarray, " N"], observation: Pulls) -> Int[np.ndarray, " N"]:
    """Return the idle times after some periods."""
    idle = idle + observation.rounds
    idle[observation.arms] = observation.rounds - observation.when
    return idle


@dataclass(slots=True, eq=False)
class LookaheadState:
    """The idle times, and what is known of the curves.

    Attributes
    ----------
    spec
        What is known of the problem.
    sets
        The choices of a period: shape [A, N].
    idle
        Idle time of each arm, at least the memory if it was never pulled: shape [N].
    n, s
        Samples and their sum per arm and idle time: shape [N, D] (not used by the oracle).
    """

    spec: RecoveringSpec
    sets: Bool[np.ndarray, "A N"]
    idle: Int[np.ndarray, " N"]
    n: Int[np.ndarray, "N D"]
    s: Float[np.ndarray, "N D"]


def _start(spec: RecoveringSpec, depth: int, memory: int) -> LookaheadState:
    N = spec.n_arms
    return LookaheadState(
        spec,
        searched_sets(spec, depth),
        np.full(N, memory, dtype=np.int64),
        np.zeros((N, memory), dtype=np.int64),
        np.zeros((N, memory)),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class LookaheadOracle:
    """Play the sequence of d periods that earns most under the true curves, then look again.

    Parameters
    ----------
    bandit
        The true model, which a learner must not see.
    depth
        d; all (number of sets)^d sequences are compared.
    """

    bandit: RecoveringBandit
    depth: int = 2

    key: ClassVar[str] = "lookahead-oracle"
    needs_model: ClassVar[str] = "bandit"

    def __post_init__(self) -> None:
        check_count("depth", self.depth)

    @property
    def guaranteed(self) -> bool:
        """Whether the theory covers the run: there is no constant to choose."""
        return True

    def init(self, spec: RecoveringSpec, rng: np.random.Generator) -> LookaheadState:
        """Return the state, all arms rested."""
        check_sizes(self.bandit, spec, self.key)
        return _start(spec, self.depth, self.bandit.R.shape[1])

    def plan(self, state: LookaheadState) -> RecoveringDecision:
        """Search, and hold the sequence."""
        table = np.array(self.bandit.R)
        return RecoveringDecision(chosen_sequence(table, state.sets, self.depth, state.idle), self.depth)

    def update(
        self, state: LookaheadState, decision: RecoveringDecision, observation: Pulls
    ) -> LookaheadState:
        """Move the idle times on."""
        state.idle = moved_on(state.idle, observation)
        return state


@dataclass(frozen=True, kw_only=True)
class GPLookahead:
    """Lookahead under the upper bounds of a Gaussian process for each arm.

    Parameters
    ----------
    memory
        Idle times from here on are taken to be equal.
    depth
        Periods per plan.
    length_scale
        Of the squared-exponential kernel, in periods.
    prior_mean, prior_scale
        Mean and standard deviation of a curve's value before any data.
    width
        Factor on the posterior standard deviation; default sqrt(2 log(N D T)).

    Notes
    -----
    Pike-Burke and Grünewälder (2019), recalled: the sequence of d pulls with the largest sum of upper
    confidence bounds is found by an exhaustive tree, played, and planned anew. Here the processes live on
    the table of idle times, and sets of K arms are allowed. Its Bayesian guarantee is not claimed.
    """

    memory: int = 16
    depth: int = 2
    length_scale: float = 4.0
    prior_mean: float = 0.5
    prior_scale: float = 0.5
    width: float | None = None

    key: ClassVar[str] = "gp-lookahead"

    def __post_init__(self) -> None:
        check_count("memory", self.memory)
        check_count("depth", self.depth)
        check_real("prior_mean", self.prior_mean)
        for name in ("length_scale", "prior_scale"):
            if check_real(name, getattr(self, name), low=0.0) == 0:
                raise ValueError(f"{name} must be positive; got 0")
        if self.width is not None:
            check_real("width", self.width, low=0.0)

    @property
    def guaranteed(self) -> bool:
        """Whether the theory covers the run: a frequentist one does not."""
        return False

    def init(self, spec: RecoveringSpec, rng: np.random.Generator) -> LookaheadState:
        """Return the state without data."""
        require_recovering(spec, self.key)
        return _start(spec, self.depth, self.memory)

    def plan(self, state: LookaheadState) -> RecoveringDecision:
        """Compute the posteriors, search, and hold the sequence."""
        spec = state.spec
        mean, deviation = self.posterior(state.n, state.s, spec.sub_gaussian)
        width = self.width
        if width is None:
            width = math.sqrt(2 * math.log(spec.n_arms * self.memory * max(spec.rounds, 2)))
        table = np.clip(mean + width * deviation, 0.0, spec.reward_max)
        return RecoveringDecision(chosen_sequence(table, state.sets, self.depth, state.idle), self.depth)

    def posterior(
        self, n: Int[np.ndarray, "N D"], s: Float[np.ndarray, "N D"], noise: float
    ) -> tuple[Float[np.ndarray, "N D"], Float[np.ndarray, "N D"]]:
        """Return mean and standard deviation of each arm's curve, given sums of noisy samples.

        With C the prior covariance and W = diag(n) / noise^2 the posterior covariance is
        C - C V (I + V C V)^-1 V C for V = sqrt(W), which needs no inverse of C.
        """
        d = np.arange(1.0, self.memory + 1)
        C = self.prior_scale**2 * np.exp(-((d[:, None] - d) ** 2) / (2 * self.length_scale**2))
        V = np.sqrt(n) / noise
        inner = np.eye(len(d)) + V[:, :, None] * C * V[:, None, :]
        gain = np.linalg.solve(inner, V[:, :, None] * C)
        covariance = C - np.swapaxes(V[:, :, None] * C, 1, 2) @ gain
        residual = (s - n * self.prior_mean) / noise**2
        mean = self.prior_mean + (covariance @ residual[:, :, None])[:, :, 0]
        variance = np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0.0)
        return mean, np.sqrt(variance)

    def update(
        self, state: LookaheadState, decision: RecoveringDecision, observation: Pulls
    ) -> LookaheadState:
        """Count the pulls, and move the idle times on."""
        check_rewards(observation, state.spec)
        count_pulls(observation.arms, observation.idle, observation.rewards, state.n, state.s)
        state.idle = moved_on(state.idle, observation)
        return state
