"""The largest probability of each state and pair: exact, with true bounds."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.exact import all_deterministic_policies, exact_occupancy, rational
from tests.generators import random_mdp, random_mixture, random_policy, recipes, seeds
from theoryrl.instances import combination_lock
from theoryrl.models import EpisodicMDP, MixturePolicy, Policy
from theoryrl.solvers import occupancy_measure, occupancy_measures, reachability, reachable_states

TIGHT = 1e-13
"""The bounds of models this small may be this far apart, relative to the value: a few hundred units."""


def assert_encloses(value, lower, upper, exact):
    """The bounds contain the exact numbers, in rational arithmetic, and are close to each other."""
    assert (rational(lower) <= exact).all()
    assert (rational(upper) >= exact).all()
    assert (upper - lower <= TIGHT * value + 1e-300).all()


@settings(max_examples=25)
@given(recipe=recipes(max_horizon=3, max_states=2, max_actions=2))
def test_over_all_policies_it_is_the_largest_over_the_deterministic_ones(recipe):
    mdp = random_mdp(**recipe)
    d = np.array([exact_occupancy(mdp, policy) for policy in all_deterministic_policies(mdp)])
    reach = reachability(mdp)
    assert_encloses(reach.pairs, reach.pairs_lower, reach.pairs_upper, d.max(axis=0))
    assert_encloses(reach.states, reach.states_lower, reach.states_upper, d.sum(axis=3).max(axis=0))
    np.testing.assert_array_equal(reachable_states(mdp), d.sum(axis=3).max(axis=0) > 0)
    np.testing.assert_array_equal(reach.states_upper > 0, reachable_states(mdp))


@given(recipe=recipes(), seed=seeds)
def test_over_a_finite_set_it_is_the_largest_of_the_set(recipe, seed):
    mdp = random_mdp(**recipe)
    rng = np.random.default_rng(seed)
    policies = [random_policy(rng, *mdp.r.shape, sparse=True) for _ in range(3)]
    d = np.array([exact_occupancy(mdp, policy) for policy in policies])
    reach = reachability(mdp, policies)
    assert_encloses(reach.pairs, reach.pairs_lower, reach.pairs_upper, d.max(axis=0))
    assert_encloses(reach.states, reach.states_lower, reach.states_upper, d.sum(axis=3).max(axis=0))


@given(recipe=recipes(), seed=seeds)
def test_a_mixture_has_the_average_occupancy(recipe, seed):
    mdp = random_mdp(**recipe)
    mixture = random_mixture(np.random.default_rng(seed), *mdp.r.shape)
    parts = [exact_occupancy(mdp, policy) for policy in mixture.policies]
    exact = sum(w * d for w, d in zip(rational(mixture.weights), parts, strict=True))
    reach = reachability(mdp, [mixture])
    assert_encloses(reach.pairs, reach.pairs_lower, reach.pairs_upper, exact)


@given(recipe=recipes(), seed=seeds)
def test_no_randomised_policy_or_mixture_reaches_more(recipe, seed):
    mdp = random_mdp(**recipe)
    mixture = random_mixture(np.random.default_rng(seed), *mdp.r.shape)
    everything = reachability(mdp)
    for policy in (mixture, *mixture.policies):
        some = reachability(mdp, [policy])
        assert (some.pairs_lower <= everything.pairs_upper).all()
        assert (some.states_lower <= everything.states_upper).all()


def test_what_is_out_of_reach_has_both_bounds_zero():
    """A lock whose right action loses all but 1e-200 of the mass each time: underflow is not absence."""
    P = np.zeros((3, 3, 1, 3))
    P[:, 0, 0, 0], P[:, 0, 0, 1] = 1e-200, 1.0
    P[:, 1, 0, 1] = P[:, 2, 0, 2] = 1.0
    mdp = EpisodicMDP(P, np.zeros((3, 3, 1)), [1.0, 0.0, 0.0])
    reach = reachability(mdp)
    assert reach.states[2, 0] == 0 < reach.states_upper[2, 0]
    assert reach.states_lower[2, 0] == 0
    np.testing.assert_array_equal(reach.states_upper[:, 2], 0)
    one = reachability(mdp, [Policy.uniform(3, 1)])
    assert one.pairs[2, 0, 0] == 0 < one.pairs_upper[2, 0, 0]
    np.testing.assert_array_equal(one.pairs_upper[:, 2], 0)


def test_each_state_of_a_lock_can_be_reached_for_certain():
    """The code keeps the lock open, and every wrong action shuts it: each after the start at will."""
    reach = reachability(combination_lock(horizon=5, n_actions=3))
    np.testing.assert_array_equal(reach.states, [[1, 0], [1, 1], [1, 1], [1, 1], [1, 1]])


def test_stacked_occupancies_are_the_single_ones():
    mdp = random_mdp(0)
    policies = [random_policy(np.random.default_rng(i), *mdp.r.shape) for i in range(3)]
    stack = occupancy_measures(mdp, policies)
    for d, policy in zip(stack, policies, strict=True):
        np.testing.assert_array_equal(d, occupancy_measure(mdp, policy))


def test_a_component_of_weight_zero_reaches_nothing():
    mdp = combination_lock(horizon=2)
    right = Policy(np.stack([mdp.P[:, 0, :, 0], np.full((2, 2), 0.5)], axis=1))
    wrong = Policy(np.stack([mdp.P[:, 0, :, 1], np.full((2, 2), 0.5)], axis=1))
    reach = reachability(mdp, [MixturePolicy([1.0, 0.0], [right, wrong])])
    assert reach.states_upper[1, 1] == 0


def test_bad_sets_of_policies_are_refused():
    mdp = random_mdp(0, H=3, S=3, A=2)
    with pytest.raises(ValueError, match="policies must not be empty; use None for all policies"):
        reachability(mdp, [])
    with pytest.raises(ValueError, match=r"policy has \(S, A\) = \(2, 2\)"):
        reachability(mdp, [Policy.uniform(2, 2)])
