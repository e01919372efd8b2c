"""Intervals for what a study measured, over its seeds."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from scipy import stats

from theoryrl.models._validation import check_fraction
from theoryrl.theory.statistics import Interval, slope_interval

CONFIDENCE = 0.95
TAIL = 0.1
"""Slopes are fitted from this fraction of the horizon on: the last decade."""

FIT_POINTS = 32
"""At most so many points, geometrically spaced, enter a fit, so that all scales weigh the same."""

UNDEFINED = Interval(math.nan, math.nan, math.nan)


class Summary(NamedTuple):
    """What a study found about one learner on one instance.

    Attributes
    ----------
    final_regret
        Mean over seeds of the regret after the last round.
    slope
        Log-log slope of the mean regret over the last decade.
    violations
        Rounds below the threshold, summed over seeds; None without a threshold.
    violated_seeds
        Seeds with at least one violation; None without a threshold.
    guaranteed
        Whether every run had the constants of the theory.
    seconds
        Mean time of a run.
    """

    learner: str
    instance: str
    seeds: int
    rounds: int
    final_regret: Interval
    slope: Interval
    violations: int | None
    violated_seeds: int | None
    guaranteed: bool
    seconds: float


def summarise(dataset: xr.Dataset) -> tuple[Summary, ...]:
    """Return one summary for each learner and instance of a study's dataset."""
    return tuple(
        _summary(dataset.sel(learner=learner, instance=instance))
        for instance in dataset.instance.values
        for learner in dataset.learner.values
    )


def _summary(runs: xr.Dataset) -> Summary:
    violations = runs["violations"].values
    constrained = not np.isnan(violations).any()
    return Summary(
        learner=str(runs["learner"].item()),
        instance=str(runs["instance"].item()),
        seeds=runs.sizes["seed"],
        rounds=int(runs.attrs["rounds"]),
        final_regret=mean_interval(runs["final_regret"].values),
        slope=regret_slope(runs["round"].values, runs["regret"].transpose("seed", "round").values),
        violations=int(violations.sum()) if constrained else None,
        violated_seeds=int((violations > 0).sum()) if constrained else None,
        guaranteed=bool(runs["guaranteed"].all()),
        seconds=float(runs["seconds"].mean()),
    )


def mean_interval(samples: Float[np.ndarray, " N"], confidence: float = CONFIDENCE) -> Interval:
    """Return the mean with Student's two-sided interval; its limits are NaN for a single sample.

    Parameters
    ----------
    samples
        Independent samples, approximately normal: shape [N].
    confidence
        Of the interval.
    """
    check_fraction("confidence", confidence)
    mean = float(np.mean(samples))
    if len(samples) < 2:
        return Interval(mean, math.nan, math.nan)
    radius = stats.t.ppf((1 + confidence) / 2, len(samples) - 1) * stats.sem(samples)
    return Interval(mean, mean - float(radius), mean + float(radius))


def regret_slope(
    rounds: Int[np.ndarray, " G"],
    regret: Float[np.ndarray, "N G"],
    tail: float = TAIL,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the slope of log(mean regret) on log(rounds) over the end of the curve.

    The unit is a whole curve, not a point: one run's regret at two rounds is one piece of evidence.

    Parameters
    ----------
    rounds
        Increasing: shape [G].
    regret
        Cumulative regret of each seed: shape [N, G].
    tail
        The fit begins at this fraction of the last round.
    confidence
        Of Student's interval over the seeds.

    Returns
    -------
    Interval
        Limits are NaN for a single seed; all three are NaN where the slope does not exist (fewer than
        two rounds in the tail, or a mean regret that is not positive).
    """
    check_fraction("tail", tail)
    check_fraction("confidence", confidence)
    chosen = _spread(rounds, tail)
    curves = regret[:, chosen]
    if len(chosen) < 2 or (curves.mean(axis=0) <= 0).any():
        return UNDEFINED
    x = rounds[chosen].astype(np.float64)
    fit = slope_interval(x, curves.T, confidence, paired=True)
    return fit if len(curves) > 1 else Interval(fit.estimate, math.nan, math.nan)


def _spread(rounds: np.ndarray, tail: float) -> np.ndarray:
    """Return indices of geometrically spaced rounds in the tail."""
    first = int(np.searchsorted(rounds, tail * rounds[-1]))
    wanted = np.geomspace(rounds[first], rounds[-1], FIT_POINTS)
    return np.unique(np.clip(np.searchsorted(rounds, wanted), first, len(rounds) - 1))
