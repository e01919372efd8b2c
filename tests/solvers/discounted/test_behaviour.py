"""How the discounted solvers behave: invariances, threads, interrupts, refusals."""

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from tests.generators import random_discounted, random_rows, seeds
from theoryrl.instances import INSTANCES, discounted_gridworld, replacement
from theoryrl.models import DeterministicPolicy, DiscountedMDP, Policy
from theoryrl.solvers import METHODS, InterruptedSolve, NotConvergedError, discounted, solve
from theoryrl.solvers.discounted import _operators

TOL = 1e-9
METHOD = st.sampled_from(list(METHODS[DiscountedMDP]))
ITERATIVE = [key for key in METHODS[DiscountedMDP] if key != "linear-program"]
FIELD = ["replacement", "inventory", "discounted-gridworld", "discounted-garnet", "discounted-random"]


def answers(mdp, method):
    return solve(mdp, method, tol=TOL)


def assert_same_up_to_the_certificates(left, right):
    assert (np.abs(left - right) <= 2 * TOL + 1e-12 * np.abs(left)).all()


@given(seed=seeds, method=METHOD, shift=st.floats(-5, 5), scale=st.floats(0.1, 4))
@settings(max_examples=20)
def test_shifting_and_scaling_rewards_shifts_and_scales_values(seed, method, shift, scale):
    mdp = random_discounted(seed, S=4, A=3, gamma=0.9, csr=seed % 2 == 0)
    moved = DiscountedMDP(mdp.P, scale * mdp.r + shift, mdp.gamma)
    expected = scale * answers(mdp, method).value + shift / (1 - mdp.gamma)
    assert (np.abs(answers(moved, method).value - expected) <= (1 + scale) * TOL + 1e-11).all()


@given(seed=seeds, method=METHOD)
@settings(max_examples=20)
def test_shaping_by_a_potential_subtracts_it(seed, method):
    """r' = r + gamma P Phi - Phi has V' = V* - Phi (Ng, Harada and Russell 1999)."""
    mdp = random_discounted(seed, S=4, A=2, gamma=0.9)
    potential = np.random.default_rng(seed).normal(size=4)
    shaped = DiscountedMDP(mdp.P, mdp.r + mdp.gamma * mdp.P @ potential - potential[:, None], mdp.gamma)
    assert_same_up_to_the_certificates(answers(shaped, method).value, answers(mdp, method).value - potential)


@given(seed=seeds, method=METHOD)
@settings(max_examples=20)
def test_renaming_states_renames_values(seed, method):
    mdp = random_discounted(seed, S=5, A=2, gamma=0.9, sparse=True)
    order = np.random.default_rng(seed).permutation(5)
    renamed = DiscountedMDP(mdp.P[order][:, :, order], mdp.r[order], mdp.gamma)
    assert_same_up_to_the_certificates(answers(renamed, method).value, answers(mdp, method).value[order])


@given(seed=seeds, method=METHOD)
@settings(max_examples=20)
def test_a_duplicate_action_changes_nothing(seed, method):
    mdp = random_discounted(seed, S=4, A=2, gamma=0.9)
    doubled = DiscountedMDP(mdp.P[:, [0, 1, 1, 0]], mdp.r[:, [0, 1, 1, 0]], mdp.gamma)
    assert_same_up_to_the_certificates(answers(doubled, method).value, answers(mdp, method).value)


@given(seed=seeds, method=METHOD, share=st.floats(0, 1))
@settings(max_examples=20)
def test_splitting_a_state_in_two_changes_nothing(seed, method, share):
    mdp = random_discounted(seed, S=3, A=2, gamma=0.9)
    P = np.concatenate([mdp.P, mdp.P[..., 2:] * (1 - share)], axis=2)
    P[..., 2] *= share
    split = DiscountedMDP(np.concatenate([P, P[2:]]), np.concatenate([mdp.r, mdp.r[2:]]), mdp.gamma)
    whole, halves = answers(mdp, method).value, answers(split, method).value
    assert_same_up_to_the_certificates(halves, whole[[0, 1, 2, 2]])


