"""Evidence about density ratios: coverability, potentials, clipping, counting, and value decompositions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theoryrl.instances import incomplete_class, rich_lock
from theoryrl.learners import GLOW
from theoryrl.learners.glow_constants import harmonics
from theoryrl.learners.population import exact_residuals
from theoryrl.models import DeterministicPolicy, EpisodicMDP, FiniteFunctionClass
from theoryrl.protocol import as_problem
from theoryrl.solvers import (
    WeightClass,
    backward_induction,
    coverability,
    density_ratio,
    largest_ratio,
    mean_clipped_ratio,
    mixture_log_size,
    occupancy_measure,
    occupancy_measures,
    policy_value,
)
from theoryrl.theory.core import Evidence, Scope
from theoryrl.theory.evidence.robust_planning import Sides


def random_model(rng: np.random.Generator, shape: tuple[int, int, int] | None = None) -> EpisodicMDP:
    """Draw a sparse model whose rewards, all at the last stage, are in [0, 1]."""
    H, S, A = shape or (int(rng.integers(1, 5)), int(rng.integers(1, 6)), int(rng.integers(1, 4)))
    P = rng.dirichlet(np.full(S, 0.5), size=(H, S, A))
    r = np.zeros((H, S, A))
    r[-1] = rng.random((S, A)) < 0.4
    return EpisodicMDP(P, r, rng.dirichlet(np.ones(S)))


def random_policies(rng: np.random.Generator, mdp: EpisodicMDP, number: int) -> list[DeterministicPolicy]:
    """Draw deterministic policies."""
    H, S, A = mdp.r.shape
    return [DeterministicPolicy(rng.integers(A, size=(H, S)), A) for _ in range(number)]


# Coverability.


def enumerated_reach(mdp: EpisodicMDP) -> Float[np.ndarray, "H S A"]:
    """Return the largest occupancy of each pair over all deterministic policies, one by one."""
    H, S, A = mdp.r.shape
    every = itertools.product(range(A), repeat=H * S)
    policies = (DeterministicPolicy(np.array(a).reshape(H, S), A) for a in every)
    largest = np.zeros((H, S, A))
    for policy in policies:
        np.maximum(largest, occupancy_measure(mdp, policy), out=largest)
    return largest


def small_models(scope: Scope) -> Iterator[tuple[str, EpisodicMDP]]:
    """Yield models with at most 2^8 deterministic policies."""
    rng = np.random.default_rng([scope.seed, 91])
    for index in range(scope.pick(8, 60)):
        H, S = ((2, 3), (3, 2), (2, 4), (4, 2))[index % 4]
        yield f"H={H}, S={S}, {index}", random_model(rng, (H, S, 2))


def coverabilities(scope: Scope) -> Iterator[Sides]:
    """Yield coverability of each stage by dynamic programming and by enumeration."""
    for name, mdp in small_models(scope):
        yield Sides(name, coverability(mdp).stages, enumerated_reach(mdp).sum(axis=(1, 2)))


def covering_laws(scope: Scope) -> Iterator[Sides]:
    """Yield the largest ratio of finitely many policies to the law that covers them, and coverability."""
    rng = np.random.default_rng([scope.seed, 92])
    for index in range(scope.pick(60, 600)):
        mdp = random_model(rng)
        policies = random_policies(rng, mdp, int(rng.integers(1, 6)))
        found = coverability(mdp, policies)
        ratios = largest_ratio(occupancy_measures(mdp, policies), found.distribution).max(axis=0)
        yield Sides(f"{index}", ratios, found.stages)


def rich_observations(scope: Scope) -> Iterator[Sides]:
    """Yield the coverability of a block model with 2 latent states, and 4, for more and more observations."""
    for observations in scope.pick((10, 40), (10, 40, 120)):
        model = rich_lock(observations, decoders=1)
        yield Sides(f"S={observations}", np.array(coverability(model.mdp).value), np.array(4.0))


# Potentials.


@dataclass(frozen=True, eq=False)
class Plays(Evidence):
    """A sequence of occupancies of one stage.

    Parameters
    ----------
    d
        Shape [T, C].
    nu
        Law of offline data, which may have zeros: shape [C].
    gamma
        Scale of clipping.
    """

    d: Float[np.ndarray, "T C"]
    nu: Float[np.ndarray, " C"]
    gamma: float

    @property
    def before(self) -> Float[np.ndarray, "T C"]:
        """Sum of the occupancies of the rounds before each round."""
        return np.cumsum(self.d, axis=0) - self.d

    @property
    def coverability(self) -> Float[np.ndarray, " T"]:
        """Sum over the pairs of the largest occupancy so far."""
        return np.maximum.accumulate(self.d, axis=0).sum(axis=1)

    @property
    def potential(self) -> Float[np.ndarray, " T"]:
        """``sum over rounds of E_{d_t}[d_t / (d_1 + ... + d_t)]`` after every round."""
        return np.cumsum(np.sum(self.d * density_ratio(self.d, self.before + self.d), axis=1))

    @property
    def elliptic(self) -> Float[np.ndarray, " T"]:
        """Largest ``sum_t d_t / (d_1 + ... + d_{t-1} + C mu)`` of a pair, with ``C mu = max_t d_t``."""
        return np.cumsum(density_ratio(self.d, self.before + self.d.max(axis=0)), axis=0).max(axis=1)

    @property
    def hybrid(self) -> Float[np.ndarray, " T"]:
        """``sum over rounds of E_{d_t}[min(d_t / mu_t, gamma t)] / t`` for H2O's laws mu_t."""
        t = np.arange(1, len(self.d) + 1)
        mu = np.concatenate([self.nu[None], (self.nu + self.before[1:] / t[:-1, None]) / 2])
        w = np.minimum(density_ratio(self.d, mu), self.gamma * t[:, None])
        return np.cumsum((self.d * w).sum(axis=1) / t)

    @property
    def harmonics(self) -> Float[np.ndarray, " T"]:
        """H_1, ..., H_T."""
        return harmonics(len(self.d))


