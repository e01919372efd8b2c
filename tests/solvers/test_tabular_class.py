"""Optimism over all tabular functions: closed forms, linear and integer programs against each other."""

import itertools
import sys
from types import SimpleNamespace

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from tests.generators import random_mdp, random_rows, recipes, seeds
from theoryrl.models import DeterministicPolicy, EpisodicMDP
from theoryrl.solvers import (
    backward_induction,
    chi_square_optimism,
    density_ratio,
    occupancy_measure,
    optimistic_program,
    policy_evaluation,
    worst_weight,
)

MODULE = sys.modules["theoryrl.solvers.tabular_class.program"]
ROUNDING = 1e-12
"""Sums of at most 48 products of numbers below 20."""
HIGHS = 1e-6
"""HiGHS stops at infeasibilities of 1e-7 (integers: 1e-6); a tiny model adds up a few of them."""
CONIC = 1e-5
"""Interior-point gaps of 1e-8, multiplied by the prices of constraints (about 1 / beta)."""

TINY = recipes(max_horizon=2, max_states=2, max_actions=2).map(lambda recipe: {**recipe, "signed": False})
SMALL = recipes(max_horizon=3, max_states=3, max_actions=3).map(lambda recipe: {**recipe, "signed": False})


def halved(recipe):
    """A model whose returns stay below one half, so that optimism has room under one."""
    mdp = random_mdp(**recipe)
    return EpisodicMDP(mdp.P, mdp.r / (2 * mdp.horizon), mdp.rho)


def data(mdp, seed, n_weights=3, sparse=False):
    """A law of the data and weights, some of which are larger than one."""
    rng = np.random.default_rng(seed)
    H, S, A = mdp.r.shape
    mu = random_rows(rng, (H, S * A), sparse).reshape(H, S, A)
    return mu, 3 * rng.random((n_weights, H, S, A)) * (rng.random((n_weights, H, S, A)) < 0.7)


def some_policy(mdp, seed):
    rng = np.random.default_rng(seed)
    return DeterministicPolicy(rng.integers(mdp.n_actions, size=mdp.r.shape[:2]), mdp.n_actions)


def every_policy(mdp):
    cells = mdp.horizon * mdp.n_states
    for actions in itertools.product(range(mdp.n_actions), repeat=cells):
        yield DeterministicPolicy(np.array(actions).reshape(mdp.r.shape[:2]), mdp.n_actions)


def residuals(mdp, f):
    """f_h - r - P max_a f_{h+1}."""
    v = np.vstack([f.max(axis=2), np.zeros((1, mdp.n_states))])
    return f - mdp.r - np.einsum("hsat,ht->hsa", mdp.P, v[1:])


def assert_survives(mdp, mu, weights, alpha, beta, answer):
    f = answer.functions
    assert f.min() >= 0
    assert f.max() <= 1
    left = np.sum(mu * (weights * residuals(mdp, f) - alpha * weights**2), axis=(2, 3))
    assert left.max() <= beta + ROUNDING
    assert mdp.rho @ f[0].max(axis=1) == pytest.approx(answer.value, abs=ROUNDING)
    chosen = np.take_along_axis(f, answer.policy.stages(mdp.horizon).argmax(axis=2)[..., None], axis=2)
    np.testing.assert_array_equal(chosen[..., 0], f.max(axis=2))


@given(seed=seeds, alpha=st.floats(0.1, 10.0), clip=st.none() | st.floats(0.01, 3.0))
def test_the_worst_weight_is_the_maximum_entry_by_entry(seed, alpha, clip):
    rng = np.random.default_rng(seed)
    g, mu = rng.normal(size=(2, 3, 2)), random_rows(rng, (2, 6), False).reshape(2, 3, 2)
    w, value = worst_weight(g, mu, alpha, clip)
    ceiling = clip if clip is not None else 100.0
    assert w.min() >= 0
    assert w.max() <= ceiling
    for h, s, a in np.ndindex(g.shape):
        found = minimize_scalar(
            lambda x, r=g[h, s, a]: alpha * x**2 - r * x, bounds=(0, ceiling), method="bounded"
        )
        assert w[h, s, a] * g[h, s, a] - alpha * w[h, s, a] ** 2 >= -found.fun - ROUNDING
    np.testing.assert_allclose(value, np.sum(mu * (w * g - alpha * w**2), axis=(1, 2)), rtol=ROUNDING)
    if clip is None:
        np.testing.assert_allclose(
            value, np.sum(mu * np.maximum(g, 0) ** 2, axis=(1, 2)) / (4 * alpha), rtol=ROUNDING
        )


def test_parameters_of_the_worst_weight_are_checked():
    g, mu = np.ones((1, 1, 1)), np.ones((1, 1, 1))
    with pytest.raises(ValueError, match=r"alpha must be positive; got 0.0"):
        worst_weight(g, mu, 0.0)
    with pytest.raises(ValueError, match=r"clip must be positive; got 0.0"):
        worst_weight(g, mu, 1.0, 0.0)
    with pytest.raises(ValueError, match=r"mu\[0, 0, 0\] must not be negative; got -1.0"):
        worst_weight(g, -mu, 1.0)


