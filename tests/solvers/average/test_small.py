"""The compiled path for small models and the general one prove bounds on the same gain."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.exact import rational
from tests.exact_chains import chain_of, gain_and_bias_of_chain, optimal_gain
from tests.generators_stationary import average_mdp, stationary_recipes
from theoryrl.instances import average_riverswim, islands, queue
from theoryrl.models import AverageRewardMDP
from theoryrl.solvers import NotConvergedError, average, communicating_classes
from theoryrl.solvers.average._small import LARGEST, solve_small

TOL = 1e-6


def general(mdp, tol=TOL):
    """The path of models that are not small, which is also taken by those who watch; or its bounds."""
    try:
        return average.policy_iteration(mdp, tol, on_sweep=lambda progress: None)
    except NotConvergedError as stopped:
        return stopped.solution


@settings(max_examples=40)
@given(recipe=stationary_recipes())
def test_the_bounds_of_both_paths_contain_the_best_gain_and_that_of_their_policies(recipe):
    mdp = average_mdp(**recipe)
    best = optimal_gain(mdp)
    for solution in (general(mdp), solve_small(mdp, TOL, 100)):
        if solution is not None:
            own, _ = gain_and_bias_of_chain(*chain_of(mdp, solution.policy.actions))
            for exact in (best, own):
                assert (rational(solution.lower) <= exact).all()
                assert (rational(solution.upper) >= exact).all()


@settings(max_examples=40)
@given(recipe=stationary_recipes(kinds=("mixed", "dense", "deterministic", "acyclic")))
def test_the_small_path_takes_exactly_the_communicating_models(recipe):
    mdp = average_mdp(**recipe)
    solution = solve_small(mdp, TOL, 100)
    assert (solution is not None) == communicating_classes(mdp).is_communicating
    assert solution is None or solution.gap <= 2 * TOL


@pytest.mark.parametrize("model", [average_riverswim(6), average_riverswim(LARGEST), queue(40)])
def test_both_paths_agree(model):
    small = solve_small(model, 1e-9, 100)
    assert small is not None
    np.testing.assert_allclose(small.value, general(model, 1e-9).value, rtol=0, atol=2e-9)
    assert solve_small(AverageRewardMDP(model.dense_P(), model.r), 1e-9, 100).value == pytest.approx(
        small.value, abs=2e-9
    )


def test_a_policy_with_several_closed_classes_is_led_to_the_best_of_them():
    """Two absorbing rooms tempt with a reward each; the second pays more from the third step on."""
    P = np.zeros((4, 2, 4))
    for s, stay, leave in ((0, 0, 1), (1, 2, 0), (2, 2, 3), (3, 3, 1)):
        P[s, 0, stay], P[s, 1, leave] = 1.0, 1.0
    r = np.array([[0.4, 0.9], [0.0, 0.0], [0.3, 0.0], [0.5, 0.0]])
    mdp = AverageRewardMDP(P, r)
    solution = solve_small(mdp, TOL, 100)
    assert solution.iterations > 1
    assert (rational(solution.lower) <= optimal_gain(mdp)).all()
    assert abs(solution.value[0] - 0.5) <= TOL


def test_large_models_and_separate_islands_are_left_to_the_general_path():
    assert solve_small(average_riverswim(LARGEST + 1), TOL, 100) is None
    assert solve_small(islands(n_islands=3, length=4, safety=0.9), TOL, 100) is None


def test_nearly_decomposable_chains_lose_no_digits():
    """Two rooms that are left with probability 2^-45 and 2^-46: the gain is 1 / 3."""
    P = np.array([[[1 - 2.0**-45, 2.0**-45]], [[2.0**-46, 1 - 2.0**-46]]])
    solution = solve_small(AverageRewardMDP(P, np.array([[1.0], [0.0]])), TOL, 100)
    assert solution is not None
    assert abs(solution.value[0] - 1 / 3) <= 1e-12
