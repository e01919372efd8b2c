"""The smallest positive occupancy: enclosed, and exact where paths do not share states."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.exact import all_deterministic_policies, exact_occupancy
from tests.generators import random_mdp, recipes, seeds
from theoryrl.instances import combination_lock
from theoryrl.models import EpisodicMDP
from theoryrl.solvers import occupancy_measure, smallest_positive_occupancy

ROUNDING = 1e-12
"""Relative; three stages of sums of at most six products."""


def exact_smallest(mdp):
    every = (exact_occupancy(mdp, policy) for policy in all_deterministic_policies(mdp))
    return min(x for d in every for x in d.ravel() if x > 0)


@settings(max_examples=25)
@given(recipe=recipes(max_horizon=3, max_states=2, max_actions=2))
def test_the_bounds_contain_the_enumeration_of_all_policies_in_rational_arithmetic(recipe):
    mdp = random_mdp(**recipe)
    w = smallest_positive_occupancy(mdp)
    assert w.lower <= exact_smallest(mdp) <= w.upper
    own = exact_occupancy(mdp, w.policy)[w.cell]
    assert own[own > 0].min() <= w.upper


@pytest.mark.parametrize("seed", range(4))
def test_the_bounds_contain_it_with_three_states_and_many_zeros(seed):
    mdp = random_mdp(seed, H=2, S=3, A=2, sparse=True)
    w = smallest_positive_occupancy(mdp)
    assert w.lower <= exact_smallest(mdp) <= w.upper


@given(recipe=recipes(), seed=seeds)
def test_of_a_deterministic_model_it_is_one(recipe, seed):
    mdp = random_mdp(**recipe)
    rng = np.random.default_rng(seed)
    P = np.eye(mdp.n_states)[rng.integers(mdp.n_states, size=mdp.r.shape)]
    w = smallest_positive_occupancy(EpisodicMDP(P, mdp.r, np.eye(mdp.n_states)[0], mdp.reward_range))
    assert w.value == 1
    assert 1 - ROUNDING <= w.lower <= 1 <= w.upper <= 1 + ROUNDING


def test_it_takes_one_path_and_not_the_least_marginals():
    """A chain that moves on with probability p, or not at all: reaching the end takes p^2, staying 1."""
    p = 0.3
    P = np.zeros((3, 3, 2, 3))
    for s in range(3):
        P[:, s, 0, s] = 1.0
        P[:, s, 1, min(s + 1, 2)] += p
        P[:, s, 1, s] += 1 - p
    w = smallest_positive_occupancy(EpisodicMDP(P, np.zeros((3, 3, 2)), [1.0, 0.0, 0.0]))
    assert w.cell == (2, 2)
    assert w.lower == pytest.approx(p**2, rel=ROUNDING)
    assert w.upper == pytest.approx(p**2, rel=ROUNDING)


def test_the_bounds_can_differ_and_both_stay_true():
    """Here every policy that takes the rare path also arrives by another one that shares its states."""
    mdp = random_mdp(7, H=3, S=3, A=2, sparse=True)
    every = (occupancy_measure(mdp, policy) for policy in all_deterministic_policies(mdp))
    smallest = min(d[d > 0].min() for d in every)
    w = smallest_positive_occupancy(mdp)
    assert w.lower < 0.9 * smallest
    assert smallest <= w.upper


def test_of_a_lock_it_is_one():
    assert smallest_positive_occupancy(combination_lock(horizon=4)).value == 1


@given(recipe=recipes(), seed=seeds)
def test_where_every_transition_is_possible_it_is_the_least_probability_of_any_state(recipe, seed):
    """Nothing has to be forced then, and the least probability is a dynamic program of its own."""
    mdp = random_mdp(**{**recipe, "sparse": False})
    least = [mdp.rho]
    for h in range(1, mdp.horizon):
        m = np.eye(mdp.n_states)
        for k in range(h - 1, -1, -1):
            m = (mdp.P[k] @ m).min(axis=1)
        least.append(mdp.rho @ m)
    w = smallest_positive_occupancy(mdp)
    assert w.value == pytest.approx(np.min(least), rel=ROUNDING)
    assert w.gap <= ROUNDING * w.value


def test_ways_that_meet_again_are_added_up():
    """Action 1 leaves for states 1 and 2, evenly; both go on to state 3 with probability .3. Whoever
    leaves arrives with .3, not with the .15 of a single path; action 0 avoids it all."""
    P = np.zeros((3, 5, 2, 5))
    P[0, 0, 0, 4] = 1.0
    P[0, 0, 1, 1:3] = 0.5
    P[1, 1:3, :, 3], P[1, 1:3, :, 4] = 0.3, 0.7
    P[0, 1:, :, 4] = P[1, 0, :, 4] = P[1, 3:, :, 4] = P[2, :, :, 4] = 1.0
    w = smallest_positive_occupancy(EpisodicMDP(P, np.zeros((3, 5, 2)), np.eye(5)[0]))
    assert w.cell == (2, 3)
    assert w.value == pytest.approx(0.3, rel=ROUNDING)
    assert w.gap <= ROUNDING
