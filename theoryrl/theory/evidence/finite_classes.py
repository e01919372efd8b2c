"""Evidence on MEX over finite classes of models and product classes of functions: audited runs.

The losses are computed anew from the trajectories, every expectation from the true model, so that each
step of the proof can be compared with what the learner did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from theoryrl.instances import (
    nearby_models,
    perturbed_values,
    random_dirichlet,
    risky_arms,
    risky_arms_class,
    sparse_rewards,
)
from theoryrl.learners import MEX, gec
from theoryrl.learners.mex import run_whole
from theoryrl.learners.mex_finite import PlannedClass, planned_class
from theoryrl.learners.mex_product import ProductFunctions
from theoryrl.models import EpisodicMDP, FiniteModelClass, ProductQClass
from theoryrl.protocol import EpisodicProblem, Streams
from theoryrl.solvers import backward_induction
from theoryrl.theory.core import Curve, Evidence, Scope
from theoryrl.theory.evidence._occupancies import deterministic_occupancies, start_values

LEMMA_DELTA = 0.1
"""Failure probability at which the concentration lemmas are tested."""
REGRET_DELTA = 0.05


@dataclass(frozen=True, eq=False)
class ModelRun(Evidence):
    """A run of MEX over a finite class of models, with everything that its proof speaks of.

    Attributes
    ----------
    models, truth
        The class, and the index of the true model in it.
    V
        Optimal value of each candidate in itself: shape [M].
    values
        True value of each candidate's policy: shape [M].
    chosen, etas
        Candidate and eta of each episode: shape [K].
    stage_losses
        Negative log-likelihood before each episode, by stage: shape [K+1, H, M].
    energies
        E_pi D_H^2(P_f, P*) by policy, stage and candidate: shape [M, H, M].
    error
        Declared error of the maximisation.
    confidence
        delta in the logarithm iota.
    """

    models: FiniteModelClass
    truth: int
    V: Float[np.ndarray, " M"]
    values: Float[np.ndarray, " M"]
    chosen: Int[np.ndarray, " K"]
    etas: Float[np.ndarray, " K"]
    stage_losses: Float[np.ndarray, "K1 H M"]
    energies: Float[np.ndarray, "M H M"]
    error: float
    confidence: float

    @property
    def rounds(self) -> int:
        """K."""
        return len(self.chosen)

    @cached_property
    def losses(self) -> Float[np.ndarray, "K M"]:
        """Sum of the stages' losses before each episode."""
        return np.asarray(self.stage_losses[:-1].sum(axis=1))

    @cached_property
    def objectives(self) -> Float[np.ndarray, "K M"]:
        """V_f - eta L(f) of every candidate before each episode."""
        return np.asarray(self.V - self.etas[:, None] * self.losses)

    @property
    def chosen_objectives(self) -> Float[np.ndarray, " K"]:
        """The objective of what was played."""
        return np.asarray(self.objectives[np.arange(self.rounds), self.chosen])

    @property
    def shortfall(self) -> Float[np.ndarray, " K"]:
        """V* - V_{f^k}."""
        return np.asarray(self.V[self.truth] - self.V[self.chosen])

    @property
    def loss_gap(self) -> Float[np.ndarray, " K"]:
        """L(f*) - L(f^k) before each episode."""
        return np.asarray(self.losses[:, self.truth] - self.losses[np.arange(self.rounds), self.chosen])

    @property
    def regret(self) -> Float[np.ndarray, " K"]:
        """Cumulative regret."""
        return np.asarray(np.cumsum(self.V[self.truth] - self.values[self.chosen]))

    @property
    def overestimates(self) -> Float[np.ndarray, " K"]:
        """V_{f^k} minus the true value of its policy."""
        return np.asarray(self.V[self.chosen] - self.values[self.chosen])

    @cached_property
    def past_energies(self) -> Float[np.ndarray, "K1 H M"]:
        """sum_{i<k} E_{pi_i} D_H^2(P_f, P*) before each episode."""
        H = self.models.horizon
        zero = np.zeros((1, H, len(self.models)))
        return np.concatenate([zero, np.cumsum(self.energies[self.chosen], axis=0)])

    @property
    def iota(self) -> float:
        """``log(H |F| / delta)``."""
        return gec.model_based_iota(len(self.models), self.models.horizon, self.confidence)

    @property
    def cells(self) -> int:
        """S A."""
        return self.models.n_states * self.models.n_actions

    def bound(self, rounds: float) -> float:
        """Return T-MB's bound for a horizon: sqrt(d H K iota) + burn-in, plus the declared errors."""
        H = self.models.horizon
        d, burn = gec.model_based_gec(self.cells, H, rounds), gec.model_based_burn_in(self.cells, H)
        return gec.model_based_regret(d, burn, H, rounds, self.iota) + self.error * rounds


