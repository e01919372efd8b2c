"""Hybrid and greedy baselines with candidates: Hy-Q, online fitted Q-iteration, and offline data alone.

Source of Hy-Q: Song, Zhou, Sekhari, Bagnell, Krishnamurthy and Sun (2023), recalled: fitted Q-iteration in
each round on all offline and all online data, and its greedy policy without a bonus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners.candidates import Candidates, ResidualSums, check_ties, require_hypotheses
from theoryrl.learners.hyglow import check_algorithm, chosen_algorithm, require_offline
from theoryrl.learners.offline_fits import OfflineAlgorithm, fitted_policy
from theoryrl.models import MarkovPolicy
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories


@dataclass(slots=True, eq=False)
class FittedState:
    """Residual sums of all data so far."""

    candidates: Candidates
    sums: ResidualSums


@dataclass(frozen=True)
class HyQ:
    """Fitted Q-iteration on all offline and all online data, without exploration.

    Parameters
    ----------
    ties
        Which of several minimisers of a regression is taken.
    """

    ties: str = "first"

    key: ClassVar[str] = "hy-q"
    hybrid: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ties(self.ties)

    @property
    def guaranteed(self) -> bool:
        """Its theory needs completeness and is recalled: never."""
        return False

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> FittedState:
        """Return the state with the offline data, if it takes any."""
        name = type(self).__name__
        candidates = Candidates.of(require_hypotheses(spec, name).functions)
        if not self.hybrid:
            return FittedState(candidates, ResidualSums.empty(candidates))
        return FittedState(candidates, ResidualSums.of_data(candidates, require_offline(spec, name, 1)))

    def plan(self, state: FittedState) -> EpisodicDecision:
        """Return the greedy policy of the regressions."""
        return EpisodicDecision(fitted_policy(state.candidates, state.sums, self.ties))

    def update(
        self, state: FittedState, decision: EpisodicDecision, observation: Trajectories
    ) -> FittedState:
        """Add the episode."""
        state.sums.add(state.candidates, observation)
        return state


@dataclass(frozen=True)
class OnlineFQI(HyQ):
    """Greedy online fitted Q-iteration: the same without offline data.

    Parameters
    ----------
    ties
        Which of several minimisers of a regression is taken.
    """

    key: ClassVar[str] = "online-fqi"
    hybrid: ClassVar[bool] = False


@dataclass(frozen=True)
class OfflineOnly:
    """An offline algorithm on all offline data, whose policy is played for ever.

    Parameters
    ----------
    offline
        Anything with ``fit(dataset) -> policy``, or ``"fqi"``, ``"mle"`` or ``"tabular-fqi"``.
    ties
        Tie rule of the named ones.
    """

    offline: str | OfflineAlgorithm = "fqi"
    ties: str = "first"

    key: ClassVar[str] = "offline-only"

    def __post_init__(self) -> None:
        check_algorithm(self.offline)
        check_ties(self.ties)

    @property
    def guaranteed(self) -> bool:
        """What it promises is the offline algorithm's."""
        return bool(getattr(self.offline, "guaranteed", False))

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> MarkovPolicy:
        """Return the learned policy."""
        algorithm = chosen_algorithm(self.offline, spec, "OfflineOnly", self.ties)
        policy: MarkovPolicy = algorithm.fit(require_offline(spec, "OfflineOnly", 1))
        return policy

    def plan(self, state: MarkovPolicy) -> EpisodicDecision:
        """Return the learned policy."""
        return EpisodicDecision(state)

    def update(
        self, state: MarkovPolicy, decision: EpisodicDecision, observation: Trajectories
    ) -> MarkovPolicy:
        """Learn nothing."""
        return state
