"""The offline-to-online coefficient against closed forms, an independent conic solver, and its own laws."""

import cvxpy
import numpy as np
import pytest

from tests.solvers.experiment_design.cases import random_task
from theoryrl.instances import fork_episodes, offline_fork, twin_lock, twin_lock_episodes
from theoryrl.models import EpisodicMDP, LinearMDP, PolicyClass
from theoryrl.solvers import (
    class_occupancies,
    class_values,
    minimal_online_episodes,
    occupancy_measure,
    offline_to_online_coefficient,
    policy_value,
)
from theoryrl.solvers.episodic import flow_constraints

CLOSED = 1e-5
"""Relative, to closed forms: ten times the proven gap of the solver (1e-6)."""

CONIC = 1e-4
"""Relative, to Clarabel at its default tolerance, whose own error on these programs is below this."""


def test_occupancies_and_values_of_a_class_are_those_of_its_policies():
    mdp, policies, _ = random_task(0)
    d, values = class_occupancies(mdp.P, mdp.rho, policies), class_values(mdp, policies)
    for index in (0, 17, len(policies) - 1):
        np.testing.assert_allclose(d[index], occupancy_measure(mdp, policies[index]).sum(axis=2), atol=1e-12)
        assert values[index] == pytest.approx(policy_value(mdp, policies[index]), abs=1e-12)


@pytest.mark.parametrize("eps", [0.2, 0.1, 0.05, 0.025, 0.0125])
@pytest.mark.parametrize("covered", [True, False])
def test_the_fork_has_its_closed_form(eps, covered):
    """All ten cells; a conic solver in poor units has read 632, 2020 and 122217 here, status optimal."""
    task, beta = offline_fork(), 100.0
    N = 40 * beta / eps**2 * occupancy_measure(task.mdp, task.behaviour) if covered else None
    found = minimal_online_episodes(task.mdp, task.policies, eps, beta, N)
    assert found.value == pytest.approx(fork_episodes(beta, eps, covered), rel=CLOSED)
    assert found.lower <= fork_episodes(beta, eps, covered) * (1 + 1e-12)
    assert found.upper - found.lower <= 1e-6 * found.upper
    least = offline_to_online_coefficient(task.mdp, task.policies, eps, found.value, N)
    assert least.value * beta == pytest.approx(1, rel=CLOSED)  # f of the page's laws


@pytest.mark.parametrize(("H", "A"), [(2, 3), (3, 4), (4, 3), (3, 6)])
def test_the_design_of_the_twin_lock_has_its_closed_forms(H, A):
    task, beta, eps, v = twin_lock(H, A), 100.0, 0.1, 0.8
    alone, aided = twin_lock_episodes(H, A, v, beta, eps)["design"]
    assert minimal_online_episodes(task.mdp, task.policies, eps, beta).value == pytest.approx(
        alone, rel=CLOSED
    )
    twins = [task.policies[0], task.policies[(H - 1) * (A - 1) + 1]]
    N = beta / eps**2 * sum(occupancy_measure(task.mdp, twin) for twin in twins)
    found = minimal_online_episodes(task.mdp, task.policies, eps, beta, N)
    assert found.value == pytest.approx(aided, rel=CLOSED)


def test_arms_need_what_their_gaps_ask_for_less_what_is_known():
    means, N = np.array([0.9, 0.8, 0.6, 0.5]), np.array([300.0, 0.0, 40.0, 900.0])
    mdp = EpisodicMDP(np.ones((1, 1, 4, 1)), means.reshape(1, 1, 4), [1.0])
    arms = PolicyClass(np.arange(4).reshape(4, 1, 1), 4)
    eps, beta = 0.15, 20.0
    need = beta / np.maximum(means.max() - means, eps) ** 2
    found = minimal_online_episodes(mdp, arms, eps, beta, N.reshape(1, 1, 4))
    assert found.value == pytest.approx(np.maximum(need - N, 0).sum(), rel=CLOSED)
    np.testing.assert_allclose(found.flow[0, 0], np.maximum(need - N, 0), atol=1e-3)


@pytest.mark.parametrize("known", [1e4, 1e8, 1e12])
def test_data_far_beyond_the_design_do_not_hide_what_is_missing(known):
    """A violation of 4e-10 of the last arms' limits is a fourth of the answer, at 10^12 known pulls."""
    missing = np.where(np.arange(14) < 8, 1000.0, 400.0)
    mdp = EpisodicMDP(np.ones((1, 1, 14, 1)), np.full((1, 1, 14), 0.5), [1.0])
    arms = PolicyClass(np.arange(14).reshape(14, 1, 1), 14)
    found = minimal_online_episodes(mdp, arms, 0.1, known * 0.1**2, (known - missing).reshape(1, 1, 14))
    assert found.value == pytest.approx(missing.sum(), rel=CLOSED)


def test_a_pair_that_nobody_reaches_asks_for_nothing_and_one_policy_alone_is_its_own_best():
    """One policy, gap 0: T = beta / eps^2; a second state is unreachable, with and without data on it."""
    P = np.zeros((2, 2, 2, 2))
    P[..., 0] = 1.0
    mdp = EpisodicMDP(P, np.full((2, 2, 2), 0.5), [1.0, 0.0])
    alone = PolicyClass(np.zeros((1, 2, 2), dtype=int), 2)
    for N in (None, np.where(np.arange(2)[:, None] == 1, 7.0, 0.0) * np.ones((2, 2, 2))):
        found = minimal_online_episodes(mdp, alone, 0.1, 20.0, N)
        assert found.value == pytest.approx(2000, rel=CLOSED)
        assert (found.flow[:, 1] == 0).all()
    enough = minimal_online_episodes(mdp, alone, 0.1, 20.0, np.full((2, 2, 2), 2000.0 * (1 + 1e-12)))
    assert (enough.value, enough.lower, enough.flow.max()) == (0.0, 0.0, 0.0)


