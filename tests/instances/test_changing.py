"""Problems that change, and the stationary ones between which they change: known gains and diameters."""

import numpy as np
import pytest

from theoryrl.instances import (
    average_gridworld,
    dying_arm,
    even_changes,
    flipping_riverswim,
    harmless_change,
    moving_goal,
    one_pair_change,
    random_average,
    six_arms,
    switching_random,
    unseen_change,
)
from theoryrl.solvers import diameter, solve


def test_six_arms_pays_its_best_door_and_takes_a_hundred_and_one_steps():
    mdp = six_arms()
    assert solve(mdp).value[0] == pytest.approx(1.0, abs=1e-6)
    assert diameter(mdp).value == pytest.approx(101.0, rel=1e-9)


def test_a_goal_two_steps_away_is_reached_every_third_step_without_slip():
    assert solve(average_gridworld(2, 2, slip=0.0)).value[0] == pytest.approx(1 / 3, abs=1e-6)


@pytest.mark.parametrize("goal", range(-4, 4))
def test_every_goal_can_be_reached_again_and_again(goal):
    assert np.isfinite(diameter(average_gridworld(2, 2, goal=goal)).value)


@pytest.mark.parametrize("mixing", [0.05, 0.5, 1.0])
def test_mixing_bounds_the_diameter(mixing):
    assert diameter(random_average(5, 3, mixing, seed=3)).value <= 5 / mixing


def test_changes_cut_the_time_evenly():
    assert even_changes(100, 3).tolist() == [25, 50, 75]
    assert even_changes(5, 0).tolist() == []
    with pytest.raises(ValueError, match="rounds must be at least 4"):
        even_changes(3, 3)


def test_every_row_changes_when_actions_flip():
    model = flipping_riverswim(5)
    assert (np.abs(model.P[1] - model.P[0]).sum(axis=-1) > 0).all()


def test_few_rows_change_when_the_goal_moves():
    model = moving_goal()
    changed = np.abs(model.P[1] - model.P[0]).sum(axis=-1).any(axis=-1)
    assert np.flatnonzero(changed).tolist() == [12, 15]


def test_a_harmless_change_lowers_the_gain_and_keeps_the_policy():
    found = solve(harmless_change())
    np.testing.assert_allclose(found.value[:2], [0.4311, 0.0894], rtol=0, atol=5e-5)
    np.testing.assert_array_equal(found.policy.actions[0], found.policy.actions[1])


def test_one_pair_turns_the_policy_round():
    model = one_pair_change()
    assert (model.P[0] == model.P[1]).all()
    assert (model.r[0] != model.r[1]).sum() == 1
    actions = solve(model).policy.actions
    assert (actions[0] == 1).all()
    assert actions[1, 0] == 0


def test_bandits_change_one_arm_only():
    assert solve(unseen_change()).value.tolist() == pytest.approx([0.6, 0.95], abs=1e-8)
    assert solve(dying_arm()).value.tolist() == pytest.approx([0.9, 0.5], abs=1e-8)
    for model in (unseen_change(), dying_arm()):
        assert (model.r[0] != model.r[1]).sum() == 1


def test_a_sequence_of_random_models_has_a_name():
    first, same, other = switching_random(seed=1), switching_random(seed=1), switching_random(seed=2)
    np.testing.assert_array_equal(first.P, same.P)
    assert (first.P != other.P).any()
    assert (first.P[0] != first.P[1]).any()
