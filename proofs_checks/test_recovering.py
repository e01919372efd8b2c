"""Recovering bandits: every theorem holds in the quick profile, and every check can fail.

Mutants of the planner are switches of a plain Python version of it; mutants of the learner override one of
its steps. Statistical verdicts report a violation of a true statement with probability at most 1e-6
(`theoryrl.theory.statistics.FALSE_ALARM`), per theorem.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from proofs_checks.reference_planner import Reference
from theoryrl.instances import recovering
from theoryrl.learners import PeriodicUCB
from theoryrl.learners.baselines.recovering.oracles import best_rotation
from theoryrl.models import IndexRule, OffsetSchedule, PeriodicSchedule
from theoryrl.protocol import RecoveringDecision
from theoryrl.solvers import (
    correlation_gap,
    fluid_bound,
    optimal_cycle,
    planner_ratio,
    purely_periodic,
    random_offsets,
    rewards_over_time,
)
from theoryrl.solvers.recovering import _kernels, idle_time_graph
from theoryrl.theory import PAPERS, THEOREMS, Scope, Verdict, check, verify
from theoryrl.theory.core import Curve
from theoryrl.theory.evidence import phases, schedules

SCOPE = Scope()


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    return {report.theorem.key: report for report in verify(["recovering"])}


@pytest.mark.parametrize("key", [theorem.key for theorem in PAPERS["recovering"].theorems])
def test_theorem_holds(reports: dict[str, Any], key: str) -> None:
    report = reports[key]
    assert report.verdict is Verdict.HOLDS, f"{report.verdict.value}: {report.detail}"
    assert report.instances > 0


def test_regret_bounds_say_something_where_they_are_checked(reports: dict[str, Any]) -> None:
    for key in ("regret", "regret-on-event", "doubling"):
        assert not reports[f"recovering.{key}"].vacuous


def violated(key: str, evidence: Any) -> bool:
    report = check(THEOREMS[f"recovering.{key}"], evidence, allow_unguaranteed=True)
    return report.verdict is Verdict.VIOLATED


# Planning.


def test_the_reference_equals_the_library() -> None:
    """Values to 1e-12 (sums of a few numbers in another order); where values tie, plans may differ."""
    for plans in (schedules.small_plans(SCOPE), schedules.large_plans(SCOPE)):
        for plan in plans:
            ours, theirs = plan.solution, Reference()(plan.bandit, plan.a, plan.method)
            for name in ("value", "relaxed", "density", "machines", "total"):
                assert getattr(ours, name) == pytest.approx(getattr(theirs, name), abs=1e-12), plan.instance


PLANNERS = {
    "means of one period later": (Reference(shift=1), ["periodic-value", "attained"]),
    "best single period": (Reference(single=True), ["total"]),
    "filled arm by arm": (Reference(order="arm"), ["ratio-relaxation", "ratio-optimum"]),
    "periods doubled once too often": (Reference(rounding="double"), ["total", "ratio-relaxation"]),
    "rounding down": (Reference(rounding="down"), ["density"]),
    "no rounding": (Reference(rounding="none"), ["machines"]),
    "fractional arm dropped": (Reference(fractional="drop"), ["total"]),
    "no bit reversal": (Reference(reverse=False), ["disjoint", "feasible"]),
    "a machine for each arm": (Reference(share_machines=False), ["machines"]),
    "worst machines kept": (Reference(keep="worst"), ["kept"]),
    "all machines kept": (Reference(keep="all"), ["feasible", "attained"]),
    "powers of two only": (Reference(grid_classes=1), ["grid"]),
}
SMALL = {"periodic-value", "attained", "ratio-relaxation", "ratio-optimum"}


@pytest.mark.parametrize("name", PLANNERS)
def test_a_wrong_planner_is_caught(name: str) -> None:
    planner, keys = PLANNERS[name]
    for key in keys:
        make = schedules.small_plans if key in SMALL else schedules.large_plans
        assert violated(key, make(SCOPE, planner)), key


@pytest.mark.parametrize("shorter", [Reference(reverse=False), Reference(share_machines=False)])
def test_wrong_packing_is_caught(shorter: Any) -> None:
    def packer(periods: np.ndarray, offsets: np.ndarray, machines: np.ndarray) -> int:
        offsets[:], machines[:], used = shorter.pack(periods.tolist())
        return used

    assert violated("packing", schedules.packings(SCOPE, packer))


@pytest.mark.parametrize(
    "rounder",
    [
        lambda d, a: Reference(rounding="down").rounded(d, a),
        lambda d, a: 1 << (d - 1).bit_length(),
        lambda d, a: d,
    ],
    ids=["down", "to powers of two", "not at all"],
)
def test_wrong_rounding_is_caught(rounder: Callable[[int, int], int]) -> None:
    assert violated("rounding", schedules.roundings(SCOPE, rounder))


def _with_fluid(change: Callable[[Any], Any]) -> Iterator[Any]:
    for case in schedules.relaxations(SCOPE):
        yield replace(case, fluid=change(case))


def _single_period_bound(case: Any) -> Any:
    value = Reference(single=True)(case.bandit, 1, "round").relaxed
    return replace(case.fluid, value=np.array(value), lower=np.array(value), upper=np.array(value))


def _arm_by_arm(case: Any) -> Any:
    value = Reference(order="arm")(case.bandit, 1, "round").relaxed
    return replace(case.fluid, value=np.array(value), lower=np.array(value), upper=np.array(value))


def _free_pulls(case: Any) -> Any:
    d = np.arange(1, case.bandit.R.shape[1] + 1)
    return replace(case.fluid, upper=np.array((case.bandit.R / d).max(axis=1).sum()))


def test_a_bound_from_single_periods_is_no_bound() -> None:
    assert violated("upper-bound", _with_fluid(_single_period_bound))


def test_an_arm_by_arm_relaxation_is_not_the_maximum() -> None:
    assert violated("relaxation", _with_fluid(_arm_by_arm))
    assert violated("upper-bound", _with_fluid(_arm_by_arm))


def test_a_program_that_lets_an_arm_rest_and_work_at_once_is_another_one() -> None:
    """Without the rows sum_d d z[i, d] <= 1 every pull is a rested one."""
    cases = []
    for case in schedules.relaxations(SCOPE):
        free = float(np.sort(case.bandit.R.max(axis=1))[::-1][: case.bandit.K].max() * case.bandit.K)
        vars(case)["by_linear_program"] = free
        cases.append(case)
    assert violated("relaxation", cases)


def test_a_dual_without_the_price_of_a_pull_leaves_a_gap() -> None:
    assert violated("duality", _with_fluid(_free_pulls))


def test_the_first_pulls_count() -> None:
    theorem = THEOREMS["recovering.finite-horizon"]
    without = replace(theorem, bound=lambda case: np.array([1, 2, 5, 20, 60]) * case.fluid.upper)
    assert check(without, schedules.relaxations(SCOPE)).verdict is Verdict.VIOLATED


def test_a_greedy_cycle_is_not_optimal() -> None:
    cases = []
    for case in schedules.relaxations(SCOPE):
        graph = idle_time_graph(case.bandit)
        choice = np.argmax(graph.rewards, axis=1)
        gain, bias = np.zeros((2, len(choice)))
        _kernels.evaluate_moves(choice, graph.successors, graph.rewards, gain, bias)
        top = _kernels.largest_step(graph.successors, graph.rewards, bias)
        cases.append(
            replace(
                case, optimum=replace(case.optimum, lower=np.array(gain[graph.rested]), upper=np.array(top))
            )
        )
    assert violated("optimum", cases)


def test_one_class_for_every_K_has_no_vanishing_gap() -> None:
    K = np.geomspace(100, 10_000, 20).astype(int)
    gaps = np.array([[1 - planner_ratio(int(k), 1)] for k in K])
    assert violated("asymptotic-ratio", [Curve("a = 1", K * 1.0, gaps, exact=True)])


def test_other_periods_than_powers_of_two_do_better_on_the_tight_family() -> None:
    cases = [replace(case, ratio=case.ratio * 8 / 9) for case in schedules.tight_cases(SCOPE)]
    better = []
    for case in schedules.tight_cases(SCOPE):
        bandit = schedules.blocking(case.delay, 1, case.delay)
        better.append(replace(case, ratio=float(purely_periodic(bandit, 3).value)))
    assert violated("powers-of-two", cases)
    assert violated("powers-of-two", better)


def test_the_correlation_gap_of_a_larger_K_is_too_much() -> None:
    cases = []
    for case in schedules.offset_laws(SCOPE):
        K = case.policy.bandit.K
        larger = correlation_gap(K + 1) * float(case.policy.fluid.value)
        cases.append(replace(case, policy=replace(case.policy, guarantee=larger)))
    assert violated("correlation-gap", cases)


def test_offsets_that_are_all_zero_fall_short() -> None:
    """Dependent arms apply together, and most of them are turned away."""

    def aligned(policy: Any, rng: np.random.Generator) -> OffsetSchedule:
        return replace(policy.draw(rng), offsets=np.zeros(policy.bandit.n_arms, dtype=np.int64))

    assert violated("random-offsets", schedules.offset_draws(SCOPE, aligned))


def test_an_instance_with_room_to_spare_does_not_hide_one_that_falls_short() -> None:
    """Two of the blocking arms are never pulled; over all draws together the mean is still enough."""

    def without_two_arms(policy: Any, rng: np.random.Generator) -> OffsetSchedule:
        draw = policy.draw(rng)
        idle = (np.arange(policy.bandit.n_arms) < 2) & (policy.bandit.n_arms == 12)
        return replace(draw, periods=np.where(idle, 0, draw.periods), offsets=np.where(idle, 0, draw.offsets))

    draws = list(schedules.offset_draws(SCOPE, without_two_arms))
    assert np.mean([draw.guarantee - draw.average for draw in draws]) < -0.01
    assert violated("random-offsets", draws)


def test_greedy_that_pulls_blocked_arms_falls_short() -> None:
    """An arm that is pulled while it is blocked starts its delay anew."""
    rng = np.random.default_rng(0)
    cases = []
    for index in range(20):
        bandit = schedules.random_bandit("blocking", 3, 6, 1, rng)
        cases.append(schedules.GreedyCase(str(index), optimal_cycle(bandit), float(bandit.R[:, 0].max())))
    assert violated("blocking-greedy", cases)


def test_a_grid_that_ends_too_early_is_caught() -> None:
    cases = []
    for case in schedules.truncations(SCOPE):
        short = schedules.grid_bound(case.bandit, case.a, max(case.phi // 8, 1))
        cases.append(replace(case, truncated=short))
    assert violated("truncation", cases)


# Learning.


class NoWidth(PeriodicUCB):
    """Trusts the means."""

    def refresh(self, state: Any) -> None:
        radius, state.radius = state.radius, 0.0
        super().refresh(state)
        state.radius = radius


class WrongWayMinimum(PeriodicUCB):
    """Takes the least bound over shorter periods instead of longer ones."""

    def refresh(self, state: Any) -> None:
        width = state.radius / np.sqrt(np.maximum(state.n, 1))
        means = state.s / np.maximum(state.n, 1)
        bounds = np.where(state.n > 0, means + width, state.spec.reward_max)
        state.U[:] = np.minimum(np.minimum.accumulate(bounds, axis=1), state.spec.reward_max)


class NeverDoubts(PeriodicUCB):
    """Bounds that never shrink."""

    def refresh(self, state: Any) -> None:
        state.U[:] = state.spec.reward_max


class WidthWithoutRoot(PeriodicUCB):
    """Widths that do not shrink with the number of samples."""

    def refresh(self, state: Any) -> None:
        means = state.s / np.maximum(state.n, 1)
        state.U[:] = np.where(state.n > 0, np.minimum(means + state.radius, 1.0), 1.0)


class WideRadius(PeriodicUCB):
    """Widths three times those of the theory; an audit with the learner's own radius would find nothing."""

    def init(self, spec: Any, rng: np.random.Generator) -> Any:
        state = super().init(spec, rng)
        state.radius *= 3
        return state


