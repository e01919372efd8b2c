"""The theorems of StepMix and EpsMix (Li, Huang, Shen and Yang 2023).

Theorem 1 promises safety in every episode and a regret rate. Explicit constants of the rate are not
claimed, and would be vacuous at feasible K; so besides the promise itself the inequalities of its
proof are checked, each exactly and in every episode: the bounds are true (`claims`), the weight puts
the interpolated lower bound at the threshold (`interpolation`), cautious episodes have width at
least kappa (`width`), and the width pays for the regret (`certificate`, `caution-budget`).
"""

from __future__ import annotations

import numpy as np

from theoryrl.learners.stepmix import BASELINE, MIXTURE
from theoryrl.theory.core import Kind, Mark, Paper, Series, Theorem
from theoryrl.theory.evidence import comparisons as evidence
from theoryrl.theory.evidence import concentration, conservative, refresh, transport
from theoryrl.theory.evidence.conservative import ConservativeRun


def _good(run: ConservativeRun) -> bool:
    return run.true_claims


def _weight_distance(run: ConservativeRun) -> np.ndarray:
    mixed = run.column("kind") == MIXTURE
    weight = run.column("weight")[mixed]
    return np.where(weight > 0, np.abs(weight - 0.5), np.inf)


def _cautious_width(run: ConservativeRun) -> np.ndarray:
    return run.width[run.cautious]


def _mixed(run: ConservativeRun, name: str) -> np.ndarray:
    return run.column(name)[run.column("kind") == MIXTURE]


def _points(run: ConservativeRun) -> np.ndarray:
    return np.unique(np.geomspace(1, run.trace.rounds, 400).astype(np.int64))


def _refresh_budget(run: ConservativeRun) -> float:
    growths = np.log(run.trace.rounds) / np.log1p(run.refresh_growth)
    return float(1 + run.problem.mdp.r.size * (1 + growths))


def _worst_value(run: ConservativeRun) -> float:
    """The largest loss any policy can have; 0 is a lower bound on every value."""
    return run.problem.benchmark


def _certificate_series(run: ConservativeRun) -> Series:
    points = _points(run)
    return Series(
        f"stepmix.regret-certificate ({run.instance})",
        "episode",
        "regret",
        points.astype(np.float64),
        run.cumulative(run.loss, points),
        run.cumulative(run.certificate, points),
        log=True,
    )


def _safety_series(run: ConservativeRun) -> Series:
    points = _points(run)
    values = np.repeat(run.trace.stretch_values, run.trace.lengths)[points - 1]
    return Series(
        f"stepmix.safety ({run.instance})",
        "episode",
        "value of the executed policy (bound: threshold)",
        points.astype(np.float64),
        values,
        np.full(len(points), run.threshold),
    )


_PAGE = "StepMix page"
_ON_EVENT = ("the bounds of the run are true (stepmix.claims)",)

