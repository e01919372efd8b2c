"""The theorems on MEX in two-player zero-sum Markov games (Liu et al. 2023).

The paper's statement for games is a rate; the statement with its constants, its online version and all
lemmas are derived here, with proofs on the page of MEX for games. The final bounds are vacuous at sizes that
can be run, so every step of the proof is a theorem of its own, evaluated exactly. The model-free version has
no theorem: nothing is proved about it.
"""

from __future__ import annotations

import math

import numpy as np

from theoryrl.learners.gec import C0
from theoryrl.theory.core import Kind, Mark, Series, Theorem
from theoryrl.theory.evidence import game_lemmas, games
from theoryrl.theory.evidence.game_lemmas import LOCK_IN_DELTA, SequenceCase
from theoryrl.theory.evidence.games import DELTA, LOOSE_DELTA, GameRun

HIGHS = 1e-7
"""Feasibility tolerance of HiGHS, which the values of the enumeration rest on."""

LOSSES = 1e-9
"""Rounding of sums of up to some thousand logarithms, incremental on one side."""

_PAGE = "MEX for games page"
_REALIZABLE = ("the truth is a candidate", "rewards in [0, 1] are known")
_EVENT = (*_REALIZABLE, "the event of mex.games-likelihood")
_EVERY = ("any eta > 0", "the truth is a candidate")


def _good(run: GameRun) -> bool:
    return run.good


def _both(run: GameRun, main: np.ndarray, exploiter: np.ndarray) -> np.ndarray:
    return np.concatenate([main, exploiter]) if run.self_play else main


def _allowed(run: GameRun, chosen: np.ndarray) -> float:
    """``2 eta H K iota - 2 eta sum_h E_h``, summed over the episodes."""
    k, H = np.arange(len(chosen)), run.shape[0]
    energy = run.energy[k, :, chosen].sum(axis=1)
    return float((2 * run.eta * (H * run.iota - energy)).sum())


def _sum_of_gaps(run: GameRun) -> list[float]:
    gaps = [float(run.main_gap.sum())]
    return [*gaps, float(run.exploiter_gap.sum())] if run.self_play else gaps


def _allowed_gaps(run: GameRun) -> list[float]:
    allowed = [_allowed(run, run.main)]
    return [*allowed, _allowed(run, run.exploiter)] if run.self_play else allowed


def sequence_bound(case: SequenceCase, spans: np.ndarray, burn_in: float = 2.0, factor: float = C0) -> float:
    """Return ``sum_h sqrt(2) span_h (2 S A B + sqrt(C0 S A B ln(K) E_h))``."""
    _, S, A, B = case.shape
    cells, K = S * A * B, max(len(case.transfers), 2)
    per_stage = burn_in * cells + np.sqrt(factor * cells * math.log(K) * case.energies)
    return float((math.sqrt(2) * spans * per_stage).sum())


def _series(run: GameRun) -> Series:
    k = np.arange(1.0, len(run.rows) + 1)
    return Series(
        f"mex.games-on-event ({run.instance})",
        "episode",
        "regret",
        k,
        run.trace.regret,
        np.full(len(k), run.bound_on_event),
    )


