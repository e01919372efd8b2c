"""Theorems as objects, the evidence they are about, and the report of a check.

A theorem states `measured <= bound` (or `=`) about a piece of *evidence*: a run with exact values, a
model with two policies, a table of counts, a curve over problem sizes. Checking it means producing
evidence, evaluating both sides exactly, and giving a verdict that is honest about chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypedDict

import numpy as np
from jaxtyping import Float

from theoryrl.protocol import Trace
from theoryrl.theory.statistics import Interval


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
        For statements in probability or expectation: pieces of one group are independent samples of one
        claim, and each group is judged by itself.
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
    bites
        Problem size from which on the bound would be better than the trivial one, for the note on a
        vacuous bound.
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
    bites: Callable[[Any], float] | None = None
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