THEOREMS = (
    Theorem(
        key="stepmix.safety",
        statement="With probability 1 - delta, every episode's policy has value V^{pi_k} >= gamma.",
        source="Li et al. (2023), abstract (Theorem 1, recalled); proof for our constants: " + _PAGE,
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.PAPER,
        assumptions=("V^{pi^b} > gamma", "rewards in [0, 1], known or free of noise"),
        delta=0.05,
        evidence=conservative.named_runs,
        measured=lambda run: run.threshold,
        bound=lambda run: run.trace.stretch_values,
        series=_safety_series,
    ),
    Theorem(
        key="stepmix.safety-on-event",
        statement="While the bounds are true, no episode violates: surely, not just probably.",
        source=_PAGE + ", part (a)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ON_EVENT,
        evidence=conservative.small_runs,
        given=_good,
        measured=lambda run: run.threshold,
        bound=lambda run: run.trace.stretch_values,
    ),
    Theorem(
        key="stepmix.claims",
        statement="With probability 1 - delta, U^(j) >= W^(j) and L^(j) <= V^{pi_k,j} for all k, j, h, s.",
        source=_PAGE + ", events E1 and E2 and the induction over stages",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=0.5,
        evidence=conservative.small_runs,
        measured=lambda run: -np.minimum(run.column("upper_claim"), run.column("lower_claim")),
        bound=lambda run: 0.0,
    ),
    Theorem(
        key="stepmix.linearity-value",
        statement="Mixing two policies at the one stage where they differ: the value is linear in w.",
        source=_PAGE + ", Lemma 1",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=evidence.nested_pairs,
        measured=lambda pair: pair.values[0],
        bound=lambda pair: pair.weight * pair.values[1] + (1 - pair.weight) * pair.values[2],
    ),
    Theorem(
        key="stepmix.linearity-occupancy",
        statement="Mixing two policies at the one stage where they differ: occupancies are linear in w.",
        source=_PAGE + ", Lemma 1",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=evidence.nested_pairs,
        measured=lambda pair: pair.occupancies[0],
        bound=lambda pair: pair.weight * pair.occupancies[1] + (1 - pair.weight) * pair.occupancies[2],
    ),
    Theorem(
        key="stepmix.interpolation",
        statement="In mixture episodes the interpolated lower bound equals gamma.",
        source=_PAGE + ", choice of the weight",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-10,
        evidence=conservative.named_runs,
        measured=lambda run: _mixed(run, "true_lower"),
        bound=lambda run: run.threshold,
    ),
    Theorem(
        key="stepmix.weight",
        statement="The weight of the conservative neighbour lies in (0, 1]: |w - 1/2| <= 1/2 and w > 0.",
        source=_PAGE + ", choice of the weight",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=conservative.named_runs,
        measured=_weight_distance,
        bound=lambda run: 0.5,
    ),
    Theorem(
        key="stepmix.minimal-switch",
        statement="The bolder neighbour of a mixture is not certified: L^(j-1) < gamma.",
        source=_PAGE + ", choice of j",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=conservative.named_runs,
        measured=lambda run: _mixed(run, "bold_lower"),
        bound=lambda run: run.threshold,
    ),
    Theorem(
        key="stepmix.width",
        statement="Every non-optimistic episode has width D_k >= kappa = V^{pi^b} - gamma.",
        source=_PAGE + ", part (b)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ON_EVENT,
        evidence=conservative.small_runs,
        given=_good,
        measured=lambda run: np.full(_cautious_width(run).shape, run.margin),
        bound=_cautious_width,
    ),
    Theorem(
        key="stepmix.certificate",
        statement="V* - V^{pi_k} <= D_k + Delta_0 1{k not optimistic}.",
        source=_PAGE + ", part (c)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ON_EVENT,
        evidence=conservative.small_runs,
        given=_good,
        measured=lambda run: run.loss,
        bound=lambda run: run.certificate,
    ),
    Theorem(
        key="stepmix.loss-cap",
        statement="No episode loses more than Delta_0 + kappa.",
        source=_PAGE + ", part (c)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ON_EVENT,
        evidence=conservative.small_runs,
        given=_good,
        measured=lambda run: run.loss,
        bound=lambda run: run.improvement + run.margin,
    ),
    Theorem(
        key="stepmix.caution-budget",
        statement="kappa times the number N of non-optimistic episodes is at most the sum of their widths.",
        source=_PAGE + ", part (d)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ON_EVENT,
        evidence=conservative.small_runs,
        given=_good,
        measured=lambda run: run.margin * run.trace.count(run.cautious),
        bound=lambda run: float((run.width * run.trace.lengths)[run.cautious].sum()),
    ),
    Theorem(
        key="stepmix.regret-certificate",
        statement="Regret(K) <= sum_k (D_k + Delta_0 1{k not optimistic}), computable without V^{pi_k}.",
        source=_PAGE + ", part (c) summed",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ON_EVENT,
        evidence=evidence.certified_runs,
        given=_good,
        measured=lambda run: run.cumulative(run.loss, np.arange(1, run.trace.rounds + 1)),
        bound=lambda run: run.cumulative(run.certificate, np.arange(1, run.trace.rounds + 1)),
        trivial=lambda run: _worst_value(run) * np.arange(1, run.trace.rounds + 1),
        series=_certificate_series,
    ),
    Theorem(
        key="stepmix.relative-threshold",
        statement="With relative_loss alpha the threshold is (1 - alpha) V_ub, or (1 - alpha) U^(H) anew.",
        source=_PAGE + ", a relative threshold",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=conservative.relative_runs,
        measured=lambda run: run.column("threshold"),
        bound=lambda run: run.column("aim"),
    ),
    Theorem(
        key="stepmix.relative-interpolation",
        statement="In mixture episodes the interpolated lower bound equals the relative threshold.",
        source=_PAGE + ", a relative threshold",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-10,
        evidence=conservative.relative_runs,
        measured=lambda run: _mixed(run, "true_lower"),
        bound=lambda run: _mixed(run, "aim"),
    ),
    Theorem(
        key="stepmix.relative-safety",
        statement="While the bounds are true no episode is below (1 - alpha) V^{pi^b}, in the relative form.",
        source=_PAGE + ", a relative threshold",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=(*_ON_EVENT, "V_ub >= V^{pi^b} > (1 - alpha) V_ub where a bound V_ub is given"),
        evidence=conservative.relative_runs,
        given=_good,
        measured=lambda run: run.threshold,
        bound=lambda run: run.trace.stretch_values,
    ),
    Theorem(
        key="stepmix.baseline-first",
        statement="Without data nothing is certified: the first episode plays the baseline.",
        source=_PAGE + ", choice of j",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        assumptions=("gamma > 0",),
        tolerance=0.0,
        evidence=evidence.tight_baseline_runs,
        measured=lambda run: run.column("kind")[0],
        bound=lambda run: BASELINE,
    ),
    Theorem(
        key="stepmix.baseline-until-certified",
        statement="Nothing but the baseline is played before some member of the family is certified.",
        source=_PAGE + ", choice of j",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=conservative.small_runs,
        measured=lambda run: np.full((run.column("kind") != BASELINE).sum(), run.threshold),
        bound=lambda run: run.column("best_lower")[run.column("kind") != BASELINE],
    ),
    Theorem(
        key="stepmix.optimistic-certified",
        statement="The optimistic policy is played alone only when its own lower bound reaches gamma.",
        source=_PAGE + ", choice of j",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=conservative.small_runs,
        measured=lambda run: np.full((~run.cautious).sum(), run.threshold),
        bound=lambda run: run.column("optimistic_lower")[~run.cautious],
    ),
    Theorem(
        key="stepmix.no-constraint",
        statement="With gamma = 0, StepMix and EpsMix are the unconstrained learner, episode by episode.",
        source=_PAGE,
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=evidence.unconstrained_pairs,
        measured=lambda pair: evidence.episodes(pair.ours),
        bound=lambda pair: evidence.episodes(pair.reference),
    ),
    Theorem(
        key="stepmix.lazy-refresh",
        statement="With g > 0 the bounds are computed at most 1 + SAH (1 + log K / log(1 + g)) times.",
        source=_PAGE + ", lazy refresh",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=evidence.certified_runs,
        measured=lambda run: len(run.trace.lengths),
        bound=_refresh_budget,
    ),
    Theorem(
        key="stepmix.kl-dual",
        statement="The KL dual bounds the expectation of every distribution inside the ball.",
        source=_PAGE + ", mode kl",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=concentration.balls,
        tolerance=1e-12,
        measured=lambda ball: np.concatenate([ball.inside, -ball.inside]),
        bound=lambda ball: np.repeat([ball.bounds.upper, -ball.bounds.lower], len(ball.inside)),
    ),
    Theorem(
        key="stepmix.kl-dual-attained",
        statement="The KL dual equals the extreme expectation, found independently from the primal.",
        source=_PAGE + ", mode kl",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        evidence=concentration.balls,
        tolerance=1e-8,
        measured=lambda ball: np.array(ball.bounds),
        bound=lambda ball: np.array(ball.exact),
    ),
    Theorem(
        key="stepmix.kl-threshold",
        statement="P(exists n: n KL(phat_n || p) > x_n) <= delta for the Dirichlet(1/2)-mixture threshold.",
        source=_PAGE + ", event of mode kl (Ville's inequality)",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=concentration.CROSSING_DELTA,
        evidence=concentration.streams,
        measured=lambda stream: stream.excess,
        bound=lambda stream: 0.0,
        tolerance=0.0,
    ),
    Theorem(
        key="stepmix.transport",
        statement="KL(p||q) <= alpha, f in [0, b] move p f by at most 2 sqrt(Var_p(f) alpha) + 7/3 b alpha.",
        source=_PAGE + ", seminorm step and transport",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=transport.transports,
        measured=lambda case: case.terms.distance,
        bound=lambda case: case.terms.root(),
    ),
    Theorem(
        key="stepmix.transport-linear",
        statement="The same is within eta p f + (1/eta + 7/3) b alpha, for every eta > 0.",
        source=_PAGE + ", seminorm step and transport",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=transport.transports,
        measured=lambda case: case.terms.distance,
        bound=lambda case: case.terms.linear(case.eta),
    ),
    Theorem(
        key="stepmix.row-upper",
        statement="Under E1 one bernstein step keeps the upper bound: r + p W <= Q~ whenever U >= W.",
        source=_PAGE + ", seminorm step",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=concentration.rows,
        measured=lambda row: row.highest_W,
        bound=lambda row: row.upper,
    ),
    Theorem(
        key="stepmix.row-lower",
        statement="Under E1 and E2 one bernstein step keeps the lower bound: Q_low <= r + p V.",
        source=_PAGE + ", seminorm step and transport",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=concentration.rows,
        measured=lambda row: row.lower,
        bound=lambda row: row.lowest_V,
    ),
    Theorem(
        key="stepmix.bpi-row-upper",
        statement="Under E1 one bpi-ucbvi step keeps the upper bound: r + p W <= Q~ whenever U >= W.",
        source=_PAGE + ", mode bpi-ucbvi",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=concentration.bpi_rows,
        measured=lambda row: row.highest_W,
        bound=lambda row: row.upper,
    ),
    Theorem(
        key="stepmix.bpi-row-lower",
        statement="Under E1 and E2 one bpi-ucbvi step keeps the lower bound: Q_low <= r + p V.",
        source=_PAGE + ", mode bpi-ucbvi",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=concentration.bpi_rows,
        measured=lambda row: row.lower,
        bound=lambda row: row.lowest_V,
    ),
    Theorem(
        key="stepmix.induction-upper",
        statement="If each row's error is within its radius, U^(j) >= W^(j) for all j, h, s.",
        source=_PAGE + ", induction over stages",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=concentration.inductions,
        measured=lambda case: case.W,
        bound=lambda case: case.U,
    ),
    Theorem(
        key="stepmix.induction-lower",
        statement="If each row's error is within its radius, L^(j) <= V^{pi_k,j} for all j, h, s.",
        source=_PAGE + ", induction over stages",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=concentration.inductions,
        measured=lambda case: case.L,
        bound=lambda case: case.V,
    ),
    Theorem(
        key="stepmix.current-bounds",
        statement="At every refresh L^(j), j < H, is that of the current counts and the current barpi.",
        source=_PAGE + ", refinements",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        evidence=refresh.refreshes,
        measured=lambda run: run.difference,
        bound=lambda run: 0.0,
    ),
    Theorem(
        key="stepmix.delta-over-modes",
        statement="Several bound modes at once: each has the radii of an equal share of delta.",
        source=_PAGE + ", refinements",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=refresh.mode_splits,
        measured=lambda split: split.used,
        bound=lambda split: split.owed,
    ),
    Theorem(
        key="stepmix.delta-over-phases",
        statement="With offline data certificate and bounds are those of delta / 2 each.",
        source=_PAGE + ", a learned baseline",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=refresh.phase_splits,
        measured=lambda split: split.used,
        bound=lambda split: split.owed,
    ),
    Theorem(
        key="stepmix.offline-certificate",
        statement="A baseline learned offline is worth at least its certificate, with probability 1 - delta.",
        source=_PAGE + ", a learned baseline",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        assumptions=("fold methods: independent episodes of one behaviour policy",),
        delta=0.05,
        evidence=evidence.certificates,
        measured=lambda case: case.certified,
        bound=lambda case: case.value,
    ),
    Theorem(
        key="stepmix.unconstrained-violates",
        statement="Plain optimism surely violates the episode-wise constraint on hazard.",
        source=_PAGE + ", why episode-wise",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=evidence.unconstrained_violations,
        measured=lambda run: 1.0,
        bound=lambda run: run.violated,
    ),
    Theorem(
        key="stepmix.budget-violates",
        statement="The learner that is safe on average surely violates the constraint of single episodes.",
        source=_PAGE + ", why episode-wise",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=evidence.budget_violations,
        measured=lambda run: 1.0,
        bound=lambda run: run.violated,
    ),
    Theorem(
        key="stepmix.budget-cumulative",
        statement="With probability 1 - delta the budget learner's cumulative margin never becomes negative.",
        source=_PAGE + ", why episode-wise",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=0.05,
        evidence=evidence.budget_violations,
        measured=lambda run: -run.cumulative_margin,
        bound=lambda run: 0.0,
    ),
    Theorem(
        key="stepmix.coin-rate",
        statement="On coin the number of non-optimistic episodes grows like 1 / kappa^2 (measured).",
        source=_PAGE + ", part (d)",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(1.8, 2.2),
        evidence=conservative.coin_curves,
    ),
    Theorem(
        key="stepmix.regret-rate",
        statement="The regret at the worst gap of the family hard grows like sqrt(K).",
        source="Li et al. (2023), leading term of Theorem 1 (recalled)",
        kind=Kind.RATE,
        mark=Mark.RECALLED,
        slopes=(0.35, 0.65),
        evidence=conservative.minimax_curves,
    ),
    Theorem(
        key="stepmix.saturation",
        statement="On a fixed instance regret and N stop growing once the optimistic policy is certified.",
        source=_PAGE + ", part (d)",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(-0.1, 0.1),
        evidence=evidence.saturation_curves,
    ),
)

PAPER = Paper(
    key="stepmix",
    title="Near-optimal Conservative Exploration in Reinforcement Learning under Episode-wise Constraints",
    authors="Donghao Li, Ruiquan Huang, Cong Shen, Jing Yang",
    venue="ICML 2023, PMLR 202",
    arxiv="2306.06265",
    summary="Explore at the unconstrained rate while no episode's value falls below a threshold.",
    learners=("stepmix", "epsmix"),
    theorems=THEOREMS,
)
