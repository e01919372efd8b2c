"""The optimal gain lies within its bounds, for any structure of the model."""

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import sparse
from scipy.optimize import linprog

from tests.exact import rational
from tests.exact_chains import chain_of, gain_and_bias_of_chain, optimal_gain
from tests.generators import seeds
from tests.generators_stationary import average_mdp, stationary_recipes
from theoryrl.instances import average_riverswim, islands, queue
from theoryrl.models import AverageRewardMDP
from theoryrl.solvers import METHODS, InterruptedSolve, NotConvergedError, average, solve

TOL = 1e-6
WELL_CONDITIONED = ("mixed", "dense", "deterministic", "acyclic")
"""Rare jumps of 2^-40 take relative values of 2^40, whose last digits alone exceed the tolerance."""


def attempt(method, mdp, tol=TOL):
    """The answer, or what was proven where the tolerance was not met (in 2000 sweeps)."""
    options = {"max_sweeps": 2000} if method == "relative-value-iteration" else {}
    try:
        return solve(mdp, method, tol=tol, **options)
    except NotConvergedError as stopped:
        return stopped.solution


def assert_contains(solution, exact):
    assert (rational(solution.lower) <= exact).all()
    assert (rational(solution.upper) >= exact).all()


@pytest.mark.parametrize("method", METHODS[AverageRewardMDP])
@settings(max_examples=20)
@given(recipe=stationary_recipes())
def test_the_bounds_contain_the_best_gain_and_that_of_the_policy(method, recipe):
    mdp = average_mdp(**recipe)
    solution = attempt(method, mdp)
    assert_contains(solution, optimal_gain(mdp))
    own, _ = gain_and_bias_of_chain(*chain_of(mdp, solution.policy.actions))
    assert_contains(solution, own)


@pytest.mark.parametrize("method", ["policy-iteration", "multichain-policy-iteration", "linear-program"])
@settings(max_examples=20)
@given(recipe=stationary_recipes(kinds=WELL_CONDITIONED))
def test_the_tolerance_is_met_on_every_structure(method, recipe):
    assert solve(average_mdp(**recipe), method, tol=TOL).gap <= 2 * TOL


