"""R-BOCPD-UCRL2 (Alami, Mahfoud and Moulines 2023): its theorems, and those of the parts it is made of.

The full text of the paper was not available, so that nothing here is marked *paper*: of its abstract's
regret bound only the order is compared. False-alarm level and delays of the detector, and regret on
detection, are proved on the docs page and marked *ours*; UCRL2's theorem is Jaksch, Ortner and Auer's. Its
regret bounds say nothing at sizes that a computer reaches, so that the steps of its proof are checked on
every episode of audited runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from theoryrl.learners import RBOCPDUCRL2
from theoryrl.learners.rbocpd_ucrl2 import Watch
from theoryrl.solvers.detection import RestartRule
from theoryrl.theory.core import Evidence, Kind, Mark, Paper, Scope, Theorem
from theoryrl.theory.evidence import audited_average as aud
from theoryrl.theory.evidence import change_points as cp
from theoryrl.theory.evidence import extended_gains as ext
from theoryrl.theory.evidence import restarting as res

_PAGE = "R-BOCPD-UCRL2 page"
_IID = ("independent samples of one law, whatever it is",)
_FIXED = ("exact run (no pruning)", "the number m of samples before the change is fixed")
_ON_EVENT = ("the true model is in the confidence set at the start of every episode",)
DELTA = aud.DELTA
REPLAYED = 4
"""Runs of each model whose detectors are run again beside the agent."""


def _good(run: aud.AverageRun) -> bool:
    return run.good


@dataclass(frozen=True, eq=False)
class LevelSum(Evidence):
    """Sum of the levels of all detectors over all lives up to some number, and over the first ones."""

    total: float
    first: float


def level_sums(scope: Scope, kind: type[Watch] = Watch) -> list[Evidence]:
    """Return the sums of the levels of all detectors over many lives."""
    found: list[Evidence] = []
    for S, A, rewards in ((1, 2, True), (4, 2, True), (6, 3, False)):
        watch = kind(S, A, RestartRule("safe", DELTA), DELTA, 0.25, rewards, np.random.default_rng(0))
        D = len(watch.bank.levels)
        lives = np.arange(1, scope.pick(10**3, 10**5) + 1)
        total = D * sum(watch.level(D, int(j)) for j in lives)
        found.append(LevelSum(f"S = {S}, A = {A}", total, float(np.exp(watch.bank.levels).sum())))
    return found


DETECTOR = (
    Theorem(
        key="rbocpd-ucrl2.weights-sum-to-one",
        statement="For every start s, the weights Q(x_{r:s-1}) Q(x_{s:t}) of all streams sum to 1.",
        source=_PAGE + ", the forecasters",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-11,
        evidence=cp.enumerations,
        measured=cp.sums_of_weights,
        bound=lambda case: 1.0,
    ),
    Theorem(
        key="rbocpd-ucrl2.closed-form",
        statement="Every weight at every time is (O-1)! prod N_i! / (n+O-1)! of its two pieces.",
        source=_PAGE + ", the forecasters",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-11,
        evidence=cp.random_streams,
        measured=lambda case: cp.lower_triangle(case.weights),
        bound=lambda case: cp.lower_triangle(case.closed_form),
    ),
    Theorem(
        key="rbocpd-ucrl2.redundancy",
        statement="The mixture loses at most the number of count vectors: log max P - log Q <= log C_O(n).",
        source=_PAGE + ", false alarms",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-11,
        evidence=cp.random_streams,
        measured=lambda case: cp.log_redundancies(case)[0],
        bound=lambda case: cp.log_redundancies(case)[1],
    ),
    Theorem(
        key="rbocpd-ucrl2.supermartingale",
        statement="E_theta[ Q(x_{r:s-1}) Q(x_{s:t}) / P_theta(x_{r:t}) ] <= 1 for every law and start.",
        source=_PAGE + ", false alarms",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_IID,
        tolerance=1e-11,
        evidence=cp.enumerations,
        measured=cp.expected_ratios,
        bound=lambda case: 1.0,
    ),
    Theorem(
        key="rbocpd-ucrl2.exact-level",
        statement="The detector alarms on exactly the streams on which its rule holds: equal probabilities.",
        source=_PAGE + ", the restart rules",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=cp.exact_levels,
        measured=lambda case: case.detected,
        bound=lambda case: case.defined,
    ),
    Theorem(
        key="rbocpd-ucrl2.exact-false-alarms",
        statement="The exact probability of a false alarm in a short stream is at most delta.",
        source=_PAGE + ", false alarms",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_IID,
        tolerance=0.0,
        evidence=cp.exact_levels,
        measured=lambda case: case.detected,
        bound=lambda case: case.rule.delta,
    ),
    Theorem(
        key="rbocpd-ucrl2.false-alarm",
        statement="P(some false alarm) <= delta for the rules safe, safe_horizon and universal.",
        source=_PAGE + ", false alarms",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        assumptions=_IID,
        delta=cp.DELTA,
        tolerance=0.0,
        evidence=cp.stationary_streams,
        measured=lambda stream: float(stream.alarm >= 0),
        bound=lambda stream: 0.0,
    ),
    Theorem(
        key="rbocpd-ucrl2.universal-first",
        statement="On the same stream the universal rule alarms no later than the safe one.",
        source=_PAGE + ", false alarms",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=cp.changing_streams,
        measured=lambda pair: pair.universal,
        bound=lambda pair: pair.safe,
    ),
    Theorem(
        key="rbocpd-ucrl2.pruning-adds-none",
        statement="A pruned run alarms no earlier than the exact one, which alarms no earlier than it says.",
        source=_PAGE + ", pruning",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=cp.changing_streams,
        measured=lambda pair: [pair.safe, pair.earliest],
        bound=lambda pair: [pair.pruned, pair.safe],
    ),
    Theorem(
        key="rbocpd-ucrl2.pruning-grid",
        statement="After every start s one is kept at s' with s' - s <= epsilon (t - s').",
        source=_PAGE + ", pruning",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=cp.grids,
        measured=lambda grid: grid.distances,
        bound=lambda grid: 0.0,
    ),
    Theorem(
        key="rbocpd-ucrl2.pruning-size",
        statement="At most 4 log(n / 2) / log(1 + epsilon) + 8 forecasters are kept.",
        source=_PAGE + ", pruning",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=cp.grids,
        measured=lambda grid: len(grid.starts),
        bound=lambda grid: grid.most,
    ),
    Theorem(
        key="rbocpd-ucrl2.survival",
        statement="P(no alarm within d samples) <= P(log Q(X) + log Q(Y) - log Q(X+Y) <= -log eta), a sum.",
        source=_PAGE + ", delay",
        kind=Kind.EXPECTATION,
        mark=Mark.OURS,
        assumptions=_FIXED,
        width=1.0,
        evidence=cp.survivals,
        measured=lambda stream: stream.survived,
        bound=lambda stream: stream.bound,
    ),
    Theorem(
        key="rbocpd-ucrl2.survival-adaptive",
        statement="Given the counts before the change, the same sum over Y bounds survival, for any policy.",
        source=_PAGE + ", delay",
        kind=Kind.EXPECTATION,
        mark=Mark.OURS,
        assumptions=("exact run (no pruning)",),
        width=2.0,
        evidence=cp.leaving_streams,
        measured=lambda stream: stream.survived,
        bound=lambda stream: stream.bound,
    ),
    Theorem(
        key="rbocpd-ucrl2.delay",
        statement="With probability 1 - delta - delta', the first alarm comes within D(m) of the change.",
        source=_PAGE + ", delay",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        assumptions=_FIXED,
        delta=2 * cp.DELAY_DELTA,
        tolerance=0.0,
        evidence=cp.delayed_streams,
        measured=lambda stream: stream.delay,
        bound=lambda stream: stream.bound,
    ),
    Theorem(
        key="rbocpd-ucrl2.published-delay",
        statement="The published delay for two symbols, with its two hidden conditions, holds likewise.",
        source="Alami, Maillard and Feraud (2020), theorem 2; proof on the docs page",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.RECALLED,
        assumptions=_FIXED,
        delta=2 * cp.DELAY_DELTA,
        tolerance=0.0,
        evidence=cp.published_delays,
        measured=lambda stream: stream.delay,
        bound=lambda stream: stream.bound,
    ),
    Theorem(
        key="rbocpd-ucrl2.delay-slope",
        statement="As delta falls, delays of expected counts grow like log(1/delta) / KL(after || before).",
        source=_PAGE + ", delay",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=cp.plugin_slopes,
        measured=lambda case: abs(np.polyfit(case.log_inverse_delta, case.delays, 1)[0] / case.limit - 1),
        bound=lambda case: 0.03,
    ),
)


OPTIMISM = (
    Theorem(
        key="rbocpd-ucrl2.inner-maximum",
        statement="Moving mass from the worst states to the best one solves the linear program of each set.",
        source="Jaksch, Ortner and Auer (2010), figure 2",
        kind=Kind.IDENTITY,
        mark=Mark.RECALLED,
        tolerance=1e-7,
        evidence=ext.inner_cases,
        measured=lambda case: case.value,
        bound=lambda case: case.program,
    ),
    Theorem(
        key="rbocpd-ucrl2.gain-bracket",
        statement="Extended value iteration returns lower <= rho~ <= upper, closer than its tolerance.",
        source=_PAGE + ", extended value iteration",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-10,
        evidence=ext.brackets,
        measured=lambda case: [case.lower, case.gain, case.width],
        bound=lambda case: [case.gain, case.upper, case.tol],
    ),
    Theorem(
        key="rbocpd-ucrl2.optimism",
        statement="If the model is in the set, rho* <= upper, and the middle is at least rho* - epsilon / 2.",
        source=_PAGE + ", extended value iteration",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-9,
        evidence=ext.optimistic_cases,
        measured=lambda case: [case.gain, case.gain - case.tol / 2],
        bound=lambda case: [case.upper, case.value],
    ),
    Theorem(
        key="rbocpd-ucrl2.span",
        statement="If the model is in the set, every iterate from zero has a span of at most the diameter.",
        source="Jaksch, Ortner and Auer (2010), section 4.3.1",
        kind=Kind.INEQUALITY,
        mark=Mark.RECALLED,
        tolerance=1e-9,
        evidence=ext.optimistic_cases,
        measured=lambda case: case.span,
        bound=lambda case: case.diameter,
    ),
    Theorem(
        key="rbocpd-ucrl2.monotone",
        statement="Wider sets have larger gains.",
        source=_PAGE + ", extended value iteration",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-8,
        evidence=ext.optimistic_cases,
        measured=lambda case: -case.wider,
        bound=lambda case: 0.0,
    ),
    Theorem(
        key="rbocpd-ucrl2.coverage",
        statement="With probability 1 - delta the true model is in UCRL2's set at every episode.",
        source="Jaksch, Ortner and Auer (2010), lemma 17",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.RECALLED,
        delta=DELTA,
        tolerance=0.0,
        evidence=aud.ucrl_runs,
        measured=lambda run: float(not run.good),
        bound=lambda run: 0.0,
    ),
    Theorem(
        key="rbocpd-ucrl2.coverage-laplace",
        statement="So it is with the narrower time-uniform radii.",
        source=_PAGE + ", the narrower radii",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=DELTA,
        tolerance=0.0,
        evidence=aud.narrow_runs,
        measured=lambda run: float(not run.good),
        bound=lambda run: 0.0,
    ),
    Theorem(
        key="rbocpd-ucrl2.episodes",
        statement="UCRL2 begins at most S A log2(8 T / (S A)) episodes.",
        source="Jaksch, Ortner and Auer (2010), proposition 18",
        kind=Kind.INEQUALITY,
        mark=Mark.RECALLED,
        assumptions=("T >= S A",),
        tolerance=0.0,
        evidence=aud.long_runs,
        measured=lambda run: len(run.rows),
        bound=lambda run: math.prod(run.shape) * math.log2(8 * run.trace.rounds / math.prod(run.shape)),
    ),
    Theorem(
        key="rbocpd-ucrl2.potential",
        statement="sum_k sum_{s,a} nu_k / sqrt(max(1, N_k)) <= (1 + sqrt 2) sqrt(S A T).",
        source="Jaksch, Ortner and Auer (2010), equation 20",
        kind=Kind.INEQUALITY,
        mark=Mark.RECALLED,
        tolerance=1e-12,
        evidence=aud.long_runs,
        measured=lambda run: aud.potential_sides(run)[0],
        bound=lambda run: aud.potential_sides(run)[1],
    ),
    Theorem(
        key="rbocpd-ucrl2.decomposition",
        statement="Regret = sum of gaps + h(last state) - h(first state) + sum of P h - h(next state).",
        source=_PAGE + ", regret step by step",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-9,
        evidence=aud.long_runs,
        measured=lambda run: aud.decomposition(run)[0],
        bound=lambda run: aud.decomposition(run)[1],
    ),
    Theorem(
        key="rbocpd-ucrl2.episode-regret",
        statement="On the event, an episode's regret <= nu (P~ - I) u + 2 nu d_r + nu epsilon.",
        source=_PAGE + ", regret step by step",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ON_EVENT,
        tolerance=1e-9,
        evidence=aud.long_runs,
        given=_good,
        measured=lambda run: aud.episode_sides(run)[0],
        bound=lambda run: aud.episode_sides(run)[1],
    ),
    Theorem(
        key="rbocpd-ucrl2.model-error",
        statement="On the event, nu (P~ - P) u <= D sum of nu d_p in every episode.",
        source="Jaksch, Ortner and Auer (2010), section 4.3.2",
        kind=Kind.INEQUALITY,
        mark=Mark.RECALLED,
        assumptions=_ON_EVENT,
        tolerance=1e-9,
        evidence=aud.long_runs,
        given=_good,
        measured=lambda run: aud.width_sides(run)[0],
        bound=lambda run: aud.width_sides(run)[1],
    ),
    Theorem(
        key="rbocpd-ucrl2.step-martingale",
        statement="With probability 1 - delta, sum of (P u - u(next)) / span u <= sqrt(T log(1/delta) / 2).",
        source=_PAGE + ", regret step by step",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=DELTA,
        evidence=aud.ucrl_runs,
        measured=aud.transition_martingale,
        bound=lambda run: math.sqrt(run.trace.rounds * math.log(1 / DELTA) / 2),
    ),
    Theorem(
        key="rbocpd-ucrl2.ucrl2-regret",
        statement="With probability 1 - delta, UCRL2's regret <= 34 D S sqrt(A T log(T / delta)).",
        source="Jaksch, Ortner and Auer (2010), theorem 2",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.RECALLED,
        delta=DELTA,
        evidence=aud.ucrl_runs,
        measured=lambda run: run.realised_regret,
        bound=lambda run: aud.bound_of(run, DELTA),
        trivial=lambda run: float(run.trace.rounds),
        bites=lambda run: aud.bite_of(run, DELTA),
    ),
    Theorem(
        key="rbocpd-ucrl2.two-arm-ucrl2",
        statement="So it is with one state and two actions, where the bound bites from 32,000 steps on.",
        source="Jaksch, Ortner and Auer (2010), theorem 2",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.RECALLED,
        delta=DELTA,
        evidence=aud.bandit_runs,
        measured=lambda run: run.realised_regret,
        bound=lambda run: aud.bound_of(run, DELTA),
        trivial=lambda run: float(run.trace.rounds),
    ),
)


def _conditional_bound(run: aud.AverageRun) -> float:
    K, delays = len(run.problem.change_points), sum(res.delays_of(run) or [])
    return aud.bound_of(run, DELTA, K, delays)


AGENT = (
    Theorem(
        key="rbocpd-ucrl2.levels",
        statement="The levels delta / (detectors j (j + 1)) of all detectors and lives sum to at most delta.",
        source=_PAGE + ", the agent",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=level_sums,
        measured=lambda case: [case.total, 2 * case.first],
        bound=lambda case: DELTA,
    ),
    Theorem(
        key="rbocpd-ucrl2.no-false-restart",
        statement="With probability 1 - delta the agent never restarts in a model that does not change.",
        source=_PAGE + ", the agent",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=DELTA,
        tolerance=0.0,
        evidence=res.calm_runs,
        measured=lambda run: float(len(res.alarms_of(run))),
        bound=lambda run: 0.0,
    ),
    Theorem(
        key="rbocpd-ucrl2.pair-delay",
        statement="With probability 1 - delta', a changed pair alarms by its D(m)-th visit after the change.",
        source=_PAGE + ", delay inside an agent",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        assumptions=("exact run (no pruning)", "the first change, in the first life"),
        delta=DELTA,
        tolerance=0.0,
        evidence=res.pair_delays,
        measured=lambda case: case.visits,
        bound=lambda case: case.bound,
    ),
    Theorem(
        key="rbocpd-ucrl2.conditional-regret",
        statement="With probability 1 - 2 delta, if every change is detected before the next one, regret <= "
        "34 D S sqrt(A (K+1) T log((K+1)(K+2) T / delta)) + sum of delays.",
        source=_PAGE + ", regret on detection",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        assumptions=("no false alarm", "each change is detected before the next one"),
        delta=2 * DELTA,
        evidence=res.changing_runs,
        given=lambda run: res.delays_of(run) is not None,
        measured=lambda run: run.realised_regret,
        bound=_conditional_bound,
        trivial=lambda run: float(run.trace.rounds),
        bites=lambda run: aud.bite_of(run, DELTA, len(run.problem.change_points)),
    ),
    Theorem(
        key="rbocpd-ucrl2.two-arm-conditional",
        statement="So it is with two arms that swap once, where the bound bites from 80,000 steps on.",
        source=_PAGE + ", regret on detection",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        assumptions=("no false alarm", "each change is detected before the next one"),
        delta=2 * DELTA,
        evidence=res.changing_bandit_runs,
        given=lambda run: res.delays_of(run) is not None,
        measured=lambda run: run.realised_regret,
        bound=_conditional_bound,
        trivial=lambda run: float(run.trace.rounds),
    ),
    Theorem(
        key="rbocpd-ucrl2.fresh-start",
        statement="The episode after an alarm knows of no visit and no step before it.",
        source=_PAGE + ", the agent",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=res.changing_runs,
        measured=res.restart_log,
        bound=lambda run: np.zeros(2),
    ),
    Theorem(
        key="rbocpd-ucrl2.alarms",
        statement="The agent restarts at the very steps at which detectors fed with its pairs alarm.",
        source=_PAGE + ", the agent",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=res.changing_runs,
        given=lambda run: run.trace.seed % 10_000 < REPLAYED,
        measured=res.padded_alarms,
        bound=lambda run: res.replayed_alarms(run, DELTA, RBOCPDUCRL2().prune),
    ),
    Theorem(
        key="rbocpd-ucrl2.rate",
        statement="The bound proved here grows like sqrt((K + 1) T) up to logarithms, as the paper's.",
        source="order claimed by the abstract of Alami et al. (2023); " + _PAGE + ", regret on detection",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(0.5, 0.6),
        evidence=res.rate_curves,
    ),
)

THEOREMS = DETECTOR + OPTIMISM + AGENT

PAPER = Paper(
    key="rbocpd-ucrl2",
    title="Restarted Bayesian Online Change-point Detection for Non-Stationary Markov Decision Processes",
    authors="Reda Alami, Mohammed Mahfoud, Eric Moulines",
    venue="CoLLAs 2023, PMLR 232",
    arxiv="2304.00232",
    summary="Restarted Bayesian detectors on every pair tell UCRL2 when to begin anew.",
    learners=("rbocpd-ucrl", "ucrl", "oracle-restarts"),
    theorems=THEOREMS,
)