@pytest.mark.parametrize("key", FIELD)
def test_all_methods_agree_on_the_named_models(key):
    mdp = INSTANCES[key]()
    first = solve(mdp, tol=TOL)
    for method in METHODS[DiscountedMDP]:
        other = solve(mdp, method, tol=TOL)
        assert (other.lower <= first.upper).all()
        assert (first.lower <= other.upper).all()


@pytest.mark.parametrize("csr", [False, True])
def test_the_number_of_threads_does_not_change_a_bit(csr, monkeypatch):
    from theoryrl.solvers import _threads

    monkeypatch.setattr(_threads, "SMALLEST_PART", 1)
    mdp = random_discounted(5, S=31, A=3, gamma=0.95, csr=csr)
    for method in ("value-iteration", "modified-policy-iteration", "auto"):
        one, *more = (solve(mdp, method, threads=threads) for threads in (1, 2, 3, 64))
        for other in more:
            np.testing.assert_array_equal(one.value, other.value)
            np.testing.assert_array_equal(one.upper, other.upper)
            np.testing.assert_array_equal(one.policy.actions, other.policy.actions)


def test_dense_and_sparse_models_have_the_same_answers():
    dense = random_discounted(9, S=30, A=4, gamma=0.99, sparse=True)
    rows = DiscountedMDP(csr_array(dense.P.reshape(-1, 30)), dense.r, dense.gamma)
    for method in ITERATIVE:
        assert_same_up_to_the_certificates(answers(dense, method).value, answers(rows, method).value)


def test_elimination_forgets_most_actions_and_no_optimal_one():
    from theoryrl.solvers.discounted._operators import Tabular
    from theoryrl.solvers.discounted._search import Search, optimal

    mdp = random_discounted(2, S=20, A=6, gamma=0.9)
    operator = Tabular.of(mdp)
    search = Search(operator, TOL, None, True, "test", optimal)
    for _ in range(60):
        search.sweep()
        search.h[:] = search.W
    best = solve(mdp, "policy-iteration", tol=1e-10)
    Q = mdp.r + mdp.gamma * mdp.P @ best.value
    gaps = Q.max(axis=1, keepdims=True) - Q
    assert not operator.active.all()
    # Twice the error of the values: what is forgotten is worse by more than that, whatever V* is.
    assert (gaps[~operator.active] > 2e-10).all()
    assert operator.active.sum() < 0.25 * operator.active.size


def test_progress_is_reported_and_the_gap_of_the_last_sweep_is_that_of_the_solution():
    seen = []
    answer = solve(replacement(), "value-iteration", tol=1e-3, on_sweep=seen.append)
    assert [progress.sweeps for progress in seen] == list(range(1, answer.iterations + 1))
    assert all(progress.gap > 2e-3 for progress in seen[:-1])
    assert answer.gap <= seen[-1].gap <= 2e-3


@pytest.mark.parametrize("method", ITERATIVE)
@pytest.mark.parametrize("moment", [1, 3])
def test_an_interrupt_keeps_the_bounds(method, moment):
    mdp = replacement(gamma=0.999)
    best = solve(mdp, "linear-program", tol=1e-6)

    def press(progress):
        if progress.sweeps == moment:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedSolve, match="the proven error is") as caught:
        solve(mdp, method, tol=1e-10, on_sweep=press)
    kept = caught.value.solution
    assert kept.iterations == moment
    assert np.isfinite(kept.gap)
    assert (kept.lower <= best.upper).all()
    assert (best.lower <= kept.upper).all()


def test_an_interrupt_within_a_sweep_leaves_the_bounds_of_the_sweep_before(monkeypatch):
    from theoryrl.solvers.discounted import _operators

    whole, calls = _operators.Tabular.bellman, []

    def broken(self, h, margin, W, actions):
        calls.append(None)
        if len(calls) == 3:
            W[:] = 1e9
            actions[:] = 1
            raise KeyboardInterrupt
        whole(self, h, margin, W, actions)

    mdp = replacement()
    best = solve(mdp, "linear-program")
    monkeypatch.setattr(_operators.Tabular, "bellman", broken)
    with pytest.raises(InterruptedSolve) as caught:
        solve(mdp, "value-iteration")
    kept = caught.value.solution
    assert kept.iterations == 2
    assert (kept.lower <= best.upper).all()
    assert (best.lower <= kept.upper).all()