def multichain_program(mdp):
    """The primal program of Puterman (1994, section 9.3): one gain per state, no classes."""
    S, A = mdp.r.shape
    rows = np.flatnonzero(mdp.mask.ravel())
    lead = mdp.sparse_P()[rows].toarray() - np.eye(S)[rows // A]
    upper = np.block([[lead, np.zeros_like(lead)], [-np.eye(S)[rows // A], lead]])
    right = np.concatenate([np.zeros(rows.size), -mdp.r.ravel()[rows]])
    cost = np.concatenate([np.ones(S), np.zeros(S)])
    return linprog(cost, A_ub=upper, b_ub=right, bounds=(None, None), method="highs").x[:S]


@settings(max_examples=20)
@given(recipe=stationary_recipes(max_states=6, kinds=WELL_CONDITIONED))
def test_the_classical_multichain_program_agrees(recipe):
    """HiGHS is feasible up to 1e-7 per row; a gain adds up at most a few hundred of them here."""
    mdp = average_mdp(**recipe)
    np.testing.assert_allclose(multichain_program(mdp), solve(mdp, tol=TOL).value, rtol=0, atol=3e-5)


@settings(max_examples=20)
@given(recipe=stationary_recipes(kinds=WELL_CONDITIONED), seed=seeds)
def test_shift_scale_relabelling_and_copies_change_the_gain_as_they_should(recipe, seed):
    mdp = average_mdp(**recipe)
    rng = np.random.default_rng(seed)
    P, r, allowed = mdp.dense_P(), mdp.r, mdp.mask
    gain = solve(mdp, tol=TOL).value

    def value(P, r, allowed):
        return solve(AverageRewardMDP(P, r, allowed), tol=TOL).value

    def close(first, second, scale=1.0):
        np.testing.assert_allclose(first, second, rtol=0, atol=2 * (1 + scale) * TOL)

    close(value(P, 3 * r + 0.5, allowed), 3 * gain + 0.5, 3.0)
    s, a = rng.permutation(r.shape[0]), rng.permutation(r.shape[1])
    close(value(P[s][:, a][:, :, s], r[s][:, a], allowed[s][:, a]), gain[s])
    twice = [np.concatenate([x, x], axis=1) for x in (P, r, allowed)]
    close(value(*twice), gain)
    # State 0 in two copies, between which every arrival is divided.
    split = np.concatenate([P, P[:1]], axis=0)
    share = rng.uniform(0.1, 0.9)
    split = np.concatenate([split, (1 - share) * split[:, :, :1]], axis=2)
    split[:, :, 0] *= share
    close(
        value(split / np.where(split.sum(-1) == 0, 1, split.sum(-1))[..., None],
              np.concatenate([r, r[:1]]), np.concatenate([allowed, allowed[:1]])),
        np.append(gain, gain[0]),
    )  # fmt: skip
    potential = rng.random(r.shape[0])
    shaped = r + P @ potential - potential[:, None]
    close(value(P, np.where(allowed, shaped, 0.0), allowed), gain)


@pytest.mark.parametrize("method", METHODS[AverageRewardMDP])
def test_a_cycle_has_the_gain_of_its_round_although_its_values_never_settle(method):
    P = np.roll(np.eye(5), 1, axis=1)[:, None, :]
    r = np.array([1.0, 0.0, 0.0, 0.0, 0.0])[:, None]
    np.testing.assert_allclose(solve(AverageRewardMDP(P, r), method).value, 0.2, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", METHODS[AverageRewardMDP])
def test_gains_that_differ_between_states_are_kept_apart(method):
    solution = solve(islands(n_islands=3, length=4, safety=0.9), method)
    expected = np.repeat(np.array([1 + 2 * 0.81, 1, 2, 3]) / 12, [1, 4, 4, 4])
    np.testing.assert_allclose(solution.value, expected, rtol=0, atol=2e-6)
    assert solution.policy.actions[0] == 2


@pytest.mark.parametrize("n_states", [2, 6, 301, 5000])
def test_riverswim_of_any_length_has_the_gain_of_its_stationary_law(n_states):
    """Ratios of the law: 12 at the start, 7 within, 7/8 at the end; in logarithms, as they overflow."""
    inner = [np.log(7.0)] * max(0, n_states - 3)
    steps = {2: [np.log(1.5)]}.get(n_states, [np.log(12.0), *inner, np.log(0.875)])
    weights = np.concatenate([[0.0], np.cumsum(steps)])
    weights = np.exp(weights - weights.max())
    solution = average.auto(average_riverswim(n_states))
    assert abs(solution.value[0] - weights[-1] / weights.sum()) <= 1e-6
    assert (solution.policy.actions == 1).all()


def test_a_long_queue_is_solved_to_the_tolerance():
    solution = average.auto(queue(2000), tol=1e-8)
    assert solution.gap <= 2e-8
    program = average.linear_program(queue(60))
    assert abs(program.value[0] - average.auto(queue(60)).value[0]) <= 2e-6


def test_a_large_mixing_model_needs_no_linear_system():
    rng = np.random.default_rng(0)
    S, A, b = 2000, 3, 6
    rows = sparse.csr_array(
        (np.full(S * A * b, 1 / b), rng.integers(S, size=S * A * b), np.arange(0, S * A * b + 1, b)),
        shape=(S * A, S),
    )
    solution = average.auto(AverageRewardMDP(rows, rng.random((S, A))))
    assert solution.method == "relative value iteration"
    assert solution.gap <= 2e-6


def test_ties_end_policy_iteration():
    P = np.broadcast_to(np.full(4, 0.25), (4, 3, 4))
    solution = average.policy_iteration(AverageRewardMDP(P, np.full((4, 3), 0.1)))
    assert solution.iterations == 1
    assert solution.gap <= 1e-14


def test_an_unmet_tolerance_is_an_error_that_carries_the_bounds():
    with pytest.raises(NotConvergedError, match="3 sweeps did not reach") as caught:
        average.relative_value_iteration(average_riverswim(50), max_sweeps=3)
    exact = average.policy_iteration(average_riverswim(50)).value
    assert (caught.value.solution.lower <= exact).all()
    assert (caught.value.solution.upper >= exact).all()
    with pytest.raises(NotConvergedError):
        average.policy_iteration(average_riverswim(6), tol=1e-17)


@pytest.mark.parametrize("solver", [average.policy_iteration, average.relative_value_iteration])
def test_an_interrupt_leaves_the_bounds_of_the_moment(solver):
    def stop(progress):
        if progress.sweeps == 2:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedSolve) as caught:
        solver(queue(50), tol=1e-12, on_sweep=stop)
    exact = average.policy_iteration(queue(50)).value
    assert (caught.value.solution.lower <= exact).all()
    assert (caught.value.solution.upper >= exact).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"tol": 0.0}, "tol must be positive"), ({"step": 1.0}, r"step must be in \(0, 1\)"),
     ({"max_sweeps": 0}, "max_sweeps must be at least 1"), ({"start": np.zeros(2)}, "start must have shape")],
)  # fmt: skip
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        average.relative_value_iteration(average_riverswim(3), **options)
