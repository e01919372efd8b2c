"""Fine-tuning from offline data: every theorem holds in the quick profile, and every check can fail.

Mutants are deliberate errors in a radius, an elimination, a design, a learner or a constant, each run
through the theorem that must catch it. Whole runs are too forgiving for that (with radii a hundred times too
small the output is still right), so estimates, eliminations and designs are checked by themselves.

Statistical verdicts report a violation of a true statement with probability at most 1e-6
(`theoryrl.theory.statistics.FALSE_ALARM`), per theorem.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from theoryrl.instances import offline_fork, twin_lock
from theoryrl.learners import VILCB, FTPedel, Pedel, ftpedel, two_phase_ftpedel
from theoryrl.solvers import minimal_online_episodes, occupancy_measure
from theoryrl.solvers.experiment_design import relaxation
from theoryrl.theory import PAPERS, THEOREMS, Scope, Verdict, check, verify
from theoryrl.theory.evidence import designs, identification, two_phase
from theoryrl.theory.evidence.identification import DELTA, proven_radius

SCOPE = Scope()


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    return {report.theorem.key: report for report in verify(["ftpedel"])}


@pytest.mark.parametrize("key", [theorem.key for theorem in PAPERS["ftpedel"].theorems])
def test_theorem_holds(reports: dict[str, Any], key: str) -> None:
    report = reports[key]
    assert report.verdict is Verdict.HOLDS, f"{report.verdict.value}: {report.detail}"
    assert report.instances > 0


def test_what_is_vacuous_is_reported_as_vacuous(reports: dict[str, Any]) -> None:
    """The bound on all episodes is 10^5 times the budget; its steps are theorems of their own."""
    vacuous = {key for key, report in reports.items() if report.vacuous}
    assert vacuous == {"ftpedel.two-phase-episodes"}


def caught(key: str, evidence: Any, **changes: Any) -> bool:
    report = check(replace(THEOREMS[f"ftpedel.{key}"], **changes), evidence, allow_unguaranteed=True)
    return report.verdict is Verdict.VIOLATED


def quiet(make: Any) -> Any:
    """Build a learner whose guarantee is void on purpose."""

    def build(*arguments: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(*arguments, **options)

    return build


# Estimates.


@pytest.mark.parametrize(
    ("key", "mutant"), [("evaluation-identity", "no ridge"), ("forward-backward", "no ridge backwards")]
)
def test_the_ridge_belongs_on_both_sides(key: str, mutant: str) -> None:
    assert caught(key, identification.evaluations(SCOPE, mutant))


RADII: dict[str, Any] = {
    "half the squared radius": lambda n, lam, delta: np.sqrt(0.5) * proven_radius(n, lam, delta),
    "a quarter of it": lambda n, lam, delta: 0.5 * proven_radius(n, lam, delta),
    "no determinant": lambda n, lam, delta: np.full(len(n), 0.5 * np.sqrt(2 * np.log(1 / delta))),
    "fixed design at every look": lambda n, lam, delta: np.full(len(n), 0.5 * np.sqrt(2 * np.log(2 / delta))),
}


@pytest.mark.parametrize("mutant", RADII)
def test_smaller_radii_fail_at_some_time(mutant: str) -> None:
    assert caught("width", identification.one_cell_ratios(SCOPE, RADII[mutant]))


def test_the_bias_of_a_large_ridge_counts() -> None:
    runs = identification.one_cell_ratios(SCOPE, lam=50.0, mean=0.95, bias=False)
    assert caught("width", runs)
    assert not caught("width", identification.one_cell_ratios(SCOPE, lam=50.0, mean=0.95))


@pytest.mark.parametrize("mode", ["self-normalized", "fixed-design"])
def test_radii_a_hundredth_of_the_proven_ones_fail_on_independent_data(mode: str) -> None:
    key = "width" if mode == "self-normalized" else "width-fixed-design"
    assert caught(key, identification.independent_ratios(SCOPE, 1e-4, mode))


def test_abandoning_lucky_arms_breaks_smaller_radii() -> None:
    assert caught("width", identification.abandoned_ratios(SCOPE, 0.02))


# Elimination.


def test_a_smaller_slack_drops_an_optimal_policy() -> None:
    assert caught("elimination-keeps", identification.eliminations(SCOPE, 1.9))


def test_a_larger_slack_keeps_worse_policies() -> None:
    assert caught("elimination-survivors", identification.eliminations(SCOPE, 2.5))


def test_the_best_survivor_is_the_one_with_the_largest_estimate() -> None:
    cases = [
        replace(case, best=int(np.argmax(np.where(case.kept, case.gaps, -1.0))))
        for case in identification.eliminations(SCOPE)
    ]
    assert caught("elimination-best", cases)


def drop_the_best(alive: np.ndarray, values: np.ndarray, accuracy: float) -> tuple[np.ndarray, int]:
    keep = values < values.max() - accuracy / 4
    keep[values.argmin()] = True
    return alive[keep], int(alive[values.argmin()])


def keep_all(alive: np.ndarray, values: np.ndarray, accuracy: float) -> tuple[np.ndarray, int]:
    return alive, int(alive[values.argmax()])


@pytest.mark.parametrize(
    ("key", "mutant"),
    [("run-keeps", drop_the_best), ("run-survivors", keep_all), ("output", drop_the_best)],
)
def test_a_run_with_a_wrong_elimination_is_caught(
    key: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ftpedel, "eliminate", mutant)
    runs = [
        identification.elimination_run(
            offline_fork(True, 20_000), FTPedel(eps=0.4, growth=0.2, stop="paper"), 200_000, seed, "run", ""
        )
        for seed in range(3)
    ]
    assert caught(key, runs)


def test_certifying_the_worst_policy_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ftpedel, "eliminate", drop_the_best)
    assert caught("certified", islice(identification.certified_runs(SCOPE), 45))  # Pedel


# All policies.


def test_an_index_without_its_width_bounds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaxation, "_index", lambda model, *rest: relaxation._Index(0.0, model.R.copy()))
    assert caught("relaxation", islice(identification.relaxations(SCOPE), 5))


def test_bounds_without_radii_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaxation, "confidence_radii", lambda N, *rest: np.full(len(N), 1e-6))
    assert caught("relaxation-bounds", islice(identification.relaxations(SCOPE), 20))


def test_bounds_that_grow_with_cuts_are_caught() -> None:
    cases = [replace(case, uppers=case.uppers[::-1]) for case in islice(identification.relaxations(SCOPE), 8)]
    assert caught("relaxation-cuts", cases)


def test_the_carried_set_is_caught() -> None:
    cases = [replace(case, width=case.carried) for case in identification.carried_sets(SCOPE)]
    assert caught("carried-set", cases)


# Designs.


def with_prior(mdp: Any, policies: Any, eps: float, beta: float, N: Any = 0.0, joint: bool = True) -> Any:
    return minimal_online_episodes(mdp, policies, eps, beta, N + np.full(mdp.r.shape, 50.0), joint)


def without_data(mdp: Any, policies: Any, eps: float, beta: float, N: Any = None, joint: bool = True) -> Any:
    return minimal_online_episodes(mdp, policies, eps, beta, None, joint)


def with_opposite_data(
    mdp: Any, policies: Any, eps: float, beta: float, N: Any = None, joint: bool = True
) -> Any:
    opposite = None if N is None else np.maximum(300.0 - N, 0.0)
    return minimal_online_episodes(mdp, policies, eps, beta, opposite, joint)


def of_one_stage(mdp: Any, policies: Any, eps: float, beta: float, N: Any = None, joint: bool = True) -> Any:
    found = minimal_online_episodes(mdp, policies, eps, beta, N, joint)
    return found if joint else replace(found, stages=found.stages * np.array([1.0, 0.0, 0.0]))


@pytest.mark.parametrize(
    ("key", "mutant"),
    [
        ("joint-design", of_one_stage),
        ("homogeneous", with_prior),
        ("linear-in-beta", with_prior),
        ("monotone", with_opposite_data),
        ("inverse", without_data),
        ("nothing-needed", without_data),
    ],
)
def test_a_wrong_design_breaks_a_law(key: str, mutant: Any) -> None:
    assert caught(key, islice(designs.design_laws(SCOPE, mutant), 4))


def test_a_coefficient_that_grows_is_caught() -> None:
    cases = [replace(c, coefficients=c.coefficients[::-1]) for c in islice(designs.design_laws(SCOPE), 2)]
    assert caught("convex", cases)


@pytest.mark.parametrize("offline", [lambda N: None, lambda N: N[..., ::-1]], ids=["none", "of other arms"])
def test_arms_need_their_own_data(offline: Any) -> None:
    assert caught("bandit", designs.bandits(SCOPE, offline))


def test_a_mean_instead_of_a_sum_of_exponentials_is_below_the_maximum() -> None:
    cases = [replace(case, smooth=case.smooth - case.slack) for case in designs.smoothings(SCOPE)]
    assert caught("smoothing", cases)


def test_nine_tenths_of_frank_and_wolfes_gap_are_too_small() -> None:
    cases = [replace(case, gap=0.9 * case.gap) for case in designs.smoothings(SCOPE)]
    assert caught("frank-wolfe-gap", cases)


def fork_mutant(eps: float, covered: bool, mutant: str) -> float:
    task, beta = offline_fork(), designs.FORK_BETA
    N = designs.COVER * beta / eps**2 * occupancy_measure(task.mdp, task.behaviour)
    if mutant == "another stage":
        N = np.roll(N, 1, axis=0)
    if mutant == "no data" or not covered:
        N = 0 * N
    floor = np.sqrt(eps) if mutant == "eps instead of its square" else eps
    return float(minimal_online_episodes(task.mdp, task.policies, floor, beta, N).value)


@pytest.mark.parametrize("mutant", ["no data", "another stage", "eps instead of its square"])
def test_the_closed_form_of_the_fork_catches_a_wrong_program(mutant: str) -> None:
    cells = designs.fork_cells(SCOPE, lambda eps, covered: fork_mutant(eps, covered, mutant))
    assert caught("fork-closed-form", cells)


@pytest.mark.parametrize(
    ("key", "covered", "optimal"),
    [
        ("slope-with-data", False, True),
        ("slope-without-data", True, True),
        ("slope-uncovered", True, True),
    ],
)
def test_the_slopes_of_the_fork_are_not_those_of_other_data(key: str, covered: bool, optimal: bool) -> None:
    assert caught(key, designs.fork_curve(covered, optimal)(SCOPE))


def test_data_that_cover_the_best_policy_need_less_than_the_negative_result_says() -> None:
    cases = [replace(c, T=designs.fork_design(0.1, True)) for c in designs.uncovered_forks(SCOPE)]
    assert caught("uncovered", cases)


@pytest.mark.parametrize("kind", ["design", "uniform", "class"])
@pytest.mark.parametrize("mutant", ["no data", "one twin", "a gap without its floor"])
def test_the_closed_forms_of_the_lock_catch_a_wrong_program(kind: str, mutant: str) -> None:
    def one_twin(N: np.ndarray) -> np.ndarray:
        changed = N.copy()
        changed[-1, 0, 1] = 0.0
        return changed

    if mutant == "a gap without its floor":
        cases = designs.lock_forms(SCOPE, kind, eps=0.1)
        wrong = designs.lock_forms(SCOPE, kind, eps=0.01)
        pairs = [replace(a, found=b.found) for a, b in zip(cases, wrong, strict=True)]
        assert caught(f"lock-{kind}", pairs)
        return
    offline = one_twin if mutant == "one twin" else np.zeros_like
    assert caught(f"lock-{kind}", designs.lock_forms(SCOPE, kind, offline))


def test_the_closed_forms_need_three_actions() -> None:
    with pytest.raises(ValueError, match="n_actions must be at least 3; got 2"):
        twin_lock(3, 2)


# Runs.


@pytest.mark.parametrize(
    ("key", "covered", "learner"),
    [
        ("episodes-with-data", True, Pedel),
        ("episodes-without-data", True, FTPedel),
        ("episodes-uncovered", True, FTPedel),
    ],
)
def test_the_slopes_of_runs_are_not_those_of_others(key: str, covered: bool, learner: Any) -> None:
    assert caught(key, identification.episode_curve(covered, learner)(SCOPE))


def test_offline_data_alone_suffice_where_they_cover_the_best_branch() -> None:
    runs = [
        replace(run, result=identification.quietly(offline_fork(True, 50_000, seed), VILCB(), 1, seed))
        for seed, run in enumerate(identification.offline_alone(SCOPE))
    ]
    assert caught("offline-alone", runs)


def test_an_unverifiable_learner_does_not_pay_the_verifiable_price() -> None:
    """No run pulls at all, so the excess is the same number each time: a width of 10^-3 is generous."""
    runs = list(identification.unverifiable_arms(SCOPE))
    assert caught("verifiable-price", runs, width=1e-3)
    assert caught("unverifiable-free", identification.verifiable_arms(SCOPE))


def test_a_learner_that_stops_at_once_does_not_pay_for_uniform_data() -> None:
    runs = [replace(run, episodes=0) for run in identification.uniform_twins(SCOPE)]
    assert caught("lock-uniform-price", runs, width=1e-4)


def test_smaller_radii_visit_the_last_cell_too_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identification, "FTPedel", quiet(lambda **o: FTPedel(**o, conf_scale=0.02)))
    assert caught("lock-certificate-price", identification.twin_visits(SCOPE), given=None)


# Two phases.


@pytest.mark.parametrize("key", ["rows-true", "rows-estimated"])
def test_a_smaller_bonus_does_not_bound_the_rows(key: str) -> None:
    assert caught(key, two_phase.rows(SCOPE, shrink=0.02))


def two_phase_runs(number: int) -> list[Any]:
    return [two_phase.run(twin_lock(2, 3, 0.8, 0), 0.2, 1.0, seed, "mutant") for seed in range(number)]


def test_a_model_that_is_not_explored_does_not_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    right = two_phase_ftpedel.leak
    monkeypatch.setattr(two_phase_ftpedel, "leak", lambda *a: (0.0, right(*a)[1]))
    assert caught("transfer", two_phase_runs(1))


def test_a_design_for_a_seventh_of_the_tolerance_is_too_large() -> None:
    runs = [replace(run, masses=49 * run.masses) for run in two_phase_runs(2)]
    assert caught("program", runs)


def test_an_exploration_that_does_not_end_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = two_phase_ftpedel.leak
    monkeypatch.setattr(two_phase_ftpedel, "leak", lambda *a: (1.0, right(*a)[1]))
    monkeypatch.setattr(two_phase_ftpedel, "patience", lambda *a: 10**7)
    assert caught("exploration", two_phase_runs(8))


def test_playing_a_fifth_of_the_flow_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_phase_ftpedel, "MARGIN", 0.2)
    assert caught("execution", two_phase_runs(8))


def test_two_phases_that_certify_the_worst_policy_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_phase_ftpedel, "eliminate", drop_the_best)
    assert caught("two-phase-output", two_phase_runs(8))


def test_the_vacuous_bound_says_so(reports: dict[str, Any]) -> None:
    assert "vacuous" in reports["ftpedel.two-phase-episodes"].detail


def test_delta_of_the_runs_is_that_of_the_theorems() -> None:
    assert DELTA == THEOREMS["ftpedel.width"].delta == FTPedel().delta
