"""The theorems of learning to relax (Khodak, Chow, Balcan and Talwalkar 2024).

The regret theorems bound expectations with constants that are far from tight, so the statements on which
they rest are theorems of their own: the iteration is the one that the analysis is about, its count is below
the near-asymptotic bound U, U can be rounded up to a grid at a bounded price, the bandit's inequality holds
on every single run, and so does the lemma that inverse gap weighting rests on.
"""

from __future__ import annotations

import numpy as np

from theoryrl.solvers import young_omega
from theoryrl.theory.core import Kind, Mark, Paper, Series, Theorem
from theoryrl.theory.evidence import relaxation, relaxation_bandits
from theoryrl.theory.evidence.relaxation import Energy, Preconditioned, Surrogate
from theoryrl.theory.evidence.relaxation_bandits import BanditRun, RelaxationRun

_PAGE = "SOR page"
_ORDERED = ("A consistently ordered, Jacobi's radius beta < 1",)
_OBLIVIOUS = ("losses in [0, K], fixed before the first round",)
_TAU = ("tau in (0, 1) proved on the grid by the powers of C_w at their crossing of eps",)
_ROUNDING = ("the condition of Lemma 2.1 (iii) for every system", "K at least every count less one")
_KAPPA = ("A symmetric positive definite, any order of the factors of P",)


def _surrogate_series(case: Surrogate) -> Series:
    omegas, bounds = case.near.omegas, case.near.bounds
    return Series(f"count and U, {case.instance}", "omega", "iterations", omegas, case.counts * 1.0, bounds)


def _pairs(case: Surrogate) -> tuple[np.ndarray, np.ndarray]:
    """Return U(x) - U(y) and L (x - y) for all points x > y of the mesh."""
    points, values = case.mesh()
    i, j = np.triu_indices(len(points), 1)
    return values[j] - values[i], case.lipschitz * (points[j] - points[i])


def _regret(run: BanditRun) -> float:
    return run.regret / (run.K * run.T)


def _regret_bound(run: BanditRun) -> float:
    return run.regret_bound / (run.K * run.T)


def _share(run: RelaxationRun) -> float:
    return (run.total - run.run.T) / (run.run.K * run.run.T)


def _share_bound(run: RelaxationRun) -> float:
    return (run.bound - run.run.T) / (run.run.K * run.run.T)


def _preconditioner_series(case: Preconditioned) -> Series:
    return Series("condition number after SSOR", "omega", "kappa", case.omegas, case.kappas, case.bounds)


def _where_textbook_holds(case: Energy) -> np.ndarray:
    return case.excess >= 0


