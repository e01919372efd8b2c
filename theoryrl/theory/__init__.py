"""The papers' theorems as objects, and the engine that verifies them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from theoryrl._registry import Registry, UnknownKeyError
from theoryrl.models._validation import check_choice, check_count
from theoryrl.theory import (
    dr_rpo,
    ftpedel,
    glow,
    hyglow,
    mex,
    nash_mp,
    rbocpd_ucrl2,
    recovering,
    sor,
    spo,
    stepmix,
)
from theoryrl.theory.checking import UnguaranteedEvidenceError, check
from theoryrl.theory.core import (
    Curve,
    Evidence,
    Kind,
    Mark,
    Paper,
    Report,
    Scope,
    Series,
    Theorem,
    Verdict,
    credentials,
)
from theoryrl.theory.statistics import clopper_pearson, least_mean, slope_interval

PROFILES = ("quick", "full")

_COLUMNS = (
    stepmix,
    dr_rpo,
    nash_mp,
    spo,
    recovering,
    sor,
    rbocpd_ucrl2,
    mex,
    glow,
    hyglow,
    ftpedel,
)

PAPERS: Registry[Paper] = Registry("paper", [(column.PAPER.key, column.PAPER) for column in _COLUMNS])
THEOREMS: Registry[Theorem] = Registry(
    "theorem", [(theorem.key, theorem) for paper in PAPERS.values() for theorem in paper.theorems]
)


def select(keys: Sequence[str] = ()) -> tuple[Theorem, ...]:
    """Return the theorems that the keys name, each once, in the papers' order.

    Parameters
    ----------
    keys
        Keys of papers or theorems; none means all.

    Raises
    ------
    UnknownKeyError
        If a key names neither a paper nor a theorem.
    """
    papers = ((key, paper.theorems) for key, paper in PAPERS.items())
    single = ((key, (theorem,)) for key, theorem in THEOREMS.items())
    named = Registry[tuple[Theorem, ...]]("paper or theorem", [*papers, *single])
    wanted = {theorem.key for key in keys for theorem in named[key]}
    return tuple(theorem for key, theorem in THEOREMS.items() if not keys or key in wanted)


def verify(
    keys: Sequence[str] = (),
    profile: str = "quick",
    seed: int = 0,
    on_report: Callable[[Report], None] | None = None,
) -> tuple[Report, ...]:
    """Check theorems on exact models.

    Parameters
    ----------
    keys
        Keys of papers or theorems; none means all.
    profile
        ``"quick"`` (seconds to a minute) or ``"full"`` (more instances, longer runs).
    seed
        Seed of all evidence.
    on_report
        Called as each theorem is done.

    Returns
    -------
    tuple of Report
        One per theorem. Evidence that several theorems share is produced once, and its time counts
        for the first of them.
    """
    check_choice("profile", profile, PROFILES)
    scope = Scope(profile, check_count("seed", seed, low=0))
    shared: dict[Callable[[Scope], Iterable[Any]], list[Any]] = {}
    reports = []
    for theorem in select([keys] if isinstance(keys, str) else keys):
        started = time.perf_counter()
        if theorem.evidence not in shared:
            shared[theorem.evidence] = list(theorem.evidence(scope))
        report = check(theorem, shared[theorem.evidence])
        report = replace(report, seconds=time.perf_counter() - started)
        reports.append(report)
        if on_report is not None:
            on_report(report)
    return tuple(reports)


__all__ = [
    "PAPERS",
    "PROFILES",
    "THEOREMS",
    "Curve",
    "Evidence",
    "Kind",
    "Mark",
    "Paper",
    "Report",
    "Scope",
    "Series",
    "Theorem",
    "UnguaranteedEvidenceError",
    "UnknownKeyError",
    "Verdict",
    "check",
    "clopper_pearson",
    "credentials",
    "least_mean",
    "select",
    "slope_interval",
    "verify",
]
