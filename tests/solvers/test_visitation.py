"""Minimum visitation: bounds by duality, whatever the linear program returns."""

import inspect
import sys
from types import SimpleNamespace

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings

from tests.exact import exact_occupancy, rational
from tests.generators import random_mdp, random_policy, recipes, seeds
from theoryrl.instances import combination_lock
from theoryrl.models import EpisodicMDP
from theoryrl.solvers import (
    action_gaps,
    flow_constraints,
    minimum_visitation,
    occupancy_measure,
    reachable_states,
)

MODULE = sys.modules["theoryrl.solvers.coefficients.visitation"]
HIGHS = 1e-6
"""HiGHS stops at infeasibilities of 1e-7; a tiny model adds up a few of them."""
CONIC = 1e-5
"""The interior-point solver stops at gaps of 1e-8 relative to numbers of order one, with slack here."""


@settings(max_examples=40)
@given(recipe=recipes(), seed=seeds)
def test_the_policies_visit_as_much_as_they_say_and_no_policy_visits_more(recipe, seed):
    mdp = random_mdp(**recipe)
    rng = np.random.default_rng(seed)
    arrived = reachable_states(mdp)
    for reachable in (False, True):
        L = minimum_visitation(mdp, reachable)
        assert L.gap <= HIGHS
        assert (L.stage_upper - L.stage_lower <= HIGHS).all()
        others = [occupancy_measure(mdp, random_policy(rng, *mdp.r.shape)) for _ in range(5)]
        for h in range(mdp.horizon):
            within = arrived[h] if reachable else np.ones_like(arrived[h])
            own = exact_occupancy(mdp, L.policies[h])[h][within].min()
            assert rational(L.stage_lower[h])[()] <= own
            assert all(d[h][within].min() <= L.stage_upper[h] for d in others)
        assert (L.value, L.lower, L.upper) == (L.stages.min(), L.stage_lower.min(), L.stage_upper.min())


@settings(max_examples=10)
@given(recipe=recipes(max_horizon=3, max_states=3, max_actions=2))
def test_it_is_the_smallest_eigenvalue_of_the_best_covariance(recipe):
    """The definition with one-hot features: max over flows of lambda_min(diag d_h), as an SDP would."""
    mdp = random_mdp(**{**recipe, "sparse": False})
    matrix, right = flow_constraints(mdp.P, mdp.rho)
    L = minimum_visitation(mdp)
    d = cp.Variable(mdp.r.size, nonneg=True)
    for h in range(mdp.horizon):
        block = d[h * mdp.r[0].size : (h + 1) * mdp.r[0].size]
        problem = cp.Problem(cp.Maximize(cp.lambda_min(cp.diag(block))), [matrix @ d == right])
        problem.solve(solver=cp.SCS, eps=1e-7) if block.size > 1 else problem.solve()
        assert abs(problem.value - L.stages[h]) <= CONIC


def test_a_state_out_of_reach_makes_it_zero_unless_it_is_left_out():
    """A lock in its first stage has not lost yet; later, half of all policies can be on either side."""
    mdp = combination_lock(horizon=3, n_actions=2)
    everywhere, reachable = minimum_visitation(mdp), minimum_visitation(mdp, reachable=True)
    assert everywhere.value == everywhere.upper == 0
    np.testing.assert_allclose(everywhere.stages, [0, 0.25, 0.25], rtol=0, atol=HIGHS)
    np.testing.assert_allclose(reachable.stages, [0.5, 0.25, 0.25], rtol=0, atol=HIGHS)


def test_of_a_bandit_it_is_the_uniform_policy():
    mdp = EpisodicMDP(np.ones((1, 1, 4, 1)), np.zeros((1, 1, 4)), [1.0])
    assert minimum_visitation(mdp).value == pytest.approx(0.25, rel=1e-15)


@settings(max_examples=40)
@given(recipe=recipes(), seed=seeds)
def test_the_bounds_hold_whatever_the_solver_returns(recipe, seed):
    mdp = random_mdp(**recipe)
    rng = np.random.default_rng(seed)
    true = minimum_visitation(mdp, reachable=True)

    def careless(cost, A_ub, b_ub, A_eq, b_eq, method):
        prices = SimpleNamespace(marginals=-np.maximum(rng.normal(size=len(b_ub)), 0))
        return SimpleNamespace(status=0, x=rng.random(len(cost)), ineqlin=prices)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "linprog", careless)
        L = minimum_visitation(mdp, reachable=True)
    assert (L.stage_lower <= true.stage_upper).all()
    assert (L.stage_upper >= true.stage_lower).all()


def test_a_program_without_an_answer_is_an_error(monkeypatch):
    failed = SimpleNamespace(status=4, message="numerical trouble")
    monkeypatch.setattr(MODULE, "linprog", lambda *_, **__: failed)
    with pytest.raises(RuntimeError, match="minimum visitation was not solved: numerical trouble"):
        minimum_visitation(random_mdp(0))


@pytest.mark.parametrize("function", [minimum_visitation, action_gaps])
def test_the_flag_is_a_flag(function):
    """Seen without the shape checks, which would refuse it earlier."""
    with pytest.raises(ValueError, match="reachable must be a bool"):
        inspect.unwrap(function)(random_mdp(0), 1)
