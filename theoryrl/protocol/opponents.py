"""Min players that a learner of a Markov game may meet: from an oblivious one to one that knows everything.

Before each episode an opponent is shown the true game, the learner's policy for that episode, and what has
been played so far, and names its own policy, which may remember the episode. Nothing about it is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models import (
    DeterministicPolicy,
    FiniteMemoryPolicy,
    MarkovPolicy,
    Policy,
    ZeroSumMarkovGame,
)
from theoryrl.models._validation import check_count, check_type
from theoryrl.solvers.markov_game import best_response
from theoryrl.solvers.markov_game.evaluation import Opponent as OpponentPolicy


class GamePast(NamedTuple):
    """What has been played so far.

    Attributes
    ----------
    episodes
        Number of episodes.
    counts
        How often each (h, s, a, b) was visited: shape [H, S, A, B].
    """

    episodes: int
    counts: Int[np.ndarray, "H S A B"]


@runtime_checkable
class Opponent(Protocol):
    """Names the min player's policy of each episode."""

    def respond(
        self, game: ZeroSumMarkovGame, mu: Float[np.ndarray, "H S A"], past: GamePast
    ) -> OpponentPolicy:
        """Return a policy, which may depend on the learner's policy mu of this very episode."""


@dataclass(frozen=True, eq=False)
class FixedOpponent:
    """Plays the same policy in every episode; without one, uniformly at random."""

    policy: MarkovPolicy | FiniteMemoryPolicy | None = None

    def __post_init__(self) -> None:
        if self.policy is not None:
            check_type("policy", self.policy, Policy, DeterministicPolicy, FiniteMemoryPolicy)

    def respond(
        self, game: ZeroSumMarkovGame, mu: Float[np.ndarray, "H S A"], past: GamePast
    ) -> OpponentPolicy:
        """Return the policy."""
        if self.policy is None:
            return Policy.uniform(game.n_states, game.n_opponent_actions)
        return self.policy


@dataclass(frozen=True)
class BestResponder:
    """Knows the game and the learner's policy, and plays a best response to it."""

    def respond(
        self, game: ZeroSumMarkovGame, mu: Float[np.ndarray, "H S A"], past: GamePast
    ) -> OpponentPolicy:
        """Return a best response in the true game."""
        policy: MarkovPolicy = best_response(game, Policy.trusted(mu), "min").policy
        return policy


@dataclass(frozen=True)
class FrequencyResponder:
    """Knows the game, and plays a best response to the frequencies of the learner's actions so far."""

    def respond(
        self, game: ZeroSumMarkovGame, mu: Float[np.ndarray, "H S A"], past: GamePast
    ) -> OpponentPolicy:
        """Return a best response in the true game to the observed frequencies (uniform where unvisited)."""
        n = past.counts.sum(axis=3) + 1.0 / game.n_actions
        observed = Policy.trusted(n / n.sum(axis=2, keepdims=True))
        policy: MarkovPolicy = best_response(game, observed, "min").policy
        return policy


@dataclass(frozen=True)
class Grudger:
    """Remembers the episode: plays action 0 until the learner takes an action of at least `trigger`.

    From then on it plays its last action. Every other episode it holds the grudge from the start.
    """

    trigger: int = 1

    def __post_init__(self) -> None:
        check_count("trigger", self.trigger, low=0)

    def respond(
        self, game: ZeroSumMarkovGame, mu: Float[np.ndarray, "H S A"], past: GamePast
    ) -> OpponentPolicy:
        """Return a policy with two memories: 0 for calm, 1 for the grudge."""
        H, S, A, B = game.r.shape
        nu = np.zeros((H, S, 2, B))
        nu[:, :, past.episodes % 2, 0] = 1.0
        nu[:, :, 1 - past.episodes % 2, B - 1] = 1.0
        memory = np.zeros((H, S, A, B, 2), dtype=np.int64)
        memory[:, :, self.trigger :] = 1
        memory[..., 1] = 1
        return FiniteMemoryPolicy(nu, memory)