def test_a_tolerance_below_rounding_is_refused_with_what_can_be_had():
    with pytest.raises(NotConvergedError, match="rounding in float64 prevents an error of 1e-15") as caught:
        solve(replacement(gamma=0.999), tol=1e-15)
    assert caught.value.solution.gap < 1e-9


def test_too_few_sweeps_are_reported_with_the_bounds():
    with pytest.raises(
        NotConvergedError, match=r"3 sweeps did not reach 1e-06; the proven error is"
    ) as caught:
        solve(replacement(), "value-iteration", max_sweeps=3)
    assert caught.value.solution.iterations == 3


def test_a_good_start_saves_sweeps():
    mdp = replacement(gamma=0.99)
    first = solve(mdp, "value-iteration")
    again = solve(mdp, "value-iteration", start=first.value)
    assert again.iterations < first.iterations / 10


def test_a_control_limit_is_optimal_for_the_machine():
    actions = solve(replacement(200, 0.99)).policy.actions
    assert (np.diff(actions) >= 0).all()
    assert set(actions) == {0, 1}


def test_the_goal_of_the_grid_is_worth_the_whole_series():
    answer = solve(INSTANCES["discounted-gridworld"](gamma=0.99))
    assert answer.lower[-1] <= 1 / (1 - 0.99) <= answer.upper[-1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: solve(m, tol=0.0), r"tol must be positive; got 0\.0"),
        (lambda m: solve(m, tol=float("nan")), "tol must be a finite number"),
        (lambda m: solve(m, max_sweeps=0), "max_sweeps must be at least 1; got 0"),
        (lambda m: solve(m, threads=0), "threads must be at least 1; got 0"),
        (lambda m: solve(m, start=np.ones(1)), r"start must have shape \(50\); got shape \(1,\)"),
        (lambda m: discounted.value_iteration(m, sweep="sor"), "sweep must be one of .* got 'sor'"),
        (lambda m: discounted.policy_iteration(m, evaluation="qr"), "evaluation must be one of"),
        (lambda m: discounted.linear_program(m, formulation="x"), "formulation must be one of"),
        (lambda m: discounted.anderson_value_iteration(m, memory=0), "memory must be at least 1; got 0"),
        (
            lambda m: discounted.policy_evaluation(m, Policy.uniform(50, 3)),
            r"policy has \(S, A\) = \(50, 3\); the model has \(S, A\) = \(50, 2\)",
        ),
        (
            lambda m: discounted.policy_evaluation(m, DeterministicPolicy(np.zeros((2, 50), int), 2)),
            "policy must be stationary; got 2 stages",
        ),
        (
            lambda m: discounted.occupancy_measure(m, Policy.uniform(50, 2), np.zeros(50)),
            "rho must sum to 1",
        ),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call(replacement())


def test_a_policy_that_takes_an_unavailable_action_is_refused():
    mdp = INSTANCES["inventory"]()
    with pytest.raises(ValueError, match="policy takes action 4 in state 21, where it is not available"):
        discounted.policy_evaluation(mdp, Policy.uniform(mdp.n_states, mdp.n_actions))


def test_krylov_and_lu_agree_on_random_systems():
    from theoryrl.solvers.discounted._chain import chain, solve_by_gmres, solve_directly

    rng = np.random.default_rng(7)
    for csr in (False, True):
        P = random_rows(rng, (60, 2, 60), sparse=True)
        mdp = DiscountedMDP(csr_array(P.reshape(120, 60)) if csr else P, np.zeros((60, 2)), 0.99)
        actions, b = rng.integers(2, size=60), rng.normal(size=60)
        x, succeeded = solve_by_gmres(chain(mdp.P, actions, 0.99), b, 1e-10)
        assert succeeded
        # The inverse has a norm of at most 1 / (1 - gamma).
        assert np.abs(x - solve_directly(mdp.P, actions, 0.99, b)).max() <= 100 * 1e-10 + 1e-10


