"""Learners over a finite class of models: optimism on a level set, posterior sampling, maximum likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners._counts import require_unit_rewards
from theoryrl.learners.mex_finite import IMPOSSIBLE, FiniteModels
from theoryrl.models import FiniteModelClass
from theoryrl.models._validation import check_fraction, check_real, check_type
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories

LIKELIHOOD_TIE = 1e-9
"""Losses that differ by less are equal: sums of 1e5 logarithms in different orders."""


@dataclass(slots=True, eq=False)
class ClassState:
    """Losses of the candidates, and the learner's stream."""

    models: FiniteModels
    rng: np.random.Generator


@dataclass(frozen=True, kw_only=True)
class _ModelLearner:
    """What the three learners share: the class, and its log-likelihoods."""

    hypotheses: FiniteModelClass

    def __post_init__(self) -> None:
        check_type("hypotheses", self.hypotheses, FiniteModelClass)

    @property
    def guaranteed(self) -> bool:
        """Whether a theorem covers the run."""
        return True

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> ClassState:
        """Return the state without data."""
        require_unit_rewards(spec)
        return ClassState(FiniteModels.start(self.hypotheses, spec), rng)

    def plan(self, state: ClassState) -> EpisodicDecision:
        """Choose a candidate and play its optimal policy.

        Raises
        ------
        ValueError
            If every model of the class has become impossible.
        """
        if not np.isfinite(state.models.loss).any():
            raise ValueError(IMPOSSIBLE)
        index = self.choose(state)
        planned = state.models.planned
        diagnostics = {"index": float(index), "optimistic_value": float(planned.V[index])}
        return EpisodicDecision(planned.decisions[index], None, diagnostics)

    def update(self, state: ClassState, decision: EpisodicDecision, observation: Trajectories) -> ClassState:
        """Add the log-likelihoods of the episode."""
        state.models.record(observation)
        return state

    def choose(self, state: ClassState) -> int:
        """Return the index of the candidate to play."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class LevelSetOFU(_ModelLearner):
    """Optimism in a level set of the likelihood: argmax V_f subject to L(f) - min L <= radius.

    Parameters
    ----------
    hypotheses
        The class.
    delta
        Probability that the truth ever leaves the set.
    radius
        Default ``2 log(H |F| / delta)``, as is usual; ``log(|F| / delta)`` already keeps the truth inside in
        all episodes (Ville's inequality for the likelihood ratio).
    """

    delta: float = 0.05
    radius: float | None = None

    key: ClassVar[str] = "level-set-ofu"

    def __post_init__(self) -> None:
        _ModelLearner.__post_init__(self)
        check_fraction("delta", self.delta)
        if self.radius is not None:
            check_real("radius", self.radius, low=0.0)

    @property
    def guaranteed(self) -> bool:
        """Whether the radius keeps the truth in the set."""
        least = math.log(len(self.hypotheses) / self.delta)
        return self.radius is None or self.radius >= least

    def choose(self, state: ClassState) -> int:
        """Return the most optimistic plausible candidate."""
        H = self.hypotheses.horizon
        radius = self.radius
        if radius is None:
            radius = 2 * math.log(H * len(self.hypotheses) / self.delta)
        loss = state.models.loss
        plausible = loss - loss.min() <= radius
        return int(np.where(plausible, state.models.planned.V, -np.inf).argmax())


@dataclass(frozen=True, kw_only=True)
class FinitePSRL(_ModelLearner):
    """Posterior sampling over a finite class: a candidate drawn with weight exp(optimism V_f - L(f)).

    Parameters
    ----------
    hypotheses
        The class, with a uniform prior.
    optimism
        0 is posterior sampling; a positive factor on the value makes it *feel-good* (Zhang 2022), MEX's
        randomised sibling.
    """

    optimism: float = 0.0

    key: ClassVar[str] = "finite-psrl"

    def __post_init__(self) -> None:
        _ModelLearner.__post_init__(self)
        check_real("optimism", self.optimism, low=0.0)

    def choose(self, state: ClassState) -> int:
        """Draw a candidate from the posterior."""
        logits = self.optimism * state.models.planned.V - state.models.loss
        weights = np.exp(logits - logits.max())
        return int(state.rng.choice(len(weights), p=weights / weights.sum()))


@dataclass(frozen=True, kw_only=True)
class GreedyMLE(_ModelLearner):
    """Certainty equivalence: the most likely candidate (the most optimistic one of them), no exploration."""

    key: ClassVar[str] = "greedy-mle"

    @property
    def guaranteed(self) -> bool:
        """No theorem covers it: its regret can be linear."""
        return False

    def choose(self, state: ClassState) -> int:
        """Return the most optimistic of the most likely candidates, lowest index first."""
        loss = state.models.loss
        likeliest = loss <= loss.min() + LIKELIHOOD_TIE
        return int(np.where(likeliest, state.models.planned.V, -np.inf).argmax())
