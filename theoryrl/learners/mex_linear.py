"""MEX over linear action-value functions: ridge regressions, and the alternation of the planner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners.mex_tabular import refuse_error
from theoryrl.learners.ridge import Ridge
from theoryrl.models import DeterministicPolicy, LinearQClass
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.maximize_to_explore.linear_q import RidgeData, least_squares_values, plan_linear_q

START_BONUS = 0.3
"""Factor of the bonus of the optimistic policy from which an alternation starts."""


@dataclass(slots=True, eq=False)
class Regressions:
    """Ridge regressions of rewards plus next values, for learners on linear models.

    Attributes
    ----------
    phi
        Features: shape [S, A, d].
    ridge
        Lambda_h, its inverse and G_h.
    b
        sum phi r: shape [H, d].
    rho
        Law of the first state.
    """

    phi: Float[np.ndarray, "S A d"]
    ridge: Ridge
    b: Float[np.ndarray, "H d"]
    rho: Float[np.ndarray, " S"]

    @classmethod
    def begin(cls, spec: EpisodicSpec, ridge: float, learner: str) -> Regressions:
        """Return the regressions without data."""
        if spec.phi is None:
            raise ValueError(f"{learner} needs a problem with features (a LinearMDP); spec.phi is None")
        H, S, _ = spec.shape
        d = spec.phi.shape[2]
        return cls(np.array(spec.phi), Ridge.start(H, d, S, ridge), np.zeros((H, d)), np.array(spec.rho))

    @property
    def data(self) -> RidgeData:
        """What the planner needs."""
        ridge = self.ridge
        return RidgeData(self.phi, ridge.Lambda, ridge.inverse, self.b, ridge.G, self.rho)

    def record(self, observation: Trajectories) -> None:
        """Add the episodes."""
        states, actions, rewards = observation
        self.ridge.record(self.phi, states, actions)
        seen = self.phi[states[:, :-1], actions]
        self.b += np.einsum("khd,kh->hd", seen, rewards)


@dataclass(slots=True, eq=False)
class LinearFunctions:
    """State of MEX over linear functions: regressions, and the last policy."""

    regressions: Regressions
    actions: Int[np.ndarray, "H S"] | None = None

    kind = "model-free"

    @classmethod
    def start(cls, hypotheses: LinearQClass, spec: EpisodicSpec) -> LinearFunctions:
        """Return the state without data."""
        return cls(Regressions.begin(spec, hypotheses.ridge, "mex over linear functions"))

    def plan(self, eta: float, error: float) -> EpisodicDecision:
        """Alternate from the optimistic policy and from the last one; there is no certificate."""
        refuse_error(error)
        data = self.regressions.data
        optimistic = least_squares_values(data, START_BONUS).actions
        starts = (optimistic,) if self.actions is None else (optimistic, self.actions)
        plan = plan_linear_q(data, eta, starts)
        self.actions = plan.actions
        diagnostics = {"eta": eta, "objective": plan.objective, "optimistic_value": plan.start_value}
        policy = DeterministicPolicy.trusted(plan.actions.copy(), self.regressions.phi.shape[1])
        return EpisodicDecision(policy, None, diagnostics)

    def record(self, observation: Trajectories) -> None:
        """Add the episodes to the regressions."""
        self.regressions.record(observation)
