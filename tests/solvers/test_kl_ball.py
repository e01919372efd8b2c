"""Expectations over a Kullback-Leibler ball: valid for every point of the ball, and attained."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generators import random_rows, seeds
from theoryrl.solvers.kl_ball import kl_ball

GOLDEN_P = np.array([4, 3, 2, 1, 0]) / 10
GOLDEN_V = np.array([0, 0.25, 0.5, 0.75, 1])
RELATIVE = 1e-10
"""Of the range of V: the search stops where the dual is flat to second order, 1e-14, and loses a few
digits in sums of logarithms."""

radii = st.floats(-12, 3).map(np.exp)


def divergence(p, q):
    """KL(p || q), infinite where q lacks mass that p has."""
    charged = p > 0
    with np.errstate(divide="ignore"):
        return float(np.sum(p[charged] * np.log(p[charged] / q[charged])))


def inside(p, q, eps):
    """The farthest point on the segment from p to q that is still in the ball, up to bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if divergence(p, p + middle * (q - p)) <= eps else (low, middle)
    return p + low * (q - p)


@pytest.mark.parametrize(
    ("eps", "lower", "upper"), [(1.1435192, 0.019023, 0.778445), (0.1, 0.149021, 0.370917)]
)
def test_known_values(eps, lower, upper):
    """The golden values of the StepMix page, which give six digits; one state has no mass."""
    ball = kl_ball(GOLDEN_P, GOLDEN_V, eps)
    assert ball.lower == pytest.approx(lower, abs=1e-6)
    assert ball.upper == pytest.approx(upper, abs=1e-6)


@settings(max_examples=200)
@given(seed=seeds, S=st.integers(1, 8), eps=radii)
def test_no_point_of_the_ball_is_outside_the_bounds(seed, S, eps):
    rng = np.random.default_rng(seed)
    p, V = random_rows(rng, (S,), rng.random() < 0.5), rng.normal(size=S)
    ball = kl_ball(p, V, eps)
    corners = np.eye(S)
    for q in (*corners, *random_rows(rng, (20, S), False), corners[V.argmax()], corners[V.argmin()]):
        value = inside(p, q, eps) @ V
        assert ball.lower - 1e-12 <= value <= ball.upper + 1e-12


@settings(max_examples=200)
@given(seed=seeds, S=st.integers(2, 8), eps=radii)
def test_the_bounds_are_attained_by_a_point_of_the_ball(seed, S, eps):
    """Strong duality: the tilted distribution q_i proportional to p_i / (t + max V - V_i), found by
    bisection in t, and the mass that KL allows on a maximal state without observations."""
    rng = np.random.default_rng(seed)
    p, V = random_rows(rng, (S,), rng.random() < 0.5), rng.normal(size=S)
    ball = kl_ball(p, V, eps)
    assert ball.upper == pytest.approx(attained(p, V, eps), abs=RELATIVE * 10)
    assert ball.lower == pytest.approx(-attained(p, -V, eps), abs=RELATIVE * 10)


def attained(p, V, eps):
    """q . V at the maximiser over the ball, from its optimality conditions."""
    d = V.max() - V
    if np.ptp(V) == 0:
        return float(V[0])
    charged = p > 0

    def tilted(t):
        weights = np.zeros_like(p)
        weights[charged] = p[charged] / (t + d[charged])
        return weights / weights.sum()

    if not (charged & (d == 0)).any():
        at_zero = tilted(0.0)
        if divergence(p, at_zero) <= eps:
            # The rest of the mass goes to a maximal state: KL grows by -log(1 - rest).
            rest = -np.expm1(divergence(p, at_zero) - eps)
            return float(V.max() - (1 - rest) * (at_zero @ d))
    low, high = -700.0, 700.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if divergence(p, tilted(np.exp(middle))) > eps else (low, middle)
    return float(V.max() - tilted(np.exp(high)) @ d)


