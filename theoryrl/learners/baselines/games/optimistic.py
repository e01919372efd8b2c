"""Nash-VI and VI-ULCB: upper and lower bounds on both players' values, without a list of candidates.

Every episode plans backwards with upper and lower bounds on Q and plays a coarse correlated equilibrium
of the general-sum game ``(Q_upper, Q_lower)`` in every state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.learners.baselines.games._kernels import optimistic
from theoryrl.models._validation import check_choice, check_fraction, check_real
from theoryrl.protocol import GameDecision, MarkovGameSpec
from theoryrl.solvers.markov_game import GameTrajectory

BONUSES = ("bernstein", "hoeffding")


@dataclass(eq=False)
class OptimisticState:
    """State of a run.

    Attributes
    ----------
    spec
        What is known of the problem.
    counts
        How often each (h, s, a, b, s') was observed: shape [H, S, A, B, S].
    weights
        Of the parts of the bonus, see the kernel: shape [4].
    upper, lower
        Bounds of the last plan: shape [H + 1, S].
    """

    spec: MarkovGameSpec
    counts: Float[np.ndarray, "H S A B S"]
    weights: Float[np.ndarray, " 4"]
    upper: Float[np.ndarray, "H1 S"]
    lower: Float[np.ndarray, "H1 S"]


class OptimisticLearner:
    """What both have in common."""

    key: ClassVar[str]

    def log_term(self, spec: MarkovGameSpec, delta: float) -> float:
        """Return ``iota = log(S A B H K / delta)``."""
        H, S, A, B = spec.shape
        return math.log(S * A * B * H * spec.rounds / delta)

    def weights(self, spec: MarkovGameSpec) -> Float[np.ndarray, " 4"]:
        """Return the weights of the parts of the bonus."""
        raise NotImplementedError

    @property
    def guaranteed(self) -> bool:
        """Never: the constants of the papers are not explicit, and no theorem here takes these runs."""
        return False

    def init(self, spec: MarkovGameSpec, rng: np.random.Generator) -> OptimisticState:
        """Return the state without data."""
        if not isinstance(spec, MarkovGameSpec):
            raise ValueError(f"{self.key} plays Markov games; got a {type(spec).__name__}")
        if not spec.self_play:
            raise ValueError(f"{self.key} needs self-play: it plays a correlated policy of both players")
        H, S, A, B = spec.shape
        counts, bounds = np.zeros((H, S, A, B, S)), np.zeros((2, H + 1, S))
        return OptimisticState(spec, counts, self.weights(spec), bounds[0], bounds[1])

    def plan(self, state: OptimisticState) -> GameDecision:
        """Plan backwards; the joint policy is played, and the max player's share of it is scored."""
        joint = np.empty(state.spec.shape)
        optimistic(state.counts, state.spec.rewards, state.weights, state.upper, state.lower, joint)
        mu = joint.sum(axis=3)
        rho = state.spec.rho
        numbers = {"upper": float(rho @ state.upper[0]), "lower": float(rho @ state.lower[0])}
        return GameDecision(mu, None, joint, numbers)

    def update(
        self, state: OptimisticState, decision: GameDecision, observation: GameTrajectory
    ) -> OptimisticState:
        """Count the transitions."""
        h, s = np.arange(state.spec.horizon), observation.states
        state.counts[h, s[:-1], observation.actions, observation.opponent_actions, s[1:]] += 1
        return state


@dataclass(frozen=True, kw_only=True)
class NashVI(OptimisticLearner):
    """Optimistic Nash value iteration.

    Parameters
    ----------
    bonus
        ``"bernstein"``: ``c (sqrt(variance iota / n) + H^2 S iota / n)``; ``"hoeffding"``: with
        ``sqrt(H^2 iota / n)`` as the first part. Both add ``c / H`` times the mean of ``upper - lower``.
    constant
        c, positive; an unspecified constant in the paper.
    delta
        Failure probability in iota.

    Notes
    -----
    Source: Liu, Yu, Bai and Jin (2021), "A Sharp Analysis of Model-based Reinforcement Learning with
    Self-play", Algorithm 1, as recalled. Diagnostics: ``upper`` and ``lower``, the planned bounds.
    """

    bonus: str = "bernstein"
    constant: float = 1.0
    delta: float = 0.05

    key: ClassVar[str] = "nash-vi"

    def __post_init__(self) -> None:
        check_choice("bonus", self.bonus, BONUSES)
        check_constant(self.constant)
        check_fraction("delta", self.delta)

    def weights(self, spec: MarkovGameSpec) -> Float[np.ndarray, " 4"]:
        """Return the weights of the parts of the bonus."""
        H, iota = spec.horizon, self.log_term(spec, self.delta)
        bernstein = self.bonus == "bernstein"
        first = (math.sqrt(iota), 0.0) if bernstein else (0.0, H * math.sqrt(iota))
        return self.constant * np.array([*first, H**2 * spec.n_states * iota, 1 / H])


@dataclass(frozen=True, kw_only=True)
class VIULCB(OptimisticLearner):
    """Value iteration with upper and lower confidence bounds.

    Parameters
    ----------
    constant
        c in the bonus ``c sqrt(S H^2 iota / n)``, positive; an unspecified constant in the paper.
    delta
        Failure probability in iota.

    Notes
    -----
    Source: Bai and Jin (2020), "Provable Self-Play Algorithms for Competitive Reinforcement Learning",
    as recalled, with a coarse correlated equilibrium in the place of a general-sum Nash equilibrium.
    Diagnostics: ``upper`` and ``lower``, the planned bounds.
    """

    constant: float = 1.0
    delta: float = 0.05

    key: ClassVar[str] = "vi-ulcb"

    def __post_init__(self) -> None:
        check_constant(self.constant)
        check_fraction("delta", self.delta)

    def weights(self, spec: MarkovGameSpec) -> Float[np.ndarray, " 4"]:
        """Return the weights of the parts of the bonus."""
        iota = self.log_term(spec, self.delta)
        return self.constant * np.array([0.0, spec.horizon * math.sqrt(spec.n_states * iota), 0.0, 0.0])


def check_constant(constant: float) -> None:
    """Raise unless the constant of the bonus is positive."""
    if check_real("constant", constant, low=0.0) == 0.0:
        raise ValueError("constant must be positive; got 0")
