"""Elimination of actions, state by state, where states are worth reaching: in the manner of MOCA.

An action is eliminated at (h, s) when ``Qup(h, s, a) < max Qlow(h, s)``. Each batch goes to the pair that is
still in question with the largest product of its own uncertainty b and reach, the largest (optimistic)
probability of bringing the process there: rarely reached states need less accuracy, and what is uncertain
further on is learned there. The policy that is best
for Qlow is returned when its gap bound is at most eps.

Source: after the idea of MOCA (Wagenmaker, Simchowitz and Jamieson 2022, arXiv:2108.02717), which is recalled
and not reproduced: its phases and constants are others, and its bound on the number of episodes is not
claimed here. The bounds, with their proof, are those of the FTPedel page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners._identification import (
    Statistics,
    batch_size,
    check_accuracy,
    check_identification,
    halt,
    nearly_equal_parts,
)
from theoryrl.learners.baselines.identification._bounds import (
    RowBounds,
    gap_bound,
    numbers_of,
    row_bounds,
    value_bounds,
)
from theoryrl.learners.ftpedel import one_hot
from theoryrl.models import DeterministicPolicy
from theoryrl.models._validation import check_count
from theoryrl.protocol.identification import Batch, BatchCounts, IdentificationSpec


@dataclass(frozen=True, kw_only=True)
class ActionElimination:
    """Eliminate actions until the remaining policy is proven to be eps-optimal among all policies.

    Parameters
    ----------
    eps, delta, growth, use_offline
        As for `theoryrl.learners.GapUCBVI`.
    targets
        Pairs that a batch is split over.

    Notes
    -----
    Diagnostics: ``online``, ``stopped``, ``certified``, ``width`` (the gap bound), ``alive`` (pairs left).
    """

    eps: float = 0.1
    delta: float = 0.1
    growth: float = 0.05
    targets: int = 8
    use_offline: bool = True

    key: ClassVar[str] = "action-elimination"
    guaranteed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_count("targets", self.targets)
        check_identification(self)

    def init(self, spec: IdentificationSpec, rng: np.random.Generator) -> Statistics:
        """Return the warm start."""
        check_accuracy(self.eps, spec)
        return Statistics(**Statistics.fields_of(spec, rng, self.use_offline))

    def plan(self, state: Statistics) -> Batch:
        """Explore the pairs in question, or stop."""
        H, _, A = state.spec.shape
        rows = row_bounds(state, self.delta)
        bounds = value_bounds(rows)
        actions = bounds.lower.argmax(axis=2)
        own = np.take_along_axis(bounds.lower, actions[..., None], axis=2)[..., 0]
        local = np.maximum(bounds.upper.max(axis=2) - own, 0.0)
        gap = gap_bound(rows, actions, local, state.spec.rho, 1 + 1 / H, 3.0)
        alive = bounds.upper >= bounds.lower.max(axis=2, keepdims=True)
        policy = DeterministicPolicy(actions, A)
        numbers = numbers_of(state, gap <= self.eps, gap, alive=float(alive.sum()))
        if numbers["stopped"]:
            return halt(state.spec, policy, numbers)
        parts = nearly_equal_parts(batch_size(state.online, self.growth, state.left), self.targets)
        score = np.where(alive, rows.b, 0.0)
        paths = explorers(rows, score, state.spec.rho, len(parts), actions)
        return Batch(policy, one_hot(paths, A), parts, numbers)

    def update(self, state: Statistics, decision: Batch, observation: BatchCounts) -> Statistics:
        """Add a finished batch."""
        state.learn(decision, observation)
        return state


def explorers(
    rows: RowBounds,
    score: Float[np.ndarray, "H S A"],
    rho: Float[np.ndarray, " S"],
    number: int,
    onward: Int[np.ndarray, "H S"],
) -> Int[np.ndarray, "J H S"]:
    """Return policies towards the pairs with the largest product of score and optimistic reach."""
    H, S, _ = score.shape
    reach = np.zeros((H, S))
    paths = np.zeros((H, S, H, S), dtype=np.int64)
    rare = np.where(np.isfinite(rows.shift), 0.0, 1.0)  # a pair without data may lead anywhere
    for h in range(H):
        V = np.eye(S)
        for k in range(h - 1, -1, -1):
            Q = np.minimum(rows.P[k] @ V + rare[k][..., None], 1.0)
            paths[h, :, k] = Q.argmax(axis=1).T
            V = Q.max(axis=1)
        reach[h] = rho @ V
    worth = score * reach[..., None]
    chosen = np.argsort(-worth, axis=None, kind="stable")[:number]
    policies = np.repeat(onward[None], number, axis=0)
    for j, cell in enumerate(chosen):
        h, s, a = (int(i) for i in np.unravel_index(int(cell), worth.shape))
        policies[j, :h] = paths[h, s, :h]
        policies[j, h, s] = a
    return np.resize(policies[: len(chosen)], (number, H, S))