@pytest.mark.parametrize(
    "method", ["value-iteration", "gauss-seidel", "anderson", "modified-policy-iteration"]
)
@pytest.mark.parametrize("shape", ["dense", "sparse", "one action"])
def test_no_method_that_sweeps_copies_the_transitions(method, shape):
    """With one action, a copy of the policy's rows would be a copy of the model."""
    rng = np.random.default_rng(0)
    S, A, b = {"dense": (300, 8, 300), "sparse": (2000, 3, 60), "one action": (2000, 1, 180)}[shape]
    if shape == "dense":
        mdp = DiscountedMDP(random_rows(rng, (S, A, S), False), rng.random((S, A)), 0.9)
        size = mdp.P.nbytes
    else:
        rows = csr_array(
            (np.full(S * A * b, 1 / b), rng.integers(S, size=S * A * b), np.arange(0, S * A * b + 1, b)),
            shape=(S * A, S),
        )
        mdp = DiscountedMDP(rows, rng.random((S, A)), 0.9)
        size = mdp.P.nbytes
    solve(mdp, method, tol=1e-6)
    tracemalloc.start()
    try:
        solve(mdp, method, tol=1e-6)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Forty vectors of S numbers: Anderson keeps eighteen, and stacks half of them.
    assert peak <= 40 * 8 * S + 6 * mdp.r.nbytes < 0.25 * size


@pytest.mark.parametrize("slip", [0.1, 0.3])
@pytest.mark.parametrize("method", ["auto", "gauss-seidel"])
def test_sweeps_in_place_keep_their_digits_where_values_are_far_larger_than_their_differences(method, slip):
    """Values of 10^4 that differ by less than a hundred: the level must not cost digits of what matters."""
    mdp = discounted_gridworld(64, 64, 0.9999, slip)
    solution = solve(mdp, method, tol=1e-8, max_sweeps=500)
    exact = discounted.policy_iteration(mdp, 1e-8, evaluation="lu").value
    assert np.abs(solution.value - exact).max() <= 2e-8
    assert abs(solution.value[-1] - 10_000) <= 1e-8 + 1e-11


@given(seed=seeds, backwards=st.booleans(), toll=st.floats(-2, 2), csr=st.booleans())
@settings(max_examples=40)
def test_a_sweep_in_place_solves_for_what_returns_to_each_state_in_turn(seed, backwards, toll, csr):
    mdp = random_discounted(seed, S=5, A=3, gamma=0.9, csr=csr)
    rng = np.random.default_rng(seed)
    P, r, start = mdp.dense_P(), mdp.r - toll, rng.normal(size=5)
    operator = _operators.Tabular.of(mdp)
    for policy in (None, np.array([rng.choice(np.flatnonzero(row)) for row in mdp.mask])):
        h, x, actions = start.copy(), start.copy(), np.zeros(5, dtype=np.int64)
        for s in range(5)[:: -1 if backwards else 1]:
            others = P[s] @ x - P[s, :, s] * x[s]
            lasting = np.where(mdp.mask[s], (r[s] + 0.9 * others) / (1 - 0.9 * P[s, :, s]), -np.inf)
            actions[s] = lasting.argmax() if policy is None else policy[s]
            x[s] = lasting[actions[s]]
        found = actions.copy()
        if policy is None:
            operator.gauss_seidel(h, toll, backwards, found)
        else:
            operator.evaluate_in_place(h, toll, backwards, found)
        np.testing.assert_allclose(h, x, rtol=1e-12, atol=1e-12)
        assert (found == actions).all()


def test_the_solvers_run_without_compilation_too():
    """For those who step through them: in a process of its own, because the switch is read on import."""
    code = """
import numpy as np
from theoryrl import instances, solve
grid = instances.discounted_gridworld(4, 4, 0.9)
dense = type(grid)(grid.dense_P(), grid.r, 0.9)
values = [solve(mdp, method, tol=1e-9).value for mdp in (grid, dense) for method in ("auto", "gauss-seidel")]
assert all(abs(value - values[0]).max() <= 2e-9 for value in values)
river = instances.average_riverswim()
assert abs(solve(river).value - solve(type(river)(river.dense_P(), river.r)).value).max() <= 2e-6
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
