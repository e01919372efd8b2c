"""The families for conservative exploration have the closed-form values that they state."""

import math

import numpy as np
import pytest

from theoryrl.instances import coin, coupon, fork, hard, hazard
from theoryrl.models import DeterministicPolicy, Policy
from theoryrl.solvers import backward_induction, policy_value

ROUNDING = 1e-12
"""More than H (S + A + 2) unit round-offs of values up to 10."""


def check(model, optimum, baseline, kappa):
    """V*, V^b and the threshold V^b - kappa are what they should be."""
    assert backward_induction(model.mdp).start_value == pytest.approx(optimum, abs=ROUNDING)
    assert policy_value(model.mdp, model.baseline) == pytest.approx(baseline, abs=ROUNDING)
    assert model.threshold == pytest.approx(baseline - kappa, abs=ROUNDING)


def risky_stages(horizon, p):
    """The largest m <= H with (1 - p)^(m-1) > 5/8."""
    return max(m for m in range(1, horizon + 1) if (1 - p) ** (m - 1) > 5 / 8)


@pytest.mark.parametrize("p", [0.0, 0.05, 0.1, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("horizon", [1, 2, 5, 12])
def test_in_hazard_the_risk_pays_in_the_last_stages_only(horizon, p):
    m = risky_stages(horizon, p)
    tail = 0.8 * m if p == 0 else 0.8 * (1 - (1 - p) ** m) / p
    model = hazard(horizon, p, kappa=0.2)
    check(model, (horizon - m) / 2 + tail, horizon / 2, 0.2)
    risky = backward_induction(model.mdp).policy.actions[:, 0]
    np.testing.assert_array_equal(risky, np.arange(horizon) >= horizon - m)


def test_taking_every_risk_of_hazard_violates_the_constraint():
    model = hazard()
    reckless = DeterministicPolicy(np.ones((5, 2), dtype=np.int64), 2)
    assert policy_value(model.mdp, reckless) == pytest.approx(0.8 * (1 - 0.5**5) / 0.5, abs=ROUNDING)
    assert policy_value(model.mdp, reckless) < model.threshold


def test_the_behaviour_policy_of_the_offline_experiment_on_hazard_has_its_known_value():
    """Risk taken with probability 0.2, p = 0.3: 2.484, printed by an independent implementation."""
    behaviour = Policy(np.broadcast_to([0.8, 0.2], (2, 2)))
    assert policy_value(hazard(p=0.3).mdp, behaviour) == pytest.approx(2.484, abs=5e-4)


@pytest.mark.parametrize("horizon", [2, 4, 9])
def test_both_ways_of_the_fork_are_worth_their_reward_times_the_stages_left(horizon):
    check(fork(horizon, kappa=0.3), 0.8 * (horizon - 1), 0.5 * (horizon - 1), 0.3)


def test_on_the_fork_a_coin_per_step_violates_where_a_coin_per_episode_is_safe():
    """Half baseline, half optimal: drawn once it is worth 1.95; drawn at each step it meets the dead end."""
    model = fork()
    optimal = backward_induction(model.mdp).policy
    episode = (policy_value(model.mdp, model.baseline) + policy_value(model.mdp, optimal)) / 2
    step = Policy((model.baseline.probabilities + optimal.probabilities) / 2)
    assert episode == pytest.approx(1.95, abs=ROUNDING)
    assert policy_value(model.mdp, step) < model.threshold < episode


@pytest.mark.parametrize("gap", [0.01, 0.2, 0.5])
@pytest.mark.parametrize("kappa", [0.0125, 0.5])
def test_the_better_coin_is_worth_the_gap(kappa, gap):
    check(coin(kappa, gap), 0.5 + gap, 0.5, kappa)


def test_only_the_good_state_of_coin_pays_and_only_at_the_second_stage():
    assert np.argwhere(coin().mdp.r).tolist() == [[1, 1, 0], [1, 1, 1]]


@pytest.mark.parametrize("rounds", [1, 64, 100, 101, 1024, 2**17])
def test_the_gap_of_the_hard_family_shrinks_with_the_rounds_below_its_cap(rounds):
    Delta = 0.2 if rounds <= 100 else 2 / math.sqrt(rounds)
    check(hard(rounds), 0.7 + Delta, 0.7 + Delta / 2, 0.2)


@pytest.mark.parametrize("n_states", [1, 20])
def test_the_behaviour_policy_of_coupon_is_optimal(n_states):
    check(coupon(n_states), 1.0, 1.0, 0.5)


@pytest.mark.parametrize("seen", [0, 7, 20])
def test_on_coupon_a_policy_is_worth_the_fraction_of_states_where_it_knows_better(seen):
    actions = np.zeros((2, 20), dtype=np.int64)
    actions[1, np.random.default_rng(0).permutation(20)[:seen]] = 1
    assert policy_value(coupon(20).mdp, DeterministicPolicy(actions, 2)) == pytest.approx(
        seen / 20, abs=ROUNDING
    )
