"""SPO: every theorem holds in the quick profile, and every check can fail.

All evidence is exact except that of sampled duels, whose verdicts err with probability 1e-6 at most (a true
statement called violated). A mutant of the algorithm is a learner with a deliberate error, run through the
theorem that must catch it; a mutant of a constant is a theorem with a bound that is too good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from theoryrl.instances import condorcet
from theoryrl.learners import SPO, DuellingHedge, TrajectorySPO
from theoryrl.learners.no_regret import METHODS
from theoryrl.models import PreferenceGame
from theoryrl.protocol import PreferenceDecision, PreferenceProblem, TrajectoryDecision, play
from theoryrl.solvers import (
    behaviour_of,
    borda_scores,
    exploitability,
    soft_trajectory_response,
    trajectory_law,
)
from theoryrl.theory import PAPERS, THEOREMS, Scope, UnguaranteedEvidenceError, Verdict, check, verify
from theoryrl.theory.evidence import self_play, trajectory
from theoryrl.theory.evidence.preference import random_game
from theoryrl.theory.evidence.self_play import self_play_run, some_game
from theoryrl.theory.evidence.trajectory import LawCase, random_trajectory_game, trajectory_run

QUICK = Scope()


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    return {report.theorem.key: report for report in verify(["spo"])}


@pytest.mark.parametrize("key", [theorem.key for theorem in PAPERS["spo"].theorems])
def test_theorem_holds_on_exact_games(reports: dict[str, Any], key: str) -> None:
    report = reports[key]
    assert report.verdict is Verdict.HOLDS, f"{report.verdict.value}: {report.detail}"
    assert report.instances > 0


def verdict(key: str, evidence: Iterable[Any], **changes: Any) -> Verdict:
    """The verdict on evidence that may come from mutants, of the theorem or of a changed one."""
    theorem = replace(THEOREMS[f"spo.{key}"], **changes)
    return check(theorem, evidence, allow_unguaranteed=True).verdict


def tournaments(learner: SPO, rounds: int = 200, count: int = 5, n: int = 15) -> list[Any]:
    """Runs on games whose winners are mixed, where errors cost most."""
    rng = np.random.default_rng(1)
    games = [random_game(rng, "tournament", n) for _ in range(count)]
    return [self_play_run(game, learner, rounds, f"tournament {i}") for i, game in enumerate(games)]


# Mutants of the algorithm.


@dataclass(frozen=True)
class Stale(SPO):
    """Plays against the policy before the last."""

    def plan(self, state: Any) -> PreferenceDecision:
        decision = super().plan(state)
        previous = PREVIOUS.pop() if PREVIOUS else decision.query
        PREVIOUS.append(decision.query)
        return decision._replace(query=previous)


PREVIOUS: list[np.ndarray] = []


@dataclass(frozen=True)
class Flipped(SPO):
    """Takes wins for losses."""

    def update(self, state: Any, decision: Any, field: np.ndarray) -> Any:
        return super().update(state, decision, -field)


@dataclass(frozen=True)
class HalfScale(SPO):
    """Forgets that strengths are twice the field."""

    def update(self, state: Any, decision: Any, field: np.ndarray) -> Any:
        return super().update(state, decision, field / 2)


@dataclass(frozen=True)
class NoHint(SPO):
    """Optimistic Hedge that forgets its hint."""

    def update(self, state: Any, decision: Any, field: np.ndarray) -> Any:
        state.memory = state.memory._replace(last=np.zeros_like(field))
        updated = super().update(state, decision, field)
        updated.log_policy = updated.method.policy(updated.memory._replace(last=np.zeros_like(field)))
        return updated


@dataclass(frozen=True)
class WrongMean(SPO):
    """Holds a mean that leaves out the first policy."""

    def plan(self, state: Any) -> PreferenceDecision:
        decision = super().plan(state)
        if state.memory.rounds == 0:
            return decision
        p = state.total - 1 / state.total.shape[1]
        return decision._replace(log_policy=np.log(p / p.sum(axis=1, keepdims=True)))


@dataclass(frozen=True, eq=False)
class Favouring(PreferenceProblem):
    """A judge who favours the first action whatever it is compared with: not anti-symmetric."""

    def field(self, log_policy: np.ndarray) -> np.ndarray:
        return super().field(log_policy) + 0.025 * (np.arange(log_policy.shape[1]) == 0)


@pytest.mark.parametrize("key", ["regret-identity", "regret-to-winner"])
def test_a_stale_opponent_is_caught(key: str) -> None:
    rng = np.random.default_rng(2)
    runs = []
    for index in range(8):
        PREVIOUS.clear()
        runs.append(self_play_run(some_game(rng, index, 8), Stale(), 50, f"stale {index}"))
    assert verdict(key, runs) is Verdict.VIOLATED


def test_a_mean_that_leaves_out_a_policy_is_caught() -> None:
    assert verdict("regret-identity", tournaments(WrongMean(), 20)) is Verdict.VIOLATED


def test_preferences_that_are_not_antisymmetric_break_the_identity() -> None:
    game = PreferenceGame.random(6, np.random.default_rng(0))
    run = self_play_run(Favouring(game), SPO(), 30, "favouring")
    assert verdict("regret-identity", [run]) is Verdict.VIOLATED


def test_the_regret_of_sampled_utilities_is_not_the_exploitability() -> None:
    """Learners that are fed noise have small regret against the noise; the identity needs exact answers."""
    assert verdict("regret-identity", tournaments(SPO(duels=1), 50)) is Verdict.VIOLATED


FLIPS = {
    "hedge": "hedge",
    "hedge-step": "hedge",
    "anytime": "anytime-hedge",
    "optimistic": "optimistic-hedge",
    "optimistic-step": "optimistic-hedge",
    "variation": "optimistic-hedge",
    "regret-matching": "regret-matching-plus",
    "projection": "projection",
}


@pytest.mark.parametrize(("key", "method"), FLIPS.items())
def test_wins_taken_for_losses_are_caught_on_every_tournament(key: str, method: str) -> None:
    report = check(THEOREMS[f"spo.{key}"], tournaments(Flipped(method)))
    assert report.violations == report.instances == 5


def test_regret_matching_without_the_plus_catches_the_flip_too() -> None:
    assert verdict("regret-matching", tournaments(Flipped("regret-matching"))) is Verdict.VIOLATED


@pytest.mark.parametrize("key", ["optimistic", "optimistic-step", "variation"])
def test_a_missing_hint_is_caught_on_every_tournament(key: str) -> None:
    report = check(THEOREMS[f"spo.{key}"], tournaments(NoHint("optimistic-hedge"), 400))
    assert report.violations == report.instances == 5


def test_a_missing_hint_has_the_slope_of_a_square_root_or_none() -> None:
    curves = self_play.rate_curve(NoHint("optimistic-hedge"))
    assert verdict("optimistic-slope", curves) is Verdict.VIOLATED


def test_a_step_that_does_not_shrink_with_the_horizon_has_no_rate() -> None:
    curves = self_play.rate_curve(SPO(eta=1.0))
    assert verdict("hedge-slope", curves) is Verdict.VIOLATED


def test_a_step_ten_times_too_short_breaks_the_tuned_bound() -> None:
    """It leaves the mean too close to uniform, which a Condorcet winner beats."""
    short = SPO().step(5, 200) / 10
    run = self_play_run(condorcet(5, 1.0), SPO(eta=short), 200, "short")
    assert verdict("hedge", [replace(run, tuned=True)]) is Verdict.VIOLATED


def test_only_the_tuned_step_counts_for_the_tuned_bound() -> None:
    assert verdict("hedge", tournaments(SPO(eta=30.0), 20)) is Verdict.INCONCLUSIVE


def test_evidence_without_guarantee_is_refused_unless_asked_for() -> None:
    for learner in (SPO("fictitious-play"), SPO(output="last"), SPO("optimistic-hedge", eta=0.6)):
        with pytest.raises(UnguaranteedEvidenceError, match="constants other than the theory"):
            check(THEOREMS["spo.regret-identity"], tournaments(learner, 5, 1))


def test_the_last_iterate_does_not_have_the_guarantee_of_the_mean() -> None:
    runs = tournaments(SPO("anytime-hedge", output="last"), 300)
    assert verdict("anytime", runs) is Verdict.VIOLATED


def test_two_players_are_not_one() -> None:
    runs = self_play.duelling_runs(QUICK)
    doubled = [replace(run, regrets=run.regrets * 1.001) for run in runs]
    assert verdict("duelling", doubled) is Verdict.VIOLATED


# A Condorcet winner.


def condorcet_mutants(learner: Callable[[float], SPO]) -> list[Any]:
    return [
        self_play.condorcet_run(condorcet(5, margin, seed), learner(margin), 100, f"margin {margin}")
        for margin in (0.1, 0.3, 1.0)
        for seed in range(3)
    ]


def test_half_the_strengths_halve_the_progress_of_a_step() -> None:
    runs = condorcet_mutants(lambda margin: HalfScale(eta=0.1 * margin))
    assert verdict("condorcet-step", runs) is Verdict.VIOLATED


@pytest.mark.parametrize(
    "key", ["condorcet-step", "condorcet-monotone", "condorcet-regret", "condorcet", "condorcet-linear"]
)
def test_wins_taken_for_losses_lose_the_condorcet_winner(key: str) -> None:
    runs = [
        self_play.condorcet_run(condorcet(5, 1.0, seed), Flipped(margin=1.0), 400, f"seed {seed}")
        for seed in range(3)
    ]
    assert verdict(key, runs) is Verdict.VIOLATED


def test_steps_that_the_proof_does_not_cover_do_not_count() -> None:
    runs = condorcet_mutants(lambda margin: SPO(eta=0.9 * margin))
    for key in ("condorcet-step", "condorcet-monotone", "condorcet-regret", "condorcet", "condorcet-linear"):
        assert verdict(key, runs) is Verdict.INCONCLUSIVE


def test_without_a_condorcet_winner_there_is_no_fast_rate() -> None:
    """The claim for a margin that the game does not have fails."""
    run = self_play_run(random_game(np.random.default_rng(0), "tournament", 9), SPO(margin=1.0), 200, "none")
    share, others = run.played[:, 0, 0], run.played[:, 0, 1:].sum(axis=1)
    claimed = self_play.CondorcetRun("none", run.n, 1.0, run.eta, share, others, run.losses[:, 0])
    for key in ("condorcet-regret", "condorcet"):
        assert verdict(key, [claimed]) is Verdict.VIOLATED


# Trajectories.


@dataclass(frozen=True)
class StaleTrajectories(TrajectorySPO):
    """Plays against the uniform policy for ever."""

    def plan(self, state: Any) -> TrajectoryDecision:
        uniform = self.respond(state.spec, np.zeros_like(state.gains))
        return super().plan(state)._replace(query=uniform)


@dataclass(frozen=True)
class FlippedTrajectories(TrajectorySPO):
    """Takes wins for losses."""

    def update(self, state: Any, decision: Any, field: np.ndarray) -> Any:
        return super().update(state, decision, -field)


@dataclass(frozen=True)
class NoHintTrajectories(TrajectorySPO):
    """The optimistic version without its hint."""

    def update(self, state: Any, decision: Any, field: np.ndarray) -> Any:
        plain = TrajectorySPO(eta=self.step(state.spec))
        return plain.update(state, decision, field)


@dataclass(frozen=True)
class Deterministic(TrajectorySPO):
    """Plans as if the first state always followed."""

    @staticmethod
    def respond(spec: Any, scaled: np.ndarray) -> np.ndarray:
        P = np.zeros_like(spec.P)
        P[..., 0] = 1.0
        _, logs = soft_trajectory_response(P, spec.rho, scaled)
        return trajectory_law(spec.P, spec.rho, [np.exp(stage) for stage in logs])


def tree_runs(learner: TrajectorySPO, rounds: int, count: int = 7) -> list[Any]:
    rng = np.random.default_rng(3)
    games = [random_trajectory_game(rng, 3 + 4 * index) for index in range(count)]  # tournaments
    return [trajectory_run(game, learner, rounds, f"{game}, {i}") for i, game in enumerate(games)]


def test_the_identity_over_trajectories_catches_a_wrong_opponent() -> None:
    assert verdict("trajectory-identity", tree_runs(StaleTrajectories(), 10)) is Verdict.VIOLATED


@pytest.mark.parametrize(
    ("key", "learner"),
    [
        ("trajectory", FlippedTrajectories()),
        ("trajectory-step", FlippedTrajectories(eta=0.5)),
        ("trajectory-optimistic", FlippedTrajectories(optimistic=True)),
    ],
)
def test_wins_taken_for_losses_are_caught_over_trajectories(key: str, learner: TrajectorySPO) -> None:
    assert verdict(key, tree_runs(learner, 60)) is Verdict.VIOLATED


def test_a_missing_hint_is_caught_over_trajectories() -> None:
    runs = tree_runs(NoHintTrajectories(optimistic=True), 200, 4)
    assert verdict("trajectory-optimistic", runs) is Verdict.VIOLATED


def test_wrong_transitions_are_not_a_mirror_step() -> None:
    cases = [trajectory.mirror_case(run) for run in tree_runs(Deterministic(eta=0.5), 5)]
    assert verdict("mirror-step", cases) is Verdict.VIOLATED


def test_a_mean_of_action_probabilities_is_not_the_mean_of_laws() -> None:
    cases = []
    for run in tree_runs(TrajectorySPO(eta=2.0), 6):
        S, A = run.game.n_states, run.game.n_actions
        each = [behaviour_of(law, S, A).stages for law in run.laws]
        means = [np.mean(stages, axis=0) for stages in zip(*each, strict=True)]
        cases.append(LawCase(run.instance, trajectory_law(run.game.P, run.game.rho, means), run.mean_law))
    assert verdict("one-behaviour-policy", cases) is Verdict.VIOLATED


def test_with_a_random_first_state_it_is_not_hedge_on_the_leaves() -> None:
    rng = np.random.default_rng(4)
    cases = [trajectory.leaves_case(rng, index, even_start=True) for index in range(4)]
    assert verdict("hedge-on-leaves", cases) is Verdict.VIOLATED


def test_a_soft_maximum_without_its_normalisation_is_no_value() -> None:
    cases = [replace(case, maximum=case.maximum + np.log(2)) for case in trajectory.soft_cases(QUICK)]
    assert verdict("soft-optimum", cases) is Verdict.VIOLATED
    lower = [replace(case, maximum=case.other - 1e-6) for case in cases]
    assert verdict("soft-optimum", lower) is Verdict.VIOLATED


# Sampling and noise.


def test_wins_taken_for_losses_break_the_bound_for_sampled_duels() -> None:
    """Every run fails; the verdict on 100 runs of a false bound errs with probability below 1e-100."""
    rng = np.random.default_rng(5)
    games = PreferenceGame.from_skew(np.concatenate([random_game(rng, "tournament", 5).skew] * 100))
    runs = self_play.sampled_runs_of(games, 400, 0, Flipped(duels=1))
    assert verdict("sampled", runs) is Verdict.VIOLATED


def test_an_opponent_that_stays_uniform_has_no_rate() -> None:
    assert verdict("sampled-slope", self_play.sampled_curves(QUICK, Flipped(duels=1))) is Verdict.VIOLATED


def test_flips_that_scale_by_one_minus_eps_are_caught() -> None:
    cases = [replace(case, flip=case.flip / 2) for case in self_play.flip_cases(QUICK)]
    assert verdict("label-flips", cases) is Verdict.VIOLATED


def test_a_flip_rate_of_one_half_leaves_no_preferences() -> None:
    game = PreferenceGame.random(3, np.random.default_rng(0))
    for flip in (0.5, 0.7, -0.1):
        with pytest.raises(ValueError, match=r"flip must be in \[0, 1/2\)"):
            self_play.with_label_flips(game, flip)


# Winners and what misses them.


def test_the_winner_of_a_cycle_in_the_wrong_order_is_caught() -> None:
    cases = [replace(case, closed=np.roll(case.closed, 1)) for case in self_play.cycle_cases(QUICK)]
    assert verdict("three-cycle", cases) is Verdict.VIOLATED


def test_only_a_corner_is_as_exploitable_as_a_reward_model() -> None:
    uniform = []
    for case in self_play.cycle_cases(QUICK):
        a, b, c = case.strengths
        uniform.append(replace(case, loss=max(a - c, b - a, c - b) / 3))
    assert verdict("reward-model-corner", uniform) is Verdict.VIOLATED


def test_the_statements_on_winners_can_fail() -> None:
    cases = list(self_play.winner_cases(QUICK))
    rng = np.random.default_rng(6)
    games = [PreferenceGame.random(6, rng) for _ in range(12)]
    worst = [int(borda_scores(game)[0].argmin()) for game in games]
    wrong = [
        replace(
            case,
            condorcet_distance=float(case.support > 1),
            transitive_loss=2 * float(exploitability(game, np.eye(6)[[i]])[0]),
            borda_inversions=self_play.borda_inversions(game, -borda_scores(game)[0]),
            support=case.support + 1,
        )
        for case, game, i in zip(cases, games, worst, strict=True)
    ]
    for key in ("condorcet-winner", "transitive", "odd-support", "borda-order"):
        assert verdict(key, wrong) is Verdict.VIOLATED


def test_optimism_brings_the_last_iterate_back() -> None:
    """The negative result is about Hedge: with a hint the divergence does fall."""
    optimistic = self_play.last_iterate_runs(QUICK, SPO("optimistic-hedge"))
    assert verdict("last-iterate", optimistic) is Verdict.VIOLATED


# Mutants of constants: each bound cannot be claimed better by the factor that is missing.


@pytest.mark.parametrize(
    ("key", "factor"),
    [
        ("hedge", 1.8),
        ("hedge-step", 1.25),
        ("anytime", 2.3),
        ("optimistic", 1.2),
        ("optimistic-step", 1.1),
        ("variation", 1.05),
        ("utilities-move-less", 1.001),
        ("regret-matching", 1.05),
        ("projection", 1.02),
        ("condorcet-step", 1.1),
        ("condorcet-monotone", 1.001),
        ("condorcet-regret", 1.9),
        ("condorcet", 1.9),
        ("condorcet-linear", 1.01),
        ("trajectory", 1.9),
        ("trajectory-step", 1.5),
        ("trajectory-optimistic", 1.25),
        ("law-capacity", 1.05),
        ("reward-model-corner", 1.001),
    ],
)
def test_a_bound_cannot_be_claimed_better(reports: dict[str, Any], key: str, factor: float) -> None:
    """Some instance of the theorem's own evidence comes within the factor, so the better bound is refuted."""
    assert reports[f"spo.{key}"].tightness * factor > 1


def test_the_evidence_for_the_identity_covers_every_method() -> None:
    assert {run.method for run in self_play.identity_runs(QUICK)} >= set(METHODS)


def test_two_players_from_equal_starts_play_what_spo_plays() -> None:
    game = PreferenceGame.random(6, np.random.default_rng(8))
    both: list[np.ndarray] = []

    def audit(problem: Any, state: Any, decision: Any) -> dict[str, float]:
        both.append(np.exp(state.log_policies))
        return {}

    play(game, DuellingHedge(eta=0.2), 60, audit=audit)
    alone = self_play_run(game, SPO(eta=0.2), 30, "alone").played
    np.testing.assert_allclose(np.array(both[::2])[:, 0], alone, atol=1e-14)
    np.testing.assert_allclose(np.array(both[::2])[:, 1], alone, atol=1e-14)
