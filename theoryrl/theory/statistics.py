"""Honest statistics for verdicts: exact binomial limits, bounded means, and slopes with intervals."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from theoryrl.models._validation import check_count, check_fraction

FALSE_ALARM = 1e-6
"""Probability, at most, that a true statement is reported as violated."""

CONFIDENCE = 0.99
"""Confidence with which a statement is reported to hold."""


class Interval(NamedTuple):
    """An estimate between two confidence limits."""

    estimate: float
    low: float
    high: float


def clopper_pearson(successes: int, trials: int, alpha: float) -> Interval:
    """Return the rate with exact one-sided limits, each of which fails with probability <= alpha.

    Source: Clopper and Pearson (1934).
    """
    check_count("trials", trials)
    check_count("successes", successes, low=0, high=trials)
    check_fraction("alpha", alpha)
    low = 0.0 if successes == 0 else float(stats.beta.ppf(alpha, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(stats.beta.ppf(1 - alpha, successes + 1, trials - successes))
    return Interval(successes / trials, low, high)


def bounded_mean(samples: Float[np.ndarray, " N"], width: float, alpha: float) -> Interval:
    """Return the mean of independent samples in an interval of the given width, with one-sided limits.

    The closer of Hoeffding's limit (few samples) and the empirical Bernstein one (many samples of small
    variance), each at alpha / 2; so each limit fails with probability <= alpha, whatever the distribution.

    Source: Hoeffding (1963), Theorem 2; Maurer and Pontil (2009), Theorem 4.
    """
    n = check_count("number of samples", len(samples), low=2)
    check_fraction("alpha", alpha)
    mean, variance = float(np.mean(samples)), float(np.var(samples, ddof=1))
    hoeffding = width * math.sqrt(math.log(2 / alpha) / (2 * n))
    log_term = math.log(4 / alpha)
    bernstein = math.sqrt(2 * variance * log_term / n) + 7 * width * log_term / (3 * (n - 1))
    radius = min(hoeffding, bernstein)
    return Interval(mean, mean - radius, mean + radius)


def least_mean(samples: Float[np.ndarray, " N"], alpha: float) -> float:
    """Return a lower limit on the mean of a quantity that is never negative, from independent samples.

    ``E X = int P(X > x) dx``, and with probability at least 1 - alpha no tail ``P(X > x)`` is smaller than
    its share among the samples by more than ``sqrt(log(1/alpha) / (2 N))``. No upper end need be known.

    Source: Anderson (1969); Massart (1990), Corollary 1, for the constant (alpha <= 1/2).
    """
    n = check_count("number of samples", len(samples))
    if check_fraction("alpha", alpha) > 0.5:
        raise ValueError(f"alpha must be at most 1/2; got {alpha!r}")
    if not (np.asarray(samples) >= 0).all():
        raise ValueError(f"samples must not be negative; got {float(np.min(samples))!r}")
    tails = np.arange(n, 0, -1) / n - math.sqrt(math.log(1 / alpha) / (2 * n))
    return float(np.diff(np.sort(samples), prepend=0.0) @ np.maximum(tails, 0.0))


def log_log_slope(x: Float[np.ndarray, " X"], y: Float[np.ndarray, " X"]) -> float:
    """Return the least-squares slope of log y on log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def slope_interval(
    x: Float[np.ndarray, " X"],
    samples: Float[np.ndarray, "X N"],
    confidence: float = CONFIDENCE,
    paired: bool = False,
) -> Interval:
    """Return the slope of log mean(y) on log x with Student's interval over the samples.

    The slope is linear in the logarithms of the means, ``sum_i w_i log m_i``; to first order its error
    is ``sum_i w_i (m_i - E m_i) / m_i`` (delta method), which is a mean over the samples. The interval
    has the stated confidence where those means are normal and small against m_i; unlike a bootstrap
    over few runs it is honest about their number, and has tails of any level.

    Parameters
    ----------
    x
        Positive abscissae: shape [X], at least two different ones.
    samples
        N independent positive-mean samples of y at each x: shape [X, N].
    confidence
        Of the two-sided interval.
    paired
        Whether column i is one run seen at every x; otherwise all samples are independent.

    Returns
    -------
    Interval
        With infinite limits for a single sample.

    Raises
    ------
    ValueError
        If an abscissa or a mean is not positive, or there is one abscissa only.
    """
    check_fraction("confidence", confidence)
    if len(x) < 2 or samples.shape[0] != len(x):
        raise ValueError(f"samples must have one row per x, at least 2; got {samples.shape} for {len(x)} x")
    means = samples.mean(axis=1)
    for name, array in (("x", x), ("mean of samples", means)):
        if (array <= 0).any():
            index = int(np.argmax(array <= 0))
            raise ValueError(f"{name}[{index}] must be positive; got {array[index]!r}")
    estimate = log_log_slope(x, means)
    N = samples.shape[1]
    if N < 2:
        return Interval(estimate, -math.inf, math.inf)
    centred = np.log(x) - np.log(x).mean()
    influence = (centred / (centred @ centred))[:, None] * (samples / means[:, None] - 1)
    if paired:
        variances = np.var(influence.sum(axis=0, keepdims=True), axis=1, ddof=1) / N
    else:
        variances = np.var(influence, axis=1, ddof=1) / N
    total = float(variances.sum())
    if total == 0:
        return Interval(estimate, estimate, estimate)
    freedom = (N - 1) * total**2 / float(variances @ variances)  # Welch (1947), Satterthwaite (1946)
    radius = float(stats.t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(total)
    return Interval(estimate, estimate - radius, estimate + radius)
