"""Evidence on self-play over trajectories: runs with every law, soft values, and mirror steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import rel_entr

from theoryrl.learners import SPO, TrajectorySPO
from theoryrl.models import PreferenceGame, TrajectoryGame
from theoryrl.models.trajectory import Leaves
from theoryrl.protocol import TrajectoryProblem, play
from theoryrl.solvers import (
    behaviour_of,
    best_trajectory_response,
    soft_trajectory_response,
    trajectory_exploitability,
    trajectory_law,
)
from theoryrl.theory.core import Evidence, Scope, credentials
from theoryrl.theory.evidence.preference import FAMILIES, random_game
from theoryrl.theory.evidence.self_play import self_play_run


@dataclass(frozen=True, eq=False)
class TrajectoryRun(Evidence):
    """A run of `TrajectorySPO` with every law.

    Parameters
    ----------
    game
        The model.
    eta
        Step.
    laws, fed
        What was played, and its utilities on the scale of A: shape [T, N].
    losses
        Exploitability of what was held in each round: shape [T].
    """

    game: TrajectoryGame
    eta: float
    laws: Float[np.ndarray, "T N"]
    fed: Float[np.ndarray, "T N"]
    losses: Float[np.ndarray, " T"]

    @property
    def rounds(self) -> Float[np.ndarray, " T"]:
        """1, ..., T."""
        return np.arange(1.0, len(self.laws) + 1)

    @property
    def capacity(self) -> float:
        """H ln A, the largest divergence of a law from the uniform policy's."""
        return float(self.game.horizon * np.log(self.game.n_actions))

    @cached_property
    def regret(self) -> Float[np.ndarray, " T"]:
        """Regret after each round against the best history-dependent policy in hindsight."""
        sums = np.cumsum(self.fed, axis=0)
        best = [best_trajectory_response(self.game.P, self.game.rho, gains)[0] for gains in sums]
        return np.array(best) - np.cumsum((self.laws * self.fed).sum(axis=1))

    @property
    def mean_law(self) -> Leaves:
        """Of all rounds."""
        return np.asarray(self.laws.mean(axis=0))


def trajectory_run(
    problem: TrajectoryGame | TrajectoryProblem, learner: TrajectorySPO, rounds: int, name: str
) -> TrajectoryRun:
    """Play, and keep every law."""
    posed = TrajectoryProblem(problem) if isinstance(problem, TrajectoryGame) else problem
    laws, fed, losses = list[Leaves](), list[Leaves](), list[float]()

    def audit(played: TrajectoryProblem, state: Any, decision: Any) -> dict[str, float]:
        laws.append(state.law)
        fed.append(2 * played.field(decision.query))
        losses.append(2 * trajectory_exploitability(played.game, decision.law))
        return {}

    trace = play(posed, learner, rounds, audit=audit)
    eta = learner.step(posed.spec(rounds))
    return TrajectoryRun(
        name, posed.game, eta, np.array(laws), np.array(fed), np.array(losses), **credentials(trace)
    )


def random_trajectory_game(
    rng: np.random.Generator, index: int, deterministic: bool = False, even_start: bool = False
) -> TrajectoryGame:
    """Draw a game of at most 216 trajectories; transitions sparse or dense, or deterministic from state 0."""
    S, A, H = [(2, 2, 2), (3, 2, 2), (1, 3, 2), (2, 2, 3), (2, 3, 1), (1, 2, 4), (3, 2, 3)][index % 7]
    concentration = (0.1, 1.0)[index % 2]
    P, rho = rng.dirichlet(np.full(S, concentration), (S, A)), rng.dirichlet(np.ones(S))
    if deterministic:
        P = np.eye(S)[rng.integers(0, S, (S, A))]
        rho = np.full(S, 1 / S) if even_start else np.eye(S)[0]
    return TrajectoryGame(P, rho, H, random_game(rng, FAMILIES[index % 4], (S * A) ** H))


def trajectory_runs(scope: Scope) -> Iterator[TrajectoryRun]:
    """Yield the tuned step, on runs short and long."""
    rng = np.random.default_rng([scope.seed, 100])
    for index in range(scope.pick(14, 140)):
        rounds = int(rng.choice([1, 2, 5, 20, 40]))
        game = random_trajectory_game(rng, index)
        yield trajectory_run(game, TrajectorySPO(), rounds, f"{game}, T = {rounds}, {index}")


def trajectory_step_runs(scope: Scope) -> Iterator[TrajectoryRun]:
    """Yield steps of all sizes."""
    rng = np.random.default_rng([scope.seed, 101])
    for index in range(scope.pick(10, 100)):
        eta = float(10 ** rng.uniform(-1.5, 0.5))
        game = random_trajectory_game(rng, index)
        yield trajectory_run(game, TrajectorySPO(eta=eta), 25, f"{game}, eta = {eta:.3g}, {index}")


