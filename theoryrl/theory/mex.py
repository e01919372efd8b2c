"""The theorems of MEX (Liu et al. 2023): one objective, its audit trail, and the planners behind it.

Of the paper the abstract was read, and notes by others that restate its model-based theorem. Every constant
below is derived on the MEX page; what the paper states is recalled there. The final regret bounds are
vacuous at sizes that a laptop reaches, so each link of their proofs is a theorem of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.learners import gec
from theoryrl.theory.core import Kind, Mark, Paper, Scope, Series, Theorem
from theoryrl.theory.evidence import eluder, finite_classes, penalised
from theoryrl.theory.evidence.eluder import OneStep, Sequence
from theoryrl.theory.evidence.finite_classes import FunctionRun, ModelRun
from theoryrl.theory.mex_games import GAMES

_PAGE = "MEX page"

LOG_SUMS = 1e-9
"""Losses are sums of some thousand logarithms; an objective multiplies them by eta below 1."""
ROUNDING = 1e-12
"""Sums of a few hundred products of numbers below 10."""
RIDGE = 1e-8
"""The ridge 1e-10 moves weights of size 10 by 1e-9 relative to counts of at least 3."""
ROW = 1e-9
"""Rows are exact to 1e-13 relative to the price, here up to 1e8 times the residual's unit."""


# Sides of the theorems.


def likelihood_excess(run: ModelRun) -> Float[np.ndarray, "K1 H M"]:
    """``sum log(P_f / P*) + 2 sum E D_H^2`` for all candidates, stages and episodes."""
    L = run.stage_losses
    ratio = L[:, :, run.truth : run.truth + 1] - L
    return np.asarray(ratio + 2 * run.past_energies)


def decomposition(run: ModelRun) -> Float[np.ndarray, " K"]:
    """V* - V_{f^k}, plus what the energies of f^k cost: eta (2 iota H - 2 energies) must cover it."""
    picked = np.arange(run.rounds)
    energy = run.past_energies[picked, :, run.chosen].sum(axis=1)
    return np.asarray(run.shortfall + 2 * run.etas * energy)


def _regret_series(run: ModelRun) -> Series:
    K = np.arange(1.0, run.rounds + 1)
    bound = np.array([run.bound(k) for k in K])
    return Series(
        "regret and its bound", "episodes K", "regret", K, np.maximum(run.regret, 1e-3), bound, True
    )


def _potential_series(sequence: Sequence) -> Series:
    K = np.arange(1.0, len(sequence.overestimates) + 1)
    return Series("overestimates and their potential", "K", "sum", K, sequence.total, sequence.model_based())


def anytime_bound(run: ModelRun) -> Float[np.ndarray, " K"]:
    """3.42 sqrt(d(2K) H K iota) + 2 sqrt(2) H^2 S A, for every K."""
    H = run.models.horizon
    burn = gec.model_based_burn_in(run.cells, H)
    K = np.arange(1, run.rounds + 1)
    d = np.array([gec.model_based_gec(run.cells, H, 2 * float(k)) for k in K])
    return np.asarray(3.42 * np.sqrt(d * H * K * run.iota) + burn)


def _moment(side: str) -> dict[str, Any]:
    return {
        "measured": lambda step: step.moment,
        "bound": lambda step: step.bound,
        "given": lambda step: step.side == side,
    }


# The theorems.


def _theorem(
    name: str,
    statement: str,
    section: str,
    evidence: Callable[[Scope], Any],
    measured: Callable[[Any], Any],
    bound: Callable[[Any], Any],
    kind: Kind = Kind.INEQUALITY,
    mark: Mark = Mark.OURS,
    tolerance: float = ROUNDING,
    **options: Any,
) -> Theorem:
    return Theorem(
        key=f"mex.{name}",
        statement=statement,
        source=f"{_PAGE}, {section}",
        kind=kind,
        mark=mark,
        evidence=evidence,
        measured=measured,
        bound=bound,
        tolerance=tolerance,
        **options,
    )


_OBJECTIVE: tuple[Theorem, ...] = (
    _theorem(
        "optimality",
        "V* - V_{f^k} <= eta (L(f*) - L(f^k)) in every episode.",
        "the objective",
        finite_classes.theory_runs,
        lambda run: run.shortfall,
        lambda run: run.etas * run.loss_gap,
        mark=Mark.RECALLED,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "maximum",
        "The objective of what is played is the largest of the class, by enumeration from the data.",
        "the objective",
        finite_classes.theory_runs,
        lambda run: run.chosen_objectives,
        lambda run: run.objectives.max(axis=1),
        kind=Kind.IDENTITY,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "approximate",
        "With maximisation up to eps: V* - V_{f^k} <= eta (L(f*) - L(f^k)) + eps.",
        "the objective",
        finite_classes.approximate_runs,
        lambda run: run.shortfall,
        lambda run: run.etas * run.loss_gap + run.error,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "limits",
        "For eta to infinity MEX maximises the likelihood, for eta to zero the value.",
        "the objective",
        finite_classes.limits,
        lambda piece: piece.reached,
        lambda piece: piece.best,
        kind=Kind.IDENTITY,
        tolerance=1e-6,
    ),
)

