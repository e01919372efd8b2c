"""Dynamic programs over histories, against enumeration of all deterministic policies and laws by hand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generators import random_rows, seeds
from theoryrl import solve
from theoryrl.models import HistoryPolicy, MatrixGame, PreferenceGame, TrajectoryGame, list_trajectories
from theoryrl.solvers import (
    behaviour_of,
    best_trajectory_response,
    matrix_game_equilibrium,
    soft_trajectory_response,
    trajectory_exploitability,
    trajectory_law,
    trajectory_winner,
)

ROUNDING = 1e-12
"""A few hundred operations on numbers below 10."""

shapes = st.sampled_from([(2, 2, 1), (1, 2, 3), (2, 2, 2), (1, 3, 2), (2, 1, 3), (3, 2, 1)])


def random_game(seed, shape):
    S, A, H = shape
    rng = np.random.default_rng(seed)
    P, rho = random_rows(rng, (S, A, S), bool(seed % 2)), random_rows(rng, (S,), bool(seed % 3))
    return TrajectoryGame(P, rho, H, PreferenceGame.random((S * A) ** H, rng)), rng


def random_history_policy(rng, S, A, H):
    return HistoryPolicy([rng.dirichlet(np.full(A, 0.5), ((S * A) ** h, S)) for h in range(H)])


def law_by_hand(game, policy):
    """Multiply chances and action probabilities along each trajectory, one by one."""
    S, A, H = game.n_states, game.n_actions, game.horizon
    states, actions = list_trajectories(S, A, H)
    law = game.chances.copy()
    for xi in range(len(law)):
        history = 0
        for h in range(H):
            s, a = states[xi, h], actions[xi, h]
            law[xi] *= policy.stages[h][history, s, a]
            history = (history * S + s) * A + a
    return law


def deterministic_laws(game):
    """The laws of all deterministic history-dependent policies."""
    S, A, H = game.n_states, game.n_actions, game.horizon
    nodes = [((S * A) ** h, S) for h in range(H)]
    sizes = [int(np.prod(node)) for node in nodes]
    laws = []
    for choice in product(range(A), repeat=sum(sizes)):
        parts = np.split(np.array(choice), np.cumsum(sizes)[:-1])
        stages = [np.eye(A)[part.reshape(node)] for part, node in zip(parts, nodes, strict=True)]
        laws.append(law_by_hand(game, HistoryPolicy(stages)))
    return np.array(laws)


@given(seed=seeds, shape=shapes)
def test_a_law_multiplies_chances_and_action_probabilities(seed, shape):
    game, rng = random_game(seed, shape)
    policy = random_history_policy(rng, *shape)
    law = trajectory_law(game.P, game.rho, list(policy.stages))
    np.testing.assert_allclose(law, law_by_hand(game, policy), atol=ROUNDING)
    assert law.sum() == pytest.approx(1, abs=1e-9)


@given(seed=seeds, shape=shapes)
def test_the_behaviour_of_a_law_has_that_law_also_for_mixtures(seed, shape):
    game, rng = random_game(seed, shape)
    policies = [random_history_policy(rng, *shape) for _ in range(3)]
    laws = [trajectory_law(game.P, game.rho, list(policy.stages)) for policy in policies]
    mean = rng.dirichlet(np.ones(3)) @ np.array(laws)
    stages = behaviour_of(mean, *shape[:2]).stages
    np.testing.assert_allclose(trajectory_law(game.P, game.rho, list(stages)), mean, atol=ROUNDING)


SMALL = [(2, 2, 1), (1, 2, 3), (1, 3, 2), (2, 1, 2)]


@given(seed=seeds, shape=st.sampled_from(SMALL))
@settings(max_examples=20)
def test_the_best_response_is_the_best_of_all_deterministic_policies(seed, shape):
    game, rng = random_game(seed, shape)
    gains = rng.normal(size=game.n_trajectories)
    value, policy = best_trajectory_response(game.P, game.rho, gains)
    assert value == pytest.approx((deterministic_laws(game) @ gains).max(), abs=ROUNDING)
    law = trajectory_law(game.P, game.rho, list(policy.stages))
    assert law @ gains == pytest.approx(value, abs=ROUNDING)


@given(seed=seeds, shape=st.sampled_from(SMALL))
@settings(max_examples=20)
def test_the_game_over_all_deterministic_policies_has_the_same_value_and_accepts_the_winner(seed, shape):
    """An independent program: the matrix game of all pairs of deterministic policies."""
    game, _ = random_game(seed, shape)
    laws = deterministic_laws(game)
    payoff = laws @ game.preferences.skew[0] @ laws.T
    enumerated = matrix_game_equilibrium(MatrixGame(payoff))
    mixed = enumerated.row @ laws
    for law in (trajectory_winner(game).law, mixed):
        assert abs(trajectory_exploitability(game, law)) <= 1e-9  # HiGHS's tolerance, and its rounding
    assert enumerated.lower - ROUNDING <= 0 <= enumerated.upper + ROUNDING


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 2, 2), (2, 2, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_the_winner_is_certified_by_a_best_response(seed, shape):
    game, _ = random_game(seed, shape)
    solution = solve(game)
    assert solution.exploitability == trajectory_exploitability(game, solution.law)
    assert solution.lower <= solution.value <= solution.upper + ROUNDING
    assert solution.gap < 1e-9
    law = trajectory_law(game.P, game.rho, list(solution.policy.stages))
    np.testing.assert_allclose(law, solution.law, atol=ROUNDING)


@given(seed=seeds, shape=shapes)
def test_the_soft_response_is_stationary(seed, shape):
    """Moving the law towards that of any policy loses to first order nothing, and in all something."""
    game, rng = random_game(seed, shape)
    A = game.n_actions
    gains = rng.normal(size=game.n_trajectories)
    value, logs = soft_trajectory_response(game.P, game.rho, gains)
    law = trajectory_law(game.P, game.rho, [np.exp(stage) for stage in logs])
    uniform = game.chances / A**game.horizon
    reached = uniform > 0
    ratio = np.log(law[reached] / uniform[reached])
    assert law[reached] @ (gains[reached] - ratio) == pytest.approx(value, abs=1e-10)
    other = trajectory_law(game.P, game.rho, list(random_history_policy(rng, *shape).stages))
    assert (other - law)[reached] @ (gains[reached] - ratio) == pytest.approx(0, abs=1e-10)


def test_one_action_leaves_nothing_to_choose():
    game, _ = random_game(0, (2, 1, 3))
    assert trajectory_exploitability(game, game.chances) == pytest.approx(0, abs=ROUNDING)
