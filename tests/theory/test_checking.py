"""The engine: what counts as evidence, and which verdict follows from it."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from theoryrl.protocol import Trace
from theoryrl.theory import (
    Evidence,
    Kind,
    Mark,
    Theorem,
    UnguaranteedEvidenceError,
    Verdict,
    check,
    credentials,
)
from theoryrl.theory.core import Curve


@dataclass(frozen=True, eq=False)
class Sides(Evidence):
    measured: object
    bound: object


def theorem(kind=Kind.INEQUALITY, **options):
    return Theorem(
        key="toy.claim",
        statement="measured <= bound",
        source="this file",
        kind=kind,
        mark=Mark.OURS,
        evidence=lambda scope: (),
        measured=lambda piece: piece.measured,
        bound=lambda piece: piece.bound,
        **options,
    )


def sides(measured, bound, **credentials):
    return Sides("piece", np.asarray(measured, float), np.asarray(bound, float), **credentials)


def trace(guaranteed=True, delta=None):
    return Trace("l", "p", 0, guaranteed, np.array([1]), np.ones(1), np.ones(1), delta=delta)


def test_one_excess_violates_an_inequality():
    report = check(theorem(), [sides([1, 2], [1, 3]), sides([4.0, 1.0], [3.0, 3.0])])
    assert (report.verdict, report.violations, report.instances) == (Verdict.VIOLATED, 1, 2)
    assert (report.measured, report.bound) == (4.0, 3.0)


def test_tightness_is_the_largest_ratio():
    assert check(theorem(), [sides([1, 2], [4, 4]), sides([3], [4])]).tightness == 0.75


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_side_that_is_not_a_number_violates(value):
    assert check(theorem(), [sides([value], [1.0])]).verdict is Verdict.VIOLATED


def test_identities_are_compared_in_both_directions():
    assert check(theorem(Kind.IDENTITY), [sides([1.0], [2.0])]).verdict is Verdict.VIOLATED
    assert check(theorem(Kind.IDENTITY), [sides([2.0], [1.0])]).verdict is Verdict.VIOLATED
    assert check(theorem(Kind.IDENTITY), [sides([1.0], [1.0])]).verdict is Verdict.HOLDS


@pytest.mark.parametrize("kind", [Kind.IDENTITY, Kind.INEQUALITY])
def test_evidence_in_which_nothing_is_measured_does_not_count(kind):
    report = check(theorem(kind), [sides([], []), sides([1.0], [1.0])])
    assert (report.verdict, report.instances) == (Verdict.HOLDS, 1)
    report = check(theorem(kind), [sides([], [])])
    assert (report.verdict, report.instances) == (Verdict.INCONCLUSIVE, 0)


def test_no_evidence_is_inconclusive():
    assert check(theorem(), []).verdict is Verdict.INCONCLUSIVE
    assert check(theorem(given=lambda piece: False), [sides([1], [1])]).verdict is Verdict.INCONCLUSIVE


def test_evidence_that_cannot_say_how_it_was_made_is_refused():
    with pytest.raises(TypeError, match="must be an Evidence; got tuple"):
        check(theorem(), [(1.0, 2.0)])


def test_runs_with_other_constants_are_refused():
    with pytest.raises(UnguaranteedEvidenceError, match="other than the theory"):
        check(theorem(), [sides([1], [1], guaranteed=False)])
    assert check(theorem(), [sides([1], [1], guaranteed=False)], allow_unguaranteed=True).instances == 1


def test_runs_that_were_allowed_to_fail_more_often_are_refused():
    likely = theorem(Kind.HIGH_PROBABILITY, delta=0.05)
    with pytest.raises(UnguaranteedEvidenceError, match=r"made at delta = 0\.5"):
        check(likely, [sides([0], [1], delta=0.5)])
    assert check(likely, [sides([0], [1], delta=0.01)]).instances == 1


def test_credentials_are_those_of_the_worst_run():
    made = credentials(trace(), trace(delta=0.1), trace(guaranteed=False, delta=0.05))
    assert made == {"guaranteed": False, "delta": 0.1}
    assert credentials(trace()) == {"guaranteed": True, "delta": None}


def group(name, failures, runs):
    return [sides([float(i < failures)], [0.5], group=name) for i in range(runs)]


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (group("a", 0, 90), Verdict.HOLDS),
        (group("a", 0, 89), Verdict.INCONCLUSIVE),
        (group("a", 20, 90), Verdict.VIOLATED),
        (group("a", 0, 90) + group("b", 0, 20), Verdict.INCONCLUSIVE),
        (group("a", 0, 900) + group("b", 20, 20), Verdict.VIOLATED),
        (group("a", 6, 20) + group("b", 6, 20) + group("c", 6, 20) + group("d", 6, 20), Verdict.VIOLATED),
    ],
    ids=["99 % sure", "not quite", "too often", "one group too small", "one group fails", "only together"],
)
def test_probability_is_judged_by_group_and_together(evidence, verdict):
    assert check(theorem(Kind.HIGH_PROBABILITY, delta=0.05), evidence).verdict is verdict


def test_expectation_needs_enough_samples():
    rng = np.random.default_rng(0)
    claim = theorem(Kind.EXPECTATION, width=1.0)
    samples = [sides(value, 0.6) for value in rng.random(4000)]
    assert check(claim, samples).verdict is Verdict.HOLDS
    assert check(claim, samples[:20]).verdict is Verdict.INCONCLUSIVE
    assert check(claim, [sides(value + 0.4, 0.6) for value in rng.random(4000)]).verdict is Verdict.VIOLATED


def test_an_expectation_with_room_to_spare_hides_no_other():
    rng = np.random.default_rng(0)
    claim = theorem(Kind.EXPECTATION, width=2.0)
    easy = [sides(value, 1.5, group="easy") for value in rng.random(2000)]
    hard = [sides(value, 0.3, group="hard") for value in rng.random(2000)]
    assert check(claim, easy).verdict is Verdict.HOLDS
    assert check(claim, easy + hard).verdict is Verdict.VIOLATED
    assert check(claim, easy + hard[:2]).verdict is Verdict.INCONCLUSIVE
    assert check(claim, easy + hard[:1]).verdict is Verdict.INCONCLUSIVE


def curve(exponent, noise, runs, **options):
    x = 2.0 ** np.arange(6)
    draws = 1 + noise * np.random.default_rng(0).standard_normal((6, runs))
    return Curve("curve", x, x[:, None] ** exponent * draws, **options)


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (curve(0.5, 0.1, 20), Verdict.HOLDS),
        (curve(0.5, 0.9, 20), Verdict.INCONCLUSIVE),
        (curve(1.0, 0.1, 20), Verdict.VIOLATED),
        (curve(0.5, 0.0, 1), Verdict.INCONCLUSIVE),
        (curve(0.5, 0.0, 1, exact=True), Verdict.HOLDS),
        (curve(1.0, 0.0, 1, exact=True), Verdict.VIOLATED),
    ],
    ids=["sharp", "noisy", "wrong", "one run", "exact", "exactly wrong"],
)
def test_rate_is_judged_by_the_interval_of_its_slope(evidence, verdict):
    assert check(theorem(Kind.RATE, slopes=(0.4, 0.6)), [evidence]).verdict is verdict


def test_a_bound_no_better_than_the_trivial_one_is_reported_as_vacuous():
    vacuous = check(theorem(trivial=lambda piece: 2.0), [sides([1], [3])])
    assert vacuous.vacuous
    assert "vacuous" in vacuous.detail
    biting = check(theorem(trivial=lambda piece: np.array([2.0, 4.0])), [sides([1, 1], [3, 3])])
    assert not biting.vacuous
    assert "from round 2" in biting.detail


@pytest.mark.parametrize("kind", [Kind.HIGH_PROBABILITY, Kind.EXPECTATION, Kind.RATE])
def test_a_theorem_without_what_its_kind_needs_is_refused(kind):
    with pytest.raises(ValueError, match="needs"):
        theorem(kind)
