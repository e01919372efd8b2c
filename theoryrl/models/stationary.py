"""Markov decision processes without a horizon: discounted, and in the long-run average.

In state s the learner takes an action a that is available there, receives a reward with mean r(s, a)
and moves to s' ~ P(. | s, a). The value of a policy is

    V(s) = E[ sum_t gamma^t r(s_t, a_t) | s_0 = s ]                  (discounted, 0 <= gamma < 1)
    g(s) = lim_T (1 / T) E[ sum_{t < T} r(s_t, a_t) | s_0 = s ]      (average reward).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import (
    check_interval,
    check_memory,
    check_real,
    check_type,
    count_axes,
    real_array,
)
from theoryrl.models.episodic import RewardNoise
from theoryrl.models.transitions import (
    SparseTransitions,
    Transitions,
    as_transitions,
    check_allowed,
    check_rows,
)


@dataclass(frozen=True, eq=False)
class StationaryMDP(Frozen):
    """What the models without a horizon share: one kernel and one reward table for all time."""

    P: Transitions
    r: Float[np.ndarray, "S A"]

    def _set_tables(self, allowed: Any, noise: Any) -> None:
        """Validate and keep the tables; called once by each model's constructor."""
        P = as_transitions(self.P)
        S, A, _ = P.shape
        mask = check_allowed(allowed, S, A)
        error = check_rows(P, mask)
        check_type("noise", noise, RewardNoise)
        r = expected_rewards(P, self.r)
        if noise.kind == "bernoulli":
            check_interval("r (with Bernoulli noise)", r, 0.0, 1.0)
        for name, value in (("P", P), ("r", r), ("allowed", mask), ("row_sum_error", error)):
            object.__setattr__(self, name, value)

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.r.shape[0])

    @property
    def n_actions(self) -> int:
        """Number of actions A, available or not."""
        return int(self.r.shape[1])

    @property
    def is_sparse(self) -> bool:
        """Whether `P` is a `SparseTransitions`."""
        return isinstance(self.P, SparseTransitions)

    @property
    def has_unit_rewards(self) -> bool:
        """Whether every expected reward lies in [0, 1], as most theorems assume."""
        return bool(self.r.min() >= 0 and self.r.max() <= 1)

    @property
    def mask(self) -> Bool[np.ndarray, "S A"]:
        """`allowed` as an array, all true where every action is available."""
        allowed: np.ndarray | None = getattr(self, "allowed", None)
        return np.ones(self.r.shape, dtype=np.bool_) if allowed is None else allowed

    def dense_P(self) -> Float[np.ndarray, "S A S"]:
        """Return P as a dense array (a new one if the model is sparse)."""
        if isinstance(self.P, SparseTransitions):
            check_memory("P", *self.P.shape)
            return np.asarray(self.P.to_scipy().toarray().reshape(self.P.shape))
        return self.P

    def sparse_P(self) -> sparse.csr_array:
        """Return P as a SciPy array of shape (S A, S); it shares the memory of a sparse model."""
        if isinstance(self.P, SparseTransitions):
            return self.P.to_scipy()
        return sparse.csr_array(self.P.reshape(-1, self.n_states))

    def _describe(self, *more: str) -> str:
        stored = [f"stored={self.P.probabilities.size}"] if isinstance(self.P, SparseTransitions) else []
        parts = ", ".join((f"S={self.n_states}", f"A={self.n_actions}", *stored, *more))
        return f"{type(self).__name__}({parts})"


@dataclass(frozen=True, eq=False)
class DiscountedMDP(StationaryMDP):
    """A discounted MDP.

    Parameters
    ----------
    P
        Transition probabilities: a dense array P[s, a, s'] of shape [S, A, S], a SciPy sparse matrix
        of shape (S A, S) whose row s * A + a belongs to (s, a), or a `SparseTransitions`.
    r
        Expected rewards r[s, a]: shape [S, A]. Rewards r(s, a, s') of transitions, in the layout of
        P, are averaged over P once; what is kept is r[s, a].
    gamma
        Discount factor, in [0, 1).
    allowed
        Which actions are available: booleans of shape [S, A], at least one true per state. Default:
        all. Rows and rewards of other actions are never used: their row may be empty or zero, and
        their reward any finite number.
    noise
        Law of an observed reward around r.

    Attributes
    ----------
    row_sum_error
        Proven bound on the distance of any row sum from one, which certificates account for.

    Raises
    ------
    ValueError
        On a wrong shape, a number that is not finite, a row that is not a distribution, a state
        without an action, or a discount factor outside [0, 1).
    """

    gamma: float
    allowed: Bool[np.ndarray, "S A"] | None = None
    noise: RewardNoise = field(default_factory=RewardNoise)
    row_sum_error: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        gamma = check_real("gamma", self.gamma)
        if not 0 <= gamma < 1:
            raise ValueError(f"gamma must be in [0, 1); got {self.gamma!r}")
        object.__setattr__(self, "gamma", gamma)
        self._set_tables(self.allowed, self.noise)

    def __repr__(self) -> str:
        return self._describe(f"gamma={self.gamma:g}")


@dataclass(frozen=True, eq=False)
class AverageRewardMDP(StationaryMDP):
    """An MDP judged by its long-run average reward per step.

    Parameters
    ----------
    P, r, allowed, noise
        As of `DiscountedMDP`.

    Attributes
    ----------
    row_sum_error
        Proven bound on the distance of any row sum from one, which certificates account for.
    """

    allowed: Bool[np.ndarray, "S A"] | None = None
    noise: RewardNoise = field(default_factory=RewardNoise)
    row_sum_error: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._set_tables(self.allowed, self.noise)

    def __repr__(self) -> str:
        return self._describe()


def expected_rewards(P: Any, r: Any) -> np.ndarray:
    """Return r[s, a], averaging rewards of transitions over P (read-only)."""
    S, A, _ = P.shape
    if sparse.issparse(r):
        if r.shape != (S * A, S):
            raise ValueError(f"r must have shape ({S * A}, {S}) if sparse; got shape {r.shape}")
        real_array("r", r.tocsr().data, ("N",), allow_empty=True)
        flat = P.to_scipy() if isinstance(P, SparseTransitions) else sparse.csr_array(P.reshape(S * A, S))
        average = flat.multiply(sparse.csr_array(r)).sum(axis=1)
        return real_array("r", np.asarray(average).reshape(S, A), (S, A))
    if count_axes("r", r) != 3:
        return real_array("r", r, (S, A))
    rewards = real_array("r", r, (S, A, S))
    if isinstance(P, SparseTransitions):
        flat = P.to_scipy()
        average = flat.multiply(rewards.reshape(S * A, S)).sum(axis=1)
        return real_array("r", np.asarray(average).reshape(S, A), (S, A))
    return real_array("r", np.einsum("sat,sat->sa", P, rewards), (S, A))
