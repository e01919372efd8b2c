"""Posterior sampling in the long-run average: the optimal policy of a model drawn from the posterior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners._average import (
    AverageState,
    ConfidenceSet,
    OptimisticLearner,
    Optimum,
    best_policy,
)
from theoryrl.models._validation import check_real
from theoryrl.protocol import AverageDecision, AverageSpec, Monitor
from theoryrl.solvers.average.simulation import Steps


@dataclass(frozen=True, kw_only=True)
class AveragePSRL(OptimisticLearner):
    """Posterior sampling with dynamic episodes (TSDE; Ouyang, Gagrani, Nayyar and Jain 2017), recalled.

    Rows have Dirichlet priors and rewards Beta(1, 1) priors, where a reward x counts as a success with
    probability x. An episode ends when some pair has doubled its visits, or when it is longer than the
    one before.

    Parameters
    ----------
    delta
        Unused: the guarantee is on the Bayesian regret.
    prior
        Parameter of the Dirichlet prior of each row, positive.
    """

    prior: float = 1.0

    key: ClassVar[str] = "average-psrl"

    def __post_init__(self) -> None:
        super().__post_init__()
        if check_real("prior", self.prior) <= 0:
            raise ValueError(f"prior must be positive; got {self.prior!r}")

    def init(self, spec: AverageSpec, rng: np.random.Generator) -> AverageState:
        """Return the state without data; `extra` holds the episodes' lengths and the successes."""
        state = super().init(spec, rng)
        state.extra = {"length": 0, "begun": 0, "successes": np.zeros(state.N.shape)}
        return state

    def prepare(self, state: AverageState) -> None:
        """Note how long the last episode was."""
        state.extra["length"], state.extra["begun"] = state.played - state.extra["begun"], state.played

    def limits(self, state: AverageState) -> tuple[int | None, float, Monitor | None]:
        """Let an episode be longer than the last one by at most one step."""
        return state.extra["length"] + 1, 0.0, None

    def confidence_set(self, state: AverageState) -> ConfidenceSet:
        """Return the single model that was drawn."""
        weights = state.rng.standard_gamma(self.prior + state.T)
        P = weights / weights.sum(axis=-1, keepdims=True)
        won = state.extra["successes"]
        r = state.rng.beta(1 + won, 1 + state.N - won)
        point = np.zeros(state.N.shape)
        return ConfidenceSet("l1", P, r, point, point)

    def optimise(self, state: AverageState, found: ConfidenceSet) -> Optimum:
        """Return the optimal policy of the model, up to 1 / sqrt(t)."""
        return best_policy(found, 1 / math.sqrt(state.clock + 1), step=0.9)

    def update(self, state: AverageState, decision: AverageDecision, steps: Steps) -> AverageState:
        """Count what happened."""
        won = state.rng.random(steps.rounds) < steps.rewards
        np.add.at(state.extra["successes"], (steps.states[:-1], steps.actions), won)
        return super().update(state, decision, steps)
