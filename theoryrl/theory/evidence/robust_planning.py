"""Evidence on uncertainty sets and exact robust planning: two sides of a statement, computed in two ways."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog

from theoryrl.instances import five_state
from theoryrl.models import (
    DiscountedMDP,
    EpisodicMDP,
    LinearMDP,
    Policy,
    RobustLinearMDP,
    RobustMDP,
    Uncertainty,
)
from theoryrl.solvers import (
    RobustSolution,
    policy_evaluation,
    robust_mirror_ascent,
    robust_policy_evaluation,
    robust_value_iteration,
)
from theoryrl.solvers.robust._operators import soft_greedy, stage_backup
from theoryrl.solvers.robust.backups import divergence, expectation
from theoryrl.theory.core import Curve, Evidence, Scope
from theoryrl.theory.evidence.robust_linear import occupancy

BALLS = ("tv", "l1", "linf", "kl", "chi2", "wasserstein", "contamination")
SETS = (*BALLS, *(f"{name}-penalty" for name in BALLS[:-1]))


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


def optimum(model: RobustMDP | RobustLinearMDP) -> RobustSolution:
    """Return the robust optimum of a model with a finite horizon."""
    solution = robust_value_iteration(model)
    assert isinstance(solution, RobustSolution)
    return solution


def evaluation(model: RobustMDP | RobustLinearMDP, policy: Policy) -> RobustSolution:
    """Return the robust value of a policy in a model with a finite horizon."""
    solution = robust_policy_evaluation(model, policy)
    assert isinstance(solution, RobustSolution)
    return solution


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


def linear_pairs(scope: Scope, share: float = 1.0) -> Iterator[Sides]:
    """Yield, for each (s, a), the least value over all factors at once by HiGHS, and <phi, theta + sigma>.

    With a `share` below one sigma is that of a smaller radius.
    """
    rng = np.random.default_rng([scope.seed, 21])
    for index in range(scope.pick(12, 100)):
        S, A, d, radius = int(rng.integers(2, 5)), 2, int(rng.integers(2, 5)), float(rng.random())
        phi, mu = rng.dirichlet(np.full(d, 0.5), size=(S, A)), rng.dirichlet(np.full(S, 0.5), size=(1, d))
        nominal = LinearMDP(phi, rng.random((1, d)), mu, np.eye(S)[0])
        model, v = RobustLinearMDP(nominal, Uncertainty("tv", share * radius)), rng.normal(size=S)
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
        robust = evaluation(model, policy)
        plain = policy_evaluation(EpisodicMDP(robust.worst_kernel, mdp.r, mdp.rho), policy)
        yield Sides(f"{uncertainty!r}, {index}", robust.value, plain.value)


def shared_budgets(scope: Scope) -> Iterator[Sides]:
    """Yield the s-rectangular optimum, and what its policy is worth against its own worst kernel."""
    rng = np.random.default_rng([scope.seed, 23])
    for index in range(scope.pick(60, 600)):
        mdp = random_tabular(rng)
        kappa = float(rng.choice([0.0, 2.0, 2 * rng.random() ** 2]))
        model = RobustMDP(mdp, Uncertainty("l1", kappa), rectangularity="s")
        best = optimum(model)
        assert isinstance(best.policy, Policy)
        yield Sides(f"{index}", evaluation(model, best.policy).value, best.value)


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
        if model.nominal.n_actions == 1:
            continue  # nothing to regularise: both sides are zero
        hard = RobustMDP(model.nominal, model.uncertainty)
        cost = optimum(hard).value - optimum(model).value
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
        values = [optimum(RobustMDP(mdp, u)).value for u in (uncertainty, weaker)]
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
    best = optimum(model)
    assert isinstance(model.nominal, EpisodicMDP)
    optimal = best.action_values
    noise = size * rng.normal(size=optimal.shape)
    pi, _ = soft_greedy(optimal + noise, model.temperature, model.reference_policy)
    played = evaluation(model, Policy(pi))
    visits = occupancy(played.worst_kernel, pi, model.nominal.rho).sum(axis=2)
    bound = float((visits * np.ptp(noise, axis=2) ** 2).sum()) / (8 * model.temperature)
    return SoftGreedy(name, best.start_value - played.start_value, bound)


def vanishing_errors(scope: Scope) -> Iterator[Curve]:
    """Yield the gap of the Gibbs policy over the size of the error of its action values.

    The law is that of small errors: a large one may reverse the order of the states' values, and with it
    the worst kernel. At the smallest size the gap is still a million times its rounding.
    """
    sizes = 2.0 ** -np.arange(8, 15)
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
        best = optimum(model).start_value
        yield Ascent(f"{index}", found.values, best, eta * step, len(found.value))


def linear_ascents(scope: Scope) -> Iterator[Ascent]:
    """Yield runs long enough for the gap to fall by a constant factor per step."""
    rng = np.random.default_rng([scope.seed, 31])
    for index in range(scope.pick(8, 60)):
        eta = 0.4
        model, step = regularised_model(rng, eta), (0.5, 2.5)[index % 2]
        found = robust_mirror_ascent(model, step, iterations=60)
        best = optimum(model).start_value
        yield Ascent(f"{index}", found.values, best, eta * step, len(found.value))


def soft_policy_iterations(scope: Scope) -> Iterator[Ascent]:
    """Yield soft policy iteration with as many updates as there are stages."""
    rng = np.random.default_rng([scope.seed, 32])
    for index in range(scope.pick(20, 200)):
        model = regularised_model(rng, float(10 ** rng.uniform(-2, 0)))
        assert isinstance(model.nominal, EpisodicMDP)
        found = robust_mirror_ascent(model, np.inf, iterations=model.nominal.horizon)
        best = optimum(model).start_value
        yield Ascent(f"{index}", found.values, best, np.inf, len(found.value))


TAIL = (1e-9, 1e-5)
"""Gaps between which the factor is read off: far above rounding, and small against one."""


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
            best = optimum(five_state(xi_norm=xi_norm, radius=radius))
            assert isinstance(best.policy, Policy)
            goes = best.policy.probabilities[0, 0, 15] == 1.0
            low, high = (radius, high) if goes else (low, radius)
        m, p = 0.3 + xi_norm, 0.001
        formula = 1 - (1 - p) * (2 * m + m * (1 - m) * (1 - p)) / 2
        yield Flip(f"xi = {xi_norm}", (low + high) / 2, formula)
