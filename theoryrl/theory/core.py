"""Theorems as objects, and the engine that checks them on evidence.

A theorem states `measured <= bound` (or `=`) about a piece of *evidence*: a run with exact values, a
model with two policies, a table of counts, a curve over problem sizes. Checking it means producing
evidence, evaluating both sides exactly, and giving a verdict that is honest about chance.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypedDict

import numpy as np
from jaxtyping import Float

from theoryrl.protocol import Trace
from theoryrl.theory.statistics import (
    CONFIDENCE,
    FALSE_ALARM,
    Interval,
    bounded_mean,
    clopper_pearson,
    log_log_slope,
    slope_interval,
)


class Kind(StrEnum):
    """What a theorem claims, which decides how it is checked."""

    IDENTITY = "identity"
    INEQUALITY = "inequality"
    HIGH_PROBABILITY = "high probability"
    EXPECTATION = "expectation"
    RATE = "rate"


class Mark(StrEnum):
    """Where the statement comes from."""

    PAPER = "paper"
    RECALLED = "recalled"
    OURS = "ours"


class Verdict(StrEnum):
    """The outcome of a check; never a bare boolean."""

    HOLDS = "holds"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"


class Scope(NamedTuple):
    """How much evidence to produce: the profile (``"quick"`` or ``"full"``) and the seed."""

    profile: str = "quick"
    seed: int = 0

    def pick(self, quick: Any, full: Any) -> Any:
        """Return the value for this profile."""
        return quick if self.profile == "quick" else full

    def seeds(self, quick: int, full: int) -> range:
        """Return that many seeds of runs, different ones for different seeds of the scope."""
        first = 10_000 * self.seed
        return range(first, first + self.pick(quick, full))


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the two sides of a theorem are computed from; each theorem's evidence is a subclass.

    Parameters
    ----------
    instance
        What was examined.
    group
        For high-probability statements: pieces with the same group are independent samples of one claim.
    guaranteed, delta
        Whether every run behind it had the constants of the theory, and the largest failure probability
        that those runs were allowed; `credentials` returns both. Facts about models have neither.
    """

    instance: str
    group: str = field(default="", kw_only=True)
    guaranteed: bool = field(default=True, kw_only=True)
    delta: float | None = field(default=None, kw_only=True)


class Credentials(TypedDict):
    """What evidence must say of the runs that it was computed from."""

    guaranteed: bool
    delta: float | None


def credentials(*traces: Trace) -> Credentials:
    """Return whether all runs had the theory's constants, and the largest of their deltas."""
    deltas = [trace.delta for trace in traces if trace.delta is not None]
    return {
        "guaranteed": all(trace.guaranteed for trace in traces),
        "delta": max(deltas, default=None),
    }


@dataclass(frozen=True, eq=False)
class Curve(Evidence):
    """Evidence for a rate: samples of a quantity at increasing problem sizes.

    Parameters
    ----------
    x, samples
        Sizes [X] and samples [X, N].
    x_label, y_label
        For the figure.
    paired
        Whether column i of the samples is one run seen at every size.
    exact
        Whether the quantity is not random; then N = 1 and the slope has no error.
    """

    x: Float[np.ndarray, " X"]
    samples: Float[np.ndarray, "X N"]
    x_label: str = "x"
    y_label: str = "y"
    paired: bool = False
    exact: bool = False


class Series(NamedTuple):
    """Points of a figure that shows a theorem at work.

    Attributes
    ----------
    x, measured, bound
        Abscissae and both sides; `bound` may be None.
    log
        Whether both axes are logarithmic.
    slope
        Fitted slope with its interval, for rates.
    """

    title: str
    x_label: str
    y_label: str
    x: Float[np.ndarray, " N"]
    measured: Float[np.ndarray, " N"]
    bound: Float[np.ndarray, " N"] | None = None
    log: bool = False
    slope: Interval | None = None


