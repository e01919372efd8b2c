"""Playing a preference game over trajectories: one round is one query, about the law of a policy.

The dynamics are known, the preferences are not. A query is answered with the field ``A law``, with A the
skew part of the preferences: the expected win rate, minus 1/2, of every trajectory against the policy that
was asked about. What is scored is the policy that is held: 1/2 minus its exploitability, by a dynamic
program over all history-dependent opponents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from theoryrl.models import TrajectoryGame
from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import check_count, check_type
from theoryrl.models.trajectory import Leaves
from theoryrl.protocol.core import Outcome, Streams
from theoryrl.protocol.preference import NO_DIAGNOSTICS
from theoryrl.solvers import trajectory_exploitability


@dataclass(frozen=True, eq=False)
class TrajectorySpec:
    """What a learner may know: the dynamics, never the preferences.

    Attributes
    ----------
    P
        Transition probabilities: shape [S, A, S].
    rho
        Distribution of the first state: shape [S].
    horizon
        Number of decisions H.
    rounds
        Number of queries.
    """

    P: Float[np.ndarray, "S A S"]
    rho: Float[np.ndarray, " S"]
    horizon: int
    rounds: int

    @property
    def n_trajectories(self) -> int:
        """``N = (S A)^H``."""
        return int((self.P.shape[0] * self.P.shape[1]) ** self.horizon)


class TrajectoryDecision(NamedTuple):
    """The law that is held, and the law asked about.

    Attributes
    ----------
    law
        Of the policy that is scored: shape [N].
    query
        Of the policy asked about: shape [N].
    diagnostics
        Numbers for the trace.
    """

    law: Leaves
    query: Leaves
    diagnostics: Mapping[str, float] = NO_DIAGNOSTICS


class TrajectoryEnvironment:
    """Answers the queries of one run."""

    def __init__(self, problem: TrajectoryProblem) -> None:
        self._problem = problem

    def begin(self, decision: TrajectoryDecision) -> None:
        """Take over a new decision; there is nothing to prepare."""

    def interact(self, decision: TrajectoryDecision, rounds: int) -> Outcome:
        """Answer one query: the observation is a field [N]."""
        return Outcome(self._problem.field(decision.query), 1, True)


@dataclass(frozen=True, eq=False)
class TrajectoryProblem(Frozen):
    """A preference game over trajectories, to be solved by queries.

    Parameters
    ----------
    game
        The true model, of which no learner sees the preferences.
    key
        Name of the instance.
    """

    game: TrajectoryGame
    key: str = "trajectories"

    benchmark = 0.5

    def __post_init__(self) -> None:
        check_type("game", self.game, TrajectoryGame)

    def spec(self, rounds: int) -> TrajectorySpec:
        """Return what a learner may know."""
        game = self.game
        return TrajectorySpec(game.P, game.rho, game.horizon, check_count("rounds", rounds))

    def value(self, decision: TrajectoryDecision) -> float:
        """Return what the held policy guarantees against every opponent."""
        return 0.5 - trajectory_exploitability(self.game, decision.law)

    def field(self, law: Leaves) -> Leaves:
        """Return ``A law``."""
        return np.asarray(self.game.preferences.skew[0] @ law)

    def environment(self, streams: Streams) -> TrajectoryEnvironment:
        """Return a source of answers."""
        return TrajectoryEnvironment(self)
