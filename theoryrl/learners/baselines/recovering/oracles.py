"""Policies that know the curves and play one schedule to the end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners.recovering import require_recovering
from theoryrl.models import IndexRule, PullSequence, RecoveringBandit, Schedule
from theoryrl.models._validation import check_choice, check_count
from theoryrl.protocol import RecoveringDecision, RecoveringSpec
from theoryrl.solvers.recovering import (
    Pulls,
    fluid_bound,
    optimal_cycle,
    purely_periodic,
    random_offsets,
    rewards_over_time,
)

BLOCK = 1 << 12
"""Periods that the interleaved schedule is laid out for at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Oracle:
    """Plays one schedule to the end; subclasses choose it."""

    bandit: RecoveringBandit

    key: ClassVar[str]
    needs_model: ClassVar[str] = "bandit"

    @property
    def guaranteed(self) -> bool:
        """Whether the theory covers the run: there is no constant to choose."""
        return True

    def init(self, spec: RecoveringSpec, rng: np.random.Generator) -> Schedule:
        """Return the schedule, which is all the state there is.

        Raises
        ------
        ValueError
            If the model does not have the problem's sizes.
        """
        check_sizes(self.bandit, spec, self.key)
        return self.schedule(rng)

    def schedule(self, rng: np.random.Generator) -> Schedule:
        """Return what is played."""
        raise NotImplementedError

    def plan(self, state: Schedule) -> RecoveringDecision:
        """Return the schedule, to be held to the end."""
        return RecoveringDecision(state)

    def update(self, state: Schedule, decision: RecoveringDecision, observation: Pulls) -> Schedule:
        """Ignore the rewards."""
        return state


