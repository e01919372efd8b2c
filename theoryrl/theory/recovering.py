"""The theorems on recovering bandits (Simchi-Levi, Zheng and Zhu 2021).

The paper promises an offline ratio of 1 - O(1 / sqrt(K)) and an online regret of order N sqrt(T). Both
orders are the paper's; the constants, the set of periods and the phases are derived here, with proofs on
the page of this paper. Final bounds are loose (offline) or vacuous below some hundred thousand periods
(online), so every step of their proofs is a theorem of its own, evaluated exactly.
"""

from __future__ import annotations

import math

import numpy as np

from theoryrl.theory.core import Kind, Mark, Paper, Series, Theorem
from theoryrl.theory.evidence import phases, schedules
from theoryrl.theory.evidence.phases import DELTA, PhaseRun
from theoryrl.theory.evidence.schedules import Plan, Relaxation

SHORT_HORIZONS = (1, 2, 5, 20, 60)
LINEAR_PROGRAM = 1e-7
"""Feasibility and optimality tolerance of HiGHS."""

DUALITY_GAP = 2e-12
"""The capacity that may be overfilled by rounding (1e-12) at a price of at most 1, and as much again."""

_PAGE = "Recovering page"
_ON_EVENT = ("the bounds of the run are true (recovering.optimism, recovering.width)",)
_MONOTONE = ("non-decreasing curves",)
_UP = ("non-decreasing curves", "the fractional arm moves up")


def _good(run: PhaseRun) -> bool:
    return run.good


def _known_average(plan: Plan) -> bool:
    return plan.measured_average is not None


def _rested(case: Relaxation) -> float:
    return float(case.bandit.R.max(axis=1).sum())


def _schedule_loss(run: PhaseRun) -> np.ndarray:
    return run.lengths * run.column("planned") - run.earned


def _allowed_loss(run: PhaseRun) -> np.ndarray:
    U, R = run.column("U"), run.column("R")
    return (2 * U + run.usable * (U - R)).sum(axis=1)


def _first_visits(run: PhaseRun) -> np.ndarray:
    """Pulls of each cell in visits that began with fewer than q samples."""
    early = run.used & (run.before < run.cap)
    return run.per_cell(np.where(early, run.usable, 0))


def _potential(run: PhaseRun) -> np.ndarray:
    """Sum of m' / sqrt(n) over the visits of each cell that began with n >= q samples."""
    late = run.used & (run.before >= run.cap) & (run.before > 0)
    return run.per_cell(np.where(late, run.usable / np.sqrt(np.maximum(run.before, 1)), 0.0))


def _estimates(run: PhaseRun) -> np.ndarray:
    seen = run.n > 0
    means: np.ndarray = run.s[seen] / run.n[seen]
    return means


def _regret_series(run: PhaseRun) -> Series:
    T = np.unique(np.geomspace(1000, run.trace.rounds, 200).astype(np.int64))
    earned = np.cumsum(run.trace.values)[T - 1]
    return Series(
        f"recovering.regret-on-event ({run.instance})",
        "period",
        "rho UB T - reward",
        T.astype(np.float64),
        run.ratio * run.bound * T - earned,
        np.full(len(T), run.guaranteed_regret),
    )


