"""Von Neumann winners: never beaten, the same by both methods where unique, of largest entropy where not."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.solvers.preference.games import FAMILIES, random_game
from theoryrl import solve
from theoryrl.models import MatrixGame, PreferenceGame
from theoryrl.solvers.preference import matrix_game_equilibrium, regularized_equilibrium, von_neumann_winner

seeds = st.integers(0, 2**32 - 1)
HIGHS = 1e-7
"""HiGHS's feasibility tolerance."""


def entropy(p):
    return -float((p[p > 0] * np.log(p[p > 0])).sum())


def conditioning(A, p):
    """The smallest positive singular value of the system that the winner solves, and the smallest loss."""
    inner = np.linalg.svd(A[np.ix_(p > 0, p > 0)], compute_uv=False)
    losses = -(A @ p)[p == 0]
    return min([1.0, *inner[inner > 1e-10], *losses])


@given(seed=seeds, family=st.sampled_from(FAMILIES), n=st.integers(1, 15), X=st.integers(1, 2))
@settings(max_examples=60)
def test_no_opponent_beats_the_winner(seed, family, n, X):
    game = random_game(np.random.default_rng(seed), family, n, X)
    winner = von_neumann_winner(game)
    assert winner.exploitability.max() <= 1e-12
    assert winner.gap <= 1e-12 + 2 * n * 1.2e-16
    assert (winner.lower <= winner.value).all()
    program = von_neumann_winner(game, "linear-program")
    assert program.exploitability.max() <= HIGHS
    for x in range(X):
        ours, theirs = (s.policy.probabilities[x] for s in (winner, program))
        if winner.unique[x]:
            assert np.abs(ours - theirs).sum() <= n * HIGHS / conditioning(game.skew[x], ours)
        else:
            assert entropy(ours) >= entropy(theirs) - 1e-6


def test_a_three_cycle_has_a_closed_form():
    a, b, c = 0.1, 0.3, 0.4
    game = PreferenceGame.from_skew([[0, a, -c], [-a, 0, b], [c, -b, 0]])
    for method in ("support-newton", "linear-program"):
        np.testing.assert_allclose(
            von_neumann_winner(game, method).policy.probabilities[0], np.array([b, c, a]) / 0.8, atol=1e-9
        )


@given(seed=seeds, n=st.integers(2, 12))
def test_a_condorcet_winner_is_the_only_winner(seed, n):
    game = PreferenceGame.from_bradley_terry(np.random.default_rng(seed).permutation(n) * 1.0)
    winner = von_neumann_winner(game)
    best = int(np.argmax(game.P.sum(axis=1)))
    np.testing.assert_array_equal(winner.policy.probabilities[0], np.arange(n) == best)
    assert winner.unique == (True,)


def test_where_winners_are_many_the_one_of_largest_entropy_is_returned():
    """Two copies of rock, paper, scissors that tie against each other; then a game without preferences."""
    cycle = np.array([[0, 0.5, -0.5], [-0.5, 0, 0.5], [0.5, -0.5, 0]])
    A = np.kron(np.eye(2), cycle)
    for game in (PreferenceGame.from_skew(A), PreferenceGame(np.full((6, 6), 0.5))):
        winner = von_neumann_winner(game)
        np.testing.assert_allclose(winner.policy.probabilities[0], np.full(6, 1 / 6), atol=1e-9)
        assert winner.unique == (False,)


@pytest.mark.parametrize("seed", range(6))
def test_the_winner_of_largest_entropy_is_that_of_an_exponential_cone_program(seed):
    rng = np.random.default_rng(seed)
    game = random_game(rng, "ties", 9)
    p = cp.Variable(9)
    A = game.skew[0]
    cp.Problem(cp.Maximize(cp.sum(cp.entr(p))), [A @ p <= 0, cp.sum(p) == 1]).solve(solver="CLARABEL")
    ours = von_neumann_winner(game).policy.probabilities[0]
    assert entropy(ours) >= entropy(np.maximum(p.value, 0)) - 1e-5
    assert np.abs(ours - p.value).max() < 1e-2


TIED = (
    "00000-++ 0000+-0+ 0000+000 0000-+00 0--+00+0 ++0-000- -000-000 --000+00",
    "0++++0-- -0+0+0+- --0+-0++ -0-0+-+- --+-0+-+ 000+-0-+ +---++0- ++-+--+0",
)
"""Rows of signs: games in which some action ties at the winner's support by chance."""


@pytest.mark.parametrize("signs", TIED, ids=("four tie", "eight"))
def test_of_many_winners_none_has_a_larger_entropy_though_some_actions_tie_by_chance(signs):
    A = np.array([{"+": 0.5, "-": -0.5, "0": 0.0}[c] for c in signs.replace(" ", "")]).reshape(8, 8)
    game = PreferenceGame.from_skew(A)
    p = cp.Variable(8)
    cp.Problem(cp.Maximize(cp.sum(cp.entr(p))), [A @ p <= 0, cp.sum(p) == 1]).solve(solver="CLARABEL")
    ours = von_neumann_winner(game).policy.probabilities[0]
    assert entropy(ours) >= entropy(np.maximum(p.value, 0)) - 1e-5
    near = np.exp(regularized_equilibrium(game.regularized(1e-5)).log_policy)
    assert np.abs(near - ours).max() < 1e-2


def test_a_support_whose_kernel_has_no_mass_is_passed_over_in_silence():
    A = np.zeros((5, 5))
    A[0, 1], A[0, 4], A[1, 2], A[1, 3], A[1, 4] = 0.001, 0.001, 0.5, -0.001, -0.001
    A[2, 3], A[2, 4], A[3, 4] = 0.25, 0.25, 0.5
    winner = von_neumann_winner(PreferenceGame.from_skew(A - A.T))
    assert winner.exploitability.max() <= 1e-12


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_limit_of_the_regularised_equilibria_for_a_uniform_reference(seed):
    game = random_game(np.random.default_rng(seed), "ties", 7)
    near = np.exp(regularized_equilibrium(game.regularized(1e-5)).log_policy)
    assert np.abs(near - von_neumann_winner(game).policy.probabilities).max() < 1e-2


@given(seed=seeds, n=st.integers(1, 6), m=st.integers(1, 6))
def test_a_matrix_game_has_a_value_between_tight_bounds(seed, n, m):
    M = 10 * np.random.default_rng(seed).normal(size=(n, m))
    solution = matrix_game_equilibrium(MatrixGame(M))
    assert (solution.row @ M).min() >= solution.lower
    assert (M @ solution.column).max() <= solution.upper
    assert solution.gap <= 1e-6
    other = matrix_game_equilibrium(MatrixGame(-M.T))
    assert float(solution.value) == pytest.approx(-float(other.value), abs=1e-6)


def test_solve_takes_games_and_methods():
    game = random_game(np.random.default_rng(0), "uniform", 4)
    assert solve(game).method == "support-newton"
    assert solve(game, "linear-program").method == "linear-program"
    assert solve(MatrixGame(game.skew[0])).gap < 1e-9
    with pytest.raises(ValueError, match="method must be one of support-newton, linear-program"):
        von_neumann_winner(game, "simplex")
