"""The theorems of SPO (Swamy et al. 2024): self-play turns regret into a minimax winner.

Of the paper the abstract was read. That a no-regret learner in self-play approaches a minimax winner is
recalled as its main theorem, and a faster rate under a gap as its remark; the equality behind the first,
and every constant, are derived on the SPO page. Strengths are on the scale A = 2 P - 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.theory.core import Kind, Mark, Paper, Scope, Series, Theorem
from theoryrl.theory.evidence import self_play, trajectory
from theoryrl.theory.evidence.self_play import (
    SAMPLED_DELTA,
    CondorcetRun,
    SampledRun,
    SelfPlayRun,
)
from theoryrl.theory.evidence.trajectory import TrajectoryRun

_PAGE = "SPO page"

ROUNDING = 1e-12
"""Sums of a few hundred products of numbers below 1, each with an error of a few units."""


# Sides of the theorems.


def per_round(bound: Callable[[SelfPlayRun], Any]) -> Callable[[SelfPlayRun], Any]:
    """Return the bound on the regret, divided by the number of rounds."""
    return lambda run: bound(run) / run.rounds


def hedge_regret(run: SelfPlayRun) -> Float[np.ndarray, "T 1"]:
    """Ln n / eta + eta t / 2."""
    return np.asarray(np.log(run.n) / run.eta + run.eta * run.rounds / 2)


def rvu(run: SelfPlayRun) -> Float[np.ndarray, "T X"]:
    """Return ``log n / eta + eta sum |u_s - u_{s-1}|^2 - sum |p_s - p_{s-1}|^2 / (4 eta)``."""
    return np.asarray(np.log(run.n) / run.eta + run.eta * run.variation - run.path / (4 * run.eta))


def utility_moves(run: SelfPlayRun) -> Float[np.ndarray, " N"]:
    """Return ``|u_s - u_{s-1}|_inf`` over ``|p_s - p_{s-1}|_1``, where the latter is not rounding."""
    u = np.abs(np.diff(run.fed, axis=0)).max(axis=2)
    p = np.abs(np.diff(run.played, axis=0)).sum(axis=2)
    return np.asarray(u[p > 1e-8] / p[p > 1e-8])


def projection_regret(run: SelfPlayRun) -> Float[np.ndarray, "T X"]:
    """Return ``(1 - 1/n) / (2 eta) + eta sum |u_s|_2^2 / 2``."""
    squares = np.cumsum((run.fed**2).sum(axis=2), axis=0)
    return np.asarray((1 - 1 / run.n) / (2 * run.eta) + run.eta * squares / 2)


def matching_regret(run: SelfPlayRun) -> Float[np.ndarray, "T X"]:
    """The root of the sum of ``|u_s - <p_s, u_s>|_2^2``."""
    instant = run.fed - run.gains[..., None]
    return np.asarray(np.sqrt(np.cumsum((instant**2).sum(axis=2), axis=0)))


def condorcet_step(run: CondorcetRun) -> Float[np.ndarray, " T"]:
    """Rate (1 - x_t) over -ln x_t, which the relative fall of -ln x_t is at least."""
    return np.asarray(run.rate * run.others[:-1] / run.logs[:-1])


def condorcet_fall(run: CondorcetRun) -> Float[np.ndarray, " T"]:
    """The relative fall of -ln x_t in each round."""
    return np.asarray(1 - run.logs[1:] / run.logs[:-1])


def condorcet_linear(run: CondorcetRun) -> Float[np.ndarray, " T"]:
    """``ln n (1 - rate (1 - 1/n) / ln n)^{t-1}``."""
    capacity = np.log(run.n)
    factor = 1 - run.rate * (1 - 1 / run.n) / capacity
    return np.asarray(capacity * factor ** (run.rounds - 1))


def sampled_bound(run: SampledRun) -> float:
    """Sqrt(2 ln n / T) + 2 sqrt(2 ln(2 n / delta) / T)."""
    log_term = np.log(2 * run.n / SAMPLED_DELTA)
    return float(np.sqrt(2 * np.log(run.n) / run.rounds) + 2 * np.sqrt(2 * log_term / run.rounds))


def trajectory_regret(run: TrajectoryRun) -> Float[np.ndarray, " T"]:
    """H ln A / eta + eta t / 2."""
    return np.asarray(run.capacity / run.eta + run.eta * run.rounds / 2)


def _gap_series(run: SelfPlayRun) -> Series:
    t = run.rounds[:, 0]
    bound = 2 * np.sqrt(np.log(run.n) / t)
    return Series(
        "exploitability below its bound", "round t", "exploitability", t, run.losses[:, 0], bound, log=True
    )


# The theorems.


def _theorem(
    name: str,
    statement: str,
    section: str,
    evidence: Callable[[Scope], Any],
    measured: Callable[[Any], Any],
    bound: Callable[[Any], Any] = lambda piece: 1.0,
    kind: Kind = Kind.INEQUALITY,
    mark: Mark = Mark.OURS,
    tolerance: float = ROUNDING,
    **options: Any,
) -> Theorem:
    return Theorem(
        key=f"spo.{name}",
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


def _losses(run: Any) -> Any:
    return run.losses


def _final(run: Any) -> Any:
    return run.losses[-1]


def _covered(run: CondorcetRun) -> bool:
    return run.eta <= 0.8 * run.margin * (1 + ROUNDING)


def _tuned(run: CondorcetRun) -> bool:
    return abs(run.eta - 0.4 * run.margin) <= ROUNDING


def _one(piece: Any) -> float:
    return 1.0


_SELF_PLAY: tuple[Theorem, ...] = (
    _theorem(
        "regret-to-winner",
        "If the regret of self-play is Reg_T, the mean policy has a duality gap of at most 2 Reg_T / T.",
        "regret is exploitability",
        self_play.identity_runs,
        lambda run: 2 * run.losses,
        bound=lambda run: 2 * run.regret / run.rounds,
        mark=Mark.RECALLED,
    ),
    _theorem(
        "regret-identity",
        "For every learner, good or bad: max_q A(q, mean of p_1..p_T) = Reg_T / T, in every round.",
        "regret is exploitability",
        self_play.identity_runs,
        lambda run: run.losses * run.rounds,
        bound=lambda run: run.regret,
        kind=Kind.IDENTITY,
    ),
    _theorem(
        "hedge",
        "Hedge with eta = sqrt(2 ln n / T): max_q A(q, mean) <= sqrt(2 ln n / T).",
        "Hedge",
        self_play.tuned_runs,
        _final,
        bound=lambda run: np.sqrt(2 * np.log(run.n) / run.rounds[-1]),
        given=lambda run: run.method == "hedge" and run.tuned,
        trivial=_one,
    ),
    _theorem(
        "hedge-step",
        "Hedge with any eta > 0: Reg_t <= ln n / eta + eta t / 2.",
        "Hedge",
        self_play.stepped_runs,
        lambda run: run.regret,
        bound=hedge_regret,
    ),
    _theorem(
        "anytime",
        "Hedge with eta_t = sqrt(ln n / t): max_q A(q, mean) <= 2 sqrt(ln n / t) in every round.",
        "Hedge",
        self_play.anytime_runs,
        _losses,
        bound=lambda run: 2 * np.sqrt(np.log(run.n) / run.rounds),
        trivial=lambda run: np.ones(run.losses.shape),
        series=_gap_series,
    ),
    _theorem(
        "optimistic",
        "Optimistic Hedge with eta = 1/2: max_q A(q, mean) <= (2 ln n + 1/2) / t in every round.",
        "optimism",
        self_play.optimistic_runs,
        _losses,
        bound=lambda run: (2 * np.log(run.n) + 0.5) / run.rounds,
        trivial=lambda run: np.ones(run.losses.shape),
    ),
    _theorem(
        "optimistic-step",
        "Optimistic Hedge with 0 < eta <= 1/2: Reg_t <= ln n / eta + eta.",
        "optimism",
        self_play.optimistic_step_runs,
        lambda run: run.regret,
        bound=lambda run: np.log(run.n) / run.eta + run.eta,
    ),
    _theorem(
        "variation",
        "Optimistic Hedge: Reg_t <= ln n/eta + eta sum |u_s - u_{s-1}|^2 - sum |p_s - p_{s-1}|^2 / (4 eta).",
        "optimism",
        self_play.optimistic_step_runs,
        lambda run: run.regret,
        bound=rvu,
    ),
    _theorem(
        "utilities-move-less",
        "In self-play |u_s - u_{s-1}|_inf <= |p_s - p_{s-1}|_1.",
        "optimism",
        self_play.optimistic_runs,
        utility_moves,
    ),
    _theorem(
        "regret-matching",
        "Regret matching, plain and plus: Reg_t <= sqrt(sum |u_s - (p_s, u_s)|_2^2) <= sqrt(n t).",
        "other methods",
        self_play.matching_runs,
        lambda run: np.stack([run.regret, matching_regret(run)]),
        bound=lambda run: np.stack([matching_regret(run), np.sqrt(run.n * run.rounds) + 0 * run.regret]),
    ),
    _theorem(
        "projection",
        "Projected ascent: Reg_t <= (1 - 1/n) / (2 eta) + eta sum |u_s|_2^2 / 2.",
        "other methods",
        self_play.projection_runs,
        lambda run: run.regret,
        bound=projection_regret,
    ),
    _theorem(
        "duelling",
        "Two players, from any starts: the duality gap of their means is (Reg_1 + Reg_2) / T.",
        "two players",
        self_play.duelling_runs,
        lambda run: run.gap,
        bound=lambda run: run.regrets,
        kind=Kind.IDENTITY,
    ),
    Theorem(
        key="spo.hedge-slope",
        statement="The exploitability of Hedge tuned to T falls like T^{-1/2}.",
        source=f"{_PAGE}, Hedge",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(-0.6, -0.4),
        evidence=self_play.hedge_curves,
    ),
    Theorem(
        key="spo.optimistic-slope",
        statement="The exploitability of optimistic Hedge falls at least like 1/T.",
        source=f"{_PAGE}, optimism",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(-1.3, -0.9),
        evidence=self_play.optimistic_curves,
    ),
)

_CONDORCET: tuple[Theorem, ...] = (
    _theorem(
        "condorcet-step",
        "Hedge, eta <= 4 Delta/5: -ln x_{t+1} <= -ln x_t - (eta Delta - (5/4) eta^2) (1 - x_t).",
        "a Condorcet winner",
        self_play.condorcet_step_runs,
        condorcet_step,
        bound=condorcet_fall,
        given=_covered,
    ),
    _theorem(
        "condorcet-monotone",
        "Hedge, eta <= 4 Delta/5: the share x_t of the Condorcet winner never falls.",
        "a Condorcet winner",
        self_play.condorcet_step_runs,
        lambda run: run.others[1:],
        bound=lambda run: run.others[:-1],
        given=_covered,
    ),
    _theorem(
        "condorcet-regret",
        "Hedge, eta = 2 Delta/5: sum_t (1 - x_t) <= 5 ln n / Delta^2.",
        "a Condorcet winner",
        self_play.condorcet_runs,
        lambda run: np.cumsum(run.others),
        bound=lambda run: 5 * np.log(run.n) / run.margin**2,
        given=_tuned,
    ),
    _theorem(
        "condorcet",
        "Hedge, eta = 2 Delta/5: max_q A(q, mean) <= 5 ln n / (Delta^2 T).",
        "a Condorcet winner",
        self_play.condorcet_runs,
        _losses,
        bound=lambda run: 5 * np.log(run.n) / (run.margin**2 * run.rounds),
        given=_tuned,
        trivial=lambda run: np.ones(run.losses.shape),
    ),
    _theorem(
        "condorcet-linear",
        "Hedge, eta = 2 Delta/5: -ln x_t <= ln n (1 - (Delta^2/5) (1 - 1/n) / ln n)^(t-1).",
        "a Condorcet winner",
        self_play.condorcet_runs,
        lambda run: run.logs[1:],
        bound=lambda run: condorcet_linear(run)[1:],
        given=_tuned,
    ),
)

_TRAJECTORIES: tuple[Theorem, ...] = (
    _theorem(
        "trajectory-identity",
        "Over trajectories: max over all policies of A(q, mean law) = Reg_t / t, in every round.",
        "trajectories",
        trajectory.trajectory_runs,
        lambda run: run.losses * run.rounds,
        bound=lambda run: run.regret,
        kind=Kind.IDENTITY,
    ),
    _theorem(
        "trajectory",
        "Over trajectories, eta = sqrt(2 H ln A / T): max_q A(q, mean law) <= sqrt(2 H ln A / T).",
        "trajectories",
        trajectory.trajectory_runs,
        _final,
        bound=lambda run: np.sqrt(2 * run.capacity / run.rounds[-1]),
        trivial=_one,
    ),
    _theorem(
        "trajectory-step",
        "Over trajectories, any eta > 0: Reg_t <= H ln A / eta + eta t / 2.",
        "trajectories",
        trajectory.trajectory_step_runs,
        lambda run: run.regret,
        bound=trajectory_regret,
    ),
    _theorem(
        "trajectory-optimistic",
        "Over trajectories, optimistic with eta = 1/2: max_q A(q, mean law) <= (2 H ln A + 1/2) / t.",
        "trajectories",
        trajectory.optimistic_trajectory_runs,
        _losses,
        bound=lambda run: (2 * run.capacity + 0.5) / run.rounds,
        trivial=lambda run: np.ones(run.losses.shape),
    ),
    _theorem(
        "soft-optimum",
        "The soft backward pass attains max (law, gains) - KL(law || uniform), which no policy exceeds.",
        "trajectories",
        trajectory.soft_cases,
        lambda case: np.array([abs(case.maximum - case.attained), case.other - case.maximum]),
        bound=lambda case: np.zeros(2),
        tolerance=1e-11,
    ),
    _theorem(
        "law-capacity",
        "KL(law || law of the uniform policy) <= H ln A.",
        "trajectories",
        trajectory.soft_cases,
        lambda case: case.divergences,
    ),
    _theorem(
        "one-behaviour-policy",
        "A mean of laws is the law of one behaviour policy.",
        "trajectories",
        trajectory.mixture_cases,
        lambda case: case.one,
        bound=lambda case: case.other,
        kind=Kind.IDENTITY,
    ),
    _theorem(
        "mirror-step",
        "Following the regularised leader is mirror descent: law_{t+1} is a step from law_t with u_t alone.",
        "trajectories",
        trajectory.mirror_cases,
        lambda case: case.one,
        bound=lambda case: case.other,
        kind=Kind.IDENTITY,
    ),
    _theorem(
        "hedge-on-leaves",
        "With deterministic transitions from one state, SPO over trajectories is Hedge on what is reachable.",
        "trajectories",
        trajectory.leaves_cases,
        lambda case: case.one,
        bound=lambda case: case.other,
        kind=Kind.IDENTITY,
    ),
)

_SAMPLED: tuple[Theorem, ...] = (
    Theorem(
        key="spo.sampled",
        statement=(
            "Sampled utilities, T known: max_q A(q, mean) <= sqrt(2 ln n/T) + 2 sqrt(2 ln(2n/delta)/T) "
            "with probability 1 - delta."
        ),
        source=f"{_PAGE}, sampled duels",
        kind=Kind.HIGH_PROBABILITY,
        mark=Mark.OURS,
        delta=SAMPLED_DELTA,
        evidence=self_play.sampled_runs,
        measured=lambda run: run.loss,
        bound=sampled_bound,
        trivial=_one,
    ),
    Theorem(
        key="spo.sampled-slope",
        statement="With sampled utilities the exploitability falls like T^{-1/2}.",
        source=f"{_PAGE}, sampled duels",
        kind=Kind.RATE,
        mark=Mark.OURS,
        slopes=(-0.75, -0.25),
        evidence=self_play.sampled_curves,
    ),
    _theorem(
        "label-flips",
        "Flipped labels scale A by 1 - 2 eps: exploitability scales alike, and the winners stay.",
        "noise",
        self_play.flip_cases,
        lambda case: np.array([(1 - 2 * case.flip) * case.loss, case.winner_loss]),
        bound=lambda case: np.array([case.noisy_loss, 0.0]),
        kind=Kind.IDENTITY,
        tolerance=1e-9,
    ),
)

_WINNERS: tuple[Theorem, ...] = (
    _theorem(
        "three-cycle",
        "The only winner of the cycle a, b, c is (b, c, a) / (a + b + c).",
        "winners",
        self_play.cycle_cases,
        lambda case: case.solved,
        bound=lambda case: case.closed,
        kind=Kind.IDENTITY,
        tolerance=1e-9,
    ),
    _theorem(
        "condorcet-winner",
        "A Condorcet winner is the only minimax winner.",
        "winners",
        self_play.winner_cases,
        lambda case: case.condorcet_distance,
        bound=lambda case: 0.0,
        tolerance=1e-9,
    ),
    _theorem(
        "transitive",
        "If A(i, j) = g(r_i - r_j) with g odd and increasing, the largest reward is a minimax winner.",
        "winners",
        self_play.winner_cases,
        lambda case: case.transitive_loss,
        bound=lambda case: 0.0,
    ),
    _theorem(
        "odd-support",
        "The only winner of a tournament has a support of odd size.",
        "winners",
        self_play.winner_cases,
        lambda case: case.support % 2,
        bound=lambda case: 1,
        kind=Kind.IDENTITY,
    ),
    _theorem(
        "borda-order",
        "A reward model of uniform pairs orders actions by their Borda scores.",
        "reward models",
        self_play.winner_cases,
        lambda case: case.borda_inversions,
        bound=lambda case: 0,
        kind=Kind.IDENTITY,
    ),
    _theorem(
        "reward-model-corner",
        "On a cycle of strengths a, b, c a reward model is exploitable by min(a, b, c) at least.",
        "reward models",
        self_play.cycle_cases,
        lambda case: min(case.strengths),
        bound=lambda case: case.loss,
    ),
    _theorem(
        "last-iterate",
        "Hedge's last iterate moves away: KL(p* || p_t) never falls if p* has full support.",
        "last iterates",
        self_play.last_iterate_runs,
        lambda run: run.kl[:-1],
        bound=lambda run: run.kl[1:],
    ),
)

THEOREMS: tuple[Theorem, ...] = (*_SELF_PLAY, *_CONDORCET, *_TRAJECTORIES, *_SAMPLED, *_WINNERS)

PAPER = Paper(
    key="spo",
    title="A Minimaximalist Approach to Reinforcement Learning from Human Feedback",
    authors="Gokul Swamy, Christoph Dann, Rahul Kidambi, Zhiwei Steven Wu, Alekh Agarwal",
    venue="ICML 2024",
    arxiv="2401.04056",
    summary="Find a minimax winner of any preferences by one no-regret learner that plays against itself.",
    learners=("spo", "trajectory-spo", "queue-spo"),
    theorems=THEOREMS,
)
