"""Policies: action probabilities per stage and state, and mixtures drawn once per episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import (
    check_count,
    check_distribution,
    check_memory,
    check_type,
    count_axes,
    index_array,
    real_array,
)


@dataclass(frozen=True, eq=False)
class Policy(Frozen):
    """A Markov policy.

    Parameters
    ----------
    probabilities
        pi(a | s) for each stage: shape [H, S, A], or [S, A] for a stationary policy. Each row along
        the last axis sums to one.

    Raises
    ------
    ValueError
        If the shape is neither of the two, or a row is not a distribution.
    """

    probabilities: Float[np.ndarray, "H S A"] | Float[np.ndarray, "S A"]

    def __post_init__(self) -> None:
        dims = count_axes("probabilities", self.probabilities)
        if dims not in (2, 3):
            raise ValueError(f"probabilities must have shape (H, S, A) or (S, A); got {dims} axes")
        array = real_array("probabilities", self.probabilities, ("H", "S", "A")[3 - dims :])
        check_distribution("probabilities", array)
        object.__setattr__(self, "probabilities", array)

    @classmethod
    def trusted(cls, probabilities: np.ndarray) -> Policy:
        """Wrap a float64 array that is known to be valid, without checks or a copy (hot loops)."""
        policy = object.__new__(cls)
        object.__setattr__(policy, "probabilities", probabilities)
        return policy

    @classmethod
    def uniform(cls, n_states: int, n_actions: int) -> Policy:
        """Return the stationary policy that draws every action with the same probability."""
        shape = check_count("n_states", n_states), check_count("n_actions", n_actions)
        check_memory("probabilities", *shape)
        return cls(np.broadcast_to(1 / n_actions, shape))

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.probabilities.shape[-2])

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return int(self.probabilities.shape[-1])

    @property
    def horizon(self) -> int | None:
        """Number of stages H, or None for a stationary policy."""
        return int(self.probabilities.shape[0]) if self.probabilities.ndim == 3 else None

    def stages(self, horizon: int) -> Float[np.ndarray, "H S A"]:
        """Return the probabilities as an [H, S, A] array; a stationary policy repeats at each stage."""
        if self.probabilities.ndim == 2:
            return np.ascontiguousarray(
                np.broadcast_to(self.probabilities, (horizon, *self.probabilities.shape))
            )
        if self.horizon != horizon:
            raise ValueError(f"policy has {self.horizon} stages; the model has {horizon}")
        return self.probabilities

    def __repr__(self) -> str:
        return f"Policy(shape={self.probabilities.shape})"


@dataclass(frozen=True, eq=False)
class DeterministicPolicy(Frozen):
    """A Markov policy that takes one action per stage and state.

    Parameters
    ----------
    actions
        The action taken: shape [H, S], or [S] for a stationary policy; entries in [0, A).
    n_actions
        Number of actions A.
    """

    actions: Int[np.ndarray, "H S"] | Int[np.ndarray, " S"]
    n_actions: int

    def __post_init__(self) -> None:
        check_count("n_actions", self.n_actions)
        dims = count_axes("actions", self.actions)
        if dims not in (1, 2):
            raise ValueError(f"actions must have shape (H, S) or (S,); got {dims} axes")
        array = index_array("actions", self.actions, ("H", "S")[2 - dims :], self.n_actions)
        object.__setattr__(self, "actions", array)

    @classmethod
    def trusted(cls, actions: np.ndarray, n_actions: int) -> DeterministicPolicy:
        """Wrap an int64 array that is known to be valid, without checks or a copy (hot loops)."""
        policy = object.__new__(cls)
        object.__setattr__(policy, "actions", actions)
        object.__setattr__(policy, "n_actions", n_actions)
        return policy

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.actions.shape[-1])

    @property
    def horizon(self) -> int | None:
        """Number of stages H, or None for a stationary policy."""
        return int(self.actions.shape[0]) if self.actions.ndim == 2 else None

    @cached_property
    def probabilities(self) -> Float[np.ndarray, "H S A"] | Float[np.ndarray, "S A"]:
        """The same policy as an array of probabilities (zeros and ones)."""
        array: np.ndarray = (self.actions[..., None] == np.arange(self.n_actions)).astype(np.float64)
        array.setflags(write=False)
        return array

    def stages(self, horizon: int) -> Float[np.ndarray, "H S A"]:
        """Return the probabilities as an [H, S, A] array; a stationary policy repeats at each stage."""
        return Policy.trusted(self.probabilities).stages(horizon)

    def __repr__(self) -> str:
        return f"DeterministicPolicy(shape={self.actions.shape}, n_actions={self.n_actions})"


MarkovPolicy: TypeAlias = Policy | DeterministicPolicy


@dataclass(frozen=True, eq=False)
class MixturePolicy(Frozen):
    """A policy drawn once per episode from a finite list, and then played to the end.

    Its value is the weighted average of the values; it is in general not a Markov policy.

    Parameters
    ----------
    weights
        Probability of each policy: shape [M].
    policies
        M Markov policies of the same numbers of states and actions.
    """

    weights: Float[np.ndarray, " M"]
    policies: Sequence[MarkovPolicy] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        check_type("policies", self.policies, Sequence)
        policies = tuple(self.policies)
        weights: Any = real_array("weights", self.weights, (len(policies),))
        check_distribution("weights", weights)
        for index, policy in enumerate(policies):
            check_type(f"policies[{index}]", policy, Policy, DeterministicPolicy)
            sizes = (policy.n_states, policy.n_actions)
            if sizes != (policies[0].n_states, policies[0].n_actions):
                raise ValueError(
                    f"policies[{index}] has (S, A) = {sizes}; policies[0] has "
                    f"{(policies[0].n_states, policies[0].n_actions)}"
                )
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "policies", policies)

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return self.policies[0].n_states

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return self.policies[0].n_actions
