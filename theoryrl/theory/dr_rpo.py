"""The theorems of robust, policy-regularised learning in linear MDPs (Gu, He, Liu and Xu 2025).

Of the paper we know the abstract; its constants and the text of its theorems we do not. The statements
here are about the algorithm of this library, with our constants, and are proved on the DR-RPO page. The
final bounds are vacuous at feasible sizes; so each inequality of their proof is checked by itself, on
plans whose bonus is as small as the proof allows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog

from theoryrl.instances import five_state, random_robust_linear, repeated_mixture, unobserved_turn
from theoryrl.learners import DRRPO
from theoryrl.models import (
    DiscountedMDP,
    EpisodicMDP,
    LinearMDP,
    Policy,
    RobustLinearMDP,
    RobustMDP,
    Uncertainty,
)
from theoryrl.protocol import EpisodicDecision, OffDynamicsProblem
from theoryrl.solvers import (
    policy_evaluation,
    robust_mirror_ascent,
    robust_policy_evaluation,
    robust_value_iteration,
)
from theoryrl.solvers.robust._operators import soft_greedy, stage_backup
from theoryrl.solvers.robust.backups import divergence, expectation
from theoryrl.theory.core import Curve, Evidence, Kind, Mark, Paper, Scope, Series, Theorem, credentials
from theoryrl.theory.robust_linear import (
    NEGATIVE,
    Plan,
    PlanAudit,
    RegressionAudit,
    RobustRun,
    audited_run,
    occupancy,
    tight_plan,
)

BALLS = ("tv", "l1", "linf", "kl", "chi2", "wasserstein", "contamination")
SETS = (*BALLS, *(f"{name}-penalty" for name in BALLS[:-1]))
LEARNABLE = ("tv", "tv-penalty", "kl-penalty", "chi2-penalty")


def random_set(rng: np.random.Generator, name: str, S: int) -> Uncertainty:
    """Draw a radius (zero and the largest one included) or a price; costs are random."""
    kind = name.removesuffix("-penalty")
    cost = None
    if kind == "wasserstein":
        cost = np.round(rng.random((S, S)), 2)
        np.fill_diagonal(cost, 0.0)
    if name != kind:
        return Uncertainty(kind, float(10 ** rng.uniform(-1, 1)), penalty=True, cost=cost)
    top = {"l1": 2.0, "kl": 3.0, "chi2": 10.0}.get(kind, 1.0)
    return Uncertainty(kind, float(rng.choice([0.0, top, top * rng.random() ** 2])), cost=cost)


# Facts about sets and planning.


@dataclass(frozen=True, eq=False)
class InnerProblem(Evidence):
    """The value of a feasible row, a dual value, and by how much the row exceeds its radius."""

    value: float
    dual: float
    excess: float


def inner_problems(scope: Scope) -> Iterator[InnerProblem]:
    """Yield inner problems of every set, with zeros in the nominal row and ties in the values."""
    rng = np.random.default_rng([scope.seed, 20])
    for index in range(scope.pick(30, 300)):
        for name in SETS:
            S = int(rng.integers(1, 8))
            p0 = rng.dirichlet(np.full(S, 0.5)) * (rng.random(S) < 0.75)
            p0 = p0 / p0.sum() if p0.sum() > 0 else np.eye(S)[0]
            v = np.round(3 * rng.random(S), int(rng.integers(0, 6)))
            uncertainty = random_set(rng, name, S)
            found = expectation(uncertainty, p0, v, rows=True)
            excess = 0.0
            if not uncertainty.penalty and name != "wasserstein":
                assert found.rows is not None
                excess = float(divergence(uncertainty, found.rows, p0)) - float(uncertainty.radius)
            yield InnerProblem(f"{name}, {index}", float(found.value), float(found.lower), excess)


@dataclass(frozen=True, eq=False)
class Sides(Evidence):
    """Two sides of a statement, computed in two ways."""

    left: Float[np.ndarray, ...]
    right: Float[np.ndarray, ...]


def linear_pairs(scope: Scope) -> Iterator[Sides]:
    """Yield, for each (s, a), the least value over all factors at once by HiGHS, and <phi, theta + sigma>."""
    rng = np.random.default_rng([scope.seed, 21])
    for index in range(scope.pick(12, 100)):
        S, A, d, radius = int(rng.integers(2, 5)), 2, int(rng.integers(2, 5)), float(rng.random())
        phi, mu = rng.dirichlet(np.full(d, 0.5), size=(S, A)), rng.dirichlet(np.full(S, 0.5), size=(1, d))
        nominal = LinearMDP(phi, rng.random((1, d)), mu, np.eye(S)[0])
        model, v = RobustLinearMDP(nominal, Uncertainty("tv", radius)), rng.normal(size=S)
        found = stage_backup(model, 0, v).Q
        least = [_least_over_factors(phi[s, a], mu[0], v, radius) for s, a in np.ndindex(S, A)]
        direct = np.array(least).reshape(S, A) + phi @ nominal.theta[0]
        yield Sides(f"model {index}", found, direct)


def _least_over_factors(phi: np.ndarray, mu: np.ndarray, v: np.ndarray, radius: float) -> float:
    """Minimise <phi, mu' v> over factors mu' within total variation `radius`, as one linear program."""
    d, S = mu.shape
    n = d * S
    eye, rows = np.eye(n), np.kron(np.eye(d), np.ones((1, S)))
    # Variables: mu', and the absolute changes t >= |mu' - mu|, whose sum per factor is at most 2 radius.
    upper = np.block([[eye, -eye], [-eye, -eye], [np.zeros((d, n)), rows]])
    limits = np.concatenate([mu.ravel(), -mu.ravel(), np.full(d, 2 * radius)])
    cost = np.concatenate([np.outer(phi, v).ravel(), np.zeros(n)])
    equal = np.hstack([rows, np.zeros((d, n))])
    return float(linprog(cost, A_ub=upper, b_ub=limits, A_eq=equal, b_eq=np.ones(d), method="highs").fun)


def random_tabular(rng: np.random.Generator) -> EpisodicMDP:
    """Draw a small model."""
    H, S, A = int(rng.integers(1, 5)), int(rng.integers(2, 5)), int(rng.integers(1, 4))
    P = rng.dirichlet(np.full(S, 0.4), size=(H, S, A))
    return EpisodicMDP(P, rng.random((H, S, A)), rng.dirichlet(np.ones(S)))


def worst_kernels(scope: Scope) -> Iterator[Sides]:
    """Yield robust values, and plain values under the worst kernel that was returned with them."""
    rng = np.random.default_rng([scope.seed, 22])
    for index in range(scope.pick(40, 400)):
        mdp = random_tabular(rng)
        H, S, A = mdp.r.shape
        policy = Policy(rng.dirichlet(np.ones(A), size=(H, S)))
        name = BALLS[index % len(BALLS)]
        shared = index % 4 == 0
        uncertainty = random_set(rng, "l1" if shared else name, S)
        model = RobustMDP(mdp, uncertainty, rectangularity="s" if shared else "sa")
        robust = robust_policy_evaluation(model, policy)
        plain = policy_evaluation(EpisodicMDP(robust.worst_kernel, mdp.r, mdp.rho), policy)
        yield Sides(f"{uncertainty!r}, {index}", robust.value, plain.value)


def shared_budgets(scope: Scope) -> Iterator[Sides]:
    """Yield the s-rectangular optimum, and what its policy is worth against its own worst kernel."""
    rng = np.random.default_rng([scope.seed, 23])
    for index in range(scope.pick(60, 600)):
        mdp = random_tabular(rng)
        kappa = float(rng.choice([0.0, 2.0, 2 * rng.random() ** 2]))
        model = RobustMDP(mdp, Uncertainty("l1", kappa), rectangularity="s")
        best = robust_value_iteration(model)
        assert isinstance(best.policy, Policy)
        yield Sides(f"{index}", robust_policy_evaluation(model, best.policy).value, best.value)


def contractions(scope: Scope) -> Iterator[Sides]:
    """Yield the distance of two robust backups, and gamma times that of their arguments."""
    rng = np.random.default_rng([scope.seed, 24])
    for index in range(scope.pick(10, 100)):
        for name in (*SETS, "s"):
            S, A, gamma = int(rng.integers(2, 6)), int(rng.integers(1, 4)), float(rng.random())
            mdp = DiscountedMDP(rng.dirichlet(np.full(S, 0.4), size=(S, A)), rng.random((S, A)), gamma)
            shared = name == "s"
            uncertainty = random_set(rng, "l1" if shared else name, S)
            model = RobustMDP(mdp, uncertainty, rectangularity="s" if shared else "sa")
            v, w = 3 * rng.normal(size=(2, S))
            change = stage_backup(model, 0, v).V - stage_backup(model, 0, w).V
            yield Sides(f"{name}, {index}", np.abs(change).max(), gamma * np.abs(v - w).max())


def regularised_model(rng: np.random.Generator, eta: float) -> RobustMDP:
    """Draw a robust model with a random reference policy."""
    mdp = random_tabular(rng)
    reference = Policy(
        0.1 / mdp.n_actions + 0.9 * rng.dirichlet(np.ones(mdp.n_actions), size=mdp.r.shape[:2])
    )
    kind = ("tv", "chi2", "kl")[int(rng.integers(3))]
    return RobustMDP(mdp, random_set(rng, kind, mdp.n_states), temperature=eta, reference=reference)


def temperatures(scope: Scope) -> Iterator[Sides]:
    """Yield what the regulariser costs, and the bound (H - h) eta log(1 / min reference) on it."""
    rng = np.random.default_rng([scope.seed, 25])
    for index in range(scope.pick(40, 400)):
        eta = float(10 ** rng.uniform(-3, 0.5))
        model = regularised_model(rng, eta)
        hard = RobustMDP(model.nominal, model.uncertainty)
        cost = robust_value_iteration(hard).value - robust_value_iteration(model).value
        rarest = float(model.reference_policy.min())
        remaining = np.arange(len(cost), 0.0, -1.0)[:, None] * np.ones(cost.shape)
        limits = [remaining * eta * math.log(1 / rarest), np.zeros(cost.shape)]
        yield Sides(f"eta = {eta:.3g}, {index}", np.array([cost, -cost]), np.array(limits))


def radii(scope: Scope) -> Iterator[Sides]:
    """Yield values at a radius, and at a smaller radius (or a higher price), which are no smaller."""
    rng = np.random.default_rng([scope.seed, 26])
    for index in range(scope.pick(40, 400)):
        mdp, name = random_tabular(rng), SETS[index % len(SETS)]
        uncertainty = random_set(rng, name, mdp.n_states)
        factor = 1 + rng.random() if uncertainty.penalty else rng.random()
        weaker = Uncertainty(
            uncertainty.divergence,
            float(uncertainty.radius) * float(factor),
            penalty=uncertainty.penalty,
            cost=uncertainty.cost,
        )
        values = [robust_value_iteration(RobustMDP(mdp, u)).value for u in (uncertainty, weaker)]
        yield Sides(f"{name}, {index}", *values)


def reweightings(scope: Scope) -> Iterator[Sides]:
    """Yield the largest factor by which a penalised adversary raises a probability, and its bound."""
    rng = np.random.default_rng([scope.seed, 38])
    for index in range(scope.pick(100, 1000)):
        S, R, price = int(rng.integers(2, 7)), float(1 + 3 * rng.random()), float(10 ** rng.uniform(-0.5, 1))
        p0, v = rng.dirichlet(np.full(S, 0.5)), R * rng.random(S)
        v[: index % 2] = 0.0
        for kind, factor in (("kl", math.exp(R / price)), ("chi2", 1 + R / (2 * price))):
            found = expectation(Uncertainty(kind, price, penalty=True), p0, v, rows=True)
            assert found.rows is not None
            yield Sides(f"{kind}, {index}", (found.rows / p0).max(), np.array(factor))


# The regularised optimum and the policies around it.


@dataclass(frozen=True, eq=False)
class SoftGreedy(Evidence):
    """The gap of the Gibbs policy of some Q, and the second-order bound on it."""

    gap: float
    bound: float


def soft_greedy_policies(scope: Scope) -> Iterator[SoftGreedy]:
    """Yield Gibbs policies of action values that are nearly or not at all the optimal ones."""
    rng = np.random.default_rng([scope.seed, 27])
    for index in range(scope.pick(300, 3000)):
        model = regularised_model(rng, float(10 ** rng.uniform(-2, 0.3)))
        yield soft_greedy_gap(model, rng, float(10 ** rng.uniform(-2, 0.5)), f"{index}")


def soft_greedy_gap(model: RobustMDP, rng: np.random.Generator, size: float, name: str) -> SoftGreedy:
    """Perturb the optimal action values by noise of this size, play the Gibbs policy, and compare."""
    best = robust_value_iteration(model)
    assert isinstance(model.nominal, EpisodicMDP)
    optimal = best.action_values
    noise = size * rng.normal(size=optimal.shape)
    pi, _ = soft_greedy(optimal + noise, model.temperature, model.reference_policy)
    played = robust_policy_evaluation(model, Policy(pi))
    visits = occupancy(played.worst_kernel, pi, model.nominal.rho).sum(axis=2)
    bound = float((visits * np.ptp(noise, axis=2) ** 2).sum()) / (8 * model.temperature)
    return SoftGreedy(name, best.start_value - played.start_value, bound)


def vanishing_errors(scope: Scope) -> Iterator[Curve]:
    """Yield the gap of the Gibbs policy over the size of the error of its action values."""
    sizes = 2.0 ** -np.arange(4, 12)
    for index in range(scope.pick(5, 30)):
        model = regularised_model(np.random.default_rng([scope.seed, 28, index]), 0.3)
        if model.nominal.n_actions == 1:
            continue
        noise = [np.random.default_rng([scope.seed, 29, index]) for _ in sizes]
        gaps = [soft_greedy_gap(model, rng, float(x), "").gap for rng, x in zip(noise, sizes, strict=True)]
        labels = ("size of the error", "regularised gap")
        yield Curve(f"model {index}", sizes, np.array(gaps)[:, None], *labels, exact=True)


@dataclass(frozen=True, eq=False)
class Ascent(Evidence):
    """Values of exact mirror ascent, the optimum, the step times the temperature, and the horizon."""

    values: Float[np.ndarray, " N"]
    best: float
    eta_t: float
    horizon: int


def ascents(scope: Scope) -> Iterator[Ascent]:
    """Yield runs of mirror ascent, at temperature zero too."""
    rng = np.random.default_rng([scope.seed, 30])
    for index in range(scope.pick(20, 200)):
        eta = (0.0, 0.1, 0.5)[index % 3]
        model, step = regularised_model(rng, eta), float(10 ** rng.uniform(-0.5, 1.0))
        found = robust_mirror_ascent(model, step, iterations=25)
        best = robust_value_iteration(model).start_value
        yield Ascent(f"{index}", found.values, best, eta * step, len(found.value))


def linear_ascents(scope: Scope) -> Iterator[Ascent]:
    """Yield runs long enough for the gap to fall by a constant factor per step."""
    rng = np.random.default_rng([scope.seed, 31])
    for index in range(scope.pick(8, 60)):
        eta = 0.4
        model, step = regularised_model(rng, eta), (0.5, 2.5)[index % 2]
        found = robust_mirror_ascent(model, step, iterations=60)
        best = robust_value_iteration(model).start_value
        yield Ascent(f"{index}", found.values, best, eta * step, len(found.value))


def soft_policy_iterations(scope: Scope) -> Iterator[Ascent]:
    """Yield soft policy iteration with as many updates as there are stages."""
    rng = np.random.default_rng([scope.seed, 32])
    for index in range(scope.pick(20, 200)):
        model = regularised_model(rng, float(10 ** rng.uniform(-2, 0)))
        assert isinstance(model.nominal, EpisodicMDP)
        found = robust_mirror_ascent(model, np.inf, iterations=model.nominal.horizon)
        best = robust_value_iteration(model).start_value
        yield Ascent(f"{index}", found.values, best, np.inf, len(found.value))


TAIL = (1e-9, 1e-5)
"""Gaps between which the factor is read off: corrections are of the gap's order, rounding of 1e-15 over it."""