OFFLINE = (
    Theorem(
        key="recovering.upper-bound",
        statement="No policy earns more than the relaxation in the long run: OPT <= UB.",
        source=_PAGE + ", T1",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=schedules.relaxations,
        measured=lambda case: case.optimum.lower,
        bound=lambda case: case.fluid.upper,
    ),
    Theorem(
        key="recovering.finite-horizon",
        statement="The largest total reward of T periods from rest is at most T UB + sum_i max R_i.",
        source=_PAGE + ", T1",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=schedules.relaxations,
        measured=lambda case: case.totals(SHORT_HORIZONS),
        bound=lambda case: np.array(SHORT_HORIZONS) * case.fluid.upper + _rested(case),
    ),
    Theorem(
        key="recovering.relaxation",
        statement="Filling the capacity with the steepest edges solves the linear program of the relaxation.",
        source=_PAGE + ", the relaxation",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=LINEAR_PROGRAM,
        evidence=schedules.relaxations,
        measured=lambda case: case.fluid.value,
        bound=lambda case: case.by_linear_program,
    ),
    Theorem(
        key="recovering.duality",
        statement="The dual price closes the gap: K lam + sum_i max(0, max_d (R_i(d) - lam) / d) = UB.",
        source=_PAGE + ", the relaxation",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=DUALITY_GAP,
        evidence=schedules.relaxations,
        measured=lambda case: case.fluid.upper,
        bound=lambda case: case.fluid.lower,
    ),
    Theorem(
        key="recovering.optimum",
        statement="The optimal cycle is optimal: its mean reaches the bound max (r + h(s') - h(s)).",
        source=_PAGE + ", the exact optimum",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-11,
        evidence=schedules.relaxations,
        measured=lambda case: case.optimum.lower,
        bound=lambda case: case.optimum.upper,
    ),
    Theorem(
        key="recovering.ratio-relaxation",
        statement="The periodic plan with a classes is worth at least a K / ((a + 1)(a + K)) UB.",
        source=_PAGE + ", T2",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_MONOTONE,
        tolerance=1e-12,
        evidence=schedules.small_plans,
        measured=lambda plan: plan.ratio * plan.bound,
        bound=lambda plan: plan.solution.value,
    ),
    Theorem(
        key="recovering.ratio-optimum",
        statement="The periodic plan with a classes is worth at least a K / ((a + 1)(a + K)) OPT.",
        source=_PAGE + ", T2",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_MONOTONE,
        tolerance=1e-12,
        evidence=schedules.small_plans,
        measured=lambda plan: plan.ratio * plan.best.lower,
        bound=lambda plan: plan.solution.value,
    ),
    Theorem(
        key="recovering.attained",
        statement="A periodic plan is worth no more than the optimum.",
        source=_PAGE + ", the value of a periodic policy",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=schedules.small_plans,
        measured=lambda plan: plan.solution.value,
        bound=lambda plan: plan.best.upper,
    ),
    Theorem(
        key="recovering.periodic-value",
        statement="Played for one cycle, a periodic plan earns sum_i R_i(d_i) / d_i per period, exactly.",
        source=_PAGE + ", the value of a periodic policy",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-11,
        evidence=schedules.small_plans,
        given=_known_average,
        measured=lambda plan: plan.measured_average,
        bound=lambda plan: plan.solution.value,
    ),
    Theorem(
        key="recovering.feasible",
        statement="No period of a periodic plan has more than K pulls.",
        source=_PAGE + ", packing",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=schedules.large_plans,
        measured=lambda plan: plan.crowd,
        bound=lambda plan: plan.bandit.K,
    ),
    Theorem(
        key="recovering.disjoint",
        statement="Two arms of one machine never meet: their offsets differ modulo the gcd of their periods.",
        source=_PAGE + ", packing",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=schedules.large_plans,
        measured=lambda plan: plan.collisions,
        bound=lambda plan: 0,
    ),
    Theorem(
        key="recovering.packing",
        statement="Arms with periods j 2^l of one odd part j fit on ceil(sum of 1 / period) machines.",
        source=_PAGE + ", packing",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=schedules.packings,
        measured=lambda case: [case.used, case.collisions],
        bound=lambda case: [case.needed, 0],
    ),
    Theorem(
        key="recovering.rounding",
        statement="Rounding up into D[a] gives d <= r <= d (a + 1) / a, with an odd part of at most 2 a - 1.",
        source=_PAGE + ", rounding",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-15,
        evidence=schedules.roundings,
        measured=lambda case: np.concatenate([case.d, case.rounded, case.odd]),
        bound=lambda case: np.concatenate(
            [case.rounded, case.d * (case.a + 1) / case.a, np.full(len(case.d), 2 * case.a - 1)]
        ),
    ),
    Theorem(
        key="recovering.density",
        statement="With the fractional arm moved up the plan pulls at most K + 1 arms per period.",
        source=_PAGE + ", T2",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_UP,
        tolerance=1e-12,
        evidence=schedules.large_plans,
        measured=lambda plan: plan.solution.density,
        bound=lambda plan: plan.bandit.K + 1,
    ),
    Theorem(
        key="recovering.machines",
        statement="The plan needs at most K + a machines.",
        source=_PAGE + ", T2",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_UP,
        tolerance=0.0,
        evidence=schedules.large_plans,
        measured=lambda plan: plan.solution.machines,
        bound=lambda plan: plan.bandit.K + plan.a,
    ),
    Theorem(
        key="recovering.grid",
        statement="The relaxation over D[a] keeps a / (a + 1) of the bound.",
        source=_PAGE + ", T2",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_MONOTONE,
        tolerance=1e-12,
        evidence=schedules.large_plans,
        given=lambda plan: plan.method == "grid",
        measured=lambda plan: plan.a / (plan.a + 1) * plan.bound,
        bound=lambda plan: plan.solution.relaxed,
    ),
    Theorem(
        key="recovering.total",
        statement="All machines together are worth the relaxation (grid), or a / (a + 1) of it (round).",
        source=_PAGE + ", T2",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_UP,
        tolerance=1e-12,
        evidence=schedules.large_plans,
        measured=lambda plan: (
            plan.solution.relaxed if plan.method == "grid" else plan.a / (plan.a + 1) * plan.bound
        ),
        bound=lambda plan: plan.solution.total,
    ),
    Theorem(
        key="recovering.kept",
        statement="The K best machines keep K / (K + a) of the value of all.",
        source=_PAGE + ", T2",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_UP,
        tolerance=1e-12,
        evidence=schedules.large_plans,
        measured=lambda plan: plan.bandit.K / (plan.bandit.K + plan.a) * plan.solution.total,
        bound=lambda plan: plan.solution.value,
    ),
    Theorem(
        key="recovering.asymptotic-ratio",
        statement="1 - gamma_K falls like 1 / sqrt(K).",
        source="Simchi-Levi, Zheng and Zhu (2021), abstract; our gamma_K",
        kind=Kind.RATE,
        mark=Mark.PAPER,
        slopes=(-0.52, -0.45),
        evidence=schedules.ratio_curve,
    ),
    Theorem(
        key="recovering.powers-of-two",
        statement="On d = 2^l + 1 blocking arms with K = 1 powers of two reach exactly d / 2^(l + 1) of OPT.",
        source=_PAGE + ", a tight family",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=schedules.tight_cases,
        measured=lambda case: case.ratio,
        bound=lambda case: case.delay / 2 ** ((case.delay - 1).bit_length()),
    ),
    Theorem(
        key="recovering.correlation-gap",
        statement="(1 - K^K e^-K / K!) UB <= E[sum of the K largest candidates] <= UB.",
        source=_PAGE + ", T5",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_MONOTONE,
        tolerance=1e-12,
        evidence=schedules.offset_laws,
        measured=lambda case: [case.policy.guarantee, case.policy.expected],
        bound=lambda case: [case.policy.expected, case.policy.fluid.upper],
    ),
    Theorem(
        key="recovering.random-offsets",
        statement="On average over its draws the random-offset policy earns (1 - K^K e^-K / K!) UB.",
        source=_PAGE + ", T5",
        kind=Kind.EXPECTATION,
        mark=Mark.OURS,
        assumptions=_MONOTONE,
        width=2.0,
        evidence=schedules.offset_draws,
        measured=lambda draw: draw.guarantee,
        bound=lambda draw: draw.average,
    ),
    Theorem(
        key="recovering.blocking-greedy",
        statement="On blocking arms with K = 1 greedy earns at least 1 - 1/e of the optimum in the long run.",
        source="Basu, Sen, Sanghavi and Shakkottai (2019), abstract",
        kind=Kind.INEQUALITY,
        mark=Mark.PAPER,
        assumptions=("blocking curves", "K = 1"),
        tolerance=1e-12,
        evidence=schedules.greedy_cases,
        measured=lambda case: -math.expm1(-1) * case.optimum.lower,
        bound=lambda case: case.average,
    ),
)

