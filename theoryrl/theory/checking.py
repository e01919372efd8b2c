"""Checking a theorem: evidence is admitted, both sides are compared, and a verdict is given.

What holds surely is compared piece by piece; what holds with a probability is judged by an exact
binomial limit on the rate of failure, an expectation by an empirical Bernstein limit, a rate by the
interval of its slope.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from theoryrl.theory.core import Curve, Evidence, Kind, Report, Scope, Series, Theorem, Verdict
from theoryrl.theory.statistics import (
    CONFIDENCE,
    FALSE_ALARM,
    Interval,
    bounded_mean,
    clopper_pearson,
    log_log_slope,
    slope_interval,
)


class UnguaranteedEvidenceError(ValueError):
    """A run with other than the theory's constants was offered as evidence for a theorem."""


class Comparison(NamedTuple):
    """One piece of evidence, evaluated: where the two sides come closest, and whether they cross."""

    measured: float
    bound: float
    ratio: float
    excess: float
    violated: bool


class _Finding(NamedTuple):
    verdict: Verdict
    measured: float | None
    bound: float | None
    tightness: float | None
    violations: int
    detail: str
    series: Series | None = None


def check(
    theorem: Theorem,
    evidence: Iterable[Any] | None = None,
    scope: Scope | None = None,
    *,
    allow_unguaranteed: bool = False,
) -> Report:
    """Check one theorem.

    Parameters
    ----------
    theorem
        The statement.
    evidence
        What to check it on; default: the theorem's own evidence in `scope`.
    scope
        Profile and seed of the theorem's own evidence.
    allow_unguaranteed
        Accept runs whose constants are not the theory's (for mutants and illustrations).

    Raises
    ------
    UnguaranteedEvidenceError
        If a run was made with other than the theory's constants, or with a larger delta.
    TypeError
        If a piece of evidence is not an `Evidence`, which could not say so.
    """
    started = time.perf_counter()
    source = theorem.evidence(scope or Scope()) if evidence is None else evidence
    pieces = []
    for piece in source:
        _admit(theorem, piece, allow_unguaranteed)
        if theorem.given is None or theorem.given(piece):
            pieces.append(piece)
    finding, examined = _judge(theorem, pieces)
    vacuous, note = _vacuity(theorem, pieces)
    series = finding.series
    if series is None and theorem.series is not None and pieces:
        series = theorem.series(pieces[0])
    return Report(
        theorem=theorem,
        verdict=finding.verdict,
        measured=finding.measured,
        bound=finding.bound,
        tightness=finding.tightness,
        instances=examined,
        violations=finding.violations,
        seconds=time.perf_counter() - started,
        detail="; ".join(filter(None, (finding.detail, note))),
        vacuous=vacuous,
        series=series,
    )


def _admit(theorem: Theorem, piece: Any, allow_unguaranteed: bool) -> None:
    """Raise unless the runs behind a piece of evidence are what the theorem is about."""
    if not isinstance(piece, Evidence):
        raise TypeError(f"{theorem.key}: evidence must be an Evidence; got {type(piece).__name__}")
    if not allow_unguaranteed and not piece.guaranteed:
        raise UnguaranteedEvidenceError(
            f"{theorem.key}: evidence {piece.instance!r} was made with constants other than the theory's"
        )
    if theorem.delta is not None and piece.delta is not None and piece.delta > theorem.delta:
        raise UnguaranteedEvidenceError(
            f"{theorem.key}: evidence {piece.instance!r} was made at delta = {piece.delta:g}; "
            f"the theorem is about delta <= {theorem.delta:g}"
        )


_NOTHING = _Finding(Verdict.INCONCLUSIVE, None, None, None, 0, "no evidence")


def _judge(theorem: Theorem, pieces: Sequence[Any]) -> tuple[_Finding, int]:
    """Return the finding, and on how many pieces of evidence something was compared."""
    if theorem.kind is Kind.RATE:
        return (_judge_rate(theorem, pieces) if pieces else _NOTHING), len(pieces)
    if theorem.kind is Kind.EXPECTATION:
        return (_judge_expectation(theorem, pieces) if pieces else _NOTHING), len(pieces)
    found = [(piece, c) for piece in pieces if (c := compare(theorem, piece)) is not None]
    if not found:
        return _NOTHING, 0
    judge = _judge_probability if theorem.kind is Kind.HIGH_PROBABILITY else _judge_surely
    return judge(theorem, found), len(found)


