"""The theorems of fine-tuning from offline data, after Wagenmaker and Pacchiano (2022).

Of the papers' own theorems neither constants nor exact statements were available; the page lists them as
recalled, and none is checked here under their name. What is checked is the computable form of the method,
with its proofs: the identity behind the estimates, widths that hold at all times, elimination, the exact
number of episodes that designs need, what cannot be had without it, and the two-phase variant with a bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from theoryrl.learners import FTPedel, Pedel
from theoryrl.theory.core import Kind, Mark, Paper, Theorem
from theoryrl.theory.evidence import designs, identification, two_phase
from theoryrl.theory.evidence.designs import DesignLaws
from theoryrl.theory.evidence.identification import (
    DELTA,
    Elimination,
    EliminationRun,
    TwoArms,
)
from theoryrl.theory.evidence.two_phase import TwoPhaseRun

_PAGE = "FTPedel page, "
_DATA = (
    "rewards in [0, 1], rho known",
    "rewards and next states have the right law given all earlier data and (s, a)",
    "the class is fixed before any data are seen",
)
_EVENT = "on the event of the widths"
PROVEN = 2e-5
"""Relative tolerance where two answers of the design solver are compared, each with bounds 1e-6 apart, and
sums, differences or a scaling by at most 5 of them are formed."""


def _both_forms(case: DesignLaws) -> tuple[np.ndarray, np.ndarray]:
    """Return max_h T^h and T, T and sum_h T^h."""
    return np.array([case.stages.max(), case.T]), np.array([case.T, case.stages.sum()])


def _monotone(case: DesignLaws) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.array([case.more_data, case.larger_eps, case.T]),
        np.array([case.T, case.T, case.larger_beta]),
    )


def _convex(case: DesignLaws) -> tuple[np.ndarray, np.ndarray]:
    """Return C at interior masses with the chords, and each C with the one before."""
    C = case.coefficients
    return np.append(C[1:-1], C[1:]), np.append((C[:-2] + C[2:]) / 2, C[:-1])


def _survivors(case: Elimination) -> float:
    return float(case.gaps[case.kept].max())


def _optimal_dropped(case: Elimination) -> float:
    """Return 1 if some optimal policy was eliminated."""
    return float((case.gaps <= 1e-12)[~case.kept].any())


def _run_dropped(run: EliminationRun) -> float:
    return float(not run.survived)


def _gap(run: Any) -> float:
    """Return the gap of what was recommended; 0 where nothing was claimed."""
    return float(run.result.gap) if run.result.certified else 0.0


def _pulls(run: TwoArms) -> float:
    return run.pulls / run.budget


def _designed(run: TwoPhaseRun) -> bool:
    return run.rows_hold and run.slack < np.inf


def _transfer(run: TwoPhaseRun) -> np.ndarray:
    low, high = run.transfer
    return np.array([-low, high, -run.slack])


_ESTIMATES: tuple[Theorem, ...] = (
    Theorem(
        key="ftpedel.evaluation-identity",
        statement="Vhat - V = sum_h phihat^T Lambda^-1 (sum phi xi - lam g_h), xi the noise under true V.",
        source=_PAGE + "evaluation identity",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        assumptions=("lam > 0, any data, any deterministic policy, rho known",),
        evidence=identification.evaluations,
        measured=lambda case: case.error,
        bound=lambda case: case.residuals,
    ),
    Theorem(
        key="ftpedel.forward-backward",
        statement="The forward estimate sum_h <phihat_h, thetahat_h> is that of ridge regression backwards.",
        source=_PAGE + "evaluation identity",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        evidence=identification.evaluations,
        measured=lambda case: case.forward,
        bound=lambda case: case.backward,
    ),
    Theorem(
        key="ftpedel.width",
        statement="With probability 1 - delta |Vhat - V| <= W for all policies and times, however data came.",
        source=_PAGE + "widths",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=DELTA,
        assumptions=_DATA,
        evidence=identification.width_ratios,
        measured=lambda case: case.ratio,
        bound=lambda case: 1.0,
    ),
    Theorem(
        key="ftpedel.width-fixed-design",
        statement="The fixed-design widths hold for independent episodes and one look at a fixed time.",
        source=_PAGE + "widths",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=DELTA,
        assumptions=(*_DATA, "episodes of policies fixed in advance; one look at a time fixed in advance"),
        evidence=identification.fixed_design_ratios,
        measured=lambda case: case.ratio,
        bound=lambda case: 1.0,
    ),
    Theorem(
        key="ftpedel.elimination-keeps",
        statement="With |Vhat - V| <= eps_l no optimal policy is eliminated (slack 2 eps_l).",
        source=_PAGE + "elimination",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=identification.eliminations,
        measured=_optimal_dropped,
        bound=lambda case: 0.0,
    ),
    Theorem(
        key="ftpedel.elimination-survivors",
        statement="With |Vhat - V| <= eps_l every survivor has gap at most 4 eps_l.",
        source=_PAGE + "elimination",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=identification.eliminations,
        measured=_survivors,
        bound=lambda case: 4 * case.accuracy,
    ),
    Theorem(
        key="ftpedel.elimination-best",
        statement="With |Vhat - V| <= eps_l the empirically best policy has gap at most 2 eps_l.",
        source=_PAGE + "elimination",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=identification.eliminations,
        measured=lambda case: case.gaps[case.best],
        bound=lambda case: 2 * case.accuracy,
    ),
    Theorem(
        key="ftpedel.run-keeps",
        statement="In runs of FTPedel every optimal policy is alive at every look.",
        source=_PAGE + "elimination",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=(_EVENT,),
        given=lambda run: run.good,
        evidence=identification.good_runs,
        measured=_run_dropped,
        bound=lambda run: 0.0,
    ),
    Theorem(
        key="ftpedel.run-survivors",
        statement="In runs of FTPedel every survivor of stage l has gap at most 4 eps_l.",
        source=_PAGE + "elimination",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=(_EVENT,),
        given=lambda run: run.good,
        evidence=identification.good_runs,
        measured=lambda run: run.worst_survivor,
        bound=lambda run: 1.0,
    ),
    Theorem(
        key="ftpedel.output",
        statement="In runs of FTPedel what is certified is eps-optimal, already at 2 eps_l <= eps.",
        source=_PAGE + "elimination",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=(_EVENT,),
        given=lambda run: run.good,
        evidence=identification.good_runs,
        measured=_gap,
        bound=lambda run: run.eps,
    ),
    Theorem(
        key="ftpedel.certified",
        statement="With probability 1 - delta a certified policy is eps-optimal: Pedel, variants, baselines.",
        source=_PAGE + "baselines",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=DELTA,
        assumptions=_DATA,
        evidence=identification.certified_runs,
        measured=_gap,
        bound=lambda run: run.eps,
    ),
)

_ALL_POLICIES: tuple[Theorem, ...] = (
    Theorem(
        key="ftpedel.relaxation",
        statement="The index bounds Vhat + W of every deterministic policy.",
        source=_PAGE + "all policies",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=identification.relaxations,
        measured=lambda case: case.enumerated,
        bound=lambda case: min(case.uppers),
    ),
    Theorem(
        key="ftpedel.relaxation-cuts",
        statement="Cutting off policies whose index is below the lower bound only lowers the upper bound.",
        source=_PAGE + "all policies",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-7,  # of the linear programs: each bound is proven, but may lie above the optimum
        evidence=identification.relaxations,
        measured=lambda case: np.array(case.uppers[1:]),
        bound=lambda case: np.array(case.uppers[:-1]),
    ),
    Theorem(
        key="ftpedel.relaxation-bounds",
        statement="With probability 1 - delta lower <= V(pihat) and V* <= upper among all policies.",
        source=_PAGE + "all policies",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=DELTA,
        assumptions=_DATA,
        evidence=identification.relaxations,
        measured=lambda case: np.array([case.lower, case.best]),
        bound=lambda case: np.array([case.value, case.uppers[-1]]),
    ),
    Theorem(
        key="ftpedel.carried-set",
        statement="Where a carried set of occupancies certifies a policy of larger gap, the index does not.",
        source=_PAGE + "all policies",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=identification.carried_sets,
        measured=lambda case: np.array([case.carried, case.gap]),
        bound=lambda case: np.array([case.gap, case.width]),
    ),
)

_DESIGNS: tuple[Theorem, ...] = (
    Theorem(
        key="ftpedel.joint-design",
        statement="max_h T^h <= T_joint <= sum_h T^h.",
        source=_PAGE + "laws of the number of episodes",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=PROVEN,
        evidence=designs.design_laws,
        measured=lambda case: _both_forms(case)[0],
        bound=lambda case: _both_forms(case)[1],
    ),
    Theorem(
        key="ftpedel.homogeneous",
        statement="T_o2o(c N, eps; c beta) = c T_o2o(N, eps; beta).",
        source=_PAGE + "laws of the number of episodes",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=PROVEN,
        evidence=designs.design_laws,
        measured=lambda case: case.scaled,
        bound=lambda case: case.factor * case.T,
    ),
    Theorem(
        key="ftpedel.linear-in-beta",
        statement="Without offline data (Pedel) T_o2o is linear in beta.",
        source=_PAGE + "laws of the number of episodes",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=PROVEN,
        evidence=designs.design_laws,
        measured=lambda case: case.alone[1],
        bound=lambda case: case.factor * case.alone[0],
    ),
    Theorem(
        key="ftpedel.monotone",
        statement="T_o2o does not increase with offline data or eps, and does not decrease with beta.",
        source=_PAGE + "laws of the number of episodes",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=PROVEN,
        evidence=designs.design_laws,
        measured=lambda case: _monotone(case)[0],
        bound=lambda case: _monotone(case)[1],
    ),
    Theorem(
        key="ftpedel.convex",
        statement="T -> C_o2o(T) is convex and non-increasing.",
        source=_PAGE + "laws of the number of episodes",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=PROVEN * 1e-1,
        evidence=designs.design_laws,
        measured=lambda case: _convex(case)[0] * designs.BETA,
        bound=lambda case: _convex(case)[1] * designs.BETA,
    ),
    Theorem(
        key="ftpedel.inverse",
        statement="C_o2o(T_o2o) = 1/beta where T_o2o > 0.",
        source=_PAGE + "laws of the number of episodes",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=PROVEN,
        evidence=designs.design_laws,
        measured=lambda case: case.inverse,
        bound=lambda case: 1.0,
    ),
    Theorem(
        key="ftpedel.nothing-needed",
        statement="T_o2o = 0 exactly where the offline data satisfy every constraint.",
        source=_PAGE + "laws of the number of episodes",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        evidence=designs.design_laws,
        measured=lambda case: float(case.T == 0),
        bound=lambda case: float(case.covered),
    ),
    Theorem(
        key="ftpedel.bandit",
        statement="For arms T_o2o = sum_a (beta / max(gap_a, eps)^2 - N(a))_+.",
        source=_PAGE + "laws of the number of episodes",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=PROVEN,
        evidence=designs.bandits,
        measured=lambda case: case.found,
        bound=lambda case: case.closed,
    ),
    Theorem(
        key="ftpedel.smoothing",
        statement="max f <= F <= max f + f_max log(I) / eta.",
        source=_PAGE + "Frank and Wolfe",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=designs.smoothings,
        measured=lambda case: np.array([case.largest, case.smooth]),
        bound=lambda case: np.array([case.smooth, case.largest + case.slack]),
    ),
    Theorem(
        key="ftpedel.frank-wolfe-gap",
        statement="Frank and Wolfe's gap is at least F(x) - min F.",
        source=_PAGE + "Frank and Wolfe",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=designs.smoothings,
        measured=lambda case: case.smooth - case.least,
        bound=lambda case: case.gap,
    ),
    Theorem(
        key="ftpedel.fork-closed-form",
        statement="T_o2o of the covered fork: T_R; without data T_R + sum beta/max(.02 i, eps)^2.",
        source=_PAGE + "the fork",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=PROVEN,
        evidence=designs.fork_cells,
        measured=lambda case: case.found,
        bound=lambda case: case.closed,
    ),
    Theorem(
        key="ftpedel.slope-with-data",
        statement="With data that cover the best branch T_o2o does not depend on eps.",
        source=_PAGE + "the fork",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(-0.01, 0.01),
        evidence=designs.fork_curve(True),
    ),
    Theorem(
        key="ftpedel.slope-without-data",
        statement="Without data T_o2o grows as eps^-2, for eps above the gaps of the branch.",
        source=_PAGE + "the fork",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(-2.01, -1.95),
        evidence=designs.fork_curve(False),
    ),
    Theorem(
        key="ftpedel.slope-uncovered",
        statement="Negative: data that miss the best branch leave T_o2o growing as eps^-2.",
        source=_PAGE + "data that miss the best policy",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(-2.01, -1.9),
        evidence=designs.fork_curve(True, optimal=False),
    ),
    Theorem(
        key="ftpedel.uncovered",
        statement="Negative: where data miss the best policy's first action T_o2o >= beta / eps^2.",
        source=_PAGE + "data that miss the best policy",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=PROVEN,
        evidence=designs.uncovered_forks,
        measured=lambda case: case.floor,
        bound=lambda case: case.T,
    ),
    Theorem(
        key="ftpedel.lock-design",
        statement="Twin lock: the design needs (H(A-1)-1) beta/v^2, and 2 beta/eps^2 more without data.",
        source=_PAGE + "the twin lock",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=PROVEN,
        assumptions=("eps <= v, A >= 3",),
        evidence=designs.lock_designs,
        measured=lambda case: case.found,
        bound=lambda case: case.closed,
    ),
    Theorem(
        key="ftpedel.lock-uniform",
        statement="Twin lock: uniform actions need A^H beta/eps^2, and A^H beta/v^2 with data of the twins.",
        source=_PAGE + "the twin lock",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        assumptions=("eps <= v, A >= 3",),
        evidence=designs.lock_uniforms,
        measured=lambda case: case.found,
        bound=lambda case: case.closed,
    ),
    Theorem(
        key="ftpedel.lock-class",
        statement="Twin lock: the class mixture needs (1+H(A-1)) beta/eps^2, with data beta/v^2.",
        source=_PAGE + "the twin lock",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        assumptions=("eps <= v, A >= 3",),
        evidence=designs.lock_classes,
        measured=lambda case: case.found,
        bound=lambda case: case.closed,
    ),
)

_RUNS: tuple[Theorem, ...] = (
    Theorem(
        key="ftpedel.episodes-with-data",
        statement="FTPedel's episodes on the covered fork do not depend on eps.",
        source=_PAGE + "the fork",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(-0.2, 0.2),
        evidence=identification.episode_curve(True, FTPedel),
    ),
    Theorem(
        key="ftpedel.episodes-without-data",
        statement="Pedel's episodes on the same fork grow as eps^-2.",
        source=_PAGE + "the fork",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(-2.2, -1.8),
        evidence=identification.episode_curve(True, Pedel),
    ),
    Theorem(
        key="ftpedel.episodes-uncovered",
        statement="Negative: where data miss the best branch FTPedel's episodes grow as eps^-2 too.",
        source=_PAGE + "data that miss the best policy",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(-2.3, -1.8),
        evidence=identification.episode_curve(False, FTPedel),
    ),
    Theorem(
        key="ftpedel.offline-alone",
        statement="Negative: VI-LCB is .805 from optimal where data miss the best branch (here: over .5).",
        source=_PAGE + "data that miss the best policy",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=DELTA,
        evidence=identification.offline_alone,
        measured=lambda run: run.eps,
        bound=lambda run: run.result.gap,
    ),
    Theorem(
        key="ftpedel.verifiable-price",
        statement="Two arms: the worse one needs kl(d, 1-d)/kl(1/2-D, 1/2+eps) pulls to be verified.",
        source=_PAGE + "verifiable and unverifiable",
        kind=Kind.EXPECTATION,
        mark=Mark.OURS,
        width=1.0,
        assumptions=("gap D > eps", "per budget here"),
        evidence=identification.verifiable_arms,
        measured=lambda run: run.needed / run.budget,
        bound=_pulls,
    ),
    Theorem(
        key="ftpedel.unverifiable-free",
        statement="Two arms: with probability 1 - delta VI-LCB returns the best arm without a pull.",
        source=_PAGE + "verifiable and unverifiable",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=DELTA,
        assumptions=("the lower bound of the arm in the data is positive",),
        evidence=identification.unverifiable_arms,
        measured=lambda run: np.array([run.gap, run.pulls]),
        bound=lambda run: np.zeros(2),
    ),
    Theorem(
        key="ftpedel.lock-uniform-price",
        statement="Twin lock: with uniform data a verifiable learner needs A^H kl(d,1-d)/log(1/(1-v-2eps)).",
        source=_PAGE + "the twin lock",
        kind=Kind.EXPECTATION,
        mark=Mark.OURS,
        width=1.0,
        assumptions=("eps < v/2, v + 2 eps < 1", "per budget here"),
        evidence=identification.uniform_twins,
        measured=lambda run: run.needed / run.budget,
        bound=lambda run: run.episodes / run.budget,
    ),
    Theorem(
        key="ftpedel.lock-certificate-price",
        statement="Twin lock: at accuracy e <= 1/2 the certificate needs N_H(c, 0) >= (9/16) g_H^2/e^2 - 1.",
        source=_PAGE + "the twin lock",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=(_EVENT, "both twins are alive"),
        given=lambda case: case.ratio <= 1,
        evidence=identification.twin_visits,
        measured=lambda case: case.needed,
        bound=lambda case: case.visits,
    ),
)

_TWO_PHASES: tuple[Theorem, ...] = (
    Theorem(
        key="ftpedel.rows-true",
        statement="P f <= (1 + 1/H) Phat f + b(n) for f in [0, 1], on Bernstein's event.",
        source=_PAGE + "two phases",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=two_phase.rows,
        measured=lambda case: case.true,
        bound=lambda case: case.inflation * case.estimated + case.bonus,
    ),
    Theorem(
        key="ftpedel.rows-estimated",
        statement="Phat f <= (1 + 1/H) P f + b(n) for f in [0, 1], on Bernstein's event.",
        source=_PAGE + "two phases",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=two_phase.rows,
        measured=lambda case: case.estimated,
        bound=lambda case: case.inflation * case.true + case.bonus,
    ),
    Theorem(
        key="ftpedel.transfer",
        statement="At leak <= w_min/8: .3219 w <= what <= 3.058 w, N >= 2 c_b where reachable.",
        source=_PAGE + "two phases",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=("on the event of the rows",),
        given=_designed,
        evidence=two_phase.runs,
        measured=_transfer,
        bound=lambda run: np.array([-0.3219, 3.058, -1.0]),
    ),
    Theorem(
        key="ftpedel.program",
        statement="The design in the model has <= 3.107 times the true mass at tolerance tau/sqrt(9.35).",
        source=_PAGE + "two phases",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=2e-3,
        assumptions=("on the event of the rows",),
        given=_designed,
        evidence=two_phase.runs,
        measured=lambda run: run.masses,
        bound=lambda run: 3.107 * run.least_masses,
    ),
    Theorem(
        key="ftpedel.exploration",
        statement="With probability 1 - 4 delta the first phase takes at most T_0 episodes, free of eps.",
        source=_PAGE + "two phases",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=4 * two_phase.DELTA,
        evidence=two_phase.runs,
        measured=lambda run: run.explored,
        bound=lambda run: run.exploration_limit,
        trivial=lambda run: float(two_phase.BUDGET),
    ),
    Theorem(
        key="ftpedel.execution",
        statement="With probability 1 - 4 delta N_end + 1 >= (N + 1 + x)/2, and norms are at most 13.5 tau.",
        source=_PAGE + "two phases",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=4 * two_phase.DELTA,
        evidence=two_phase.runs,
        measured=lambda run: np.append(run.norms / 13.5, run.execution),
        bound=lambda run: np.ones(len(run.norms) + 1),
    ),
    Theorem(
        key="ftpedel.two-phase-episodes",
        statement="With probability 1 - 4 delta: at most T_0 + 5L(19.1 T_o2o(1.6e5 Gamma^2) + 1) episodes.",
        source=_PAGE + "two phases",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=4 * two_phase.DELTA,
        evidence=two_phase.runs,
        measured=lambda run: run.result.episodes,
        bound=lambda run: run.episodes_limit,
        trivial=lambda run: float(two_phase.BUDGET),
    ),
    Theorem(
        key="ftpedel.two-phase-output",
        statement="With probability 1 - 4 delta (delta by the widths alone) the output is eps-optimal.",
        source=_PAGE + "two phases",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=4 * two_phase.DELTA,
        evidence=two_phase.runs,
        measured=_gap,
        bound=lambda run: run.eps,
    ),
)

THEOREMS: tuple[Theorem, ...] = (*_ESTIMATES, *_ALL_POLICIES, *_DESIGNS, *_RUNS, *_TWO_PHASES)

PAPER = Paper(
    key="ftpedel",
    title="Leveraging Offline Data in Online Reinforcement Learning",
    authors="Andrew Wagenmaker, Aldo Pacchiano",
    venue="ICML 2023",
    arxiv="2211.04974",
    summary="Find a near-optimal policy in few online episodes, given offline data, by experiment design.",
    learners=("ftpedel", "pedel", "two-phase-ftpedel", "linear-ftpedel", "all-policy-ftpedel"),
    theorems=THEOREMS,
)
