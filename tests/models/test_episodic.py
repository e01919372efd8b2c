"""What an episodic MDP and a policy say of themselves."""

import numpy as np
import pytest
from hypothesis import given

from tests.generators import random_mdp, random_policy, random_rows, recipes
from theoryrl.models import DeterministicPolicy, EpisodicMDP, MixturePolicy, Policy, RewardNoise


@given(recipe=recipes())
def test_sizes(recipe):
    mdp = random_mdp(**recipe)
    assert (mdp.horizon, mdp.n_states, mdp.n_actions) == (recipe["H"], recipe["S"], recipe["A"])
    assert repr(mdp) == f"EpisodicMDP(H={recipe['H']}, S={recipe['S']}, A={recipe['A']})"
    assert mdp.has_unit_rewards == (mdp.r.min() >= 0)


def test_a_stationary_model_repeats_its_stage():
    one = random_mdp(0, H=1)
    mdp = EpisodicMDP.stationary(one.P[0], one.r[0], one.rho, 4, noise=RewardNoise("bernoulli"))
    assert mdp.horizon == 4
    assert mdp.noise.kind == "bernoulli"
    for h in range(4):
        np.testing.assert_array_equal(mdp.P[h], one.P[0])
        np.testing.assert_array_equal(mdp.r[h], one.r[0])


def test_the_code_of_a_noise_is_its_place_in_the_list():
    assert [RewardNoise(kind).code for kind in RewardNoise.KINDS] == [0, 1, 2, 3]


def test_a_stationary_policy_fits_every_horizon():
    policy = Policy(random_rows(np.random.default_rng(0), (3, 2), False))
    assert policy.horizon is None
    np.testing.assert_array_equal(policy.stages(4), [policy.probabilities] * 4)
    fixed = DeterministicPolicy([1, 0, 1], 2)
    assert fixed.horizon is None
    np.testing.assert_array_equal(fixed.stages(2), [[[0, 1], [1, 0], [0, 1]]] * 2)


def test_a_policy_of_other_length_does_not_fit():
    policy = random_policy(np.random.default_rng(0), 3, 2, 2)
    np.testing.assert_array_equal(policy.stages(3), policy.probabilities)
    for wrong in (policy, DeterministicPolicy(np.zeros((3, 2), int), 2)):
        with pytest.raises(ValueError, match="policy has 3 stages; the model has 4"):
            wrong.stages(4)


def test_a_deterministic_policy_is_a_policy_of_zeros_and_ones():
    actions = np.random.default_rng(0).integers(3, size=(4, 5))
    policy = DeterministicPolicy(actions, 3)
    assert policy.probabilities.shape == (4, 5, 3)
    np.testing.assert_array_equal(policy.probabilities.argmax(axis=-1), actions)
    np.testing.assert_array_equal(policy.probabilities.sum(axis=-1), 1)
    np.testing.assert_array_equal(np.unique(policy.probabilities), [0, 1])
    with pytest.raises(ValueError, match="read-only"):
        policy.probabilities[0] = 0


def test_a_trusted_policy_is_the_array_itself():
    actions = np.zeros((2, 3), dtype=np.int64)
    policy = DeterministicPolicy.trusted(actions, 2)
    assert policy.actions is actions
    assert (policy.horizon, policy.n_states, policy.n_actions) == (2, 3, 2)


@pytest.mark.parametrize("n_actions", [1, 2, 3, 7, 49])
def test_the_uniform_policy_is_a_policy(n_actions):
    np.testing.assert_array_equal(Policy.uniform(2, n_actions).probabilities, 1 / n_actions)


def test_a_mixture_has_the_sizes_of_its_components():
    policies = [Policy.uniform(2, 3), DeterministicPolicy([0, 1], 3)]
    mixture = MixturePolicy([0.25, 0.75], policies)
    assert (mixture.n_states, mixture.n_actions) == (2, 3)
    assert mixture.policies == tuple(policies)
