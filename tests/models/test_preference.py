"""Preference games: constructors, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from theoryrl.models import MatrixGame, PreferenceGame, RegularizedGame

ROUNDING = 4 * np.finfo(float).eps
sizes = st.integers(1, 6)


def flawed(i, j, value):
    P = np.full((3, 3), 0.5)
    P[i, j] = value
    return P


@given(seed=st.integers(0, 2**32 - 1), n=sizes, X=sizes)
def test_every_constructor_makes_a_game_of_opposite_preferences(seed, n, X):
    rng = np.random.default_rng(seed)
    lower = np.tril(rng.integers(0, 2, (X, n, n)), -1)
    games = [
        PreferenceGame.random(n, rng, contexts=X),
        PreferenceGame.from_bradley_terry(rng.normal(size=(X, n)) * 30),
        PreferenceGame.from_low_rank(rng.normal(size=(X, n, 4))),
        PreferenceGame.from_tournament(lower),
        PreferenceGame.from_win_counts(rng.integers(0, 9, (X, n, n))),
        PreferenceGame.from_skew(lower / 4 - np.swapaxes(lower, 1, 2) / 4),
    ]
    for game in games:
        assert game.shape == (X, n)
        assert np.abs(game.P + np.swapaxes(game.P, 1, 2) - 1).max() <= ROUNDING
        np.testing.assert_array_equal(game.skew, -np.swapaxes(game.skew, 1, 2))
        np.testing.assert_allclose(game.skew, game.P - 0.5, atol=ROUNDING)


def test_the_constructors_are_what_their_formulas_say():
    r = np.array([0.3, -1.0, 2.0])
    np.testing.assert_allclose(
        PreferenceGame.from_bradley_terry(r).P, expit(r[:, None] - r), rtol=0, atol=ROUNDING
    )
    z = np.array([[1.0, 2.0], [0.5, -1.0]])
    assert PreferenceGame.from_low_rank(z, scale=0.3).P[0, 1] == pytest.approx(expit(0.3 * (-1.0 - 1.0)))
    game = PreferenceGame.from_tournament([[0, 1, 0], [0, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(game.P, [[0.5, 1, 0.5], [0, 0.5, 0], [0.5, 1, 0.5]])
    game = PreferenceGame.from_win_counts([[7, 3, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(game.P, [[0.5, 0.75, 0.5], [0.25, 0.5, 0.5], [0.5, 0.5, 0.5]])
    assert PreferenceGame.from_win_counts([[0, 3], [1, 0]], prior=1.0).P[0, 1] == 4 / 6


def test_the_random_game_draws_the_square_of_uniform_numbers_first():
    """So that a seed names the same game as in the simulations that the protocol is taken from."""
    rng = np.random.default_rng(0)
    uniform = np.random.default_rng(0).random((4, 4))
    np.testing.assert_array_equal(np.tril(PreferenceGame.random(4, rng).P, -1), np.tril(uniform, -1))


def test_one_context_needs_no_axis_and_contexts_are_uniform_by_default():
    assert PreferenceGame(np.full((2, 2), 0.5)).skew.shape == (1, 2, 2)
    np.testing.assert_array_equal(PreferenceGame(np.full((4, 2, 2), 0.5)).rho, np.full(4, 0.25))


def test_a_reference_below_the_range_of_floats_is_given_as_logarithms():
    game = PreferenceGame(np.full((2, 2), 0.5))
    assert RegularizedGame(game, 0.1, [[0.0, -1e4]]).log_reference[0, 1] == -1e4
    tiny = np.nextafter(0, 1)
    assert game.regularized(0.1, [1.0, tiny]).log_reference[0, 1] == np.log(tiny)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PreferenceGame(flawed(0, 1, 0.6)), r"P\[0, 1\] \+ P\[1, 0\] must be 1; got 0\.6 \+ 0\.5"),
        (lambda: PreferenceGame(flawed(2, 2, 0.5 + 1e-11)), r"P\[2, 2\] \+ P\[2, 2\] must be 1"),
        (lambda: PreferenceGame(flawed(0, 1, 1.5)), r"P\[0, 1\] must be in \[0, 1\]; got 1\.5"),
        (lambda: PreferenceGame(flawed(0, 1, np.nan)), r"P\[0, 1\] must be finite; got nan"),
        (lambda: PreferenceGame(np.full((2, 3), 0.5)), r"P must have shape \(n, n\); got shape \(2, 3\)"),
        (lambda: PreferenceGame([0.5]), r"P must have shape .*; got 1 axes"),
        (lambda: PreferenceGame(flawed(0, 0, 0.5), rho=[0.5]), "rho must sum to 1; it sums to 0.5"),
        (lambda: PreferenceGame.from_skew([[0, 0.1], [0.1, 0]]), r"A\[0, 1\] \+ A\[1, 0\] must be 0"),
        (lambda: PreferenceGame.from_skew([[0, 0.6], [-0.6, 0]]), r"A\[0, 1\] must be in \[-0\.5, 0\.5\]"),
        (lambda: PreferenceGame.from_skew(0.0), "A must have shape"),
        (lambda: PreferenceGame.from_low_rank(np.ones((3, 3))), "Z must have an even last axis"),
        (lambda: PreferenceGame.from_low_rank(np.ones((3, 2)), scale=0.0), "scale must be positive"),
        (lambda: PreferenceGame.from_low_rank(np.ones(3)), "Z must have shape"),
        (lambda: PreferenceGame.from_bradley_terry(1.0), "r must have shape"),
        (lambda: PreferenceGame.from_tournament([[0, 1], [1, 0]]), r"wins\[0, 1\] and its mirror"),
        (lambda: PreferenceGame.from_tournament([[0, 0.5], [0, 0]]), r"wins\[0, 1\] must be 0 or 1"),
        (lambda: PreferenceGame.from_tournament([0]), "wins must have shape"),
        (lambda: PreferenceGame.from_win_counts([[0, -1], [0, 0]]), r"counts\[0, 1\] must be in \[0, inf\]"),
        (lambda: PreferenceGame.from_win_counts([0]), "counts must have shape"),
        (lambda: PreferenceGame.random(0, np.random.default_rng(0)), "n must be at least 1; got 0"),
        (lambda: MatrixGame([1.0]), r"payoff must have shape \(n, m\)"),
    ],
)
def test_bad_games_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("beta", "reference", "message"),
    [
        (0.0, None, r"beta must be positive; got 0\.0 \(without regularisation solve the PreferenceGame\)"),
        (-1.0, None, "beta must be positive"),
        (np.nan, None, "beta must be a finite number"),
        (0.1, [0.0, 1.0], r"reference\[0, 0\] must be positive: the reference needs full support; got 0\.0"),
        (0.1, [-0.5, 1.5], r"reference\[0, 0\] must be a probability; got -0\.5"),
        (0.1, [0.5, 0.4], r"reference\[0, :\] must sum to 1; it sums to 0\.9"),
        (0.1, [1.0], r"reference must have shape \(1, 2\)"),
    ],
)
def test_bad_regularisation_is_refused(beta, reference, message):
    with pytest.raises(ValueError, match=message):
        PreferenceGame(np.full((2, 2), 0.5)).regularized(beta, reference)


def test_logarithms_of_a_reference_must_be_normalised():
    with pytest.raises(ValueError, match=r"log_reference\[0, :\] must be normalised"):
        RegularizedGame(PreferenceGame(np.full((2, 2), 0.5)), 0.1, [[-1.0, -1.0]])


def test_counts_as_large_as_floats_and_wins_that_are_words():
    np.testing.assert_array_equal(
        PreferenceGame.from_win_counts([[0, 1.5e308], [0.5e308, 0]]).P, [[0.5, 0.75], [0.25, 0.5]]
    )
    with pytest.raises(ValueError, match="wins must hold real numbers"):
        PreferenceGame.from_tournament([["0", "1"], ["0", "0"]])
    np.testing.assert_array_equal(
        PreferenceGame.from_tournament([[False, True], [False, False]]).P, [[0.5, 1.0], [0.0, 0.5]]
    )
