"""Evidence on MABO.CR, H2O and HyGLOW."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.instances import defect_class, hybrid_lock, incomplete_hybrid
from theoryrl.learners import MABOCR, FittedQIteration, HyGLOW, ModelMLE
from theoryrl.learners.glow_constants import hyglow_regret_bound, population_hyglow_bound
from theoryrl.learners.population import Expectations, PopulationRun, population_hyglow, population_mabo
from theoryrl.models import (
    CandidateMDP,
    EpisodicMDP,
    FiniteFunctionClass,
    FiniteModelClass,
    Hypotheses,
    Policy,
    RewardNoise,
)
from theoryrl.protocol import Run, Trace, as_problem
from theoryrl.solvers import (
    backward_induction,
    density_ratio,
    largest_ratio,
    occupancy_measure,
    policy_value,
    simulate_episodes,
)
from theoryrl.theory.core import Evidence, Scope, credentials

Objective = Callable[..., np.ndarray]


# MABO.CR without noise.


@dataclass(frozen=True, eq=False)
class MaboRisk(Evidence):
    """Risks of all minimisers of MABO.CR's objective, and the clipped concentrabilities that bound them.

    Parameters
    ----------
    risk
        Shape [M].
    own, best
        ``sum_h CC_h`` of each minimiser's policy, shape [M], and of pi*.
    clip, a
        Level of clipping, and factor of ``alpha = a / clip``.
    """

    risk: Float[np.ndarray, " M"]
    own: Float[np.ndarray, " M"]
    best: float
    clip: float
    a: float

    @property
    def bound(self) -> Float[np.ndarray, " M"]:
        """``sum_h ((a + 1) / c) CC_h(pi_f) + ((a + 2) / c) CC_h(pi*)``."""
        return np.asarray(((self.a + 1) * self.own + (self.a + 2) * self.best) / self.clip)


def mabo_risk(
    name: str,
    exact: Expectations,
    mu: Float[np.ndarray, "H C"],
    clip: float,
    a: float,
    objective: Objective = population_mabo,
) -> MaboRisk:
    """Return the risks of all functions whose objective is smallest (within 1e-12)."""
    values = objective(exact, mu, clip, a)
    minimisers = np.flatnonzero(values <= values.min() + 1e-12)
    cc = stage_sums(exact.d, mu, clip)
    policies = exact.policy_of[minimisers]
    best = float(cc[exact.policy_of[exact.best]])
    return MaboRisk(name, exact.gaps[minimisers], cc[policies], best, clip, a)


def stage_sums(d: Float[np.ndarray, "N H C"], mu: Float[np.ndarray, "H C"], clip: float) -> np.ndarray:
    """Return ``sum_h CC_h`` of each policy."""
    return np.asarray(np.sum(d * np.minimum(density_ratio(d, mu), clip), axis=(1, 2)))


def mabo_risks(scope: Scope, objective: Objective = population_mabo) -> Iterator[MaboRisk]:
    """Yield the two directed instances, and classes with defects under random laws of data."""
    yield from directed_risks(objective)
    rng = np.random.default_rng([scope.seed, 98])
    for index in range(scope.pick(400, 4000)):
        H, S, A = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(2, 4))
        model = defect_class(S, A, H, int(rng.integers(2, 25)), oracle=True, seed=int(rng.integers(2**31)))
        exact = Expectations.of(model.mdp, model.hypotheses.functions)
        mu = rng.dirichlet(np.full(S * A, 0.5), size=H)
        clip, a = float(10 ** rng.uniform(-1, 3)), float(10 ** rng.uniform(-2, 1))
        yield mabo_risk(f"defects {index}, c={clip:.3g}, a={a:.3g}", exact, mu, clip, a, objective)


def directed_risks(objective: Objective = population_mabo) -> Iterator[MaboRisk]:
    """Yield two bandits at c = 100, a = 1: one needs the absolute value, the other the size of alpha."""
    flat = _arms([0.0, 0.9], [[0.0, 0.9], [0.0, 0.0]])
    yield mabo_risk("arms (0, .9)", flat, np.full((1, 2), 0.5), 100.0, 1.0, objective)
    for epsilon in np.geomspace(1e-3, 1.0, 61):
        r = [0.0, epsilon - 1e-6]
        close = _arms(r, [r, [epsilon, r[1]]])
        yield mabo_risk(f"defect {epsilon:.3g}", close, np.array([[0.1, 0.9]]), 100.0, 1.0, objective)


def _arms(r: list[float], functions: Any) -> Expectations:
    mdp = EpisodicMDP(np.ones((1, 1, 2, 1)), np.array(r).reshape(1, 1, 2), np.ones(1))
    return Expectations.of(mdp, FiniteFunctionClass(np.array(functions).reshape(-1, 1, 1, 2)))


# H2O without noise.


@dataclass(frozen=True, eq=False)
class HybridRegret(Evidence):
    """A noise-free run of HyGLOW, and the coefficients of its bound.

    Parameters
    ----------
    regret
        After every round: shape [T].
    risks, steps
        Risk of each round's policy, and what MABO.CR promises for it: shape [T].
    """

    regret: Float[np.ndarray, " T"]
    steps: Float[np.ndarray, " T"]
    horizon: int
    coverability: float
    c_star: float
    gamma: float
    a: float

    @property
    def risks(self) -> Float[np.ndarray, " T"]:
        """Risk of the policy of each round."""
        return np.diff(self.regret, prepend=0.0)

    @property
    def bound(self) -> Float[np.ndarray, " T"]:
        """The bound after every round."""
        return population_hyglow_bound(
            len(self.regret), self.horizon, self.coverability, self.c_star, self.gamma, self.a
        )

    @property
    def rounds(self) -> Float[np.ndarray, " T"]:
        """1, ..., T, the trivial bound."""
        return np.arange(1.0, len(self.regret) + 1)


PlayHybrid = Callable[..., PopulationRun]


def hybrid_regrets(scope: Scope, run: PlayHybrid = population_hyglow) -> Iterator[HybridRegret]:
    """Yield runs on the two hybrid instances, and on classes with defects with data that cover pi*."""
    for name, model in (("lock", hybrid_lock(episodes=1)), ("incomplete", incomplete_hybrid(episodes=1))):
        assert model.behaviour is not None
        nu = occupancy_measure(model.mdp, model.behaviour)
        yield hybrid_regret(name, model, nu, scope.pick(1500, 3000), 1.0, 1.0, run)
    rng = np.random.default_rng([scope.seed, 99])
    for index in range(scope.pick(30, 300)):
        H, S, A = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(2, 4))
        model = defect_class(S, A, H, int(rng.integers(2, 15)), oracle=True, seed=int(rng.integers(2**31)))
        best = backward_induction(model.mdp).policy
        pi = best.stages(H) * 0.5 + rng.dirichlet(np.full(A, 0.3), size=(H, S)) * 0.5
        nu = occupancy_measure(model.mdp, Policy(pi / pi.sum(axis=2, keepdims=True)))
        gamma, a = float(10 ** rng.uniform(-2, 1.5)), float(10 ** rng.uniform(-2, 1))
        yield hybrid_regret(f"defects {index}, gamma={gamma:.3g}, a={a:.3g}", model, nu, 200, gamma, a, run)


def hybrid_regret(
    name: str,
    model: CandidateMDP,
    nu: Float[np.ndarray, "H S A"],
    rounds: int,
    gamma: float,
    a: float,
    run: PlayHybrid = population_hyglow,
) -> HybridRegret:
    """Return one run, with ties given to the last function."""
    played = run(model, nu, rounds, gamma, a)
    exact = Expectations.of(model.mdp, model.hypotheses.functions)
    law = nu.reshape(exact.d.shape[1:])
    star = float(largest_ratio(exact.best_occupancy[None], law[None]).max())
    steps = _promised(exact, played.played, law, gamma, a)
    H = model.mdp.horizon
    return HybridRegret(name, played.regret, steps, H, exact.coverability, star, gamma, a)


def _promised(
    exact: Expectations, played: np.ndarray, nu: Float[np.ndarray, "H C"], gamma: float, a: float
) -> Float[np.ndarray, " T"]:
    """Return what the bound on MABO.CR promises for the policy of each round."""
    policies, past = exact.policy_of[played], np.zeros(nu.shape)
    promised = np.empty(len(played))
    for i, n in enumerate(policies):
        mu, clip = nu if i == 0 else (nu + past / i) / 2, gamma * (i + 1)
        own = stage_sums(exact.d[n][None], mu, clip)[0]
        best = stage_sums(exact.best_occupancy[None], mu, clip)[0]
        promised[i] = ((a + 1) * own + (a + 2) * best) / clip
        past += exact.d[n]
    return promised


# Samples.


@dataclass(frozen=True, eq=False)
class SampledRisk(Evidence):
    """Risk of an offline algorithm's policy on n episodes, and its bound."""

    risk: float
    bound: float


