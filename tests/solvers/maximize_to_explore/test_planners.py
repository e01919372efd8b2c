"""Planners over all kernels, all tables, chains, linear functions and mixtures, against other methods."""

import itertools

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theoryrl.instances import random_dirichlet, random_linear
from theoryrl.models import DeterministicPolicy, LinearMixtureClass, Policy
from theoryrl.solvers import (
    backward_induction,
    best_occupancy_bonus,
    chain_argmax,
    chain_level_set,
    occupancy_bonus_value,
    plan_mixture,
    plan_tabular_model,
    plan_tabular_q,
    tabular_model_objective,
    tabular_q_objective,
)
from theoryrl.solvers.maximize_to_explore import _mixture_kernels
from theoryrl.theory.evidence.penalised import other_kernels, sample_counts

ROUNDING = 1e-9
"""Objectives are sums of some hundred logarithms times eta below 100."""
CONIC = 1e-5
"""Interior-point gaps of 1e-8 times the number of stages and prices."""

problems = st.tuples(st.integers(0, 50), st.integers(0, 40), st.floats(-3, 2))


def data(seed, episodes, exponent, S=3, A=2, H=3):
    rng = np.random.default_rng([seed, episodes])
    mdp = random_dirichlet(S, A, H, 0.5, seed)
    counts = sample_counts(mdp, episodes, rng) if episodes else np.zeros(mdp.P.shape)
    return mdp, counts, 10.0**exponent, rng


@settings(max_examples=25)
@given(problem=problems)
def test_the_model_planner_reaches_its_lower_bound_and_nothing_exceeds_its_upper_one(problem):
    mdp, counts, eta, rng = data(*problem)
    plan = plan_tabular_model(counts, mdp.r, mdp.rho, eta)
    assert tabular_model_objective(counts, mdp.r, mdp.rho, eta, plan.P) == pytest.approx(
        float(plan.lower), abs=ROUNDING
    )
    assert other_kernels(counts, mdp, eta, rng).max() <= plan.upper + ROUNDING
    truth = tabular_model_objective(counts, mdp.r, mdp.rho, eta, mdp.P)
    assert truth <= plan.upper + ROUNDING


@pytest.mark.parametrize("seed", range(6))
def test_branch_and_bound_closes_the_gap_of_small_models(seed):
    mdp, counts, _, _ = data(seed, 40, 0)
    root = plan_tabular_model(counts, mdp.r, mdp.rho, 0.1)
    closed = plan_tabular_model(counts, mdp.r, mdp.rho, 0.1, certify="bnb", tol=2e-3)
    assert closed.gap <= 2e-3 + ROUNDING
    assert closed.lower >= root.lower - ROUNDING
    assert closed.upper <= root.upper + ROUNDING


def test_without_data_everything_that_can_be_hoped_for_is_promised():
    mdp, counts, _, _ = data(0, 0, 0)
    assert float(plan_tabular_model(counts, mdp.r, mdp.rho, 1.0).value) <= mdp.horizon
    assert float(plan_tabular_q(counts, mdp.r, mdp.rho, 1.0).value) == mdp.horizon


def test_a_known_support_is_respected_and_lowers_the_bound():
    mdp = random_dirichlet(3, 2, 3, seed=1)
    support = np.zeros(mdp.P.shape, dtype=bool)
    support[..., :2] = True
    counts = np.zeros(mdp.P.shape)
    counts[0, 0, 0, 0] = 3
    free = plan_tabular_model(counts, mdp.r, mdp.rho, 0.1)
    bound = plan_tabular_model(counts, mdp.r, mdp.rho, 0.1, support=support)
    assert bound.P[..., 2].max() == 0
    assert bound.upper <= free.upper + ROUNDING
    counts[0, 0, 0, 2] = 1
    with pytest.raises(ValueError, match=r"support\[0, 0, 0, 2\] must be true, because counts"):
        plan_tabular_model(counts, mdp.r, mdp.rho, 0.1, support=support)


def test_a_warm_start_never_hurts():
    mdp, counts, _, _ = data(3, 20, 0)
    cold = plan_tabular_model(counts, mdp.r, mdp.rho, 0.3)
    warm = plan_tabular_model(counts, mdp.r, mdp.rho, 0.3, warm_start=cold)
    assert warm.lower >= cold.lower - ROUNDING


def test_certainty_equivalence_is_the_limit_of_a_high_price():
    mdp = random_dirichlet(3, 2, 3, seed=2)
    counts = 1e6 * mdp.P
    for plan in (plan_tabular_model, plan_tabular_q):
        found = plan(counts, mdp.r, mdp.rho, 100.0)
        assert float(found.value) == pytest.approx(backward_induction(mdp).start_value, abs=1e-6)


