"""Playing a recovering bandit: one round is one period, a decision is a schedule held for a while.

What a period earns depends on how long the arms have rested, so the environment reports the exact mean
reward of each period that was played (`Outcome.values`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from theoryrl.models import RecoveringBandit, Schedule
from theoryrl.models._validation import check_choice, check_count, index_array
from theoryrl.protocol.core import Outcome, Streams
from theoryrl.solvers.recovering import Play, fluid_bound, optimal_cycle, ppp_guarantee, purely_periodic
from theoryrl.solvers.recovering.exact import count_choices
from theoryrl.solvers.recovering.simulation import NO_BUDGET

MAX_BLOCK = 1 << 14
"""Most periods that one call plays: bounds the memory of a block of pulls."""

MAX_EDGES = 1_000_000
"""Largest idle-time graph (states times sets of arms) whose exact optimum is the default benchmark."""

FOREVER = 1 << 62
"""A number of pulls that no run exhausts."""

REFERENCES = ("auto", "optimum", "bound", "guarantee", "planner")
NO_DIAGNOSTICS: Mapping[str, float] = {}


@dataclass(frozen=True, eq=False)
class RecoveringSpec:
    """What a learner may know of a recovering bandit: never its curves.

    Attributes
    ----------
    n_arms, K
        Number of arms, and the largest number of pulls per period.
    rounds
        Number of periods T.
    reward_max
        Bound R_max on every mean reward; the smallest is 0.
    sub_gaussian
        Sub-Gaussian parameter of an observed reward around its mean.
    observed_max
        Bound on every observed reward (the smallest is 0); infinite for noise that is not bounded so.
    monotone
        Whether no curve decreases, which the setting promises.
    delays
        Idle time from which on each arm pays at all, where the setting tells (blocking bandits).
    """

    n_arms: int
    K: int
    rounds: int
    reward_max: float = 1.0
    sub_gaussian: float = 0.5
    observed_max: float = 1.0
    monotone: bool = True
    delays: Int[np.ndarray, " N"] | None = None


class RecoveringDecision(NamedTuple):
    """A schedule, and how long it is held.

    Attributes
    ----------
    schedule
        Starts at its own time 0 when the decision is taken over.
    rounds
        Hold it for this many periods; None: to the end, or until the budget is spent.
    visits
        Hold it until some (arm, idle time) has been pulled this many times: shape [N, D], the last
        column for all longer idle times.
    diagnostics
        Numbers for the trace.
    """

    schedule: Schedule
    rounds: int | None = None
    visits: Int[np.ndarray, "N D"] | None = None
    diagnostics: Mapping[str, float] = NO_DIAGNOSTICS


class RecoveringEnvironment:
    """Plays the periods of one run."""

    def __init__(self, bandit: RecoveringBandit, streams: Streams) -> None:
        self._play = Play(bandit)
        self._rng = streams.environment
        self._left: int | None = None
        self._budget = NO_BUDGET

    def begin(self, decision: RecoveringDecision) -> None:
        """Take over a schedule; idle times go on."""
        self._left = None if decision.rounds is None else check_count("decision.rounds", decision.rounds)
        if decision.visits is None:
            self._budget = NO_BUDGET
        else:
            N = self._play.bandit.n_arms
            self._budget = index_array("decision.visits", decision.visits, (N, "D"), FOREVER).copy()
        self._play.begin(decision.schedule)

    def interact(self, decision: RecoveringDecision, rounds: int) -> Outcome:
        """Play at most `rounds` periods; the observation is a `Pulls`."""
        wanted = min(rounds, MAX_BLOCK)
        if self._left is not None:
            wanted = min(wanted, self._left)
        pulls, means, spent = self._play.run(wanted, self._rng, self._budget)
        if self._left is not None:
            self._left -= pulls.rounds
        return Outcome(pulls, pulls.rounds, spent or self._left == 0, means)


@dataclass(frozen=True, eq=False)
class RecoveringProblem:
    """A recovering bandit to be learned.

    Parameters
    ----------
    bandit
        The true model, which no learner sees.
    key
        Name of the instance.
    reference
        What regret is counted from: the exact ``"optimum"``, the relaxation's ``"bound"``, the
        ``"guarantee"`` gamma_K times that bound, or the value of the best periodic policy of the
        ``"planner"``. ``"auto"``: the optimum where the idle-time graph has at most 10^6 edges, else
        the bound (regret then grows linearly for every policy that does not attain it).
    known_delays
        Whether the spec tells from which idle time on each arm pays.
    """

    bandit: RecoveringBandit
    key: str = "recovering"
    reference: str = "auto"
    known_delays: bool = False

    def __post_init__(self) -> None:
        check_choice("reference", self.reference, REFERENCES)

    @cached_property
    def benchmark(self) -> float:
        """Exact value per period of the reference."""
        kind = self.reference
        if kind == "auto":
            states = math.prod(int(d) for d in self.bandit.memory)
            edges = states * count_choices(self.bandit.n_arms, self.bandit.K)
            kind = "optimum" if edges <= MAX_EDGES else "bound"
        if kind == "optimum":
            return float(optimal_cycle(self.bandit).value)
        if kind == "planner":
            return float(purely_periodic(self.bandit).value)
        bound = float(fluid_bound(self.bandit).value)
        return bound if kind == "bound" else ppp_guarantee(self.bandit.K) * bound

    def spec(self, rounds: int) -> RecoveringSpec:
        """Return what a learner may know."""
        bandit = self.bandit
        delays = np.argmax(bandit.R > 0, axis=1) + 1 if self.known_delays else None
        return RecoveringSpec(
            bandit.n_arms,
            bandit.K,
            check_count("rounds", rounds),
            bandit.reward_max,
            bandit.sub_gaussian,
            bandit.observed_max,
            bandit.is_monotone,
            delays,
        )

    def value(self, decision: RecoveringDecision) -> None:
        """Return nothing: what a period earns depends on the idle times, and the environment tells it."""

    def environment(self, streams: Streams) -> RecoveringEnvironment:
        """Return a fresh process, all arms rested."""
        return RecoveringEnvironment(self.bandit, streams)
