"""Voting rules and the Bradley-Terry likelihood, against definitions, SciPy and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from tests.generators import seeds
from theoryrl.instances import condorcet, three_cycle
from theoryrl.models import PreferenceGame
from theoryrl.solvers import (
    borda_scores,
    bradley_terry_rewards,
    condorcet_margin,
    condorcet_winner,
    copeland_scores,
)

sizes = st.integers(2, 8)


def likelihood(wins, ridge):
    """The negative log-likelihood of a table of wins, written down pair by pair."""

    def f(r):
        n = len(r)
        total = ridge * float(r @ r)
        for i in range(n):
            for j in range(n):
                if i != j:
                    total += wins[i, j] * float(np.logaddexp(0, r[j] - r[i]))
        return total

    return f


def fit(wins, ridge=1e-9):
    return bradley_terry_rewards(wins + wins.T, (wins - wins.T).sum(axis=1) / 2, ridge)


@given(seed=seeds, n=sizes)
def test_rewards_that_made_the_preferences_are_found(seed, n):
    r = np.random.default_rng(seed).normal(size=n)
    r -= r.mean()
    model = fit(expit(r[:, None] - r[None, :]) - np.eye(n) / 2)
    np.testing.assert_allclose(model.rewards, r, atol=1e-6)  # the ridge moves them by 1e-9 over the curvature
    assert np.argmax(model.policy.probabilities[0]) == np.argmax(r)


@pytest.mark.parametrize("seed", range(5))
def test_the_minimum_is_enclosed_and_scipy_finds_no_lower_value(seed):
    rng = np.random.default_rng(seed)
    wins = rng.integers(0, 6, (5, 5)).astype(float)
    np.fill_diagonal(wins, 0)
    model = fit(wins, 1e-3)
    f = likelihood(wins, 1e-3)
    assert f(model.rewards) == pytest.approx(float(model.value), abs=1e-10)
    found = minimize(f, np.zeros(5), method="BFGS", options={"gtol": 1e-7})
    assert model.gap < 1e-9
    assert model.lower <= found.fun <= model.upper + 1e-6


@pytest.mark.parametrize("ridge", [1e-9, 1e-3])
def test_an_undefeated_action_gets_a_finite_reward_from_the_ridge(ridge):
    """Two actions, m duels, all won by one: r = rho/2 (1, -1) with m / (1 + e^rho) = ridge rho."""
    model = fit(np.array([[0.0, 10.0], [0.0, 0.0]]), ridge)
    rho = float(model.rewards[0] - model.rewards[1])
    assert 10 / (1 + np.exp(rho)) == pytest.approx(ridge * rho, rel=1e-4)
    assert model.gap < 1e-8


@given(seed=seeds, n=sizes)
def test_uniform_pairs_are_ordered_by_borda_scores(seed, n):
    game = PreferenceGame.random(n, np.random.default_rng(seed))
    model = fit(game.P - np.eye(n) / 2)
    scores = borda_scores(game)[0]
    assert (np.argsort(model.rewards) == np.argsort(scores)).all()


@given(seed=seeds, n=sizes)
def test_scores_are_what_their_definitions_say(seed, n):
    rng = np.random.default_rng(seed)
    game = PreferenceGame.random(n, rng, contexts=2)
    P = game.P
    for x in range(2):
        borda = [np.mean([P[x, i, j] for j in range(n)]) for i in range(n)]
        copeland = [sum(P[x, i, j] > 0.5 for j in range(n) if j != i) for i in range(n)]
        np.testing.assert_allclose(borda_scores(game)[x], borda, atol=1e-14)
        np.testing.assert_array_equal(copeland_scores(game)[x], copeland)
        winners = [i for i in range(n) if all(P[x, i, j] > 0.5 for j in range(n) if j != i)]
        assert condorcet_winner(game)[x] == (winners[0] if winners else -1)


def test_a_tie_counts_half_for_copeland_and_makes_no_condorcet_winner():
    game = PreferenceGame(np.array([[0.5, 0.5], [0.5, 0.5]]))
    np.testing.assert_array_equal(copeland_scores(game), [[0.5, 0.5]])
    assert condorcet_winner(game)[0] == -1
    assert condorcet_margin(game)[0] == 0


def test_the_margin_is_that_of_the_strongest_rival():
    assert condorcet_margin(condorcet(6, 0.25, 3))[0] == pytest.approx(0.25, abs=1e-15)
    assert condorcet_margin(three_cycle())[0] == 0
    assert condorcet_margin(PreferenceGame(np.full((1, 1), 0.5)))[0] == 1


@pytest.mark.parametrize(
    ("comparisons", "surplus", "ridge", "message"),
    [
        ([[0.0, 1.0], [2.0, 0.0]], [0.0, 0.0], 1e-9, r"comparisons\[0, 1\] must equal its mirror; got 1\.0"),
        ([[0.0, -1.0], [-1.0, 0.0]], [0.0, 0.0], 1e-9, r"comparisons\[0, 1\] must be in .* got -1\.0"),
        ([[0.0, 1.0], [1.0, 0.0]], [0.75, -0.75], 1e-9, r"surplus\[0\] must be at most half .* got 0\.75"),
        ([[0.0, 1.0], [1.0, 0.0]], [0.0, 0.0], 0.0, "ridge must be positive; got 0"),
    ],
)
def test_impossible_comparisons_are_refused(comparisons, surplus, ridge, message):
    with pytest.raises(ValueError, match=message):
        bradley_terry_rewards(np.array(comparisons), np.array(surplus), ridge)
