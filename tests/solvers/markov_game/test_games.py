"""Markov games: equilibria inside their certificate, responses that nobody beats, values by enumeration."""

import inspect
import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from tests.markov_games import random_game, random_memory, random_pair
from theoryrl import solve
from theoryrl.instances import risky_game
from theoryrl.models import (
    DeterministicPolicy,
    EpisodicMDP,
    FiniteGameClass,
    FiniteMemoryPolicy,
    MatrixGame,
    Policy,
    ZeroSumMarkovGame,
)
from theoryrl.solvers import backward_induction, policy_value
from theoryrl.solvers.average.bias_optimal import solve_fractions
from theoryrl.solvers.episodic import Simulator
from theoryrl.solvers.markov_game import (
    GameSimulator,
    best_response,
    best_responses,
    joint_model,
    joint_policy,
    markov_game_equilibrium,
    nash_gap,
    pair_evaluation,
    pair_occupancy,
    pair_value,
    small_matrix_game,
)
from theoryrl.solvers.markov_game._kernels import PIVOT
from theoryrl.solvers.markov_game.evaluation import guaranteed_value, stages_of
from theoryrl.solvers.preference import matrix_game_equilibrium

seeds = st.integers(0, 2**32 - 1)
ROUNDING = 1e-12
"""A few hundred operations on numbers up to 4."""

HIGHS = 1e-7
"""HiGHS's tolerance; times the horizon, since errors add up over stages."""


def value_by_program(game):
    """V* stage by stage, by a program that the library does not use: the column player's."""
    V = np.zeros(game.n_states)
    for h in range(game.horizon - 1, -1, -1):
        Q = game.r[h] + game.P[h] @ V
        V = np.array([program(matrix) for matrix in Q])
    return float(game.rho @ V)


def program(M):
    n, m = M.shape
    found = linprog(
        np.r_[np.zeros(m), 1.0],
        A_ub=np.c_[M, -np.ones(n)],
        b_ub=np.zeros(n),
        A_eq=np.r_[np.ones(m), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * m + [(None, None)],
    )
    return found.fun


def deterministic(H, S, n):
    for actions in itertools.product(range(n), repeat=H * S):
        yield DeterministicPolicy(np.array(actions).reshape(H, S), n)


@given(seed=seeds, n=st.integers(1, 7), m=st.integers(1, 7), kind=st.integers(0, 3))
@settings(max_examples=300)
def test_the_simplex_method_closes_the_gap_of_every_matrix_game(seed, n, m, kind):
    rng = np.random.default_rng(seed)
    M = rng.normal(size=(n, m))
    M = [M, np.round(2 * M) / 2, rng.integers(0, 2, (n, m)) * 1.0, 1e6 + 1e-3 * M][kind]
    solution = small_matrix_game(MatrixGame(M))
    rounding = 4 * (n + m) * np.finfo(float).eps * np.abs(M).max()
    assert solution.gap <= 2 * (n + m) * PIVOT * np.ptp(M) + rounding
    if kind != 3:  # HiGHS gives up on payoffs that differ in the tenth digit only
        theirs = matrix_game_equilibrium(MatrixGame(M))
        assert solution.lower <= theirs.upper
        assert theirs.lower <= solution.upper
    assert solution.row.min() >= 0
    assert abs(solution.row.sum() - 1) <= ROUNDING


def exact_value(M):
    """The value in fractions: some square part of M has equalising strategies that are optimal in M."""
    M = [[Fraction(float(x)) for x in row] for row in M]
    n, m = len(M), len(M[0])
    for k in range(1, min(n, m) + 1):
        squares = itertools.product(itertools.combinations(range(n), k), itertools.combinations(range(m), k))
        for rows, columns in squares:
            x = equaliser([[M[i][j] for i in rows] for j in columns])
            y = equaliser([[M[i][j] for j in columns] for i in rows])
            if x is None or y is None or min(*x[:k], *y[:k]) < 0:
                continue
            least = min(sum(p * M[i][j] for p, i in zip(x[:k], rows, strict=True)) for j in range(m))
            most = max(sum(p * M[i][j] for p, j in zip(y[:k], columns, strict=True)) for i in range(n))
            if least == most:
                return least
    raise AssertionError("every matrix game has a value")


def equaliser(rows):
    """Weights of sum 1 that give every row the same mean, and that mean; None if there is none or several."""
    k = len(rows)
    A = [[*row, Fraction(-1)] for row in rows] + [[Fraction(1)] * k + [Fraction(0)]]
    try:
        return solve_fractions(A, [Fraction(0)] * k + [Fraction(1)])
    except StopIteration:  # no pivot
        return None


@pytest.mark.parametrize("scale", [1.0, 2.0**-1074, 2.0**-1060, 2.0**-1022, 1e300, 5e307])
def test_the_rational_value_is_inside_the_bounds_at_every_scale(scale):
    """From numbers of which nothing smaller exists to differences of payoffs that overflow."""
    rng = np.random.default_rng(0)
    for _ in range(120):
        M = rng.integers(-3, 4, rng.integers(1, 5, 2)) * scale
        if rng.integers(2):
            M = M[rng.integers(0, len(M), len(M))]
        solution = small_matrix_game(MatrixGame(M))
        lower, value, upper = float(solution.lower), float(solution.value), float(solution.upper)
        assert Fraction(lower) <= exact_value(M) <= Fraction(upper)
        assert lower <= value <= upper
        assert upper / scale - lower / scale <= (20.0 if scale < 1e-300 else 1e-12)


def test_of_several_saddle_points_the_one_of_lowest_indices_is_taken():
    solution = small_matrix_game(MatrixGame(np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 1.0]])))
    assert solution.row.tolist() == [0, 1, 0]
    assert solution.column.tolist() == [1, 0]


