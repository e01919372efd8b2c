"""Occupancy measures: laws of (s_h, a_h), flows, and values as inner products."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.exact import paths, rational, rounding
from tests.generators import random_mdp, random_mixture, random_policy, recipes, seeds
from theoryrl.models import DeterministicPolicy, Policy
from theoryrl.solvers import (
    flow_constraints,
    occupancy_measure,
    policy_evaluation,
    policy_from_occupancy,
)


def mass_rounding(mdp):
    """Twice the rounding of H steps of the state law, each a sum of S A products of probabilities,
    plus the row sums, which validation allows to be off by a few units of rounding."""
    return 4 * rounding(mdp.horizon, mdp.n_states * mdp.n_actions + mdp.n_states + 2)


@settings(max_examples=40)
@given(recipe=recipes(max_horizon=3, max_states=3, max_actions=2), seed=seeds)
def test_it_is_the_probability_of_each_state_and_action(recipe, seed):
    mdp = random_mdp(**recipe)
    policy = random_policy(np.random.default_rng(seed), *mdp.r.shape, sparse=True)
    law = rational(np.zeros(mdp.r.shape))
    for path, p in paths(mdp, policy.probabilities):
        for h in range(mdp.horizon):
            law[h, path[2 * h], path[2 * h + 1]] += p
    d = occupancy_measure(mdp, policy)
    assert np.abs(rational(d) - law).max() <= mass_rounding(mdp)
    np.testing.assert_array_equal(d > 0, law > 0)


@given(recipe=recipes(), seed=seeds)
def test_each_stage_sums_to_one_and_flow_is_conserved(recipe, seed):
    mdp = random_mdp(**recipe)
    policy = random_mixture(np.random.default_rng(seed), *mdp.r.shape)
    d = occupancy_measure(mdp, policy)
    assert d.min() >= 0
    np.testing.assert_allclose(d.sum(axis=(1, 2)), 1, rtol=0, atol=mass_rounding(mdp))
    matrix, right = flow_constraints(mdp.P, mdp.rho)
    assert matrix.shape == (mdp.horizon * mdp.n_states, d.size)
    np.testing.assert_allclose(matrix @ d.ravel(), right, rtol=0, atol=mass_rounding(mdp))


def test_the_flow_constraints_are_what_they_say():
    """Row (h, s) against the sums written out, for a d that satisfies nothing."""
    mdp = random_mdp(5, H=3, S=2, A=2)
    d = np.random.default_rng(0).random(mdp.r.shape)
    matrix, right = flow_constraints(mdp.P, mdp.rho)
    expected = d.sum(axis=2)
    expected[1:] -= np.einsum("hsa,hsat->ht", d[:-1], mdp.P[:-1])
    np.testing.assert_allclose((matrix @ d.ravel()).reshape(3, 2), expected, rtol=0, atol=mass_rounding(mdp))
    np.testing.assert_array_equal(right.reshape(3, 2), [mdp.rho, [0, 0], [0, 0]])


@given(recipe=recipes(), seed=seeds)
def test_the_value_is_the_inner_product_with_the_rewards(recipe, seed):
    mdp = random_mdp(**recipe)
    for policy in (mixture := random_mixture(np.random.default_rng(seed), *mdp.r.shape), *mixture.policies):
        value = policy_evaluation(mdp, policy).start_value
        tolerance = mdp.r.size * mass_rounding(mdp)
        assert abs(np.sum(occupancy_measure(mdp, policy) * mdp.r) - value) <= tolerance


@given(recipe=recipes(), seed=seeds)
def test_that_of_a_mixture_is_the_weighted_average(recipe, seed):
    mdp = random_mdp(**recipe)
    mixture = random_mixture(np.random.default_rng(seed), *mdp.r.shape)
    average = sum(
        w * occupancy_measure(mdp, policy)
        for w, policy in zip(mixture.weights, mixture.policies, strict=True)
    )
    np.testing.assert_allclose(occupancy_measure(mdp, mixture), average, rtol=0, atol=mass_rounding(mdp))


@given(recipe=recipes(), seed=seeds)
def test_a_mixture_has_the_occupancy_of_the_markov_policy_that_it_induces(recipe, seed):
    """Every occupancy measure, of a non-Markov policy too, is that of a Markov policy (Puterman 6.9)."""
    mdp = random_mdp(**recipe)
    d = occupancy_measure(mdp, random_mixture(np.random.default_rng(seed), *mdp.r.shape))
    np.testing.assert_allclose(
        occupancy_measure(mdp, policy_from_occupancy(d)), d, rtol=0, atol=2 * mass_rounding(mdp)
    )


def test_a_policy_from_an_occupancy_is_uniform_where_there_is_no_mass():
    d = np.zeros((1, 2, 2))
    d[0, 1] = [0.25, 0.75]
    np.testing.assert_array_equal(policy_from_occupancy(d).probabilities, [[[0.5, 0.5], [0.25, 0.75]]])


def test_solver_noise_below_zero_is_not_a_probability():
    d = np.array([[[-1e-12, 0.5], [0.5, 0.0]]])
    np.testing.assert_array_equal(policy_from_occupancy(d).probabilities, [[[0, 1], [1, 0]]])


def test_policies_of_other_sizes_are_refused():
    mdp = random_mdp(0, H=3, S=3, A=2)
    with pytest.raises(ValueError, match=r"policy has \(S, A\) = \(3, 3\)"):
        occupancy_measure(mdp, Policy.uniform(3, 3))
    with pytest.raises(ValueError, match="policy has 2 stages"):
        occupancy_measure(mdp, DeterministicPolicy(np.zeros((2, 3), int), 2))
