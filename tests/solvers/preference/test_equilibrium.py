"""The regularised equilibrium: certified, and the same as found by a convex program and by hand."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.solvers.preference.games import FAMILIES, random_game, random_regularized
from theoryrl import solve
from theoryrl.models import PreferenceGame, RegularizedGame
from theoryrl.solvers.preference import (
    exploitability_gap,
    mirror_prox_equilibrium,
    preference_certificate,
    regularized_equilibrium,
)
from theoryrl.solvers.preference.fields import equilibrium_residual
from theoryrl.solvers.simplex import kl_divergence, log_normalize, span
from theoryrl.solvers.solution import NotConvergedError

seeds = st.integers(0, 2**32 - 1)


@given(
    seed=seeds,
    family=st.sampled_from(FAMILIES),
    n=st.integers(1, 40),
    beta=st.floats(-3, 1),
    scale=st.sampled_from([0.0, 1.0, 10.0, 60.0]),
)
@settings(max_examples=150)
def test_every_game_is_solved_to_a_certificate_below_1e_20(seed, family, n, beta, scale):
    """The certificate includes a worst-case bound on rounding: 50 units / beta, squared."""
    game = random_regularized(np.random.default_rng(seed), family, n, 10**beta, scale=scale)
    solution = regularized_equilibrium(game)
    assert solution.certificate.max() < 1e-20 * (1 if scale < 60 else 10)
    assert solution.gap <= 1e-20
    assert (solution.exploitability_gap <= solution.gap_bound).all()
    assert (solution.lower <= 0.5).all()
    np.testing.assert_allclose(solution.policy.probabilities, np.exp(solution.log_policy))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_equilibrium_is_that_of_the_convex_program(family):
    """min G(pi) is convex; Clarabel solves it to about 1e-6."""
    game = random_regularized(np.random.default_rng(3), family, 8, 0.1)
    pi = cp.Variable(8)
    gap = game.beta * cp.log_sum_exp(game.log_reference[0] + game.game.skew[0] @ pi / game.beta)
    gap += game.beta * cp.sum(cp.rel_entr(pi, np.exp(game.log_reference[0])))
    problem = cp.Problem(cp.Minimize(gap), [cp.sum(pi) == 1])
    problem.solve(solver="CLARABEL")
    assert abs(problem.value) < 1e-6
    ours = np.exp(regularized_equilibrium(game).log_policy[0])
    assert np.abs(pi.value - ours).max() < 1e-3  # G grows quadratically: sqrt(1e-6) at beta = 0.1


def test_two_actions_have_a_closed_form():
    """log(p_1 / p_2) = log(ref_1 / ref_2) + A_12 / beta, because A_12 (p_1 + p_2) = A_12."""
    game = PreferenceGame([[0.5, 0.9], [0.1, 0.5]]).regularized(0.05, [0.2, 0.8])
    log_policy = regularized_equilibrium(game).log_policy[0]
    assert log_policy[0] - log_policy[1] == pytest.approx(np.log(0.25) + 0.4 / 0.05, rel=1e-14)


def test_equal_preferences_leave_the_reference():
    game = PreferenceGame(np.full((3, 4, 4), 0.5))
    reference = log_normalize(np.random.default_rng(0).normal(size=(3, 4)))
    log_policy = regularized_equilibrium(RegularizedGame(game, 1e-3, reference)).log_policy
    np.testing.assert_allclose(log_policy, reference, atol=1e-12)


def test_probabilities_far_below_the_range_of_floats_are_found():
    game = PreferenceGame.from_tournament([[0, 1, 1], [0, 0, 1], [0, 0, 0]]).regularized(1e-3)
    log_policy = regularized_equilibrium(game).log_policy[0]
    assert log_policy[0] == 0
    # (A pi) = (0, -1/2, -1/2), so the others are exp(-500) times as likely.
    np.testing.assert_allclose(log_policy[1:], -500, atol=1e-9)
    assert np.exp(log_policy[1] * 2) == 0


@given(seed=seeds, X=st.integers(2, 5), n=st.integers(1, 8))
def test_contexts_are_solved_as_if_alone(seed, X, n):
    rng = np.random.default_rng(seed)
    game = random_regularized(rng, "uniform", n, 0.05, X)
    together = regularized_equilibrium(game)
    for x in range(X):
        alone = RegularizedGame(PreferenceGame(game.game.P[x]), 0.05, game.log_reference[x : x + 1])
        solution = regularized_equilibrium(alone)
        distance = kl_divergence(together.log_policy[x], solution.log_policy[0])
        assert distance <= together.certificate[x] + solution.certificate[0]


@given(seed=seeds, family=st.sampled_from(FAMILIES))
def test_relabelling_the_actions_relabels_the_equilibrium(seed, family):
    rng = np.random.default_rng(seed)
    game = random_regularized(rng, family, 6, 0.02)
    order = rng.permutation(6)
    P = game.game.P[0][np.ix_(order, order)]
    other = RegularizedGame(PreferenceGame(P), 0.02, game.log_reference[:, order])
    first, second = regularized_equilibrium(game), regularized_equilibrium(other)
    assert kl_divergence(first.log_policy[0][order], second.log_policy[0]) <= 2e-20


def test_splitting_an_action_splits_its_probability():
    rng = np.random.default_rng(4)
    game = random_regularized(rng, "uniform", 5, 0.05)
    twice = [0, 1, 2, 3, 4, 4]
    logs = game.log_reference[:, twice].copy()
    logs[0, 4:] += np.log([0.3, 0.7])
    split = RegularizedGame(PreferenceGame(game.game.P[0][np.ix_(twice, twice)]), 0.05, logs)
    whole, parts = (np.exp(regularized_equilibrium(g).log_policy[0]) for g in (game, split))
    np.testing.assert_allclose(np.r_[parts[:4], parts[4:].sum()], whole, rtol=1e-12)


@given(seed=seeds, family=st.sampled_from(FAMILIES), beta=st.floats(-2.5, 1), scale=st.floats(0.1, 8))
@settings(max_examples=200)
def test_the_certificate_bounds_the_distance_of_any_policy(seed, family, beta, scale):
    rng = np.random.default_rng(seed)
    n, beta = int(rng.integers(1, 12)), 10**beta
    game = random_regularized(rng, family, n, beta)
    log_pi = log_normalize(scale * rng.normal(size=(1, n)))
    proved = preference_certificate(game, log_pi)
    best = regularized_equilibrium(game).log_policy
    distance = kl_divergence(log_pi, best) + kl_divergence(best, log_pi)
    assert distance <= proved.divergence * (1 + 1e-9)
    assert exploitability_gap(game, log_pi) <= proved.gap * (1 + 1e-9)


def test_the_certificate_counts_rounding():
    """A policy whose computed residual is exactly constant is still not certified to be exact."""
    game = PreferenceGame(np.full((2, 2), 0.5)).regularized(0.1)
    assert span(equilibrium_residual(game, game.log_reference))[0] == 0
    assert preference_certificate(game, game.log_reference).divergence[0] > 0


def test_a_tolerance_below_rounding_is_refused():
    game = random_regularized(np.random.default_rng(0), "uniform", 10, 0.01)
    assert regularized_equilibrium(game, tol=1e-20).certificate.max() <= 1e-20
    with pytest.raises(
        NotConvergedError, match="rounding in float64 prevents a certificate of 1e-40"
    ) as caught:
        regularized_equilibrium(game, tol=1e-40)
    assert caught.value.solution.certificate.max() < 1e-20
    with pytest.raises(ValueError, match="tol must be"):
        regularized_equilibrium(game, tol=-1.0)


def test_solve_finds_the_solver_of_the_model():
    game = random_game(np.random.default_rng(0), "uniform", 4).regularized(0.1)
    solution = solve(game)
    assert solution.method == "newton"
    assert solution.gap < 1e-20
    assert solve(game, "mirror-prox").method == "mirror-prox"


@given(seed=seeds, family=st.sampled_from(FAMILIES), beta=st.floats(0.03, 3))
@settings(max_examples=20)
def test_mirror_prox_agrees_with_newton_up_to_both_certificates(seed, family, beta):
    game = random_regularized(np.random.default_rng(seed), family, 6, beta, X=2)
    newton, prox = regularized_equilibrium(game), mirror_prox_equilibrium(game, tol=1e-16)
    assert prox.certificate.max() <= 1e-16
    roots = np.sqrt(newton.certificate) + np.sqrt(prox.certificate)
    distance = kl_divergence(newton.log_policy, prox.log_policy)
    assert (distance <= 1.01 * roots**2).all()


def test_mirror_prox_says_when_it_gives_up():
    game = random_regularized(np.random.default_rng(0), "uniform", 6, 0.01)
    with pytest.raises(NotConvergedError, match="3 iterations did not reach a certificate of 1e-12"):
        mirror_prox_equilibrium(game, max_iterations=3)
