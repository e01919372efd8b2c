"""Least-squares value iteration on linear models: optimistic, randomised, greedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners._counts import require_unit_rewards
from theoryrl.learners.mex_linear import Regressions
from theoryrl.models import DeterministicPolicy
from theoryrl.models._validation import check_real
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.maximize_to_explore.linear_q import PlannedLinearQ, least_squares_values


@dataclass(slots=True, eq=False)
class LinearState:
    """Regressions, and the learner's stream."""

    regressions: Regressions
    rng: np.random.Generator


@dataclass(frozen=True, kw_only=True)
class _LinearLearner:
    """What the learners share: ridge regressions of rewards plus clipped next values."""

    ridge: float = 1.0

    key: ClassVar[str]

    def __post_init__(self) -> None:
        if check_real("ridge", self.ridge, low=0.0) == 0.0:
            raise ValueError("ridge must be positive; got 0")

    @property
    def guaranteed(self) -> bool:
        """The factors are tuned, not those of a theorem."""
        return False

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> LinearState:
        """Return the state without data."""
        require_unit_rewards(spec)
        return LinearState(Regressions.begin(spec, self.ridge, self.key), rng)

    def plan(self, state: LinearState) -> EpisodicDecision:
        """Fit backwards and play greedily."""
        plan = self.fit(state)
        policy = DeterministicPolicy.trusted(plan.actions, state.regressions.phi.shape[1])
        return EpisodicDecision(policy, None, {"optimistic_value": plan.start_value})

    def update(
        self, state: LinearState, decision: EpisodicDecision, observation: Trajectories
    ) -> LinearState:
        """Add the episode to the regressions."""
        state.regressions.record(observation)
        return state

    def fit(self, state: LinearState) -> PlannedLinearQ:
        """Return the fitted values and their greedy actions."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class LSVI(_LinearLearner):
    """LSVI-UCB (Jin, Yang, Wang and Jordan 2020): the bonus is beta ||phi||_{Lambda^{-1}}; 0 is greedy.

    Parameters
    ----------
    beta
        Factor of the bonus. The theory's is c d H sqrt(log) with an unspecified c, so this is tuned.
    ridge
        lambda.
    """

    beta: float = 1.0

    key: ClassVar[str] = "lsvi"

    def __post_init__(self) -> None:
        _LinearLearner.__post_init__(self)
        check_real("beta", self.beta, low=0.0)

    def fit(self, state: LinearState) -> PlannedLinearQ:
        """Fit with the bonus."""
        return least_squares_values(state.regressions.data, self.beta)


@dataclass(frozen=True, kw_only=True)
class RLSVI(_LinearLearner):
    """RLSVI (Osband, Van Roy and Wen 2016): w ~ N(what, sigma^2 Lambda^{-1}), greedy for the sample.

    Parameters
    ----------
    sigma
        Standard deviation of the noise, in units of the value.
    ridge
        lambda.
    """

    sigma: float = 0.5

    key: ClassVar[str] = "rlsvi"

    def __post_init__(self) -> None:
        _LinearLearner.__post_init__(self)
        check_real("sigma", self.sigma, low=0.0)

    def fit(self, state: LinearState) -> PlannedLinearQ:
        """Fit with a random shift of the weights."""
        data = state.regressions.data
        H, d = data.b.shape
        factor = np.linalg.cholesky(data.inverse)
        shift = self.sigma * np.einsum("hij,hj->hi", factor, state.rng.standard_normal((H, d)))
        return least_squares_values(data, 0.0, shift)
