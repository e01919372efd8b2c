"""Nash-MD and its gradient forms: the opponent is a mixture of the current policy and the reference.

* Nash-MD: ``m_t = pi_t^(1 - eta beta) ref^(eta beta)``, normalised; ``pi_{t+1} = m_t exp(eta A m_t)``.
  Opponent and centre are the mixture. With ``eta_t = 2 / (beta (t + 2))`` the last iterate has
  ``KL(pi* || pi_T) <= 8 / (beta^2 (T + 1))``; the Nash-MP page proves 1/16 of that.
* Nash-MD-PG: policy gradient against the mixture ``m = pi^(1 - a) ref^a`` with a parameter a of its own: 0 is
  self-play, 1 the best response to the reference.
* Nash-EMA-PG: policy gradient against a policy with averaged logits. Printed as
  ``(1 - b) theta_t + b theta_0``; a recursive average is presumably meant, and both are here.

Source: Munos et al. (2024), "Nash Learning from Human Feedback", Theorem 1 and section 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.learners._preference import (
    FieldMethod,
    Iterate,
    check_positive,
    constant_steps,
    require_regularized,
)
from theoryrl.learners.baselines.preference.self_play import checked_eta
from theoryrl.learners.nash_mp_pg import policy_gradient
from theoryrl.models._validation import check_count, check_real
from theoryrl.protocol import Duels, PreferenceDecision, PreferenceSpec
from theoryrl.solvers.preference.fields import LogPolicy
from theoryrl.solvers.simplex import log_normalize


@dataclass(frozen=True)
class NashMD(FieldMethod):
    """Mirror descent against a mixture with the reference.

    Parameters
    ----------
    step
        eta, at most 1 / beta, constant; it leaves a bias of order eta. None: ``2 / (beta (t + 2))``, the
        theorem's decreasing steps.
    """

    step: float | None = None

    key: ClassVar[str] = "nash-md"

    def __post_init__(self) -> None:
        if self.step is not None:
            check_positive("step", self.step)

    @property
    def guaranteed(self) -> bool:
        """Whether the steps are the theorem's."""
        return self.step is None

    def init(self, spec: PreferenceSpec, rng: np.random.Generator) -> Iterate:
        """Return the state before the first query, which is about the first mixture."""
        state = super().init(spec, rng)
        state.query = self._mixture(state)
        return state

    def steps(self, spec: PreferenceSpec) -> Float[np.ndarray, "X 1"]:
        """Return eta_0."""
        return constant_steps(spec, 1 / spec.beta if self.step is None else checked_eta(self.step, spec))

    def move(self, state: Iterate, field: LogPolicy) -> None:
        """Move from the mixture with its field; the next query is the next mixture."""
        state.log_policy = log_normalize(state.query + state.step * field)
        if self.step is None:
            state.step = constant_steps(state.spec, 2 / (state.spec.beta * (state.answered + 3)))
        state.query = self._mixture(state)

    @staticmethod
    def _mixture(state: Iterate) -> LogPolicy:
        share = state.step * state.spec.beta
        return log_normalize((1 - share) * state.log_policy + share * state.spec.log_reference)


@dataclass(slots=True, eq=False)
class GradientState:
    """Where a policy-gradient method stands.

    Attributes
    ----------
    spec
        What the method was told.
    log_policy
        Logarithms of the policy: shape [X, n].
    theta, average
        Its logits, and those of the opponent if these are an average: shape [X, n].
    query
        The opponent: shape [X, n].
    """

    spec: PreferenceSpec
    log_policy: LogPolicy
    theta: LogPolicy
    average: LogPolicy
    query: LogPolicy


@dataclass(frozen=True)
class GradientMethod:
    """Softmax policy gradient against an opponent that subclasses choose; exact, or from duels.

    Parameters
    ----------
    learning_rate
        Of every step.
    duels
        Batch of Bernoulli duels per step, at least 2; None: exact fields.
    """

    learning_rate: float = 1.0
    duels: int | None = None

    key: ClassVar[str]
    guaranteed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive("learning_rate", self.learning_rate)
        if self.duels is not None:
            check_count("duels", self.duels, low=2)

    def init(self, spec: PreferenceSpec, rng: np.random.Generator) -> GradientState:
        """Return the state before the first query."""
        require_regularized(spec, self.key)
        start = spec.start
        state = GradientState(spec, start, start, start, start)
        state.query = self.opponent(state)
        return state

    def opponent(self, state: GradientState) -> LogPolicy:
        """Return the opponent of the current policy."""
        raise NotImplementedError

    def plan(self, state: GradientState) -> PreferenceDecision:
        """Ask for the opponent's field, or duel with it."""
        if self.duels is None:
            return PreferenceDecision(state.log_policy, state.query)
        return PreferenceDecision(state.log_policy, state.query, state.log_policy, self.duels)

    def update(
        self, state: GradientState, decision: PreferenceDecision, answer: LogPolicy | Duels
    ) -> GradientState:
        """Climb one step of ``P(pi > opponent) - beta KL(pi || ref)``."""
        spec = state.spec
        charge = spec.beta * (state.log_policy - spec.log_reference)
        if isinstance(answer, Duels):
            gradient = policy_gradient(answer, state.log_policy, charge)
        else:
            gain, pi = answer - charge, np.exp(state.log_policy)
            gradient = pi * (gain - (pi * gain).sum(axis=1, keepdims=True))
        state.theta = state.theta + self.learning_rate * gradient
        state.log_policy = log_normalize(state.theta)
        state.query = self.opponent(state)
        return state


@dataclass(frozen=True)
class NashMDPG(GradientMethod):
    """Nash-MD as a policy gradient.

    Parameters
    ----------
    learning_rate, duels
        See `GradientMethod`.
    mixture
        Weight a of the reference in the opponent ``pi^(1 - a) ref^a``, in [0, 1].
    """

    mixture: float = 0.125

    key: ClassVar[str] = "nash-md-pg"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real("mixture", self.mixture, 0.0, 1.0)

    def opponent(self, state: GradientState) -> LogPolicy:
        """Return the geometric mixture with the reference."""
        logits = (1 - self.mixture) * state.log_policy + self.mixture * state.spec.log_reference
        return log_normalize(logits)


@dataclass(frozen=True)
class NashEMA(GradientMethod):
    """Policy gradient against a policy with averaged logits.

    Parameters
    ----------
    learning_rate, duels
        See `GradientMethod`.
    inertia
        b in [0, 1): weight of the first logits, or of the last average.
    recursive
        Whether the average is ``(1 - b) theta_t + b average_{t-1}``; else, as printed,
        ``(1 - b) theta_t + b theta_0``.
    """

    inertia: float = 0.5
    recursive: bool = True

    key: ClassVar[str] = "nash-ema"

    def __post_init__(self) -> None:
        super().__post_init__()
        if check_real("inertia", self.inertia, low=0.0) >= 1:
            raise ValueError(f"inertia must be in [0, 1); got {self.inertia!r}")

    def opponent(self, state: GradientState) -> LogPolicy:
        """Return the policy with averaged logits."""
        anchor = state.average if self.recursive else state.spec.start
        average = (1 - self.inertia) * state.theta + self.inertia * anchor
        state.average = average
        return log_normalize(average)