@settings(max_examples=15)
@given(recipe=SMALL, seed=seeds)
def test_the_chi_square_form_is_the_second_order_cone_program(recipe, seed):
    """The program itself, with 0 <= f <= 1 and the greedy rows, solved by an interior-point method."""
    mdp = halved({**recipe, "sparse": False})
    mu, _ = data(mdp, seed)
    policy = some_policy(mdp, seed)
    alpha, beta = 0.5, 2e-3
    answer = chi_square_optimism(mdp, mu, alpha, beta, policy)
    H, S, A = mdp.r.shape
    f = [cp.Variable((S, A)) for _ in range(H)]
    v = [cp.sum(cp.multiply(f[h], policy.probabilities[h]), axis=1) for h in range(H)] + [np.zeros(S)]
    constraints = []
    for h in range(H):
        following = cp.reshape(mdp.P[h].reshape(S * A, S) @ v[h + 1], (S, A), order="C")
        g = f[h] - mdp.r[h] - following
        constraints += [f[h] >= 0, f[h] <= 1, f[h] <= cp.reshape(v[h], (S, 1), order="C") @ np.ones((1, A))]
        constraints += [cp.sum(cp.multiply(mu[h], cp.square(cp.pos(g)))) / (4 * alpha) <= beta]
    best = cp.Problem(cp.Maximize(mdp.rho @ v[0]), constraints).solve(solver=cp.CLARABEL)
    assert answer.value - CONIC <= best <= answer.upper + CONIC
    if answer.functions.max() < 1:
        assert answer.gap <= ROUNDING


@given(recipe=SMALL, seed=seeds, alpha=st.floats(0.1, 5.0), beta=st.floats(0.0, 0.1))
def test_the_functions_of_the_chi_square_form_survive_every_weight(recipe, seed, alpha, beta):
    mdp = halved(recipe)
    mu, _ = data(mdp, seed)
    policy = some_policy(mdp, seed)
    answer = chi_square_optimism(mdp, mu, alpha, beta, policy)
    worst, _ = worst_weight(residuals(mdp, answer.functions), mu, alpha)
    assert_survives(mdp, mu, worst[None], alpha, beta, answer)
    own = policy_evaluation(mdp, policy).start_value
    assert own - ROUNDING <= answer.value <= answer.upper
    d = occupancy_measure(mdp, policy)
    norms = np.sqrt(np.sum(mu * density_ratio(d, mu) ** 2, axis=(1, 2)))
    assert answer.upper == pytest.approx(own + np.sqrt(4 * alpha * beta) * norms.sum(), rel=ROUNDING)


def test_a_policy_without_data_has_no_chi_square_form():
    mdp = halved({"seed": 0})
    mu = np.zeros(mdp.r.shape)
    mu[:, 0, 0] = 1
    with pytest.raises(ValueError, match=r"mu\[0, 0, 1\] must be positive where the policy goes; got 0"):
        chi_square_optimism(mdp, mu, 1.0, 0.1, DeterministicPolicy(np.ones((3, 3), int), 2))


@settings(max_examples=25)
@given(recipe=SMALL, seed=seeds, alpha=st.floats(0.05, 2.0), beta=st.floats(1e-4, 0.2))
def test_the_linear_program_has_proven_bounds_that_meet(recipe, seed, alpha, beta):
    mdp = random_mdp(**recipe)
    mu, weights = data(mdp, seed, sparse=recipe["sparse"])
    policy = some_policy(mdp, seed)
    answer = optimistic_program(mdp, mu, weights, alpha, beta, policy)
    assert_survives(mdp, mu, weights, alpha, beta, answer)
    assert answer.proven
    assert answer.gap >= 0
    # Repairing a violation of e moves by a share of at most e / beta, which costs at most that share.
    assert answer.gap <= HIGHS * (1 + 1 / beta)
    np.testing.assert_array_equal(answer.policy.actions, policy.actions)


@settings(max_examples=12)
@given(recipe=TINY, seed=seeds, alpha=st.floats(0.05, 2.0), beta=st.floats(0.01, 0.2))
def test_the_best_policy_of_the_linear_programs_is_the_mixed_integer_optimum(recipe, seed, alpha, beta):
    mdp = random_mdp(**recipe)
    mu, weights = data(mdp, seed)
    integer = optimistic_program(mdp, mu, weights, alpha, beta)
    listed = optimistic_program(mdp, mu, weights, alpha, beta, method="enumeration")
    assert_survives(mdp, mu, weights, alpha, beta, integer)
    assert_survives(mdp, mu, weights, alpha, beta, listed)
    assert listed.proven
    assert not integer.proven
    slack = HIGHS * (1 + 1 / beta)
    assert abs(integer.value - listed.value) <= slack
    assert abs(integer.upper - listed.upper) <= slack
    single = [optimistic_program(mdp, mu, weights, alpha, beta, policy).value for policy in every_policy(mdp)]
    assert listed.value == max(single)


