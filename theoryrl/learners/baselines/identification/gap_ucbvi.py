"""UCBVI that stops: optimism from the offline data on, until the gap of its own policy is bounded by eps.

The offline data are a warm start of the counts. The policy that is greedy for Qup is played while the data
grow by a fraction; the run stops when ``Vup - V^pi <= D_1 <= eps`` for it. The idea of the stopping rule is
that of BPI-UCBVI (Menard et al. 2021, arXiv:2007.13442); bonus and gap bound are those of the FTPedel page,
with their proof, for rewards that are not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners._identification import (
    Statistics,
    batch_size,
    check_accuracy,
    check_identification,
    halt,
)
from theoryrl.learners.baselines.identification._bounds import (
    gap_bound,
    numbers_of,
    row_bounds,
    value_bounds,
)
from theoryrl.learners.ftpedel import one_hot
from theoryrl.models import DeterministicPolicy
from theoryrl.protocol.identification import Batch, BatchCounts, IdentificationSpec


@dataclass(frozen=True, kw_only=True)
class GapUCBVI:
    """Play the optimistic policy until it is proven to be eps-optimal among all policies.

    Parameters
    ----------
    eps, delta
        Accuracy and probability with which the bounds may fail.
    growth
        Growth of the data per batch.
    use_offline
        Whether to start from the offline data.

    Notes
    -----
    Diagnostics: ``online``, ``stopped``, ``certified``, ``width`` (the gap bound), ``upper``.
    """

    eps: float = 0.1
    delta: float = 0.1
    growth: float = 0.05
    use_offline: bool = True

    key: ClassVar[str] = "gap-ucbvi"
    guaranteed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_identification(self)

    def init(self, spec: IdentificationSpec, rng: np.random.Generator) -> Statistics:
        """Return the warm start."""
        check_accuracy(self.eps, spec)
        return Statistics(**Statistics.fields_of(spec, rng, self.use_offline))

    def plan(self, state: Statistics) -> Batch:
        """Return the optimistic policy, to be played or to stop with."""
        H, _, A = state.spec.shape
        rows = row_bounds(state, self.delta)
        upper = value_bounds(rows).upper
        actions = upper.argmax(axis=2)
        own = np.take_along_axis(2 * rows.b, actions[..., None], axis=2)[..., 0]
        gap = gap_bound(rows, actions, own, state.spec.rho, (1 + 1 / H) ** 2, 1 + 3 * (1 + 1 / H))
        policy = DeterministicPolicy(actions, A)
        value = float(state.spec.rho @ upper[0].max(axis=1))
        numbers = numbers_of(state, gap <= self.eps, gap, upper=value)
        if numbers["stopped"]:
            return halt(state.spec, policy, numbers)
        episodes = batch_size(state.online, self.growth, state.left)
        return Batch(policy, one_hot(actions[None], A), np.array([episodes]), numbers)

    def update(self, state: Statistics, decision: Batch, observation: BatchCounts) -> Statistics:
        """Add a finished batch."""
        state.learn(decision, observation)
        return state