class OneArm(PeriodicUCB):
    """Plans, and then plays a single arm of the plan."""

    def schedule(self, state: Any) -> Any:
        plan, audit = super().schedule(state)
        first = int(np.argmax(plan.periods > 0))
        only = np.arange(len(plan.periods)) == first
        periods = np.where(only, plan.periods, 0)
        return PeriodicSchedule.trusted(
            periods, np.where(only, plan.offsets, 0), np.where(only, 0, -1), state.spec.K
        ), audit


class HalfSpeed(PeriodicUCB):
    """Promises the plan, and plays every period twice as long."""

    def plan(self, state: Any) -> RecoveringDecision:
        decision = super().plan(state)
        d, o, m = decision.schedule.periods, decision.schedule.offsets, decision.schedule.machines
        return decision._replace(schedule=PeriodicSchedule.trusted(2 * d, o, m, state.spec.K))


class Sluggish(PeriodicUCB):
    """Plays every period 64 times as long."""

    def plan(self, state: Any) -> RecoveringDecision:
        decision = super().plan(state)
        d, o, m = decision.schedule.periods, decision.schedule.offsets, decision.schedule.machines
        return decision._replace(schedule=PeriodicSchedule.trusted(64 * d, o, m, state.spec.K))


class Idle(PeriodicUCB):
    """Plans, and pulls nothing."""

    def schedule(self, state: Any) -> Any:
        plan, audit = super().schedule(state)
        nothing = np.zeros_like(plan.periods)
        return PeriodicSchedule.trusted(nothing, nothing, nothing - 1, state.spec.K), audit