@settings(max_examples=25)
@given(recipe=SMALL, seed=seeds, alpha=st.floats(0.05, 2.0), beta=st.floats(0.0, 0.2))
def test_a_finite_class_with_the_same_weights_is_never_more_optimistic(recipe, seed, alpha, beta):
    """Random functions near the optimal ones that survive are feasible, so their value is below."""
    mdp = halved(recipe)
    mu, weights = data(mdp, seed)
    rng = np.random.default_rng(seed)
    Q = backward_induction(mdp).action_values
    answer = None
    for scale in (0.0, 0.01, 0.1, 0.3):
        f = np.clip(Q + scale * rng.random(Q.shape), 0, 1)
        left = np.sum(mu * (weights * residuals(mdp, f) - alpha * weights**2), axis=(2, 3))
        if (left <= beta).all():
            policy = DeterministicPolicy(f.argmax(axis=2), mdp.n_actions)
            answer = optimistic_program(mdp, mu, weights, alpha, beta, policy)
            assert mdp.rho @ f[0].max(axis=1) <= answer.upper + ROUNDING
    assert answer is not None or beta == 0  # the optimal functions have no residual


@settings(max_examples=25)
@given(recipe=SMALL, seed=seeds)
def test_its_bounds_hold_whatever_the_solver_returns(recipe, seed):
    mdp = random_mdp(**recipe)
    mu, weights = data(mdp, seed)
    rng = np.random.default_rng(seed)
    policy = some_policy(mdp, seed)
    true = optimistic_program(mdp, mu, weights, 0.3, 0.05, policy)

    def careless(cost, A_ub, b_ub, A_eq, b_eq, bounds, method):
        inequality = SimpleNamespace(marginals=-rng.random(len(b_ub)))
        equality = SimpleNamespace(marginals=rng.normal(size=len(b_eq)))
        x = rng.random(len(cost)) * 3 - 1
        return SimpleNamespace(status=0, x=x, ineqlin=inequality, eqlin=equality)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "linprog", careless)
        answer = optimistic_program(mdp, mu, weights, 0.3, 0.05, policy)
    assert_survives(mdp, mu, weights, 0.3, 0.05, answer)
    assert answer.value <= true.upper
    assert answer.upper >= true.value


def test_without_weights_everything_survives_and_with_strong_ones_the_model_decides():
    mdp = halved({"seed": 5})
    mu, weights = data(mdp, 0)
    nothing = optimistic_program(mdp, mu, 0 * weights, 1.0, 0.1)
    assert nothing.value == pytest.approx(1.0, abs=HIGHS)
    # One small weight on each pair with alpha, beta ~ 0 leaves no residual: certainty equivalence.
    H, S, A = mdp.r.shape
    single = np.eye(H * S * A).reshape(-1, H, S, A)
    strict = optimistic_program(mdp, mu, single, 1e-12, 1e-12)
    assert strict.value == pytest.approx(backward_induction(mdp).start_value, abs=1e-4)


def test_bad_arguments_are_refused():
    mdp = halved({"seed": 0})
    mu, weights = data(mdp, 0)
    policy = some_policy(mdp, 0)
    with pytest.raises(ValueError, match=r"weights\[0, 0, 0, 0\] must not be negative; got -1.0"):
        optimistic_program(mdp, mu, weights - 1 - weights, 1.0, 0.1)
    with pytest.raises(ValueError, match=r"weights must have shape \(N, 3, 3, 2\)"):
        optimistic_program(mdp, mu, weights[0], 1.0, 0.1)
    with pytest.raises(ValueError, match="alpha must be positive"):
        optimistic_program(mdp, mu, weights, 0.0, 0.1)
    with pytest.raises(ValueError, match="beta must be a finite number"):
        optimistic_program(mdp, mu, weights, 1.0, -0.1)
    with pytest.raises(ValueError, match=r"mu\[0, :\] must sum to 1"):
        optimistic_program(mdp, 2 * mu, weights, 1.0, 0.1)
    with pytest.raises(ValueError, match="method must be one of mixed-integer, enumeration; got 'guess'"):
        optimistic_program(mdp, mu, weights, 1.0, 0.1, method="guess")
    big = random_mdp(0, H=3, S=5)
    with pytest.raises(ValueError, match=r"takes at most 10000 policies; got 2\^15"):
        optimistic_program(big, *data(big, 0), 1.0, 0.1, method="enumeration")
    signed = random_mdp(0, signed=True)
    with pytest.raises(ValueError, match=r"empirical must have rewards in \[0, 1\]"):
        chi_square_optimism(signed, mu, 1.0, 0.1, policy)


@pytest.mark.parametrize("solver", ["linprog", "milp"])
def test_a_program_without_an_answer_is_an_error(monkeypatch, solver):
    failed = SimpleNamespace(status=4, message="numerical trouble")
    monkeypatch.setattr(MODULE, solver, lambda *_, **__: failed)
    mdp = halved({"seed": 0})
    policy = some_policy(mdp, 0) if solver == "linprog" else None
    with pytest.raises(RuntimeError, match="was not solved: numerical trouble"):
        optimistic_program(mdp, *data(mdp, 0), 1.0, 0.1, policy)
