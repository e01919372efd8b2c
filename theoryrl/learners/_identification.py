"""What the learners that look for a good policy share: their statistics, stages of accuracy, elimination."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners._guarantee import warn_if_void
from theoryrl.models import DeterministicPolicy
from theoryrl.models._validation import at, check_fraction, check_real, first_index
from theoryrl.protocol.identification import Batch, BatchCounts, IdentificationSpec
from theoryrl.solvers.experiment_design.widths import EmpiricalModel

STOPS = ("2eps", "paper")


@dataclass(eq=False)
class Statistics:
    """Data so far, offline data included, and how many episodes were played online."""

    spec: IdentificationSpec
    rng: np.random.Generator
    transitions: Int[np.ndarray, "H S A S"]
    reward_sums: Float[np.ndarray, "H S A"]
    online: int = 0

    @classmethod
    def fields_of(cls, spec: IdentificationSpec, rng: np.random.Generator, offline: bool) -> dict[str, Any]:
        """Return the fields of a state before the first episode."""
        H, S, A = spec.shape
        data = spec.offline if offline else None
        transitions = np.zeros((H, S, A, S), dtype=np.int64) if data is None else data.transitions.copy()
        sums = np.zeros((H, S, A)) if data is None else data.reward_sums.copy()
        return {"spec": spec, "rng": rng, "transitions": transitions, "reward_sums": sums}

    @property
    def left(self) -> int:
        """Episodes that may still be played."""
        return self.spec.budget - self.online

    def model(self, lam: float) -> EmpiricalModel:
        """Return the empirical model."""
        return EmpiricalModel.of(self.transitions, self.reward_sums, self.spec.rho, lam)

    def learn(self, decision: Batch, seen: BatchCounts) -> None:
        """Add a finished batch.

        Raises
        ------
        ValueError
            If a sum of rewards is not that of rewards in [0, 1].
        """
        if seen.transitions is None or seen.reward_sums is None:
            return
        visits = seen.transitions.sum(axis=3)
        outside = (seen.reward_sums < 0) | (seen.reward_sums > visits * (1 + 1e-12))
        if outside.any():
            index = first_index(outside)
            raise ValueError(
                f"{at('reward_sums', index)} must be that of {visits[index]} rewards in [0, 1]; "
                f"got {float(seen.reward_sums[index])!r}"
            )
        self.transitions += seen.transitions
        self.reward_sums += seen.reward_sums
        self.online += int(decision.episodes.sum())


@dataclass(eq=False)
class EliminationState(Statistics):
    """Further: the policies that are still in question, and how accurate the present stage is to be."""

    alive: Int[np.ndarray, " M"] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    level: int = 0
    best: int = 0
    stopped: bool = False
    certified: bool = False
    looks: int = 0

    @property
    def actions(self) -> Int[np.ndarray, "M H S"]:
        """Actions of the policies that are still in question."""
        return self.spec.policies.actions[self.alive]


def stage_accuracy(level: int, horizon: int, eps: float, stop: str) -> float:
    """Return eps_l."""
    accuracy = horizon * 2.0**-level
    return max(accuracy, eps / 2) if stop == "2eps" else accuracy


def is_last(accuracy: float, eps: float, stop: str) -> bool:
    """Whether the stage of this accuracy proves eps-optimality."""
    return (2 if stop == "2eps" else 4) * accuracy <= eps


def eliminate(
    alive: Int[np.ndarray, " M"], values: Float[np.ndarray, " M"], accuracy: float, slack: float = 2.0
) -> tuple[Int[np.ndarray, " N"], int]:
    """Return the policies with ``Vhat >= max Vhat - slack eps_l``, and the empirically best one."""
    keep = values >= values.max() - slack * accuracy
    return alive[keep], int(alive[int(values.argmax())])


def check_identification(learner: Any) -> None:
    """Check the parameters that all these learners have, and warn where they void the guarantee."""
    check_fraction("delta", learner.delta)
    for name in ("eps", "lam", "conf_scale", "growth", "eta"):
        number = getattr(learner, name, 1.0)
        if check_real(name, number, low=0.0) == 0:
            raise ValueError(f"{name} must be positive; got {number!r}")
    scale = getattr(learner, "conf_scale", 1.0)
    reasons = [f"conf_scale = {scale} is below 1"] if scale < 1 else []
    reasons += getattr(learner, "reasons", [])
    warn_if_void(learner, 1.0, *reasons)


def check_accuracy(eps: float, spec: IdentificationSpec) -> None:
    """Raise unless eps is in (0, H]."""
    if eps > spec.shape[0]:
        raise ValueError(f"eps must be in (0, {spec.shape[0]}]; got {eps!r}")


def recommend(state: Statistics, index: int) -> DeterministicPolicy:
    """Return a policy of the class."""
    policies = state.spec.policies
    return DeterministicPolicy.trusted(policies.actions[index], policies.n_actions)


def halt(spec: IdentificationSpec, policy: DeterministicPolicy, diagnostics: dict[str, float]) -> Batch:
    """Return the decision to play nothing more."""
    nothing = np.zeros((0, *spec.shape))
    return Batch(policy, nothing, np.zeros(0, dtype=np.int64), diagnostics)


def batch_size(online: int, growth: float, left: int) -> int:
    """Return how many episodes to play next: a fraction of those played, and no more than are left."""
    return min(left, max(1, int(growth * online)))


def nearly_equal_parts(total: int, parts: int) -> Int[np.ndarray, " J"]:
    """Split a number into at most that many positive parts."""
    parts = min(parts, total)
    return np.full(parts, total // parts) + (np.arange(parts) < total % parts)
