"""Trajectory games and history-dependent policies: order, chances, and what is refused."""

from itertools import product

import numpy as np
import pytest

from theoryrl.instances import trajectory_preferences
from theoryrl.models import HistoryPolicy, PreferenceGame, TrajectoryGame, list_trajectories


def test_trajectories_are_numbered_by_their_pairs_the_first_pair_first():
    S, A, H = 2, 3, 2
    pairs = list(product(range(S), range(A)))
    expected = [tuple(zip(*both, strict=True)) for both in product(pairs, repeat=H)]
    states, actions = list_trajectories(S, A, H)
    assert [(tuple(s), tuple(a)) for s, a in zip(states, actions, strict=True)] == expected


def test_chances_are_products_of_transitions_and_sum_to_the_number_of_action_sequences():
    game = trajectory_preferences(3, 2, 2)
    states, actions = list_trajectories(3, 2, 2)
    for xi in (0, 7, 35):
        (s, t), (a, _) = states[xi], actions[xi]
        assert game.chances[xi] == game.rho[s] * game.P[s, a, t]
    assert game.chances.sum() == pytest.approx(2**2, abs=1e-12)
    assert game.n_trajectories == len(game.chances) == 36


def test_the_number_of_trajectories_must_agree():
    game = trajectory_preferences()
    with pytest.raises(ValueError, match=r"\(S A\)\^H = 16 actions; got \(X, n\) = \(1, 64\)"):
        TrajectoryGame(game.P, game.rho, 2, game.preferences)
    contexts = PreferenceGame(np.full((2, 4, 4), 0.5))
    with pytest.raises(ValueError, match=r"preferences must have 1 context .* got \(X, n\) = \(2, 4\)"):
        TrajectoryGame(game.P, game.rho, 1, contexts)


def test_preferences_must_be_a_preference_game():
    game = trajectory_preferences()
    with pytest.raises(ValueError, match="preferences must be a PreferenceGame; got ndarray"):
        TrajectoryGame(game.P, game.rho, 3, game.preferences.P)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "stages must not be empty"),
        ([np.full((2, 2), 0.5)], r"stages\[0\] must have 3 axes; got shape \(2, 2\)"),
        ([np.full((1, 2, 2), 0.5)] * 2, r"stages\[1\] must have shape \(4, 2, 2\); got shape \(1, 2, 2\)"),
        ([np.full((1, 2, 2), 0.4)], r"stages\[0\]\[0, 0, :\] must sum to 1"),
    ],
)
def test_a_bad_stage_of_a_policy_is_named(stages, message):
    with pytest.raises(ValueError, match=message):
        HistoryPolicy(stages)