@dataclass(frozen=True, eq=False)
class Theorem:
    """A statement that can be checked numerically.

    Parameters
    ----------
    key
        ``paper.name`` in kebab case.
    statement
        What is claimed, in one or two lines.
    source
        Theorem or section of the paper, or of the docs page that proves it.
    kind, mark
        How it is checked, and where it comes from.
    evidence
        `evidence(scope)` yields what the two sides are computed from.
    measured, bound
        The two sides, as numbers or arrays of equal shape, from one piece of evidence. For a rate:
        unused, and the admissible slopes.
    assumptions
        What the statement needs.
    given
        Evidence that does not satisfy this (say, the good event) is set aside.
    delta
        Failure probability that a high-probability statement allows.
    tolerance
        Rounding allowed in `measured <= bound`, absolute and relative to the bound. Derived: float64
        unit times the length of the recursions (1e-9 unless stated).
    width
        For an expectation: length of the interval that the samples lie in.
    slopes
        For a rate: admissible interval of slopes.
    trivial
        A bound that needs no theorem; where `bound` is no better the theorem is vacuous.
    series
        Points for the figure, from one piece of evidence.
    """

    key: str
    statement: str
    source: str
    kind: Kind
    mark: Mark
    evidence: Callable[[Scope], Iterable[Any]]
    measured: Callable[[Any], Any] = lambda evidence: math.nan
    bound: Callable[[Any], Any] = lambda evidence: math.nan
    assumptions: tuple[str, ...] = ()
    given: Callable[[Any], bool] | None = None
    delta: float | None = None
    tolerance: float = 1e-9
    width: float | None = None
    slopes: tuple[float, float] | None = None
    trivial: Callable[[Any], Any] | None = None
    series: Callable[[Any], Series] | None = None

    def __post_init__(self) -> None:
        needed = {Kind.HIGH_PROBABILITY: "delta", Kind.EXPECTATION: "width", Kind.RATE: "slopes"}
        name = needed.get(self.kind)
        if name is not None and getattr(self, name) is None:
            raise ValueError(f"theorem {self.key!r} of kind {self.kind.value!r} needs {name}")

    @property
    def paper(self) -> str:
        """Key of the paper."""
        return self.key.partition(".")[0]


@dataclass(frozen=True, eq=False)
class Report:
    """What a check found.

    Attributes
    ----------
    measured, bound
        Both sides where they come closest (for an identity: the largest error and the tolerance; for
        a high-probability statement: the failure rate and delta; for a rate: the slope and the limit
        that it comes closest to).
    tightness
        Largest measured / bound; for a rate the distance of the slope from the middle of the admissible
        interval over its half-length.
    instances, violations
        Pieces of evidence examined, and how many of them violate the inequality.
    vacuous
        Whether the bound is no better than the trivial one on all evidence.
    """

    theorem: Theorem
    verdict: Verdict
    measured: float | None
    bound: float | None
    tightness: float | None
    instances: int
    violations: int
    seconds: float
    detail: str = ""
    vacuous: bool = False
    series: Series | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the record that ``verify --json`` writes."""
        return {
            "key": self.theorem.key,
            "paper": self.theorem.paper,
            "mark": self.theorem.mark.value,
            "kind": self.theorem.kind.value,
            "verdict": self.verdict.value,
            "measured": _finite(self.measured),
            "bound": _finite(self.bound),
            "tightness": _finite(self.tightness),
            "instances": self.instances,
            "violations": self.violations,
            "seconds": round(self.seconds, 3),
        }


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
    assert theorem.width is not None
    if len(pieces) < 2:
        return _NOTHING._replace(detail="an expectation needs at least two samples")
    excess = np.array([float(theorem.measured(p)) - float(theorem.bound(p)) for p in pieces])
    bound = float(np.mean([float(theorem.bound(p)) for p in pieces]))
    sure = bounded_mean(excess, theorem.width, FALSE_ALARM)
    likely = bounded_mean(excess, theorem.width, 1 - CONFIDENCE)
    if sure.low > theorem.tolerance:
        verdict = Verdict.VIOLATED
    else:
        verdict = Verdict.HOLDS if likely.high <= theorem.tolerance else Verdict.INCONCLUSIVE
    measured = bound + sure.estimate
    return _Finding(
        verdict,
        measured,
        bound,
        measured / bound if bound > 0 else None,
        int((excess > 0).sum()),
        f"mean excess {sure.estimate:.3g}, at most {likely.high:.3g} with confidence {CONFIDENCE:g}",
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
        return True, "vacuous: never better than the trivial bound here"
    note = f"better than the trivial bound on {biting} of {len(pieces)} instances"
    return False, f"{note}, from round {min(starts)} to {max(starts)} on"


def _largest_ratio(found: _Found) -> float | None:
    ratios = [c.ratio for _, c in found if np.isfinite(c.ratio)]
    return max(ratios) if ratios else None


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


@dataclass(frozen=True, eq=False)
class Paper:
    """A paper: what it proposes, and its theorems.

    Attributes
    ----------
    key, title, authors, venue, arxiv
        Bibliographic data; `key` is the column of the house.
    summary
        One sentence.
    learners
        Keys of its algorithms.
    theorems
        Its statements.
    """

    key: str
    title: str
    authors: str
    venue: str
    arxiv: str
    summary: str
    learners: tuple[str, ...] = ()
    theorems: tuple[Theorem, ...] = field(default_factory=tuple)
