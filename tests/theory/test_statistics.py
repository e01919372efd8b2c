"""The limits behind every verdict: closed forms, coverage, and honesty about few samples."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from theoryrl.theory.statistics import bounded_mean, clopper_pearson, least_mean, slope_interval

ROUNDING = 1e-9
"""Logarithms below 30 and at most 8 of them, against weights below 10."""


@given(st.floats(-3, 3), st.integers(2, 8), st.booleans())
def test_a_power_law_without_noise_has_its_exponent_and_no_width(exponent, sizes, paired):
    x = 2.0 ** np.arange(sizes)
    fit = slope_interval(x, np.tile(x**exponent, (3, 1)).T, paired=paired)
    np.testing.assert_allclose(fit, exponent, atol=ROUNDING)


def test_paired_runs_that_differ_by_a_factor_agree_about_the_slope():
    x = np.array([1.0, 2.0, 4.0])
    samples = np.outer(x, [1.0, 10.0, 100.0])
    paired, apart = slope_interval(x, samples, paired=True), slope_interval(x, samples)
    assert paired.high - paired.low < ROUNDING
    assert apart.high - apart.low > 1


def test_with_two_sizes_the_interval_is_welchs():
    """The slope is then a difference of two logarithms, whose first-order error is a difference of means."""
    rng = np.random.default_rng(0)
    samples = rng.gamma(5.0, size=(2, 9))
    fit = slope_interval(np.array([1.0, math.e]), samples, confidence=0.9)
    first, second = samples / samples.mean(axis=1, keepdims=True)
    limits = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.9)
    assert fit.high - fit.estimate == pytest.approx(limits.high, rel=1e-12)
    assert fit.low - fit.estimate == pytest.approx(limits.low, rel=1e-12)


@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_covers_the_true_slope_as_often_as_it_says(paired):
    """1000 experiments of six runs with 20 % noise; exact binomial test, false alarm 1e-6 a side."""
    rng = np.random.default_rng(1)
    x = np.array([1.0, 2.0, 4.0, 8.0])
    covered = 0
    for _ in range(1000):
        samples = x[:, None] ** 0.5 * (1 + 0.2 * rng.standard_normal((4, 6)))
        fit = slope_interval(x, samples, confidence=0.9, paired=paired)
        covered += fit.low <= 0.5 <= fit.high
    assert stats.binom.cdf(covered, 1000, 0.9) > 1e-6
    assert stats.binom.sf(covered - 1, 1000, 0.9) > 1e-6


def test_a_single_run_says_nothing_about_the_error():
    fit = slope_interval(np.array([1.0, 2.0]), np.array([[1.0], [2.0]]))
    assert fit == (pytest.approx(1.0), -math.inf, math.inf)


@pytest.mark.parametrize(
    ("x", "samples", "message"),
    [
        ([1.0], [[1.0]], "at least 2"),
        ([1.0, 0.0], [[1.0], [1.0]], r"x\[1\] must be positive"),
        ([1.0, 2.0], [[1.0], [-1.0]], r"mean of samples\[1\] must be positive"),
    ],
)
def test_a_slope_that_does_not_exist_is_refused(x, samples, message):
    with pytest.raises(ValueError, match=message):
        slope_interval(np.array(x), np.array(samples))


@given(st.integers(1, 60), st.floats(0.001, 0.4), st.data())
def test_clopper_pearson_limits_have_exactly_the_stated_tails(trials, alpha, data):
    successes = data.draw(st.integers(0, trials))
    rate = clopper_pearson(successes, trials, alpha)
    if successes > 0:
        assert stats.binom.sf(successes - 1, trials, rate.low) == pytest.approx(alpha, rel=1e-6)
    if successes < trials:
        assert stats.binom.cdf(successes, trials, rate.high) == pytest.approx(alpha, rel=1e-6)


def test_bounded_mean_is_wide_for_few_samples_and_sharp_for_many():
    few, many = (bounded_mean(np.resize([0.0, 1.0], n), 1.0, 0.01) for n in (10, 100_000))
    assert few.high - few.low > 1
    assert many.high - many.low < 0.02
    assert many.estimate == pytest.approx(0.5)


def test_the_least_mean_takes_the_largest_samples_for_naught():
    """With N = 8 and alpha = exp(-1) every tail loses 1/4, two samples of eight."""
    samples = np.array([5.0, 1.0, 2.0, 3.0, 4.0, 1.0, 1e9, 6.0])
    expected = (1 + 1 + 2 + 3 + 4 + 5) / 8
    assert least_mean(samples, math.exp(-1)) == pytest.approx(expected, rel=1e-12)
    assert least_mean(samples, math.exp(-16)) == 0


def test_the_least_mean_is_above_the_mean_as_seldom_as_it_says():
    """2000 experiments of 20 samples that are 0 or 1; exact binomial test, false alarm 1e-6."""
    rng, alpha = np.random.default_rng(2), 0.1
    for chance in (0.1, 0.5, 0.9):
        wrong = sum(least_mean((rng.random(20) < chance).astype(float), alpha) > chance for _ in range(2000))
        assert stats.binom.sf(wrong - 1, 2000, alpha) > 1e-6


@pytest.mark.parametrize(
    ("samples", "alpha", "message"),
    [
        ([1.0, -2.0], 0.1, r"samples must not be negative; got -2\.0"),
        ([1.0, math.nan], 0.1, "samples must not be negative; got nan"),
        ([1.0], 0.6, r"alpha must be at most 1/2; got 0\.6"),
        ([], 0.1, "number of samples"),
    ],
)
def test_the_least_mean_names_what_is_wrong(samples, alpha, message):
    with pytest.raises(ValueError, match=message):
        least_mean(np.array(samples), alpha)