class UsesFirstPull(PeriodicUCB):
    """Takes the first pull of a phase for a sample of the period."""

    def update(self, state: Any, decision: Any, observation: Any) -> Any:
        state.seen[:] = True
        return super().update(state, decision, observation)


class CountsTwice(PeriodicUCB):
    """Counts each sample twice."""

    def update(self, state: Any, decision: Any, observation: Any) -> Any:
        for _ in range(2):
            state = super().update(state, decision, observation)
            state.played -= observation.rounds
        state.played += observation.rounds
        return state


class LongPhases(PeriodicUCB):
    """Holds each plan for three phases."""

    def plan(self, state: Any) -> RecoveringDecision:
        decision = super().plan(state)
        return decision._replace(rounds=min(3 * state.phase_length, state.end - state.played))


class Forgetful(PeriodicUCB):
    """Stops to count a cell at about q samples."""

    def update(self, state: Any, decision: Any, observation: Any) -> Any:
        full = state.n >= (state.phase_length - 1) // state.grid
        n, s = state.n.copy(), state.s.copy()
        state = super().update(state, decision, observation)
        state.n[:], state.s[:] = np.where(full, n, state.n), np.where(full, s, state.s)
        return state


@pytest.mark.parametrize(
    ("learner", "evidence", "keys"),
    [
        (NoWidth, phases.repeated_runs, ["optimism"]),
        (WrongWayMinimum, phases.repeated_runs, ["optimism"]),
        (WidthWithoutRoot, phases.repeated_runs, ["width"]),
        (WideRadius, phases.repeated_runs, ["width"]),
        (OneArm, phases.small_runs, ["planned", "optimistic-plan"]),
        (HalfSpeed, phases.small_runs, ["phase-loss"]),
        (UsesFirstPull, phases.small_runs, ["fresh-samples"]),
        (UsesFirstPull, phases.noise_free_runs, ["estimates"]),
        (CountsTwice, phases.small_runs, ["disjoint-samples", "fresh-samples"]),
        (LongPhases, phases.small_runs, ["phase-cap", "first-visits"]),
        (Forgetful, phases.small_runs, ["potential"]),
        (Idle, phases.open_runs, ["regret"]),
        (Idle, phases.long_runs, ["regret-on-event"]),
        (Idle, phases.doubling_runs, ["doubling"]),
        (Sluggish, phases.open_runs, ["regret"]),
        (Sluggish, phases.doubling_runs, ["doubling"]),
        (NeverDoubts, phases.regret_curves, ["planner-regret"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "-".join(value),
)
def test_a_wrong_learner_is_caught(learner: Any, evidence: Any, keys: list[str]) -> None:
    pieces = list(evidence(SCOPE, learner))
    for key in keys:
        assert violated(key, pieces), key


def test_the_bounds_on_the_regret_see_only_learners_that_earn_almost_nothing() -> None:
    """Why every step of the proof is a theorem of its own: rho UB is far below what any plan earns.

    The share of UB T below which a learner is caught: a tenth on each instance, where the real one earns
    nine tenths, so that its regret against rho UB T is negative.
    """
    runs = [next(iter(evidence(SCOPE))) for evidence in (phases.open_runs, phases.long_runs)]
    for run in runs:
        share = (run.trivial - run.guaranteed_regret) / (run.bound * run.trace.rounds)
        assert 0.05 < share < 0.15
        assert run.regret < 0
        assert run.trace.values.mean() > 0.9 * run.bound
    assert next(iter(phases.doubling_runs(SCOPE))).regret < 0


def test_phases_of_constant_length_make_the_bound_linear() -> None:
    T = np.array([10**k for k in range(10, 17)])
    bounds = np.array([[phases.regret_bound(6, 2, int(t), phi=20)] for t in T])
    assert violated("rate-in-time", [Curve("phi = 20", T * 1.0, bounds, exact=True)])


def test_cauchy_schwarz_over_all_cells_alone_misses_the_rate_in_N() -> None:
    """With W = sqrt(N M K T) only, the width term grows like N^(5/4) for K = N."""
    N, T = np.array([2**k for k in range(4, 13)]), 10**10
    bounds = []
    for n in N.tolist():
        a, phi = schedules.best_classes(n), math.isqrt(T)
        grid = schedules.structured_periods(a, phi)
        S_a, M = (1 / grid).sum(), len(grid)
        L = math.log(2 * n * M * T * T)
        phase_term = 3 * n * T / phi + 2 * n * phi * S_a
        bounds.append([phase_term + 2 * (1 + math.sqrt(2)) * math.sqrt(L / 2 * n * M * n * T)])
    assert violated("rate-in-arms", [Curve("K = N", N * 1.0, np.array(bounds), exact=True)])


# Reference figures.


def test_the_default_instance_has_the_values_that_were_computed_independently() -> None:
    """UB, the plan, greedy, the best rotation and random offsets, to the four digits that are known.

    Greedy is averaged from the rested start on, as it was there; in the long run it earns 0.9191.
    """
    bandit = recovering()
    greedy = rewards_over_time(bandit, IndexRule(bandit.R, 2), 20_000).mean()
    assert schedules.greedy_average(bandit) == pytest.approx(0.9191, abs=5e-5)
    found = {
        "UB": float(fluid_bound(bandit).value),
        "plan": float(purely_periodic(bandit).value),
        "greedy": float(greedy),
        "round robin": best_rotation(bandit)[1],
        "random offsets": random_offsets(bandit).expected,
    }
    known = {"UB": 0.9270, "plan": 0.8903, "greedy": 0.9192, "round robin": 0.8415, "random offsets": 0.8137}
    assert found == pytest.approx(known, abs=5.1e-5)


def test_several_classes_make_up_for_the_tight_family() -> None:
    for delay, value in ((3, 1.0), (5, 1.0), (9, 1.0), (17, 17 / 18)):
        assert purely_periodic(schedules.blocking(delay, 1, delay)).value == pytest.approx(value, abs=1e-12)


def test_the_explicit_bound_at_four_horizons() -> None:
    """N = 6, K = 2, delta = 1 / T, with the K of the expectation; independently computed."""
    for T, bound in ((2000, 7533), (8000, 15957), (32_000, 33515), (128_000, 69996)):
        assert phases.regret_bound(6, 2, T) + 2 == pytest.approx(bound, abs=0.5)


def test_the_reference_run_is_reproduced() -> None:
    """Planner regret on the default instance: an independent program's means, within 5 standard errors.

    Eight seeds there, eight here; false alarm below 1e-5 per horizon under normality, seeds fixed.
    """
    bandit = recovering()
    published = {8000: (468.8, 8.7), 32_000: (975.0, 30.0), 128_000: (1438.0, 77.0)}
    regrets, _ = phases.planner_regret(bandit, PeriodicUCB, np.array(list(published)), range(8))
    for row, (mean, error) in zip(regrets, published.values(), strict=True):
        ours = row.std(ddof=1) / math.sqrt(len(row))
        assert row.mean() == pytest.approx(mean, abs=5 * math.hypot(error, ours))
