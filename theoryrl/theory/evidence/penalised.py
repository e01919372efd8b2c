"""Evidence on the planners of MEX: their bounds, their closed forms, and what they must dominate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.instances import random_dirichlet, random_linear
from theoryrl.learners.mex_linear import Regressions
from theoryrl.learners.ridge import Ridge
from theoryrl.models import (
    DeterministicPolicy,
    EpisodicMDP,
    LinearMDP,
    LinearMixtureClass,
    OfflineDataset,
    Policy,
)
from theoryrl.solvers import (
    best_occupancy_bonus,
    chain_argmax,
    chain_level_set,
    kl_penalised_row,
    plan_mixture,
    plan_tabular_model,
    plan_tabular_q,
    simulate_episodes,
    tabular_model_objective,
    tabular_q_objective,
)
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.maximize_to_explore import _linear_kernels
from theoryrl.solvers.maximize_to_explore.linear_q import RidgeData, unclipped_policy_objective
from theoryrl.solvers.maximize_to_explore.tabular_model import _Search, allowed_states, check_problem
from theoryrl.solvers.maximize_to_explore.tabular_q import occupancy_bonus_value
from theoryrl.theory.core import Evidence, Scope

# Rows.


@dataclass(frozen=True, eq=False)
class RowCase(Evidence):
    """A penalised row problem, the answer, its stationarity, and other rows.

    Attributes
    ----------
    value
        <p, V> - c KL at the answer, as returned.
    direct
        The same, computed from the row.
    residual
        Largest difference of V_i + c phat_i / p_i over the charged states, relative to max(1, c), and
        how far an uncharged state's V exceeds them.
    others
        Objective of random rows: shape [N].
    scale
        max(1, c).
    """

    value: float
    direct: float
    residual: float
    others: Float[np.ndarray, " N"]
    scale: float


def row_cases(scope: Scope, solve: Callable[..., Any] = kl_penalised_row) -> Iterator[RowCase]:
    """Yield rows with unseen states, ties, and prices from 1e-8 to 1e8."""
    rng = np.random.default_rng([scope.seed, 31])
    for index in range(scope.pick(300, 3000)):
        S = int(rng.integers(2, 7))
        counts = np.floor(rng.exponential(4, size=S)) * (rng.random(S) < 0.7)
        if counts.sum() == 0:
            counts[0] = 1.0
        V = np.round(rng.random(S) * 4, int(rng.integers(1, 6)))
        c = float(10 ** rng.uniform(-8, 8 if index % 2 else 2))
        row = solve(counts, c, V)
        yield row_case(f"row {index}", counts, c, V, row.p, row.value, rng)


def row_case(
    name: str, counts: np.ndarray, c: float, V: np.ndarray, p: np.ndarray, value: float,
    rng: np.random.Generator,
) -> RowCase:  # fmt: skip
    """Examine one answer."""
    phat = counts / counts.sum()
    seen = phat > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        prices = (V + c * phat / p)[p > 0]
        direct = float(p @ V - c * np.sum(phat[seen] * np.log(phat[seen] / p[seen])))
    level = float(prices.max())
    residual = max(level - float(prices.min()), float(V.max()) - level) / max(1.0, c)
    q = rng.dirichlet(np.full(len(V), 0.5), size=30)
    near = p + 1e-3 * rng.random((30, 1)) * (q - p)
    rows = np.vstack([q, near])
    with np.errstate(divide="ignore"):
        others = rows @ V - c * np.sum(phat[seen] * np.log(phat[seen] / rows[:, seen]), axis=1)
    return RowCase(name, float(value), direct, residual, others, max(1.0, c))


# All kernels.


@dataclass(frozen=True, eq=False)
class ModelPlan(Evidence):
    """Counts, a plan over all kernels, and the objectives of other kernels.

    Attributes
    ----------
    stated, objective
        The objective that the planner states, and the objective of its kernel computed from scratch.
    upper
        The planner's upper bound.
    others
        Objectives reached by ascents from random kernels, and of random kernels: shape [N].
    """

    stated: float
    objective: float
    upper: float
    others: Float[np.ndarray, " N"]


def sample_counts(mdp: EpisodicMDP, episodes: int, rng: np.random.Generator) -> Float[np.ndarray, "H S A S"]:
    """Return the counts of episodes of the uniform policy."""
    data = simulate_episodes(mdp, Policy.uniform(mdp.n_states, mdp.n_actions), episodes, rng)
    counts = np.zeros(mdp.P.shape)
    stages = np.arange(mdp.horizon)
    for states, actions in zip(data.states, data.actions, strict=True):
        counts[stages, states[:-1], actions, states[1:]] += 1
    return counts


def small_problem(index: int, rng: np.random.Generator, episodes: int) -> tuple[EpisodicMDP, np.ndarray]:
    """Return a three-state model and counts."""
    mdp = random_dirichlet(n_states=3, n_actions=2, horizon=3, concentration=0.5, seed=index)
    return mdp, sample_counts(mdp, episodes, rng)


def model_plans(scope: Scope, plan: Callable[..., Any] = plan_tabular_model) -> Iterator[ModelPlan]:
    """Yield plans on small models, by the relaxation and by branch and bound."""
    rng = np.random.default_rng([scope.seed, 32])
    for index in range(scope.pick(25, 200)):
        mdp, counts = small_problem(index, rng, int(rng.integers(1, 41)))
        eta = float(10 ** rng.uniform(math.log10(0.02), math.log10(0.5)))
        found = plan(counts, mdp.r, mdp.rho, eta, certify="bnb" if index % 2 else "dp")
        objective = tabular_model_objective(counts, mdp.r, mdp.rho, eta, found.P)
        yield ModelPlan(
            f"counts {index}", float(found.value), objective, float(found.upper),
            other_kernels(counts, mdp, eta, rng),
        )  # fmt: skip


def other_kernels(
    counts: np.ndarray, mdp: EpisodicMDP, eta: float, rng: np.random.Generator
) -> Float[np.ndarray, " N"]:
    """Return objectives of ascents from random kernels and policies, and of the kernels themselves."""
    N, r, rho = check_problem(counts, mdp.r, mdp.rho, eta)
    found = []
    for _ in range(10):
        P = rng.dirichlet(np.full(mdp.n_states, 0.5), size=mdp.r.shape)
        found.append(tabular_model_objective(N, r, rho, eta, P))
        search = _Search(N, r, rho, eta, allowed_states(None, N))
        actions = rng.integers(mdp.n_actions, size=mdp.r.shape[:2])
        found.append(search.improve(P, actions, -math.inf))
    return np.array(found)


@dataclass(frozen=True, eq=False)
class MixturePlan(Evidence):
    """A plan over mixtures of kernels, and the objectives of other mixtures."""

    stated: float
    upper: float
    others: Float[np.ndarray, " N"]


def mixture_plans(scope: Scope, plan: Callable[..., Any] = plan_mixture) -> Iterator[MixturePlan]:
    """Yield plans over three base kernels, beside random mixtures."""
    rng = np.random.default_rng([scope.seed, 33])
    for index in range(scope.pick(12, 100)):
        mdp, counts = small_problem(index, rng, 30)
        bases = [mdp.P, *rng.dirichlet(np.full(3, 0.5), size=(2, *mdp.r.shape))]
        hypotheses = LinearMixtureClass(np.stack(bases), mdp.r)
        eta = float(10 ** rng.uniform(-2, -0.5))
        found = plan(hypotheses, counts, mdp.rho, eta)
        thetas = rng.dirichlet(np.full(3, 0.7), size=(40, 3))
        thetas[::2] = 0.9 * found.theta + 0.1 * thetas[::2]
        others = [
            tabular_model_objective(counts, mdp.r, mdp.rho, eta, np.einsum("hi,ihsat->hsat", t, hypotheses.P))
            for t in thetas
        ]
        yield MixturePlan(f"mixture {index}", float(found.value), float(found.upper), np.array(others))


# All tables.


@dataclass(frozen=True, eq=False)
class QPlan(Evidence):
    """A plan over all tables, its objective from scratch, and the optimum by listing all policies.

    `exact` is NaN where some reachable cell has no data, or a value meets its range.
    """

    stated: float
    objective: float
    upper: float
    exact: float
    others: Float[np.ndarray, " N"]


def q_plans(scope: Scope, plan: Callable[..., Any] = plan_tabular_q) -> Iterator[QPlan]:
    """Yield plans on models with two states and two actions, with much data and with little."""
    rng = np.random.default_rng([scope.seed, 34])
    for index in range(scope.pick(40, 300)):
        mdp = random_dirichlet(n_states=2, n_actions=2, horizon=3, concentration=0.5, seed=index)
        counts = sample_counts(mdp, 400 if index % 2 else int(rng.integers(1, 8)), rng)
        eta = float(10 ** rng.uniform(math.log10(0.2), math.log10(2)))
        found = plan(counts, mdp.r, mdp.rho, eta)
        ranges = (mdp.horizon - np.arange(mdp.horizon))[:, None, None] * 1.0
        tables = [np.clip(found.Q + s * rng.normal(size=found.Q.shape), 0, ranges) for s in (0.01, 0.1, 1.0)]
        others = [tabular_q_objective(counts, mdp.r, mdp.rho, eta, table) for table in tables]
        visited = counts.sum(axis=3) > 0
        inside = bool((found.Q < ranges - 0.05)[visited].all())  # no bonus comes near the range
        complete = bool(visited[0, 0].all() and visited[1:].all()) and inside
        exact = best_occupancy_bonus(counts, mdp.r, mdp.rho, eta) if complete else math.nan
        yield QPlan(
            f"counts {index}", float(found.value),
            tabular_q_objective(counts, mdp.r, mdp.rho, eta, found.Q), float(found.upper), exact,
            np.array(others),
        )  # fmt: skip


def exact_q_plans(scope: Scope) -> Iterator[QPlan]:
    """Yield those plans whose optimum is known."""
    return (piece for piece in q_plans(scope) if not math.isnan(piece.exact))


@dataclass(frozen=True, eq=False)
class FixedPolicy(Evidence):
    """The best objective of one policy: stated by the closed form, and reached by e = d / (2 eta n).

    Attributes
    ----------
    stated, reached
        Both sides.
    others
        Objectives of other errors e, none of which may be larger: shape [N].
    """

    stated: float
    reached: float
    others: Float[np.ndarray, " N"]


def fixed_policies(
    scope: Scope, closed_form: Callable[..., float] = occupancy_bonus_value
) -> Iterator[FixedPolicy]:
    """Yield policies of small models with data everywhere, and the concave program in the errors e."""
    rng = np.random.default_rng([scope.seed, 35])
    for index in range(scope.pick(40, 300)):
        mdp, counts = small_problem(index, rng, 60)
        counts += 0.5 * mdp.P  # so that every cell has data
        policy = DeterministicPolicy(rng.integers(2, size=(3, 3)), 2)
        eta = float(10 ** rng.uniform(-1, 1))
        d, n, phat = _empirical_occupancy(counts, mdp.rho, policy.actions)
        e = d / (2 * eta * n)
        reached = _value_of_errors(phat, mdp, policy.actions, n, eta, e)
        moved = [
            _value_of_errors(phat, mdp, policy.actions, n, eta, e + s * rng.normal(size=e.shape))
            for s in (1e-3, 1e-2, 0.1, 1.0)
        ]
        stated = closed_form(counts, mdp.r, mdp.rho, eta, policy)
        yield FixedPolicy(f"policy {index}", stated, reached, np.array(moved))


def _empirical_occupancy(
    counts: np.ndarray, rho: np.ndarray, actions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    H, S = actions.shape
    states = np.arange(S)
    rows = np.stack([counts[h, states, actions[h]] for h in range(H)])
    n = rows.sum(axis=2)
    phat = rows / n[..., None]
    d = np.empty((H, S))
    d[0] = rho
    for h in range(H - 1):
        d[h + 1] = d[h] @ phat[h]
    return d, n, phat


def _value_of_errors(
    phat: np.ndarray, mdp: EpisodicMDP, actions: np.ndarray, n: np.ndarray, eta: float, e: np.ndarray
) -> float:
    """Return the value of the policy in Phat with rewards r + e, minus eta sum n e^2."""
    H, S = actions.shape
    V, states = np.zeros(S), np.arange(S)
    for h in range(H - 1, -1, -1):
        V = mdp.r[h, states, actions[h]] + e[h] + phat[h] @ V
    return float(mdp.rho @ V - eta * np.sum(n * e**2))


# Chains.


@dataclass(frozen=True, eq=False)
class Chain(Evidence):
    """A chain program, and the same maximum by listing every choice; -1 where nothing is feasible."""

    program: Float[np.ndarray, " N"]
    listed: Float[np.ndarray, " N"]


def chains(scope: Scope, solve: Callable[..., Any] = chain_argmax) -> Iterator[Chain]:
    """Yield chains of three or four layers with two to six functions each, penalised and constrained."""
    rng = np.random.default_rng([scope.seed, 36])
    for index in range(scope.pick(40, 300)):
        H, N = int(rng.integers(1, 5)), int(rng.integers(2, 6))
        V, losses = rng.random(N) * 4, rng.exponential(size=(H, N, N))
        eta, beta = float(10 ** rng.uniform(-3, 2)), float(rng.exponential())
        penalised, feasible = -math.inf, -1.0
        for choice in itertools.product(range(N), repeat=H):
            used = [losses[h, i, choice[h + 1] if h + 1 < H else 0] for h, i in enumerate(choice)]
            penalised = max(penalised, V[choice[0]] - eta * sum(used))
            if max(used) <= beta:
                feasible = max(feasible, V[choice[0]])
        constrained = chain_level_set(V, losses, beta)
        program = [solve(V, losses, eta).value, -1.0 if constrained is None else constrained.value]
        yield Chain(f"chain {index}", np.array(program), np.array([penalised, feasible]))


# Linear functions.


@dataclass(frozen=True, eq=False)
class Agreement(Evidence):
    """Two numbers, or arrays, that must be equal."""

    left: Float[np.ndarray, " N"]
    right: Float[np.ndarray, " N"]


def ridge_losses(scope: Scope, counted: float = 1.0) -> Iterator[Agreement]:
    """Yield the ridge loss of random weights minus its minimum, from the data and as a squared norm."""
    rng = np.random.default_rng([scope.seed, 37])
    for index in range(scope.pick(15, 100)):
        model = random_linear(n_states=5, n_actions=2, horizon=3, dimension=3, seed=index)
        ridge = float(10 ** rng.uniform(-2, 1))
        mdp = model.to_episodic()
        data = simulate_episodes(mdp, Policy.uniform(5, 2), 30, rng)
        regressions = _fitted(model, ridge, data)
        left, right = [], []
        for h in range(3):
            V, w = rng.random(5) * (2 - h), rng.normal(size=3)
            x = model.phi[data.states[:, h], data.actions[:, h]]
            y = data.rewards[:, h] + V[data.states[:, h + 1]]
            best = np.linalg.solve(ridge * np.eye(3) + x.T @ x, x.T @ y)
            price = counted * ridge  # the ridge belongs to both losses
            left.append(_ridge_loss(x, y, w, price) - _ridge_loss(x, y, best, price))
            fitted = regressions.ridge.inverse[h] @ (regressions.b[h] + regressions.ridge.G[h] @ V)
            right.append(float((w - fitted) @ regressions.ridge.Lambda[h] @ (w - fitted)))
        yield Agreement(f"data {index}", np.array(left), np.array(right))


def _fitted(model: LinearMDP, ridge: float, data: OfflineDataset) -> Regressions:
    """Return the regressions of a data set."""
    d, S = model.dimension, model.n_states
    start = Ridge.start(model.horizon, d, S, ridge)
    found = Regressions(np.array(model.phi), start, np.zeros((model.horizon, d)), np.array(model.rho))
    found.record(Trajectories(data.states, data.actions, data.rewards))
    return found


def _ridge_loss(x: np.ndarray, y: np.ndarray, w: np.ndarray, ridge: float) -> float:
    return float(np.sum((x @ w - y) ** 2) + ridge * w @ w)


def one_hot(
    scope: Scope, closed_form: Callable[..., float] = unclipped_policy_objective
) -> Iterator[Agreement]:
    """Yield the linear closed form with unit vectors as features and ridge 1e-10, and the tabular one."""
    rng = np.random.default_rng([scope.seed, 38])
    for index in range(scope.pick(15, 100)):
        mdp, counts = small_problem(index, rng, 60)
        counts = np.floor(counts) + rng.integers(1, 3, size=counts.shape)
        H, S, A = mdp.r.shape
        n = counts.sum(axis=3).reshape(H, S * A)
        Lambda = np.einsum("hi,ij->hij", n, np.eye(S * A)) + 1e-10 * np.eye(S * A)
        data = RidgeData(
            np.eye(S * A).reshape(S, A, S * A), Lambda, np.linalg.inv(Lambda),
            n * mdp.r.reshape(H, -1), counts.reshape(H, S * A, S), np.array(mdp.rho),
        )  # fmt: skip
        actions = rng.integers(A, size=(H, S))
        eta = float(10 ** rng.uniform(-1, 1))
        linear = closed_form(data, eta, actions)
        tabular = occupancy_bonus_value(counts, mdp.r, mdp.rho, eta, DeterministicPolicy(actions, A))
        yield Agreement(f"model {index}", np.array([linear]), np.array([tabular]))


@dataclass(frozen=True, eq=False)
class LinearPolicy(Evidence):
    """The closed form of one policy's unclipped objective, what its weights reach, and other weights."""

    stated: float
    reached: float
    others: Float[np.ndarray, " N"]


