"""What the methods for preference games share: their state, and checks of their parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.models._validation import check_real
from theoryrl.protocol import PreferenceDecision, PreferenceSpec
from theoryrl.solvers.preference.fields import LogPolicy


@dataclass(slots=True, eq=False)
class Iterate:
    """Where a method stands; its arrays are replaced, never changed.

    Attributes
    ----------
    spec
        What the method was told.
    log_policy
        The policy that it holds: shape [X, n].
    query
        The policy that it asks about next: shape [X, n].
    step
        Step of each context: shape [X, 1].
    answered
        Number of answers received.
    """

    spec: PreferenceSpec
    log_policy: LogPolicy
    query: LogPolicy
    step: Float[np.ndarray, "X 1"]
    answered: int = 0


@dataclass(frozen=True)
class FieldMethod:
    """A method that asks for exact fields; subclasses say what to start with and how to move."""

    key: ClassVar[str]

    @property
    def guaranteed(self) -> bool:
        """Whether a theorem promises convergence of the last iterate with these parameters."""
        return True

    def init(self, spec: PreferenceSpec, rng: np.random.Generator) -> Iterate:
        """Return the state before the first query."""
        require_regularized(spec, self.key)
        return Iterate(spec, spec.start, spec.start, self.steps(spec))

    def steps(self, spec: PreferenceSpec) -> Float[np.ndarray, "X 1"]:
        """Return the step of each context."""
        raise NotImplementedError

    def plan(self, state: Iterate) -> PreferenceDecision:
        """Ask about the policy that the state names."""
        return PreferenceDecision(state.log_policy, state.query)

    def update(self, state: Iterate, decision: PreferenceDecision, field: LogPolicy) -> Iterate:
        """Move with the field of the policy that was asked about."""
        self.move(state, field)
        state.answered += 1
        return state

    def move(self, state: Iterate, field: LogPolicy) -> None:
        """Set the policy to hold and the policy to ask about next."""
        raise NotImplementedError


def require_regularized(spec: PreferenceSpec, key: str) -> None:
    """Raise unless the game is regularised."""
    if spec.beta <= 0:
        raise ValueError(
            f"{key} needs a regularised game: PreferenceGame.regularized(beta, reference) makes one"
        )


def check_positive(name: str, value: float) -> float:
    """Return `value` as a positive finite float."""
    number = check_real(name, value)
    if number <= 0:
        raise ValueError(f"{name} must be positive; got {value!r}")
    return number


def constant_steps(spec: PreferenceSpec, step: float) -> Float[np.ndarray, "X 1"]:
    """Return the same step for every context."""
    return np.full((spec.n_contexts, 1), step)
