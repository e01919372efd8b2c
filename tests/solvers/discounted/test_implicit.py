"""A model that is a function has the answers of the same model as tables."""

import dataclasses

import numba
import numpy as np
import pytest

from theoryrl.instances import growth
from theoryrl.models import ImplicitMDP
from theoryrl.solvers import METHODS, solve
from theoryrl.solvers.discounted import _implicit, _operators

TOL = 1e-8


@pytest.fixture(scope="module")
def model():
    return growth(30)


@pytest.fixture(scope="module")
def tables(model):
    return model.to_tabular()


@pytest.mark.parametrize("method", METHODS[ImplicitMDP])
def test_every_iterative_method_agrees_with_the_linear_program_on_the_tables(model, tables, method):
    exact = solve(tables, "linear-program", tol=TOL)
    answer = solve(model, method, tol=TOL)
    assert (answer.lower <= exact.upper).all()
    assert (exact.lower <= answer.upper).all()
    assert np.abs(answer.value - exact.value).max() <= 2 * TOL


@pytest.mark.parametrize("n", [2, 3, 17, 64])
def test_the_monotone_search_finds_the_maximum_for_any_values(n):
    """Brute force over all feasible actions, for arbitrary h: the hint may not depend on it."""
    model = growth(n)
    full = dataclasses.replace(model, monotone_block=0)
    rng = np.random.default_rng(n)
    for trial in range(5):
        h = rng.normal(size=2 * n) * 10.0**trial
        found, best = np.empty(2 * n), np.empty(2 * n)
        actions = np.empty(2 * n, dtype=np.int64)
        fast, slow = _implicit.Implicit(model), _implicit.Implicit(full)
        fast.bellman(h, np.inf, found, actions)
        slow.bellman(h, np.inf, best, actions.copy())
        assert (np.abs(found - best) <= fast.backup_error(h)).all()


def test_pieces_do_not_change_the_maximum(monkeypatch, model):
    h = np.random.default_rng(0).normal(size=60)
    results = []
    for piece in (4096, 7, 1):
        monkeypatch.setattr(_implicit, "PIECE", piece)
        W = np.empty(60)
        _implicit.Implicit(model).bellman(h, np.inf, W, np.empty(60, dtype=np.int64))
        results.append(W)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-14)
    np.testing.assert_allclose(results[2], results[0], rtol=1e-14)


def test_the_backup_error_covers_the_tables(model, tables):
    h = np.random.default_rng(1).normal(size=60)
    W, V, actions = np.empty(60), np.empty(60), np.empty(60, dtype=np.int64)
    implicit, tabular = _implicit.Implicit(model), _operators.Tabular.of(tables)
    implicit.bellman(h, np.inf, W, actions)
    tabular.bellman(h, np.inf, V, actions)
    assert (np.abs(W - V) <= implicit.backup_error(h) + tabular.backup_error(h)).all()


@pytest.mark.parametrize("n", [2, 10, 40])
def test_the_hint_of_growth_holds_on_small_grids(n):
    growth(n).check_hint()


def test_a_false_hint_is_found_out():
    """Rewards with decreasing differences; successors that depend on the state; falling ranges."""

    @numba.njit
    def decreasing(s, a, next_states, probabilities):
        next_states[0], probabilities[0] = a, 1.0
        return 1, -0.1 * s * a

    @numba.njit
    def moving(s, a, next_states, probabilities):
        next_states[0], probabilities[0] = max(s, a), 1.0
        return 1, 0.0

    @numba.njit
    def falling(s):
        return 0, 3 - s

    for step, feasible, message in (
        (decreasing, None, "no increasing differences at s = 0, a = 0"),
        (moving, None, "no increasing differences at s = 0, a = 0"),
        (moving, falling, r"feasible\(1\) must not begin or end below feasible\(0\)"),
    ):
        model = ImplicitMDP(step, 3, 3, 0.9, 1, 1.0, feasible, 3)
        with pytest.raises(ValueError, match=message):
            model.check_hint()