def linear_policies(
    scope: Scope, closed_form: Callable[..., float] = unclipped_policy_objective
) -> Iterator[LinearPolicy]:
    """Yield policies of random linear models: weights w = what(V^pi) + x / (2 eta), and others near them."""
    rng = np.random.default_rng([scope.seed, 39])
    for index in range(scope.pick(15, 100)):
        model = random_linear(n_states=5, n_actions=2, horizon=3, dimension=3, seed=index)
        data = simulate_episodes(model.to_episodic(), Policy.uniform(5, 2), 30, rng)
        ridge = _fitted(model, 1.0, data).data
        eta, actions = float(10 ** rng.uniform(-1, 1)), rng.integers(2, size=(3, 5))
        shift, features = np.empty((3, 3)), np.empty((3, 3))
        _linear_kernels.optimal_shift(
            ridge.phi, ridge.inverse, ridge.G, ridge.rho, actions, eta, shift, features
        )
        others = [
            _of_shift(ridge, eta, actions, shift + s * rng.normal(size=shift.shape))
            for s in (1e-3, 1e-2, 0.1, 1.0)
        ]
        stated = closed_form(ridge, eta, actions)
        yield LinearPolicy(f"model {index}", stated, _of_shift(ridge, eta, actions, shift), np.array(others))


def _of_shift(data: RidgeData, eta: float, actions: np.ndarray, shift: np.ndarray) -> float:
    """Return the unclipped objective of w_h = what_h(V^pi) + shift_h for a fixed policy."""
    H, S = actions.shape
    V, states = np.zeros(S), np.arange(S)
    loss = 0.0
    for h in range(H - 1, -1, -1):
        w = data.inverse[h] @ (data.b[h] + data.G[h] @ V) + shift[h]
        loss += float(shift[h] @ data.Lambda[h] @ shift[h])
        V = data.phi[states, actions[h]] @ w
    return float(data.rho @ V) - eta * loss