THEOREMS: tuple[Theorem, ...] = (
    Theorem(
        key="sor.residual-recurrence",
        statement="Residuals of the one-pass sweeps are C_w^k r_0, for SOR and symmetric SOR.",
        source=_PAGE + ", residual recurrence",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=relaxation.residual_histories,
        measured=lambda case: case.measured,
        bound=lambda case: case.dense,
    ),
    Theorem(
        key="sor.young",
        statement="rho(C_w) = (w beta + sqrt(w^2 beta^2 - 4 (w - 1)))^2 / 4 up to omega*, w - 1 beyond.",
        source="Young (1971), chapter 6",
        kind=Kind.IDENTITY,
        mark=Mark.PAPER,
        assumptions=_ORDERED,
        evidence=relaxation.radii,
        measured=lambda case: case.young,
        bound=lambda case: case.dense,
    ),
    Theorem(
        key="sor.young-near",
        statement="The same within 0.02 of omega*, where the dense eigenvalue is nearly double (to 1e-6).",
        source="Young (1971), chapter 6",
        kind=Kind.IDENTITY,
        mark=Mark.PAPER,
        assumptions=_ORDERED,
        tolerance=1e-6,
        evidence=relaxation.radii_near_the_optimum,
        measured=lambda case: case.young,
        bound=lambda case: case.dense,
    ),
    Theorem(
        key="sor.young-optimal",
        statement="No parameter has a smaller radius than omega* = 2 / (1 + sqrt(1 - beta^2)): omega* - 1.",
        source="Young (1971), chapter 6",
        kind=Kind.INEQUALITY,
        mark=Mark.PAPER,
        assumptions=_ORDERED,
        tolerance=1e-6,
        evidence=relaxation.all_radii,
        measured=lambda case: np.full(case.dense.shape, young_omega(case.beta) - 1),
        bound=lambda case: case.dense,
    ),
    Theorem(
        key="sor.surrogate",
        statement="The count is at most U(w) = 1 + log eps / log(rho + tau (1 - rho)), for every target.",
        source="Khodak et al. (2024), Lemma 2.1 (i); tau as on the SOR page, near-asymptotic bound",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_TAU,
        evidence=relaxation.surrogates,
        measured=lambda case: case.counts,
        bound=lambda case: case.near.bounds,
        series=_surrogate_series,
    ),
    Theorem(
        key="sor.surrogate-cap",
        statement="U(w) <= 1 + log eps / log alpha, alpha = tau + (1 - tau) max(beta^2, w_max - 1).",
        source="Khodak et al. (2024), Lemma 2.1 (i)",
        kind=Kind.INEQUALITY,
        mark=Mark.PAPER,
        assumptions=_ORDERED + _TAU,
        evidence=relaxation.surrogates,
        measured=lambda case: case.near.bounds,
        bound=lambda case: case.cap,
    ),
    Theorem(
        key="sor.surrogate-decreasing",
        statement="U decreases on [1, omega*].",
        source="Khodak et al. (2024), Lemma 2.1 (ii)",
        kind=Kind.INEQUALITY,
        mark=Mark.PAPER,
        assumptions=_ORDERED + _TAU,
        evidence=relaxation.surrogates,
        measured=lambda case: case.left()[1:],
        bound=lambda case: case.left()[:-1],
    ),
    Theorem(
        key="sor.surrogate-lipschitz",
        statement="On [omega*, w_max] U is Lipschitz with constant -(1 - tau) log eps / (alpha log^2 alpha).",
        source="Khodak et al. (2024), Lemma 2.1 (iii); with a weaker condition on the SOR page",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=(*_ORDERED, *_TAU, "tau >= 1/e^2, or beta^2 >= (4/e^2) / (1 + 1/e^2)^2"),
        evidence=relaxation.surrogates,
        given=lambda case: case.steep_enough,
        measured=lambda case: case.slopes(),
        bound=lambda case: case.lipschitz,
    ),
    Theorem(
        key="sor.semi-lipschitz",
        statement="Rounding up: U(x) - U(y) <= L (x - y) for y < x <= w_max, L as in Lemma 2.1 (iii).",
        source=_PAGE + ", rounding up",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_ORDERED + _TAU,
        evidence=relaxation.surrogates,
        given=lambda case: case.steep_enough,
        measured=lambda case: _pairs(case)[0],
        bound=lambda case: _pairs(case)[1],
    ),
    Theorem(
        key="sor.tsallis-step",
        statement="p minimises <L, p> - (4/eta) sum_i sqrt(p_i): eta L_i - 2/sqrt(p_i) is constant.",
        source="Khodak et al. (2024), Algorithm 2; Zimmert and Seldin (2021)",
        kind=Kind.IDENTITY,
        mark=Mark.PAPER,
        tolerance=1e-12,
        evidence=relaxation_bandits.leader_steps,
        measured=lambda step: step.multipliers,
        bound=lambda step: np.full(step.p.shape, step.multipliers.mean()),
    ),
    Theorem(
        key="sor.tsallis-simplex",
        statement="The probabilities of Tsallis-INF sum to one.",
        source="Khodak et al. (2024), Algorithm 2",
        kind=Kind.IDENTITY,
        mark=Mark.PAPER,
        tolerance=1e-12,
        evidence=relaxation_bandits.leader_steps,
        measured=lambda step: step.p.sum(),
        bound=lambda step: 1.0,
    ),
    Theorem(
        key="sor.tsallis-pathwise",
        statement="Every run: loss - Lhat_T(i) <= 4 (sqrt d - 1)/eta_T + sum_t (eta_t/2) l_t^2 / sqrt(p_t).",
        source=_PAGE + ", every run",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=("eta_t does not increase", *_OBLIVIOUS),
        evidence=relaxation_bandits.tsallis_runs,
        measured=lambda run: run.pathwise()[0],
        bound=lambda run: run.pathwise()[1],
    ),
    Theorem(
        key="sor.tsallis-regret",
        statement="With eta = sqrt(8/T) the expected regret is at most 2 K sqrt(2 d T) (here over K T).",
        source="the constant of Khodak et al. (2024), appendix B; " + _PAGE + ", expected regret",
        kind=Kind.EXPECTATION,
        mark=Mark.OURS,
        assumptions=_OBLIVIOUS,
        width=2.0,
        evidence=relaxation_bandits.horizon_runs,
        measured=_regret,
        bound=_regret_bound,
        trivial=lambda run: 1.0,
    ),
    Theorem(
        key="sor.tsallis-regret-anytime",
        statement="With eta_t = 2/sqrt t: expected regret <= 4 K sqrt(d T) - 2 K sqrt T (here over K T).",
        source=_PAGE + ", expected regret",
        kind=Kind.EXPECTATION,
        mark=Mark.OURS,
        assumptions=_OBLIVIOUS,
        width=2.0,
        evidence=relaxation_bandits.anytime_runs,
        measured=_regret,
        bound=_regret_bound,
        trivial=lambda run: 1.0,
    ),
    Theorem(
        key="sor.tsallis-rate",
        statement="The regret against the best fixed parameter grows like sqrt(T).",
        source="Khodak et al. (2024), appendix B",
        kind=Kind.RATE,
        mark=Mark.PAPER,
        assumptions=_OBLIVIOUS,
        slopes=(0.4, 0.75),
        evidence=relaxation_bandits.regret_curves,
    ),
    Theorem(
        key="sor.regret",
        statement="E sum SOR_t(w_t) <= 2K sqrt(2dT) + sum_t log(1/eps)/(d log^2 alpha_t) + min_w sum U_t(w).",
        source="Khodak et al. (2024), Theorem 2.1",
        kind=Kind.EXPECTATION,
        mark=Mark.PAPER,
        assumptions=(*_ORDERED, *_TAU, *_OBLIVIOUS, *_ROUNDING),
        width=1.0,
        evidence=relaxation_bandits.fixed_runs,
        measured=_share,
        bound=_share_bound,
        trivial=lambda run: 1.0,
    ),
    Theorem(
        key="sor.regret-contextual",
        statement="Binned: E sum SOR_t <= 4K sqrt(dmT) + (C L_f/m + (w_max-1)/d) sum L_t + sum U_t(f(c_t)).",
        source="Khodak et al. (2024), Theorem B.4; without its leading m on the SOR page, contexts",
        kind=Kind.EXPECTATION,
        mark=Mark.OURS,
        assumptions=(
            *_ORDERED,
            *_TAU,
            *_OBLIVIOUS,
            *_ROUNDING,
            "f Lipschitz with constant L_f; here f = omega*",
        ),
        width=1.0,
        evidence=relaxation_bandits.binned_runs,
        measured=_share,
        bound=_share_bound,
        trivial=lambda run: 1.0,
    ),
    Theorem(
        key="sor.policy-lipschitz",
        statement="omega*(c) of A + cI has slope at most |d omega*/d c| at the smaller shift.",
        source=_PAGE + ", contexts",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=("A consistently ordered with constant diagonal",),
        evidence=relaxation_bandits.policy_slopes,
        measured=lambda case: case.measured,
        bound=lambda case: case.bound,
    ),
    Theorem(
        key="sor.inverse-gaps",
        statement="For all y, f, s: sum p_i f_i - f_s <= 2 (d-1)/eta + (eta/4) sum p_i (y_i - f_i)^2.",
        source=_PAGE + ", inverse gaps",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=relaxation_bandits.worst_gaps,
        measured=lambda case: case.regret,
        bound=lambda case: case.bound,
    ),
    Theorem(
        key="sor.inverse-gaps-run",
        statement="The same at every choice of a run of ChebCB, f the counts that it does not see.",
        source=_PAGE + ", inverse gaps",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=relaxation_bandits.cheb_runs,
        measured=lambda run: run.gaps.regret[1:],
        bound=lambda run: run.gaps.bound[1:],
    ),
    Theorem(
        key="sor.prediction-range",
        statement="All predictions of ChebCB lie in [-1/2, 1/2].",
        source=_PAGE + ", the box",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=relaxation_bandits.cheb_runs,
        measured=lambda run: run.column("largest_prediction"),
        bound=lambda run: 0.5,
    ),
    Theorem(
        key="sor.chebyshev-box",
        statement="Chebyshev coefficients of an Lc-Lipschitz function on [a, b]: |a_j| <= 2 Lc (b-a)/(pi j).",
        source=_PAGE + ", the box",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-6,
        evidence=relaxation_bandits.expansions,
        measured=lambda case: np.abs(case.coefficients),
        bound=lambda case: case.box,
    ),
    Theorem(
        key="sor.chebyshev-error",
        statement="Degree m - 1 errs by at most (pi + (2/pi) log(2m - 1)) / (2m) Lc (b - a).",
        source=_PAGE + ", the box",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-6,
        evidence=relaxation_bandits.expansions,
        measured=lambda case: case.errors,
        bound=lambda case: case.alphas,
    ),
    Theorem(
        key="sor.ssor-condition",
        statement="kappa(P^{-1}A) <= (1 + (2-w)^2 a1/(4w) + w b1)/(2-w), a1 = max eig D A^{-1}.",
        source="Axelsson (1994), Theorem 7.17; both orders on the SOR page, the SSOR preconditioner",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_KAPPA,
        evidence=relaxation.preconditioned,
        measured=lambda case: np.maximum(case.kappas, case.reversed_kappas),
        bound=lambda case: case.bounds,
        series=_preconditioner_series,
    ),
    Theorem(
        key="sor.ssor-orders",
        statement="P^{-1}A has the same condition number with the factors of P in either order.",
        source=_PAGE + ", the SSOR preconditioner",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        assumptions=_KAPPA,
        evidence=relaxation.preconditioned,
        measured=lambda case: case.kappas,
        bound=lambda case: case.reversed_kappas,
    ),
    Theorem(
        key="sor.ssor-count",
        statement="SSOR-CG from 0 takes <= 1 + arccosh(sqrt kappa(A)/eps) / -log(1 - 2/(1+sqrt kappa~)).",
        source=_PAGE + ", the SSOR preconditioner",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_KAPPA,
        evidence=relaxation.preconditioned,
        measured=lambda case: case.counts,
        bound=lambda case: case.count_bounds,
    ),
    Theorem(
        key="sor.ssor-minimiser",
        statement="The bound on kappa is smallest at w = 2 / (1 + 2 sqrt((1/2 + b1)/a1)).",
        source=_PAGE + ", the SSOR preconditioner",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_KAPPA,
        evidence=relaxation.preconditioned,
        measured=lambda case: case.condition.bound(case.condition.best_omega),
        bound=lambda case: case.grid_minimum,
    ),
    Theorem(
        key="sor.energy-norm",
        statement="The energy norm of SOR is at most sqrt(1 - 2 Om/(1/w + h/g')), g' by the sign of h.",
        source=_PAGE + ", energy norm",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=relaxation.energies,
        measured=lambda case: case.exact,
        bound=lambda case: case.bound,
    ),
    Theorem(
        key="sor.energy-norm-textbook",
        statement="While h = Om^2 + G - 1/4 >= 0 it is at most sqrt(1 - 2 Om g/(Om^2 + g/w + G - 1/4)).",
        source="Hackbusch (2016), Corollary 3.45",
        kind=Kind.INEQUALITY,
        mark=Mark.RECALLED,
        evidence=relaxation.energies,
        measured=lambda case: case.exact[_where_textbook_holds(case)],
        bound=lambda case: case.textbook[_where_textbook_holds(case)],
    ),
    Theorem(
        key="sor.energy-norm-counterexample",
        statement="Where h < 0 that expression is below the energy norm on the shifted Laplacian.",
        source=_PAGE + ", energy norm",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=relaxation.large_omega_energies,
        measured=lambda case: case.textbook,
        bound=lambda case: case.exact,
    ),
    Theorem(
        key="sor.degenerate-target",
        statement="For one target the count jumps ten times as far as the mean over some drawn at random.",
        source=_PAGE + ", a degenerate target",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=relaxation.degenerate_targets,
        measured=lambda case: 10 * case.typical_jump,
        bound=lambda case: case.jump,
    ),
)

PAPER = Paper(
    key="sor",
    title="Learning to Relax: Setting Solver Parameters Across a Sequence of Linear System Instances",
    authors="Mikhail Khodak, Edmond Chow, Maria-Florina Balcan, Ameet Talwalkar",
    venue="ICLR 2024",
    arxiv="2310.02246",
    summary="Choose a solver's relaxation parameter by a bandit that sees iteration counts only.",
    learners=("tsallis-inf", "binned-tsallis-inf", "cheb-cb"),
    theorems=THEOREMS,
)
