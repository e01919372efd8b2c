"""The theorems of Nash-MP (Tiapkin et al. 2025) and of the methods it is compared with.

Of the paper the abstract was read: the rate (1 + 2 beta)^{-N/2} of the divergence after N queries, and
that spans and gaps converge too. Every constant, and the inequalities that the proof goes through, are
derived on the Nash-MP page. One-step statements are compared as ratios, so that they are as sharp at a
divergence of 1e-11 as at the start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.solvers import (
    exploitability_gap,
    preference_certificate,
    regularized_best_response,
    regularized_preference,
)
from theoryrl.solvers.preference.fields import PerContext, preference_field
from theoryrl.solvers.simplex import kl_divergence, span
from theoryrl.theory.core import Kind, Mark, Paper, Series, Theorem
from theoryrl.theory.evidence import mirror_methods as methods
from theoryrl.theory.evidence import preference
from theoryrl.theory.evidence.mirror_methods import InexactRun, MixtureRun, ProximalRun
from theoryrl.theory.evidence.preference import EPS, MirrorRun, PolicyCase

_PAGE = "Nash-MP page"
_COVERED = ("gamma^2 L(P)^2 <= 1 + gamma beta, in particular gamma = 2",)

ONE_STEP = 1e-9
"""Rounding of a ratio of two sums of a few divergences, each accurate to 1e-14; the rest is `slack`."""

IDENTITY = 1e-7
"""Where the error of pi* moves a divergence above 1e-8 by at most 4 sqrt(1e-24 / 1e-8)."""


# Sides of the theorems on Mirror Prox.


def one_step_left(run: MirrorRun) -> Float[np.ndarray, " N"]:
    """(1 + gamma beta) KL_{k+1} + gamma beta KL(pi_{k+1/2} || pi*), over KL_k."""
    reverse = kl_divergence(run.halves, run.best.log_policy)
    left = run.growth * run.kl[1:] + run.gamma * run.game.beta * reverse
    return np.asarray(left[run.steps] / run.kl[:-1][run.steps])


def one_step_right(run: MirrorRun) -> Float[np.ndarray, " N"]:
    """1, and the error of the divergence before the step."""
    return np.asarray(1 + run.slack[:-1][run.steps])


def identity_left(run: MirrorRun) -> Float[np.ndarray, " N"]:
    """All terms of the identity over KL_k, where that is above 1e-8."""
    c, w, z, best = run.centres[:-1], run.halves, run.centres[1:], run.best.log_policy
    A = run.game.game.skew
    difference = np.exp(z) - np.exp(w)
    change = np.einsum("xij,kxj->kxi", A, np.exp(w) - np.exp(c))
    total = run.growth * (run.kl[1:] + kl_divergence(z, w)) + kl_divergence(w, c)
    total += run.gamma * run.game.beta * kl_divergence(w, best) - run.gamma * (change * difference).sum(
        axis=2
    )
    large = run.kl[:-1] > 1e-8
    return np.asarray(total[large] / run.kl[:-1][large])


def rate_left(run: MirrorRun) -> Float[np.ndarray, "K X"]:
    """KL_k over its bound q^k KL_0, k >= 1; 0 where rounding decides both."""
    return over(run.kl, run.q**run.numbers * run.kl[0], preference.SMALLEST)[1:]


def rate_right(run: MirrorRun) -> Float[np.ndarray, "K X"]:
    """1, and the error of the divergence."""
    decided = run.q**run.numbers * run.kl[0] > preference.SMALLEST
    return np.where(decided, 1 + run.slack + run.slack[0], 1.0)[1:]


def span_bound(run: MirrorRun) -> Float[np.ndarray, "K1 X"]:
    """q^k s_0 + q sqrt(2 gamma K_0 / beta) q^{(k-1)/2} (1 - q^{k/2}) / (1 - q^{1/2}), and rounding."""
    q, k = run.q, run.numbers
    geometric = q ** ((k - 1) / 2) * (1 - q ** (k / 2)) / (1 - np.sqrt(q))
    drift = q * np.sqrt(2 * run.gamma * run.kl[0] / run.game.beta) * geometric
    logs = np.abs(run.centres).max(axis=2)
    rounding = 64 * EPS * logs + 2 * np.sqrt(run.best.certificate) / run.game.beta
    return np.asarray(q**k * run.spans[0] + drift + rounding)


def gap_bound(run: MirrorRun) -> Float[np.ndarray, "K1 X"]:
    """(beta / 8) (s_k + sqrt(2 KL_k) / beta)^2."""
    beta = run.game.beta
    return np.asarray(beta / 8 * (run.spans + np.sqrt(2 * run.kl) / beta) ** 2)


def over(measured: Any, bound: Any, floor: float) -> Float[np.ndarray, ...]:
    """Return measured / bound, 0 where the bound is below `floor` and rounding decides."""
    return np.asarray(np.where(bound > floor, measured / np.maximum(bound, floor), 0.0))


def start_ratios(run: MirrorRun) -> Float[np.ndarray, " N"]:
    """KL(pi* || ref), the symmetric divergence, and the span of the logits, each over its bound."""
    beta, best, ref = run.game.beta, run.best.log_policy, run.game.log_reference
    forward, backward = kl_divergence(best, ref), kl_divergence(ref, best)
    return np.concatenate(
        [2 * beta * forward, 8 * beta**2 * forward, 2 * beta * (forward + backward), beta * span(best - ref)]
    )


def _rate_series(run: MirrorRun) -> Series:
    k = run.numbers[:, 0]
    kl, bound = run.kl[:, 0], (run.q**run.numbers * run.kl[0])[:, 0]
    kept = kl > 1e-28
    return Series(
        "KL(pi* || pi_k) below its bound",
        "iteration k",
        "ln KL",
        k[kept],
        np.log(kl[kept]),
        np.log(bound[kept]),
    )


# Sides of the theorems on policies.


def symmetric(case: PolicyCase) -> PerContext:
    """KL(pi || pi*) + KL(pi* || pi)."""
    best, policy = case.best.log_policy, case.log_policy
    return np.asarray(kl_divergence(policy, best) + kl_divergence(best, policy))


def gap_as_printed(case: PolicyCase) -> PerContext:
    """beta log sum_y ref e^{(A pi)_y / beta} + beta KL(pi || ref), by the textbook formula."""
    game = case.game
    exponent = preference_field(game.game, np.exp(case.log_policy)) / game.beta + game.log_reference
    top = exponent.max(axis=1)
    log_sum = top + np.log(np.exp(exponent - top[:, None]).sum(axis=1))
    return np.asarray(game.beta * (log_sum + kl_divergence(case.log_policy, game.log_reference)))


def gap_by_response(case: PolicyCase) -> PerContext:
    """P_beta(BR(pi) > pi) - 1/2."""
    response = regularized_best_response(case.game, case.log_policy)
    return regularized_preference(case.game, response, case.log_policy)


# Sides of the others.


def proximal_left(run: ProximalRun) -> Float[np.ndarray, " N"]:
    """(1 + gamma beta) KL_{k+1} + gamma beta KL(pi_{k+1} || pi*) + KL(pi_{k+1} || pi_k), over KL_k."""
    gb = run.gamma * run.beta
    left = (1 + gb) * run.to_target[1:] + gb * run.from_target[1:] + run.moves
    return np.asarray(left[run.kept] / run.to_target[:-1][run.kept])


def fejer_left(run: ProximalRun) -> Float[np.ndarray, " N"]:
    """KL(p || pi_{k+1}) + KL(pi_{k+1} || pi_k), over KL(p || pi_k)."""
    return np.asarray((run.to_target[1:] + run.moves)[run.kept] / run.to_target[:-1][run.kept])


def quadratic_left(run: InexactRun) -> Float[np.ndarray, " K"]:
    """(1 + gamma beta / 2) KL_{k+1} over its bound."""
    growth = 1 + run.gamma * run.beta / 2
    return over(growth * run.kl[1:], run.one_step, 1e-14)


def linear_left(run: InexactRun) -> Float[np.ndarray, " K"]:
    """KL_{k+1} over q KL_k + d1 + d2."""
    bound = run.kl[:-1] / (1 + run.gamma * run.beta) + sum(run.errors)
    return over(run.kl[1:], bound, 1e-14)


def limit_left(run: InexactRun) -> Float[np.ndarray, " K"]:
    """KL_k over what is left of the start and the limit."""
    k = np.arange(len(run.kl), dtype=np.float64)
    bound = run.kl[0] * (1 + run.gamma * run.beta / 2) ** -k + run.limit
    return over(run.kl, bound, 1e-14)[1:]


def md_left(run: MixtureRun, constant: float) -> Float[np.ndarray, " T"]:
    """KL_{t+1} over (1 - eta_t beta) KL_t + constant eta_t^2."""
    bound = (1 - run.eta * run.beta) * run.kl[:-1] + constant * run.eta**2
    return np.asarray(run.kl[1:] / bound)


def md_rate(run: MixtureRun, constant: float) -> Float[np.ndarray, " T"]:
    """KL_T over constant / (beta^2 (T + 1)), T >= 1."""
    T = np.arange(1, len(run.kl))
    return np.asarray(run.kl[1:] * run.beta**2 * (T + 1) / constant)


def _theorem(key: str, statement: str, section: str, evidence: Any, measured: Any, **options: Any) -> Theorem:
    """Return an inequality or identity of ours, whose measured side is relative to its bound."""
    defaults: dict[str, Any] = {"kind": Kind.INEQUALITY, "mark": Mark.OURS, "bound": lambda piece: 1.0}
    return Theorem(
        key=f"nash-mp.{key}",
        statement=statement,
        evidence=evidence,
        measured=measured,
        **{"source": f"{_PAGE}, {section}", **defaults, **options},
    )


_TIAPKIN = "Tiapkin et al. (2025), abstract: the rate (constant: Nash-MP page)"
_MUNOS = "Munos et al. (2024), Theorem 1"

THEOREMS: tuple[Theorem, ...] = (
    _theorem(
        "last-iterate",
        "With gamma = 2, KL(pi* || pi_K) <= (1 + 2 beta)^{-N/2} KL(pi* || pi_0) after N = 2K queries.",
        "one step",
        preference.paper_runs,
        rate_left,
        source=_TIAPKIN,
        bound=rate_right,
        mark=Mark.PAPER,
        tolerance=ONE_STEP,
        series=_rate_series,
    ),
    _theorem(
        "one-step",
        "(1 + gamma beta) KL(pi* || pi_{k+1}) + gamma beta KL(pi_{k+1/2} || pi*) <= KL(pi* || pi_k).",
        "one step",
        preference.nash_mp_runs,
        one_step_left,
        bound=one_step_right,
        assumptions=_COVERED,
        tolerance=ONE_STEP,
    ),
    _theorem(
        "one-step-identity",
        "KL(pi* || pi_k) is a sum of the terms of one step, exactly, whatever gamma is.",
        "one step",
        preference.nash_mp_runs,
        identity_left,
        kind=Kind.IDENTITY,
        tolerance=IDENTITY,
    ),
    _theorem(
        "adaptive-steps",
        "KL(pi* || pi_K) <= (1 + gamma beta)^{-K} KL(pi* || pi_0) for gamma = 1 / L(P), and the largest.",
        "one step",
        preference.nash_mp_runs,
        rate_left,
        bound=rate_right,
        assumptions=_COVERED,
        tolerance=ONE_STEP,
    ),
    _theorem(
        "span",
        "s_K <= q^K s_0 + q sqrt(2 gamma KL_0 / beta) q^{(K-1)/2} (1-q^{K/2})/(1-q^{1/2}); s: span.",
        "spans of the logits",
        preference.nash_mp_runs,
        lambda run: (run.spans / span_bound(run))[1:],
        assumptions=_COVERED,
    ),
    _theorem(
        "gap",
        "The exploitability gap of pi_K is at most (beta/8) (s_K + sqrt(2 KL(pi* || pi_K)) / beta)^2.",
        "the gap",
        preference.nash_mp_runs,
        lambda run: over(run.gaps, gap_bound(run), 1e-16),
        tolerance=1e-6,
    ),
    _theorem(
        "start",
        "KL(pi* || ref) <= 1/(2 beta) and 1/(8 beta^2), both divergences <= 1/(2 beta), span <= 1/beta.",
        "where it starts",
        preference.reference_runs,
        start_ratios,
    ),
    _theorem(
        "certificate",
        "KL(pi || pi*) + KL(pi* || pi) <= (span(r) / (2 beta))^2 with r = beta log(pi / ref) - A pi.",
        "a certificate",
        preference.all_policy_cases,
        lambda case: symmetric(case) / preference_certificate(case.game, case.log_policy).divergence,
    ),
    _theorem(
        "certificate-gap",
        "The exploitability gap is at most span(r)^2 / (8 beta).",
        "a certificate",
        preference.all_policy_cases,
        lambda case: (
            exploitability_gap(case.game, case.log_policy)
            / preference_certificate(case.game, case.log_policy).gap
        ),
    ),
    _theorem(
        "gap-forms",
        "The gap is beta KL(pi || BR(pi)), and what the best response wins.",
        "closed forms",
        preference.policy_cases,
        lambda case: np.concatenate([exploitability_gap(case.game, case.log_policy)] * 2),
        bound=lambda case: np.concatenate([gap_as_printed(case), gap_by_response(case)]),
        kind=Kind.IDENTITY,
        tolerance=1e-12,
    ),
    _theorem(
        "divergence-form",
        "beta KL(pi || pi*) = P_beta(pi* > pi) - 1/2.",
        "closed forms",
        preference.policy_cases,
        lambda case: case.game.beta * kl_divergence(case.log_policy, case.best.log_policy),
        bound=lambda case: regularized_preference(case.game, case.best.log_policy, case.log_policy),
        kind=Kind.IDENTITY,
        tolerance=1e-12,
    ),
    _theorem(
        "gap-above-divergence",
        "beta KL(pi || pi*) is at most the exploitability gap of pi.",
        "closed forms",
        preference.policy_cases,
        lambda case: (
            case.game.beta
            * kl_divergence(case.log_policy, case.best.log_policy)
            / exploitability_gap(case.game, case.log_policy)
        ),
    ),
    _theorem(
        "lipschitz",
        "span(A (p - q)) <= 2 L(P) |p - q|_1, with equality for some pair of pure policies.",
        "the constant L(P)",
        methods.field_cases,
        lambda case: over(case.change, case.allowed, 1e-12),
    ),
    _theorem(
        "two-actions",
        "With two actions span(log pi_k - log pi*) falls by exactly 1 / (1 + gamma beta) per iteration.",
        "the constant L(P)",
        methods.two_action_runs,
        lambda run: run.spans / run.powers,
        kind=Kind.IDENTITY,
        tolerance=1e-6,
    ),
    _theorem(
        "extragradient",
        "Nash-MP with gamma is EGPO with eta = gamma / (1 + gamma beta).",
        "the same map",
        methods.map_pairs,
        lambda pair: pair.ours,
        bound=lambda pair: pair.theirs,
        kind=Kind.IDENTITY,
        tolerance=1e-13,
    ),
    _theorem(
        "local-spectrum",
        "Eigenvalues of A S are at most L(P), those of the linearised iteration at most 1/(1 + gamma beta).",
        "near the equilibrium",
        methods.spectral_cases,
        lambda case: np.array(
            [over(case.frequencies.max(initial=0.0), case.lipschitz, 1e-9).item(), case.rate / case.q]
        ),
        assumptions=_COVERED,
    ),
    _theorem(
        "local-rate",
        "Beside pi*, in the slowest direction, ln KL falls by 2 ln(spectral radius) per iteration.",
        "near the equilibrium",
        methods.local_runs,
        lambda run: run.slope / run.predicted,
        kind=Kind.IDENTITY,
        tolerance=10 * methods.NEAR,
    ),
    _theorem(
        "local-faster",
        "Beside pi* the exponent is at least twice the theorem's: 2 ln(1 + gamma beta).",
        "near the equilibrium",
        methods.local_runs,
        lambda run: 2 * run.exponent / -run.slope,
        tolerance=10 * methods.NEAR,
    ),
    _theorem(
        "prox-objective",
        "A policy's loss in the proximal objective is (beta + 1/gamma) times its divergence from the step.",
        "inexact steps",
        methods.prox_cases,
        lambda case: case.loss / case.divergence,
        kind=Kind.IDENTITY,
        tolerance=1e-9,
    ),
    _theorem(
        "inexact-linear",
        "With errors of spans d1, d2: KL_{k+1} <= q KL_k + d1 + d2.",
        "inexact steps",
        methods.inexact_runs,
        linear_left,
        assumptions=_COVERED,
    ),
    _theorem(
        "inexact-quadratic",
        "(1 + gamma beta/2) KL_{k+1} <= KL_k + (gamma/beta) (beta + 1/gamma)^2 (d1^2/8 + d2^2/4).",
        "inexact steps",
        methods.inexact_runs,
        quadratic_left,
        assumptions=("gamma L(P) <= 1",),
    ),
    _theorem(
        "inexact-limit",
        "In the limit KL is at most ((beta + 1/gamma)/beta)^2 (d1^2/4 + d2^2/2).",
        "inexact steps",
        methods.inexact_runs,
        limit_left,
        assumptions=("gamma L(P) <= 1",),
    ),
    Theorem(
        key="nash-mp.inexact-rate",
        statement="The divergence in the end grows like the square of the span of the errors.",
        source=f"{_PAGE}, inexact steps",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(1.9, 2.1),
        evidence=methods.noise_curves,
    ),
    _theorem(
        "nash-prox",
        "(1+gamma beta) KL(pi*||z) + gamma beta KL(z||pi*) + KL(z||pi_k) = KL(pi*||pi_k), z = pi_{k+1}.",
        "Nash-Prox",
        methods.prox_runs,
        proximal_left,
        kind=Kind.IDENTITY,
        tolerance=IDENTITY,
    ),
    _theorem(
        "iterated-reference",
        "KL(p || pi_{k+1}) + KL(pi_{k+1} || pi_k) <= KL(p || pi_k) for every winner p of the game itself.",
        "Nash-Prox",
        methods.iterated_runs,
        fejer_left,
        tolerance=IDENTITY,
    ),
    _theorem(
        "gradient",
        "The leave-one-out gradient of the proximal objective is unbiased.",
        "stochastic steps",
        methods.gradient_cases,
        lambda case: case.mean,
        bound=lambda case: case.exact,
        kind=Kind.IDENTITY,
        tolerance=1e-13,
    ),
    _theorem(
        "nash-md-paper",
        "Nash-MD: KL(pi* || pi_T) <= 8 / (beta^2 (T + 1)) with eta_t = 2 / (beta (t + 2)).",
        "Nash-MD",
        methods.nash_md_runs,
        lambda run: md_rate(run, 8.0),
        source=_MUNOS,
        mark=Mark.PAPER,
    ),
    _theorem(
        "nash-md-step",
        "Nash-MD: KL_{t+1} <= (1 - eta_t beta) KL_t + eta_t^2 / 8.",
        "Nash-MD",
        methods.nash_md_runs,
        lambda run: md_left(run, 1 / 8),
    ),
    _theorem(
        "nash-md-rate",
        "Nash-MD: KL(pi* || pi_T) <= 1 / (2 beta^2 (T + 1)) for T >= 1, from any start.",
        "Nash-MD",
        methods.nash_md_runs,
        lambda run: md_rate(run, 1 / 2),
    ),
    Theorem(
        key="nash-mp.nash-md-slope",
        statement="Nash-MD's divergence falls at least like 1/T; without noise like 1/T^2.",
        source=f"{_PAGE}, Nash-MD",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(-2.3, -1.0),
        evidence=methods.nash_md_curves,
    ),
    _theorem(
        "egpo",
        "EGPO with eta = 1/(beta + 2): KL(pi* || pi_k) <= (1 - eta beta)^k KL(pi* || pi_0).",
        "the same map",
        methods.extragradient_runs,
        rate_left,
        bound=rate_right,
        tolerance=ONE_STEP,
    ),
    _theorem(
        "mmd",
        "MMD with gamma <= beta / L(P)^2: KL_{k+1} <= KL_k / (1 + gamma beta).",
        "MMD",
        methods.mmd_runs,
        lambda run: (run.growth * run.kl[1:])[run.steps] / run.kl[:-1][run.steps],
        bound=one_step_right,
        tolerance=ONE_STEP,
    ),
    _theorem(
        "omwu",
        "OMWU with eta = 1/(2 (beta + 1)): KL(pi* || pi_t) <= (1 - eta beta)^t KL(pi* || pi_0).",
        "self-play",
        methods.omwu_runs,
        lambda run: (run.kl / run.factor ** np.arange(len(run.kl)))[1:],
        source="Cen, Wei and Chi (2021), recalled; the constant 1 as measured",
        mark=Mark.RECALLED,
        tolerance=1e-6,
    ),
    _theorem(
        "self-play-threshold",
        "Mirror descent in self-play is attracted by pi* for eta < 2 beta/(beta^2 + lam^2), repelled above.",
        "self-play",
        methods.self_play_pairs,
        lambda pair: np.array([pair.below, 1 / pair.above]),
    ),
    _theorem(
        "unregularised",
        "max_y (A pi)_y <= gap + beta max_y log(1 / ref(y)).",
        "without regularisation",
        methods.limit_cases,
        lambda case: case.loss / case.allowed,
    ),
    _theorem(
        "limit",
        "KL(pi* || ref) <= KL(p || ref) for every winner p of the game itself.",
        "without regularisation",
        methods.limit_cases,
        lambda case: case.divergence,
        bound=lambda case: case.winners,
    ),
)

PAPER = Paper(
    key="nash-mp",
    title="Accelerating Nash Learning from Human Feedback via Mirror Prox",
    authors=(
        "Daniil Tiapkin, Daniele Calandriello, Denis Belomestny, Eric Moulines, Alexey Naumov, Kashif Rasul, "
        "Michal Valko, Pierre Menard"
    ),
    venue="arXiv preprint, version 1 (May 2025)",
    arxiv="2505.19731",
    summary="Find the equilibrium of a regularised preference game at a linear rate.",
    learners=("nash-mp", "nash-prox", "nash-mp-pg"),
    theorems=THEOREMS,
)