def compare(theorem: Theorem, piece: Any) -> Comparison | None:
    """Evaluate both sides on one piece of evidence; None where it has nothing to compare."""
    sides = np.broadcast_arrays(
        np.asarray(theorem.measured(piece), dtype=np.float64),
        np.asarray(theorem.bound(piece), dtype=np.float64),
    )
    if sides[0].size == 0:
        return None
    measured, bound = np.atleast_1d(*sides)
    measured, bound = measured.ravel(), bound.ravel()
    undecidable = np.isnan(measured) | np.isnan(bound) | (np.isinf(measured) & (measured > 0))
    undecidable |= np.isinf(bound) & (bound < 0)
    if undecidable.any():
        return Comparison(math.nan, math.nan, math.nan, math.inf, True)
    if theorem.kind is Kind.IDENTITY:
        error = np.abs(measured - bound) / np.maximum(1.0, np.abs(bound))
        worst = float(error.max())
        limit = theorem.tolerance
        ratio = worst / limit if limit > 0 else (0.0 if worst == 0 else math.inf)
        return Comparison(worst, limit, ratio, worst - limit, worst > limit)
    excess = measured - bound - theorem.tolerance * np.maximum(1.0, np.abs(bound))
    ratios = np.divide(measured, bound, out=np.full(bound.shape, -np.inf), where=bound > 0)
    tightest = (
        int(np.argmax(excess)) if (excess > 0).any() or not (bound > 0).any() else int(np.argmax(ratios))
    )
    return Comparison(
        float(measured[tightest]),
        float(bound[tightest]),
        float(ratios.max()),
        float(excess.max()),
        bool((excess > 0).any()),
    )


_Found = Sequence[tuple[Any, Comparison]]


def _judge_surely(theorem: Theorem, found: _Found) -> _Finding:
    violating = [piece for piece, c in found if c.violated]
    worst = max((c for _, c in found), key=lambda c: (c.violated, c.excess if c.violated else c.ratio))
    verdict = Verdict.VIOLATED if violating else Verdict.HOLDS
    detail = f"first at {violating[0].instance}" if violating else ""
    return _Finding(verdict, worst.measured, worst.bound, _largest_ratio(found), len(violating), detail)


def _judge_probability(theorem: Theorem, found: _Found) -> _Finding:
    """Judge each group by its own rate, and all together: any of them may show a violation.

    A true statement is called violated with probability at most `FALSE_ALARM`, shared by Bonferroni.
    It is said to hold if every group's rate is at most delta with confidence `CONFIDENCE`.
    """
    assert theorem.delta is not None
    groups: dict[str, list[bool]] = {}
    for piece, comparison in found:
        groups.setdefault(piece.group, []).append(comparison.violated)
    pooled = [failed for group in groups.values() for failed in group]
    samples = [pooled, *groups.values()] if len(groups) > 1 else [pooled]
    level = FALSE_ALARM / len(samples)
    surely_above = any(clopper_pearson(sum(g), len(g), level).low > theorem.delta for g in samples)
    rates = {name: clopper_pearson(sum(g), len(g), 1 - CONFIDENCE) for name, g in groups.items()}
    name, worst = max(rates.items(), key=lambda item: item[1].high)
    if surely_above:
        verdict = Verdict.VIOLATED
    else:
        verdict = Verdict.HOLDS if worst.high <= theorem.delta else Verdict.INCONCLUSIVE
    detail = f"{sum(pooled)} of {len(pooled)} fail"
    where = f" in each of {len(groups)} groups (least sure: {name})" if len(groups) > 1 else ""
    detail += f"; rate <= {worst.high:.3g} with confidence {CONFIDENCE:g}{where}"
    highest = max(rate.estimate for rate in rates.values())
    return _Finding(verdict, highest, theorem.delta, highest / theorem.delta, sum(pooled), detail)


