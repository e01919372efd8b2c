"""Total rewards lie within their bounds; what is infinite is said to be."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.exact_chains import chain_of, optimal_total, total_reward_of_chain
from tests.generators_stationary import stationary_recipes, total_mdp
from theoryrl.instances import path_grid
from theoryrl.models import TotalRewardMDP
from theoryrl.solvers import METHODS, NotConvergedError, proper_states, solve, total

INF = np.inf


def attempt(method, mdp):
    options = {} if method == "policy-iteration" else {"max_sweeps": 500}
    try:
        return solve(mdp, method, **options)
    except NotConvergedError as stopped:
        return stopped.solution


def contains(lower, exact, upper):
    return all(low <= x <= high for low, x, high in zip(lower, exact, upper, strict=True))


@pytest.mark.parametrize("method", METHODS[TotalRewardMDP])
@settings(max_examples=40)
@given(recipe=stationary_recipes(signs=(-1, 1)))
def test_the_bounds_contain_the_best_total_over_all_policies(method, recipe):
    mdp = total_mdp(**recipe)
    exact = optimal_total(mdp)
    solution = attempt(method, mdp)
    assert contains(solution.lower, exact, solution.upper)
    np.testing.assert_array_equal(solution.finite, [abs(x) < INF for x in exact])
    own = total_reward_of_chain(*chain_of(mdp, solution.policy.actions))
    assert contains(solution.lower, own, solution.upper)
    if recipe["kind"] != "nearly-decomposable" and method == "policy-iteration":
        assert solution.gap <= 2e-6


@pytest.mark.parametrize("method", METHODS[TotalRewardMDP])
@settings(max_examples=40)
@given(recipe=stationary_recipes(signs=(0,)))
def test_rewards_of_both_signs_are_solved_or_refused(method, recipe):
    """Refused: only where some policy gains for ever, has no defined total, or that is not provable."""
    mdp = total_mdp(**recipe)
    exact = optimal_total(mdp)
    try:
        solution = attempt(method, mdp)
    except ValueError:
        well_posed = exact is not None and not any(x == INF for x in exact)
        assert not (well_posed and recipe["kind"] == "acyclic")
        return
    if exact is not None:
        assert contains(solution.lower, exact, solution.upper)


@pytest.mark.parametrize("method", METHODS[TotalRewardMDP])
def test_the_free_cycle_that_misleads_value_iteration_from_above(method):
    """States 0 and 1 may circle for free; to end at the goal 3 is worth 1 with probability 1/2."""
    P = np.zeros((5, 2, 5))
    P[0, 0, 1] = P[1, 0, 0] = P[1, 1, 0] = 1.0
    P[0, 1, 2] = 1.0
    P[2, :, 3] = P[2, :, 4] = 0.5
    P[3, :, 4] = P[4, :, 4] = 1.0
    r = np.zeros((5, 2))
    r[3] = 1.0
    solution = solve(TotalRewardMDP(P, r), method)
    np.testing.assert_allclose(solution.value, [0.5, 0.5, 0.5, 1.0, 0.0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", METHODS[TotalRewardMDP])
def test_a_grid_without_slips_takes_as_many_steps_as_it_is_away(method):
    solution = solve(path_grid(width=4, height=3, slip=0.0), method)
    row, column = np.divmod(np.arange(12), 4)
    np.testing.assert_allclose(solution.value, row + column - 5.0, rtol=0, atol=1e-6)


def test_a_pit_is_minus_infinity_and_the_rest_avoids_it():
    solution = solve(path_grid(width=4, height=4, pit=True))
    assert np.flatnonzero(~solution.finite).tolist() == [12]
    assert solution.value[12] == solution.lower[12] == solution.upper[12] == -INF
    assert solution.gap <= 2e-6
    assert proper_states(path_grid(width=4, height=4, pit=True)).sum() == 15


def test_a_gain_for_ever_is_plus_infinity_wherever_it_can_be_reached():
    P = np.zeros((3, 2, 3))
    P[0, 0, 1] = P[0, 1, 2] = 1.0
    P[1, :, 1] = P[2, :, 2] = 1.0
    solution = solve(TotalRewardMDP(P, [[0.0, 5.0], [0.1, 0.0], [0.0, 0.0]]))
    np.testing.assert_allclose(solution.value, [INF, INF, 0.0], rtol=0, atol=1e-6)
    assert solution.policy.actions[:2].tolist() == [0, 0]


def test_a_gain_for_ever_among_costs_is_refused():
    P = np.zeros((2, 1, 2))
    P[:, 0, 0] = 1.0
    with pytest.raises(ValueError, match="rewards of both signs"):
        solve(TotalRewardMDP(P, [[1.0], [-1.0]]))


def test_a_larger_grid_agrees_between_methods():
    mdp = path_grid(width=25, height=20, slip=0.3)
    first = total.policy_iteration(mdp)
    assert first.gap <= 1e-9
    for method in (total.interval_iteration, total.optimistic_value_iteration):
        second = method(mdp)
        assert (first.lower <= second.upper).all()
        assert (second.lower <= first.upper).all()


def test_a_guess_that_is_too_low_is_never_taken_for_a_bound():
    """Rises of 2^-12 per sweep go on for thousands of sweeps: the first guesses are all wrong."""
    P = np.zeros((3, 1, 3))
    P[0, 0, 0], P[0, 0, 1], P[1, 0, 2], P[2, 0, 2] = 1 - 2.0**-12, 2.0**-12, 1.0, 1.0
    mdp = TotalRewardMDP(P, [[0.0], [1.0], [0.0]])
    solution = total.optimistic_value_iteration(mdp, tol=1e-3)
    assert solution.lower[0] <= 1.0 <= solution.upper[0]
    assert solution.gap <= 2e-3


@pytest.mark.parametrize("method", METHODS[TotalRewardMDP])
@pytest.mark.parametrize("seed", range(4))
def test_scale_relabelling_copies_and_shaping_change_the_total_as_they_should(method, seed):
    """A shift of rewards is no invariance here: it adds the expected number of steps."""
    rng = np.random.default_rng(seed)
    S, A, tol = 5, 2, 1e-7
    P = rng.dirichlet(np.full(S, 0.5), size=(S, A))
    P[:, :, -1] += 0.2
    P[-1] = np.eye(S)[-1]
    P /= P.sum(axis=-1, keepdims=True)
    r = -rng.random((S, A)) - 0.1
    r[-1] = 0.0

    def total_of(P, r):
        return solve(TotalRewardMDP(P, r), method, tol=tol).value

    def close(first, second, scale=1.0):
        np.testing.assert_allclose(first, second, rtol=0, atol=(1 + scale) * tol)

    value = total_of(P, r)
    close(total_of(P, 3 * r), 3 * value, 3.0)
    order = rng.permutation(S)
    close(total_of(P[order][:, :, order], r[order]), value[order])
    close(total_of(P[:, [0, 1, 1, 0]], r[:, [0, 1, 1, 0]]), value)
    split = np.concatenate([P, 0.75 * P[..., :1]], axis=2)
    split[..., 0] *= 0.25
    close(
        total_of(np.concatenate([split, split[:1]]), np.concatenate([r, r[:1]])), np.append(value, value[0])
    )
    potential = np.append(0.05 * rng.random(S - 1), 0.0)
    close(total_of(P, r + P @ potential - potential[:, None]), value - potential)


@pytest.mark.parametrize("method", METHODS[TotalRewardMDP])
def test_rare_ends_and_near_decompositions_are_proven_or_said_not_to_be(method):
    """A step ends with probability 2^-k: the total is -2^k, and rounding is that much larger."""
    for k in (4, 10, 30):
        P = np.zeros((2, 1, 2))
        P[0, 0, 0], P[0, 0, 1], P[1, 0, 1] = 1 - 2.0**-k, 2.0**-k, 1.0
        solution = attempt(method, TotalRewardMDP(P, [[-1.0], [0.0]]))
        assert solution.lower[0] <= -(2.0**k) <= solution.upper[0]


def signed_walk(rng, S):
    """Steps to one of two next states, most of which cost something; the last state is the end."""
    P = np.zeros((S, 2, S))
    for s in range(S):
        P[s, 0, min(s + 1, S - 1)] = P[s, 1, min(s + 2, S - 1)] = 0.75
        P[s, :, max(s - 1, 0)] += 0.25
    P[-1] = np.eye(S)[-1]
    r = rng.random((S, 2)) - 0.9
    r[-1] = 0.0
    return TotalRewardMDP(P, r)


@pytest.mark.parametrize("max_sweeps", [1, 10, 100_000])
def test_too_few_sweeps_do_not_make_rewards_of_both_signs_meaningless(max_sweeps):
    """The optimistic method may stop before it has guessed an upper end: that refutes nothing."""
    rng = np.random.default_rng(1)
    for S in (2, 3, 8, 30):
        mdp = signed_walk(rng, S)
        reference = total.policy_iteration(mdp)
        try:
            found = total.optimistic_value_iteration(mdp, max_sweeps=max_sweeps)
        except NotConvergedError as stopped:
            assert max_sweeps < 100_000
            found = stopped.solution
        assert (found.lower <= reference.upper).all()
        assert (reference.lower <= found.upper).all()
        assert np.isfinite(found.upper).all()


def test_the_optimistic_method_solves_a_corridor_whose_values_are_exact_before_a_guess_is_proven():
    """The lower end stands still after S sweeps, and half a step at a time no guess gets through S states."""
    rng, S = np.random.default_rng(0), 30
    for _ in range(5):
        P, r = np.eye(S)[np.minimum(np.arange(1, S + 1), S - 1)][:, None], rng.random((S, 1)) - 0.5
        r[-1] = 0.0
        found = total.optimistic_value_iteration(TotalRewardMDP(P, r), 1e-9)
        np.testing.assert_allclose(found.value, np.cumsum(r[::-1])[::-1], atol=2e-9)
