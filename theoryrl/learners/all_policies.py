"""FTPedel for the class of all deterministic policies, which is too large to be enumerated.

The certificate is `theoryrl.solvers.all_policy_certificate`: sound at every time, from current data alone, in
polynomial time. Exploration gives half of each batch to the empirically best policy, whose lower bound must
rise, and half to policies that make the upper bound fall: by turns those with the largest index, and those
with the largest share of it that is width. They are dynamic programs on virtual counts, J steps in a batch.
No rate is claimed.

Source: ours; FTPedel page, all policies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from theoryrl.learners._identification import (
    Statistics,
    batch_size,
    check_accuracy,
    check_identification,
    halt,
    nearly_equal_parts,
)
from theoryrl.learners.ftpedel import one_hot
from theoryrl.models import TransitionCounts
from theoryrl.models._validation import check_count, check_flag
from theoryrl.protocol.identification import Batch, BatchCounts, IdentificationSpec
from theoryrl.solvers.experiment_design import all_policy_certificate
from theoryrl.solvers.experiment_design.relaxation import greedy_actions


@dataclass(frozen=True, kw_only=True)
class AllPolicyFTPedel:
    """Find an eps-optimal policy among all; the class of the task is not used.

    Parameters
    ----------
    eps, delta, conf_scale, inner_steps, growth, lam, use_offline
        As for `theoryrl.learners.FTPedel`.
    cuts
        Rounds of linear programs in the certificate.

    Notes
    -----
    Diagnostics: ``online``, ``stopped``, ``certified``, ``width`` (upper - lower), ``lower``, ``upper``.
    """

    eps: float = 0.1
    delta: float = 0.1
    conf_scale: float = 1.0
    inner_steps: int = 8
    growth: float = 0.25
    lam: float = 1.0
    cuts: int = 1
    use_offline: bool = True

    key: ClassVar[str] = "all-policy-ftpedel"

    def __post_init__(self) -> None:
        check_count("inner_steps", self.inner_steps)
        check_count("cuts", self.cuts, low=0)
        check_flag("use_offline", self.use_offline)
        check_identification(self)

    @property
    def guaranteed(self) -> bool:
        """Whether the radii are those of the proof."""
        return self.conf_scale >= 1

    def init(self, spec: IdentificationSpec, rng: np.random.Generator) -> Statistics:
        """Return the state before the first episode."""
        check_accuracy(self.eps, spec)
        return Statistics(**Statistics.fields_of(spec, rng, self.use_offline))

    def certificate(self, state: Statistics) -> Any:
        """Return the certificate of the data so far."""
        data = TransitionCounts(state.transitions, state.reward_sums)
        return all_policy_certificate(data, state.spec.rho, self.delta, self.lam, self.cuts, self.conf_scale)

    def plan(self, state: Statistics) -> Batch:
        """Explore until the bounds are eps apart."""
        found = self.certificate(state)
        certified = found.upper - found.lower <= self.eps
        stopped = certified or state.left <= 0
        numbers = {
            "online": float(state.online), "stopped": float(stopped), "certified": float(certified),
            "width": found.upper - found.lower, "lower": found.lower, "upper": found.upper,
        }  # fmt: skip
        if stopped:
            return halt(state.spec, found.policy, numbers)
        episodes = batch_size(state.online, self.growth, state.left)
        parts = nearly_equal_parts(episodes - episodes // 2, self.inner_steps)
        chosen = [*self._optimists(state, found.index, parts), found.policy.actions]
        played = np.append(parts, episodes // 2)
        return Batch(found.policy, one_hot(np.array(chosen), state.spec.shape[2]), played, numbers)

    def _optimists(self, state: Statistics, index: np.ndarray, parts: np.ndarray) -> list[np.ndarray]:
        """Return policies with the largest bonuses and the largest index, which virtual episodes shrink."""
        model = state.model(self.lam)
        bonus, virtual = index - model.R, np.zeros(model.N.shape)
        chosen = []
        for j, episodes in enumerate(parts):
            shrunk = bonus * (model.N + self.lam) / (model.N + virtual + self.lam)
            actions = greedy_actions(model, model.R + shrunk if j % 2 else shrunk)
            chosen.append(actions)
            weight, states = model.rho, np.arange(len(model.rho))
            for h, a in enumerate(actions):
                virtual[h, states, a] += episodes * weight
                weight = weight @ model.P[h][states, a]
        return chosen

    def update(self, state: Statistics, decision: Batch, observation: BatchCounts) -> Statistics:
        """Add a finished batch."""
        state.learn(decision, observation)
        return state
