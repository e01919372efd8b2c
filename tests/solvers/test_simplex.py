"""Divergences without cancellation, and the proximal step."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoryrl.solvers.simplex import kl_divergence, log_normalize, mirror_step, proximal_step, span

seeds = st.integers(0, 2**32 - 1)
EPS = np.finfo(float).eps


def exact_kl(log_p, log_q):
    """The divergence of the normalised distributions, with 80 digits."""
    with localcontext() as context:
        context.prec = 80
        p, q = ([Decimal(float(x)).exp() for x in logs] for logs in (log_p, log_q))
        P, Q = sum(p), sum(q)
        return float(sum(a / P * ((a / P).ln() - (b / Q).ln()) for a, b in zip(p, q, strict=True)))


@given(seed=seeds, n=st.integers(1, 12), scale=st.floats(0, 300), distance=st.floats(-13, 3))
def test_a_divergence_is_accurate_relative_to_its_size(seed, n, scale, distance):
    """Logs are normalised up to eps |log|, which shifts d by as much: an error of its square, and eps KL."""
    rng = np.random.default_rng(seed)
    log_p = log_normalize(scale * rng.normal(size=n))
    log_q = log_normalize(log_p + 10**distance * rng.normal(size=n))
    exact = exact_kl(log_p, log_q)
    mass_error = 4 * n * EPS
    limit = 64 * EPS * (1 + np.abs(log_q - log_p).max()) * exact + mass_error**2 + mass_error * exact
    assert abs(float(kl_divergence(log_p, log_q)) - exact) <= limit


def test_divergences_below_1e_28_keep_their_digits():
    log_p = log_normalize(np.array([0.3, -1.0, 2.0]))
    log_q = log_normalize(log_p + 1e-14 * np.array([1.0, -3.0, 0.5]))
    assert float(kl_divergence(log_p, log_q)) == pytest.approx(exact_kl(log_p, log_q), rel=1e-2)
    assert 1e-29 < exact_kl(log_p, log_q) < 1e-27


def test_a_dominated_action_does_not_make_a_divergence_undefined():
    """Its ratio exp(d) overflows while its probability underflows."""
    log_p, log_q = np.array([0.0, -1000.0]), np.log([0.5, 0.5])
    assert float(kl_divergence(log_p, log_q)) == np.log(2)
    assert float(kl_divergence(log_q, log_p)) == pytest.approx(500 - np.log(2))


@given(seed=seeds)
def test_a_divergence_is_positive_and_zero_only_between_equals(seed):
    rng = np.random.default_rng(seed)
    log_p, log_q = log_normalize(rng.normal(size=(2, 3, 5)) * 10)
    assert (kl_divergence(log_p, log_q) > 0).all()
    assert (kl_divergence(log_p, log_p) == 0).all()
    assert kl_divergence(log_p, log_q).shape == (3,)


def test_normalisation_survives_logits_of_any_size():
    logs = log_normalize(np.array([[1e5, 1e5], [-1e5, 0.0]]))
    np.testing.assert_allclose(logs, [[-np.log(2)] * 2, [-1e5, 0.0]])
    np.testing.assert_array_equal(span(logs), [0.0, 1e5])


@given(seed=seeds, gamma=st.floats(1e-3, 1e3), beta=st.floats(1e-3, 10))
def test_the_proximal_step_maximises_its_objective(seed, gamma, beta):
    """J(best) - J(other) = (beta + 1 / gamma) KL(other || best), exactly."""
    rng = np.random.default_rng(seed)
    centre, ref, other = log_normalize(rng.normal(size=(3, 2, 4)))
    field = rng.uniform(-0.5, 0.5, (2, 4))

    def objective(log_pi):
        gain = (np.exp(log_pi) * field).sum(axis=1)
        return gain - beta * kl_divergence(log_pi, ref) - kl_divergence(log_pi, centre) / gamma

    best = proximal_step(field, centre, ref, gamma, beta)
    weight = beta + 1 / gamma
    np.testing.assert_allclose(
        objective(best) - objective(other), weight * kl_divergence(other, best), atol=1e-13 * weight * 20
    )


@given(seed=seeds, gamma=st.floats(1e-3, 1e6), beta=st.floats(1e-3, 10))
def test_the_proximal_step_is_the_mirror_step_of_extragradient(seed, gamma, beta):
    rng = np.random.default_rng(seed)
    centre, ref = log_normalize(rng.normal(size=(2, 2, 4)))
    field = rng.uniform(-0.5, 0.5, (2, 4))
    ours = proximal_step(field, centre, ref, gamma, beta)
    size = 1 + np.abs(ours).max()
    theirs = mirror_step(field, centre, ref, gamma / (1 + gamma * beta), beta)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=64 * EPS * size)