@given(seed=seeds)
@settings(max_examples=60)
def test_the_value_of_a_game_is_inside_its_bounds(seed):
    game = random_game(seed)
    ours, theirs = solve(game), solve(game, "linear-program")
    assert 0 <= ours.start_upper - ours.start_lower <= 1e-11
    assert (ours.lower <= ours.value).all()
    assert (ours.value <= ours.upper).all()
    assert theirs.start_upper - theirs.start_lower <= HIGHS * game.horizon
    assert theirs.start_lower <= ours.start_upper
    assert ours.start_lower <= theirs.start_upper
    assert value_by_program(game) == pytest.approx(ours.start_value, abs=HIGHS * game.horizon)


@given(seed=seeds)
@settings(max_examples=60)
def test_no_policy_gains_against_an_equilibrium(seed):
    game, rng = random_game(seed), np.random.default_rng([seed, 1])
    solution = markov_game_equilibrium(game)
    mu, nu = random_pair(game, rng)
    row, column = solution.policy.row, solution.policy.column
    assert pair_value(game, mu, column) <= solution.start_upper + ROUNDING
    assert pair_value(game, row, nu) >= solution.start_lower - ROUNDING
    assert pair_value(game, row, random_memory(game, rng)) >= solution.start_lower - ROUNDING
    assert nash_gap(game, row, column) <= 1e-11
    assert nash_gap(game, mu, nu) >= -ROUNDING


@given(seed=seeds)
@settings(max_examples=40)
def test_a_best_response_is_the_best_of_all_deterministic_policies(seed):
    game, rng = random_game(seed, largest=2), np.random.default_rng([seed, 1])
    mu, nu = random_pair(game, rng)
    H, S, A, B = game.r.shape
    against_mu = best_response(game, mu, "min")
    least = min(pair_value(game, mu, other) for other in deterministic(H, S, B))
    assert against_mu.overall[1] <= least <= against_mu.overall[2] + ROUNDING
    assert pair_value(game, mu, against_mu.policy) == pytest.approx(least, abs=ROUNDING)
    against_nu = best_response(game, nu, "max")
    most = max(pair_value(game, other, nu) for other in deterministic(H, S, A))
    assert against_nu.start_value == pytest.approx(most, abs=ROUNDING)
    assert guaranteed_value(game, mu.probabilities) == pytest.approx(least, abs=ROUNDING)


@given(seed=seeds)
@settings(max_examples=30)
def test_a_response_is_the_solution_of_the_mdp_that_the_other_player_leaves(seed):
    game, rng = random_game(seed), np.random.default_rng([seed, 1])
    _, nu = random_pair(game, rng)
    P = np.einsum("hsb,hsabt->hsat", nu.probabilities, game.P)
    r = np.einsum("hsb,hsab->hsa", nu.probabilities, game.r)
    P /= P.sum(axis=3, keepdims=True)
    mdp = EpisodicMDP(P, np.minimum(r, 1.0), game.rho)
    best = best_response(game, nu, "max")
    assert best.start_value == pytest.approx(backward_induction(mdp).start_value, abs=ROUNDING)


@given(seed=seeds)
@settings(max_examples=30)
def test_responses_in_many_games_are_those_of_each(seed):
    game, rng = random_game(seed), np.random.default_rng([seed, 1])
    mixed = 0.5 * game.P + 0.5 * rng.dirichlet(np.ones(game.n_states), game.r.shape)
    games = FiniteGameClass(np.stack([game.P, mixed]), game.r, game.rho)
    mu, _ = random_pair(game, rng)
    found = best_responses(games, mu.probabilities)
    for m in range(2):
        one = best_response(games[m], mu)
        assert found.start[m] == pytest.approx(one.start_value, abs=ROUNDING)
        np.testing.assert_allclose(found.V[m, :-1], one.value, atol=ROUNDING)
        assert pair_value(games[m], mu, Policy(found.nu[m])) == pytest.approx(found.start[m], abs=ROUNDING)