def tail_factors(run: Ascent) -> Float[np.ndarray, " N"]:
    """Return the ratios of successive gaps while these are small but far above rounding."""
    gaps = run.best - run.values
    small = (gaps[:-1] < TAIL[1]) & (gaps[1:] > TAIL[0])
    return (gaps[1:] / np.maximum(gaps[:-1], TAIL[0]))[small]


@dataclass(frozen=True, eq=False)
class Flip(Evidence):
    """The radius at which the robust first action of the five states flips, found and in closed form."""

    found: float
    formula: float


def flips(scope: Scope) -> Iterator[Flip]:
    """Yield the flip radius by bisection on exact robust planning."""
    for xi_norm in (0.1, 0.2, 0.3):
        low, high = 0.0, 1.0
        while high - low > 1e-10:
            radius = (low + high) / 2
            best = robust_value_iteration(five_state(xi_norm=xi_norm, radius=radius))
            assert isinstance(best.policy, Policy)
            goes = best.policy.probabilities[0, 0, 15] == 1.0
            low, high = (radius, high) if goes else (low, radius)
        m, p = 0.3 + xi_norm, 0.001
        formula = 1 - (1 - p) * (2 * m + m * (1 - m) * (1 - p)) / 2
        yield Flip(f"xi = {xi_norm}", (low + high) / 2, formula)