ONLINE = (
    Theorem(
        key="recovering.optimism",
        statement="With probability 1 - delta, U >= R for all arms, structured periods and phases.",
        source=_PAGE + ", T4",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        assumptions=_MONOTONE,
        delta=DELTA,
        tolerance=0.0,
        evidence=phases.repeated_runs,
        measured=lambda run: -run.number("optimism").min(),
        bound=lambda run: 0.0,
    ),
    Theorem(
        key="recovering.width",
        statement="With probability 1 - delta, U - R <= 2 R_max sqrt(L / (2 n)) everywhere.",
        source=_PAGE + ", T4",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=DELTA,
        tolerance=1e-12,
        evidence=phases.repeated_runs,
        measured=lambda run: -run.number("slack").min(),
        bound=lambda run: 0.0,
    ),
    Theorem(
        key="recovering.planned",
        statement="Under the bounds, each phase's plan keeps K / (K + a) of the relaxation: V_U >= that.",
        source=_PAGE + ", T4 step (a)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=phases.small_runs,
        measured=lambda run: run.bandit.K / (run.bandit.K + run.a) * run.column("relaxed"),
        bound=lambda run: run.column("planned"),
    ),
    Theorem(
        key="recovering.optimistic-plan",
        statement="On the event each phase is planned at K / (K + a) of the true grid relaxation at least.",
        source=_PAGE + ", T4 step (a)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ON_EVENT,
        tolerance=1e-12,
        evidence=phases.small_runs,
        given=_good,
        measured=lambda run: run.bandit.K / (run.bandit.K + run.a) * run.grid_value,
        bound=lambda run: run.column("planned"),
    ),
    Theorem(
        key="recovering.truncation",
        statement="Periods up to phi suffice: the grid relaxation keeps a / (a + 1) UB - N R_max / phi.",
        source=_PAGE + ", T4 step (a)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_MONOTONE,
        tolerance=1e-12,
        evidence=schedules.truncations,
        measured=lambda case: case.a / (case.a + 1) * case.bound - case.bandit.n_arms / case.phi,
        bound=lambda case: case.truncated,
    ),
    Theorem(
        key="recovering.phase-loss",
        statement="A phase of H periods loses H V_U - reward <= sum over its arms of 2 U + m' (U - R).",
        source=_PAGE + ", T4 step (b)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-11,
        evidence=phases.small_runs,
        measured=_schedule_loss,
        bound=_allowed_loss,
    ),
    Theorem(
        key="recovering.fresh-samples",
        statement="A phase gives an arm max(0, floor((H - 1 - o) / d)) new samples, all of its own period.",
        source=_PAGE + ", T4 step (b)",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=phases.small_runs,
        measured=lambda run: np.append(run.samples.sum(axis=2), run.per_cell(run.usable).ravel()),
        bound=lambda run: np.append(run.usable, run.n.ravel()),
    ),
    Theorem(
        key="recovering.phase-cap",
        statement="No phase gives more than q = floor((phi - 1) / d) samples.",
        source=_PAGE + ", T4 step (c)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=phases.small_runs,
        measured=lambda run: run.samples.sum(axis=2),
        bound=lambda run: run.cap,
    ),
    Theorem(
        key="recovering.first-visits",
        statement="At most 2 q - 1 pulls of a cell fall into visits that began with fewer than q samples.",
        source=_PAGE + ", T4 step (c)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=phases.small_runs,
        measured=_first_visits,
        bound=lambda run: np.maximum(2 * ((run.phi - 1) // run.grid) - 1, 0),
    ),
    Theorem(
        key="recovering.potential",
        statement="Over later visits of a cell, sum m' / sqrt(n) <= (1 + sqrt 2) sqrt(samples).",
        source=_PAGE + ", T4 step (d)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=phases.small_runs,
        measured=_potential,
        bound=lambda run: (1 + math.sqrt(2)) * np.sqrt(run.n),
    ),
    Theorem(
        key="recovering.disjoint-samples",
        statement="The samples of an arm take up disjoint stretches of time: sum_d d N_id <= T.",
        source=_PAGE + ", T4 step (e)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=phases.small_runs,
        measured=lambda run: run.n @ run.grid,
        bound=lambda run: run.trace.rounds,
    ),
    Theorem(
        key="recovering.estimates",
        statement="Without noise every estimate is the true mean at its idle time.",
        source=_PAGE + ", the online algorithm",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=phases.noise_free_runs,
        measured=_estimates,
        bound=lambda run: run.bandit.at(run.grid)[run.n > 0],
    ),
    Theorem(
        key="recovering.regret",
        statement="With probability 1 - delta, rho UB T - reward <= 3NT/phi + 2N phi S_a + width term.",
        source=_PAGE + ", T4",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        assumptions=_MONOTONE,
        delta=DELTA,
        evidence=phases.open_runs,
        measured=lambda run: run.regret,
        bound=lambda run: run.guaranteed_regret,
        trivial=lambda run: run.trivial,
    ),
    Theorem(
        key="recovering.regret-on-event",
        statement="On the event the bound holds surely; after a million periods it is not vacuous.",
        source=_PAGE + ", T4",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ON_EVENT,
        evidence=phases.long_runs,
        given=_good,
        measured=lambda run: run.regret,
        bound=lambda run: run.guaranteed_regret,
        trivial=lambda run: run.trivial,
        series=_regret_series,
    ),
    Theorem(
        key="recovering.doubling",
        statement="With doubling epochs the regret is at most the sum of the bounds of its epochs.",
        source=_PAGE + ", the online algorithm",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ON_EVENT,
        evidence=phases.doubling_runs,
        given=lambda run: run.good,
        measured=lambda run: run.regret,
        bound=lambda run: run.guaranteed_regret,
        trivial=lambda run: run.trivial,
    ),
    Theorem(
        key="recovering.rate-in-time",
        statement="The proven bound grows like sqrt(T), up to logarithms.",
        source="Simchi-Levi, Zheng and Zhu (2021), abstract; our constants",
        kind=Kind.RATE,
        mark=Mark.PAPER,
        slopes=(0.5, 0.55),
        evidence=phases.bound_over_time,
    ),
    Theorem(
        key="recovering.rate-in-arms",
        statement="The proven bound grows at most like N, for every K from 1 to N, up to logarithms.",
        source="Simchi-Levi, Zheng and Zhu (2021), abstract; our constants",
        kind=Kind.RATE,
        mark=Mark.PAPER,
        slopes=(0.5, 1.1),
        evidence=phases.bound_over_arms,
    ),
    Theorem(
        key="recovering.planner-regret",
        statement="Measured: regret against the planner that knows the curves has slope 0.2 to 0.65 in T.",
        source=_PAGE + ", what was measured",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(0.2, 0.65),
        evidence=phases.regret_curves,
    ),
)

THEOREMS = OFFLINE + ONLINE

PAPER = Paper(
    key="recovering",
    title="Offline Planning and Online Learning under Recovering Rewards",
    authors="David Simchi-Levi, Zeyu Zheng, Feng Zhu",
    venue="ICML 2021, PMLR 139 (as Dynamic Planning and Learning under Recovering Rewards)",
    arxiv="2106.14813",
    summary="Arms recover while they rest: periodic policies near a concave bound, learned phase by phase.",
    learners=("periodic-ucb",),
    theorems=THEOREMS,
)
