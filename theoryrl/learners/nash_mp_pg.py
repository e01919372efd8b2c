"""Approximate Nash-MP: each proximal step by stochastic policy gradients from Bernoulli duels.

The proximal objective of a softmax policy,

    J(theta) = P(pi_theta > opponent) - beta KL(pi_theta || ref) - KL(pi_theta || pi_k) / gamma,

is climbed for T steps from theta = log pi_k. A batch of B duels of y_b ~ pi_theta with y'_b ~ opponent
gives the returns

    r_b = 1{y_b won} - beta log(pi_theta / ref)(y_b) - log(pi_theta / pi_k)(y_b) / gamma,

each compared with the mean of the others, which leaves the gradient unbiased; a mean that includes b
itself would shrink it by (B - 1) / B.

The existence of this version is the paper's (abstract); all details are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.learners._preference import check_positive, require_regularized
from theoryrl.models._validation import check_count, check_real
from theoryrl.protocol import Duels, PreferenceDecision, PreferenceSpec
from theoryrl.solvers.preference.fields import LogPolicy
from theoryrl.solvers.simplex import log_normalize


def policy_gradient(
    duels: Duels,
    log_policy: LogPolicy,
    charge: Float[np.ndarray, "X n"],
) -> Float[np.ndarray, "X n"]:
    """Return the leave-one-out estimate of the gradient in the logits.

    Parameters
    ----------
    duels
        At least two, the first actions drawn from the policy.
    log_policy
        Logarithms of the policy: shape [X, n].
    charge
        What each action costs besides, such as ``beta log(pi / ref)``: shape [X, n].

    Returns
    -------
    numpy.ndarray
        Its expectation is ``rho(x) pi(y) (c(y) - <pi, c>)`` with ``c = P opponent - charge``.
    """
    X, n = log_policy.shape
    B = len(duels.won)
    returns = duels.won - charge[duels.contexts, duels.first]
    advantage = (returns - returns.mean()) * (B / (B - 1) / B)
    hits = np.bincount(duels.contexts * n + duels.first, weights=advantage, minlength=X * n).reshape(X, n)
    return np.asarray(hits - np.exp(log_policy) * hits.sum(axis=1, keepdims=True))


@dataclass(slots=True, eq=False)
class ClimbState:
    """Where an approximate proximal step stands.

    Attributes
    ----------
    spec
        What the method was told.
    theta, log_policy
        Logits and logarithms of the policy that climbs: shape [X, n].
    log_centre
        pi_k: shape [X, n].
    log_opponent
        pi_k in the first half of an iteration, the approximate half step in the second: shape [X, n].
    climbed
        Inner steps taken.
    second_half
        Whether this is the second proximal step of the iteration.
    """

    spec: PreferenceSpec
    theta: LogPolicy
    log_policy: LogPolicy
    log_centre: LogPolicy
    log_opponent: LogPolicy
    climbed: int = 0
    second_half: bool = False


@dataclass(frozen=True)
class NashMPPG:
    """Nash-MP with inexact proximal steps, one batch of duels per round.

    Parameters
    ----------
    step
        gamma, in (0, 2].
    batch
        B, duels per round, at least 2.
    inner_steps
        T, gradient steps per proximal step; an iteration takes 2 T rounds.
    learning_rate
        Of the first inner step; it falls like ``1 / sqrt(1 + t / 50)``.
    ema
        None, or kappa in (0, 1]: no inner loops, but one gradient step per batch, with a target policy as
        opponent and as centre whose logits follow with weight kappa. An option without a theorem.
    """

    step: float = 2.0
    batch: int = 256
    inner_steps: int = 100
    learning_rate: float = 2.0
    ema: float | None = None

    key: ClassVar[str] = "nash-mp-pg"
    guaranteed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive("step", self.step)
        check_real("step", self.step, high=2.0)
        check_count("batch", self.batch, low=2)
        check_count("inner_steps", self.inner_steps)
        check_positive("learning_rate", self.learning_rate)
        if self.ema is not None:
            check_positive("ema", self.ema)
            check_real("ema", self.ema, high=1.0)

    def init(self, spec: PreferenceSpec, rng: np.random.Generator) -> ClimbState:
        """Return the state before the first batch."""
        require_regularized(spec, self.key)
        start = spec.start
        return ClimbState(spec, start, start, start, start)

    def plan(self, state: ClimbState) -> PreferenceDecision:
        """Let the climbing policy duel with the opponent; the centre is what is held."""
        held = state.log_centre if self.ema is None else state.log_policy
        return PreferenceDecision(held, state.log_opponent, state.log_policy, self.batch)

    def update(self, state: ClimbState, decision: PreferenceDecision, duels: Duels) -> ClimbState:
        """Climb one step, and go on to the next proximal step when this one is done."""
        spec = state.spec
        charge = spec.beta * (state.log_policy - spec.log_reference)
        charge = charge + (state.log_policy - state.log_centre) / self.step
        rate = self.learning_rate / np.sqrt(1 + state.climbed / 50)
        state.theta = state.theta + rate * policy_gradient(duels, state.log_policy, charge)
        state.log_policy = log_normalize(state.theta)
        if self.ema is not None:
            target = log_normalize(self.ema * state.theta + (1 - self.ema) * state.log_centre)
            state.log_centre = state.log_opponent = target
            return state
        state.climbed += 1
        if state.climbed == self.inner_steps:
            self._turn(state)
        return state

    def _turn(self, state: ClimbState) -> None:
        """Begin the next proximal step: the second of this iteration, or the first of the next."""
        if state.second_half:
            state.log_centre = state.log_policy
        state.log_opponent = state.log_policy
        state.theta = state.log_policy = state.log_centre
        state.climbed, state.second_half = 0, not state.second_half