@settings(max_examples=25)
@given(problem=problems)
def test_the_table_planner_reaches_its_lower_bound_and_no_table_exceeds_its_upper_one(problem):
    mdp, counts, eta, rng = data(*problem)
    plan = plan_tabular_q(counts, mdp.r, mdp.rho, eta)
    assert tabular_q_objective(counts, mdp.r, mdp.rho, eta, plan.Q) == pytest.approx(
        float(plan.lower), abs=ROUNDING
    )
    ranges = (3.0 - np.arange(3))[:, None, None]
    for scale in (0.01, 0.3, 2.0):
        table = np.clip(plan.Q + scale * rng.normal(size=plan.Q.shape), 0, ranges)
        assert tabular_q_objective(counts, mdp.r, mdp.rho, eta, table) <= plan.upper + ROUNDING
    optimal = backward_induction(mdp).action_values
    assert tabular_q_objective(counts, mdp.r, mdp.rho, eta, optimal) <= plan.upper + ROUNDING


def quadratic_program(mdp, counts, eta, policy):
    """The best boxed table whose values along `policy` count: V_h(s) = Q_h(s, pi(s)), a concave program."""
    H, S, A = mdp.r.shape
    n = counts.sum(axis=3)
    Q = [cp.Variable((S, A)) for _ in range(H)]
    onehot = policy.probabilities
    V = [cp.sum(cp.multiply(Q[h], onehot[h]), axis=1) for h in range(H)] + [np.zeros(S)]
    loss, constraints = 0, []
    for h in range(H):
        constraints += [Q[h] >= 0, Q[h] <= H - h]
        for s, a in itertools.product(range(S), range(A)):
            if n[h, s, a] > 0:
                error = Q[h][s, a] - mdp.r[h, s, a] - (counts[h, s, a] / n[h, s, a]) @ V[h + 1]
                loss += n[h, s, a] * cp.square(error)
    objective = cp.Maximize(mdp.rho @ V[0] - eta * loss)
    return cp.Problem(objective, constraints).solve(solver=cp.CLARABEL)


@pytest.mark.parametrize("seed", range(4))
def test_no_boxed_concave_program_exceeds_the_upper_bound_and_the_best_one_reaches_the_lower(seed):
    """Over all deterministic policies of a tiny model, unvisited cells included."""
    mdp, counts, eta, _ = data(seed, 6, -0.3, S=2, A=2, H=2)
    plan = plan_tabular_q(counts, mdp.r, mdp.rho, eta)
    best = max(
        quadratic_program(mdp, counts, eta, DeterministicPolicy(np.array(choice).reshape(2, 2), 2))
        for choice in itertools.product(range(2), repeat=4)
    )
    assert plan.lower - CONIC <= best <= plan.upper + CONIC


@pytest.mark.parametrize("seed", range(4))
def test_the_closed_form_of_a_policy_is_the_concave_program_without_a_box(seed):
    mdp, counts, _, rng = data(seed, 300, 0, S=2, A=2, H=2)
    counts += 0.1 * mdp.P
    policy = DeterministicPolicy(rng.integers(2, size=(2, 2)), 2)
    exact = occupancy_bonus_value(counts, mdp.r, mdp.rho, 50.0, policy)
    assert quadratic_program(mdp, counts, 50.0, policy) == pytest.approx(exact, abs=CONIC)


def test_listing_policies_needs_data_where_they_go_and_a_small_model():
    mdp, counts, _, _ = data(0, 1, 0)
    with pytest.raises(ValueError, match=r"must not be empty: the policy goes there"):
        best_occupancy_bonus(counts, mdp.r, mdp.rho, 1.0)
    big = random_dirichlet(5, 2, 5)
    with pytest.raises(ValueError, match=r"at most 100000 policies; got 2\^25"):
        best_occupancy_bonus(big.P, big.r, big.rho, 1.0)


@given(seed=st.integers(0, 10**6), H=st.integers(1, 4), N=st.integers(1, 6))
def test_the_chain_program_is_the_maximum_over_all_choices(seed, H, N):
    rng = np.random.default_rng(seed)
    V, losses = rng.random(N), rng.exponential(size=(H, N, N))
    eta, beta = float(10 ** rng.uniform(-2, 1)), float(rng.exponential())

    def used(choice):
        return [losses[h, i, choice[h + 1] if h + 1 < H else 0] for h, i in enumerate(choice)]

    choices = list(itertools.product(range(N), repeat=H))
    found = chain_argmax(V, losses, eta)
    assert found.value == pytest.approx(max(V[c[0]] - eta * sum(used(c)) for c in choices), abs=1e-12)
    assert V[found.indices[0]] - eta * sum(used(found.indices)) == pytest.approx(found.value, abs=1e-12)
    feasible = [V[c[0]] for c in choices if max(used(c)) <= beta]
    level = chain_level_set(V, losses, beta)
    assert (level is None) == (not feasible)
    if level is not None:
        assert level.value == max(feasible)
        assert max(used(level.indices)) <= beta


