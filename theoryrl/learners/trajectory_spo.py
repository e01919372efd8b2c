"""SPO over all history-dependent policies of a known MDP, by follow-the-regularised-leader on laws.

    law_t = argmax <law, R_{t-1} + hint> - KL(law || law of the uniform policy) / eta,

with R_t = u_1 + ... + u_t, and u_t(xi) the win rate of trajectory xi against law_t on the scale [-1, 1].
The maximiser comes from one backward pass of soft values over the histories, and is mirror descent from
law_{t-1}. The mean of the laws is the law of one behaviour policy (`theoryrl.solvers.behaviour_of`).

Derived on the SPO page, in the spirit of Swamy et al. (2024), whose learners are deep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners._preference import check_positive
from theoryrl.learners.no_regret import OPTIMISTIC_STEP
from theoryrl.models.trajectory import Leaves
from theoryrl.protocol import TrajectoryDecision, TrajectorySpec
from theoryrl.solvers import soft_trajectory_response, trajectory_law


@dataclass(slots=True, eq=False)
class LawState:
    """Where the method stands.

    Attributes
    ----------
    spec
        What it was told.
    eta
        Step.
    gains
        R: shape [N].
    law
        Of the current policy: shape [N].
    total
        Sum of the laws so far, the current one included: shape [N].
    rounds
        How many they are.
    """

    spec: TrajectorySpec
    eta: float
    gains: Leaves
    law: Leaves
    total: Leaves
    rounds: int = 1


@dataclass(frozen=True)
class TrajectorySPO:
    """SPO over trajectories, with exact win rates.

    Parameters
    ----------
    optimistic
        Whether the last utilities are counted twice, as the hint of the next.
    eta
        None: ``sqrt(2 H ln A / T)``, or 1/2 if optimistic.
    """

    optimistic: bool = False
    eta: float | None = None

    key: ClassVar[str] = "trajectory-spo"

    def __post_init__(self) -> None:
        if self.eta is not None:
            check_positive("eta", self.eta)

    @property
    def guaranteed(self) -> bool:
        """Whether a theorem bounds the exploitability with this step."""
        return not self.optimistic or self.eta is None or self.eta <= OPTIMISTIC_STEP

    def step(self, spec: TrajectorySpec) -> float:
        """Return eta."""
        if self.eta is not None:
            return self.eta
        if self.optimistic:
            return OPTIMISTIC_STEP
        return float(np.sqrt(2 * spec.horizon * np.log(spec.P.shape[1]) / spec.rounds))

    def init(self, spec: TrajectorySpec, rng: np.random.Generator) -> LawState:
        """Return the state in the first round: the uniform policy."""
        zero = np.zeros(spec.n_trajectories)
        law = self.respond(spec, zero)
        return LawState(spec, self.step(spec), zero, law, law)

    def plan(self, state: LawState) -> TrajectoryDecision:
        """Hold the mean, and ask about the current law."""
        return TrajectoryDecision(state.total / state.rounds, state.law)

    def update(self, state: LawState, decision: TrajectoryDecision, field: Leaves) -> LawState:
        """Learn from the utilities, which are twice the field."""
        u = 2 * field
        state.gains = state.gains + u
        hinted = state.gains + u if self.optimistic else state.gains
        state.law = self.respond(state.spec, state.eta * hinted)
        state.total = state.total + state.law
        state.rounds += 1
        return state

    @staticmethod
    def respond(spec: TrajectorySpec, scaled: Leaves) -> Leaves:
        """Return the law that maximises its gain minus its divergence from the uniform policy's."""
        _, logs = soft_trajectory_response(spec.P, spec.rho, scaled)
        return trajectory_law(spec.P, spec.rho, [np.exp(stage) for stage in logs])
