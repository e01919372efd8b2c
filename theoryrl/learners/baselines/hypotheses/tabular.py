"""Tabular learners beside MEX: KL-UCB value iteration, and undirected exploration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners.baselines.bpi_ucbvi import BPIUCBVI
from theoryrl.learners.mex_tabular import Counts
from theoryrl.models import Policy
from theoryrl.models._validation import check_real
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.maximize_to_explore import _q_kernels


@dataclass(frozen=True, kw_only=True)
class KLUCBVI(BPIUCBVI):
    """Optimistic value iteration over KL balls around the empirical rows (in the manner of KL-UCRL).

    `BPIUCBVI` with the bounds ``kl`` of the StepMix page, whose radii are proved there.
    """

    bounds: str = "kl"

    key: ClassVar[str] = "kl-ucbvi"


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
