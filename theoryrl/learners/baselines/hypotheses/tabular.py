"""Tabular learners beside MEX: KL-UCB value iteration, the relaxation, and undirected exploration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from theoryrl.learners.baselines.bpi_ucbvi import BPIUCBVI
from theoryrl.learners.mex_tabular import Counts
from theoryrl.models import DeterministicPolicy, Policy
from theoryrl.models._validation import check_real
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.maximize_to_explore import _model_kernels, _q_kernels
from theoryrl.solvers.maximize_to_explore.tabular_model import check_eta


@dataclass(frozen=True, kw_only=True)
class KLUCBVI(BPIUCBVI):
    """Optimistic value iteration over KL balls around the empirical rows (in the manner of KL-UCRL).

    `BPIUCBVI` with the bounds ``kl`` of the StepMix page, whose radii are proved there.
    """

    bounds: str = "kl"

    key: ClassVar[str] = "kl-ucbvi"


@dataclass(slots=True, eq=False)
class RelaxedState:
    """Counts, the known rewards, and where transitions may go."""

    counts: Counts
    rewards: Float[np.ndarray, "H S A"]
    allowed: Bool[np.ndarray, "H S A S"]


@dataclass(frozen=True, kw_only=True)
class RelaxedMEX:
    """The relaxation of MEX over all kernels as a learner: optimistic value iteration priced by KL.

    It maximises E_P[sum r - eta n KL(phat || P)], the upper bound of `plan_tabular_model`: one dynamic
    program per episode, solved exactly, and no local maxima; but another objective than MEX's.

    Parameters
    ----------
    eta
        Price of one nat, positive.
    """

    eta: float = 1.0

    key: ClassVar[str] = "relaxed-mex"

    def __post_init__(self) -> None:
        check_eta(self.eta)

    @property
    def guaranteed(self) -> bool:
        """No theorem covers it."""
        return False

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> RelaxedState:
        """Return the state without data."""
        if spec.rewards is None:
            raise ValueError("relaxed-mex needs known rewards; spec.rewards is None")
        H, S, A = spec.shape
        allowed = np.ones((H, S, A, S), dtype=np.bool_) if spec.support is None else np.array(spec.support)
        return RelaxedState(Counts.begin(spec), np.array(spec.rewards), allowed)

    def plan(self, state: RelaxedState) -> EpisodicDecision:
        """Return the policy of the dynamic program."""
        c = state.counts
        P, V = np.empty(c.N.shape), np.zeros((c.n.shape[0] + 1, c.n.shape[1]))
        actions = np.empty(c.n.shape[:2], dtype=np.int64)
        _model_kernels.relaxed_values(
            c.N, c.n, state.rewards, float(self.eta), c.caps, state.allowed, P, V, actions
        )
        policy = DeterministicPolicy.trusted(actions, c.n.shape[2])
        return EpisodicDecision(policy, None, {"eta": float(self.eta), "objective": float(c.rho @ V[0])})

    def update(
        self, state: RelaxedState, decision: EpisodicDecision, observation: Trajectories
    ) -> RelaxedState:
        """Count the episode."""
        state.counts.record(observation)
        return state


@dataclass(frozen=True, kw_only=True)
class EpsilonGreedy:
    """Greedy for the empirical model, with a uniform action instead with probability epsilon per step.

    Parameters
    ----------
    epsilon
        In [0, 1]; 0 is greedy, the limit of MEX for eta to infinity. Cells without data are worth H - h.
    """

    epsilon: float = 0.1

    key: ClassVar[str] = "epsilon-greedy"

    def __post_init__(self) -> None:
        check_real("epsilon", self.epsilon, low=0.0, high=1.0)

    @property
    def guaranteed(self) -> bool:
        """No theorem covers it."""
        return False

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> Counts:
        """Return empty counts."""
        return Counts.begin(spec)

    def plan(self, state: Counts) -> EpisodicDecision:
        """Return the empirical model's optimal policy, mixed with uniform actions."""
        H, S, A = state.n.shape
        Q, V, actions = np.empty((H, S, A)), np.zeros((H + 1, S)), np.empty((H, S), dtype=np.int64)
        _q_kernels.bonus_values(state.N, state.n, state.means, np.zeros((H, S, A)), Q, V, actions)
        pi = np.full((H, S, A), self.epsilon / A)
        np.put_along_axis(pi, actions[..., None], 1 - self.epsilon + self.epsilon / A, axis=2)
        return EpisodicDecision(Policy.trusted(pi), None, {"optimistic_value": float(state.rho @ V[0])})

    def update(self, state: Counts, decision: EpisodicDecision, observation: Trajectories) -> Counts:
        """Count the episode."""
        state.record(observation)
        return state
