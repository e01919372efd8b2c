"""DOPE: optimistic model, optimistic rewards, pessimistic constraint.

Source: Bura, HasanzadeZonuzy, Kalathil, Shakkottai and Chamberland (2022), arXiv:2112.00885: play the
baseline for K_0 episodes, then solve the extended program over policies and kernels in a Bernstein box,
with rewards r + c b in the objective and r - b in the constraint. That shape and the numbers of the box
are recalled; their validity, b and c are proved in `_constrained`. K_0 is recalled as of order
S^2 A H^3 / margin^2, which needs the margin: by default the data decide instead, and the baseline is
played until its pessimistic value passes the threshold.

The box has ``|P' - P| <= 2 beta`` for any two kernels in it, so every feasible policy of the program is safe.
The program picks its kernel itself, so the certificate of a policy is its largest pessimistic value over
the box, computed by dynamic programming and not read off the solver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners.baselines._constrained import (
    GATED,
    UNCERTIFIED,
    ConstrainedLearner,
    ConstrainedState,
    optimism_factor,
)
from theoryrl.learners.baselines._kernels import optimistic_policy_value
from theoryrl.learners.baselines._programs import SOLVED, extended_program
from theoryrl.models._validation import LARGEST_COUNT, check_count
from theoryrl.protocol import EpisodicDecision


@dataclass(frozen=True)
class DOPE(ConstrainedLearner):
    """Safe in every episode with probability 1 - delta, and optimistic once the baseline is certified.

    Parameters
    ----------
    baseline_episodes
        K_0, the least number of episodes that play the baseline. Safety does not depend on it.

    Notes
    -----
    Other parameters and diagnostics: `ConstrainedLearner`.
    """

    baseline_episodes: int = 0

    key: ClassVar[str] = "dope"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("baseline_episodes", self.baseline_episodes, low=0, high=LARGEST_COUNT)

    def plan(self, state: ConstrainedState) -> EpisodicDecision:
        """Play the baseline until it is certified, then solve the extended program."""
        P_hat = state.kernel
        beta = self.box_radius(state, P_hat)
        b = state.ranges * np.minimum(1.0, beta.sum(axis=-1))
        pessimistic = state.rewards - b
        safe_value = state.value(P_hat, pessimistic, state.baseline)
        margin = safe_value - state.threshold - state.solver_slack
        if margin <= 0 or state.played < self.baseline_episodes:
            return self.play_baseline(state, GATED, safe_value)
        optimistic = state.rewards + optimism_factor(len(b), state.threshold, margin) * b
        limit = state.threshold + state.solver_slack
        plan = extended_program(P_hat, beta, state.rho, optimistic, pessimistic, limit)
        if plan.status != SOLVED or plan.policy is None:
            return self.play_baseline(state, plan.status, safe_value)
        pi = plan.policy.stages(len(b))
        certificate = float(optimistic_policy_value(P_hat, beta, pessimistic, state.rho, pi))
        if certificate < state.threshold:
            return self.play_baseline(state, UNCERTIFIED, safe_value)
        return self.play_plan(state, plan, certificate)