def conic_episodes(mdp, policies, eps, beta, N):
    """The same program by Clarabel, with every constraint, in units of its answer."""
    values = class_values(mdp, policies)
    d, floor = class_occupancies(mdp.P, mdp.rho, policies), np.maximum(values.max() - values, eps)
    matrix, right = flow_constraints(mdp.P, mdp.rho)
    unit = minimal_online_episodes(mdp, policies, eps, beta, N).value
    x, T = cvxpy.Variable(N.size, nonneg=True), cvxpy.Variable(nonneg=True)
    inverse = cvxpy.inv_pos(x + N.ravel() / unit)
    rows, limits = [], []
    for m, h in np.ndindex(len(policies), mdp.horizon):
        w = np.zeros(N.shape)
        w[h, np.arange(mdp.n_states), policies.actions[m, h]] = d[m, h]
        rows.append(w.ravel() ** 2)
        limits.append(unit * floor[m] ** 2 / beta)
    scale = 1 / np.array(limits)
    constraints = [matrix @ x == right * T, np.array(rows) * scale[:, None] @ inverse <= 1]
    return unit * cvxpy.Problem(cvxpy.Minimize(T), constraints).solve(solver="CLARABEL")


@pytest.mark.parametrize("seed", range(3))
def test_an_independent_conic_solver_agrees(seed):
    mdp, policies, N = random_task(seed, S=2)
    found = minimal_online_episodes(mdp, policies, 0.1, 20.0, N)
    assert conic_episodes(mdp, policies, 0.1, 20.0, N) == pytest.approx(found.value, rel=CONIC)


def linear_mdp(seed, S=4, A=2, d=3, H=3):
    rng = np.random.default_rng(seed)
    phi = rng.dirichlet(np.ones(d), (S, A))
    return LinearMDP(phi, rng.random((H, d)), rng.dirichlet(np.ones(S), (H, d)), np.eye(S)[0])


def random_policies(seed, H, S, A, number):
    rng = np.random.default_rng(seed)
    return PolicyClass(np.unique(rng.integers(A, size=(number, H, S)), axis=0), A)


def test_one_hot_features_give_the_tabular_answer():
    mdp, policies, N = random_task(4)
    linear = LinearMDP.from_episodic(mdp)
    tabular = minimal_online_episodes(mdp, policies, 0.1, 20.0, N)
    assert minimal_online_episodes(linear, policies, 0.1, 20.0, N).value == pytest.approx(
        tabular.value, rel=2e-6
    )


@pytest.mark.parametrize("offline", [0.0, 30.0])
def test_a_linear_model_agrees_with_a_semidefinite_program(offline):
    model, policies = linear_mdp(0), random_policies(0, 3, 4, 2, 30)
    mdp, eps, beta = model.to_episodic(), 0.1, 20.0
    N = np.full(mdp.r.shape, offline)
    found = minimal_online_episodes(model, policies, eps, beta, N)
    values, d = class_values(mdp, policies), class_occupancies(mdp.P, mdp.rho, policies)
    floor = np.maximum(values.max() - values, eps)
    matrix, right = flow_constraints(mdp.P, mdp.rho)
    unit = found.value
    x, T = cvxpy.Variable(N.size, nonneg=True), cvxpy.Variable(nonneg=True)
    constraints = [matrix @ x == right * T]
    for h in range(3):
        cells = np.arange(8) + 8 * h
        vectors = model.phi.reshape(8, 3)
        Lambda = sum(
            (x[int(c)] + offline / unit) * np.outer(v, v) for c, v in zip(cells, vectors, strict=True)
        )
        for m in range(len(policies)):
            target = d[m, h] @ model.phi[np.arange(4), policies.actions[m, h]]
            scaled = target / floor[m] * np.sqrt(beta / unit)
            constraints.append(cvxpy.matrix_frac(scaled, Lambda) <= 1)
    solved = unit * cvxpy.Problem(cvxpy.Minimize(T), constraints).solve(solver="CLARABEL")
    assert solved == pytest.approx(found.value, rel=CONIC)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eps": 0.0}, r"eps must be positive; got 0\.0"),
        ({"beta": -1.0}, r"beta must be .* got -1\.0"),
        ({"offline": -np.ones((3, 3, 2))}, r"offline\[0, 0, 0\] must be a number of visits; got -1\.0"),
        ({"offline": np.full((3, 3, 2), np.nan)}, r"offline\[0, 0, 0\] must be finite; got nan"),
        ({"offline": np.ones((3, 2, 2))}, r"offline must have shape \(3, 3, 2\)"),
        ({"policies": PolicyClass(np.zeros((1, 2, 3), dtype=int), 2)}, r"policies must have \(H, S, A\)"),
    ],
)
def test_what_is_not_admissible_is_named(changes, message):
    mdp, policies, _ = random_task(0)
    arguments = {"policies": policies, "eps": 0.1, "beta": 20.0} | changes
    with pytest.raises(ValueError, match=message):
        minimal_online_episodes(mdp, **arguments)
