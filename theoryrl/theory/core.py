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
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from theoryrl.theory.statistics import (
    CONFIDENCE,
    FALSE_ALARM,
    Interval,
    bounded_mean,
    clopper_pearson,
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
        first = 1000 * self.seed
        return range(first, first + self.pick(quick, full))


class Curve(NamedTuple):
    """Evidence for a rate: samples of a quantity at increasing problem sizes.

    Attributes
    ----------
    instance
        What was measured.
    x, samples
        Sizes [X] and samples [X, N].
    x_label, y_label
        For the figure.
    paired
        Whether column i of the samples is one run seen at every size.
    """

    instance: str
    x: Float[np.ndarray, " X"]
    samples: Float[np.ndarray, "X N"]
    x_label: str = "x"
    y_label: str = "y"
    paired: bool = False
    guaranteed: bool = True


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
        If a run was made with other than the theory's constants.
    """
    started = time.perf_counter()
    source = theorem.evidence(scope or Scope()) if evidence is None else evidence
    pieces = []
    for piece in source:
        if not allow_unguaranteed and not getattr(piece, "guaranteed", True):
            raise UnguaranteedEvidenceError(
                f"{theorem.key}: evidence {_name(piece)!r} was made with constants other than the theory's"
            )
        if theorem.given is None or theorem.given(piece):
            pieces.append(piece)
    finding = _JUDGES[theorem.kind](theorem, pieces) if pieces else _NOTHING
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
        instances=len(pieces),
        violations=finding.violations,
        seconds=time.perf_counter() - started,
        detail="; ".join(filter(None, (finding.detail, note))),
        vacuous=vacuous,
        series=series,
    )


_NOTHING = _Finding(Verdict.INCONCLUSIVE, None, None, None, 0, "no evidence")


def compare(theorem: Theorem, piece: Any) -> Comparison:
    """Evaluate both sides on one piece of evidence."""
    sides = np.broadcast_arrays(
        np.asarray(theorem.measured(piece), dtype=np.float64),
        np.asarray(theorem.bound(piece), dtype=np.float64),
    )
    measured, bound = np.atleast_1d(*sides)
    measured, bound = measured.ravel(), bound.ravel()
    undecidable = np.isnan(measured) | np.isnan(bound) | (np.isinf(measured) & (measured > 0))
    undecidable |= np.isinf(bound) & (bound < 0)
    if undecidable.any():
        return Comparison(math.nan, math.nan, math.nan, math.inf, True)
    if theorem.kind is Kind.IDENTITY:
        error = np.abs(measured - bound) / np.maximum(1.0, np.abs(bound))
        worst = float(error.max(initial=0.0))
        limit = theorem.tolerance
        ratio = worst / limit if limit > 0 else (0.0 if worst == 0 else math.inf)
        return Comparison(worst, limit, ratio, worst - limit, worst > limit)
    if measured.size == 0:
        return Comparison(0.0, math.inf, 0.0, -math.inf, False)
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


def _judge_surely(theorem: Theorem, pieces: Sequence[Any]) -> _Finding:
    found = [compare(theorem, piece) for piece in pieces]
    violations = sum(c.violated for c in found)
    worst = max(found, key=lambda c: (c.violated, c.excess if c.violated else c.ratio))
    verdict = Verdict.VIOLATED if violations else Verdict.HOLDS
    detail = f"first at {_name(pieces[[c.violated for c in found].index(True)])}" if violations else ""
    return _Finding(verdict, worst.measured, worst.bound, _largest_ratio(found), violations, detail)


def _judge_probability(theorem: Theorem, pieces: Sequence[Any]) -> _Finding:
    assert theorem.delta is not None
    found = [compare(theorem, piece) for piece in pieces]
    failures = sum(c.violated for c in found)
    sure = clopper_pearson(failures, len(pieces), FALSE_ALARM)
    likely = clopper_pearson(failures, len(pieces), 1 - CONFIDENCE)
    if sure.low > theorem.delta:
        verdict = Verdict.VIOLATED
    else:
        verdict = Verdict.HOLDS if likely.high <= theorem.delta else Verdict.INCONCLUSIVE
    detail = (
        f"{failures} of {len(pieces)} runs fail; rate <= {likely.high:.3g} with confidence {CONFIDENCE:g}"
    )
    return _Finding(verdict, sure.estimate, theorem.delta, sure.estimate / theorem.delta, failures, detail)


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
    fits = [slope_interval(curve.x, curve.samples, paired=curve.paired) for curve in pieces]
    verdicts = [_slope_verdict(curve, fit, low, high) for curve, fit in zip(pieces, fits, strict=True)]
    violations = verdicts.count(Verdict.VIOLATED)
    verdict = next(v for v in (Verdict.VIOLATED, Verdict.INCONCLUSIVE, Verdict.HOLDS) if v in verdicts)
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


def _slope_verdict(curve: Curve, fit: Interval, low: float, high: float) -> Verdict:
    """Holds if the interval is admissible; violated if even one at the false-alarm level is not."""
    if low <= fit.low and fit.high <= high:
        return Verdict.HOLDS
    wide = slope_interval(curve.x, curve.samples, confidence=0.68, paired=curve.paired)
    radius = 4.9 * (wide.high - wide.low) / 2
    disjoint = fit.estimate - radius > high or fit.estimate + radius < low
    return Verdict.VIOLATED if disjoint else Verdict.INCONCLUSIVE


_JUDGES: dict[Kind, Callable[[Theorem, Sequence[Any]], _Finding]] = {
    Kind.IDENTITY: _judge_surely,
    Kind.INEQUALITY: _judge_surely,
    Kind.HIGH_PROBABILITY: _judge_probability,
    Kind.EXPECTATION: _judge_expectation,
    Kind.RATE: _judge_rate,
}


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


def _largest_ratio(found: Sequence[Comparison]) -> float | None:
    ratios = [c.ratio for c in found if np.isfinite(c.ratio)]
    return max(ratios) if ratios else None


def _name(piece: Any) -> str:
    return str(getattr(piece, "instance", piece))


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