# Plans and runs.


def random_learning_model(
    rng: np.random.Generator, index: int, name: str, temperature: float
) -> RobustLinearMDP:
    """Draw a small model with a fail state: every kind of features, dense and sparse rewards."""
    features = ("dirichlet", "covered", "one-hot")[index % 3]
    return random_robust_linear(
        n_states=int(rng.integers(3, 6)),
        n_actions=int(rng.integers(2, 4)),
        dimension=0 if features == "one-hot" else int(rng.integers(3, 6)),
        horizon=int(rng.integers(2, 5)),
        features=features,
        uncertainty=name,
        radius=float(rng.random()) if name == "tv" else float(10 ** rng.uniform(-0.7, 0.5)),
        temperature=temperature,
        sparsity=0.5 * (index % 2),
        seed=int(rng.integers(2**31)),
    )


def tight_plans(
    scope: Scope, make: Callable[..., Any] = DRRPO, temperatures: tuple[float, ...] = (0.0, 0.05, 0.3)
) -> Iterator[Plan]:
    """Yield plans with the smallest bonus that the proof allows, for every set that can be learned."""
    rng = np.random.default_rng([scope.seed, 33])
    for index in range(scope.pick(60, 600)):
        for name in LEARNABLE:
            eta = temperatures[int(rng.integers(len(temperatures)))]
            model = random_learning_model(rng, index, name, eta)
            learner = make(ridge=float(10 ** rng.uniform(-1, 0.5)))
            yield tight_plan(rng, learner, model, f"{name}, {index}")