def hellinger(models: FiniteModelClass, truth: int) -> Float[np.ndarray, "M H S A"]:
    """Return D_H^2(P_f, P*) = 1 - sum sqrt(P_f P*) of every cell."""
    overlap = np.sqrt(models.P * models.P[truth]).sum(axis=4)
    return np.asarray(np.maximum(0.0, 1.0 - overlap))


@dataclass(frozen=True)
class Scored:
    """What all runs over one class share: true values of its policies, and energies."""

    planned: PlannedClass
    truth: int
    values: np.ndarray
    energies: np.ndarray

    @classmethod
    def of(cls, models: FiniteModelClass, mdp: EpisodicMDP, name: str = "hypotheses") -> Scored:
        """Score a class.

        Raises
        ------
        ValueError
            If the true model is not in the class: an audit needs realizability.
        """
        truth = models.index(mdp)
        if truth is None:
            raise ValueError(f"{name} must contain the true model for an audit; it does not")
        planned = planned_class(models)
        d = deterministic_occupancies(mdp.P, mdp.rho, planned.policies)
        values = np.array([start_values(mdp, actions) for actions in planned.policies])
        energies = np.einsum("mhsa,fhsa->mhf", _by_action(d, planned.policies, mdp.n_actions),
                             hellinger(models, truth))  # fmt: skip
        return cls(planned, truth, values, energies)


def _by_action(d: np.ndarray, policies: np.ndarray, n_actions: int) -> np.ndarray:
    """Return occupancies [M, H, S, A] of deterministic policies."""
    return np.asarray(d[..., None] * (policies[..., None] == np.arange(n_actions)))


def model_run(
    problem: EpisodicProblem,
    learner: MEX,
    rounds: int,
    seed: int,
    name: str,
    scored: Scored | None = None,
    confidence: float | None = None,
    group: str = "",
    guaranteed: bool | None = None,
) -> ModelRun:
    """Play MEX over a finite class and compute anew what its proof speaks of."""
    models = learner.hypotheses
    assert isinstance(models, FiniteModelClass)
    score = scored or Scored.of(models, problem.mdp)
    run = run_whole(problem, learner, rounds, seed)
    return ModelRun(
        name,
        models,
        score.truth,
        score.planned.V,
        score.values,
        run.chosen,
        run.etas,
        stage_losses(models, run.states, run.actions),
        score.energies,
        learner.error,
        learner.delta if confidence is None else confidence,
        group=group,
        guaranteed=learner.guaranteed if guaranteed is None else guaranteed,
        delta=learner.delta,
    )


def stage_losses(
    models: FiniteModelClass, states: np.ndarray, actions: np.ndarray
) -> Float[np.ndarray, "K1 H M"]:
    """Return the negative log-likelihoods before each episode, from the trajectories."""
    stages = np.arange(models.horizon)
    with np.errstate(divide="ignore"):
        single = -np.log(models.P[:, stages, states[:, :-1], actions, states[:, 1:]])
    zero = np.zeros((1, models.horizon, len(models)))
    return np.concatenate([zero, np.cumsum(np.moveaxis(single, 0, -1), axis=0)])


def nearby(seed: int, share: float = 0.6, size: int = 20) -> tuple[EpisodicMDP, FiniteModelClass]:
    """Return a random four-state model and a class around it."""
    mdp = random_dirichlet(n_states=4, n_actions=2, horizon=3, concentration=0.5, seed=seed)
    return mdp, nearby_models(mdp, size, share, seed)


