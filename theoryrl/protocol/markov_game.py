"""Playing a zero-sum Markov game: one round is one episode; the learner is the max player.

In *self-play* a decision has a policy for each player, and what is scored is the max player's alone: its
value is ``V^{mu, *}``, what it guarantees against every opponent, and the best value is V*. The regret is
``sum_k V* - V^{mu_k, *}``, however the episodes are played.

*Online* an `Opponent` chooses the min player's policy of each episode, and the value of a round is
V^{mu, nu} for that policy. The regret ``sum_k V* - V^{mu_k, nu_k}`` may be negative, for the opponent may
be weak.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from theoryrl.models import (
    CandidateGame,
    FiniteGameClass,
    FiniteMemoryPolicy,
    Policy,
    ZeroSumMarkovGame,
)
from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import check_type
from theoryrl.models.markov_game import check_candidates
from theoryrl.protocol.core import Outcome, Streams, check_rounds
from theoryrl.protocol.opponents import GamePast, Opponent
from theoryrl.solvers.markov_game import (
    GameSimulator,
    joint_policy,
    markov_game_equilibrium,
    pair_value,
)
from theoryrl.solvers.markov_game.evaluation import guaranteed_value

NO_DIAGNOSTICS: Mapping[str, float] = {}


@dataclass(frozen=True, eq=False)
class MarkovGameSpec:
    """What a learner may know of a game: never its kernel.

    Attributes
    ----------
    n_states, n_actions, n_opponent_actions, horizon
        S, A, B and H.
    rounds
        Number of episodes K.
    rho
        Distribution of the first state: shape [S].
    rewards
        r[h, s, a, b], deterministic and known: shape [H, S, A, B].
    candidates
        The games that the truth is said to be one of, where the setting has such a list.
    self_play
        Whether the learner chooses both players' policies.
    """

    n_states: int
    n_actions: int
    n_opponent_actions: int
    horizon: int
    rounds: int
    rho: Float[np.ndarray, " S"]
    rewards: Float[np.ndarray, "H S A B"]
    candidates: FiniteGameClass | None = None
    self_play: bool = True

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(H, S, A, B)."""
        return self.horizon, self.n_states, self.n_actions, self.n_opponent_actions


class GameDecision(NamedTuple):
    """What to play in one episode; the arrays must not be changed afterwards.

    Attributes
    ----------
    mu
        The max player's policy, which is scored: shape [H, S, A].
    nu
        The min player's policy in self-play: shape [H, S, B]. Online it is not used.
    joint
        In self-play, a correlated policy to play instead of the pair: shape [H, S, A, B].
    diagnostics
        Numbers for the trace.
    """

    mu: Float[np.ndarray, "H S A"]
    nu: Float[np.ndarray, "H S B"] | None = None
    joint: Float[np.ndarray, "H S A B"] | None = None
    diagnostics: Mapping[str, float] = NO_DIAGNOSTICS


class MarkovGameEnvironment:
    """Draws the episodes of one run; what is played is prepared anew only when one of its arrays changes."""

    def __init__(self, problem: MarkovGameProblem, streams: Streams) -> None:
        self._problem = problem
        self._rng = streams.environment
        self._simulator = problem.simulator
        self._prepared: Float[np.ndarray, "H N C"] | None = None
        self._decided: tuple[object, ...] = ()
        self._value = 0.0
        self._episodes = 0
        self._counts = np.zeros(problem.game.r.shape, dtype=np.int64)

    def begin(self, decision: GameDecision) -> None:
        """Prepare what is played; an opponent makes up its mind."""
        game, opponent = self._problem.game, self._problem.opponent
        _check_shapes(game, decision)
        parts: tuple[object, ...] = decision.mu, decision.nu, decision.joint
        nu = None
        if opponent is not None:
            nu = opponent.respond(game, decision.mu, GamePast(self._episodes, self._counts))
            parts = decision.mu, nu
        if len(parts) == len(self._decided) and all(map(operator.is_, parts, self._decided)):
            return
        self._decided = parts
        if nu is None:
            self._prepared = self._simulator.prepare(_self_play(game, decision))
            return
        mu = Policy.trusted(decision.mu)
        if isinstance(nu, FiniteMemoryPolicy):
            self._simulator = GameSimulator(game, nu)
        else:
            self._simulator = self._problem.simulator
        self._prepared = self._simulator.prepare(joint_policy(game, mu, nu))
        self._value = pair_value(game, mu, nu)

    def interact(self, decision: GameDecision, rounds: int) -> Outcome:
        """Play one episode; the observation is a `GameTrajectory`."""
        problem = self._problem
        assert self._prepared is not None
        episode = self._simulator.run(self._prepared, self._rng)
        if problem.opponent is None:
            return Outcome(episode, 1, True)
        self._episodes += 1
        cell = episode.states[:-1], episode.actions, episode.opponent_actions
        self._counts[(np.arange(problem.game.horizon), *cell)] += 1
        value, best = np.array([self._value]), np.array([problem.game_value])
        return Outcome(episode, 1, True, value, best)


