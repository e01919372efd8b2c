"""Robust planning: against plain planning, brute force, convex programs, and its own worst kernel."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.solvers.robust.cases import NAMES, random_model, random_values
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
    NotConvergedError,
    backward_induction,
    policy_evaluation,
    robust_mirror_ascent,
    robust_occupancy,
    robust_policy_evaluation,
    robust_value_iteration,
    solve,
)
from theoryrl.solvers.robust._operators import relative_entropy, stage_backup

ROUNDING = 1e-11
"""Recursions of at most five stages on values below ten."""

seeds = st.integers(0, 2**32 - 1)


def set_of(name, S):
    return Uncertainty.parse(f"{name}:0.3", S)


def random_policy(rng, model):
    H, S, A = model.r.shape
    return Policy(rng.dirichlet(np.ones(A), size=(H, S)))


@pytest.mark.parametrize("name", NAMES)
def test_the_worst_kernel_gives_the_robust_value_without_an_adversary(name):
    """For balls; a penalty adds its price to the reward that the kernel collects."""
    rng = np.random.default_rng(0)
    mdp = random_model(rng)
    model, policy = RobustMDP(mdp, set_of(name, 4)), random_policy(rng, mdp)
    robust = robust_policy_evaluation(model, policy)
    plain = policy_evaluation(EpisodicMDP(robust.worst_kernel, mdp.r, mdp.rho), policy)
    if model.uncertainty.penalty:
        assert plain.start_value <= robust.start_value + ROUNDING
    else:
        np.testing.assert_allclose(plain.value, robust.value, atol=ROUNDING)
        assert abs((robust_occupancy(model, policy) * mdp.r).sum() - robust.start_value) <= ROUNDING
    assert robust.gap <= 1e-9


@pytest.mark.parametrize(
    "text", ["tv:0", "l1:0", "linf:0", "kl:0", "chi2:0", "contamination:0", "wasserstein:0"]
)
def test_radius_zero_is_plain_planning(text):
    mdp = random_model(np.random.default_rng(1))
    robust, plain = (
        robust_value_iteration(RobustMDP(mdp, Uncertainty.parse(text, 4))),
        backward_induction(mdp),
    )
    np.testing.assert_allclose(robust.value, plain.value, atol=ROUNDING)


@given(seed=seeds)
def test_the_best_deterministic_policy_by_enumeration_is_the_robust_optimum(seed):
    rng = np.random.default_rng(seed)
    mdp = random_model(rng, H=2, S=2, A=2)
    model = RobustMDP(mdp, Uncertainty("tv", float(rng.random())))
    best = -np.inf
    for code in range(2 ** (2 * 2)):
        actions = (code >> np.arange(4) & 1).reshape(2, 2)
        best = max(best, robust_policy_evaluation(model, Policy(np.eye(2)[actions])).start_value)
    assert abs(best - robust_value_iteration(model).start_value) <= ROUNDING


def test_regularised_values_solve_the_regularised_equations():
    rng = np.random.default_rng(2)
    mdp = random_model(rng)
    reference = random_policy(rng, mdp)
    model = RobustMDP(mdp, Uncertainty("chi2", 0.3), temperature=0.4, reference=reference)
    best = robust_value_iteration(model)
    again = robust_policy_evaluation(model, best.policy)
    np.testing.assert_allclose(again.value, best.value, atol=ROUNDING)
    for _ in range(20):
        other = robust_policy_evaluation(model, random_policy(rng, mdp))
        assert (other.value <= best.value + ROUNDING).all()
    priced = (best.policy.probabilities * best.action_values).sum(axis=2)
    priced -= 0.4 * relative_entropy(best.policy.probabilities, reference.probabilities)
    np.testing.assert_allclose(priced, best.value, atol=ROUNDING)


def test_a_vanishing_temperature_is_the_maximum_and_costs_at_most_the_entropy():
    rng = np.random.default_rng(3)
    mdp = random_model(rng)
    hard = robust_value_iteration(RobustMDP(mdp, Uncertainty("tv", 0.2))).value
    for eta in (1e-9, 1e-3, 0.1, 1.0):
        soft = robust_value_iteration(RobustMDP(mdp, Uncertainty("tv", 0.2), temperature=eta)).value
        remaining = np.arange(3, 0, -1)[:, None]
        assert (soft <= hard + ROUNDING).all()
        assert (soft >= hard - remaining * eta * np.log(2) - ROUNDING).all()


def test_a_ball_of_policies_holds_the_best_of_its_policies():
    rng = np.random.default_rng(16)
    mdp = random_model(rng, A=3)
    reference = random_policy(rng, mdp)
    model = RobustMDP(mdp, Uncertainty("tv", 0.2), reference=reference, policy_radius=0.1)
    best = robust_value_iteration(model)
    assert best.gap <= 1e-9
    np.testing.assert_allclose(robust_policy_evaluation(model, best.policy).value, best.value, atol=ROUNDING)
    distance = relative_entropy(best.policy.probabilities, reference.probabilities)
    assert distance.max() <= 0.1 + 1e-9
    for h, s in np.ndindex(3, 4):
        pi, centre = cp.Variable(3, nonneg=True), reference.probabilities[h, s]
        ball = [cp.sum(pi) == 1, cp.sum(cp.rel_entr(pi, centre)) <= 0.1]
        problem = cp.Problem(cp.Maximize(pi @ best.action_values[h, s]), ball)
        assert abs(problem.solve(solver=cp.CLARABEL) - best.value[h, s]) <= 1e-6


def test_a_ball_of_policies_shrinks_to_the_reference_and_grows_to_all():
    rng = np.random.default_rng(17)
    mdp = random_model(rng)
    reference, plain = random_policy(rng, mdp), RobustMDP(mdp, Uncertainty("kl", 0.1))
    for radius, target in (
        (0.0, robust_policy_evaluation(plain, reference)),
        (100.0, robust_value_iteration(plain)),
    ):
        model = RobustMDP(mdp, Uncertainty("kl", 0.1), reference=reference, policy_radius=radius)
        np.testing.assert_allclose(robust_value_iteration(model).value, target.value, atol=ROUNDING)


# One budget for all actions of a state.


def by_cvxpy(P, r, v, kappa):
    A, S = P.shape
    rows, level = cp.Variable((A, S), nonneg=True), cp.Variable()
    constraints = [cp.sum(rows, axis=1) == 1, r + rows @ v <= level, cp.sum(cp.abs(rows - P)) <= kappa]
    return cp.Problem(cp.Minimize(level), constraints).solve(solver=cp.HIGHS)


def test_a_budget_for_all_actions_gives_the_value_of_the_linear_program():
    rng = np.random.default_rng(4)
    for index in range(60):
        S, A = int(rng.integers(1, 6)), int(rng.integers(1, 5))
        P = rng.dirichlet(np.full(S, 0.5), size=(1, S, A)) * (rng.random((1, S, A, S)) < 0.8)
        P = np.where(P.sum(axis=3, keepdims=True) > 0, P, np.eye(S)[0])
        P /= P.sum(axis=3, keepdims=True)
        r = np.round(rng.random((1, S, A)), int(rng.integers(0, 4)))
        if index % 4 == 0:  # ties: all actions are the same
            P[:], r[:] = P[:, :, :1], r[:, :, :1]
        v, kappa = random_values(rng, S), float(rng.choice([0.0, 0.05, 0.3, 1.0, 2.0]))
        model = RobustMDP(EpisodicMDP(P, r, np.eye(S)[0]), Uncertainty("l1", kappa), rectangularity="s")
        found = stage_backup(model, 0, v, rows=True)
        assert found.down <= 1e-9
        for s in range(S):
            # HiGHS's feasibility tolerance of 1e-7, times the largest price (a value below ten).
            assert abs(found.V[s] - by_cvxpy(P[0, s], r[0, s], v, kappa)) <= 1e-6
            assert np.abs(found.rows[s] - P[0, s]).sum() <= kappa + 1e-12
            assert found.rows.min() >= -1e-16


def test_the_policy_against_a_budget_guarantees_the_value():
    """Its own worst case is the value: with no budget, and with more than the adversary can use, too."""
    rng = np.random.default_rng(5)
    mdp = random_model(rng, A=3)
    for kappa in (0.0, 0.1, 1.0, 2.0):
        model = RobustMDP(mdp, Uncertainty("l1", kappa), rectangularity="s")
        best = robust_value_iteration(model)
        np.testing.assert_allclose(
            robust_policy_evaluation(model, best.policy).value, best.value, atol=ROUNDING
        )


def test_one_budget_for_all_actions_is_weaker_than_one_for_each():
    rng = np.random.default_rng(6)
    mdp = random_model(rng, A=3)
    shared = robust_value_iteration(RobustMDP(mdp, Uncertainty("l1", 0.4), rectangularity="s"))
    separate = robust_value_iteration(RobustMDP(mdp, Uncertainty("l1", 0.4)))
    assert (shared.value >= separate.value - ROUNDING).all()
    assert shared.start_value > separate.start_value + 1e-3


def test_the_backup_with_a_shared_budget_is_not_concave():
    P = np.eye(2)[None, None].repeat(2, axis=1)  # action a leads to state a
    mdp = EpisodicMDP(P, np.zeros((1, 2, 2)), [1.0, 0.0])
    model = RobustMDP(mdp, Uncertainty("l1", 0.2), rectangularity="s")
    ends = [stage_backup(model, 0, np.array(v)).V[0] for v in ([1.0, 0.0], [0.0, 1.0])]
    middle = stage_backup(model, 0, np.array([0.5, 0.5])).V[0]
    np.testing.assert_allclose([*ends, middle], [0.9, 0.9, 0.5], atol=ROUNDING)


# Factors.


def test_unit_vectors_as_features_make_factors_of_pairs():
    mdp = random_model(np.random.default_rng(7))
    for name in NAMES:
        one = robust_value_iteration(RobustMDP(mdp, set_of(name, 4)))
        other = robust_value_iteration(RobustLinearMDP(LinearMDP.from_episodic(mdp), set_of(name, 4)))
        np.testing.assert_allclose(one.value, other.value, atol=ROUNDING)


def test_the_worst_factors_are_worst_for_every_pair_at_once():
    """inf over all factors of <phi(s, a), mu V> by one linear program per pair."""
    rng = np.random.default_rng(8)
    S, A, d, radius = 4, 3, 3, 0.25
    phi, mu = rng.dirichlet(np.ones(d), size=(S, A)), rng.dirichlet(np.ones(S), size=(1, d))
    nominal = LinearMDP(phi, np.zeros((1, d)), mu, np.eye(S)[0])
    model, v = RobustLinearMDP(nominal, Uncertainty("tv", radius)), random_values(rng, S)
    found = stage_backup(model, 0, v)
    for s, a in np.ndindex(S, A):
        factors = cp.Variable((d, S), nonneg=True)
        near = [cp.norm1(factors[i] - mu[0, i]) <= 2 * radius for i in range(d)]
        problem = cp.Problem(cp.Minimize(phi[s, a] @ (factors @ v)), [cp.sum(factors, axis=1) == 1, *near])
        assert abs(problem.solve(solver=cp.HIGHS) - found.Q[s, a]) <= 1e-6


# Discounted.


@pytest.mark.parametrize("name", ["tv", "kl", "chi2", "wasserstein", "tv-penalty"])
def test_discounted_bounds_hold_and_the_policy_attains_them(name):
    rng = np.random.default_rng(9)
    P, r = rng.dirichlet(np.full(5, 0.4), size=(5, 3)), rng.random((5, 3))
    model = RobustMDP(DiscountedMDP(P, r, 0.9), set_of(name, 5), temperature=0.05)
    best = robust_value_iteration(model, tol=1e-8)
    exact = robust_value_iteration(model, tol=1e-11)
    assert best.gap <= 2e-8
    assert (best.lower <= exact.value).all()
    assert (exact.value <= best.upper).all()
    attained = robust_policy_evaluation(model, best.policy, tol=1e-10)
    assert (attained.value >= best.lower - 1e-9).all()
    # The fixed point: one more backup returns it.
    again = stage_backup(model, 0, exact.value)
    np.testing.assert_allclose(again.V, exact.value, atol=1e-10)


def test_discounted_with_a_shared_budget_and_with_radius_zero():
    rng = np.random.default_rng(10)
    P, r = rng.dirichlet(np.full(4, 0.4), size=(4, 2)), rng.random((4, 2))
    mdp = DiscountedMDP(P, r, 0.8)
    free = robust_value_iteration(RobustMDP(mdp, Uncertainty("l1", 0.0), rectangularity="s"), tol=1e-10)
    policy = free.policy.probabilities
    exact = np.linalg.solve(np.eye(4) - 0.8 * (policy[..., None] * P).sum(axis=1), (policy * r).sum(axis=1))
    np.testing.assert_allclose(free.value, exact, atol=1e-9)
    assert ((r + 0.8 * P @ exact).max(axis=1) <= exact + 1e-9).all()
    tight = robust_value_iteration(RobustMDP(mdp, Uncertainty("l1", 0.3), rectangularity="s"), tol=1e-10)
    assert (tight.value < free.value).all()


def test_the_robust_backup_is_a_contraction():
    rng = np.random.default_rng(11)
    P, r = rng.dirichlet(np.full(4, 0.4), size=(4, 2)), rng.random((4, 2))
    for name in NAMES:
        model = RobustMDP(DiscountedMDP(P, r, 0.7), set_of(name, 4))
        v, w = 5 * rng.random((2, 4))
        change = stage_backup(model, 0, v).V - stage_backup(model, 0, w).V
        assert np.abs(change).max() <= 0.7 * np.abs(v - w).max() + ROUNDING


def test_unavailable_actions_are_never_taken():
    P, r = np.full((2, 2, 2), 0.5), np.array([[0.1, 1.0], [0.2, 0.3]])
    mdp = DiscountedMDP(P, r, 0.5, allowed=np.array([[True, False], [True, True]]))
    best = robust_value_iteration(RobustMDP(mdp, Uncertainty("tv", 0.1)))
    assert best.policy.probabilities[0].tolist() == [1.0, 0.0]


def test_a_tolerance_below_rounding_is_not_claimed():
    mdp = DiscountedMDP(np.full((1, 1, 1), 1.0), np.ones((1, 1)), 0.999999)
    with pytest.raises(NotConvergedError, match="1e-14 was not reached in 50 sweeps") as stopped:
        robust_value_iteration(RobustMDP(mdp, Uncertainty("tv", 0.1)), tol=1e-14, max_sweeps=50)
    assert stopped.value.solution.lower <= 1e6 <= stopped.value.solution.upper


# Mirror ascent.


def test_mirror_ascent_never_falls_and_closes_the_gap():
    rng = np.random.default_rng(12)
    for eta in (0.0, 0.1, 0.5):
        model = RobustMDP(random_model(rng), Uncertainty("tv", 0.2), temperature=eta)
        found = robust_mirror_ascent(model, step=2.0, iterations=40)
        assert (np.diff(found.values) >= -ROUNDING).all()
        optimum = robust_value_iteration(model).start_value
        assert found.values[-1] <= optimum + ROUNDING
        assert optimum - found.values[-1] < 0.2 * (optimum - found.values[0])
        assert found.gap >= optimum - found.values[-1] - ROUNDING


def test_soft_policy_iteration_is_exact_after_one_update_per_stage():
    model = RobustMDP(random_model(np.random.default_rng(13)), Uncertainty("tv", 0.2), temperature=0.2)
    found = robust_mirror_ascent(model, step=np.inf, iterations=3)
    assert found.gap <= 1e-9


def test_solve_takes_robust_models():
    model = RobustMDP(random_model(np.random.default_rng(14)), Uncertainty("tv", 0.2))
    assert solve(model).start_value == robust_value_iteration(model).start_value
    assert solve(model, "robust-mirror-ascent", iterations=5).method == "robust mirror ascent"


def test_wrong_policies_and_steps_are_refused():
    mdp = random_model(np.random.default_rng(15))
    model = RobustMDP(mdp, Uncertainty("tv", 0.2))
    with pytest.raises(ValueError, match=r"policy has \(S, A\) = \(3, 2\)"):
        robust_policy_evaluation(model, Policy.uniform(3, 2))
    with pytest.raises(ValueError, match="step must be positive"):
        robust_mirror_ascent(model, step=0.0)
    with pytest.raises(ValueError, match="step must be a finite number"):
        robust_mirror_ascent(model, step=np.inf)
    with pytest.raises(ValueError, match="the model has a policy_radius"):
        robust_mirror_ascent(RobustMDP(mdp, Uncertainty("tv", 0.2), policy_radius=0.1))
    with pytest.raises(ValueError, match="rectangularity must be 'sa'"):
        robust_mirror_ascent(RobustMDP(mdp, Uncertainty("l1", 0.2), rectangularity="s"))
    greedy = Policy(np.tile([1.0, 0.0], (4, 1)))
    with pytest.raises(ValueError, match="start must give each action"), np.errstate(divide="ignore"):
        robust_mirror_ascent(model, start=greedy)
    discounted = DiscountedMDP(mdp.P[0], mdp.r[0], 0.9)
    with pytest.raises(ValueError, match="finite horizon"):
        robust_occupancy(RobustMDP(discounted, Uncertainty("tv", 0.2)), Policy.uniform(4, 2))
    with pytest.raises(ValueError, match="policy must be stationary"):
        robust_policy_evaluation(
            RobustMDP(discounted, Uncertainty("tv", 0.2)), random_policy(np.random.default_rng(0), mdp)
        )