def theory_runs(scope: Scope, make: Callable[..., MEX] = MEX) -> Iterator[ModelRun]:
    """Yield runs with the theory's eta, and with epochs of doubling length, on two kinds of classes."""
    rounds = scope.pick(300, 2000)
    for schedule in ("horizon", "anytime"):
        for seed in scope.seeds(6, 40):
            model, family = risky_arms(), risky_arms_class()
            learner = make(hypotheses=family, schedule=schedule)
            yield model_run(EpisodicProblem(model), learner, rounds, seed, f"risky arms, {schedule}, {seed}")
            mdp, others = nearby(seed)
            learner = make(hypotheses=others, schedule=schedule)
            yield model_run(EpisodicProblem(mdp), learner, rounds, seed, f"nearby, {schedule}, {seed}")


def approximate_runs(scope: Scope, make: Callable[..., MEX] = MEX) -> Iterator[ModelRun]:
    """Yield runs in which the worst candidate within 0.2 of the maximum is played."""
    for seed in scope.seeds(6, 40):
        model, family = risky_arms(), risky_arms_class()
        learner = make(hypotheses=family, error=0.2)
        yield model_run(EpisodicProblem(model), learner, 300, seed, f"risky arms, error 0.2, {seed}")


# Runs that are independent samples of one claim.


def lemma_runs(
    scope: Scope, share: float = 0.6, delta: float = LEMMA_DELTA, rounds: int = 100, seeds: int = 150
) -> Iterator[ModelRun]:
    """Yield runs over one class, independent samples of the likelihood lemma; MEX's own policies."""
    mdp, family = nearby(0, share)
    learner, problem = MEX(hypotheses=family, delta=delta), EpisodicProblem(mdp)
    scored = Scored.of(family, mdp)
    for seed in scope.seeds(seeds, 4 * seeds):
        yield model_run(problem, learner, rounds, seed, f"seed {seed}", scored)


REGRET_CASES = ("risky arms", "nearby")


def regret_runs(scope: Scope, schedule: str = "horizon") -> Iterator[ModelRun]:
    """Yield 100 runs for each of two classes, with the theory's eta at delta = 0.05."""
    rounds = scope.pick(400, 4000)
    cases = {"risky arms": (risky_arms(), risky_arms_class()), "nearby": nearby(1)}
    for name, (mdp, family) in cases.items():
        learner, problem = MEX(hypotheses=family, schedule=schedule), EpisodicProblem(mdp)
        scored = Scored.of(family, mdp)
        for seed in scope.seeds(100, 200):
            yield model_run(problem, learner, rounds, seed, f"{name}, {seed}", scored, group=name)


def anytime_runs(scope: Scope) -> Iterator[ModelRun]:
    """Yield runs in epochs of doubling length."""
    return regret_runs(scope, "anytime")


# The limits of eta.


@dataclass(frozen=True, eq=False)
class Limit(Evidence):
    """What MEX chose at an extreme eta, as values of the two limiting criteria.

    Attributes
    ----------
    reached, best
        Criterion of the chosen candidate in each episode, and its best value: shape [K].
    """

    reached: Float[np.ndarray, " K"]
    best: Float[np.ndarray, " K"]


def limits(scope: Scope) -> Iterator[Limit]:
    """Yield runs with eta = 1e8 (the likelihood decides) and 1e-8 (the value decides)."""
    for seed in scope.seeds(6, 30):
        mdp, family = nearby(seed)
        for eta in (1e8, 1e-8):
            learner = MEX(hypotheses=family, eta=eta)
            run = model_run(EpisodicProblem(mdp), learner, 200, seed, "limit")
            picked = np.arange(run.rounds), run.chosen
            if eta > 1:
                yield Limit(f"eta to infinity, {seed}", run.losses[picked], run.losses.min(axis=1))
            else:
                yield Limit(f"eta to zero, {seed}", run.V[run.chosen], np.full(run.rounds, run.V.max()))


# Lock-in on risky arms.


@dataclass(frozen=True, eq=False)
class LockIn(Evidence):
    """Whether a run on risky arms was locked into the safe action, and the walk that decides it.

    Attributes
    ----------
    eta
        eta of the run.
    locked
        Whether the model in which every arm is bad was ever chosen.
    peak
        Largest log-likelihood ratio of the low against the high probability of the good arm.
    """

    eta: float
    locked: bool
    peak: float


LOCKED = 0
"""Position of the model in which every arm is low."""
LOCKING_ETA = 0.253
LOCKING_BOUND = math.exp(-0.8 / LOCKING_ETA)
"""Ville's bound 0.0423 on the share of locked runs; exactly it is 0.0278."""


