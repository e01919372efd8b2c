"""Robust UCB-VI: optimistic robust planning around empirical rows, for tables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models import Policy
from theoryrl.models._validation import check_fraction, check_real
from theoryrl.protocol import EpisodicDecision, OffDynamicsSpec
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.robust._operators import soft_greedy
from theoryrl.solvers.robust.backups import expectation

TIE = 1e-12
"""Action values that differ by less are equal up to rounding."""


@dataclass(slots=True, eq=False)
class RobustUCBVIState:
    """Transition counts [H, d, S] of the rows, the row of each pair, and the values of the last plan."""

    spec: OffDynamicsSpec
    row: Int[np.ndarray, "S A"]
    radii: Float[np.ndarray, "H d"]
    counts: Float[np.ndarray, "H d S"]
    Q: Float[np.ndarray, "H S A"]
    V: Float[np.ndarray, "K S"]


@dataclass(frozen=True)
class RobustUCBVI:
    """Optimistic robust value iteration with empirical rows and a Hoeffding bonus.

    In each episode, from the last stage to the first, with N visits of a row and its empirical law::

        Q_h = r_h + clip(inf over the set around the empirical row of P V_{h+1}
                         + c H sqrt(log(S A H K / delta) / N), 0, R_h)

    and R_h where the row was never seen. Every set that can be planned with can be learned here, KL and
    chi-square balls too; only for total variation is the form of the bonus the usual one.

    Parameters
    ----------
    scale
        c > 0. No theorem of this library names one.
    delta
        In (0, 1).
    """

    scale: float = 1.0
    delta: float = 0.05

    key: ClassVar[str] = "robust-ucbvi"
    guaranteed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if check_real("scale", self.scale, low=0.0) == 0.0:
            raise ValueError("scale must be positive; got 0")
        check_fraction("delta", self.delta)

    def init(self, spec: OffDynamicsSpec, rng: np.random.Generator) -> RobustUCBVIState:
        """Return the state without data; raise `ValueError` unless features are unit vectors."""
        H, S, A, d = spec.shape
        if not ((spec.phi == 1.0) | (spec.phi == 0.0)).all() or not (spec.phi.sum(axis=2) == 1.0).all():
            raise ValueError(f"{self.key} is for tables: phi must hold unit vectors")
        return RobustUCBVIState(
            spec=spec,
            row=spec.phi.argmax(axis=2),
            radii=spec.uncertainty.radii((H, d)),
            counts=np.zeros((H, d, S)),
            Q=np.zeros((H, S, A)),
            V=np.zeros((H + 1, S)),
        )

    def plan(self, state: RobustUCBVIState) -> EpisodicDecision:
        """Return the policy of the optimistic plan."""
        spec = state.spec
        H, S, A, _ = spec.shape
        pi = np.empty((H, S, A))
        width = self.scale * spec.caps[0] * math.sqrt(math.log(S * A * H * spec.rounds / self.delta))
        for h in range(H - 1, -1, -1):
            N = state.counts[h].sum(axis=1)
            u = spec.theta[h] + self._upper(state, h, N, width)
            state.Q[h] = np.clip(u[state.row], 0.0, spec.caps[h])
            if spec.fail_state is not None:
                state.Q[h, spec.fail_state] = 0.0
            if spec.temperature > 0:
                pi[h], state.V[h] = soft_greedy(state.Q[h], spec.temperature, spec.reference[h])
            else:
                pi[h], state.V[h] = _least_tried(state.Q[h], N[state.row]), state.Q[h].max(axis=1)
        upper = float(spec.rho @ state.V[0])
        return EpisodicDecision(Policy.trusted(pi), None, {"upper": upper})

    def _upper(self, state: RobustUCBVIState, h: int, N: np.ndarray, width: float) -> np.ndarray:
        """Return the optimistic least expectation of the next value over the set of each row."""
        spec = state.spec
        S, top = len(spec.rho), spec.caps[h + 1]
        if top == 0.0:
            return np.zeros(len(N))
        empirical = np.where(N[:, None] > 0, state.counts[h] / np.maximum(N, 1.0)[:, None], 1.0 / S)
        sigma = expectation(
            spec.uncertainty, empirical, state.V[h + 1], sink=spec.fail_state, radii=state.radii[h]
        ).value
        bonus = np.divide(width, np.sqrt(N), out=np.full(len(N), np.inf), where=N > 0)
        return np.clip(sigma + bonus, 0.0, top)

    def update(
        self, state: RobustUCBVIState, decision: EpisodicDecision, observation: Trajectories
    ) -> RobustUCBVIState:
        """Count the transitions."""
        states, actions = observation.states, observation.actions
        stages = np.broadcast_to(np.arange(actions.shape[1]), actions.shape)
        np.add.at(state.counts, (stages, state.row[states[:, :-1], actions], states[:, 1:]), 1.0)
        return state


def _least_tried(Q: np.ndarray, N: np.ndarray) -> np.ndarray:
    """Return the greedy policy that takes, among equal values, the action that was tried least."""
    ties = Q >= Q.max(axis=1, keepdims=True) - TIE
    pi = np.zeros(Q.shape)
    pi[np.arange(len(Q)), np.where(ties, N, np.inf).argmin(axis=1)] = 1.0
    return pi
