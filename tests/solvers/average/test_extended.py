"""Extended value iteration: bounds on the largest gain that a set of models allows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generators import seeds
from theoryrl.instances import average_riverswim, flipping_riverswim, random_average
from theoryrl.models import AverageRewardMDP, PiecewiseStationaryMDP
from theoryrl.solvers import (
    NotConvergedError,
    diameter,
    extended_value_iteration,
    gain_and_bias,
    optimistic_kernel,
    solve,
)
from theoryrl.solvers.average import segment_gains, set_maximum
from theoryrl.solvers.kl_ball import kl_ball


@settings(max_examples=25)
@given(seed=seeds, S=st.integers(1, 6), A=st.integers(1, 3))
def test_sets_that_are_points_give_the_gain_of_the_model(seed, S, A):
    mdp = random_average(S, A, seed=seed % 10_000)
    found = extended_value_iteration(mdp.dense_P(), mdp.r, np.zeros((S, A)), 1e-9, step=0.9)
    exact = solve(mdp, tol=1e-10)
    assert found.lower <= exact.upper[0]
    assert exact.lower[0] <= found.upper
    assert found.gap < 2e-9


@settings(max_examples=25)
@given(seed=seeds, kind=st.sampled_from(["l1", "box"]))
def test_the_policy_attains_the_lower_bound_in_its_own_best_model(seed, kind):
    rng = np.random.default_rng(seed)
    S, A = int(rng.integers(2, 6)), int(rng.integers(1, 4))
    P, r = rng.dirichlet(np.ones(S), size=(S, A)), rng.random((S, A))
    radius = rng.random((S, A, S) if kind == "box" else (S, A)) * 0.3 + 0.01
    found = extended_value_iteration(P, r, radius, 1e-6, kind=kind)
    Q = optimistic_kernel(P, radius, found, kind)
    own = r[np.arange(S), found.policy.actions]
    model = AverageRewardMDP(np.repeat(Q[:, None], 1, axis=1), own[:, None])
    gain = gain_and_bias(model, solve(model).policy)
    assert gain.upper.min() >= found.lower - 1e-9
    assert gain.lower.max() <= found.upper + 1e-9


def test_balls_of_radius_two_let_every_step_pay_the_largest_reward():
    mdp = average_riverswim(5)
    found = extended_value_iteration(mdp.dense_P(), mdp.r, np.full((5, 2), 2.0))
    assert found.lower <= 1.0 <= found.upper


@settings(max_examples=25)
@given(seed=seeds)
def test_the_relative_entropy_set_agrees_with_its_own_solver(seed):
    rng = np.random.default_rng(seed)
    p, u, eps = rng.dirichlet(np.ones(5)), rng.random(5), float(rng.random())
    assert set_maximum(p, u, eps, "kl") == pytest.approx(kl_ball(p, u, eps).upper, abs=1e-9)


def test_larger_balls_of_every_kind_give_larger_gains():
    mdp = random_average(5, 2, seed=1)
    for kind, shape in (("l1", (5, 2)), ("kl", (5, 2)), ("box", (5, 2, 5))):
        values = [
            float(extended_value_iteration(mdp.dense_P(), mdp.r, np.full(shape, x), kind=kind).value)
            for x in (0.001, 0.01, 0.1)
        ]
        assert values[0] < values[1] < values[2]


def test_a_set_that_contains_the_model_has_no_smaller_gain_whatever_its_kind():
    mdp = average_riverswim(6)
    P, gain = mdp.dense_P(), solve(mdp).lower[0]
    for kind, radius in (
        ("l1", np.full((6, 2), 0.1)),
        ("kl", np.full((6, 2), 0.02)),
        ("box", np.full((6, 2, 6), 0.05)),
    ):
        assert extended_value_iteration(P, mdp.r, radius, kind=kind).upper >= gain


def test_too_few_sweeps_leave_bounds_that_are_true():
    mdp = average_riverswim(6)
    exact = extended_value_iteration(mdp.dense_P(), mdp.r, np.full((6, 2), 0.01), 1e-9)
    with pytest.raises(NotConvergedError) as stopped:
        extended_value_iteration(mdp.dense_P(), mdp.r, np.full((6, 2), 0.01), 1e-9, max_sweeps=5)
    bounds = stopped.value.solution
    assert bounds.lower <= exact.lower <= exact.upper <= bounds.upper


@pytest.mark.parametrize(
    ("radius", "kind", "text"),
    [
        (np.full((2, 1), -0.1), "l1", r"radius\[0, 0\] must be in"),
        (np.zeros((2, 1)), "l2", "kind must be one of"),
    ],
)
def test_wrong_sets_are_refused(radius, kind, text):
    with pytest.raises(ValueError, match=text):
        extended_value_iteration(np.full((2, 1, 2), 0.5), np.zeros((2, 1)), radius, kind=kind)


# Diameters of known models, and models that change.


def test_a_cycle_of_S_states_has_diameter_S_minus_1():
    S = 7
    P = np.roll(np.eye(S), 1, axis=1)[:, None]
    assert diameter(AverageRewardMDP(P, np.zeros((S, 1)))).value == pytest.approx(S - 1, rel=1e-12)


@pytest.mark.parametrize("p", [0.5, 0.01])
def test_two_states_that_are_left_with_probability_p_have_diameter_1_over_p(p):
    P = np.array([[[1 - p, p]], [[p, 1 - p]]])
    assert diameter(AverageRewardMDP(P, np.zeros((2, 1)))).value == pytest.approx(1 / p, rel=1e-12)


@pytest.mark.parametrize(
    ("S", "gain", "D"), [(3, 0.446809, 4.7619), (4, 0.431085, 8.0612), (6, 0.428622, 14.7223)]
)
def test_gain_and_diameter_of_the_river(S, gain, D):
    mdp = average_riverswim(S)
    assert solve(mdp).value[0] == pytest.approx(gain, abs=5e-7)
    assert diameter(mdp).value == pytest.approx(D, abs=5e-5)


def test_segments_are_solved_one_by_one():
    model = flipping_riverswim(4)
    found = solve(model)
    np.testing.assert_allclose(found.value, solve(average_riverswim(4)).value[0], rtol=0, atol=1e-8)
    assert found.policy.actions.tolist() == [[1] * 4, [0] * 4, [1] * 4, [0] * 4]


def test_a_segment_that_is_not_communicating_is_refused():
    P = np.stack([np.full((2, 1, 2), 0.5), np.eye(2)[:, None]])
    model = PiecewiseStationaryMDP(P, np.zeros((2, 2, 1)), np.array([5]))
    with pytest.raises(ValueError, match=r"P\[1\] must be communicating"):
        segment_gains(model)