def optimistic_trajectory_runs(scope: Scope) -> Iterator[TrajectoryRun]:
    """Yield the optimistic version."""
    rng = np.random.default_rng([scope.seed, 102])
    for index in range(scope.pick(10, 100)):
        game = random_trajectory_game(rng, index)
        yield trajectory_run(game, TrajectorySPO(optimistic=True), 40, f"{game}, {index}")


@dataclass(frozen=True, eq=False)
class LawCase(Evidence):
    """A pair of laws that ought to be equal."""

    one: Leaves
    other: Leaves


def mixture_case(run: TrajectoryRun) -> LawCase:
    """Compare a mean of laws with the law of its behaviour policy."""
    game, mean = run.game, run.mean_law
    policy = behaviour_of(mean, game.n_states, game.n_actions)
    return LawCase(run.instance, trajectory_law(game.P, game.rho, list(policy.stages)), mean)


def mixture_cases(scope: Scope) -> Iterator[LawCase]:
    """Yield means of laws that differ much."""
    rng = np.random.default_rng([scope.seed, 103])
    for index in range(scope.pick(14, 100)):
        game = random_trajectory_game(rng, index)
        yield mixture_case(trajectory_run(game, TrajectorySPO(eta=2.0), 6, f"{game}, {index}"))


def mirror_case(run: TrajectoryRun) -> LawCase:
    """Compare the last law with a mirror step from the one before, by its own recursion over policies."""
    game = run.game
    S, A = game.n_states, game.n_actions
    base = behaviour_of(run.laws[-2], S, A).stages
    Q, stages = run.eta * run.fed[-2].reshape(-1, S, A), list[np.ndarray]()
    for h in reversed(range(game.horizon)):
        weights = base[h] * np.exp(Q)
        mass = weights.sum(axis=2)
        stages.append(weights / mass[..., None])
        if h:
            Q = (np.log(mass).reshape(-1, S, A, S) * game.P).sum(axis=3)
    return LawCase(run.instance, run.laws[-1], trajectory_law(game.P, game.rho, stages[::-1]))


def mirror_cases(scope: Scope) -> Iterator[LawCase]:
    """Yield the last step of short runs."""
    rng = np.random.default_rng([scope.seed, 104])
    for index in range(scope.pick(14, 100)):
        game = random_trajectory_game(rng, index)
        yield mirror_case(trajectory_run(game, TrajectorySPO(eta=0.5), 5, f"{game}, {index}"))


def leaves_case(rng: np.random.Generator, index: int, even_start: bool = False) -> LawCase:
    """Compare the law after 12 rounds with Hedge over the leaves, where the dynamics are deterministic."""
    game = random_trajectory_game(rng, index, deterministic=True, even_start=even_start)
    run = trajectory_run(game, TrajectorySPO(eta=0.3), 12, f"{game}, {index}")
    reached = np.flatnonzero(game.chances > 0)
    bandit = PreferenceGame.from_skew(game.preferences.skew[0][np.ix_(reached, reached)])
    played = self_play_run(bandit, SPO(eta=0.3), 12, run.instance).played[-1, 0]
    return LawCase(run.instance, run.laws[-1][reached], played)


def leaves_cases(scope: Scope) -> Iterator[LawCase]:
    """Yield deterministic dynamics from one state."""
    rng = np.random.default_rng([scope.seed, 105])
    for index in range(scope.pick(14, 100)):
        yield leaves_case(rng, index)


@dataclass(frozen=True, eq=False)
class SoftCase(Evidence):
    """The soft maximum, its value at the maximiser, that of another policy, and both divergences.

    Parameters
    ----------
    maximum
        V at the start.
    attained, other
        ``<law, gains> - KL(law || uniform)`` of the maximiser and of a random policy.
    divergences
        KL(law || uniform) of both over H ln A: shape [2].
    """

    maximum: float
    attained: float
    other: float
    divergences: Float[np.ndarray, " 2"]


def soft_cases(scope: Scope) -> Iterator[SoftCase]:
    """Yield random gains and random policies."""
    rng = np.random.default_rng([scope.seed, 106])
    for index in range(scope.pick(21, 200)):
        game = random_trajectory_game(rng, index)
        S, A, H = game.n_states, game.n_actions, game.horizon
        gains = 3 * rng.normal(size=game.n_trajectories)
        maximum, logs = soft_trajectory_response(game.P, game.rho, gains)
        drawn = [rng.dirichlet(np.full(A, 0.3), ((S * A) ** h, S)) for h in range(H)]
        laws = [trajectory_law(game.P, game.rho, stages) for stages in ([np.exp(q) for q in logs], drawn)]
        uniform = game.chances / A**H
        kl = np.array([rel_entr(law, uniform).sum() for law in laws])
        values = [float(law @ gains - d) for law, d in zip(laws, kl, strict=True)]
        yield SoftCase(f"{game}, {index}", maximum, values[0], values[1], kl / (H * np.log(A)))
