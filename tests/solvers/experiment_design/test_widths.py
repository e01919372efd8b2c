"""Estimates and widths against plain NumPy, and the relaxation against enumeration."""

import numpy as np
import pytest

from tests.solvers.experiment_design.cases import random_task
from theoryrl.models import Policy, PolicyClass, TransitionCounts
from theoryrl.solvers import all_policy_certificate, class_values, policy_widths, simulate_counts


def data_of(seed, episodes=500, **sizes):
    mdp, policies, _ = random_task(seed, **sizes)
    rng = np.random.default_rng(100 + seed)
    return mdp, policies, simulate_counts(mdp, Policy.uniform(mdp.n_states, mdp.n_actions), episodes, rng)


@pytest.mark.parametrize("confidence", ["self-normalized", "fixed-design"])
def test_values_and_widths_are_those_of_the_formulas(confidence):
    mdp, policies, data = data_of(0)
    lam, delta, kappa = 0.7, 0.05, 0.5
    found = policy_widths(data, mdp.rho, policies, delta, lam, kappa, confidence)
    N = data.visits
    P, R = data.transitions / (N + lam)[..., None], data.reward_sums / (N + lam)
    for m in (0, 101, 511):
        state, value, width = mdp.rho, 0.0, 0.0
        for h in range(3):
            w = np.zeros((3, 2))
            w[np.arange(3), policies.actions[m, h]] = state
            log = np.log(1 + N[h] / lam).sum() + 2 * np.log(3 * 512 / delta)
            if confidence == "fixed-design":
                log = 2 * np.log(2 * 3 * 512 / delta)
            g = (3 - h) / 2 * np.sqrt(kappa * log)
            value += (w * R[h]).sum()
            width += g * np.sqrt((w**2 / (N[h] + lam)).sum())
            width += np.sqrt(kappa) * (3 - h) * (w * lam / (N[h] + lam)).sum()
            state = np.einsum("sa,sat->t", w, P[h])
        assert found.values[m] == pytest.approx(value, rel=1e-12)
        assert found.widths[m] == pytest.approx(width, rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_the_relaxation_encloses_the_enumeration(seed):
    mdp, policies, data = data_of(seed, episodes=20_000)
    found = policy_widths(data, mdp.rho, policies, 0.1)
    certificate = all_policy_certificate(data, mdp.rho, 0.1)
    best = int(found.values.argmax())
    assert certificate.lower == pytest.approx(found.values[best] - found.widths[best], rel=1e-12)
    assert certificate.upper >= (found.values + found.widths).max() - 1e-12
    programs = 1e-7 * certificate.upper  # HiGHS's tolerance, of which a bound by its dual falls short
    assert (np.diff(certificate.uppers) <= programs).all()
    assert certificate.upper == min(certificate.uppers)
    values = class_values(mdp, policies)  # the good event holds here, as it does but for one seed in ten
    assert (np.abs(found.values - values) <= found.widths).all()
    assert certificate.lower <= values[best]
    assert values.max() <= certificate.upper


def counterexample():
    """Data on which a set of occupancies, carried from look to look, loses the best policy.

    Root: action 0 leads to X or X', 1/2 each; action 1 to Y. Means at X 1 and .8, at X' 1, at Y .5.
    """
    n = np.zeros((2, 4, 2, 4), dtype=int)
    sums = np.zeros((2, 4, 2))
    n[0, 0, 0, 2], n[0, 0, 0, 1] = 204_000, 200_000
    n[0, 0, 1, 3] = 40_000
    n[1, 2, 0, 0], sums[1, 2, 0] = 204_000, 204_000
    n[1, 1, 1, 0], sums[1, 1, 1] = 200_000, 160_000
    n[1, 3, 0, 0], sums[1, 3, 0] = 40_000, 20_000
    return TransitionCounts(n, sums)


def test_the_counterexample_to_a_carried_set_is_not_certified():
    certificate = all_policy_certificate(counterexample(), np.eye(4)[0], 0.1)
    assert certificate.upper - certificate.lower > 0.1
    assert certificate.upper >= 1.0  # the value of the policy that the carried set has lost


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"delta": 1.0}, r"delta must be in \(0, 1\); got 1\.0"),
        ({"conf_scale": 0.0}, r"conf_scale must be positive; got 0\.0"),
        ({"lam": 0.0}, r"lam must be positive; got 0\.0"),
        ({"confidence": "none"}, "confidence must be one of"),
        ({"policies": PolicyClass(np.zeros((1, 1, 1), dtype=int), 1)}, r"policies must have \(H, S, A\)"),
    ],
)
def test_what_is_not_admissible_is_named(changes, message):
    mdp, policies, data = data_of(0)
    arguments = {"policies": policies, "delta": 0.1} | changes
    with pytest.raises(ValueError, match=message):
        policy_widths(data, mdp.rho, **arguments)
