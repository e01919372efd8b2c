"""Classes of policies, counts and tasks: order, sums, files."""

import itertools

import numpy as np

from theoryrl.instances import offline_fork
from theoryrl.models import PolicyClass, TransitionCounts, load, save


def test_a_product_lists_every_choice_in_lexicographic_order():
    allowed = np.array(
        [[[True, False, True], [True, False, False]], [[True, True, True], [False, True, True]]]
    )
    policies = PolicyClass.product(allowed)
    choices = [np.flatnonzero(row) for row in allowed.reshape(4, 3)]
    expected = np.array(list(itertools.product(*choices))).reshape(-1, 2, 2)
    np.testing.assert_array_equal(policies.actions, expected)
    assert len(policies) == 2 * 1 * 3 * 2


def test_counts_add_up():
    task = offline_fork(offline_episodes=50)
    doubled = task.offline + task.offline
    np.testing.assert_array_equal(doubled.visits, 2 * task.offline.visits)
    assert TransitionCounts.empty((3, 6, 3)).visits.sum() == 0


def test_a_task_comes_back_from_a_file(tmp_path):
    task = offline_fork(offline_episodes=50)
    save(task, tmp_path / "task.npz")
    again = load(tmp_path / "task.npz")
    np.testing.assert_array_equal(again.offline.transitions, task.offline.transitions)
    np.testing.assert_array_equal(again.offline.reward_sums, task.offline.reward_sums)
    np.testing.assert_array_equal(again.policies.actions, task.policies.actions)
    np.testing.assert_array_equal(again.mdp.P, task.mdp.P)


def test_a_task_without_data_comes_back_from_a_file(tmp_path):
    save(offline_fork(offline_episodes=0), tmp_path / "task.npz")
    assert load(tmp_path / "task.npz").offline is None