def mabo_samples(scope: Scope, make: Callable[..., MABOCR] = MABOCR) -> Iterator[SampledRisk]:
    """Yield MABO.CR at delta = .05 on fresh data of a law that covers pi*."""
    rng = np.random.default_rng([scope.seed, 100])
    n, delta = 2000, 0.05
    for index in range(scope.pick(92, 460)):
        model = _noisy(defect_class(3, 2, 2, 12, oracle=True, seed=index))
        exact = Expectations.of(model.mdp, model.hypotheses.functions)
        uniform = Policy.uniform(3, 2)
        mu = occupancy_measure(model.mdp, uniform).reshape(exact.d.shape[1:])
        weights = density_ratio(exact.d, mu).reshape(-1, *model.mdp.r.shape)
        gamma = float(10 ** rng.uniform(-4, 0))
        learner = make(model.hypotheses.functions, weights, gamma, ties="last")
        policy = learner.fit(simulate_episodes(model.mdp, uniform, n, rng))
        risk, own = exact.benchmark - policy_value(model.mdp, policy), occupancy_measure(model.mdp, policy)
        H, clip = model.mdp.horizon, gamma * n
        L = math.log(6 * len(model.hypotheses.functions) * len(weights) * H / delta)
        cc = stage_sums(np.stack([own.reshape(mu.shape), exact.best_occupancy]), mu, clip)
        bound = (43 * cc[0] + 49 * cc[1]) / (3 * clip) + 164 / 3 * H * gamma * L
        yield SampledRisk(f"{index}, gamma={gamma:.2g}", risk, float(bound), delta=delta)


