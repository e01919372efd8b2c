"""OptCMDP: optimistic in the objective and in the constraint.

Source: Efroni, Mannor and Pirotta (2020), arXiv:2003.02189: solve the extended linear program over
policies and plausible kernels. The confidence set is the box of `_constrained`, whose form is recalled
from later work and whose constants are proved there; the paper's own constants were not re-read.

Any policy that is safe under *some* plausible kernel passes, so early episodes may violate the
constraint: only their sum is controlled. Where objective and constraint are the same reward, as here,
the constraint does not bind at all and this is optimistic planning without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners.baselines._constrained import ConstrainedLearner, ConstrainedState
from theoryrl.learners.baselines._programs import SOLVED, extended_program
from theoryrl.protocol import EpisodicDecision


@dataclass(frozen=True)
class OptCMDP(ConstrainedLearner):
    """The extended program with the rewards themselves, in objective and constraint.

    It is feasible whenever the box holds the true kernel; otherwise the baseline is played. It gives no
    certificate. Parameters and diagnostics: `ConstrainedLearner`.
    """

    key: ClassVar[str] = "opt-cmdp"

    def plan(self, state: ConstrainedState) -> EpisodicDecision:
        """Solve the extended program."""
        P_hat = state.kernel
        beta = self.box_radius(state, P_hat)
        plan = extended_program(P_hat, beta, state.rho, state.rewards, state.rewards, state.threshold)
        if plan.status != SOLVED:
            return self.play_baseline(state, plan.status, np.nan)
        return self.play_plan(state, plan, np.nan)