_MODEL_BASED: tuple[Theorem, ...] = (
    _theorem(
        "likelihood",
        "W.p. 1 - delta, for all f, h, k: sum log(P_f / P*) <= -2 sum E D_H^2 + 2 log(H|F|/delta).",
        "concentration of the likelihood",
        finite_classes.lemma_runs,
        lambda run: likelihood_excess(run).max(),
        lambda run: 2 * run.iota,
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.RECALLED,
        delta=finite_classes.LEMMA_DELTA,
    ),
    _theorem(
        "shortfall",
        "W.p. 1 - delta, for all k: V* - V_{f^k} + 2 eta sum E D_H^2 <= 2 eta H iota.",
        "the regret bound",
        finite_classes.lemma_runs,
        decomposition,
        lambda run: 2 * run.etas * run.models.horizon * run.iota,
        kind=Kind.HIGH_PROBABILITY,
        delta=finite_classes.LEMMA_DELTA,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "simulation",
        "V_f - V^pi = sum_h E_pi (P_f - P*) V_{h+1,f}.",
        "the eluder coefficient",
        eluder.simulations,
        lambda case: case.difference,
        lambda case: case.expectation,
        kind=Kind.IDENTITY,
    ),
    _theorem(
        "total-variation",
        "|(P - Q) V| <= span(V) TV(P, Q).",
        "the eluder coefficient",
        eluder.row_pairs,
        lambda rows: rows.moves,
        lambda rows: rows.span * rows.tv,
    ),
    _theorem(
        "hellinger",
        "TV <= sqrt(2) D_H.",
        "the eluder coefficient",
        eluder.row_pairs,
        lambda rows: rows.tv,
        lambda rows: np.sqrt(2) * rows.hellinger,
        tolerance=1e-7,
    ),
    _theorem(
        "cell",
        "One cell: sum d_k D_k <= 2 + sqrt(c0 ln max(n, 1) sum n_k D_k^2), n_k the occupancy so far.",
        "the eluder coefficient",
        eluder.cell_sequences,
        lambda cell: cell.total,
        lambda cell: cell.bound(),
    ),
    _theorem(
        "eluder",
        "Any models: sum V_f - V^pi <= 2 sqrt(2) H^2 S A + sum_h sqrt(2) H sqrt(c0 S A ln K E_h).",
        "the eluder coefficient",
        eluder.model_sequences,
        lambda sequence: sequence.total,
        lambda sequence: sequence.model_based(),
        tolerance=LOG_SUMS,
        series=_potential_series,
    ),
    _theorem(
        "eluder-refined",
        "The same with H - 1 - h in place of H at stage h.",
        "the eluder coefficient",
        eluder.model_sequences,
        lambda sequence: sequence.total,
        lambda sequence: sequence.model_based(refined=True),
        tolerance=LOG_SUMS,
        given=lambda sequence: sequence.horizon >= 2,
    ),
    _theorem(
        "regret",
        "T-MB: w.p. 1 - delta, Reg(K) <= sqrt(d H K iota) + 2 sqrt(2) H^2 S A, d = 2 c0 H^3 S A ln K.",
        "the regret bound",
        finite_classes.regret_runs,
        lambda run: run.regret[-1],
        lambda run: run.bound(run.rounds),
        kind=Kind.HIGH_PROBABILITY,
        delta=finite_classes.REGRET_DELTA,
        trivial=lambda run: float(run.models.horizon * run.rounds),
        series=_regret_series,
    ),
    _theorem(
        "anytime",
        "Doubling epochs: w.p. 1 - delta, Reg(K) <= 3.42 sqrt(d(2K) H K iota) + burn-in for all K.",
        "the regret bound",
        finite_classes.anytime_runs,
        lambda run: run.regret,
        anytime_bound,
        kind=Kind.HIGH_PROBABILITY,
        delta=finite_classes.REGRET_DELTA,
        trivial=lambda run: run.models.horizon * np.arange(1.0, run.rounds + 1),
    ),
)