def greedy_tv_plans(scope: Scope) -> Iterator[Plan]:
    """Yield the plans for total variation only, half of them without regularisation."""
    for plan in tight_plans(scope, temperatures=(0.0, 0.0, 0.05, 0.3)):
        if plan.model.uncertainty.name == "tv":
            yield plan


def theory_runs(scope: Scope) -> Iterator[RobustRun]:
    """Yield runs at delta = 0.05 for total variation; no two share a seed.

    96 runs without a failure show a rate below 0.05 with confidence 0.99.
    """
    seed = scope.seeds(1, 1)[0]
    for index in range(scope.pick(96, 480)):
        model = random_learning_model(np.random.default_rng([scope.seed, 34, index]), index, "tv", 0.1)
        learner = DRRPO(ridge=(0.1, 1.0)[index % 2], data_dependent=index % 4 > 1)
        yield audited_run(model, learner, 25, seed + index, f"{index}", audit=RegressionAudit())


def penalty_runs(scope: Scope) -> Iterator[RobustRun]:
    """Yield runs at delta = 0.5 for each penalty: 24 a group can show a rate below 0.5, or one above."""
    seed = scope.seeds(1, 1)[0] + 1000
    for name in LEARNABLE[1:]:
        for index in range(scope.pick(24, 96)):
            model = random_learning_model(np.random.default_rng([scope.seed, 35, index]), index, name, 0.1)
            learner = DRRPO(delta=0.5)
            yield audited_run(model, learner, 25, seed, f"{name}, {index}", name, RegressionAudit())
            seed += 1


