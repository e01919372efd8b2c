"""Delays: numbers that were computed independently, and properties of the bounds."""

import itertools
import math

import numpy as np
import pytest

from theoryrl.solvers.detection import (
    RestartRule,
    detection_delay_bound,
    log_compositions,
    log_likelihood,
    log_mixture,
    plugin_delay,
    published_delay_bound,
    survival_bound,
    survival_bound_given,
)

BEFORE, AFTER = [0.2, 0.3, 0.5], [0.5, 0.3, 0.2]
LEVELS = (0.1, 1e-3, 1e-6)


def safe(delta):
    return RestartRule("safe", delta)


def test_the_bound_in_total_variation():
    assert [detection_delay_bound(800, BEFORE, AFTER, safe(d)) for d in LEVELS] == [3659, 5146, 10790]
    assert [detection_delay_bound(3000, BEFORE, AFTER, safe(d)) for d in LEVELS] == [881, 947, 1049]
    adaptive = [detection_delay_bound(3000, BEFORE, AFTER, safe(d), adaptive=True) for d in LEVELS]
    assert adaptive == [1194, 1290, 1439]


def test_too_few_samples_before_the_change_certify_nothing():
    assert math.isinf(detection_delay_bound(200, BEFORE, AFTER, safe(0.1)))
    assert math.isinf(detection_delay_bound(800, BEFORE, AFTER, safe(0.1), adaptive=True))


@pytest.mark.parametrize(
    ("m", "mu", "values"),
    [(300, 0.8, (260, 160, 282)), (1000, 0.8, (174, 124, 191)), (300, 0.6, (3414, 920, 4219))],
)
def test_the_published_bound_with_its_hidden_conditions(m, mu, values):
    rules = [RestartRule(eta, 0.05) for eta in ("icml2020", "inverse_n", "safe")]
    assert [published_delay_bound(m, 0.2, mu, rule) for rule in rules] == list(values)


def test_the_plug_in_estimate():
    assert [plugin_delay(800, BEFORE, AFTER, safe(d)) for d in LEVELS] == [144, 169, 211]
    levels = [10.0**-k for k in (20, 30, 40, 50, 60)]
    assert [plugin_delay(10**6, BEFORE, AFTER, safe(d)) for d in levels] == [386, 470, 555, 639, 723]


def test_survival_of_a_bernoulli_change():
    found = survival_bound(300, [20, 40, 60, 80, 100], [0.8, 0.2], [0.4, 0.6], safe(0.05))
    np.testing.assert_allclose(found, [0.99836, 0.93772, 0.72999, 0.45532, 0.25272], rtol=0, atol=5e-6)


def test_survival_never_increases_although_the_sum_does():
    found = survival_bound(40, [20, 80, 400, 1000, 3000], [0.8, 0.2], [0.2, 0.8], safe(0.05))
    np.testing.assert_allclose(found, [0.893, 0.225, 0.0328, 0.0224, 0.0224], rtol=0, atol=5e-4)
    assert (np.diff(found) <= 0).all()


def test_survival_equals_a_sum_over_all_streams():
    m, d, p, q, rule = 4, 5, [0.7, 0.2, 0.1], [0.1, 0.3, 0.6], safe(0.9)
    total = 0.0
    for x in itertools.product(range(3), repeat=m + d):
        X, Y = (np.bincount(part, minlength=3) for part in (x[:m], x[m:]))
        statistic = log_mixture(X) + log_mixture(Y) - log_mixture(X + Y)
        if statistic <= -rule.log_eta(m, m + d, 3):
            total += float(np.prod([p[i] for i in x[:m]]) * np.prod([q[i] for i in x[m:]]))
    assert survival_bound(m, [d], p, q, rule)[0] == pytest.approx(total, abs=1e-12)


def test_the_mean_of_the_conditional_bounds_is_the_unconditional_one():
    m, rule = 30, safe(0.2)
    chances = [math.comb(m, k) * 0.3**k * 0.7 ** (m - k) for k in range(m + 1)]
    given = [survival_bound_given([m - k, k], [40], [0.1, 0.9], rule)[0] for k in range(m + 1)]
    whole = survival_bound(m, [40], [0.7, 0.3], [0.1, 0.9], rule)[0]
    assert float(np.dot(chances, given)) == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize(("n", "size"), [(0, 3), (5, 1), (7, 2), (9, 4)])
def test_the_number_of_count_vectors(n, size):
    assert log_compositions(n, size) == pytest.approx(math.log(math.comb(n + size - 1, size - 1)), abs=1e-12)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"theta_2 must have shape \(2\)"):
        plugin_delay(10, [0.5, 0.5], [0.2, 0.3, 0.5], safe(0.1))
    with pytest.raises(ValueError, match="m must be at least 1"):
        detection_delay_bound(0, BEFORE, AFTER, safe(0.1))
    with pytest.raises(ValueError, match=r"delays\[1\] must be above 400; got 80"):
        survival_bound(40, [400, 80], [0.8, 0.2], [0.2, 0.8], safe(0.05))
    with pytest.raises(ValueError, match="terms; at most"):
        survival_bound(5000, [5000], [0.5, 0.5], [0.1, 0.9], safe(0.1))


def test_the_mixture_loses_all_that_it_may_on_constant_streams_only():
    """log max P - log Q = log C_O(n) where one symbol occurs, and less wherever two do."""
    n = 40
    counts = np.array([[n, 0, 0], [n - 1, 1, 0], [20, 10, 10]])
    lost = log_likelihood(counts) - log_mixture(counts)
    limit = log_compositions(n, 3)
    assert lost[0] == pytest.approx(limit, abs=1e-11)
    assert max(lost[1:]) < limit - 0.1
