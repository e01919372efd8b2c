r"""Ridge regression on features, shared by the learners of linear models.

For each stage h the data are features phi_tau and next states s_tau. With

    Lambda_h = lambda I + sum_tau phi_tau phi_tau^T,     G_h = sum_tau phi_tau e_{s_tau}^T,

the ridge estimate of the factors is M_h = Lambda_h^{-1} G_h (rows signed, not normalised), and the
regression of any function f of the next state is M_h f: one pair (Lambda, G) serves all of them, at a
cost that does not depend on the number of episodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners._ridge_kernels import record_episodes

REFRESH = 1000
"""Updates of rank one between two fresh inverses, which keep the rounding of the updates from growing."""


@dataclass(slots=True, eq=False)
class Ridge:
    """Sums and inverses of the ridge regressions of all stages; the arrays are updated in place.

    Attributes
    ----------
    ridge
        lambda > 0.
    Lambda, inverse
        Lambda_h and its inverse: shape [H, d, d].
    G
        Sums of features by next state: shape [H, d, S].
    log_det
        log det(Lambda_h / lambda): shape [H].
    updates
        Episodes recorded so far.
    """

    ridge: float
    Lambda: Float[np.ndarray, "H d d"]
    inverse: Float[np.ndarray, "H d d"]
    G: Float[np.ndarray, "H d S"]
    log_det: Float[np.ndarray, " H"]
    updates: int = 0

    @classmethod
    def start(cls, horizon: int, dimension: int, n_states: int, ridge: float) -> Ridge:
        """Return the regressions without data."""
        eye = np.broadcast_to(np.eye(dimension), (horizon, dimension, dimension))
        return cls(
            ridge=ridge,
            Lambda=ridge * eye,
            inverse=eye / ridge,
            G=np.zeros((horizon, dimension, n_states)),
            log_det=np.zeros(horizon),
        )

    def record(
        self,
        phi: Float[np.ndarray, "S A d"],
        states: Int[np.ndarray, "N H1"],
        actions: Int[np.ndarray, "N H"],
        weights: Float[np.ndarray, "N H"] | None = None,
    ) -> None:
        """Add episodes; an observation of weight w counts as w observations (default one)."""
        if weights is None:
            weights = np.ones(actions.shape)
        record_episodes(phi, states, actions, weights, self.Lambda, self.inverse, self.G, self.log_det)
        before, self.updates = self.updates, self.updates + len(actions)
        if before // REFRESH != self.updates // REFRESH:
            self.refresh()

    def refresh(self) -> None:
        """Compute inverses and determinants anew from Lambda."""
        self.inverse[:] = np.linalg.inv(self.Lambda)
        self.log_det[:] = np.linalg.slogdet(self.Lambda / self.ridge)[1]

    @property
    def estimate(self) -> Float[np.ndarray, "H d S"]:
        """M_h = Lambda_h^{-1} G_h."""
        return self.inverse @ self.G
