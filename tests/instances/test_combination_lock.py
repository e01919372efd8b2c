"""A combination lock is worth 1, and only to whoever knows the whole combination."""

import numpy as np
import pytest

from theoryrl.instances import combination_lock
from theoryrl.models import Policy
from theoryrl.solvers import backward_induction, policy_value

ROUNDING = 1e-14
"""More than 4 H unit round-offs of values up to 1."""


@pytest.mark.parametrize("distractor", [0.0, 0.3, 0.99])
@pytest.mark.parametrize(("horizon", "n_actions"), [(1, 2), (6, 2), (4, 5)])
def test_the_optimum_is_one_and_a_first_mistake_is_worth_the_distractor(horizon, n_actions, distractor):
    solution = backward_induction(combination_lock(horizon, n_actions, distractor, seed=3))
    combination = np.random.default_rng(3).integers(n_actions, size=horizon)
    right = combination[:, None] == np.arange(n_actions)
    np.testing.assert_allclose(solution.action_values[:, 0], np.where(right, 1.0, distractor), atol=ROUNDING)
    assert solution.start_value == 1
    np.testing.assert_array_equal(solution.policy.actions[:, 0], combination)


@pytest.mark.parametrize("distractor", [0.0, 0.3])
def test_the_uniform_policy_opens_it_with_probability_one_over_all_combinations(distractor):
    q = 3.0**-4
    value = policy_value(combination_lock(4, 3, distractor), Policy.uniform(2, 3))
    assert value == pytest.approx(q + (1 - q) * distractor, abs=ROUNDING)


def test_the_dead_state_is_absorbing_and_pays_nothing():
    model = combination_lock(distractor=0.5)
    np.testing.assert_array_equal(model.P[:, 1, :, 1], 1)
    np.testing.assert_array_equal(model.r[:, 1], 0)
