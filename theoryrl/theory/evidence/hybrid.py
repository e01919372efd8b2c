"""Evidence on MABO.CR, H2O and HyGLOW."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.instances import defect_class, hybrid_lock, incomplete_hybrid
from theoryrl.learners import HyGLOW
from theoryrl.learners.candidates import Candidates, ResidualSums
from theoryrl.learners.glow_constants import hyglow_regret_bound, population_hyglow_bound
from theoryrl.learners.offline_fits import fitted_indices, log_likelihoods, mabo_objective, smallest
from theoryrl.learners.population import Expectations, PopulationRun, population_hyglow, population_mabo
from theoryrl.models import (
    CandidateMDP,
    EpisodicMDP,
    FiniteFunctionClass,
    FiniteModelClass,
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


def attained_risks(scope: Scope, objective: Objective = population_mabo) -> Iterator[MaboRisk]:
    """Yield two arms, data that rarely show the wrong one, and a function that wrongly calls them equal.

    With mu = 1 / a at that arm and c = a^2 its objective is that of Q* (up to a tie) if it promises
    ``(a - 2) / (a - 1)``, which is its risk too.
    """
    for a in (10.0, 30.0, 100.0, 300.0, 1000.0):
        x = (a - 2) / (a - 1)
        exact = _arms([0.0, x], [[0.0, x], [x, x]])
        yield mabo_risk(f"a={a:g}", exact, np.array([[1 / a, 1 - 1 / a]]), a**2, a, objective)


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


@dataclass(frozen=True, eq=False)
class ContextualData:
    """Data of a contextual bandit (one stage), drawn as counts, so that n can be as large as bounds ask for.

    Attributes
    ----------
    mdp
        The bandit, with Bernoulli rewards.
    mu
        Law of the data: shape [1, S A].
    n
        Number of episodes.
    N, earned
        Counts and sums of rewards of the pairs: shape [1, S A].
    """

    mdp: EpisodicMDP
    mu: Float[np.ndarray, "1 C"]
    n: int
    N: Float[np.ndarray, "1 C"]
    earned: Float[np.ndarray, "1 C"]

    @classmethod
    def draw(cls, rng: np.random.Generator, r: Float[np.ndarray, "S A"], n: int) -> ContextualData:
        """Draw a law of contexts, a law of actions in each, and the data."""
        S, A = r.shape
        rho = rng.dirichlet(np.ones(S))
        P = np.broadcast_to(rho, (1, S, A, S))
        mdp = EpisodicMDP(P, r[None], rho, noise=RewardNoise("bernoulli"))
        mu = (rho[:, None] * rng.dirichlet(np.full(A, 0.5), size=S)).reshape(1, -1)
        N = rng.multinomial(n, mu[0])[None]
        return cls(mdp, mu, n, N.astype(np.float64), rng.binomial(N, r.reshape(1, -1)).astype(np.float64))

    def sums(self, candidates: Candidates) -> ResidualSums:
        """Return the residual sums."""
        Q = candidates.Q.reshape(*self.N.shape, -1)
        return ResidualSums(self.N, self.N[..., None] * Q - self.earned[..., None], np.zeros(0), self.n)

    @property
    def transitions(self) -> tuple[Float[np.ndarray, "1 S A S"], Float[np.ndarray, "1 S A"]]:
        """Counts of transitions, whose law all candidates share, in proportion to it; and sums of rewards."""
        _, S, A = self.mdp.r.shape
        return self.N.reshape(1, S, A, 1) * self.mdp.rho, self.earned.reshape(1, S, A)

    def risk_and_cover(self, policy: Any, clip: float) -> tuple[float, float, float]:
        """Return the risk of a policy, its clipped concentrability, and that of the optimal one."""
        solution = backward_induction(self.mdp)
        d = [occupancy_measure(self.mdp, p).reshape(1, -1) for p in (policy, solution.policy)]
        own, best = stage_sums(np.stack(d), self.mu, clip)
        return solution.start_value - policy_value(self.mdp, policy), float(own), float(best)


def mabo_samples(scope: Scope, objective: Objective = mabo_objective) -> Iterator[SampledRisk]:
    """Yield MABO.CR at delta = .05, with a bound below 1, on bandits and on one that needs the modulus."""
    rng = np.random.default_rng([scope.seed, 100])
    for index in range(scope.pick(92, 460)):
        r = 0.9 * rng.random((int(rng.integers(1, 4)), int(rng.integers(2, 4))))
        others = np.where(rng.random((10, *r.shape)) < 0.4, rng.random((10, *r.shape)), r)
        functions = FiniteFunctionClass(np.concatenate([r[None], others])[:, None])
        data = ContextualData.draw(rng, r, 10**8)
        yield sampled_mabo(f"contexts, {index}", "contexts", data, functions, objective)
        r = np.array([[0.0, 0.9]])
        functions = FiniteFunctionClass(np.stack([r, np.zeros((1, 2))])[:, None])
        data = ContextualData.draw(rng, r, 10**8)
        yield sampled_mabo(f"arms, {index}", "arms", data, functions, objective)


def sampled_mabo(
    name: str, group: str, data: ContextualData, functions: FiniteFunctionClass, objective: Objective
) -> SampledRisk:
    """Return the risk of the last minimiser, at the gamma that balances the bound."""
    delta = 0.05
    candidates, exact = Candidates.of(functions), Expectations.of(data.mdp, functions)
    L = math.log(6 * len(functions) * len(exact.d) / delta)
    gamma = math.sqrt(92 / 3 / (164 / 3 * L * data.n))
    clip, sums = gamma * data.n, data.sums(candidates)
    weights = np.minimum(density_ratio(exact.d, data.mu), clip)
    values = objective(sums.N / data.n, sums.G / data.n, weights, 8 / clip)
    policy = candidates.policies[smallest(values, "last")]
    risk, own, best = data.risk_and_cover(policy, clip)
    bound = (43 * own + 46 * best) / (3 * clip) + 164 / 3 * gamma * L
    return SampledRisk(name, risk, bound, group=group, delta=delta)


def fitted_samples(
    scope: Scope, fit: Callable[..., np.ndarray] = fitted_indices, sign: int = 1
) -> Iterator[SampledRisk]:
    """Yield fitted Q-iteration and maximum likelihood on one stage, where a realisable class is complete."""
    rng = np.random.default_rng([scope.seed, 101])
    delta, F = 0.05, 10
    for index in range(scope.pick(92, 460)):
        Q = rng.random((F, 2, 3))
        data = ContextualData.draw(rng, Q[0], 10**9)
        candidates = Candidates.of(FiniteFunctionClass(Q[:, None]))
        sums = data.sums(candidates)
        likely = log_likelihoods(_models(Q, data.mdp.rho), *data.transitions)[0]
        fitted = int(fit(candidates, sums, "first")[0])
        for name, f, b in (
            ("fqi", fitted, 1024 * math.log(2 * F / delta)),
            ("mle", int((sign * likely).argmax()), 8 * math.log(F / delta)),
        ):
            gamma = math.sqrt(12 / (b * data.n))
            risk, own, best = data.risk_and_cover(candidates.policies[f], gamma * data.n)
            bound = 6 / (gamma * data.n) * (own + best) + b * gamma
            yield SampledRisk(f"{name}, {index}", risk, float(bound), group=name, delta=delta)


def _models(Q: Float[np.ndarray, "F S A"], rho: Float[np.ndarray, " S"]) -> FiniteModelClass:
    P = np.broadcast_to(rho, (len(Q), 1, *Q.shape[1:], len(rho)))
    return FiniteModelClass(P, Q[:, None], rho)


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
