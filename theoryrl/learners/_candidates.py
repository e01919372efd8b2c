"""What every learner does that is told a finite list of games: plan in each once, then weigh them by data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.models import FiniteGameClass
from theoryrl.protocol import GameDecision, MarkovGameSpec
from theoryrl.solvers.markov_game import (
    GameTrajectory,
    MarkovGameSolution,
    Responses,
    best_responses,
    markov_game_equilibrium,
)


@dataclass(eq=False)
class CandidatePlans:
    """Equilibria of all candidates, and best responses in all candidates to each of their policies.

    Parameters
    ----------
    games
        The M candidates.
    """

    games: FiniteGameClass
    _responses: dict[int, Responses] = field(default_factory=dict)
    _played: dict[tuple[int, int], Float[np.ndarray, "H S B"]] = field(default_factory=dict)

    @cached_property
    def equilibria(self) -> tuple[MarkovGameSolution, ...]:
        """One for each candidate."""
        return tuple(markov_game_equilibrium(self.games[m]) for m in range(len(self.games)))

    @cached_property
    def policies(self) -> tuple[Float[np.ndarray, "H S A"], ...]:
        """mu_f: the max player's policy of each equilibrium."""
        return tuple(solution.policy.probabilities for solution in self.equilibria)

    @cached_property
    def values(self) -> Float[np.ndarray, " M"]:
        """V_f: the value of each candidate."""
        return np.array([solution.start_value for solution in self.equilibria])

    @cached_property
    def log_P(self) -> Float[np.ndarray, "M H S A B S"]:
        """Log-probabilities; -inf where a candidate rules a transition out."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.games.P))

    def responses(self, f: int) -> Responses:
        """Return best responses to mu_f in all candidates; computed once."""
        if f not in self._responses:
            self._responses[f] = best_responses(self.games, self.policies[f])
        return self._responses[f]

    def response(self, f: int, g: int) -> Float[np.ndarray, "H S B"]:
        """Return the best response to mu_f in candidate g, always the same array."""
        if (f, g) not in self._played:
            self._played[f, g] = self.responses(f).nu[g]
        return self._played[f, g]


@dataclass(eq=False)
class CandidateState:
    """State of a run.

    Attributes
    ----------
    spec
        What is known of the problem.
    plans
        Computed once for all episodes.
    losses
        Negative log-likelihood of the transitions at each stage: shape [H, M]; infinite where a candidate
        has been refuted.
    counts
        How often each (h, s, a, b, s') was observed: shape [H, S, A, B, S].
    rng
        For learners that draw.
    played
        Episodes so far.
    """

    spec: MarkovGameSpec
    plans: CandidatePlans
    losses: Float[np.ndarray, "H M"]
    counts: Float[np.ndarray, "H S A B S"]
    rng: np.random.Generator
    played: int = 0

    @property
    def total(self) -> Float[np.ndarray, " M"]:
        """Losses over all stages."""
        return np.asarray(self.losses.sum(axis=0))

    @property
    def possible(self) -> Float[np.ndarray, " M"]:
        """Losses over all stages, of which one at least is finite.

        Raises
        ------
        ValueError
            If the data have probability zero under every candidate.
        """
        total = self.total
        if np.isinf(total).all():
            raise ValueError("candidates must contain one that can have produced the data; all are refuted")
        return total


def start_with_candidates(spec: object, rng: np.random.Generator, learner: str) -> CandidateState:
    """Return the state without data; raise unless the problem is a game with a list of candidates."""
    if not isinstance(spec, MarkovGameSpec):
        raise ValueError(f"{learner} plays Markov games; got a {type(spec).__name__}")
    if spec.candidates is None:
        raise ValueError(f"{learner} needs a list of candidates; the problem tells none")
    H, S, A, B = spec.shape
    plans = CandidatePlans(spec.candidates)
    return CandidateState(spec, plans, np.zeros((H, len(spec.candidates))), np.zeros((H, S, A, B, S)), rng)


class CandidateLearner:
    """The parts that all of them share: the start, and the likelihood of what was seen."""

    key: ClassVar[str]

    def init(self, spec: MarkovGameSpec, rng: np.random.Generator) -> CandidateState:
        """Return the state without data."""
        return start_with_candidates(spec, rng, self.key)

    def update(
        self, state: CandidateState, decision: GameDecision, observation: GameTrajectory
    ) -> CandidateState:
        """Add an episode to the likelihoods and the counts."""
        h = np.arange(state.spec.horizon)
        s = observation.states
        cell = h, s[:-1], observation.actions, observation.opponent_actions, s[1:]
        state.losses -= state.plans.log_P[(slice(None), *cell)].T
        state.counts[cell] += 1
        state.played += 1
        return state


def worst_within(objective: Float[np.ndarray, " M"], slack: float) -> int:
    """Return the first maximiser, or with a slack the worst entry that is within it of the maximum."""
    best = int(np.argmax(objective))
    if slack == 0.0 or math.isinf(objective[best]):
        return best
    near = objective >= objective[best] - slack
    return int(np.where(near, objective, np.inf).argmin())
