"""Conservative exploration under the older, cumulative constraint: spend a budget earned by the baseline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from theoryrl.learners._counts import require_baseline, require_threshold, visit_budget
from theoryrl.learners._family import BoundOptions, FamilyState
from theoryrl.learners._guarantee import warn_if_void
from theoryrl.learners.stepmix import BASELINE, OPTIMISTIC, record, require_known_or_noiseless
from theoryrl.models import DeterministicPolicy, MarkovPolicy
from theoryrl.models._validation import check_real
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories


@dataclass
class BudgetState:
    """Counts and bounds, the certified sum of past values, and the visits left before a refresh."""

    family: FamilyState
    baseline: MarkovPolicy
    rho: np.ndarray
    threshold: float
    rewards_known: bool
    earned: float = 0.0
    episodes: int = 0
    left: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Play the optimistic policy whenever the cumulative constraint stays certified; else the baseline.

    Before episode k the certified sum of past values plus the optimistic policy's lower bound must
    reach k gamma. This protects sum_{i <= k} V^{pi_i} >= k gamma only: single episodes may fall
    below gamma, which is what the episode-wise constraint of StepMix rules out. After Garcelon et
    al. (2020), arXiv 2002.03218, and the Budget-Exploration of Yang et al. (2021), arXiv 2106.11692;
    recalled and simplified, with the bounds of the StepMix page.

    Parameters
    ----------
    baseline_value
        V^{pi^b} where it is known; else a baseline episode earns its certified lower bound.
    delta, bounds, bonus_scale, refresh_growth, n_min
        As in `theoryrl.learners.StepMix`.
    """

    delta: float = 0.05
    bounds: str = "kl"
    bonus_scale: float = 1.0
    refresh_growth: float = 0.0
    n_min: int = 1
    baseline_value: float | None = None
    _options: BoundOptions = field(init=False, repr=False, compare=False)
    key: ClassVar[str] = "budget"

    def __post_init__(self) -> None:
        check_real("refresh_growth", self.refresh_growth, low=0.0)
        if self.baseline_value is not None:
            check_real("baseline_value", self.baseline_value, low=0.0)
        options = BoundOptions(self.bounds, self.delta, self.bonus_scale, n_min=self.n_min)
        object.__setattr__(self, "_options", options)
        warn_if_void(self, self.bonus_scale)

    @property
    def guaranteed(self) -> bool:
        """Whether the constants are those of the theory."""
        return self.bonus_scale >= 1

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> BudgetState:
        """Return the state before the first episode.

        Raises
        ------
        ValueError
            If the spec lacks a baseline, a threshold or unit rewards, or `baseline_value` contradicts it.
        """
        require_known_or_noiseless(spec)
        baseline, threshold = require_baseline(spec, self.key), require_threshold(spec, self.key)
        if self.baseline_value is not None and not threshold < self.baseline_value <= spec.horizon:
            raise ValueError(
                f"baseline_value must be above the threshold {threshold!r} and at most the horizon "
                f"{spec.horizon}; got {self.baseline_value!r}"
            )
        rewards = np.zeros(spec.shape) if spec.rewards is None else spec.rewards
        family = FamilyState.start(rewards, baseline.stages(spec.horizon), spec.support)
        return BudgetState(family, baseline, spec.rho, threshold, spec.rewards is not None)

    def plan(self, state: BudgetState) -> EpisodicDecision:
        """Refresh the bounds if they are due, and check the budget."""
        family = state.family
        if state.left is None or (state.left <= 0).any():
            ends = np.zeros(family.U.shape[0], dtype=np.bool_)
            ends[[0, -1]] = True
            family.refresh(self._options, ends)
            state.left = visit_budget(family.n, self.refresh_growth)
        lower = float(state.rho @ family.L[0, 0])
        if state.earned + lower >= (state.episodes + 1) * state.threshold:
            policy: MarkovPolicy = DeterministicPolicy.trusted(family.greedy.copy(), family.n.shape[2])
            kind = OPTIMISTIC
        else:
            policy, kind = state.baseline, BASELINE
            lower = float(state.rho @ family.L[-1, 0]) if self.baseline_value is None else self.baseline_value
        budget = state.earned - state.episodes * state.threshold
        diagnostics = {"kind": kind, "lower": lower, "budget": budget}
        return EpisodicDecision(policy, None, diagnostics)

    def update(
        self, state: BudgetState, decision: EpisodicDecision, observation: Trajectories
    ) -> BudgetState:
        """Count the transitions and book the certified value of the episode."""
        states, actions, _ = observation
        stage = np.broadcast_to(np.arange(actions.shape[1]), actions.shape)
        if state.left is not None:
            np.subtract.at(state.left, (stage, states[:, :-1], actions), 1)
        record(state.family, observation, state.rewards_known)
        state.earned += decision.diagnostics["lower"]
        state.episodes += 1
        return state
