"""Playing a preference game: one round is one query, about a policy that the learner names.

A query is answered exactly, with the field ``A mu`` of the policy mu that was asked about (one matrix-vector
product per context), or by duels: pairs of actions, one from each of two policies, and who won; or every
action against the same few opponents, which estimates the field.

What is scored is the policy that the learner holds. Its value is what it guarantees against every
opponent: 1/2 minus its exploitability gap, averaged over contexts; the best possible value is 1/2. So the
regret of a round is the exploitability gap, and round N is what N queries have led to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from theoryrl.models import PreferenceGame, RegularizedGame
from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import check_count, check_type
from theoryrl.models.preference import log_policy_array
from theoryrl.protocol.core import Outcome, Streams
from theoryrl.solvers.preference import (
    PreferenceSolution,
    exploitability_gap,
    lipschitz_constant,
    preference_field,
)
from theoryrl.solvers.preference.fields import LogPolicy, PerContext, certify
from theoryrl.solvers.simplex import kl_divergence, span

NO_DIAGNOSTICS: Mapping[str, float] = {}


@dataclass(frozen=True, eq=False)
class PreferenceSpec:
    """What a learner may know of a preference game: never its preferences.

    Attributes
    ----------
    n_contexts, n_actions
        X and n.
    rho
        Distribution of the context: shape [X].
    rounds
        Number of queries.
    beta
        Weight of the divergence from the reference; 0 if the game is not regularised.
    log_reference
        Logarithms of the reference, uniform if the game is not regularised: shape [X, n].
    start
        Logarithms of the policy to start from, by default the reference: shape [X, n].
    lipschitz
        Computes the Lipschitz constant L(P) of each context, for steps that adapt to the game.
    """

    n_contexts: int
    n_actions: int
    rho: PerContext
    rounds: int
    beta: float
    log_reference: LogPolicy
    start: LogPolicy
    lipschitz: Callable[[], PerContext]

    @property
    def shape(self) -> tuple[int, int]:
        """(X, n)."""
        return self.n_contexts, self.n_actions


class PreferenceDecision(NamedTuple):
    """The policy that is held, and the query of this round.

    The arrays must not be changed afterwards; they are made read-only where they are used.

    Attributes
    ----------
    log_policy
        Logarithms of the policy that is scored: shape [X, n].
    query
        Logarithms of the policy asked about, the opponent: shape [X, n].
    challenger
        Logarithms of the policy that duels with it: shape [X, n]; None asks for the field.
    duels
        Number of duels. Without a challenger: of opponents in each context, drawn from the policy asked
        about, against whom every action has one duel; 0 asks for the exact field.
    diagnostics
        Numbers for the trace.
    """

    log_policy: LogPolicy
    query: LogPolicy
    challenger: LogPolicy | None = None
    duels: int = 0
    diagnostics: Mapping[str, float] = NO_DIAGNOSTICS


class Duels(NamedTuple):
    """Outcomes of independent duels, each in a context drawn from rho.

    Attributes
    ----------
    contexts
        Shape [B].
    first, second
        Actions of the challenger and of the policy asked about: shape [B] each.
    won
        Whether the first was preferred: shape [B].
    """

    contexts: Int[np.ndarray, " B"]
    first: Int[np.ndarray, " B"]
    second: Int[np.ndarray, " B"]
    won: Bool[np.ndarray, " B"]


class PreferenceEnvironment:
    """Answers the queries of one run."""

    def __init__(self, problem: PreferenceProblem, streams: Streams) -> None:
        self._problem = problem
        self._rng = streams.environment

    def begin(self, decision: PreferenceDecision) -> None:
        """Take over a new decision; there is nothing to prepare."""

    def interact(self, decision: PreferenceDecision, rounds: int) -> Outcome:
        """Answer one query: the observation is a field [X, n], exact or estimated, or `Duels`."""
        if decision.challenger is None:
            exact = decision.duels == 0
            field = self._problem.field(decision.query) if exact else self._estimate(decision)
            return Outcome(field, 1, True)
        return Outcome(self._duel(decision.challenger, decision.query, decision.duels), 1, True)

    def _estimate(self, decision: PreferenceDecision) -> LogPolicy:
        """Return the mean win of every action against opponents of the query, minus 1/2."""
        skew, rng = self._problem.preferences.skew, self._rng
        B = check_count("duels", decision.duels)
        X, n = decision.query.shape
        contexts = np.repeat(np.arange(X), B)
        opponents = _draw(np.exp(decision.query), rng, contexts)
        won = rng.random((X * B, n)) < 0.5 + skew[contexts, :, opponents]
        return np.asarray(won.reshape(X, B, n).mean(axis=1) - 0.5)

    def _duel(self, challenger: LogPolicy, opponent: LogPolicy, duels: int) -> Duels:
        game, rng = self._problem.preferences, self._rng
        B = check_count("duels", duels)
        if game.n_contexts == 1:
            contexts = np.zeros(B, dtype=np.int64)
        else:
            contexts = _draw(np.broadcast_to(game.context_weights, (B, game.n_contexts)), rng)
        first = _draw(np.exp(challenger), rng, contexts)
        second = _draw(np.exp(opponent), rng, contexts)
        won = rng.random(B) < 0.5 + game.skew[contexts, first, second]
        return Duels(contexts, first, second, won)


@dataclass(frozen=True, eq=False)
class PreferenceProblem(Frozen):
    """A preference game to be solved by queries.

    Parameters
    ----------
    game
        The true preferences, which no learner sees, regularised or not.
    key
        Name of the instance.
    start
        Logarithms of the policy to start from, normalised: shape [X, n]. Default: the reference.
    """

    game: PreferenceGame | RegularizedGame
    key: str = "preference"
    start: LogPolicy | None = None
    _known: list[tuple[LogPolicy, LogPolicy]] = field(init=False, repr=False, default_factory=list)

    benchmark = 0.5

    def __post_init__(self) -> None:
        check_type("game", self.game, PreferenceGame, RegularizedGame)
        if self.start is not None:
            start = log_policy_array("start", self.start, self.game.shape)
            object.__setattr__(self, "start", start)

    @property
    def preferences(self) -> PreferenceGame:
        """The game without its regularisation."""
        return self.game.game if isinstance(self.game, RegularizedGame) else self.game

    @cached_property
    def _lipschitz(self) -> PerContext:
        return lipschitz_constant(self.preferences)

    def lipschitz(self) -> PerContext:
        """Return L(P) of each context; computed once, when first asked for."""
        return self._lipschitz

    def spec(self, rounds: int) -> PreferenceSpec:
        """Return what a learner may know."""
        game = self.game
        if isinstance(game, RegularizedGame):
            beta, reference = game.beta, game.log_reference
        else:
            beta, reference = 0.0, np.full(game.shape, -np.log(game.n_actions))
        return PreferenceSpec(
            n_contexts=game.shape[0],
            n_actions=game.shape[1],
            rho=self.preferences.context_weights,
            rounds=check_count("rounds", rounds),
            beta=beta,
            log_reference=reference,
            start=reference if self.start is None else self.start,
            lipschitz=self.lipschitz,
        )

    def value(self, decision: PreferenceDecision) -> float:
        """Return what the held policy guarantees: 1/2 minus its mean exploitability gap."""
        return 0.5 - float(self.preferences.context_weights @ self.gap(decision.log_policy))

    def gap(self, log_policy: LogPolicy) -> PerContext:
        """Return the exploitability gap in each context, of the regularised game if it is one."""
        answer = self.field(log_policy)
        if isinstance(self.game, RegularizedGame):
            return exploitability_gap(self.game, log_policy, answer)
        return np.asarray(answer.max(axis=1))

    def field(self, log_policy: LogPolicy) -> LogPolicy:
        """Return ``A mu``; that of the last two policies is remembered, by the identity of their arrays.

        A learner usually asks about the policy that it holds, or keeps it while it asks about another, so
        that scoring costs no products beyond those of the queries.
        """
        for array, known in self._known:
            if array is log_policy:
                return known
        answer = preference_field(self.preferences, np.exp(log_policy))
        log_policy.setflags(write=False)
        answer.setflags(write=False)
        object.__setattr__(self, "_known", [*self._known[-1:], (log_policy, answer)])
        return answer

    def environment(self, streams: Streams) -> PreferenceEnvironment:
        """Return a fresh source of answers."""
        return PreferenceEnvironment(self, streams)


class EquilibriumAudit:
    """Measures the held policy against the known equilibrium of a regularised game, in each round.

    Parameters
    ----------
    solution
        The equilibrium.

    Notes
    -----
    Averaged over contexts: ``kl``, KL(pi* || pi); ``reverse_kl``, KL(pi || pi*); ``gap``, the exploitability
    gap; ``certificate``, the a-posteriori bound on both divergences together. The largest over
    contexts: ``span`` of log pi - log pi*.
    """

    def __init__(self, solution: PreferenceSolution) -> None:
        self.solution = solution

    def __call__(
        self, problem: PreferenceProblem, state: object, decision: PreferenceDecision
    ) -> Mapping[str, float]:
        """Return the numbers of one round."""
        game, log_policy, best = problem.game, decision.log_policy, self.solution.log_policy
        assert isinstance(game, RegularizedGame)
        rho = problem.preferences.context_weights
        r = game.beta * (log_policy - game.log_reference) - problem.field(log_policy)
        return {
            "kl": float(rho @ kl_divergence(best, log_policy)),
            "reverse_kl": float(rho @ kl_divergence(log_policy, best)),
            "gap": float(rho @ problem.gap(log_policy)),
            "certificate": float(rho @ certify(game, log_policy, r).divergence),
            "span": float(span(log_policy - best).max()),
        }


class Recorder:
    """An audit that keeps the policies of every round, held and asked about.

    Attributes
    ----------
    held, asked
        Logarithms, one array [X, n] per round.
    """

    def __init__(self) -> None:
        self.held: list[LogPolicy] = []
        self.asked: list[LogPolicy] = []

    def __call__(
        self, problem: PreferenceProblem, state: object, decision: PreferenceDecision
    ) -> Mapping[str, float]:
        """Keep the policies of one round."""
        self.held.append(decision.log_policy)
        self.asked.append(decision.query)
        return NO_DIAGNOSTICS


def _draw(
    p: Float[np.ndarray, "R n"], rng: np.random.Generator, rows: Int[np.ndarray, " B"] | None = None
) -> Int[np.ndarray, " B"]:
    """Draw one index from each distribution in the rows of p, or from those with the given numbers."""
    cumulative = np.cumsum(p, axis=1)
    cumulative /= cumulative[:, -1:]
    size = len(p) if rows is None else len(rows)
    if rows is not None and len(p) == 1:
        return np.searchsorted(cumulative[0], rng.random(size), side="right")
    chosen = cumulative if rows is None else cumulative[rows]
    return np.asarray((rng.random(size)[:, None] >= chosen).sum(axis=1))
