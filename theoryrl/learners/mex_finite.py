"""MEX over a finite class of models: what it keeps, how it chooses, and whole runs in one compiled call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners import _mex_kernels, gec
from theoryrl.models import DeterministicPolicy, FiniteModelClass
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.episodic._kernels import optimal_values


class PlannedClass:
    """The optimal value and policy of each candidate, solved once; shared by all runs of a learner.

    Attributes
    ----------
    V
        Optimal start value of each candidate: shape [M].
    policies
        Optimal actions, lowest index on ties: shape [M, H, S].
    log_P
        Log-probabilities, minus infinity where impossible: shape [H, S, A, S, M].
    """

    def __init__(self, models: FiniteModelClass) -> None:
        M, H, S, A = models.r.shape
        Q, V = np.empty((H, S, A)), np.zeros((H + 1, S))
        self.models = models
        self.policies = np.empty((M, H, S), dtype=np.int64)
        self.V = np.empty(M)
        for m in range(M):
            optimal_values(models.P[m], models.r[m], 0.0, Q, V, self.policies[m])
            self.V[m] = models.rho @ V[0]
        self.policies.setflags(write=False)
        with np.errstate(divide="ignore"):
            self.log_P = np.ascontiguousarray(np.moveaxis(np.log(models.P), 0, -1))

    @cached_property
    def decisions(self) -> tuple[DeterministicPolicy, ...]:
        """The optimal policies."""
        A = self.models.n_actions
        return tuple(DeterministicPolicy(actions, A) for actions in self.policies)


def check_candidates(models: FiniteModelClass, spec: EpisodicSpec) -> None:
    """Raise unless the candidates have the problem's sizes, first state's law and known rewards."""
    sizes = (models.horizon, models.n_states, models.n_actions)
    if sizes != spec.shape:
        raise ValueError(f"hypotheses must have (H, S, A) = {spec.shape} of the problem; got {sizes}")
    if not np.array_equal(models.rho, spec.rho):
        raise ValueError("hypotheses.rho must be the law of the problem's first state; it is another")
    if not models.shares_rewards:
        raise ValueError("hypotheses must share their rewards, which are known to the learner; they differ")
    if spec.rewards is not None and not np.array_equal(models.r[0], spec.rewards):
        raise ValueError("hypotheses.r must be the rewards that the problem tells; they are others")


@dataclass(slots=True, eq=False)
class FiniteModels:
    """State of a learner over a finite class of models.

    Attributes
    ----------
    planned
        The candidates, solved.
    loss
        Negative log-likelihood of each: shape [M]; infinite where an observation was impossible.
    """

    planned: PlannedClass
    loss: Float[np.ndarray, " M"]

    kind = "model-based"

    @classmethod
    def start(cls, models: FiniteModelClass, spec: EpisodicSpec) -> FiniteModels:
        """Return the state without data."""
        check_candidates(models, spec)
        return cls(planned_class(models), np.zeros(len(models)))

    def plan(self, eta: float, error: float) -> EpisodicDecision:
        """Choose the first maximiser of V - eta L, or the worst candidate within `error` of the maximum."""
        index, objective = _mex_kernels.choose(self.planned.V, self.loss, eta, error)
        if objective == -np.inf:
            raise ValueError(IMPOSSIBLE)
        diagnostics = {
            "eta": eta,
            "index": float(index),
            "objective": objective,
            "optimistic_value": float(self.planned.V[index]),
        }
        return EpisodicDecision(self.planned.decisions[index], None, diagnostics)

    def record(self, observation: Trajectories) -> None:
        """Add the log-likelihoods of the episodes."""
        for states, actions in zip(observation.states, observation.actions, strict=True):
            _mex_kernels.add_log_loss(self.planned.log_P, states, actions, self.loss)


IMPOSSIBLE = "hypotheses: every model gives the data probability zero; the class is not realizable"

_PLANNED: dict[int, tuple[FiniteModelClass, PlannedClass]] = {}


def planned_class(models: FiniteModelClass) -> PlannedClass:
    """Return the solved candidates; the class that was asked for last is remembered."""
    found = _PLANNED.get(id(models))
    if found is None or found[0] is not models:
        _PLANNED.clear()
        _PLANNED[id(models)] = found = (models, PlannedClass(models))
    return found[1]


def theory_eta(models: FiniteModelClass, rounds: float, delta: float) -> float:
    """Return eta of theorem T-MB for a horizon."""
    H = models.horizon
    d = gec.model_based_gec(models.n_states * models.n_actions, H, rounds)
    return gec.model_based_eta(d, H, rounds, gec.model_based_iota(len(models), H, delta))


@dataclass(frozen=True, eq=False)
class FiniteRun:
    """What a whole run over a finite class did.

    Attributes
    ----------
    chosen, objectives
        Index of each episode's model, and its objective: shape [K].
    states, actions
        The trajectories: shapes [K, H+1] and [K, H].
    etas
        eta of each episode: shape [K].
    loss
        Losses after the last episode: shape [M].
    """

    chosen: Int[np.ndarray, " K"]
    objectives: Float[np.ndarray, " K"]
    states: Int[np.ndarray, "K H1"]
    actions: Int[np.ndarray, "K H"]
    etas: Float[np.ndarray, " K"]
    loss: Float[np.ndarray, " M"]


def run_finite(
    planned: PlannedClass, tables: Any, etas: Float[np.ndarray, " K"], error: float, rng: np.random.Generator
) -> FiniteRun:
    """Play K episodes in one compiled call.

    Parameters
    ----------
    planned
        The candidates.
    tables
        Cumulative (rho, P) of the true model.
    etas
        eta of each episode.
    error
        Additive error of the maximisation.
    rng
        The environment's stream.
    """
    K, H = len(etas), planned.models.horizon
    run = FiniteRun(
        np.zeros(K, dtype=np.int64),
        np.empty(K),
        np.empty((K, H + 1), dtype=np.int64),
        np.empty((K, H), dtype=np.int64),
        etas,
        np.zeros(len(planned.models)),
    )
    played = _mex_kernels.run_models(
        *tables, planned.policies, planned.log_P, planned.V, etas, error, rng.random((K, 2 * H + 1)),
        run.loss, run.chosen, run.objectives, run.states, run.actions,
    )  # fmt: skip
    if played < K:
        raise ValueError(IMPOSSIBLE)
    return run
