"""The theorems of hybrid learning with density ratios (Amortila et al. 2024, section 4), and their steps.

MABO.CR, the reduction H2O and HyGLOW. The bounds for samples are vacuous at feasible sizes; without noise
they hold surely and are checked at every round. Statements that are ours are proved on the HyGLOW page.
"""

from __future__ import annotations

from theoryrl.theory.core import Kind, Mark, Paper, Theorem
from theoryrl.theory.evidence import density_ratios as ratios
from theoryrl.theory.evidence import hybrid, hybrid_audit

_PAGE = "HyGLOW page"
_COVERED = ("Q* is in F", "the ratios of the policies to the law of the data are in W")

THEOREMS = (
    Theorem(
        key="hyglow.clipping",
        statement="CC grows with c, is at most c and the largest ratio, and at least E_mu[w^2], c Pr(w > c).",
        source="Definition 4.3, Lemmas F.4 and F.5; " + _PAGE + ", clipping",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=ratios.clippings,
        measured=lambda case: case.left,
        bound=lambda case: case.right,
    ),
    Theorem(
        key="hyglow.potential",
        statement="sum_t E_{d_t}[min(d_t / mu_t, gamma t)] / t <= (2 + gamma) C H_T for any nu.",
        source="Theorem F.6, sharper; " + _PAGE + ", H2O",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-11,
        evidence=ratios.plays,
        measured=lambda case: case.hybrid,
        bound=lambda case: (2 + case.gamma) * case.harmonics * case.coverability,
    ),
    Theorem(
        key="hyglow.risk-decomposition",
        statement="J(pi*) - J(pi_f) <= sum_h E_{d^pi*}[-residual of f] + E_{d^pi_f}[residual of f].",
        source="Lemma F.2",
        kind=Kind.INEQUALITY,
        mark=Mark.PAPER,
        tolerance=1e-12,
        evidence=ratios.decompositions,
        measured=lambda case: case.best - case.value,
        bound=lambda case: case.own - case.optimal,
    ),
    Theorem(
        key="hyglow.mabo-risk",
        statement="Noise-free, every minimiser has risk <= sum ((a + 1) CC(pi_f) + (a + 2) CC(pi*)) / c.",
        source="Theorem 4.2 without noise; " + _PAGE + ", MABO.CR",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_COVERED,
        evidence=hybrid.mabo_risks,
        measured=lambda case: case.risk,
        bound=lambda case: case.bound,
        trivial=lambda case: 1.0,
    ),
    Theorem(
        key="hyglow.mabo-attained",
        statement="On two arms a minimiser has a share of at least 1 - 3 / a of the noise-free bound.",
        source=_PAGE + ", MABO.CR",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=1e-12,
        evidence=hybrid.attained_risks,
        measured=lambda case: (1 - 3 / case.a) * float(case.bound.max()),
        bound=lambda case: float(case.risk.max()),
    ),
    Theorem(
        key="hyglow.round-risk",
        statement="Noise-free H2O: each round's risk is at most what MABO.CR promises for its data.",
        source="Theorem F.6, each step; " + _PAGE + ", H2O",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_COVERED,
        evidence=hybrid.hybrid_regrets,
        measured=lambda run: run.risks,
        bound=lambda run: run.steps,
        trivial=lambda run: 1.0,
    ),
    Theorem(
        key="hyglow.population-regret",
        statement="Noise-free: Reg_T <= (H H_T / gamma) ((a + 1)(2 + gamma) C_cov + 2 (a + 2) C_*).",
        source="Corollary 4.1 without noise; " + _PAGE + ", H2O",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_COVERED,
        evidence=hybrid.hybrid_regrets,
        measured=lambda run: run.regret,
        bound=lambda run: run.bound,
        trivial=lambda run: run.rounds,
    ),
    Theorem(
        key="hyglow.concentration",
        statement="W.p. 1 - delta, |mean - E[residual w]| <= 4 E[w^2] / (3 gamma_t) + 3 gamma_t L / M.",
        source="Lemma E.1, first display, k = 3; " + _PAGE + ", samples",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=0.05,
        evidence=hybrid_audit.audited_runs,
        measured=lambda run: run.deviation,
        bound=lambda run: 1.0,
    ),
    Theorem(
        key="hyglow.mabo-samples",
        statement="With probability 1 - delta, MABO.CR's risk is at most its bound with explicit constants.",
        source="Theorem 4.2, corrected; " + _PAGE + ", samples",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=0.05,
        assumptions=_COVERED,
        evidence=hybrid.mabo_samples,
        measured=lambda case: case.risk,
        bound=lambda case: case.bound,
        trivial=lambda case: 1.0,
    ),
    Theorem(
        key="hyglow.fits",
        statement="Fitted Q-iteration and maximum likelihood are CC-bounded, given their lemmas.",
        source="Theorems F.3 (with a = 6 / gamma and delta in the logarithm) and F.5",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=0.05,
        assumptions=(
            "the classes are complete",
            "the lemmas on least squares and likelihood that the paper quotes",
        ),
        evidence=hybrid.fitted_samples,
        measured=lambda case: case.risk,
        bound=lambda case: case.bound,
        trivial=lambda case: 1.0,
    ),
    Theorem(
        key="hyglow.regret",
        statement="With probability 1 - delta, HyGLOW's regret is at most the explicit bound, always.",
        source="Corollary 4.1 with constants; " + _PAGE + ", samples",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=0.05,
        assumptions=_COVERED,
        evidence=hybrid.hyglow_runs,
        measured=lambda run: run.regret,
        bound=lambda run: run.bound,
        trivial=lambda run: run.rounds,
    ),
)

PAPER = Paper(
    key="hyglow",
    title="Harnessing Density Ratios for Online Reinforcement Learning: hybrid learning",
    authors="Philip Amortila, Dylan J. Foster, Nan Jiang, Ayush Sekhari, Tengyang Xie",
    venue="ICLR 2024",
    arxiv="2401.09681",
    summary="With data that cover one good policy, offline algorithms with clipped coverage learn online.",
    learners=("h2o", "hyglow"),
    theorems=THEOREMS,
)