_MODEL_FREE: tuple[Theorem, ...] = (
    _theorem(
        "moment-truth",
        "E exp(-lambda ((g - y)^2 - (Ty - y)^2)) <= 1 for lambda = 2 / H^2, targets y in [0, H].",
        "concentration of squared errors",
        eluder.one_steps,
        **_moment("truth"),
    ),
    _theorem(
        "moment-candidate",
        "E exp(-lambda X) <= exp(-lambda E X / 2) for lambda = 1 / H^2 in one cell.",
        "concentration of squared errors",
        eluder.one_steps,
        **_moment("candidate"),
    ),
    _theorem(
        "moment-average",
        "E exp(-lambda X) <= exp(-lambda E X / 2) for lambda = 0.747 / H^2, averaged over cells.",
        "concentration of squared errors",
        eluder.one_steps,
        **_moment("average"),
    ),
    _theorem(
        "squared-errors",
        "W.p. 1 - delta, for all f, h, k: L(f*) - L(f) <= -1/2 sum E (f - Tf)^2 + 1.84 H^2 iota.",
        "concentration of squared errors",
        finite_classes.function_runs,
        lambda run: run.excess.max(),
        lambda run: gec.SHARP * run.horizon**2 * run.iota,
        kind=Kind.HIGH_PROBABILITY,
        delta=finite_classes.LEMMA_DELTA,
    ),
    _theorem(
        "truth-feasible",
        "W.p. 1 - delta, for all h, k: L_h(Q*) <= H^2/2 log(2 H |G_h| / delta): GOLF keeps Q*.",
        "concentration of squared errors",
        finite_classes.function_runs,
        lambda run: run.true_losses.max(),
        lambda run: (
            run.horizon**2 / 2 * np.log(2 * run.horizon * run.hypotheses.auxiliary.shape[1] / run.confidence)
        ),
        kind=Kind.HIGH_PROBABILITY,
        delta=finite_classes.LEMMA_DELTA,
    ),
    _theorem(
        "eluder-functions",
        "Any sequence of Q in [0, H-h]: sum V_Q - V^pi <= 2 H^2 S A + sum_h sqrt(c0 S A ln K E_h).",
        "the eluder coefficient",
        eluder.function_sequences,
        lambda sequence: sequence.total,
        lambda sequence: sequence.model_free(),
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "regret-functions",
        "T-MF: w.p. 1 - delta, Reg(K) <= sqrt(3.68 d H^3 K iota) + 2 H^2 S A, d = c0 H S A ln K.",
        "the regret bound",
        finite_classes.function_runs,
        lambda run: run.regret[-1],
        lambda run: run.bound,
        kind=Kind.HIGH_PROBABILITY,
        delta=finite_classes.LEMMA_DELTA,
        trivial=lambda run: float(run.horizon * run.rounds),
    ),
)

_LOCK_IN: tuple[Theorem, ...] = (
    _theorem(
        "lock-in-needs-a-crossing",
        "Risky arms: MEX is locked only if the log-likelihood ratio of the good arm has reached 0.8 / eta.",
        "lock-in",
        finite_classes.lock_ins,
        lambda run: 0.8 / run.eta if run.locked else 0.0,
        lambda run: run.peak,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "lock-in",
        "Risky arms: the probability of being locked is at most exp(-0.8 / eta) (here at eta = 0.253).",
        "lock-in",
        finite_classes.lock_ins,
        lambda run: float(run.locked),
        lambda run: 0.5,
        kind=Kind.HIGH_PROBABILITY,
        delta=finite_classes.LOCKING_BOUND,
    ),
    Theorem(
        key="mex.fixed-eta",
        statement="An eta that does not shrink with K has linear regret (risky arms, eta = 0.894).",
        source=f"{_PAGE}, lock-in",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(0.85, 1.15),
        evidence=finite_classes.fixed_eta_curves,
    ),
    Theorem(
        key="mex.scheduled-eta",
        statement="With eta = 20 / sqrt(K) the exact expected regret of lock-ins does not grow with K.",
        source=f"{_PAGE}, lock-in",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(-1.0, 0.0),
        evidence=finite_classes.scheduled_curves,
    ),
)