def plays(scope: Scope) -> Iterator[Plays]:
    """Yield sequences: random, constant, in blocks, and of one round, with offline laws that miss pairs."""
    rng = np.random.default_rng([scope.seed, 93])
    for index in range(scope.pick(60, 600)):
        T, C, N = int(rng.integers(1, 200)), int(rng.integers(1, 12)), int(rng.integers(1, 8))
        laws = rng.dirichlet(np.full(C, 0.3), size=N)
        order = (rng.integers(N, size=T), np.zeros(T, dtype=int), np.arange(T) * N // T)[index % 3]
        nu = rng.dirichlet(np.ones(C)) * (rng.random(C) < 0.5)
        nu = nu / nu.sum() if nu.sum() > 0 else np.eye(C)[0]
        yield Plays(f"T={T}, {index}", laws[order], nu, float(10 ** rng.uniform(-2.5, 2.5)))
    yield Plays("offline data elsewhere", np.eye(2)[[0]], np.eye(2)[1], 1.0)


def constant_plays(scope: Scope) -> Iterator[Plays]:
    """Yield sequences that never change."""
    return (case for case in plays(scope) if (case.d == case.d[0]).all())


# Decompositions of values.


@dataclass(frozen=True, eq=False)
class Decomposition(Evidence):
    """A function, its greedy policy and an optimal policy, and residuals under both.

    Parameters
    ----------
    promise, value, best
        ``E f_1(s_1, pi_f)``, J(pi_f) and J(pi*).
    own, optimal
        Sums over the stages of E[residual] under pi_f and under pi*.
    """

    promise: float
    value: float
    best: float
    own: float
    optimal: float


def decompositions(
    scope: Scope, residuals: Callable[..., np.ndarray] = exact_residuals
) -> Iterator[Decomposition]:
    """Yield random functions on random models."""
    rng = np.random.default_rng([scope.seed, 94])
    for index in range(scope.pick(200, 2000)):
        mdp = random_model(rng)
        functions = FiniteFunctionClass(rng.random((1, *mdp.r.shape)))
        policy = DeterministicPolicy(functions.greedy_actions()[0], mdp.n_actions)
        solution = backward_induction(mdp)
        delta = residuals(mdp, functions)[0]
        own, optimal = (float((occupancy_measure(mdp, p) * delta).sum()) for p in (policy, solution.policy))
        promise = float(mdp.rho @ functions.Q[0, 0].max(axis=1))
        yield Decomposition(
            f"{index}", promise, policy_value(mdp, policy), solution.start_value, own, optimal
        )


# Clipping.


def clippings(scope: Scope) -> Iterator[Sides]:
    """Yield five facts on clipped concentrability: left sides and what they are at most."""
    rng = np.random.default_rng([scope.seed, 95])
    for index in range(scope.pick(300, 3000)):
        C = int(rng.integers(1, 10))
        d, mu = rng.dirichlet(np.full(C, 0.3)), rng.dirichlet(np.full(C, 0.3))
        c, smaller = float(10 ** rng.uniform(-2, 3)), float(rng.random())
        left, right = clipping_facts(d[None], mu[None], c, smaller)
        yield Sides(f"{index}", left, right)


def clipping_facts(
    d: Float[np.ndarray, "1 C"], mu: Float[np.ndarray, "1 C"], c: float, smaller: float
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Return both sides of: CC grows with c; CC <= c and the largest ratio; and what clipping costs."""
    cc, ratio = float(mean_clipped_ratio(d, mu, c)), density_ratio(d, mu)
    clipped = np.minimum(ratio, c)
    left = [
        float(mean_clipped_ratio(d, mu, smaller * c)),
        cc,
        cc,
        float((mu * clipped**2).sum()),
        c * float(d[ratio > c].sum()),
        abs(float(mean_clipped_ratio(d, d, c)) - min(1.0, c)),
    ]
    return np.array(left), np.array([cc, c, float(ratio.max()), cc, cc, 0.0])


# Counting and scaling.


def weight_counts(scope: Scope) -> Iterator[Sides]:
    """Yield log of the number of weights by formula and by listing every count vector."""
    for N, T in itertools.product(range(1, scope.pick(4, 5)), range(1, scope.pick(7, 10))):
        vectors = sum(1 for n in itertools.product(range(T), repeat=N) if sum(n) <= T - 1)
        yield Sides(f"N={N}, T={T}", np.array(mixture_log_size(N, T)), np.array(math.log(N * vectors)))


def tuple_mixtures(
    scope: Scope, mean: Callable[..., np.ndarray] = lambda ratios: 1 / ratios.mean(axis=0)
) -> Iterator[Sides]:
    """Yield ``1 / mean(w^1, ..., w^t)`` of single ratios at the tuple of a run, and its weights.

    Only pairs that the policy or the data visit matter.
    """
    rng = np.random.default_rng([scope.seed, 106])
    for index in range(scope.pick(60, 600)):
        mdp, N = random_model(rng), int(rng.integers(1, 6))
        d = occupancy_measures(mdp, random_policies(rng, mdp, N))
        played, pi = rng.integers(N, size=int(rng.integers(1, 40))), int(rng.integers(N))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = mean(density_ratio(d[[*played, pi]], d[pi]))
        counts = np.bincount(played, minlength=N)
        weights = WeightClass("tuples", d[None], np.arange(N)).mixtures(counts)[0, pi]
        seen = d[pi] + np.einsum("n,nhsa->hsa", counts, d) > 0
        yield Sides(f"{index}", ratios[seen], weights[seen])


def scaled_weights(scope: Scope) -> Iterator[Sides]:
    """Yield 8/9 of the largest refutation of a defect by any multiple of w = 1, and that on GLOW's grid."""
    problem = as_problem(incomplete_class())
    functions = incomplete_class().hypotheses.functions
    one = WeightClass.explicit(np.ones((1, *functions.Q.shape[1:])), functions)
    rng = np.random.default_rng([scope.seed, 96])
    for index in range(scope.pick(40, 400)):
        learner = GLOW(weights=one_mixture(one), gamma=float(10 ** rng.uniform(-2, 0)), scales=12)
        state = learner.init(problem.spec(1000), rng)
        t, epsilon = int(rng.integers(2, 1000)), float(rng.uniform(2e-3, 1))
        alpha = learner.pair.c_alpha / (state.gamma * t)
        grid = learner.clipped(state, t)[..., 0, 0]
        best = float(np.max(epsilon * grid - alpha * grid**2))
        yield Sides(f"{index}", np.array(8 / 9 * epsilon**2 / (4 * alpha)), np.array(best))


def one_mixture(explicit: WeightClass) -> WeightClass:
    """Return the class of one policy, whose mixtures are all w = 1 where it goes.

    The refutation of a defect needs only the constant weight.
    """
    H, S, A = explicit.shape
    d = np.full((1, 1, H, S, A), 1 / (S * A))
    return WeightClass("mixture", d, np.zeros_like(explicit.policy_of))
