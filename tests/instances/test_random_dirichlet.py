"""Random models are drawn in a fixed order, so that a seed names one model for good."""

import sys

import numpy as np
import pytest

from theoryrl.instances import boltzmann_policy, random_conservative, random_dirichlet
from theoryrl.models import EpisodicMDP, Policy
from theoryrl.solvers import backward_induction, policy_value

PRINTED = 5.5e-4
"""Half a unit of the third decimal, and half a unit of a fourth one that was rounded before."""


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("shape", [(3, 5, 5), (2, 3, 4)])
def test_the_draws_are_the_documented_ones_bit_for_bit(seed, shape):
    H, S, A = shape
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(S), size=(H, S, A))
    r = rng.random((H, S, A))
    model = random_dirichlet(S, A, H, seed=seed)
    np.testing.assert_array_equal(model.P, P)
    np.testing.assert_array_equal(model.r, r)
    assert model.rho[0] == 1


@pytest.mark.parametrize(
    ("seed", "optimum", "baseline", "threshold"),
    [(0, 2.510, 2.205, 1.854), (1, 2.591, 2.304, 1.909), (2, 2.378, 2.143, 1.679)],
)
def test_the_reference_values_of_the_first_three_seeds(seed, optimum, baseline, threshold):
    """Figures of an independent implementation of the same protocol, printed to three decimals."""
    model = random_conservative(seed=seed)
    assert backward_induction(model.mdp).start_value == pytest.approx(optimum, abs=PRINTED)
    assert policy_value(model.mdp, model.baseline) == pytest.approx(baseline, abs=PRINTED)
    assert model.threshold == pytest.approx(threshold, abs=PRINTED)


def test_small_concentration_gives_nearly_deterministic_rows():
    sharp, flat = (random_dirichlet(concentration=c).P.max(axis=-1).mean() for c in (0.01, 100.0))
    assert sharp > 0.95
    assert flat < 0.3


@pytest.mark.parametrize("fraction", [0.2, 1.0])
def test_the_threshold_gives_up_a_fraction_of_the_gain_on_the_uniform_policy(fraction):
    model = random_conservative(seed=3, fraction=fraction, eta=2.0)
    uniform = policy_value(model.mdp, Policy.uniform(5, 5))
    value = policy_value(model.mdp, boltzmann_policy(model.mdp, 2.0))
    assert model.threshold == pytest.approx((1 - fraction) * value + fraction * uniform, abs=1e-12)


def lock_or_sure_thing(n_locked=8):
    """Action 0 leads to a long combination lock worth 1, action 1 to a sure 0.9.

    Q* prefers the lock, at which every policy close to uniform fails.
    """
    H = n_locked + 1
    P = np.zeros((H, 4, 2, 4))
    P[:, 0, 0, 1] = P[:, 0, 1, 2] = 1.0
    P[:, 1, 0, 1] = P[:, 1, 1, 3] = 1.0
    P[:, 2, :, 2] = P[:, 3, :, 3] = 1.0
    r = np.zeros((H, 4, 2))
    r[-1, 1, 0], r[-1, 2] = 1.0, 0.9
    return EpisodicMDP(P, r, np.eye(4)[0])


def test_a_baseline_that_does_not_beat_the_uniform_policy_is_refused(monkeypatch):
    module = sys.modules["theoryrl.instances.random_dirichlet"]
    monkeypatch.setattr(module, "random_dirichlet", lambda *_: lock_or_sure_thing())
    with pytest.raises(ValueError, match=r"eta must make the baseline better .* eta = 0\.01"):
        random_conservative(4, 2, eta=0.01)