def gap_runs(scope: Scope) -> Iterator[RobustRun]:
    """Yield fully audited runs with the theory's constants."""
    seed = scope.seeds(1, 1)[0] + 2000
    for index in range(scope.pick(24, 60)):
        model = random_learning_model(np.random.default_rng([scope.seed, 36, index]), index, "tv", 0.2)
        yield audited_run(model, DRRPO(), scope.pick(15, 200), seed + index, f"{index}")


class CoverageAudit:
    """The least eigenvalue of E[phi phi^T] on the coordinates that the set reaches, at every plan."""

    def __init__(self) -> None:
        self._last: tuple[Any, dict[str, float]] = (None, {})
        self._P: np.ndarray | None = None

    def __call__(self, problem: OffDynamicsProblem, state: Any, decision: Any) -> dict[str, float]:
        """Return alpha of the policy (the last stage, which has no bonus, is left out)."""
        if self._last[0] is decision.policy:
            return self._last[1]
        model = problem.model
        if self._P is None:
            self._P = model.nominal.to_episodic().P
        phi, pi = model.nominal.phi, decision.policy.probabilities
        visits = occupancy(self._P, pi, model.nominal.rho)
        alpha = np.inf
        for h in range(model.horizon - 1):
            reached = np.arange(model.n_states) if h else np.flatnonzero(model.nominal.rho)
            reached = reached[reached != model.fail_state]
            J = np.flatnonzero((phi[reached] > 0).any(axis=(0, 1)))
            moments = np.einsum("sa,sai,saj->ij", visits[h], phi[..., J], phi[..., J])
            alpha = min(alpha, float(np.linalg.eigvalsh(moments)[0]))
        self._last = decision.policy, {"alpha": alpha, "beta_sum": float(state.beta.sum())}
        return self._last[1]


COVERED_ETA = 1.0
COVERED_DELTA = 0.3
"""At this level 13 runs suffice for either verdict: 0.7^13 < 0.01, 0.3^12 < 1e-6."""


def covered_learner() -> DRRPO:
    """Return DR-RPO with the theory's constants, planning seldom."""
    return DRRPO(delta=COVERED_DELTA / 2, data_dependent=True, switching="doubling")


@lru_cache(maxsize=1)
def covered_runs(scope: Scope, make: Callable[[], Any] = covered_learner) -> tuple[RobustRun, ...]:
    """Return long runs on a small model whose features are covered; several theorems look at them."""
    model = random_robust_linear(3, 2, 3, 2, "covered", temperature=COVERED_ETA, seed=0)
    K, seeds = scope.pick(2**12, 2**15), scope.seeds(13, 20)
    return tuple(audited_run(model, make(), K, seed, "covered", audit=CoverageAudit()) for seed in seeds)


def slow_bound(run: RobustRun) -> Float[np.ndarray, " K"]:
    """G n0 + (4 sqrt 2 / sqrt alpha) (sum_h beta_h) sqrt k, for each k > n0 (else G k)."""
    k, alpha, beta, n0, G = _coverage(run)
    bound = G * n0 + 4 * math.sqrt(2 / alpha) * beta * np.sqrt(k)
    return np.where(k > n0, bound, G * k)


def fast_bound(run: RobustRun) -> Float[np.ndarray, " K"]:
    """G n0 + (H (sum_h beta_h)^2 / (eta alpha)) log(k / n0), for each k > n0 (else G k)."""
    k, alpha, beta, n0, G = _coverage(run)
    model = run.problem.model
    growth = model.horizon * beta**2 / (model.temperature * alpha)
    return np.where(k > n0, G * n0 + growth * np.log(np.maximum(k / n0, 1.0)), G * k)


def _coverage(run: RobustRun) -> tuple[np.ndarray, float, float, int, float]:
    """Return (k, alpha, sum of beta, n0, G)."""
    model, K = run.problem.model, run.trace.rounds
    H, d = model.horizon, model.nominal.dimension
    alpha, beta = float(run.column("alpha").min()), float(run.column("beta_sum").max())
    assert run.delta is not None
    n0 = math.ceil(8 / alpha * math.log(d * H * K / run.delta))
    return np.arange(1.0, K + 1), alpha, beta, n0, H * (H + 3) / 2


def covered_curves(scope: Scope, make: Callable[[], Any] = covered_learner) -> Iterator[Curve]:
    """Yield the mean gap of blocks of episodes [2^j, 2^(j+1)), one column per run."""
    runs = covered_runs(scope, make)
    exponents = range(8, scope.pick(12, 15))
    gaps = np.array([run.trace.benchmark - run.trace.values for run in runs])
    samples = np.array([gaps[:, 2**j - 1 : 2 ** (j + 1) - 1].mean(axis=1) for j in exponents])
    centres = np.array([1.5 * 2.0**j for j in exponents])
    labels = ("episode", "mean gap of a block")
    yield Curve(
        "covered", centres, samples, *labels, paired=True, **credentials(*(run.trace for run in runs))
    )


