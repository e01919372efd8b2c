"""VI-LCB: pessimistic value iteration on the offline data, and no episode online.

    Q = max(rhat + Phat V - b, 0),   b = (H-h+1) sqrt(log(2 H S A n^2 / delta) / (2 n)),  H-h+1 without data

With probability 1 - delta the value is a lower bound on V*, by induction with the fixed function V*. It is
*not* one on the value of the policy that is returned, whose V is fitted on later stages of the same data.
Where data cover the optimal policy that policy is good; the learner cannot know: it is the unverifiable end
of the scale. `theoryrl.learners.learn_baseline` has certificates on the policy's own value.

Source: Rashidinejad et al. (2021), arXiv:2103.12021; constants as above, the FTPedel page's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners._identification import Statistics, halt
from theoryrl.models import DeterministicPolicy
from theoryrl.models._validation import check_fraction
from theoryrl.protocol.identification import Batch, BatchCounts, IdentificationSpec


@dataclass(frozen=True, kw_only=True)
class VILCB:
    """Return the policy that is best for lower bounds; ties go to the lowest index.

    Parameters
    ----------
    delta
        Probability with which the lower bound on V* may fail.

    Notes
    -----
    Diagnostics: ``online`` (0), ``stopped`` (1), ``certified`` (0), ``lower`` (a lower bound on V*).
    """

    delta: float = 0.1

    key: ClassVar[str] = "vi-lcb"
    guaranteed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fraction("delta", self.delta)

    def init(self, spec: IdentificationSpec, rng: np.random.Generator) -> Statistics:
        """Return the offline data."""
        return Statistics(**Statistics.fields_of(spec, rng, True))

    def plan(self, state: Statistics) -> Batch:
        """Return the pessimistic policy and stop."""
        H, S, A = state.spec.shape
        N = state.transitions.sum(axis=3)
        n = np.maximum(N, 1)
        actions, V = np.zeros((H, S), dtype=np.int64), np.zeros(S)
        for h in range(H - 1, -1, -1):
            log = np.log(2 * H * S * A * n[h].astype(np.float64) ** 2 / self.delta)
            b = np.where(N[h] > 0, (H - h) * np.sqrt(log / (2 * n[h])), H - h)
            rows = (state.reward_sums[h] + state.transitions[h] @ V) / n[h]
            Q = np.maximum(rows - b, 0.0)
            actions[h], V = Q.argmax(axis=1), Q.max(axis=1)
        numbers = {"online": 0.0, "stopped": 1.0, "certified": 0.0, "lower": float(state.spec.rho @ V)}
        return halt(state.spec, DeterministicPolicy(actions, A), numbers)

    def update(self, state: Statistics, decision: Batch, observation: BatchCounts) -> Statistics:
        """Nothing is played."""
        return state
