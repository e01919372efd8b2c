"""Two Hedge players against each other, the classical way to a minimax winner (Yue and Joachims 2011).

Each needs the utilities against the other's policy, so that an iteration takes two queries. The duality
gap of the pair of averages is ``(Reg_1 + Reg_2) / T``. From equal starts both play what SPO plays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.learners._preference import check_positive
from theoryrl.learners.no_regret import default_step
from theoryrl.learners.spo import mean_policy, require_unregularized
from theoryrl.protocol import PreferenceDecision, PreferenceSpec
from theoryrl.solvers.preference.fields import LogPolicy
from theoryrl.solvers.simplex import log_normalize


@dataclass(slots=True, eq=False)
class DuelState:
    """Where the two players stand.

    Attributes
    ----------
    eta
        Step of both.
    starts
        Logits of both before they have learnt anything: shape [2, X, n].
    totals
        Sums of the utilities of both: shape [2, X, n].
    log_policies
        Logarithms of what they play in this iteration: shape [2, X, n].
    played
        Sums of what they have played: shape [2, X, n].
    answered
        Number of queries answered.
    """

    eta: float
    starts: Float[np.ndarray, "2 X n"]
    totals: Float[np.ndarray, "2 X n"]
    log_policies: Float[np.ndarray, "2 X n"]
    played: Float[np.ndarray, "2 X n"]
    answered: int = 0


@dataclass(frozen=True)
class DuellingHedge:
    """Two Hedge players; what the first has played on average is held.

    Parameters
    ----------
    eta
        Step of both. None: ``sqrt(2 ln n / T)`` for the T iterations that the rounds allow.
    tilt
        Size of a random difference between the logits that the two start from.
    """

    eta: float | None = None
    tilt: float = 0.0

    key: ClassVar[str] = "duelling-hedge"

    def __post_init__(self) -> None:
        if self.eta is not None:
            check_positive("eta", self.eta)
        if self.tilt != 0:
            check_positive("tilt", self.tilt)

    @property
    def guaranteed(self) -> bool:
        """Whether both start from the uniform policy, as Hedge's bound asks."""
        return self.tilt == 0

    def init(self, spec: PreferenceSpec, rng: np.random.Generator) -> DuelState:
        """Return the state before the first query."""
        require_unregularized(spec, self.key)
        shape = (2, *spec.shape)
        rounds = max(spec.rounds // 2, 1)
        eta = default_step("hedge", spec.n_actions, rounds) if self.eta is None else self.eta
        starts = self.tilt * rng.normal(size=shape) if self.tilt else np.zeros(shape)
        logs = log_normalize(starts)
        return DuelState(eta, starts, np.zeros(shape), logs, np.exp(logs))

    def plan(self, state: DuelState) -> PreferenceDecision:
        """Ask about the second player, then about the first."""
        asked: LogPolicy = state.log_policies[1 - state.answered % 2]
        return PreferenceDecision(mean_policy(state.played[0]), asked)

    def update(self, state: DuelState, decision: PreferenceDecision, field: LogPolicy) -> DuelState:
        """Give the answer to the player whose opponent was asked about; move on after both."""
        player = state.answered % 2
        state.totals = state.totals.copy()
        state.totals[player] += 2 * field
        state.answered += 1
        if player == 1:
            state.log_policies = log_normalize(state.starts + state.eta * state.totals)
            state.played = state.played + np.exp(state.log_policies)
        return state