@cache
def _risky() -> tuple[EpisodicMDP, FiniteModelClass, EpisodicProblem]:
    model = risky_arms()
    return model, risky_arms_class(), EpisodicProblem(model)


def lock_in(eta: float, rounds: int, seed: int) -> LockIn:
    """Play risky arms with one eta."""
    model, family, problem = _risky()
    run = run_whole(problem, MEX(hypotheses=family, eta=eta), rounds, seed)
    pulls = run.actions[:, 0] == model.n_actions - 1
    good = run.states[pulls, 1] == 2
    walk = np.cumsum(np.where(good, math.log(0.4 / 0.8), math.log(0.6 / 0.2)))
    locked = bool((run.chosen == LOCKED).any())
    return LockIn(f"eta {eta:g}, seed {seed}", eta, locked, float(max(0.0, walk.max(initial=0.0))))


def lock_ins(scope: Scope, eta: float = LOCKING_ETA) -> Iterator[LockIn]:
    """Yield runs with one eta, independent samples: enough of them to tell 0.0278 from the bound."""
    for seed in scope.seeds(4000, 8000):
        yield lock_in(eta, 1000, seed)


def lock_in_probability(eta: float, steps: int = 400) -> tuple[float, float]:
    """Return lower and upper bound on the probability that the walk ever reaches 0.8 / eta, exactly computed.

    The walk goes up by log 3 with probability 0.2 and down by log 2 else. Paths that have not crossed
    after `steps` cross later with probability at most E exp(S - threshold), by Ville.
    """
    threshold, up, down = 0.8 / eta, math.log(3), math.log(2)
    alive = np.array([1.0])  # by number of ups after n steps
    crossed = 0.0
    for n in range(1, steps + 1):
        grown = np.zeros(n + 1)
        grown[1:] += 0.2 * alive
        grown[:-1] += 0.8 * alive
        ups = np.arange(n + 1)
        over = ups * up - (n - ups) * down >= threshold - 1e-12
        crossed += float(grown[over].sum())
        grown[over] = 0.0
        alive = grown
    ups = np.arange(steps + 1)
    later = np.exp(np.minimum(0.0, ups * up - (steps - ups) * down - threshold))
    return crossed, crossed + float(alive @ later)


HORIZONS = np.array([500, 2000, 8000, 32000])


def fixed_eta_curves(scope: Scope, eta_of: Callable[[float], float] = lambda K: 0.894) -> Iterator[Curve]:
    """Yield the regret at growing horizons of an eta that does not depend on the horizon.

    A run at a fixed eta serves every K; 60 seeds.
    """
    model, family = risky_arms(), risky_arms_class()
    problem, scored = EpisodicProblem(model), Scored.of(family, model)
    samples = []
    for K in HORIZONS:
        learner = MEX(hypotheses=family, eta=eta_of(float(K)))
        chosen = [run_whole(problem, learner, int(K), seed).chosen for seed in scope.seeds(60, 150)]
        gap = scored.planned.V[scored.truth] - scored.values
        samples.append([float(gap[c].sum()) for c in chosen])
    yield Curve("risky arms", HORIZONS * 1.0, np.array(samples), "episodes K", "regret", paired=True)


def scheduled_curves(
    scope: Scope, eta_of: Callable[[float], float] = lambda K: 20 / math.sqrt(K)
) -> Iterator[Curve]:
    """Yield the exact expected regret of locked runs, 0.8 K p(eta)."""
    law = [0.8 * K * lock_in_probability(eta_of(float(K)))[1] for K in HORIZONS]
    yield Curve("lock-in law", HORIZONS * 1.0, np.array(law)[:, None], "K", "regret of lock-ins", exact=True)


# Product classes.