@dataclass(frozen=True, eq=False)
class MarkovGameProblem(Frozen):
    """A zero-sum Markov game to be learned.

    Parameters
    ----------
    game
        The true model, which no learner sees.
    key
        Name of the instance.
    candidates
        Games that the learner is told the truth is one of; nothing checks that it is.
    opponent
        Who plays the min player. None: self-play.
    """

    game: ZeroSumMarkovGame
    key: str = "markov-game"
    candidates: FiniteGameClass | None = None
    opponent: Opponent | None = None
    _known: list[tuple[np.ndarray, float]] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        check_type("game", self.game, ZeroSumMarkovGame)
        if self.candidates is not None:
            check_type("candidates", self.candidates, FiniteGameClass)
            check_candidates(self.game, self.candidates)
        if self.opponent is not None:
            check_type("opponent", self.opponent, Opponent)

    @classmethod
    def from_candidates(
        cls, model: CandidateGame, key: str = "candidate-game", opponent: Opponent | None = None
    ) -> MarkovGameProblem:
        """Return the problem of a `CandidateGame`."""
        return cls(model.game, key, model.candidates, opponent)

    @cached_property
    def simulator(self) -> GameSimulator:
        """Draws episodes; prepared once."""
        return GameSimulator(self.game)

    @cached_property
    def game_value(self) -> float:
        """V*, the value of the game at the start of an episode."""
        return markov_game_equilibrium(self.game).start_value

    @property
    def benchmark(self) -> float | None:
        """V* in self-play; None online, where each outcome tells it."""
        return self.game_value if self.opponent is None else None

    def spec(self, rounds: int) -> MarkovGameSpec:
        """Return what a learner may know."""
        H, S, A, B = self.game.r.shape
        return MarkovGameSpec(
            n_states=S,
            n_actions=A,
            n_opponent_actions=B,
            horizon=H,
            rounds=check_rounds(rounds),
            rho=self.game.rho,
            rewards=self.game.r,
            candidates=self.candidates,
            self_play=self.opponent is None,
        )

    def value(self, decision: GameDecision) -> float | None:
        """Return what the max player's policy guarantees; None online, where each outcome tells.

        That of the last policy is remembered, by the identity of its array.
        """
        if self.opponent is not None:
            return None
        for mu, known in self._known:
            if mu is decision.mu:
                return known
        _check_shapes(self.game, decision)
        value = guaranteed_value(self.game, decision.mu)
        object.__setattr__(self, "_known", [(decision.mu, value)])
        return value

    def environment(self, streams: Streams) -> MarkovGameEnvironment:
        """Return a fresh source of episodes."""
        return MarkovGameEnvironment(self, streams)


def _self_play(game: ZeroSumMarkovGame, decision: GameDecision) -> Policy:
    """Return the joint policy of both players."""
    if decision.joint is not None:
        H, S, A, B = game.r.shape
        return Policy.trusted(np.ascontiguousarray(decision.joint).reshape(H, S, A * B))
    if decision.nu is None:
        raise ValueError("a decision in self-play needs the min player's policy nu, or a joint policy")
    return joint_policy(game, Policy.trusted(decision.mu), Policy.trusted(decision.nu))


def _check_shapes(game: ZeroSumMarkovGame, decision: GameDecision) -> None:
    """Raise unless the arrays of a decision have the sizes of the game."""
    H, S, A, B = game.r.shape
    shapes = {"mu": (H, S, A), "nu": (H, S, B), "joint": (H, S, A, B)}
    for name, shape in shapes.items():
        array = getattr(decision, name)
        if array is not None and array.shape != shape:
            raise ValueError(f"decision.{name} must have shape {shape}; got {array.shape}")