def allowed_plans(run: RobustRun) -> float:
    """Return 1 + H d log2(1 + K / d), for lambda = 1."""
    model, K = run.problem.model, run.trace.rounds
    return 1 + model.horizon * model.nominal.dimension * math.log2(1 + K / model.nominal.dimension)


@dataclass(frozen=True, eq=False)
class LongData(Evidence):
    """The plan after very many episodes: its gap, and the bound's sum under the nominal kernel."""

    episodes: int
    gap: float
    nominal_bonuses: float


def unobserved_turns(scope: Scope, make: Callable[[], Any] = DRRPO) -> Iterator[LongData]:
    """Yield plans on `unobserved_turn`, where every policy makes the same data.

    Nature is deterministic there and all features that an episode visits are the same, so n episodes of
    any policies are one episode that counts n times.
    """
    model = unobserved_turn()
    problem = OffDynamicsProblem(model, "unobserved turn")
    for n in (10**6, 10**7, 10**8):
        learner = make()
        state = learner.init(problem.spec(n), np.random.default_rng(scope.seed))
        states, actions = np.array([[0, 1, 1, 1]]), np.zeros((1, 3), dtype=np.int64)
        state.regression.record(state.spec.phi, states, actions, np.full((1, 3), float(n)))
        row = PlanAudit()(problem, state, EpisodicDecision(learner.plan(state).policy))
        sides = (row["gap"], row["nominal_bonuses"])
        yield LongData(f"n = {n}", n, *sides, guaranteed=learner.guaranteed, delta=learner.delta)


def repeated_mixtures(scope: Scope, make: Callable[[], Any] | None = None) -> Iterator[RobustRun]:
    """Yield runs without regularisation on `repeated_mixture`."""
    learner = DRRPO() if make is None else make()
    for seed in scope.seeds(2, 5):
        yield audited_run(repeated_mixture(), learner, 400, seed, "repeated mixture", audit=RegressionAudit())


def _number(plan: Plan, name: str) -> float:
    return plan.numbers[name]


def _nonnegative(plan: Plan) -> bool:
    """Whether the premise V^pi >= 0 of the domination holds at every stage and state."""
    return plan.model.temperature == 0 or plan.numbers["lowest_value"] >= NEGATIVE


def _decay(run: RobustRun) -> Series:
    points = np.unique(np.geomspace(1, run.trace.rounds, 60).astype(np.int64))
    regret = run.trace.regret_at(points)
    bound = np.minimum(slow_bound(run), fast_bound(run))[points - 1]
    return Series(
        "dr-rpo.coverage-fast", "episode", "regret and its bounds", points * 1.0, regret, bound, log=True
    )


_PAGE = "DR-RPO page"
_ON_EVENT = ("the errors of the regressions are covered by the bonus (dr-rpo.concentration)",)
_ROUNDING = 1e-10

