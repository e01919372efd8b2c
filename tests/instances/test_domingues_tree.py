"""The lower-bound tree is a bandit with Hbar L A arms, one of which is better."""

from itertools import product

import numpy as np
import pytest

from theoryrl.instances import domingues_tree
from theoryrl.models import DeterministicPolicy, Policy
from theoryrl.solvers import backward_induction, occupancy_measure, policy_value

ROUNDING = 1e-12
"""More than H (S + A + 2) unit round-offs of values up to 10."""

TREES = [
    {"n_actions": 2, "depth": 3, "horizon": 12, "waiting": 4, "delay": 1, "leaf": 2, "action": 1},
    {"n_actions": 3, "depth": 2, "horizon": 7, "waiting": 3, "delay": 2, "leaf": 0, "action": 0},
    {"n_actions": 2, "depth": 1, "horizon": 4, "waiting": 2, "delay": 0, "leaf": 0, "action": 1},
    {"n_actions": 4, "depth": 2, "horizon": 4, "waiting": 1, "delay": 0, "leaf": 3, "action": 2},
]


def paying_stages(tree):
    return tree["horizon"] - tree["waiting"] - tree["depth"]


def pull(tree, delay, leaf, action):
    """The deterministic policy that departs after `delay` stages for a leaf and takes an action there."""
    A, d, H = tree["n_actions"], tree["depth"], tree["horizon"]
    actions = np.zeros((H, (A**d - 1) // (A - 1) + 3), dtype=np.int64)
    actions[delay:, 0] = 1
    node = 0
    for level in range(d - 1):
        turn = leaf // A ** (d - 2 - level) % A
        actions[:, 1 + node] = turn
        node = A * node + turn + 1
    actions[:, 1 + node] = action
    return DeterministicPolicy(actions, A)


@pytest.mark.parametrize("tree", TREES)
def test_every_arm_is_worth_half_the_paying_stages_and_the_special_one_epsilon_more(tree):
    mdp = domingues_tree(**tree, epsilon=0.2)
    A, d = tree["n_actions"], tree["depth"]
    R = paying_stages(tree)
    special = (tree["delay"], tree["leaf"], tree["action"])
    for arm in product(range(tree["waiting"]), range(A ** (d - 1)), range(A)):
        expected = R * (0.5 + 0.2 * (arm == special))
        assert policy_value(mdp, pull(tree, *arm)) == pytest.approx(expected, abs=ROUNDING), arm


@pytest.mark.parametrize("epsilon", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("tree", TREES)
def test_the_optimum_is_the_special_arm(tree, epsilon):
    value = backward_induction(domingues_tree(**tree, epsilon=epsilon)).start_value
    assert value == pytest.approx(paying_stages(tree) * (0.5 + epsilon), abs=ROUNDING)


@pytest.mark.parametrize("tree", TREES)
def test_the_value_of_any_policy_is_linear_in_its_visits_of_the_special_cell(tree):
    mdp = domingues_tree(**tree, epsilon=0.3)
    A, d = tree["n_actions"], tree["depth"]
    first_leaf = 1 + sum(A**level for level in range(d - 1))
    rng = np.random.default_rng(0)
    for _ in range(20):
        policy = Policy(rng.dirichlet(np.full(A, 0.5), size=mdp.r.shape[:2]))
        d_special = occupancy_measure(mdp, policy)[
            tree["delay"] + d, first_leaf + tree["leaf"], tree["action"]
        ]
        expected = paying_stages(tree) * (0.5 + 0.3 * d_special)
        assert policy_value(mdp, policy) == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("tree", TREES)
def test_exactly_one_cell_differs_from_the_reference_model_without_an_advantage(tree):
    reference, special = (domingues_tree(**tree, epsilon=e).P for e in (0.0, 0.1))
    changed = np.argwhere((reference != special).any(axis=-1))
    A, d = tree["n_actions"], tree["depth"]
    first_leaf = 1 + sum(A**level for level in range(d - 1))
    assert changed.tolist() == [[tree["delay"] + d, first_leaf + tree["leaf"], tree["action"]]]


@pytest.mark.parametrize("tree", TREES)
def test_the_number_of_states_is_that_of_the_paper(tree):
    """S = 3 + (A^d - 1) / (A - 1)."""
    A, d = tree["n_actions"], tree["depth"]
    assert domingues_tree(**tree).n_states == 3 + (A**d - 1) // (A - 1)