def _judge_expectation(theorem: Theorem, pieces: Sequence[Any]) -> _Finding:
    """Judge the mean of each group by itself, so that one with room to spare hides no other.

    A true statement is called violated with probability at most `FALSE_ALARM`, shared by Bonferroni.
    It is said to hold if every group's mean excess is at most 0 with confidence `CONFIDENCE`.
    """
    assert theorem.width is not None
    groups: dict[str, list[tuple[float, float]]] = {}
    for piece in pieces:
        sides = float(theorem.measured(piece)), float(theorem.bound(piece))
        groups.setdefault(piece.group, []).append(sides)
    if min(map(len, groups.values())) < 2:
        return _NOTHING._replace(detail="an expectation needs at least two samples in each group")
    excess = {name: np.array([m - b for m, b in sides]) for name, sides in groups.items()}
    level = FALSE_ALARM / len(groups)
    sure = {name: bounded_mean(e, theorem.width, level) for name, e in excess.items()}
    likely = {name: bounded_mean(e, theorem.width, 1 - CONFIDENCE) for name, e in excess.items()}
    if any(interval.low > theorem.tolerance for interval in sure.values()):
        worst = max(sure, key=lambda name: sure[name].low)
        verdict = Verdict.VIOLATED
    else:
        worst = max(likely, key=lambda name: likely[name].high)
        verdict = Verdict.HOLDS if likely[worst].high <= theorem.tolerance else Verdict.INCONCLUSIVE
    measured, bound = (float(np.mean(column)) for column in zip(*groups[worst], strict=True))
    where = f" in each of {len(groups)} groups (least sure: {worst})" if len(groups) > 1 else ""
    return _Finding(
        verdict,
        measured,
        bound,
        measured / bound if bound > 0 else None,
        int(sum((e > 0).sum() for e in excess.values())),
        f"mean excess {likely[worst].estimate:.3g}, at most {likely[worst].high:.3g} "
        f"with confidence {CONFIDENCE:g}{where}",
    )


def _judge_rate(theorem: Theorem, pieces: Sequence[Curve]) -> _Finding:
    assert theorem.slopes is not None
    low, high = theorem.slopes
    level = FALSE_ALARM / len(pieces)
    fits = [_fit(curve, CONFIDENCE) for curve in pieces]
    wide = [_fit(curve, 1 - level) for curve in pieces]
    violations = sum(w.low > high or w.high < low for w in wide)
    if violations:
        verdict = Verdict.VIOLATED
    elif all(low <= fit.low and fit.high <= high for fit in fits):
        verdict = Verdict.HOLDS
    else:
        verdict = Verdict.INCONCLUSIVE
    worst = max(fits, key=lambda fit: max(fit.estimate - high, low - fit.estimate))
    bound = high if abs(high - worst.estimate) <= abs(worst.estimate - low) else low
    curve = pieces[fits.index(worst)]
    detail = "; ".join(
        f"{c.instance}: slope {f.estimate:.3f} [{f.low:.3f}, {f.high:.3f}]"
        for c, f in zip(pieces, fits, strict=True)
    )
    ratio = abs(2 * worst.estimate - low - high) / (high - low)
    series = Series(
        theorem.key, curve.x_label, curve.y_label, curve.x, curve.samples.mean(axis=1), None, True, worst
    )
    return _Finding(verdict, worst.estimate, bound, ratio, violations, detail, series)


def _fit(curve: Curve, confidence: float) -> Interval:
    if curve.exact:
        slope = log_log_slope(curve.x, curve.samples[:, 0])
        return Interval(slope, slope, slope)
    return slope_interval(curve.x, curve.samples, confidence, paired=curve.paired)


def _vacuity(theorem: Theorem, pieces: Sequence[Any]) -> tuple[bool, str]:
    """Return whether the bound is trivial on all evidence, and where it begins to bite."""
    if theorem.trivial is None or not pieces:
        return False, ""
    biting, starts = 0, []
    for piece in pieces:
        bound, trivial = np.broadcast_arrays(theorem.bound(piece), theorem.trivial(piece))
        better = np.flatnonzero(np.atleast_1d(bound < trivial))
        if better.size:
            biting += 1
            starts.append(int(better[0]) + 1)
    if not biting:
        note = "vacuous: never better than the trivial bound here"
        if theorem.bites is not None:
            note += f"; it would be from {min(map(theorem.bites, pieces)):.2g} rounds on"
        return True, note
    note = f"better than the trivial bound on {biting} of {len(pieces)} instances"
    return False, f"{note}, from round {min(starts)} to {max(starts)} on"


def _largest_ratio(found: _Found) -> float | None:
    ratios = [c.ratio for _, c in found if np.isfinite(c.ratio)]
    return max(ratios) if ratios else None
