"""GLOW: global optimism with weights that are density ratios.

Round t = 1, ..., T, with averages over the K (t - 1) episodes so far and ``L = log(6 |F| |W| T H / delta)``::

    gamma_t = gamma t,    alpha_t = c_alpha / gamma_t,    beta_t = c_beta gamma_t L / (K (t - 1)),

    F_t = { f in F : mean(residual_h(f) w' - alpha_t w'^2) <= beta_t for all h and w in W },
                                                                       w' = min(w, gamma_t),
    f_t = argmax over F_t of mean f_1(s_1, pi_f(s_1));    play pi_t, greedy for f_t, for K episodes.

It needs Q* in F and the ratio of each policy to the average of those played in W, but no completeness. The
first round has no data: every f survives, and ties decide.

Source: Amortila, Foster, Jiang, Sekhari and Xie (2024), "Harnessing Density Ratios for Online
Reinforcement Learning", Algorithm 1 and Theorem 3.1.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from theoryrl.learners._guarantee import warn_if_void
from theoryrl.learners.candidates import (
    Candidates,
    RealizabilityError,
    ResidualSums,
    best,
    check_ties,
    nothing_left,
    own_residual_tests,
    require_hypotheses,
    residual_tests,
)
from theoryrl.learners.glow_constants import GlowConstants, Slack, log_confidence, theory_gamma
from theoryrl.models import Hypotheses, MixturePolicy
from theoryrl.models._validation import check_choice, check_count, check_fraction, check_real
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers import WeightClass
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.weight_class import LISTED, MODES


@dataclass(slots=True, eq=False)
class GlowState:
    """What GLOW has seen.

    Attributes
    ----------
    candidates, weights
        The two classes.
    sums
        Counts and residual sums.
    counts
        Number of finished rounds of each policy: shape [N].
    chosen
        The function of the current round.
    alive
        Which functions survive in the current round: shape [F].
    held
        Episodes of the current round so far.
    gamma, L
        Scale of the clipping, and the logarithm of the confidence radius.
    """

    candidates: Candidates
    weights: WeightClass
    sums: ResidualSums
    counts: Int[np.ndarray, " N"]
    chosen: int
    alive: Bool[np.ndarray, " F"]
    held: int
    gamma: float
    L: float

    @property
    def round(self) -> int:
        """Number t of the round that is planned next, or played."""
        return int(self.counts.sum()) + 1


@dataclass(frozen=True)
class GLOW:
    """Optimism over a version space that density ratios cut out.

    Parameters
    ----------
    weights
        The weight class: ``"models"``, ``"mixture"``, ``"self"``, ``"tuples"`` or ``"full"``, made from the
        candidate models of the problem (`theoryrl.solvers.WeightClass`), ``"signed"``, made from the
        functions, or a class of your own.
    episodes
        K, the episodes of a round.
    gamma
        Scale of the clipping, in (0, 1]; 0 for that of Theorem 3.1 with the largest coverability of the
        candidate models.
    delta
        Probability with which the version spaces may lose Q*, in (0, 1).
    constants
        ``"paper"``, ``"sharp"`` or ``"practical"``; the last without a guarantee unless the pair happens
        to be covered by the proof.
    c_alpha, c_beta
        The pair of ``"practical"``.
    scales
        Close the class under multiplication by ``gamma_t / (2 c_alpha) 2^-j`` for j below this number, so
        that a defect of any size can be refuted; 0 leaves the class as it is.
    ties
        Which of several most optimistic functions is played: the ``"first"`` or the ``"last"`` of the class.

    Notes
    -----
    Diagnostics: ``function``, the number of the function that is played; ``upper``, its estimated value;
    ``version_space``, how many survive; ``oracle_weights``, 1 if the weights were computed with the true
    model.

    With ``weights="full"`` the class holds ratios of two policies and not their mixtures, which the
    regret theorem needs; with ``"signed"`` it holds no ratios at all.
    """

    weights: str | WeightClass = "models"
    episodes: int = 1
    gamma: float = 0.0
    delta: float = 0.05
    constants: str = "paper"
    c_alpha: float = 1.0
    c_beta: float = 1.0
    scales: int = 0
    ties: str = "first"

    key: ClassVar[str] = "glow"

    def __post_init__(self) -> None:
        if not isinstance(self.weights, WeightClass):
            check_choice("weights", self.weights, MODES)
        check_count("episodes", self.episodes)
        check_real("gamma", self.gamma, low=0.0, high=1.0)
        check_fraction("delta", self.delta)
        check_count("scales", self.scales, low=0)
        check_ties(self.ties)
        reasons = []
        if self.slack is None:
            reasons.append(f"no proof covers c_alpha = {self.pair.c_alpha:g}, c_beta = {self.pair.c_beta:g}")
        if not self._holds_mixtures:
            reasons.append(f"weights of mode {self.mode!r} need not hold mixtures")
        warn_if_void(self, 1.0, *reasons)

    @property
    def pair(self) -> GlowConstants:
        """The factors of alpha and beta."""
        return GlowConstants.named(self.constants, (self.c_alpha, self.c_beta))

    @property
    def mode(self) -> str:
        """Mode of the weight class."""
        return self.weights.mode if isinstance(self.weights, WeightClass) else self.weights

    @property
    def slack(self) -> Slack | None:
        """The constants of what survivors satisfy; None without a proof that Q* survives."""
        return self.pair.slack_of(self.pair.k(signed=self.mode == "signed"))

    @property
    def _holds_mixtures(self) -> bool:
        return self.mode not in LISTED

    @property
    def guaranteed(self) -> bool:
        """Whether the proof covers the constants and the mode of the weight class."""
        return self.slack is not None and self._holds_mixtures

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> GlowState:
        """Return the state without data."""
        hypotheses = require_hypotheses(spec, "GLOW")
        weights = self._weights_for(hypotheses)
        candidates = Candidates.of(hypotheses.functions)
        T = math.ceil(spec.rounds / self.episodes)
        log_W = weights.log_size(T) + math.log(1 + self.scales)
        L = log_confidence(math.log(len(candidates)), log_W, T, spec.horizon, self.delta)
        gamma = self.gamma or theory_gamma(_candidate_coverability(hypotheses, weights), T, L, self.episodes)
        self._warn_if_idle(gamma, T)
        return GlowState(
            candidates=candidates,
            weights=weights,
            sums=ResidualSums.empty(candidates),
            counts=np.zeros(weights.n_policies, dtype=np.int64),
            chosen=0,
            alive=np.ones(len(candidates), dtype=np.bool_),
            held=0,
            gamma=gamma,
            L=L,
        )

    def _weights_for(self, hypotheses: Hypotheses) -> WeightClass:
        """Return the weight class; raise ValueError if a given one is not made for the functions."""
        functions, weights = hypotheses.functions, self.weights
        if not isinstance(weights, WeightClass):
            return WeightClass.from_models(hypotheses.models, functions, weights, hypotheses.oracle)
        if weights.shape != functions.Q.shape[1:] or len(weights.policy_of) != len(functions):
            raise ValueError(f"weights must be made for {functions!r}; got {weights!r}")
        return weights

    def _warn_if_idle(self, gamma: float, T: int) -> None:
        """Warn if alpha is at least 1 in all T rounds."""
        if self.scales == 0 and self.pair.c_alpha >= gamma * T:
            warnings.warn(
                f"GLOW: gamma = {gamma:.3g} and T = {T} rounds leave alpha >= 1 throughout, so that no "
                "weight of at least 1 can refute anything",
                stacklevel=3,
            )

    def plan(self, state: GlowState) -> EpisodicDecision:
        """Return the greedy policy of the most optimistic function that survives.

        Raises
        ------
        RealizabilityError
            If none does.
        """
        t, sums = state.round, state.sums
        values = np.zeros(len(state.candidates))
        if t > 1:
            state.alive = self._survivors(state, t)
            values = sums.first @ state.candidates.V[0] / sums.episodes
        state.chosen = best(values, state.alive, self.ties)
        diagnostics = {
            "function": float(state.chosen),
            "upper": float(values[state.chosen]),
            "version_space": float(state.alive.sum()),
            "oracle_weights": float(state.weights.oracle),
        }
        policy = state.candidates.policies[state.chosen]
        return EpisodicDecision(policy, None, diagnostics, self.episodes)

    def update(self, state: GlowState, decision: EpisodicDecision, observation: Trajectories) -> GlowState:
        """Add the episodes; the K-th of a round ends it."""
        state.sums.add(state.candidates, observation)
        state.held += len(observation.actions)
        if state.held == self.episodes:
            state.counts[state.weights.policy_of[state.chosen]] += 1
            state.held = 0
        return state

    def output(self, state: GlowState) -> MixturePolicy:
        """Return the uniform mixture of the policies of the finished rounds.

        Raises
        ------
        ValueError
            If no round is finished.
        """
        played = np.flatnonzero(state.counts)
        if not played.size:
            raise ValueError("state must hold at least one finished round; got none")
        first = [int(np.flatnonzero(state.weights.policy_of == n)[0]) for n in played]
        policies = tuple(state.candidates.policies[f] for f in first)
        return MixturePolicy(state.counts[played] / state.counts.sum(), policies)

    def _survivors(self, state: GlowState, t: int) -> Bool[np.ndarray, " F"]:
        """Return F_t as a mask, or raise."""
        beta = self.radius(state, t)
        excess = self.excess(state, t)
        alive = (excess <= beta).all(axis=(0, 1))
        if not alive.any():
            raise RealizabilityError(nothing_left(excess, beta, t))
        return np.asarray(alive)

    def radius(self, state: GlowState, t: int) -> float:
        """Return ``beta_t = c_beta gamma_t L / M`` for M episodes of data."""
        return self.pair.c_beta * state.gamma * t * state.L / state.sums.episodes

    def excess(self, state: GlowState, t: int) -> Float[np.ndarray, "H W F"]:
        """Return ``mean(residual w' - alpha_t w'^2)`` of every stage, weight and function."""
        gamma_t, sums = state.gamma * t, state.sums
        alpha = self.pair.c_alpha / gamma_t
        weights = self.clipped(state, t)
        if state.weights.mode == "self":
            linear, square = own_residual_tests(sums.N, sums.G, weights, alpha)
            return (linear - square) / sums.episodes
        linear, square = residual_tests(sums.N, sums.G, weights, alpha)
        return (linear - square[..., None]) / sums.episodes

    def clipped(self, state: GlowState, t: int) -> Float[np.ndarray, ...]:
        """Return the weights of round t, scaled and clipped: shape [W, H, S A], or [M, F, H, S A] (self)."""
        gamma_t, H = state.gamma * t, state.weights.shape[0]
        weights = state.weights.listed
        if weights is None:
            weights = state.weights.mixtures(state.counts)
            if state.weights.mode == "self":
                weights = weights[:, state.weights.policy_of]
            else:
                weights = weights.reshape(-1, *state.weights.shape)
        if self.scales:
            factors = gamma_t / (2 * self.pair.c_alpha) * 0.5 ** np.arange(self.scales)
            weights = np.concatenate([weights, *(factor * weights for factor in factors)])
        clipped = np.clip(weights, -gamma_t, gamma_t)  # only signed weights have a lower end
        return clipped.reshape(*clipped.shape[:-3], H, -1)


def model_coverability(weights: WeightClass) -> float:
    """Return the largest coverability of the N policies in any of the candidate models.

    If the truth is among them, it is at least that of the truth.
    """
    return float(weights.occupancies.max(axis=1).sum(axis=(2, 3)).max())


def _candidate_coverability(hypotheses: Hypotheses, weights: WeightClass) -> float:
    """Return the same where the weights may be a list, which says nothing about occupancies."""
    if weights.listed is not None:
        weights = WeightClass.from_models(hypotheses.models, hypotheses.functions)
    return model_coverability(weights)