@dataclass(frozen=True, eq=False)
class FunctionRun(Evidence):
    """A run of MEX over a product class, with the losses and expected errors of all pairs of functions.

    Attributes
    ----------
    hypotheses, truth
        The class, and the position of Q* in each layer.
    losses
        L_h(i, j) before some episodes: shape [K, H, N, N].
    energies
        sum_{i<k} E_{pi_i} (f_h - T_h f_{h+1})^2 at the same times: shape [K, H, N, N].
    regret
        After each episode.
    rounds
        Number of episodes.
    confidence
        delta in iota.
    """

    hypotheses: ProductQClass
    truth: tuple[int, ...]
    losses: Float[np.ndarray, "K H N N"]
    energies: Float[np.ndarray, "K H N N"]
    regret: Float[np.ndarray, " R"]
    rounds: int
    confidence: float

    @property
    def horizon(self) -> int:
        """H."""
        return len(self.hypotheses.F)

    @property
    def iota(self) -> float:
        """``log(2 H max(|G|, |F|^2) / delta)``."""
        sizes = self.hypotheses.F.shape[1], self.hypotheses.auxiliary.shape[1]
        return gec.model_free_iota(*sizes, self.horizon, self.confidence)

    @property
    def true_losses(self) -> Float[np.ndarray, "K H"]:
        """L_h(Q*)."""
        H = self.horizon
        following = (*self.truth[1:], 0)
        return np.asarray(self.losses[:, np.arange(H), self.truth, following])

    @property
    def excess(self) -> Float[np.ndarray, "K H N N"]:
        """L_h(f*) - L_h(f) + half the energy, which the lemma bounds by 1.84 H^2 iota."""
        difference = self.true_losses[:, :, None, None] - self.losses + 0.5 * self.energies
        difference[:, -1, :, 1:] = -np.inf  # the last stage has one successor
        return np.asarray(difference)

    @property
    def bound(self) -> float:
        """T-MF: sqrt(3.68 d H^3 K iota) + 2 H^2 S A."""
        H, S, A = self.hypotheses.shape
        d, burn = gec.model_free_gec(S * A, H, self.rounds), gec.model_free_burn_in(S * A, H)
        return gec.model_free_regret(d, burn, H, self.rounds, self.iota)


def bellman_errors(hypotheses: ProductQClass, mdp: EpisodicMDP) -> Float[np.ndarray, "H N N S A"]:
    """Return f_h - T_h f_{h+1} of function i and successor j."""
    V = np.concatenate([hypotheses.values[1:], np.zeros((1, *hypotheses.values.shape[1:]))])
    targets = mdp.r[:, None] + np.einsum("hsat,hjt->hjsa", mdp.P, V)
    return np.asarray(hypotheses.F[:, :, None] - targets[:, None])


def function_run(
    mdp: EpisodicMDP, learner: Any, rounds: int, seed: int, name: str, every: int = 10, group: str = ""
) -> FunctionRun:
    """Play a learner over a product class; keep losses and energies every few episodes."""
    hypotheses = learner.hypotheses
    truth = hypotheses.position(backward_induction(mdp).action_values)
    if truth is None:
        raise ValueError("hypotheses must contain Q* for an audit; it does not")
    hypotheses.check_complete(mdp)
    problem = EpisodicProblem(mdp)
    streams = Streams.from_seed(seed)
    state = learner.init(problem.spec(rounds), streams.learner)
    environment = problem.environment(streams)
    functions: ProductFunctions = state.losses if isinstance(learner, MEX) else state
    squared = bellman_errors(hypotheses, mdp) ** 2
    d = np.zeros(mdp.r.shape)
    losses, energies, lost = [], [], []
    for k in range(rounds):
        decision = learner.plan(state)
        if k % every == 0:
            losses.append(functions.losses.copy())
            energies.append(np.einsum("hsa,hijsa->hij", d, squared))
        environment.begin(decision)
        state = learner.update(state, decision, environment.interact(decision, 1).observation)
        lost.append(problem.benchmark - problem.value(decision))
        single = deterministic_occupancies(mdp.P, mdp.rho, decision.policy.actions[None])
        d += _by_action(single, decision.policy.actions[None], mdp.n_actions)[0]
    return FunctionRun(
        name, hypotheses, truth, np.array(losses), np.array(energies), np.cumsum(lost), rounds,
        learner.delta, group=group, guaranteed=learner.guaranteed, delta=learner.delta,
    )  # fmt: skip


def function_runs(scope: Scope, make: Callable[..., Any] = MEX) -> Iterator[FunctionRun]:
    """Yield runs of MEX over one product class, independent samples."""
    mdp = sparse_rewards(n_states=3, horizon=3, seed=2)
    hypotheses = perturbed_values(mdp, size=10, seed=2)
    for seed in scope.seeds(60, 200):
        yield function_run(mdp, make(hypotheses=hypotheses, delta=LEMMA_DELTA), 100, seed, f"seed {seed}")