THEOREMS = (
    Theorem(
        key="dr-rpo.duality",
        statement="Each inner problem's row attains its dual value: no row of the set is worse.",
        source=_PAGE + ", inner problems",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        evidence=inner_problems,
        measured=lambda case: case.value,
        bound=lambda case: case.dual,
    ),
    Theorem(
        key="dr-rpo.feasibility",
        statement="Each inner problem's row lies in the set.",
        source=_PAGE + ", inner problems",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=inner_problems,
        measured=lambda case: case.excess,
        bound=lambda case: 0.0,
    ),
    Theorem(
        key="dr-rpo.linearity",
        statement="With factor-wise sets, robust action values are linear: Q = <phi, theta + sigma(V)>.",
        source=_PAGE + ", robust linearity",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-6,  # HiGHS's feasibility tolerance 1e-7, times the size of values
        evidence=linear_pairs,
        measured=lambda case: case.left,
        bound=lambda case: case.right,
    ),
    Theorem(
        key="dr-rpo.worst-kernel",
        statement="A policy's robust value is its plain value under the worst kernel that is returned.",
        source=_PAGE + ", worst kernel",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=_ROUNDING,
        evidence=worst_kernels,
        measured=lambda case: case.right,
        bound=lambda case: case.left,
    ),
    Theorem(
        key="dr-rpo.shared-budget",
        statement="With one budget for all actions, the maximin policy guarantees the value.",
        source=_PAGE + ", one budget for all actions",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=_ROUNDING,
        evidence=shared_budgets,
        measured=lambda case: case.left,
        bound=lambda case: case.right,
    ),
    Theorem(
        key="dr-rpo.contraction",
        statement="Robust backups with discount gamma contract by gamma in the largest norm.",
        source=_PAGE + ", laws of the operator",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=contractions,
        measured=lambda case: case.left,
        bound=lambda case: case.right,
    ),
    Theorem(
        key="dr-rpo.radius",
        statement="Values do not rise with the radius, and do not fall with the price of a penalty.",
        source=_PAGE + ", laws of the operator",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=radii,
        measured=lambda case: case.left,
        bound=lambda case: case.right,
    ),
    Theorem(
        key="dr-rpo.temperature",
        statement="The regulariser costs between 0 and (H - h) eta log(1 / min reference).",
        source=_PAGE + ", the regularised optimum",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=temperatures,
        measured=lambda case: case.left,
        bound=lambda case: case.right,
    ),
    Theorem(
        key="dr-rpo.soft-greedy",
        statement="The Gibbs policy of any Q has gap <= E[span(Q - Q*)^2] / (8 eta) under its worst kernel.",
        source=_PAGE + ", the gap is of second order",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=soft_greedy_policies,
        measured=lambda case: np.array([case.gap, -case.gap]),
        bound=lambda case: np.array([case.bound, 0.0]),
    ),
    Theorem(
        key="dr-rpo.soft-greedy-rate",
        statement="The gap of the Gibbs policy vanishes like the square of the error of its action values.",
        source=_PAGE + ", the gap is of second order",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(1.9, 2.1),
        evidence=vanishing_errors,
    ),
    Theorem(
        key="dr-rpo.mirror-monotone",
        statement="Exact robust mirror ascent never loses value.",
        source=_PAGE + ", mirror ascent",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=ascents,
        measured=lambda run: run.values[:-1],
        bound=lambda run: run.values[1:],
    ),
    Theorem(
        key="dr-rpo.mirror-rate",
        statement="Near the optimum each step of size t shrinks the gap by (1 + eta t)^-2 at least.",
        source=_PAGE + ", mirror ascent",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-3,  # corrections are of the order of the gap, at most 1e-5 times a constant
        evidence=linear_ascents,
        measured=tail_factors,
        bound=lambda run: np.full(tail_factors(run).shape, (1 + run.eta_t) ** -2.0),
    ),
    Theorem(
        key="dr-rpo.soft-policy-iteration",
        statement="Soft policy iteration is exact after H updates.",
        source=_PAGE + ", mirror ascent",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=_ROUNDING,
        evidence=soft_policy_iterations,
        measured=lambda run: run.values[-1],
        bound=lambda run: run.best,
    ),
    Theorem(
        key="dr-rpo.flip-radius",
        statement="On the five states the robust first action flips at rho* in closed form.",
        source=_PAGE + ", where robustness begins",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-8,
        evidence=flips,
        measured=lambda flip: flip.found,
        bound=lambda flip: flip.formula,
    ),
    Theorem(
        key="dr-rpo.concentration",
        statement="With probability 1 - delta, |nu_i - sigma_i| <= beta_h sqrt((Lambda^-1)_ii) always (TV).",
        source=_PAGE + ", concentration",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=0.05,
        evidence=theory_runs,
        measured=lambda run: run.column("ratio"),
        bound=lambda run: 1.0,
    ),
    Theorem(
        key="dr-rpo.concentration-penalties",
        statement="The same for the penalties TV, KL and chi-square, each with its own beta.",
        source=_PAGE + ", regularised dynamics",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=0.5,
        evidence=penalty_runs,
        measured=lambda run: run.column("ratio"),
        bound=lambda run: 1.0,
    ),
    Theorem(
        key="dr-rpo.factor-bonus",
        statement="If each factor's error is covered, sum_i phi_i g_i covers the error of Q.",
        source=_PAGE + ", three forms of the bonus",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=tight_plans,
        measured=lambda plan: plan.errors,
        bound=lambda plan: plan.covers,
    ),
    Theorem(
        key="dr-rpo.optimism",
        statement="While the errors are covered, V^k >= V* and Q^k >= Q* at every stage.",
        source=_PAGE + ", optimism",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ON_EVENT,
        evidence=tight_plans,
        measured=lambda plan: np.array([_number(plan, "value_excess"), _number(plan, "action_excess")]),
        bound=lambda plan: 0.0,
    ),
    Theorem(
        key="dr-rpo.overshoot",
        statement="While the errors are covered, Q^k <= <phi, theta + sigma(V^k)> + 2 Gamma.",
        source=_PAGE + ", optimism",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ON_EVENT,
        evidence=tight_plans,
        measured=lambda plan: _number(plan, "overshoot"),
        bound=lambda plan: 0.0,
    ),
    Theorem(
        key="dr-rpo.gap",
        statement="V* - V^pi <= V^k - V^pi <= E[sum_h 2 Gamma_h] under the kernel that is worst for V^pi.",
        source=_PAGE + ", the gap bound",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ON_EVENT,
        evidence=tight_plans,
        measured=lambda plan: np.array([_number(plan, "gap"), _number(plan, "optimistic_gap")]),
        bound=lambda plan: np.array([_number(plan, "optimistic_gap"), _number(plan, "worst_bonuses")]),
    ),
    Theorem(
        key="dr-rpo.gap-theory",
        statement="The same bound with the theory's constants, which exceed H at this size.",
        source=_PAGE + ", the gap bound",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=0.5,
        evidence=gap_runs,
        measured=lambda run: run.column("gap"),
        bound=lambda run: run.column("worst_bonuses"),
        trivial=lambda run: float(run.problem.model.horizon),
    ),
    Theorem(
        key="dr-rpo.gap-second-order",
        statement="The gap of the plan is at most E[span(Q^k - Q*)^2] / (8 eta), however it was made.",
        source=_PAGE + ", the gap is of second order",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=("eta > 0",),
        evidence=tight_plans,
        given=lambda plan: plan.model.temperature > 0,
        measured=lambda plan: _number(plan, "gap"),
        bound=lambda plan: _number(plan, "second_order"),
    ),
    Theorem(
        key="dr-rpo.domination",
        statement="Where V^pi >= 0, the worst kernel visits no state but the fail state more than nominally.",
        source=_PAGE + ", coverage",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=("total variation with a fail state", "V^pi >= 0 everywhere, as at eta = 0"),
        tolerance=1e-12,
        evidence=greedy_tv_plans,
        given=_nonnegative,
        measured=lambda plan: _number(plan, "extra_visits"),
        bound=lambda plan: 0.0,
    ),
    Theorem(
        key="dr-rpo.nominal-gap",
        statement="Where V^pi >= 0, the gap is at most E[sum_h 2 Gamma_h] under the nominal kernel.",
        source=_PAGE + ", coverage",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=(*_ON_EVENT, "V^pi >= 0 everywhere, as at eta = 0"),
        evidence=greedy_tv_plans,
        given=_nonnegative,
        measured=lambda plan: _number(plan, "gap"),
        bound=lambda plan: _number(plan, "nominal_bonuses"),
    ),
    Theorem(
        key="dr-rpo.absorb-only",
        statement="Against the adversary that only sends mass to the fail state, both hold for every eta.",
        source=_PAGE + ", coverage",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ON_EVENT,
        evidence=greedy_tv_plans,
        measured=lambda plan: np.array([_number(plan, "absorb_gap"), _number(plan, "absorb_extra_visits")]),
        bound=lambda plan: np.array([_number(plan, "nominal_bonuses"), 0.0]),
    ),
    Theorem(
        key="dr-rpo.reweighting",
        statement="Penalised by KL or chi-square, P^w <= e^(R / tau) P0 or (1 + R / (2 tau)) P0, row by row.",
        source=_PAGE + ", coverage",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=("values in [0, R]",),
        evidence=reweightings,
        measured=lambda case: case.left,
        bound=lambda case: case.right,
    ),
    Theorem(
        key="dr-rpo.sign-failure",
        statement="With eta > 0 the gap stays above 0.07 on unobserved-turn, for ever: regret is linear.",
        source=_PAGE + ", linear regret without coverage",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=unobserved_turns,
        measured=lambda case: np.array([0.07, case.nominal_bonuses]),
        bound=lambda case: np.array([case.gap, case.gap]),
    ),
    Theorem(
        key="dr-rpo.uncovered-direction",
        statement="With eta = 0 the gap stays 1/2 on repeated-mixture: the span of the features is not enough.",
        source=_PAGE + ", linear regret without coverage",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=repeated_mixtures,
        measured=lambda run: np.full(300, 0.5),
        bound=lambda run: (run.trace.benchmark - run.trace.values)[100:],
    ),
    Theorem(
        key="dr-rpo.coverage-slow",
        statement="Under coverage alpha, regret(k) <= G n0 + 4 sqrt(2 / alpha) (sum beta) sqrt(k).",
        source=_PAGE + ", rates under coverage",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        assumptions=("E[phi phi^T] >= alpha I on the coordinates that the set reaches, for every policy",),
        delta=COVERED_DELTA,
        evidence=covered_runs,
        measured=lambda run: run.trace.regret,
        bound=slow_bound,
        trivial=lambda run: run.problem.model.horizon * np.arange(1.0, run.trace.rounds + 1),
    ),
    Theorem(
        key="dr-rpo.coverage-fast",
        statement="Under coverage and eta > 0, regret(k) <= G n0 + H (sum beta)^2 / (eta alpha) log(k / n0).",
        source=_PAGE + ", rates under coverage",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        assumptions=("E[phi phi^T] >= alpha I on the coordinates that the set reaches, for every policy",),
        delta=COVERED_DELTA,
        evidence=covered_runs,
        measured=lambda run: run.trace.regret,
        bound=fast_bound,
        trivial=lambda run: run.problem.model.horizon * np.arange(1.0, run.trace.rounds + 1),
        series=_decay,
    ),
    Theorem(
        key="dr-rpo.fast-rate",
        statement="Under coverage and eta > 0 the gap decays faster than 1 / sqrt(k), as 1 / k does.",
        source=_PAGE + ", rates under coverage",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(-1.5, -0.6),
        evidence=covered_curves,
    ),
    Theorem(
        key="dr-rpo.replans",
        statement="Planning when a determinant has doubled takes at most 1 + H d log2(1 + K / (lambda d)) plans.",
        source=_PAGE + ", planning seldom",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=covered_runs,
        measured=lambda run: run.column("plans")[-1],
        bound=allowed_plans,
    ),
)

PAPER = Paper(
    key="dr-rpo",
    title="Policy Regularized Distributionally Robust Markov Decision Processes with Linear Function "
    "Approximation",
    authors="Jingwen Gu, Yiting He, Zhishuai Liu, Pan Xu",
    venue="2025",
    arxiv="2510.14246",
    summary="Learn online a policy that is robust to changed dynamics and stays near a reference policy.",
    learners=("dr-rpo",),
    theorems=THEOREMS,
)
