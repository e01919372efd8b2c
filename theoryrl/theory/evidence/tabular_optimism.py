"""Evidence on optimism over all tabular functions: programs and closed forms against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from theoryrl.learners.candidates import residual_tests
from theoryrl.learners.population import exact_residuals
from theoryrl.models import DeterministicPolicy, EpisodicMDP, FiniteFunctionClass
from theoryrl.solvers import (
    backward_induction,
    chi_square_optimism,
    density_ratio,
    occupancy_measure,
    optimistic_program,
    worst_weight,
)
from theoryrl.theory.core import Scope
from theoryrl.theory.evidence.density_ratios import random_policies
from theoryrl.theory.evidence.robust_planning import Sides

CUTS = 60
"""Most weights that the cutting planes add."""


def empirical_problem(
    rng: np.random.Generator,
) -> tuple[EpisodicMDP, Float[np.ndarray, "H S A"], Float[np.ndarray, "W H S A"]]:
    """Draw an empirical model of two stages, two states and actions, the law of its data, and weights."""
    H, S, A = 2, 2, 2
    P, r = rng.dirichlet(np.full(S, 0.5), size=(H, S, A)), np.zeros((H, S, A))
    r[-1] = 0.5 * rng.random((S, A))
    mdp = EpisodicMDP(P, r, rng.dirichlet(np.ones(S)))
    mu = rng.dirichlet(np.ones(S * A), size=H).reshape(H, S, A)
    d = np.stack([occupancy_measure(mdp, policy) for policy in random_policies(rng, mdp, 10)])
    return mdp, mu, np.minimum(density_ratio(d, mu), 20.0)


def programs(scope: Scope) -> Iterator[Sides]:
    """Yield the optimum by mixed-integer programming and by one linear program for each policy."""
    rng = np.random.default_rng([scope.seed, 102])
    for index in range(scope.pick(5, 40)):
        mdp, mu, weights = empirical_problem(rng)
        alpha, beta = float(10 ** rng.uniform(-3, -2)), float(10 ** rng.uniform(-3, -1.5))
        values = [
            optimistic_program(mdp, mu, weights, alpha, beta, method=method).value
            for method in ("mixed-integer", "enumeration")
        ]
        yield Sides(f"{index}", np.array(values[0]), np.array(values[1]))


def chi_squares(scope: Scope) -> Iterator[Sides]:
    """Yield the closed form for one policy and all weights, and the limit of linear programs with cuts."""
    rng = np.random.default_rng([scope.seed, 103])
    for index in range(scope.pick(4, 30)):
        mdp, mu, _ = empirical_problem(rng)
        mdp = EpisodicMDP(mdp.P, 0.6 * mdp.r, mdp.rho)
        policy = random_policies(rng, mdp, 1)[0]
        alpha, beta = float(10 ** rng.uniform(-2, -1)), float(10 ** rng.uniform(-3, -2))
        closed = chi_square_optimism(mdp, mu, alpha, beta, policy).upper
        yield Sides(f"{index}", np.array(closed), np.array(by_cuts(mdp, mu, alpha, beta, policy)))


def by_cuts(
    mdp: EpisodicMDP, mu: Float[np.ndarray, "H S A"], alpha: float, beta: float, policy: DeterministicPolicy
) -> float:
    """Return the optimum over the functions that survive all weights, by adding the worst one by one."""
    weights = [np.ones(mu.shape)]
    for _ in range(CUTS):
        found = optimistic_program(mdp, mu, np.stack(weights), alpha, beta, policy=policy)
        v = np.take_along_axis(found.functions, policy.actions[..., None], axis=2)[..., 0]
        following = np.concatenate([v[1:], np.zeros((1, v.shape[1]))])
        residual = found.functions - mdp.r - np.einsum("hsat,ht->hsa", mdp.P, following)
        worst, values = worst_weight(residual, mu, alpha)
        if values.max() <= beta * (1 + 1e-7):
            break
        weights.append(worst)
    return found.value


def inclusions(scope: Scope, value: Callable[..., float] | None = None) -> Iterator[Sides]:
    """Yield the optimistic value of a finite class, and that of all functions with the same weights."""
    rng = np.random.default_rng([scope.seed, 104])
    value = value or finite_optimum
    for index in range(scope.pick(8, 60)):
        mdp, mu, weights = empirical_problem(rng)
        best = backward_induction(mdp).action_values
        functions = FiniteFunctionClass(best + 0.2 * rng.random((200, *best.shape)))
        alpha, beta = float(10 ** rng.uniform(-3, -2)), float(10 ** rng.uniform(-2, -1))
        finite = value(mdp, mu, weights, alpha, beta, functions)
        whole = optimistic_program(mdp, mu, weights, alpha, beta).upper
        yield Sides(f"{index}", np.array(finite), np.array(whole))


def finite_optimum(
    mdp: EpisodicMDP,
    mu: Float[np.ndarray, "H S A"],
    weights: Float[np.ndarray, "W H S A"],
    alpha: float,
    beta: float,
    functions: FiniteFunctionClass,
) -> float:
    """Return the largest start value of a function that survives GLOW's tests; 0 if none does."""
    H = mdp.horizon
    residual = np.moveaxis(exact_residuals(mdp, functions).reshape(len(functions), H, -1), 0, -1)
    law = mu.reshape(H, -1)
    linear, square = residual_tests(
        law, law[..., None] * residual, weights.reshape(len(weights), H, -1), alpha
    )
    alive = (linear - square[..., None] <= beta).all(axis=(0, 1))
    start = functions.Q[:, 0].max(axis=2) @ mdp.rho
    return float(start[alive].max(initial=0.0))