def test_negative_losses_and_a_price_that_is_not_positive_are_refused():
    with pytest.raises(ValueError, match=r"losses\[0, 0, 0\] must be in \[0, inf\]; got -1"):
        chain_argmax(np.zeros(1), -np.ones((1, 1, 1)), 1.0)
    for eta in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="eta must be"):
            chain_argmax(np.zeros(1), np.ones((1, 1, 1)), eta)
        with pytest.raises(ValueError, match="eta must be"):
            plan_tabular_q(np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 1)), np.ones(1), eta)


@pytest.mark.parametrize("seed", range(5))
def test_the_inner_program_over_mixtures_is_solved_to_its_certificate(seed):
    rng = np.random.default_rng(seed)
    d, J = 3, 8
    g, weights = rng.random(d) * 3, np.floor(rng.exponential(3, size=J))
    base = rng.dirichlet(np.ones(J), size=d)
    theta = np.full(d, 1 / d)
    value, certificate = _mixture_kernels.log_mixture(g, weights, base, 2000, theta)
    x = cp.Variable(d, nonneg=True)
    best = cp.Problem(
        cp.Maximize(g @ x + cp.sum(cp.multiply(weights, cp.log(base.T @ x)))), [cp.sum(x) == 1]
    ).solve(solver=cp.CLARABEL)
    assert value - CONIC <= best <= value + certificate + CONIC
    assert certificate < 1e-2


@pytest.mark.parametrize("seed", range(3))
def test_no_mixture_exceeds_the_upper_bound_and_the_stated_value_is_reached(seed):
    mdp, counts, _, rng = data(seed, 30, 0)
    P = np.stack([mdp.P, *rng.dirichlet(np.full(3, 0.5), size=(2, *mdp.r.shape))])
    family = LinearMixtureClass(P, mdp.r)
    plan = plan_mixture(family, counts, mdp.rho, 0.1)
    again = tabular_model_objective(counts, mdp.r, mdp.rho, 0.1, family.mixture(plan.theta))
    assert again == pytest.approx(float(plan.value), abs=1e-8)
    for theta in rng.dirichlet(np.ones(3), size=(50, 3)):
        value = tabular_model_objective(counts, mdp.r, mdp.rho, 0.1, family.mixture(theta))
        assert value <= plan.upper + ROUNDING


def test_an_observation_that_every_base_excludes_is_an_error():
    P = np.zeros((2, 1, 2, 1, 2))
    P[..., 0] = 1.0
    counts = np.zeros((1, 2, 1, 2))
    counts[0, 1, 0, 1] = 1
    with pytest.raises(ValueError, match=r"counts\[0, 1, 0, 1\] must be 0: every base kernel excludes"):
        plan_mixture(LinearMixtureClass(P, np.zeros((1, 2, 1))), counts, np.array([1.0, 0.0]), 1.0)


def test_bad_data_are_named():
    mdp = random_dirichlet(3, 2, 3)
    counts = np.zeros(mdp.P.shape)
    counts[1, 2, 0, 1] = -1
    with pytest.raises(ValueError, match=r"counts\[1, 2, 0, 1\] must be in \[0, inf\]; got -1"):
        plan_tabular_q(counts, mdp.r, mdp.rho, 1.0)
    with pytest.raises(ValueError, match=r"rewards\[0, 0, 0\] must be in \[0, 1\]"):
        plan_tabular_model(0 * mdp.P, mdp.r + 1, mdp.rho, 1.0)
    with pytest.raises(ValueError, match="certify must be one of dp, bnb"):
        plan_tabular_model(0 * mdp.P, mdp.r, mdp.rho, 1.0, certify="exact")


def test_uniform_data_make_the_linear_planner_no_worse_than_its_starts():
    from theoryrl.learners.mex_linear import Regressions
    from theoryrl.protocol import as_problem
    from theoryrl.solvers import simulate_episodes
    from theoryrl.solvers.episodic import Trajectories
    from theoryrl.solvers.maximize_to_explore.linear_q import (
        least_squares_values,
        linear_q_objective,
        plan_linear_q,
    )

    model = random_linear(seed=1)
    problem = as_problem(model)
    state = Regressions.begin(problem.spec(10), 1.0, "test")
    mdp = model.to_episodic()
    episodes = simulate_episodes(mdp, Policy.uniform(12, 4), 50, np.random.default_rng(0))
    state.record(Trajectories(episodes.states, episodes.actions, episodes.rewards))
    start = least_squares_values(state.data, 0.3)
    plan = plan_linear_q(state.data, 0.3, (start.actions,))
    assert linear_q_objective(state.data, 0.3, plan.w) == pytest.approx(plan.objective, abs=ROUNDING)
    greedy = least_squares_values(state.data)
    assert plan.objective >= linear_q_objective(state.data, 0.3, greedy.w) - 0.05
    with pytest.raises(ValueError, match="at least one policy"):
        plan_linear_q(state.data, 0.3, ())