GAMES: tuple[Theorem, ...] = (
    Theorem(
        key="mex.games-decomposition",
        statement="V* - V^{mu,*} is the sum of four terms: two gaps of the argmaxes and two of transfer.",
        source=_PAGE + ", four terms",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        assumptions=_EVERY,
        evidence=games.various_runs,
        measured=lambda run: run.trace.benchmarks - run.trace.values,
        bound=lambda run: run.decomposed,
    ),
    Theorem(
        key="mex.games-online-decomposition",
        statement="Against any opponent, with a memory or not, V* - V^{mu,nu} is the first half of it.",
        source=_PAGE + ", four terms",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        assumptions=_EVERY,
        evidence=games.opposed_runs,
        measured=lambda run: run.trace.benchmarks - run.trace.values,
        bound=lambda run: run.decomposed,
    ),
    Theorem(
        key="mex.games-equilibrium",
        statement="The two policies of every solved game have a duality gap of zero.",
        source=_PAGE + ", equilibria",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        evidence=game_lemmas.equilibrium_cases,
        measured=lambda case: case.gap,
        bound=lambda case: 0.0,
    ),
    Theorem(
        key="mex.games-optimistic-value",
        statement="V_f <= V_f^{mu_f,nu} for every nu, also one that depends on the history.",
        source=_PAGE + ", equilibria",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        tolerance=HIGHS,
        evidence=game_lemmas.equilibrium_cases,
        measured=lambda case: np.full(len(case.earned), case.value),
        bound=lambda case: case.earned,
    ),
    Theorem(
        key="mex.games-best-response",
        statement="V_g^{mu,*} <= V_g^{mu,nu} for every nu, also one that depends on the history.",
        source=_PAGE + ", equilibria",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=game_lemmas.equilibrium_cases,
        measured=lambda case: np.full(len(case.random_policy_earns), case.response_earns),
        bound=lambda case: case.random_policy_earns,
    ),
    Theorem(
        key="mex.games-argmax",
        statement="Both players choose a maximiser of their objective over all candidates.",
        source=_PAGE + ", algorithm",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        assumptions=("any eta > 0",),
        tolerance=HIGHS,
        evidence=games.enumerated_runs,
        measured=lambda run: run.objectives[0],
        bound=lambda run: run.objectives[1],
    ),
    Theorem(
        key="mex.games-main-optimality",
        statement="V* - V_f <= eta (L(f*) - L(f)) in every episode.",
        source=_PAGE + ", step (i)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_EVERY,
        tolerance=LOSSES,
        evidence=games.various_runs,
        measured=lambda run: run.main_gap,
        bound=lambda run: run.advantage(run.main),
    ),
    Theorem(
        key="mex.games-exploiter-optimality",
        statement="V_g^{mu,*} - V^{mu,*} <= eta (L(f*) - L(g)) in every episode.",
        source=_PAGE + ", step (i)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_EVERY,
        tolerance=LOSSES,
        evidence=games.various_runs,
        measured=lambda run: run.exploiter_gap,
        bound=lambda run: run.advantage(run.exploiter),
    ),
    Theorem(
        key="mex.games-additivity",
        statement="A choice within eps of the maximum adds eps to each player's inequality.",
        source=_PAGE + ", approximate maximisation",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_EVERY,
        tolerance=LOSSES,
        evidence=games.slack_runs,
        measured=lambda run: _both(run, run.main_gap, run.exploiter_gap),
        bound=lambda run: _both(run, run.advantage(run.main), run.advantage(run.exploiter)) + run.slack,
    ),
    Theorem(
        key="mex.games-likelihood",
        statement="With probability 1 - delta, sum log(P_f / P*) <= -2 sum E D_H^2 + 2 iota for all f, h, k.",
        source=_PAGE + ", step (ii)",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        assumptions=_REALIZABLE,
        delta=LOOSE_DELTA,
        tolerance=LOSSES,
        evidence=games.likelihood_runs,
        measured=lambda run: run.ratios,
        bound=lambda run: -2 * run.energy + 2 * run.iota,
    ),
    Theorem(
        key="mex.games-eluder",
        statement="sum_k abs(V_f^{mu,nu} - V^{mu,nu}) <= sum_h sqrt(2) H (2 SAB + sqrt(c0 SAB ln(K) E_h)).",
        source=_PAGE + ", step (iii)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=("any sequence of games and pairs with the same rewards in [0, 1]",),
        evidence=game_lemmas.sequence_cases,
        measured=lambda case: float(case.transfers.sum()),
        bound=lambda case: sequence_bound(case, np.full(case.shape[0], float(case.shape[0]))),
    ),
    Theorem(
        key="mex.games-eluder-refined",
        statement="The same with H - 1 - h in the place of H at stage h.",
        source=_PAGE + ", step (iii)",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=("any sequence of games and pairs with the same rewards in [0, 1]",),
        evidence=game_lemmas.sequence_cases,
        measured=lambda case: float(case.transfers.sum()),
        bound=lambda case: sequence_bound(case, np.arange(case.shape[0])[::-1].astype(float)),
    ),
    Theorem(
        key="mex.games-audit",
        statement="On the event each player's gaps sum to at most 2 eta H K iota - 2 eta sum_h E_h.",
        source=_PAGE + ", the sum",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_EVENT,
        evidence=games.event_runs,
        given=_good,
        measured=_sum_of_gaps,
        bound=_allowed_gaps,
    ),
    Theorem(
        key="mex.games-on-event",
        statement="On the event, for every eta, Reg(K) <= 2 (2 eta H K iota + d / (8 eta) + burn-in).",
        source=_PAGE + ", the sum",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_EVENT,
        evidence=games.event_runs,
        given=_good,
        measured=lambda run: run.regret,
        bound=lambda run: run.bound_on_event,
        trivial=lambda run: run.trivial,
        series=_series,
    ),
    Theorem(
        key="mex.games-regret",
        statement="With probability 1 - delta, Reg(K) <= 2 (sqrt(d H K iota) + 2 sqrt(2) H^2 SAB).",
        source="rate of Liu et al. (2023), as recalled; " + _PAGE + ", theorem",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        assumptions=_REALIZABLE,
        delta=DELTA,
        evidence=games.repeated_runs,
        measured=lambda run: run.regret,
        bound=lambda run: run.proved,
        trivial=lambda run: run.trivial,
    ),
    Theorem(
        key="mex.games-anytime",
        statement="With eta by epochs, w.p. 1 - delta, Reg(K) <= 2 (3.42 sqrt(d_2K H K iota) + burn-in).",
        source=_PAGE + ", anytime",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        assumptions=_REALIZABLE,
        delta=DELTA,
        evidence=games.anytime_runs,
        measured=lambda run: run.regret,
        bound=lambda run: run.proved_anytime,
        trivial=lambda run: run.trivial,
    ),
    Theorem(
        key="mex.games-online",
        statement="Against any opponent, w.p. 1 - delta, sum_k V* - V^{mu,nu} <= sqrt(d H K iota) + burn-in.",
        source=_PAGE + ", theorem",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        assumptions=_REALIZABLE,
        delta=DELTA,
        evidence=games.repeated_opposed_runs,
        measured=lambda run: run.regret,
        bound=lambda run: run.proved,
        trivial=lambda run: run.trivial,
    ),
    Theorem(
        key="mex.games-online-on-event",
        statement="On the event the online regret is at most sqrt(d H K iota) + 2 sqrt(2) H^2 SAB.",
        source=_PAGE + ", the sum",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        assumptions=_EVENT,
        evidence=games.opposed_event_runs,
        given=_good,
        measured=lambda run: run.regret,
        bound=lambda run: run.proved,
        trivial=lambda run: run.trivial,
    ),
    Theorem(
        key="mex.games-lock-in",
        statement="On the risky game the hopeless candidate is chosen exactly when all others are behind.",
        source=_PAGE + ", lock-ins",
        kind=Kind.IDENTITY,
        mark=Mark.OURS,
        tolerance=0.0,
        evidence=game_lemmas.lock_ins,
        measured=lambda run: run.chosen,
        bound=lambda run: run.crossed,
    ),
    Theorem(
        key="mex.games-lock-in-law",
        statement="On the risky game MEX is never locked in, but with probability exp(-.13 / eta).",
        source=_PAGE + ", lock-ins",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=LOCK_IN_DELTA,
        tolerance=0.0,
        evidence=game_lemmas.lock_ins,
        measured=lambda run: float(run.locked),
        bound=lambda run: 0.0,
    ),
)
"""The statements on games; `theoryrl.theory.mex` lists them after those on one agent."""