def check_sizes(bandit: RecoveringBandit, spec: RecoveringSpec, learner: str) -> None:
    """Raise unless the model that an oracle was given has the sizes of the problem."""
    require_recovering(spec, learner)
    if (bandit.n_arms, bandit.K) != (spec.n_arms, spec.K):
        raise ValueError(
            f"bandit must have (N, K) = {(spec.n_arms, spec.K)}; got {(bandit.n_arms, bandit.K)}"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class GreedyOracle(_Oracle):
    """Pull the at most K arms of largest positive mean reward now.

    Notes
    -----
    On blocking bandits with K = 1 asymptotically at least 1 - 1/e of the optimum (Basu et al. 2019); on
    general curves there is no such ratio.
    """

    key: ClassVar[str] = "greedy-oracle"

    def schedule(self, rng: np.random.Generator) -> IndexRule:
        """Return the means as index."""
        return IndexRule(self.bandit.R, self.bandit.K)


@dataclass(frozen=True, kw_only=True, eq=False)
class RoundRobinOracle(_Oracle):
    """Pull the m arms of largest rested mean in turn, for the best m.

    Notes
    -----
    The ranking policies of Cella and Cesa-Bianchi (2020), recalled; every m is simulated exactly.
    """

    key: ClassVar[str] = "round-robin-oracle"

    def schedule(self, rng: np.random.Generator) -> PullSequence:
        """Return the best rotation."""
        return best_rotation(self.bandit)[0]


def best_rotation(bandit: RecoveringBandit) -> tuple[PullSequence, float]:
    """Return the best round robin over the m best arms, and its long-run average."""
    N, K = bandit.n_arms, bandit.K
    order = np.argsort(-bandit.R[:, -1], kind="stable")
    best: tuple[PullSequence, float] | None = None
    for m in range(1, N + 1):
        width = min(m, K)
        length = m // math.gcd(m, width)
        turns = np.arange(length * width).reshape(length, width) % m
        rotation = PullSequence(order[turns], N)
        value = long_run_average(bandit, rotation)
        if best is None or value > best[1]:
            best = rotation, value
    assert best is not None
    return best


def long_run_average(bandit: RecoveringBandit, sequence: PullSequence) -> float:
    """Return the exact average of a sequence: all idle times repeat after two passes and the memory."""
    length = len(sequence.sets)
    passes = 2 + -(-bandit.R.shape[1] // length)
    return float(rewards_over_time(bandit, sequence, length * passes)[-length:].mean())


@dataclass(frozen=True, kw_only=True, eq=False)
class PeriodicOracle(_Oracle):
    """Play the purely periodic policy of the true curves.

    Parameters
    ----------
    bandit
        The true model, which a learner must not see.
    classes, method
        See `theoryrl.solvers.purely_periodic`.
    """

    classes: int | None = None
    method: str = "best"

    key: ClassVar[str] = "periodic-oracle"

    def __post_init__(self) -> None:
        if self.classes is not None:
            check_count("classes", self.classes)
        check_choice("method", self.method, ("grid", "round", "best"))

    def schedule(self, rng: np.random.Generator) -> Schedule:
        """Return the planned schedule."""
        schedule: Schedule = purely_periodic(self.bandit, self.classes, self.method).policy
        return schedule


@dataclass(frozen=True, kw_only=True, eq=False)
class OptimalCycle(_Oracle):
    """Play the exact optimum, for small idle-time graphs."""

    key: ClassVar[str] = "optimal-cycle"

    def schedule(self, rng: np.random.Generator) -> Schedule:
        """Return an optimal cycle of sets."""
        schedule: Schedule = optimal_cycle(self.bandit).policy
        return schedule


@dataclass(frozen=True, kw_only=True, eq=False)
class RandomOffsetsOracle(_Oracle):
    """Draw offsets for the relaxation's periods once; pull the K best of the arms that apply.

    Notes
    -----
    The idea of a relaxation with independent rounding is that of Papadigenopoulos, Caramanis and Shakkottai
    (2022), recalled; their interleaved scheduling is not reproduced.
    """

    key: ClassVar[str] = "random-offsets-oracle"

    def schedule(self, rng: np.random.Generator) -> Schedule:
        """Draw the offsets."""
        return random_offsets(self.bandit).draw(rng)


@dataclass(slots=True, eq=False)
class InterleavedState:
    """When each arm is due next, in units of periods.

    Attributes
    ----------
    rates
        Pull frequencies x: shape [N].
    due
        Virtual time of each arm's next pull: shape [N].
    now
        Periods laid out so far.
    """

    rates: Float[np.ndarray, " N"]
    due: Float[np.ndarray, " N"]
    now: int


@dataclass(frozen=True, kw_only=True, eq=False)
class InterleavedOracle:
    """Pull each arm at its relaxed frequency from a random start; the earliest due go first.

    Parameters
    ----------
    bandit
        The true model, which a learner must not see.

    Notes
    -----
    In the spirit of the interleaved rounding for recharging bandits of Kleinberg and Immorlica (2018),
    recalled; their constants are not claimed. Arm i is due at times (u_i + j) / x_i, and waits where more
    than K arms are due.
    """

    bandit: RecoveringBandit

    key: ClassVar[str] = "interleaved-oracle"
    needs_model: ClassVar[str] = "bandit"

    @property
    def guaranteed(self) -> bool:
        """Whether the theory covers the run: there is no constant to choose."""
        return True

    def init(self, spec: RecoveringSpec, rng: np.random.Generator) -> InterleavedState:
        """Draw the random starts."""
        check_sizes(self.bandit, spec, self.key)
        rates = np.array(fluid_bound(self.bandit).policy)
        start = rng.random(len(rates))
        due = np.divide(start, rates, out=np.full(len(rates), np.inf), where=rates > 0)
        return InterleavedState(rates, due, 0)

    def plan(self, state: InterleavedState) -> RecoveringDecision:
        """Lay out the next block of periods."""
        sets = interleave(state.rates, state.due, state.now, BLOCK, self.bandit.K)
        state.now += BLOCK
        return RecoveringDecision(PullSequence(sets, self.bandit.n_arms), BLOCK)

    def update(
        self, state: InterleavedState, decision: RecoveringDecision, observation: Pulls
    ) -> InterleavedState:
        """Ignore the rewards."""
        return state


def interleave(
    rates: Float[np.ndarray, " N"], due: Float[np.ndarray, " N"], start: int, length: int, K: int
) -> Int[np.ndarray, "L K"]:
    """Return the sets of the next periods, and move `due` on."""
    sets = np.full((length, K), -1, dtype=np.int64)
    for t in range(length):
        waiting = np.flatnonzero(due < start + t + 1)
        chosen = waiting[np.argsort(due[waiting], kind="stable")][:K]
        sets[t, : len(chosen)] = chosen
        due[chosen] += 1 / rates[chosen]
    return sets
