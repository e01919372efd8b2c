"""Optimism without a constraint: always play the policy that is greedy for the upper bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners._counts import visit_budget
from theoryrl.learners._family import BoundOptions, FamilyState
from theoryrl.learners._guarantee import warn_if_void
from theoryrl.learners.stepmix import record, require_known_or_noiseless
from theoryrl.models import DeterministicPolicy
from theoryrl.models._validation import check_real
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories


@dataclass
class OptimisticState:
    """Counts and bounds of the optimistic policy, and the law of the first state."""

    family: FamilyState
    rho: np.ndarray
    rewards_known: bool


@dataclass(frozen=True, kw_only=True)
class BPIUCBVI:
    """Optimistic value iteration with the bounds that StepMix uses; it knows no constraint.

    With ``bounds="bpi-ucbvi"`` (the default) the bonuses are those of Menard et al. (2021), arXiv
    2007.13442, as recalled, with H comparators in the union bound; ``"kl"`` and ``"bernstein"`` are
    the sharper modes of the StepMix page. The exploration it does is what StepMix pays extra to make
    safe: on the same seed both coincide as long as the constraint never binds.

    Parameters
    ----------
    delta, bounds, bonus_scale, refresh_growth, n_min, running
        As in `theoryrl.learners.StepMix`.
    """

    delta: float = 0.05
    bounds: str = "bpi-ucbvi"
    bonus_scale: float = 1.0
    refresh_growth: float = 0.0
    n_min: int = 1
    running: bool = True
    key: ClassVar[str] = "bpi-ucbvi"

    def __post_init__(self) -> None:
        check_real("refresh_growth", self.refresh_growth, low=0.0)
        self._options()
        warn_if_void(self, self.bonus_scale)

    def _options(self) -> BoundOptions:
        return BoundOptions(self.bounds, self.delta, self.bonus_scale, n_min=self.n_min, running=self.running)

    @property
    def guaranteed(self) -> bool:
        """Whether the constants are those of the theory."""
        return self.bonus_scale >= 1

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> OptimisticState:
        """Return the state before the first episode."""
        require_known_or_noiseless(spec)
        rewards = np.zeros(spec.shape) if spec.rewards is None else spec.rewards
        family = FamilyState.start(rewards, np.zeros(spec.shape), spec.support)
        return OptimisticState(family, spec.rho, spec.rewards is not None)

    def plan(self, state: OptimisticState) -> EpisodicDecision:
        """Refresh the bounds and play the greedy policy."""
        family = state.family
        only_first = np.arange(family.U.shape[0]) == 0
        family.refresh(self._options(), only_first)
        upper, lower = float(state.rho @ family.U[0, 0]), float(state.rho @ family.L[0, 0])
        budget = visit_budget(family.n, self.refresh_growth)
        policy = DeterministicPolicy.trusted(family.greedy.copy(), family.n.shape[2])
        return EpisodicDecision(policy, budget, {"lower": lower, "upper": upper, "width": upper - lower})

    def update(
        self,
        state: OptimisticState,
        decision: EpisodicDecision,
        observation: Trajectories,
    ) -> OptimisticState:
        """Count the observed transitions."""
        record(state.family, observation, state.rewards_known)
        return state
