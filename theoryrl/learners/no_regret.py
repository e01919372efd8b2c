"""Online linear optimisation over the simplex, one problem per context: what SPO plays against itself.

In round t a policy p_t[X, n] is played and utilities u_t in [-1, 1] are revealed. A method is a rule that
turns its memory of u_1, ..., u_{t-1} into p_t, and a rule that updates the memory:

========================  =====================================================  ========================
method                    p_t                                                    regret after T rounds
========================  =====================================================  ========================
hedge                     ``exp(eta U_{t-1})``                                   ``ln n / eta + eta T / 2``
anytime-hedge             ``exp(eta_t U_{t-1})``, ``eta_t = sqrt(ln n / t)``     ``2 sqrt(T ln n)``
optimistic-hedge          ``exp(eta (U_{t-1} + u_{t-1}))``                       ``ln n / eta + eta``
regret-matching           ``[R_{t-1}]^+``, R the sums of ``u - <p, u>``          ``sqrt(n T)``
regret-matching-plus      Q_{t-1}, ``Q = [Q + u - <p, u>]^+``                    ``sqrt(n T)``
projection                Euclidean projection of ``p_{t-1} + eta u_{t-1}``      ``1 / (2 eta) + eta n T / 2``
fictitious-play           best response to ``U_{t-1}``, ties shared              none
========================  =====================================================  ========================

Each p_t is normalised; U, Q, R start at 0, where all methods play the uniform policy. The bound of
optimistic Hedge is for self-play. Proofs: the SPO page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from theoryrl.models._validation import check_choice
from theoryrl.solvers.preference.fields import LogPolicy
from theoryrl.solvers.simplex import log_normalize

METHODS = (
    "hedge",
    "anytime-hedge",
    "optimistic-hedge",
    "regret-matching",
    "regret-matching-plus",
    "projection",
    "fictitious-play",
)
STEPPED = ("hedge", "optimistic-hedge", "projection")
"""Methods with a constant step eta."""

OPTIMISTIC_STEP = 0.5
"""The largest step of the fast rate."""


class Memory(NamedTuple):
    """What a method remembers.

    Attributes
    ----------
    total
        U, R or Q of the table; for ``projection`` the current policy itself: shape [X, n].
    last
        u_{t-1}: shape [X, n].
    rounds
        t - 1.
    """

    total: Float[np.ndarray, "X n"]
    last: Float[np.ndarray, "X n"]
    rounds: int


def default_step(method: str, n: int, rounds: int) -> float:
    """Return the step that minimises the method's bound after `rounds` rounds; 0 where n = 1 leaves none."""
    if method == "optimistic-hedge":
        return OPTIMISTIC_STEP
    if method == "projection":
        return float(np.sqrt((1 - 1 / n) / (n * rounds)))
    return float(np.sqrt(2 * np.log(n) / rounds))


@dataclass(frozen=True)
class NoRegret:
    """A method with its step.

    Parameters
    ----------
    method
        One of `METHODS`.
    eta
        Step of those in `STEPPED`; unused by the others.
    """

    method: str
    eta: float = 0.0

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)

    def start(self, X: int, n: int) -> Memory:
        """Return the memory before the first round."""
        zero = np.zeros((X, n))
        total = np.full((X, n), 1 / n) if self.method == "projection" else zero
        return Memory(total, zero, 0)

    def policy(self, memory: Memory) -> LogPolicy:
        """Return the logarithms of the policy of the next round, -inf where it has no mass."""
        total, last, t = memory
        if self.method == "hedge":
            return log_normalize(self.eta * total)
        if self.method == "anytime-hedge":
            return log_normalize(np.sqrt(np.log(total.shape[1]) / (t + 1)) * total)
        if self.method == "optimistic-hedge":
            return log_normalize(self.eta * (total + last))
        if self.method == "fictitious-play":
            return _logarithms((total == total.max(axis=1, keepdims=True)).astype(np.float64))
        return _logarithms(np.maximum(total, 0.0))

    def learn(self, memory: Memory, p: LogPolicy, u: Float[np.ndarray, "X n"]) -> Memory:
        """Return the memory after utilities u of the policy with logarithms p."""
        if self.method == "projection":
            return Memory(project_to_simplex(memory.total + self.eta * u), u, memory.rounds + 1)
        gain = u
        if self.method.startswith("regret-matching"):
            gain = u - (np.exp(p) * u).sum(axis=1, keepdims=True)
        total = memory.total + gain
        if self.method == "regret-matching-plus":
            total = np.maximum(total, 0.0)
        return Memory(total, u, memory.rounds + 1)


def _logarithms(weights: Float[np.ndarray, "X n"]) -> LogPolicy:
    """Return the logarithms of the distribution with these weights, uniform where all are 0."""
    mass = weights.sum(axis=1, keepdims=True)
    p = np.divide(weights, mass, out=np.full(weights.shape, 1 / weights.shape[1]), where=mass > 0)
    with np.errstate(divide="ignore"):
        return np.log(p)


def project_to_simplex(v: Float[np.ndarray, "X n"]) -> Float[np.ndarray, "X n"]:
    """Return the distribution closest to each row in Euclidean distance.

    Source: Held, Wolfe and Crowder (1974).
    """
    n = v.shape[1]
    ordered = -np.sort(-v, axis=1)
    thresholds = (np.cumsum(ordered, axis=1) - 1) / np.arange(1, n + 1)
    kept = (ordered > thresholds).sum(axis=1)
    return np.maximum(v - thresholds[np.arange(len(v)), kept - 1][:, None], 0.0)