@pytest.mark.parametrize("seed", range(6))
def test_a_conic_solver_agrees(seed):
    """Clarabel stops at a gap of 1e-8; the exponential cone costs it a digit or two."""
    rng = np.random.default_rng(seed)
    S, eps = 4, float(np.exp(rng.uniform(-4, 1)))
    p, V = random_rows(rng, (S,), seed % 2 == 0), rng.random(S)
    q = cp.Variable(S, nonneg=True)
    charged = np.flatnonzero(p)
    entropy = p[charged] @ np.log(p[charged])
    ball = [cp.sum(q) == 1, entropy - p[charged] @ cp.log(q[charged]) <= eps]
    result = kl_ball(p, V, eps)
    assert result.upper == pytest.approx(cp.Problem(cp.Maximize(q @ V), ball).solve(cp.CLARABEL), abs=1e-6)
    assert result.lower == pytest.approx(cp.Problem(cp.Minimize(q @ V), ball).solve(cp.CLARABEL), abs=1e-6)


@given(seed=seeds, S=st.integers(1, 6), eps=radii, scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_an_affine_change_of_values_passes_through(seed, S, eps, scale, shift):
    rng = np.random.default_rng(seed)
    p, V = random_rows(rng, (S,), True), rng.random(S)
    plain, moved = kl_ball(p, V, eps), kl_ball(p, scale * V + shift, eps)
    tolerance = RELATIVE * (scale + abs(shift))
    assert moved.upper == pytest.approx(scale * plain.upper + shift, abs=tolerance)
    assert moved.lower == pytest.approx(scale * plain.lower + shift, abs=tolerance)


@given(seed=seeds, S=st.integers(1, 6), eps=radii, factor=st.floats(1, 10))
def test_a_larger_ball_has_wider_bounds_within_the_range_of_the_values(seed, S, eps, factor):
    rng = np.random.default_rng(seed)
    p, V = random_rows(rng, (S,), True), rng.random(S)
    small, large = kl_ball(p, V, eps), kl_ball(p, V, factor * eps)
    assert V.min() - RELATIVE <= large.lower <= small.lower + RELATIVE
    assert small.upper - RELATIVE <= large.upper <= V.max() + RELATIVE


@pytest.mark.parametrize("eps", [1e-300, 1e-16, 1e-8, 50.0, 700.0, 1e5])
def test_extreme_radii(eps):
    ball = kl_ball(GOLDEN_P, GOLDEN_V, eps)
    mean = GOLDEN_P @ GOLDEN_V
    pinsker = np.sqrt(eps / 2)  # |q . V - p . V| <= range(V) * sqrt(KL / 2)
    assert -1e-12 <= ball.lower <= mean + 1e-12
    assert mean - 1e-12 <= ball.upper <= 1 + 1e-12
    assert mean - ball.lower <= pinsker + 1e-9
    assert ball.upper - mean <= pinsker + 1e-9
    if eps >= 50:
        assert ball.lower <= 1e-12
        assert ball.upper >= 1 - 1e-12


def test_a_ball_of_radius_zero_is_its_centre():
    ball = kl_ball(GOLDEN_P, GOLDEN_V, 0.0)
    assert ball.lower == pytest.approx(0.25, abs=1e-15)
    assert ball.upper == pytest.approx(0.25, abs=1e-15)


def test_the_support_keeps_mass_away_from_the_other_states():
    support = np.array([True, True, True, True, False])
    restricted, smaller = kl_ball(GOLDEN_P, GOLDEN_V, 1.0, support), kl_ball(GOLDEN_P[:4], GOLDEN_V[:4], 1.0)
    assert restricted == pytest.approx(smaller, abs=1e-12)
    assert restricted.upper < kl_ball(GOLDEN_P, GOLDEN_V, 1.0).upper


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.array([0.5, 0.4]), np.zeros(2), 1.0), "p must sum to 1"),
        ((np.array([1.5, -0.5]), np.zeros(2), 1.0), r"p\[1\] must be a probability; got -0.5"),
        ((np.array([0.5, 0.5]), np.array([0.0, np.nan]), 1.0), r"V\[1\] must be finite; got nan"),
        ((np.array([0.5, 0.5]), np.zeros(2), -0.1), "eps must be a finite number in"),
        (
            (np.array([0.5, 0.5]), np.zeros(2), 0.1, np.array([True, False])),
            r"support\[1\] must be true, because p\[1\] = .*0.5.* > 0",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        kl_ball(*arguments)
