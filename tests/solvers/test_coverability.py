"""Coverability against its definition, by enumeration and by linear programming."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from tests.exact import all_deterministic_policies, exact_occupancy, rational
from tests.generators import random_mdp, random_policy, random_rows, recipes, seeds
from theoryrl.models import EpisodicMDP, MixturePolicy
from theoryrl.solvers import concentrability, coverability, coverability_distribution, occupancy_measures

ROUNDING = 1e-12
"""Relative; sums of at most 4 * 4 * 3 products of numbers in [0, 1], a few hundred units of 2^-53."""
HIGHS = 1e-6
"""Ten times the feasibility tolerance of HiGHS."""

SMALL = recipes(max_horizon=3, max_states=2, max_actions=2)


def policies_of(mdp, seed, size=3):
    rng = np.random.default_rng(seed)
    return [random_policy(rng, *mdp.r.shape, sparse=True) for _ in range(size)]


@settings(max_examples=25)
@given(recipe=SMALL)
def test_the_dynamic_program_is_the_enumeration_of_all_policies_in_rational_arithmetic(recipe):
    mdp = random_mdp(**recipe)
    d = np.array([exact_occupancy(mdp, policy) for policy in all_deterministic_policies(mdp)])
    exact = d.max(axis=0).sum(axis=(1, 2))
    C = coverability(mdp)
    assert (rational(C.stage_lower) <= exact).all()
    assert (rational(C.stage_upper) >= exact).all()
    assert C.lower <= exact.max() <= C.upper
    assert C.gap <= ROUNDING * C.value
    assert C.value == C.stages.max()


@settings(max_examples=25)
@given(recipe=recipes(max_horizon=2, max_states=3, max_actions=2), seed=seeds)
def test_no_distribution_covers_better(recipe, seed):
    """The definition itself: minimise C over mu with d^pi <= C mu; y = C mu makes it a linear program."""
    mdp = random_mdp(**recipe)
    policies = policies_of(mdp, seed)
    d = occupancy_measures(mdp, policies)
    C = coverability(mdp, policies)
    for h in range(mdp.horizon):
        rows = d[:, h].reshape(len(policies), -1)
        best = linprog(np.ones(rows.shape[1]), bounds=[(low, None) for low in rows.max(axis=0)])
        assert best.status == 0
        assert abs(best.fun - C.stages[h]) <= HIGHS


@given(recipe=recipes(), seed=seeds)
def test_its_distribution_attains_it_and_every_other_one_is_worse(recipe, seed):
    mdp = random_mdp(**recipe)
    rng = np.random.default_rng(seed)
    for policies in (None, policies_of(mdp, seed)):
        C = coverability(mdp, policies)
        np.testing.assert_array_equal(C.distribution, coverability_distribution(mdp, policies))
        np.testing.assert_allclose(C.distribution.sum(axis=(1, 2)), 1, rtol=0, atol=ROUNDING)
        attained = concentrability(mdp, C.distribution, policies)
        np.testing.assert_allclose(attained.stages, C.stages, rtol=ROUNDING)
        other = random_rows(rng, (mdp.horizon, mdp.n_states * mdp.n_actions), False).reshape(mdp.r.shape)
        assert (concentrability(mdp, other, policies).stage_upper >= C.stage_lower).all()


@given(recipe=recipes(), seed=seeds)
def test_it_lies_between_one_and_the_number_of_pairs_and_of_policies(recipe, seed):
    mdp = random_mdp(**recipe)
    pairs = mdp.n_states * mdp.n_actions
    C = coverability(mdp)
    assert mdp.n_actions * (1 - ROUNDING) <= C.value <= pairs * (1 + ROUNDING)
    D = coverability(mdp, policies_of(mdp, seed))
    assert 1 - ROUNDING <= D.value <= min(3, pairs) * (1 + ROUNDING)


@given(recipe=recipes(), seed=seeds)
def test_it_grows_with_the_set_of_policies(recipe, seed):
    mdp = random_mdp(**recipe)
    policies = policies_of(mdp, seed, size=4)
    chain = [coverability(mdp, policies[:n]) for n in (1, 2, 4)] + [coverability(mdp)]
    for smaller, larger in itertools.pairwise(chain):
        assert (smaller.stage_lower <= larger.stage_upper).all()


@given(recipe=recipes(), seed=seeds)
def test_a_mixture_of_members_adds_nothing(recipe, seed):
    mdp = random_mdp(**recipe)
    policies = policies_of(mdp, seed)
    mixture = MixturePolicy([0.2, 0.3, 0.5], policies)
    np.testing.assert_allclose(
        coverability(mdp, [*policies, mixture]).stages, coverability(mdp, policies).stages, rtol=ROUNDING
    )


@given(recipe=recipes(), seed=seeds)
def test_relabelling_states_and_actions_changes_nothing_but_the_labels(recipe, seed):
    mdp = random_mdp(**recipe)
    rng = np.random.default_rng(seed)
    s, a = rng.permutation(mdp.n_states), rng.permutation(mdp.n_actions)
    relabelled = EpisodicMDP(
        mdp.P[:, s][:, :, a][:, :, :, s], mdp.r[:, s][:, :, a], mdp.rho[s], mdp.reward_range
    )
    before, after = coverability(mdp), coverability(relabelled)
    np.testing.assert_allclose(after.stages, before.stages, rtol=ROUNDING)
    np.testing.assert_allclose(after.distribution, before.distribution[:, s][:, :, a], rtol=ROUNDING, atol=0)


@settings(max_examples=50)
@given(recipe=recipes(), copies=st.integers(2, 3))
def test_copies_of_every_action_multiply_it(recipe, copies):
    """Each copy of an action must be covered: A is a factor of the coverability of all policies."""
    mdp = random_mdp(**recipe)
    more = EpisodicMDP(
        np.tile(mdp.P, (1, 1, copies, 1)), np.tile(mdp.r, (1, 1, copies)), mdp.rho, mdp.reward_range
    )
    np.testing.assert_allclose(coverability(more).stages, copies * coverability(mdp).stages, rtol=ROUNDING)


def block_model(observations):
    """Two latent states and two actions, each latent state seen as one of many observations.

    The good state is kept by action 0; everything else leads to the bad one, which is absorbing.
    """
    S = 2 * observations
    emission = np.zeros((2, S))
    emission[0, :observations] = emission[1, observations:] = 1 / observations
    P = np.zeros((3, S, 2, S))
    P[:, :observations, 0] = emission[0]
    P[:, :observations, 1] = P[:, observations:, :] = emission[1]
    return EpisodicMDP(P, np.zeros((3, S, 2)), emission[0])


@pytest.mark.parametrize("observations", [5, 20, 60])
def test_rich_observations_of_few_latent_states_leave_it_small(observations):
    """At most latent states times actions, here 4, however many observations there are."""
    assert coverability(block_model(observations)).value == pytest.approx(4, rel=ROUNDING)


def test_the_forward_pass_over_largest_marginals_is_another_number():
    """The mistake that the dynamic program avoids: no single policy attains both marginals at once."""
    P = np.zeros((3, 3, 2, 3))
    P[0, 0, 0, 1] = P[0, 0, 1, 2] = 1.0
    P[0, 1:, :, 0] = 1.0
    P[1, :, :, 0] = 1.0  # from either state, everything arrives in state 0
    P[2, :, :, 0] = 1.0
    mdp = EpisodicMDP(P, np.zeros((3, 3, 2)), [1.0, 0.0, 0.0])
    reach = mdp.rho
    for h in range(2):
        reach = np.einsum("s,sat->sat", reach, mdp.P[h]).max(axis=1).sum(axis=0)
    assert 2 * reach.sum() == 4
    np.testing.assert_array_equal(coverability(mdp).stages, [2, 4, 2])
