r"""MEX: one unconstrained objective for estimation, planning and exploration.

In each episode, over the whole class of hypotheses::

    f^k = argmax_f  V_f(s_1) - eta sum_h L_h^{k-1}(f),       play the policy that is optimal in f^k.

A model-based loss is the negative log-likelihood of the transitions; a model-free one is the squared
Bellman error with f's own next values, less its minimum over an auxiliary class. No bonus, no confidence
set, no sampling: an over-optimistic hypothesis is either right, or it is played and its loss grows.

Source: Liu, Lu, Xiong, Zhong, Hu, Zhang, Zheng, Yang and Wang (2023), arXiv 2305.18258: the objective. The
constants of eta are derived on the MEX page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np

from theoryrl.learners import gec, mex_finite, mex_product
from theoryrl.learners._counts import require_unit_rewards
from theoryrl.learners.mex_finite import FiniteModels, FiniteRun, planned_class, run_finite
from theoryrl.learners.mex_linear import LinearFunctions
from theoryrl.learners.mex_product import ProductFunctions
from theoryrl.learners.mex_tabular import MixtureModels, TabularFunctions, TabularModels
from theoryrl.models import (
    FiniteModelClass,
    LinearMixtureClass,
    LinearQClass,
    ProductQClass,
    TabularModelClass,
    TabularQClass,
)
from theoryrl.models._validation import check_choice, check_fraction, check_real, check_type
from theoryrl.protocol import EpisodicDecision, EpisodicProblem, EpisodicSpec, Streams, Trace
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.maximize_to_explore.tabular_model import check_eta

Hypotheses: TypeAlias = (
    TabularQClass | TabularModelClass | LinearQClass | LinearMixtureClass | FiniteModelClass | ProductQClass
)

SCHEDULES = ("horizon", "anytime")

_STARTS: Mapping[type, Callable[[Any, EpisodicSpec], Any]] = {
    FiniteModelClass: FiniteModels.start,
    ProductQClass: ProductFunctions.start_with,
    TabularModelClass: TabularModels.start,
    TabularQClass: TabularFunctions.start,
    LinearQClass: LinearFunctions.start,
    LinearMixtureClass: MixtureModels.start,
}
_THEORY: Mapping[type, Callable[[Any, float, float], float]] = {
    FiniteModelClass: mex_finite.theory_eta,
    ProductQClass: mex_product.theory_eta,
}

PLAIN_ETA = 1.0
"""eta where the class has no explicit constant and none is given."""


@dataclass(slots=True, eq=False)
class MEXState:
    """What MEX knows: the losses of its class, and how many episodes there were.

    Attributes
    ----------
    losses
        The class's own state, which plans and records.
    episode
        Episodes played.
    rounds
        Horizon K.
    """

    losses: Any
    episode: int
    rounds: int


@dataclass(frozen=True, kw_only=True)
class MEX:
    """Maximise to explore.

    Parameters
    ----------
    hypotheses
        The class: `FiniteModelClass` and `ProductQClass` are maximised exactly; `TabularQClass` (default),
        `TabularModelClass` and `LinearMixtureClass` with a reported gap; `LinearQClass` by a search
        without a certificate.
    eta
        Price of the loss, positive. Default: the theory's for the two exact classes, else 1 (for which no
        explicit constant is known).
    schedule
        ``"horizon"``: eta for the known K; ``"anytime"``: epochs of doubling length, each with the eta of
        its own length, all data kept (theory's eta only).
    delta
        Failure probability in the theory's eta.
    error
        Additive error of the maximisation over a finite class of models, made as adversarially as it may
        be: the worst hypothesis within `error` of the best is played. The bounds gain the sum of errors.

    Notes
    -----
    Ties are broken by the lowest index, so the order of a class decides them. Diagnostics: ``eta``,
    ``objective``, ``optimistic_value`` (V of the chosen hypothesis) and, by class, ``index`` or ``upper``
    and ``gap``.
    """

    hypotheses: Hypotheses = field(default_factory=TabularQClass)
    eta: float | None = None
    schedule: str = "horizon"
    delta: float = 0.05
    error: float = 0.0

    key: ClassVar[str] = "mex"

    def __post_init__(self) -> None:
        check_type("hypotheses", self.hypotheses, *_STARTS)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_fraction("delta", self.delta)
        check_real("error", self.error, low=0.0)
        if self.eta is not None:
            check_eta(self.eta)
        if self.schedule == "anytime" and (self.eta is not None or type(self.hypotheses) not in _THEORY):
            raise ValueError(
                "schedule = 'anytime' is for the theory's eta of a FiniteModelClass or a ProductQClass; "
                f"got eta = {self.eta!r} and {self.hypotheses!r}"
            )
        if self.error > 0 and not isinstance(self.hypotheses, FiniteModelClass):
            raise ValueError(f"error is for a FiniteModelClass; got {self.hypotheses!r}")

    @property
    def guaranteed(self) -> bool:
        """Whether eta is the theory's, and errors of the maximisation are as declared."""
        return self.eta is None and type(self.hypotheses) in _THEORY

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> MEXState:
        """Return the state before the first episode.

        Raises
        ------
        ValueError
            If the class does not fit the problem, or the problem does not tell what the class needs.
        """
        require_unit_rewards(spec)
        return MEXState(_STARTS[type(self.hypotheses)](self.hypotheses, spec), 0, spec.rounds)

    def plan(self, state: MEXState) -> EpisodicDecision:
        """Maximise the objective and return the hypothesis' optimal policy.

        Raises
        ------
        ValueError
            If every model of a finite class has become impossible.
        """
        decision: EpisodicDecision = state.losses.plan(self.price(state.episode, state.rounds), self.error)
        return decision

    def update(self, state: MEXState, decision: EpisodicDecision, observation: Trajectories) -> MEXState:
        """Add the losses of the episode."""
        state.losses.record(observation)
        state.episode += len(observation.actions)
        return state

    def price(self, episode: int, rounds: int) -> float:
        """Return eta of an episode (counted from 0) in a run of K = `rounds`."""
        if self.eta is not None:
            return float(self.eta)
        kind = type(self.hypotheses)
        if kind not in _THEORY:
            return PLAIN_ETA
        if self.schedule == "horizon":
            return _THEORY[kind](self.hypotheses, rounds, self.delta)
        length = gec.epoch_length(episode + 1)
        return self._epoch_price(length)

    def _epoch_price(self, length: int) -> float:
        """Return eta of an epoch of 2^m episodes: d at ln 2^{m+1}, balanced for 2^m episodes."""
        assert isinstance(self.hypotheses, FiniteModelClass | ProductQClass)
        if isinstance(self.hypotheses, FiniteModelClass):
            H, cells = self.hypotheses.horizon, self.hypotheses.n_states * self.hypotheses.n_actions
            iota = gec.model_based_iota(len(self.hypotheses), H, self.delta)
            return gec.model_based_eta(gec.model_based_gec(cells, H, 2 * length), H, length, iota)
        H, S, A = self.hypotheses.shape
        F, G = self.hypotheses.F, self.hypotheses.auxiliary
        iota = gec.model_free_iota(F.shape[1], G.shape[1], H, self.delta)
        return gec.model_free_eta(gec.model_free_gec(S * A, H, 2 * length), H, length, iota)


def run_whole(problem: EpisodicProblem, learner: MEX, rounds: int, seed: int) -> FiniteRun:
    """Run MEX over a finite class in one compiled call, with the streams that `play` would use.

    Raises
    ------
    ValueError
        If the class is not a `FiniteModelClass`, or does not fit the problem, or becomes impossible.
    """
    check_type("hypotheses", learner.hypotheses, FiniteModelClass)
    assert isinstance(learner.hypotheses, FiniteModelClass)
    streams = Streams.from_seed(seed)
    learner.init(problem.spec(rounds), streams.learner)
    if problem.mdp.noise.kind != "none":
        raise ValueError(f"problem must have noiseless rewards; got noise {problem.mdp.noise.kind!r}")
    first = learner.price(0, rounds)
    etas = np.full(rounds, first)
    if learner.schedule == "anytime":
        etas[:] = [learner.price(k, rounds) for k in range(rounds)]
    return run_finite(
        planned_class(learner.hypotheses), problem.tables, etas, learner.error, streams.environment
    )


def play_whole(problem: EpisodicProblem, learner: MEX, rounds: int, seed: int = 0) -> Trace:
    """Return the trace that `play` returns, bit for bit, from one compiled call (finite model classes)."""
    run = run_whole(problem, learner, rounds, seed)
    assert isinstance(learner.hypotheses, FiniteModelClass)
    planned = planned_class(learner.hypotheses)
    values = np.zeros(len(planned.V))
    for m in np.unique(run.chosen):
        values[m] = problem.value(EpisodicDecision(planned.decisions[m]))
    return Trace(
        learner=repr(learner),
        problem=problem.key,
        seed=seed,
        guaranteed=learner.guaranteed,
        lengths=np.ones(rounds, dtype=np.int64),
        stretch_values=values[run.chosen],
        stretch_benchmarks=np.full(rounds, problem.benchmark),
        stretch_diagnostics={
            "eta": run.etas,
            "index": run.chosen.astype(np.float64),
            "objective": run.objectives,
            "optimistic_value": planned.V[run.chosen],
        },
        delta=learner.delta,
    )
