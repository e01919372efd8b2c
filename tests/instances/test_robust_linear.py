"""Instances of robust linear learning: the published numbers, closed forms, and what each one shows."""

import numpy as np
import pytest

from theoryrl.instances import (
    american_put,
    five_state,
    five_state_target,
    frozen_lake,
    frozen_lake_target,
    price_features,
    random_robust_linear,
    repeated_mixture,
    unobserved_turn,
)
from theoryrl.instances.american_put import UNIT
from theoryrl.solvers import backward_induction, policy_value, robust_value_iteration

PRINTED = 6e-4
"""Half a unit of the last digit of the reference figures, and one for their own rounding."""


@pytest.mark.parametrize(
    ("radius", "temperature", "value", "tested"),
    [
        (0.0, 0.0, 1.42323, (1.4239, 1.2639, 1.1039, 0.9439, 0.7839, 0.6239)),
        (0.3, 0.0, 1.18323, (1.4239, 1.2639, 1.1039, 0.9439, 0.7839, 0.6239)),
        (0.6, 0.0, 0.99098, (1.2318, 1.1518, 1.0718, 0.9918, 0.9118, 0.8318)),
        (0.6, 0.02, 0.91012, (1.2992, 1.1869, 1.0745, 0.9622, 0.8498, 0.7375)),
        (0.6, 0.1, 0.83657, (1.2242, 1.1047, 0.9852, 0.8657, 0.7462, 0.6268)),
    ],
)
def test_exact_optima_of_the_five_states_have_the_reference_values(radius, temperature, value, tested):
    best = robust_value_iteration(five_state(radius=radius, temperature=temperature))
    assert abs(best.start_value - value) <= 1e-5
    found = [policy_value(five_state_target(q), best.policy) for q in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    np.testing.assert_allclose(found, tested, atol=PRINTED)


@pytest.mark.parametrize("xi_norm", [0.1, 0.2, 0.3])
def test_the_robust_first_action_flips_at_the_radius_in_closed_form(xi_norm):
    m, p = 0.3 + xi_norm, 0.001
    flip = 1 - (1 - p) * (2 * m + m * (1 - m) * (1 - p)) / 2
    for radius, action in ((flip - 1e-9, 15), (flip + 1e-9, 0)):
        best = robust_value_iteration(five_state(xi_norm=xi_norm, radius=radius))
        assert best.policy.probabilities[0, 0, action] == 1.0


@pytest.mark.parametrize(
    ("radius", "tested"),
    [
        (0.0, (9.850, 5.706, 2.460, 0.635, 0.057)),
        (0.1, (3.813, 3.215, 2.155, 1.015, 0.262)),
        (0.3, (1.997, 1.875, 1.527, 1.010, 0.499)),
    ],
)
def test_exact_optima_of_the_put_have_the_reference_values(radius, tested):
    best = robust_value_iteration(american_put(radius=radius))
    models = (american_put(up=up).nominal.to_episodic() for up in (0.2, 0.35, 0.5, 0.65, 0.8))
    np.testing.assert_allclose([UNIT * policy_value(m, best.policy) for m in models], tested, atol=2e-3)


def test_the_put_without_uncertainty_is_worth_what_the_binomial_formula_says():
    """A martingale price makes early exercise worthless: the put is worth E (100 - price)^+ at the end."""
    up, H = 0.5, 10
    plain = backward_induction(american_put(up=up, radius=0.0, horizon=H).nominal.to_episodic())
    price, value = np.array([100 * 1.02**i * 0.98 ** (H - 1 - i) for i in range(H)]), None
    value = np.maximum(0, 100 - price)
    for k in range(H - 2, -1, -1):
        price = np.array([100 * 1.02**i * 0.98 ** (k - i) for i in range(k + 1)])
        value = np.maximum(np.maximum(0, 100 - price), up * value[1:] + (1 - up) * value[:-1])
    assert abs(UNIT * plain.start_value - value[0]) <= 1e-10


def test_hat_features_are_weights_and_know_the_payoff():
    phi, theta = price_features()
    np.testing.assert_allclose(phi.sum(axis=2), 1.0)
    assert phi.min() >= 0
    exact = american_put().nominal
    np.testing.assert_allclose(np.einsum("sad,hd->hsa", phi, theta), exact.rewards, atol=1e-12)


def test_the_frozen_lake_is_gymnasiums():
    """States, holes merged, goal paid one stage later: the value over 20 stages is that of 19 moves."""
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.make("FrozenLake-v1", is_slippery=True).unwrapped
    V = np.zeros(16)
    for _ in range(19):
        V = np.array([max(sum(p * (r + V[t] * (not over)) for p, t, r, over in env.P[s][a]) for a in range(4))
                      for s in range(16)])  # fmt: skip
    assert abs(backward_induction(frozen_lake_target()).start_value - V[0]) <= 1e-12
    assert robust_value_iteration(frozen_lake(radius=0.1)).start_value < 0.2 * V[0]


@pytest.mark.parametrize("features", ["dirichlet", "covered", "one-hot"])
@pytest.mark.parametrize("uncertainty", ["tv", "tv-penalty", "kl-penalty", "chi2-penalty"])
def test_random_models_have_a_value_between_none_and_all(features, uncertainty):
    dimension = 0 if features == "one-hot" else 5
    model = random_robust_linear(5, 2, dimension, 3, features, uncertainty, 0.4, sparsity=0.3, seed=1)
    best = robust_value_iteration(model)
    assert (best.value >= -1e-12).all()
    assert (best.value <= np.arange(3, 0, -1)[:, None]).all()
    np.testing.assert_allclose(best.value[:, model.fail_state], 0.0, atol=1e-12)


def test_the_unobserved_turn_is_worth_nothing_and_is_not_reached_by_chance():
    model = unobserved_turn()
    assert abs(robust_value_iteration(model).start_value) <= 1e-12
    assert (model.nominal.to_episodic().P[..., 2] == 0).all()


def test_the_repeated_mixture_loses_half_by_the_first_action():
    best = robust_value_iteration(repeated_mixture())
    np.testing.assert_allclose(best.action_values[0, 0], [0.0, 0.5])
