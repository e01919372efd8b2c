"""Relatives of DR-RPO: without regularisation, without robustness, or with weighted regressions.

They share its regressions and its planning; what differs is stated in each class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners.dr_rpo import DRRPO, DRRPOState
from theoryrl.protocol import EpisodicDecision
from theoryrl.solvers.episodic import Trajectories


@dataclass(frozen=True)
class DRLSVIUCB(DRRPO):
    """DR-LSVI-UCB: robust least-squares value iteration, greedy (Liu and Xu 2024).

    DR-RPO at temperature zero; with the theory's bonus its guarantee is against the unregularised robust
    optimum. ``bonus="factor-l2", beta=1, ridge=0.1, tie_break=False`` is the public code's form.
    """

    temperature: float | None = 0.0

    key: ClassVar[str] = "dr-lsvi-ucb"


@dataclass(frozen=True)
class LSVIUCB(DRRPO):
    """LSVI-UCB: optimistic least-squares value iteration for the nominal model (Jin et al. 2020).

    Temperature and radii are zero, and the bonus is elliptic; rewards are known, as for the others. For one
    regression the elliptic form is the right one, but values then depend on the matrix Lambda_h, which
    the covering argument behind the bonus factor of `DRRPO` does not count (Jin et al. pay another
    sqrt(d) for it): the default factor is DR-RPO's, and no guarantee is claimed.
    """

    temperature: float | None = 0.0
    bonus: str = "elliptic"

    key: ClassVar[str] = "lsvi-ucb"
    robust: ClassVar[bool] = False


@dataclass(frozen=True)
class RPO(DRRPO):
    """Regularised policy optimisation for the nominal model: DR-RPO with all radii zero.

    With ``temperature=0`` and a finite `step` it is an optimistic mirror ascent in the manner of OPPO.
    """

    key: ClassVar[str] = "rpo"
    robust: ClassVar[bool] = False


@dataclass(frozen=True)
class WeDriveU(DRRPO):
    """Variance-weighted robust regression with rare switching, in the style of We-DRIVE-U.

    Each observation has the weight of `variance_weights` under the current estimate. Liu, Wang and Xu
    (2024) describe their algorithm further; that text was not available, so this is a baseline in its
    style, without a guarantee of its own.
    """

    temperature: float | None = 0.0
    switching: str = "doubling"

    key: ClassVar[str] = "we-drive-u"

    @property
    def guaranteed(self) -> bool:
        """No theorem covers the weights."""
        return False

    def update(self, state: DRRPOState, decision: EpisodicDecision, observation: Trajectories) -> DRRPOState:
        """Add the episode, each step weighted by its estimated variance."""
        weights = variance_weights(state, observation.states, observation.actions)
        state.regression.record(state.spec.phi, observation.states, observation.actions, weights)
        return state


def variance_weights(
    state: DRRPOState, states: Int[np.ndarray, "N H1"], actions: Int[np.ndarray, "N H"]
) -> Float[np.ndarray, "N H"]:
    """Return 1 / max(1, variance) of the next value of the last plan, at each step of the episodes.

    The variance is clip(<phi, M V^2>, 0, H^2) - clip(<phi, M V>, 0, H)^2, as in public code of a relative.
    """
    phi, V, top = state.spec.phi[states[:, :-1], actions], state.V[1:], state.spec.caps[0]
    first = np.einsum("nhd,hds,hs->nh", phi, state.M, V).clip(0.0, top)
    second = np.einsum("nhd,hds,hs->nh", phi, state.M, V**2).clip(0.0, top**2)
    weights: np.ndarray = 1.0 / np.maximum(1.0, second - first**2)
    return weights
