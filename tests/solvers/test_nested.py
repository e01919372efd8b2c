"""Nested policies, mixtures at one stage (Lemma 1 of StepMix), and the performance difference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generators import random_mdp, random_policy, recipes, seeds
from theoryrl.models import DeterministicPolicy, EpisodicMDP, Policy
from theoryrl.solvers import (
    mix_at_stage,
    nested_policy,
    occupancy_measure,
    performance_difference,
    policy_value,
)

IDENTITY = 1e-12
"""What the lemmas promise: far above the rounding of these sizes (H, S, A <= 4, |V| <= 4), which
stays below 4 * 16 * 4 * 2^-53 = 3e-14."""

CASES = {"recipe": recipes(), "seed": seeds, "switch": st.integers(0, 4), "weight": st.floats(0, 1)}


def two_policies(mdp, seed):
    rng = np.random.default_rng(seed)
    sizes = mdp.r.shape
    return random_policy(rng, *sizes), DeterministicPolicy(rng.integers(sizes[2], size=sizes[:2]), sizes[2])


@given(recipe=recipes(), seed=seeds, switch=st.integers(0, 4))
def test_a_nested_policy_is_the_head_and_then_the_tail(recipe, seed, switch):
    mdp = random_mdp(**recipe)
    H, switch = mdp.horizon, min(switch, mdp.horizon)
    head, tail = two_policies(mdp, seed)
    nested = nested_policy(head, tail, switch, H).probabilities
    np.testing.assert_array_equal(nested[:switch], head.probabilities[:switch])
    np.testing.assert_array_equal(nested[switch:], tail.probabilities[switch:])


@given(**CASES)
def test_lemma_1_value_and_occupancy_are_linear_in_the_weight(recipe, seed, switch, weight):
    mdp = random_mdp(**recipe)
    H, stage = mdp.horizon, switch % mdp.horizon
    head, tail = two_policies(mdp, seed)
    more, less = nested_policy(head, tail, stage + 1, H), nested_policy(head, tail, stage, H)
    mixed = mix_at_stage(more, less, stage, weight, H)
    np.testing.assert_allclose(
        policy_value(mdp, mixed),
        weight * policy_value(mdp, more) + (1 - weight) * policy_value(mdp, less),
        rtol=0,
        atol=IDENTITY,
    )
    np.testing.assert_allclose(
        occupancy_measure(mdp, mixed),
        weight * occupancy_measure(mdp, more) + (1 - weight) * occupancy_measure(mdp, less),
        rtol=0,
        atol=IDENTITY,
    )


def test_lemma_1_fails_when_two_stages_are_mixed():
    """The all-or-nothing model: one only if action 0 is taken twice. So the lemma's check can fail."""
    P = np.zeros((2, 2, 2, 2))
    P[0, 0, 0, 0] = P[0, 0, 1, 1] = 1
    P[0, 1, :, 1] = P[1, :, :, 1] = 1
    r = np.zeros((2, 2, 2))
    r[1, 0, 0] = 1
    mdp = EpisodicMDP(P, r, [1.0, 0.0])
    first, second = (DeterministicPolicy(np.full((2, 2), a), 2) for a in range(2))
    assert policy_value(mdp, first) == 1
    assert policy_value(mdp, second) == 0
    assert policy_value(mdp, Policy.uniform(2, 2)) == 0.25 != 0.5


def test_the_ends_of_the_mixture_are_the_policies_themselves():
    mdp = random_mdp(0)
    head, tail = two_policies(mdp, 0)
    more, less = nested_policy(head, tail, 2, 3), nested_policy(head, tail, 1, 3)
    np.testing.assert_array_equal(mix_at_stage(more, less, 1, 1.0, 3).probabilities, more.probabilities)
    np.testing.assert_array_equal(mix_at_stage(more, less, 1, 0.0, 3).probabilities, less.probabilities)


def test_a_mixture_at_one_stage_needs_policies_that_agree_elsewhere():
    mdp = random_mdp(0)
    head, tail = two_policies(mdp, 0)
    with pytest.raises(ValueError, match="policies must agree at every stage except stage = 1"):
        mix_at_stage(head, tail, 1, 0.5, 3)
    same = nested_policy(head, tail, 1, 3)
    for stage in (-1, 3):
        with pytest.raises(ValueError, match=f"stage must be at least 0 and at most 2; got {stage}"):
            mix_at_stage(same, same, stage, 0.5, 3)
    for weight in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=rf"weight must be a finite number in \[0, 1\]; got {weight}"):
            mix_at_stage(same, same, 1, weight, 3)
    for switch in (-1, 4):
        with pytest.raises(ValueError, match=f"switch must be at least 0 and at most 3; got {switch}"):
            nested_policy(head, tail, switch, 3)


@given(recipe=recipes(), seed=seeds)
def test_the_performance_difference_identity(recipe, seed):
    mdp = random_mdp(**recipe)
    policy, reference = two_policies(mdp, seed)
    for left, right in (
        performance_difference(mdp, policy, reference),
        performance_difference(mdp, reference, policy),
    ):
        assert abs(left - right) <= IDENTITY
    assert left == pytest.approx(policy_value(mdp, reference) - policy_value(mdp, policy), abs=IDENTITY)