def _noisy(model: CandidateMDP) -> CandidateMDP:
    """Return the model and its functions with .9 of all rewards, drawn as Bernoulli numbers."""
    mdp = EpisodicMDP(model.mdp.P, 0.9 * model.mdp.r, model.mdp.rho, noise=RewardNoise("bernoulli"))
    functions = FiniteFunctionClass(0.9 * model.hypotheses.functions.Q)
    return CandidateMDP(mdp, Hypotheses(functions, model.hypotheses.models, oracle=True))


def fitted_samples(scope: Scope) -> Iterator[SampledRisk]:
    """Yield fitted Q-iteration and maximum likelihood on one-stage classes, where realisable is complete."""
    rng = np.random.default_rng([scope.seed, 101])
    n, delta, A = 1000, 0.05, 4
    for index in range(scope.pick(92, 460)):
        Q = rng.random((10, 1, 1, A))
        mdp = EpisodicMDP(np.ones((1, 1, A, 1)), Q[0], np.ones(1), noise=RewardNoise("bernoulli"))
        best = backward_induction(mdp).policy
        mu = rng.dirichlet(np.ones(A))
        behaviour = Policy(mu.reshape(1, 1, A))
        data = simulate_episodes(mdp, behaviour, n, rng)
        gamma = float(10 ** rng.uniform(-5, -1))
        for name, algorithm, a, b in (
            ("fqi", FittedQIteration(FiniteFunctionClass(Q)), 6.0, 1024 * math.log(2 * 10 / delta)),
            ("mle", ModelMLE(_models(Q)), 6.0, 8 * math.log(10 / delta)),
        ):
            policy = algorithm.fit(data)
            d = np.stack([occupancy_measure(mdp, p).reshape(1, A) for p in (policy, best)])
            cc = stage_sums(d, mu[None], gamma * n)
            bound = a / (gamma * n) * cc.sum() + b * gamma
            risk = float(Q[0].max()) - policy_value(mdp, policy)
            yield SampledRisk(f"{name}, {index}", risk, float(bound), group=name, delta=delta)


def _models(Q: np.ndarray) -> FiniteModelClass:
    return FiniteModelClass(np.ones((len(Q), 1, 1, Q.shape[-1], 1)), Q, np.ones(1))


@dataclass(frozen=True, eq=False)
class HyGlowRun(Evidence):
    """A sampled run of HyGLOW with the theory's constants."""

    trace: Trace
    horizon: int
    coverability: float
    c_star: float
    gamma: float
    L: float

    @property
    def regret(self) -> Float[np.ndarray, " T"]:
        """Regret after every round."""
        return self.trace.regret

    @property
    def bound(self) -> Float[np.ndarray, " T"]:
        """The bound after every round."""
        return hyglow_regret_bound(
            self.trace.rounds, self.horizon, self.coverability, self.c_star, self.gamma, self.L
        )

    @property
    def rounds(self) -> Float[np.ndarray, " T"]:
        """1, ..., T, the trivial bound."""
        return np.arange(1.0, self.trace.rounds + 1)


def hyglow_runs(scope: Scope) -> Iterator[HyGlowRun]:
    """Yield runs at delta = .05, each with offline data of its own."""
    seed = scope.seeds(1, 1)[0]
    rounds = scope.pick(40, 200)
    for _ in range(scope.pick(92, 460)):
        model = incomplete_hybrid(episodes=rounds, seed=seed)
        run = Run(as_problem(model), HyGLOW(ties="last"), rounds, seed).advance()
        exact = Expectations.of(model.mdp, model.hypotheses.functions)
        yield HyGlowRun(
            f"seed {seed}",
            run.trace,
            model.mdp.horizon,
            exact.coverability,
            2.0,
            run.state.gamma,
            run.state.L,
            **credentials(run.trace),
        )
        seed += 1