@given(seed=seeds)
@settings(max_examples=40)
def test_a_pair_is_a_policy_of_the_joint_model_and_earns_its_occupancy(seed):
    game, rng = random_game(seed), np.random.default_rng([seed, 1])
    mu, nu = random_pair(game, rng)
    for opponent in (
        nu,
        random_memory(game, rng),
        FiniteMemoryPolicy.forgetful(nu, game.n_actions, game.horizon),
    ):
        remembered = opponent if isinstance(opponent, FiniteMemoryPolicy) else None
        value = policy_value(joint_model(game, remembered), joint_policy(game, mu, opponent))
        assert pair_value(game, mu, opponent) == pytest.approx(value, abs=ROUNDING)
        assert (pair_occupancy(game, mu, opponent) * game.r).sum() == pytest.approx(value, abs=ROUNDING)
    forgetful = FiniteMemoryPolicy.forgetful(nu, game.n_actions, game.horizon)
    assert pair_value(game, mu, forgetful) == pytest.approx(pair_value(game, mu, nu), abs=ROUNDING)
    assert game.rho @ pair_evaluation(game, mu, nu)[0] == pytest.approx(pair_value(game, mu, nu), abs=0)


@given(seed=seeds, remember=st.booleans())
@settings(max_examples=20)
def test_episodes_are_those_that_the_simulator_of_the_joint_model_draws(seed, remember):
    game, rng = random_game(seed), np.random.default_rng([seed, 1])
    mu, nu = random_pair(game, rng)
    opponent = random_memory(game, rng) if remember else nu
    memory = opponent if remember else None
    policy, simulator = joint_policy(game, mu, opponent), GameSimulator(game, memory)
    one, other = np.random.default_rng(seed), np.random.default_rng(seed)
    reference = Simulator(joint_model(game, memory)).run(policy, 3, one, one)[0]
    prepared = simulator.prepare(policy)
    for k in range(3):
        episode = simulator.run(prepared, other)
        assert (episode.states == reference.states[k] // simulator.n_memories).all()
        pairs = episode.actions * game.n_opponent_actions + episode.opponent_actions
        assert (pairs == reference.actions[k]).all()


def test_the_value_against_a_memory_is_the_sum_over_all_histories():
    rng = np.random.default_rng(3)
    game = ZeroSumMarkovGame(
        rng.dirichlet(np.ones(2), (3, 2, 2, 2)), rng.random((3, 2, 2, 2)), np.array([0.3, 0.7])
    )
    mu, _ = random_pair(game, rng)
    nu = random_memory(game, rng)
    total = 0.0
    for path in itertools.product(range(2), repeat=9):
        s, a, b = np.reshape(path, (3, 3)).T
        chance, w, earned = game.rho[s[0]], 0, 0.0
        for h in range(3):
            chance *= mu.probabilities[h, s[h], a[h]] * nu.probabilities[h, s[h], w, b[h]]
            chance *= game.P[h, s[h], a[h], b[h], s[h + 1]] if h < 2 else 1.0
            earned += game.r[h, s[h], a[h], b[h]]
            w = nu.memory[h, s[h], a[h], b[h], w]
        total += chance * earned
    assert pair_value(game, mu, nu) == pytest.approx(total, abs=ROUNDING)


def test_the_risky_game_has_a_closed_form():
    model = risky_game()
    solution = solve(model)
    assert solution.start_lower <= 2 * 0.7 * 0.95 <= solution.start_upper
    assert solution.policy.probabilities[0, 0].tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(solution.policy.probabilities[1, 2], [0.5, 0.5, 0, 0], atol=ROUNDING)
    values = [solve(model.candidates[m]).start_value for m in range(8)]
    np.testing.assert_allclose(values, [1.2, *[1.33] * 7], atol=ROUNDING)
    assert model.truth == 7


def test_policies_of_wrong_sizes_are_refused():
    game = random_game(1)
    H, S, A, B = game.r.shape
    with pytest.raises(ValueError, match="policy of the max player has"):
        best_response(game, Policy.uniform(S + 1, A), "min")
    with pytest.raises(ValueError, match="policy of the min player has"):
        best_response(game, Policy.uniform(S, B + 1), "max")
    with pytest.raises(ValueError, match="player must be one of"):
        best_response(game, Policy.uniform(S, A), "both")
    wrong = FiniteMemoryPolicy.forgetful(Policy.uniform(S, B), A + 1, H)
    with pytest.raises(ValueError, match=r"policy has \(H, S, A, B\)"):
        pair_value(game, Policy.uniform(S, A), wrong)


def test_what_is_no_game_or_no_policy_is_refused():
    """Without the tests' own type checks, which would see it first."""
    game = random_game(1)
    for solver in (markov_game_equilibrium, small_matrix_game):
        with pytest.raises(ValueError, match="game must be a"):
            inspect.unwrap(solver)(np.eye(2))
    with pytest.raises(ValueError, match="policy must be a"):
        inspect.unwrap(stages_of)(game, np.eye(2), "max")
    games = FiniteGameClass(game.P[None], game.r, game.rho)
    with pytest.raises(ValueError, match="mu must have shape"):
        inspect.unwrap(best_responses)(games, np.ones((game.horizon, game.n_states, game.n_actions + 1)))