_PLANNERS: tuple[Theorem, ...] = (
    _theorem(
        "row-dominates",
        "The penalised row has a value that no other row exceeds.",
        "planners",
        penalised.row_cases,
        lambda case: case.others / case.scale,
        lambda case: case.value / case.scale,
        tolerance=ROW,
    ),
    _theorem(
        "row-stationary",
        "V_i + c phat_i / p_i is the same for all charged states, and no unseen state is worth more.",
        "planners",
        penalised.row_cases,
        lambda case: case.residual,
        lambda case: 0.0,
        tolerance=ROW,
    ),
    _theorem(
        "row-value",
        "The stated value is <p, V> - c KL(phat || p).",
        "planners",
        penalised.row_cases,
        lambda case: case.value / case.scale,
        lambda case: case.direct / case.scale,
        kind=Kind.IDENTITY,
        tolerance=ROW,
    ),
    _theorem(
        "models-upper",
        "No kernel found by any ascent exceeds the relaxation's upper bound, or branch and bound's.",
        "planners",
        penalised.model_plans,
        lambda plan: np.append(plan.others, plan.objective),
        lambda plan: plan.upper,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "models-reached",
        "The objective that the planner states is that of its own kernel, computed from scratch.",
        "planners",
        penalised.model_plans,
        lambda plan: plan.stated,
        lambda plan: plan.objective,
        kind=Kind.IDENTITY,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "mixtures-upper",
        "No mixture exceeds the upper bound over mixtures.",
        "planners",
        penalised.mixture_plans,
        lambda plan: np.append(plan.others, plan.stated),
        lambda plan: plan.upper,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "tables-upper",
        "No table in its range exceeds the upper bound, which is a bonus 1 / (4 eta n).",
        "planners",
        penalised.q_plans,
        lambda plan: np.append(plan.others, plan.stated),
        lambda plan: plan.upper,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "tables-reached",
        "The objective that the planner states is that of its own table, computed from scratch.",
        "planners",
        penalised.q_plans,
        lambda plan: plan.stated,
        lambda plan: plan.objective,
        kind=Kind.IDENTITY,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "tables-exact",
        "Where no range binds: stated <= max_pi V^pi + sum d^2 / (4 eta n) <= upper bound.",
        "planners",
        penalised.exact_q_plans,
        lambda plan: np.array([plan.stated, plan.exact]),
        lambda plan: np.array([plan.exact, plan.upper]),
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "tables-closed-form",
        "One policy: max_e V^pi(r + e) - eta sum n e^2 = V^pi + sum d^2 / (4 eta n), at e = d / (2 eta n).",
        "planners",
        penalised.fixed_policies,
        lambda policy: policy.stated,
        lambda policy: policy.reached,
        kind=Kind.IDENTITY,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "tables-closed-form-maximal",
        "No other errors do better.",
        "planners",
        penalised.fixed_policies,
        lambda policy: policy.others,
        lambda policy: policy.stated,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "chain",
        "The chain program finds the maximum over all N^H candidates, penalised and constrained.",
        "planners",
        penalised.chains,
        lambda chain: chain.program,
        lambda chain: chain.listed,
        kind=Kind.IDENTITY,
    ),
    _theorem(
        "ridge",
        "The ridge loss minus its minimum is the squared norm of w - what(V) in Lambda.",
        "planners",
        penalised.ridge_losses,
        lambda pair: pair.left,
        lambda pair: pair.right,
        kind=Kind.IDENTITY,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "linear-closed-form",
        "For one policy, unclipped: the best weights reach Vhat^pi + sum |phibar|^2 / (4 eta).",
        "planners",
        penalised.linear_policies,
        lambda policy: policy.stated,
        lambda policy: policy.reached,
        kind=Kind.IDENTITY,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "linear-closed-form-maximal",
        "No other weights do better.",
        "planners",
        penalised.linear_policies,
        lambda policy: policy.others,
        lambda policy: policy.stated,
        tolerance=LOG_SUMS,
    ),
    _theorem(
        "one-hot",
        "With unit vectors as features and a vanishing ridge the linear closed form is the tabular one.",
        "planners",
        penalised.one_hot,
        lambda pair: pair.left,
        lambda pair: pair.right,
        kind=Kind.IDENTITY,
        tolerance=RIDGE,
    ),
)

PAPER = Paper(
    key="mex",
    title="Maximize to Explore: One Objective Function Fusing Estimation, Planning, and Exploration",
    authors="Z. Liu, M. Lu, W. Xiong, H. Zhong, H. Hu, S. Zhang, S. Zheng, Z. Yang, Z. Wang",
    venue="NeurIPS 2023",
    arxiv="2305.18258",
    summary="Maximise the value of a hypothesis less eta times its loss, over the whole class, and play it.",
    learners=("mex", "mex-game", "mex-game-model-free"),
    theorems=(*_OBJECTIVE, *_MODEL_BASED, *_MODEL_FREE, *_LOCK_IN, *_PLANNERS, *GAMES),
)

__all__ = ["PAPER", "FunctionRun", "ModelRun", "OneStep"]
