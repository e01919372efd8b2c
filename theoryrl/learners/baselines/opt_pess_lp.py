"""OptPess-LP: optimistic rewards, pessimistic constraint, one empirical kernel.

Source: Liu, Zhou, Kalathil, Kumar and Tian (2021), arXiv:2106.02684: play the baseline until its
pessimistic value passes the threshold, then solve a linear program in the empirical kernel with rewards
r + c b in the objective and r - b in the constraint. That shape is the paper's. Its constants are
recalled only (a bonus of order (1 + S H) sqrt(ln(S A H K / delta) / n), an optimism factor of order
1 + H / margin), and are not used: b here is proved by the lines below, c in `_constrained`.

By Pinsker's inequality ``|phat - P|_1 <= sqrt(2 KL(phat || P)) <= sqrt(2 x / n)``, with x the Dirichlet
mixture threshold that holds for all counts of all H S A cells at once with probability 1 - delta, so
b_h = (H-h-1) min(1, sqrt(x / (2 n))) bounds ``|(phat - P) V|`` for every V with values in [0, H-h-1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.learners.baselines._constrained import (
    GATED,
    UNCERTIFIED,
    ConstrainedLearner,
    ConstrainedState,
    optimism_factor,
)
from theoryrl.learners.baselines._programs import SOLVED, occupancy_program
from theoryrl.learners.confidence import kl_mixture_threshold
from theoryrl.protocol import EpisodicDecision


@dataclass(frozen=True)
class OptPessLP(ConstrainedLearner):
    """Safe in every episode with probability 1 - delta, and optimistic once the baseline is certified.

    Parameters and diagnostics: `ConstrainedLearner`.
    """

    key: ClassVar[str] = "opt-pess-lp"

    def plan(self, state: ConstrainedState) -> EpisodicDecision:
        """Play the baseline until it is certified, then solve the program in the empirical kernel."""
        P_hat, b = state.kernel, self.bonus(state)
        pessimistic = state.rewards - b
        safe_value = state.value(P_hat, pessimistic, state.baseline)
        margin = safe_value - state.threshold - state.solver_slack
        if margin <= 0:
            return self.play_baseline(state, GATED, safe_value)
        optimistic = state.rewards + optimism_factor(len(b), state.threshold, margin) * b
        limit = state.threshold + state.solver_slack
        plan = occupancy_program(P_hat, state.rho, optimistic, pessimistic, limit)
        if plan.status != SOLVED or plan.policy is None:
            return self.play_baseline(state, plan.status, safe_value)
        certificate = state.value(P_hat, pessimistic, plan.policy)
        if certificate < state.threshold:
            return self.play_baseline(state, UNCERTIFIED, safe_value)
        return self.play_plan(state, plan, certificate)

    def bonus(self, state: ConstrainedState) -> Float[np.ndarray, "H S A"]:
        """Return b[h, s, a], in units of the return."""
        H, S, A = state.n.shape
        share = math.log(H * S * A / self.delta)
        width = np.ones((H, S, A))
        for cell in zip(*np.nonzero(state.n), strict=True):
            x = kl_mixture_threshold(state.n_next[cell], S, share)
            width[cell] = min(1.0, self.bonus_scale * math.sqrt(x / (2 * state.n[cell])))
        return state.ranges * width
