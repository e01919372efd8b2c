"""The bias is the largest that any policy with the largest gain has, exactly."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.exact import rational
from tests.exact_chains import chain_of, deterministic_policies, gain_and_bias_of_chain
from tests.generators_stationary import average_mdp, stationary_recipes
from theoryrl.instances import average_riverswim
from theoryrl.models import AverageRewardMDP
from theoryrl.solvers.average import bias_optimal_policy, gain_and_bias, policy_iteration


@settings(max_examples=40)
@given(recipe=stationary_recipes())
def test_no_policy_with_the_largest_gain_has_a_larger_bias_anywhere(recipe):
    mdp = average_mdp(**recipe)
    answers = [gain_and_bias_of_chain(*chain_of(mdp, actions)) for actions in deterministic_policies(mdp)]
    gain = np.array([g for g, _ in answers]).max(axis=0)
    bias = np.array([h for g, h in answers if (g == gain).all()]).max(axis=0)
    found = bias_optimal_policy(mdp)
    own = gain_and_bias_of_chain(*chain_of(mdp, found.policy.actions))
    assert (own[0] == gain).all()
    assert (own[1] == bias).all()
    for low, exact, high in ((found.lower, gain, found.upper), (found.bias_lower, bias, found.bias_upper)):
        assert (rational(low) <= exact).all()
        assert (rational(high) >= exact).all()


def test_a_detour_costs_bias_but_no_gain():
    """From state 0 to the absorbing 1, at once or after a step that earns 1/4: the gain is 1 either way."""
    P = np.zeros((3, 2, 3))
    P[0, 0, 1] = P[0, 1, 2] = 1.0
    P[1, :, 1] = P[2, :, 1] = 1.0
    mdp = AverageRewardMDP(P, [[0.5, 0.5], [1.0, 1.0], [0.25, 0.25]])
    found = bias_optimal_policy(mdp)
    assert found.policy.actions[0] == 0
    np.testing.assert_array_equal(found.bias, [-0.5, 0.0, -0.75])
    late = gain_and_bias(mdp, type(found.policy)(np.array([1, 0, 0]), 2))
    assert late.value[0] == pytest.approx(1.0)
    assert late.bias[0] == pytest.approx(-1.25)


def test_riverswim_is_solved_exactly():
    found = bias_optimal_policy(average_riverswim(20))
    assert np.abs(found.value - policy_iteration(average_riverswim(20)).value).max() <= 1e-6
    assert (found.policy.actions == 1).all()


def test_large_models_are_refused():
    with pytest.raises(ValueError, match="mdp must have at most 60 states; it has 61"):
        bias_optimal_policy(average_riverswim(61))
