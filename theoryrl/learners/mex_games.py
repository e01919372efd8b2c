"""MEX for two-player zero-sum Markov games: a main player and an exploiter, each with one objective.

With a list F of candidate games, ``L(f)`` the negative log-likelihood of all transitions under f, V_f the
value of f and mu_f its max player's equilibrium policy::

    main player:  f_k = argmax_f   V_f            - eta L(f),     mu_k = mu_{f_k}
    exploiter:    g_k = argmax_g  -V_g^{mu_k, *}  - eta L(g),     nu_k = best response to mu_k in g_k

and (mu_k, nu_k) is played for an episode. Against an opponent that chooses by itself the exploiter is
dropped. Both players use the same eta.

Source: Liu et al. (2023), "Maximize to Explore", arXiv 2305.18258, for the algorithm, as recalled; the
statement with its constants is proved on the page of MEX for games.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, TypeAlias

import numpy as np
from jaxtyping import Float

from theoryrl.learners import gec
from theoryrl.learners._candidates import CandidateLearner, CandidatePlans, CandidateState, worst_within
from theoryrl.models._validation import check_choice, check_fraction, check_real
from theoryrl.protocol import GameDecision, MarkovGameSpec
from theoryrl.solvers.markov_game import Responses

Shape: TypeAlias = tuple[int, int, int, int]
"""(H, S, A, B)."""


def game_gec(shape: Shape, rounds: float) -> float:
    """Return ``d = 2 c0 H^3 S A B ln K``, the coefficient of one player, with K at least 2."""
    H, S, A, B = shape
    return gec.model_based_gec(S * A * B, H, rounds)


def game_burn_in(shape: Shape) -> float:
    """Return ``2 sqrt(2) H^2 S A B``, what the first visits of all cells may cost one player."""
    H, S, A, B = shape
    return gec.model_based_burn_in(S * A * B, H)


def half_regret_bound(shape: Shape, rounds: float, candidates: int, delta: float) -> float:
    """Return ``sqrt(d H K iota) + 2 sqrt(2) H^2 S A B``: the online bound; self-play has twice as much."""
    H, d, burn_in = shape[0], game_gec(shape, rounds), game_burn_in(shape)
    return gec.model_based_regret(d, burn_in, H, rounds, gec.model_based_iota(candidates, H, delta))


def anytime_half_bound(shape: Shape, rounds: float, candidates: int, delta: float) -> float:
    """Return ``3.42 sqrt(d_{2K} H K iota)`` plus the burn-in, for the schedule of `anytime_eta`."""
    H, d = shape[0], game_gec(shape, 2 * rounds)
    root = gec.model_based_regret(d, 0.0, H, rounds, gec.model_based_iota(candidates, H, delta))
    return 3.42 * root + game_burn_in(shape)


def theory_eta(shape: Shape, rounds: float, candidates: int, delta: float) -> float:
    """Return ``eta = sqrt(d / (16 H K iota))``, ``iota = log(H M / delta)``: one event for both players."""
    H = shape[0]
    iota = gec.model_based_iota(candidates, H, delta)
    return gec.model_based_eta(game_gec(shape, rounds), H, rounds, iota)


def anytime_eta(shape: Shape, episode: int, candidates: int, delta: float) -> float:
    """Return eta of the epoch 2^m, ..., 2^(m + 1) - 1 that holds the episode (the first one is 1)."""
    length, H = gec.epoch_length(episode), shape[0]
    iota = gec.model_based_iota(candidates, H, delta)
    return gec.model_based_eta(game_gec(shape, 2 * length), H, length, iota)


def model_free_eta(shape: Shape, rounds: float, candidates: int, delta: float) -> float:
    """Return ``sqrt(d / (3.68 H^3 K iota))``, ``d = c0 H S A B ln K``, ``iota = log(2 H M^3 / delta)``.

    The form of the single-agent bound, with a union over the M policies that the exploiter may face. For
    games no bound is proved.
    """
    H, S, A, B = shape
    M = candidates
    iota = gec.model_free_iota(M, M * M, H, delta / M)
    return gec.model_free_eta(gec.model_free_gec(S * A * B, H, rounds), H, rounds, iota)


@dataclass(frozen=True, kw_only=True)
class MEXGame(CandidateLearner):
    """MEX with model-based losses on a finite list of candidate games.

    Parameters
    ----------
    eta
        Weight of the loss, positive. Default: that of the theory, for which the number of episodes must be
        known, or `schedule` is ``"anytime"``.
    schedule
        ``"known"``: one eta for all episodes; ``"anytime"``: one for each epoch of doubling length.
    delta
        Failure probability.
    exploiter
        ``"mex"``, or ``"uniform"``: a min player that draws its actions evenly, for which no bound holds.
    slack
        Take the worst candidate whose objective is within this much of the best, both for the main player
        and for the exploiter: the regret bound grows by the sum of both slacks over the episodes.

    Notes
    -----
    Guarantee (proof on the page): if the truth is a candidate, with probability 1 - delta::

        sum_k V* - V^{mu_k, *} <= 2 (sqrt(d H K iota) + 2 sqrt(2) H^2 S A B),  d = 2 H^3 S A B ln(K) / ln(2),

    iota = log(H M / delta); against an arbitrary opponent half of it bounds
    ``sum_k V* - V^{mu_k, nu_k}``.
    Ties go to the first candidate.

    Diagnostics: ``main`` and ``exploiter``, the candidates chosen (the latter -1 where there is none);
    ``optimistic``, V_f; ``pessimistic``, ``V_g^{mu, *}`` (NaN where there is none).
    """

    eta: float | None = None
    schedule: str = "known"
    delta: float = 0.05
    exploiter: str = "mex"
    slack: float = 0.0

    key: ClassVar[str] = "mex-game"

    def __post_init__(self) -> None:
        check_eta(self.eta)
        check_choice("schedule", self.schedule, ("known", "anytime"))
        check_fraction("delta", self.delta)
        check_choice("exploiter", self.exploiter, ("mex", "uniform"))
        check_real("slack", self.slack, low=0.0)

    @property
    def guaranteed(self) -> bool:
        """Whether eta and the exploiter are those of the theory, and both maximise exactly."""
        return self.eta is None and self.exploiter == "mex" and self.slack == 0.0

    def weight(self, state: CandidateState) -> float:
        """Return eta of the next episode."""
        if self.eta is not None:
            return self.eta
        shape, M = state.spec.shape, len(state.plans.games)
        if self.schedule == "anytime":
            return anytime_eta(shape, state.played + 1, M, self.delta)
        return theory_eta(shape, state.spec.rounds, M, self.delta)

    def plan(self, state: CandidateState) -> GameDecision:
        """Choose a candidate for each player."""
        eta, losses = self.weight(state), state.possible
        f = worst_within(state.plans.values - eta * losses, self.slack)
        if not state.spec.self_play or self.exploiter == "uniform":
            return decide(state, f, None)
        return decide(state, f, worst_within(-state.plans.responses(f).start - eta * losses, self.slack))


def check_eta(eta: float | None) -> None:
    """Raise unless eta is None or a positive number."""
    if eta is not None and check_real("eta", eta, low=0.0) == 0.0:
        raise ValueError("eta must be positive; got 0")


def decide(state: CandidateState, f: int, g: int | None) -> GameDecision:
    """Return the policies that candidate f gives the main player, and g the exploiter (uniform if None)."""
    mu = state.plans.policies[f]
    numbers = {"main": float(f), "exploiter": -1.0, "optimistic": float(state.plans.values[f])}
    if g is None:
        H, S, _, B = state.spec.shape
        nu = evenly(H, S, B) if state.spec.self_play else None
        return GameDecision(mu, nu, None, {**numbers, "pessimistic": math.nan})
    found = state.plans.responses(f)
    numbers |= {"exploiter": float(g), "pessimistic": float(found.start[g])}
    return GameDecision(mu, state.plans.response(f, g), None, numbers)


@lru_cache(maxsize=8)
def evenly(H: int, S: int, B: int) -> Float[np.ndarray, "H S B"]:
    """Return the policy that draws every action with the same probability."""
    return np.full((H, S, B), 1 / B)


@dataclass(eq=False)
class Functions:
    """A finite class of functions with its auxiliary class, for one player.

    Attributes
    ----------
    Q
        Members f: shape [M, H, C] with C = S A B cells.
    V
        Their values at the next state, with V_H = 0: shape [M, H + 1, S].
    G
        Auxiliary class: shape [L, H, C].
    """

    Q: Float[np.ndarray, "M H C"]
    V: Float[np.ndarray, "M H1 S"]
    G: Float[np.ndarray, "L H C"]

    @classmethod
    def induced(cls, plans: CandidatePlans, V: Float[np.ndarray, "M H1 S"]) -> Functions:
        """Return ``Q_f = r + P_f V_f`` for all candidates f, and ``G = {r + P_m V_f}`` for all pairs."""
        games = plans.games
        M, H = games.P.shape[:2]
        backups = games.r + np.einsum("mhsabt,fht->mfhsab", games.P, V[:, 1:])
        G = backups.reshape(M * M, H, -1)
        return cls(G[:: M + 1].copy(), V, G)

    def losses(self, counts: Float[np.ndarray, "H S A B S"], r: np.ndarray) -> Float[np.ndarray, "H M"]:
        """Return squared temporal differences minus the least over the auxiliary class, for every member.

        Squares of the targets cancel, so that per cell only their number n and their sum m matter.
        """
        H, S = counts.shape[:2]
        N = counts.reshape(H, -1, S)
        n = N.sum(axis=2)
        m = r.reshape(H, -1) * n + np.einsum("hct,fht->fhc", N, self.V[:, 1:])
        own = (n * self.Q**2 - 2 * self.Q * m).sum(axis=2).T
        squares = (n * self.G**2).sum(axis=2).T
        cross = np.einsum("lhc,fhc->hlf", self.G, m, optimize=True)
        return np.asarray(own - (squares[:, :, None] - 2 * cross).min(axis=1))


@dataclass(frozen=True, kw_only=True)
class MEXGameModelFree(CandidateLearner):
    """MEX with temporal-difference losses on the functions that a finite list of candidates induces.

    The main player's class is ``{Q_f}`` with the values of matrix games as targets; the exploiter's, for the
    policy mu that it faces, is ``{Q_g^{mu, *}}`` with what mu guarantees as targets. Both auxiliary classes
    hold ``r + P_m V`` for every candidate m, so that they are complete if the truth is a candidate.

    Parameters
    ----------
    eta
        Weight of the loss, positive. Default: see `model_free_eta`.
    delta
        Failure probability in that default.

    Notes
    -----
    No guarantee is proved: the exploiter's class must be realizable and complete for every policy mu_f, and
    because mu depends on the data its concentration needs a union over all of them. So `guaranteed` is
    false, and no theorem takes its runs. Diagnostics: those of `MEXGame`.
    """

    eta: float | None = None
    delta: float = 0.05

    key: ClassVar[str] = "mex-game-model-free"

    def __post_init__(self) -> None:
        check_eta(self.eta)
        check_fraction("delta", self.delta)

    @property
    def guaranteed(self) -> bool:
        """Never: nothing is proved."""
        return False

    def init(self, spec: MarkovGameSpec, rng: np.random.Generator) -> ModelFreeState:
        """Return the state without data."""
        return ModelFreeState(**vars(super().init(spec, rng)))

    def plan(self, state: ModelFreeState) -> GameDecision:
        """Choose a function for each player."""
        spec, plans = state.spec, state.plans
        M = len(plans.games)
        eta = self.eta or model_free_eta(spec.shape, spec.rounds, M, self.delta)
        loss = state.main.losses(state.counts, spec.rewards).sum(axis=0)
        f = int(np.argmax(plans.values - eta * loss))
        if not spec.self_play:
            return decide(state, f, None)
        faced = state.exploiter(f).losses(state.counts, spec.rewards).sum(axis=0)
        return decide(state, f, int(np.argmax(-plans.responses(f).start - eta * faced)))


@dataclass(eq=False)
class ModelFreeState(CandidateState):
    """The state of `MEXGameModelFree`; the classes are made when first used."""

    _classes: dict[int, Functions] = field(default_factory=dict)

    @property
    def main(self) -> Functions:
        """The main player's class."""
        return self._class(-1, lambda: values_of_equilibria(self.plans))

    def exploiter(self, f: int) -> Functions:
        """Return the exploiter's class against mu_f."""
        found: Responses = self.plans.responses(f)
        return self._class(f, lambda: found.V)

    def _class(self, which: int, values: Any) -> Functions:
        if which not in self._classes:
            self._classes[which] = Functions.induced(self.plans, values())
        return self._classes[which]


def values_of_equilibria(plans: CandidatePlans) -> Float[np.ndarray, "M H1 S"]:
    """Return the value of every stage and state in every candidate, with V_H = 0."""
    V = np.array([solution.value for solution in plans.equilibria])
    return np.concatenate([V, np.zeros_like(V[:, :1])], axis=1)
