"""Boltzmann policies interpolate between the uniform and the optimal policy."""

import numpy as np
import pytest

from theoryrl.instances import boltzmann_policy, random_dirichlet
from theoryrl.solvers import backward_induction, policy_value

MDP = random_dirichlet(seed=4)


@pytest.mark.parametrize("eta", [0.1, 5.0])
def test_log_odds_are_eta_times_the_difference_of_optimal_action_values(eta):
    Q = backward_induction(MDP).action_values
    log_pi = np.log(boltzmann_policy(MDP, eta).probabilities)
    odds, differences = log_pi - log_pi[..., :1], Q - Q[..., :1]
    np.testing.assert_allclose(odds, eta * differences, atol=1e-12 * (1 + eta))


def test_eta_zero_is_the_uniform_policy():
    np.testing.assert_array_equal(boltzmann_policy(MDP, 0.0).probabilities, 1 / MDP.n_actions)


@pytest.mark.parametrize("eta", [0.5, 5.0, 50.0, 1e8])
def test_the_loss_is_at_most_horizon_log_actions_over_eta(eta):
    """At each stage the mean gap is at most log(A) / eta, by the variational form of log-sum-exp.

    At eta = 1e8 an exponential without the shift would overflow.
    """
    loss = backward_induction(MDP).start_value - policy_value(MDP, boltzmann_policy(MDP, eta))
    assert -1e-12 <= loss <= MDP.horizon * np.log(MDP.n_actions) / eta + 1e-12


@pytest.mark.parametrize("eta", [-1.0, float("nan"), float("inf")])
def test_eta_must_be_finite_and_not_negative(eta):
    with pytest.raises(ValueError, match=f"eta must be .* got {eta}"):
        boltzmann_policy(MDP, eta)
