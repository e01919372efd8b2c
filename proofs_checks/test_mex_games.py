"""MEX in Markov games: every theorem holds in the quick profile, and every check can fail.

Mutants of the learner override one of its steps; mutants of a constant replace one side of a theorem.
Statistical verdicts report a violation of a true statement with probability at most 1e-6
(`theoryrl.theory.statistics.FALSE_ALARM`), per theorem.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from theoryrl.learners import MEXGame
from theoryrl.learners.mex_games import decide
from theoryrl.models import CandidateGame, FiniteGameClass, Policy, ZeroSumMarkovGame
from theoryrl.protocol import FixedOpponent
from theoryrl.theory import Scope, Verdict, check
from theoryrl.theory.evidence import game_lemmas, games
from theoryrl.theory.evidence.games import GameRun, audited_run
from theoryrl.theory.mex_games import GAMES, sequence_bound

SCOPE = Scope()
THEOREMS = {theorem.key.removeprefix("mex.games-"): theorem for theorem in GAMES}


@pytest.mark.parametrize("name", THEOREMS)
def test_theorem_holds(name: str) -> None:
    report = check(THEOREMS[name])
    assert report.verdict is Verdict.HOLDS, f"{report.verdict.value}: {report.detail}"
    assert report.instances > 0


def violated(name: str, evidence: Any, **changes: Any) -> bool:
    theorem = replace(THEOREMS[name], **changes)
    return check(theorem, evidence, allow_unguaranteed=True).verdict is Verdict.VIOLATED


# The learner.


class Mutant(MEXGame):
    """MEX whose objectives, and the policies it plays, can be spoiled."""

    def main(self, state: Any, eta: float, losses: np.ndarray) -> np.ndarray:
        return state.plans.values - eta * losses

    def exploiter_of(self, state: Any, f: int, eta: float, losses: np.ndarray) -> np.ndarray:
        return -state.plans.responses(f).start - eta * losses

    def play(self, state: Any, f: int, g: int | None) -> Any:
        return decide(state, f, g)

    def losses(self, state: Any) -> np.ndarray:
        return state.possible

    def plan(self, state: Any) -> Any:
        eta, losses = self.weight(state), self.losses(state)
        f = int(np.argmax(self.main(state, eta, losses)))
        if not state.spec.self_play:
            return self.play(state, f, None)
        return self.play(state, f, int(np.argmax(self.exploiter_of(state, f, eta, losses))))


class WrongSign(Mutant):
    def losses(self, state: Any) -> np.ndarray:
        return -super().losses(state)


class Stale(Mutant):
    """Looks at the data only every tenth episode."""

    def losses(self, state: Any) -> np.ndarray:
        if state.played % 10 == 0:
            state.last = state.total.copy()
        return state.last


def without(position: int) -> type[Mutant]:
    class LeftOut(Mutant):
        def main(self, state: Any, eta: float, losses: np.ndarray) -> np.ndarray:
            J = super().main(state, eta, losses)
            J[position] = -np.inf
            return J

        def exploiter_of(self, state: Any, f: int, eta: float, losses: np.ndarray) -> np.ndarray:
            J = super().exploiter_of(state, f, eta, losses)
            J[position] = -np.inf
            return J

    return LeftOut


class EtaOnTheValue(Mutant):
    def main(self, state: Any, eta: float, losses: np.ndarray) -> np.ndarray:
        return eta * state.plans.values - losses


class OptimisticExploiter(Mutant):
    def exploiter_of(self, state: Any, f: int, eta: float, losses: np.ndarray) -> np.ndarray:
        return state.plans.responses(f).start - eta * losses


class PlaysAnotherPolicy(Mutant):
    """Its main player plays the equilibrium of the exploiter's candidate."""

    def play(self, state: Any, f: int, g: int | None) -> Any:
        return decide(state, f, g)._replace(mu=state.plans.policies[f if g is None else g])


class RespondsToAnother(Mutant):
    """Its exploiter responds to the policy of another candidate."""

    def play(self, state: Any, f: int, g: int | None) -> Any:
        other = state.plans.responses((f + 1) % len(state.plans.games)).nu[g]
        return decide(state, f, g)._replace(nu=other)


class HelpfulExploiter(Mutant):
    """Its exploiter takes the last action in the place of the best response."""

    def play(self, state: Any, f: int, g: int | None) -> Any:
        nu = np.zeros_like(state.plans.responses(f).nu[g])
        nu[..., -1] = 1.0
        return decide(state, f, g)._replace(nu=nu)


