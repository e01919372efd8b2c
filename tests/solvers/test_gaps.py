"""Gaps of actions and policies: true bounds, and an honest answer to whether one is zero."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.exact import exact_action_values, exact_optimal_values, exact_policy_values, rational
from tests.generators import random_mdp, random_policy, recipes, seeds
from theoryrl.models import DeterministicPolicy, EpisodicMDP, MixturePolicy, Policy
from theoryrl.solvers import action_gaps, policy_gaps, reachable_states, suboptimality_gaps

TIGHT = 1e-12
"""Values of at most 4 have bounds a few hundred units of 2^-53 apart."""


def exact_gaps(mdp):
    V = np.vstack([exact_optimal_values(mdp), rational(np.zeros((1, mdp.n_states)))])
    return np.array([V[h][:, None] - exact_action_values(mdp, V[h + 1], h) for h in range(mdp.horizon)])


def assert_encloses(gaps, exact):
    assert (rational(gaps.lower) <= exact).all()
    assert (rational(gaps.upper) >= exact).all()
    assert (gaps.upper - gaps.lower <= TIGHT).all()
    assert (exact[gaps.positive] > 0).all()
    positive = exact[(exact > 0) & gaps.within]
    low, high = gaps.minimal_bounds
    if len(positive):
        assert low <= positive.min() <= high


@given(recipe=recipes())
def test_the_bounds_of_action_gaps_contain_the_rational_ones(recipe):
    mdp = random_mdp(**recipe)
    exact = exact_gaps(mdp)
    arrived = reachable_states(mdp)
    for reachable in (False, True):
        gaps = action_gaps(mdp, reachable)
        assert_encloses(gaps, exact)
        zeros = (exact == 0).sum(axis=-1)[arrived if reachable else slice(None)]
        if gaps.unique is not None:
            assert gaps.unique == (zeros == 1).all()
        if not gaps.undecided.any():
            np.testing.assert_array_equal(gaps.ties, exact == 0)
    np.testing.assert_array_equal(suboptimality_gaps(mdp), action_gaps(mdp).value)


@given(recipe=recipes(), seed=seeds)
def test_the_bounds_of_policy_gaps_contain_the_rational_ones(recipe, seed):
    mdp = random_mdp(**recipe)
    rng = np.random.default_rng(seed)
    policies = [random_policy(rng, *mdp.r.shape) for _ in range(4)]
    values = np.array([rational(mdp.rho) @ exact_policy_values(mdp, p)[0] for p in policies])
    gaps = policy_gaps(mdp, policies)
    assert_encloses(gaps, values.max() - values)
    if gaps.unique is not None:
        assert gaps.unique == ((values == values.max()).sum() == 1)


def test_copies_of_the_best_action_are_ties_and_not_a_small_gap():
    mdp = random_mdp(3, H=3, S=3, A=2)
    doubled = EpisodicMDP(np.tile(mdp.P, (1, 1, 2, 1)), np.tile(mdp.r, (1, 1, 2)), mdp.rho)
    assert action_gaps(mdp).unique is True
    gaps = action_gaps(doubled)
    assert gaps.unique is False
    assert gaps.minimal == pytest.approx(action_gaps(mdp).minimal, rel=1e-12)
    assert gaps.minimal_bounds[0] > 0


def test_a_tie_that_only_rounding_decides_is_left_open():
    """Action 0 earns .1 + .2, action 1 earns .3: in float64 they differ in the last bit."""
    P = np.ones((2, 1, 2, 1))
    mdp = EpisodicMDP(P, [[[0.1, 0.2]], [[0.2, 0.2]]], [1.0])
    assert action_gaps(mdp).unique is False  # the last stage pays the same for both
    P = np.zeros((2, 3, 2, 3))
    P[0, :, 0, 1] = P[0, :, 1, 2] = P[1, :, :, 0] = 1.0
    r = np.zeros((2, 3, 2))
    r[0, 0] = [0.1, 0.15]
    r[1, 1], r[1, 2] = [0.2, 0.1], [0.15, 0.1]
    gaps = action_gaps(EpisodicMDP(P, r, [1.0, 0.0, 0.0]), reachable=True)
    assert gaps.unique is None
    assert gaps.minimal_bounds[0] == 0
    assert gaps.undecided[0, 0].sum() == 1


def test_states_out_of_reach_can_be_left_out():
    """Both actions are alike in a state that no policy enters."""
    P = np.zeros((1, 2, 2, 2))
    P[..., 0] = 1.0
    mdp = EpisodicMDP(P, [[[0.25, 0.75], [0.5, 0.5]]], [1.0, 0.0])
    assert action_gaps(mdp).unique is False
    assert action_gaps(mdp, reachable=True).unique is True
    assert action_gaps(mdp).minimal == 0.5


def test_without_a_choice_there_is_no_gap():
    gaps = action_gaps(random_mdp(0, A=1))
    assert gaps.minimal == np.inf
    assert gaps.minimal_bounds == (np.inf, np.inf)
    assert gaps.unique is True


def test_the_same_policy_twice_is_a_tie():
    mdp = random_mdp(0, H=3, S=3, A=2)
    good, other = DeterministicPolicy(mdp.r.argmax(axis=2), 2), Policy.uniform(3, 2)
    twice = policy_gaps(mdp, [good, other, DeterministicPolicy(good.actions.copy(), 2)])
    assert twice.unique is False
    np.testing.assert_array_equal(twice.ties, [True, False, True])
    mixture = MixturePolicy([1.0], [good])
    assert policy_gaps(mdp, [good, mixture]).unique is None
    with pytest.raises(ValueError, match="policies must not be empty"):
        policy_gaps(mdp, [])


@settings(max_examples=25)
@given(recipe=recipes())
def test_the_best_of_all_policies_is_what_its_action_gaps_say(recipe):
    """A deterministic policy is optimal exactly if its actions have no gap where it goes."""
    mdp = random_mdp(**recipe)
    rng = np.random.default_rng(recipe["seed"])
    greedy = DeterministicPolicy(action_gaps(mdp).value.argmin(axis=2), mdp.n_actions)
    other = DeterministicPolicy(rng.integers(mdp.n_actions, size=mdp.r.shape[:2]), mdp.n_actions)
    assert policy_gaps(mdp, [greedy, other]).upper[0] <= TIGHT
