"""The optimal gain lies within its bounds, for any structure of the model."""

import pytest
from hypothesis import given, settings

from tests.exact import rational
from tests.exact_chains import chain_of, gain_and_bias_of_chain, optimal_gain
from tests.generators_stationary import average_mdp, stationary_recipes
from theoryrl.solvers import average
from theoryrl.solvers.discounted._search import NotConvergedError

TOL = 1e-6


def sweeps(mdp, tol):
    """Relative value iteration with what it can do in 2000 sweeps: its bounds hold in any case."""
    try:
        return average.relative_value_iteration(mdp, tol, max_sweeps=2000)
    except NotConvergedError as unfinished:
        return unfinished.solution


EXACT = [average.policy_iteration, average.multichain_policy_iteration, average.linear_program]
SOLVERS = [*EXACT, sweeps]


def assert_contains(solution, exact):
    assert (rational(solution.lower) <= exact).all()
    assert (rational(solution.upper) >= exact).all()


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.__name__)
@settings(max_examples=60)
@given(recipe=stationary_recipes())
def test_the_bounds_contain_the_best_gain_over_all_deterministic_policies(solver, recipe):
    mdp = average_mdp(**recipe)
    solution = solver(mdp, TOL)
    assert_contains(solution, optimal_gain(mdp))
    assert solver is sweeps or solution.gap <= 2 * TOL


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.__name__)
@settings(max_examples=40)
@given(recipe=stationary_recipes())
def test_the_policy_itself_earns_what_is_promised(solver, recipe):
    mdp = average_mdp(**recipe)
    solution = solver(mdp, TOL)
    own, _ = gain_and_bias_of_chain(*chain_of(mdp, solution.policy.actions))
    assert (own >= rational(solution.lower)).all()
    assert (own <= rational(solution.upper)).all()