def test_a_false_hint_would_give_a_wrong_answer():
    """The mutant that the check is for: the search trusts the hint."""

    @numba.njit
    def decreasing(s, a, next_states, probabilities):
        next_states[0], probabilities[0] = 0, 1.0
        return 1, 1.0 * a if s == 0 else -1.0 * a

    honest = ImplicitMDP(decreasing, 2, 3, 0.5, 1, 2.0)
    lying = dataclasses.replace(honest, monotone_block=2)
    assert solve(lying).upper[1] < solve(honest).lower[1]


@pytest.mark.parametrize("n", [2, 3, 17, 64])
def test_the_concave_search_finds_the_maximum_for_any_values(n):
    """Brute force over all feasible actions, for h that are concave, nearly so, and not at all."""
    model = dataclasses.replace(growth(n), monotone_block=0)
    full = dataclasses.replace(model, concave_block=0)
    rng = np.random.default_rng(n)
    level = np.tile(np.sqrt(np.arange(n)), 2)
    fast, slow = _implicit.Implicit(model), _implicit.Implicit(full)
    for noise in (0.0, 1e-15, 1e-9, 1e-4, 0.01, 1.0, 1e4):
        h = level + noise * rng.normal(size=2 * n)
        found, best = np.empty(2 * n), np.empty(2 * n)
        actions = np.empty(2 * n, dtype=np.int64)
        fast.bellman(h, np.inf, found, actions)
        slow.bellman(h, np.inf, best, actions.copy())
        assert (np.abs(found - best) <= fast.backup_error(h)).all()


def test_the_concave_majorant_is_as_far_away_as_it_is_said_to_be():
    from theoryrl.solvers.discounted._kernels import concave_excess

    assert concave_excess(np.sqrt(np.arange(50.0)), 50) == 0.0
    assert concave_excess(np.arange(9.0) ** 2, 9) == 16.0  # the chord at t = 4, less 16
    assert concave_excess(np.tile(np.arange(5.0), 3), 5) == 0.0  # each block on its own
    assert concave_excess(np.tile(np.arange(5.0), 3), 15) > 3.0


@pytest.mark.parametrize("method", METHODS[ImplicitMDP])
def test_concavity_alone_gives_the_answers_of_the_tables(method, model, tables):
    answer = solve(dataclasses.replace(model, monotone_block=0), method, tol=TOL)
    exact = solve(tables, "linear-program", tol=TOL)
    assert (answer.lower <= exact.upper).all()
    assert (exact.lower <= answer.upper).all()


def test_false_hints_of_concavity_are_found_out_and_would_be_believed():
    @numba.njit
    def convex(s, a, next_states, probabilities):
        next_states[0], probabilities[0] = a, 1.0
        return 1, 0.01 * a * a

    @numba.njit
    def jumping(s, a, next_states, probabilities):
        next_states[0], probabilities[0] = (3 * a) % 5, 1.0
        return 1, 0.0

    @numba.njit
    def two_peaks(s, a, next_states, probabilities):
        next_states[0], probabilities[0] = 0, 1.0
        return 1, 0.5 if a == 0 else (1.0 if a == 4 else 0.0)

    for step in (convex, jumping, two_peaks):
        with pytest.raises(ValueError, match="no concave action values at s = 0"):
            ImplicitMDP(step, 5, 5, 0.9, 1, 1.0, concave_block=5).check_hint()
    # The mutant that the check is for: values have fallen after the first peak, and the other is missed.
    lying = ImplicitMDP(two_peaks, 5, 5, 0.5, 1, 1.0, concave_block=5)
    honest = dataclasses.replace(lying, concave_block=0)
    assert solve(lying).upper[0] < solve(honest).lower[0]


def test_threads_do_not_change_a_bit(monkeypatch, model):
    from theoryrl.solvers import _threads

    monkeypatch.setattr(_threads, "SMALLEST_PART", 1)
    monkeypatch.setattr(_implicit, "PIECE", 8)
    one, two = (solve(model, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.value, two.value)