class Unlikely(Mutant):
    """Forgets the value: the first of the most likely candidates."""

    def main(self, state: Any, eta: float, losses: np.ndarray) -> np.ndarray:
        return -losses


class Heavier(Mutant):
    """Its loss has three times the weight."""

    def main(self, state: Any, eta: float, losses: np.ndarray) -> np.ndarray:
        return state.plans.values - 3 * eta * losses


LEARNERS: dict[str, tuple[Any, list[str]]] = {
    "wrong sign of the loss": (WrongSign, ["argmax", "main-optimality", "exploiter-optimality"]),
    "stale losses": (Stale, ["argmax", "main-optimality", "exploiter-optimality"]),
    "the truth left out": (without(-1), ["argmax", "main-optimality", "exploiter-optimality"]),
    "another candidate left out": (without(1), ["argmax"]),
    "eta multiplies the value": (EtaOnTheValue, ["argmax"]),
    "an exploiter that is optimistic": (OptimisticExploiter, ["argmax", "exploiter-optimality"]),
    "plays another policy": (PlaysAnotherPolicy, ["decomposition"]),
    "the exploiter responds to another policy": (RespondsToAnother, ["decomposition"]),
    "the exploiter does not respond": (HelpfulExploiter, ["decomposition"]),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_a_wrong_learner_is_caught(name: str) -> None:
    make, keys = LEARNERS[name]
    for key in keys:
        runs = games.enumerated_runs if key == "argmax" else games.various_runs
        assert violated(key, runs(SCOPE, make)), key


def test_a_candidate_other_than_the_truth_may_be_left_out_without_harm_to_the_bound() -> None:
    """The inequality of step (i) needs the truth only: it cannot see this mutant, the enumeration does."""
    assert not violated("main-optimality", games.various_runs(SCOPE, without(1)))


def test_a_choice_within_a_slack_needs_the_slack() -> None:
    bound = THEOREMS["additivity"].bound
    assert violated("additivity", games.slack_runs(SCOPE), bound=lambda run: bound(run) - run.slack)


def test_another_opponent_than_the_one_that_was_met_is_caught() -> None:
    def replaced() -> Iterator[GameRun]:
        for run in games.opposed_runs(SCOPE):
            H, S, _, B = run.shape
            nu = np.zeros((H, S, B))
            nu[..., 0] = 1.0
            yield replace(run, opponents=[Policy(nu)] * len(run.rows))

    assert violated("online-decomposition", replaced())


# The event, and the lemmas.


@pytest.mark.parametrize(
    "bound",
    [lambda run: -4 * run.energy + 2 * run.iota, lambda run: -2 * run.energy],
    ids=["a doubled distance", "no logarithm"],
)
def test_a_stronger_event_is_caught(bound: Callable[[GameRun], np.ndarray]) -> None:
    assert violated("likelihood", games.likelihood_runs(SCOPE, rounds=600, runs=25), bound=bound)


def test_an_equilibrium_or_a_response_that_is_none_is_caught() -> None:
    def uniform(game: Any) -> tuple[np.ndarray, np.ndarray]:
        H, S, A, B = game.r.shape
        return np.full((H, S, A), 1 / A), np.full((H, S, B), 1 / B)

    def first_action(game: Any) -> tuple[np.ndarray, np.ndarray]:
        _, nu = game_lemmas.solved(game)
        mu = np.zeros(game.r.shape[:3])
        mu[..., 0] = 1.0
        return mu, nu

    def swapped(game: Any) -> tuple[np.ndarray, np.ndarray]:
        return game_lemmas.solved(ZeroSumMarkovGame(game.P, 1 - game.r, game.rho))

    def worst(game: Any, mu: np.ndarray) -> Policy:
        H, S, _, B = game.r.shape
        return Policy(np.eye(B)[np.zeros((H, S), dtype=int)])

    for solver in (uniform, first_action, swapped):
        assert violated("equilibrium", game_lemmas.equilibrium_cases(SCOPE, solver))
        assert violated("optimistic-value", game_lemmas.equilibrium_cases(SCOPE, solver))
    assert violated("best-response", game_lemmas.equilibrium_cases(SCOPE, responder=worst))


def full(case: Any) -> np.ndarray:
    return np.full(case.shape[0], float(case.shape[0]))


def one(case: Any) -> np.ndarray:
    return np.ones(case.shape[0])


def less(case: Any) -> np.ndarray:
    return np.maximum(np.arange(case.shape[0])[::-1] - 1.0, 0.0)


@pytest.mark.parametrize(("spans", "burn_in"), [(full, 0.0), (one, 2.0), (less, 2.0)])
def test_a_smaller_coefficient_is_caught(spans: Any, burn_in: float) -> None:
    """Without the burn-in sequences of length one fail; span 1 fails on the chain of ten stages only."""
    name = "eluder-refined" if spans is less else "eluder"
    cases = game_lemmas.sequence_cases(SCOPE)
    assert violated(name, cases, bound=lambda case: sequence_bound(case, spans(case), burn_in))


# The final bounds: vacuous on games of some size, so that they are challenged on a single choice.


def single_choice() -> CandidateGame:
    """One stage, one state, two actions that pay 1 and 0: the only candidate is the truth."""
    P = np.ones((1, 1, 1, 2, 1, 1))
    lone = FiniteGameClass(P, np.array([1.0, 0.0]).reshape(1, 1, 2, 1), np.ones(1))
    return CandidateGame(lone[0], lone)


class WorstAction(Mutant):
    def play(self, state: Any, f: int, g: int | None) -> Any:
        mu = np.zeros_like(state.plans.policies[f])
        mu[..., -1] = 1.0
        return decide(state, f, g)._replace(mu=mu)


def runs_of(make: Any, rounds: int, online: bool = False, **options: Any) -> Iterator[GameRun]:
    opponent = FixedOpponent() if online else None
    learner = make(delta=games.DELTA, **options)
    run = audited_run(single_choice(), learner, rounds, 0, "single choice", opponent)
    yield from [run] * 5  # nothing is random here, every seed gives this run; and .05^5 < 1e-6


@pytest.mark.parametrize(
    ("name", "rounds", "online", "options"),
    [
        ("regret", 700, False, {}),
        ("on-event", 700, False, {}),
        ("anytime", 9000, False, {"schedule": "anytime"}),
        ("online", 200, True, {}),
        ("online-on-event", 200, True, {}),
    ],
)
def test_a_main_player_that_takes_the_worst_action_breaks_the_bound(
    name: str, rounds: int, online: bool, options: dict[str, Any]
) -> None:
    assert violated(name, runs_of(WorstAction, rounds, online, **options))
    assert not violated(name, runs_of(MEXGame, 50, online, **options))


class Pessimist(Mutant):
    """Believes the candidate of the least value."""

    def main(self, state: Any, eta: float, losses: np.ndarray) -> np.ndarray:
        return -state.plans.values


def test_a_pessimist_breaks_the_audit() -> None:
    """At a small eta the loss is almost free, so that the gaps must be small."""

    def runs() -> Iterator[GameRun]:
        for seed in range(3):
            model = games.risky_game()
            yield audited_run(model, Pessimist(eta=1e-3), 100, seed, f"{seed}")

    assert violated("audit", runs())


def test_an_unrealizable_list_is_not_evidence() -> None:
    model = games.risky_game()
    listed = FiniteGameClass(model.candidates.P[:-1], model.game.r, model.game.rho)
    with pytest.raises(ValueError, match="candidates must contain the true game"):
        audited_run(CandidateGame(model.game, listed), MEXGame(), 3, 0, "unrealizable")


def test_lock_ins_depend_on_eta() -> None:
    assert violated("lock-in", game_lemmas.lock_ins(SCOPE, Heavier))
    assert violated("lock-in-law", game_lemmas.lock_ins(SCOPE, Unlikely))


@pytest.mark.parametrize("eta", [0.0316, 0.1265, 0.241, 100.0])
def test_the_law_of_lock_ins_is_the_walks(eta: float) -> None:
    """By its recursion: the probability u_i of reaching i steps up solves u_i = .3 u_{i-1} + .7 u_{i+1}."""
    steps = math.ceil(game_lemmas.GAP / (eta * math.log(7 / 3)))
    N = 60
    A, b = np.eye(N), np.zeros(N)
    b[0] = 1.0
    for i in range(1, N - 1):
        A[i, i - 1], A[i, i + 1] = -0.3, -0.7
    u = np.linalg.solve(A, b)
    assert game_lemmas.lock_in_law(eta) == pytest.approx(u[steps], abs=1e-9)
    assert u[steps] <= math.exp(-game_lemmas.GAP / eta)
