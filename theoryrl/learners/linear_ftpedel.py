"""FTPedel for small linear MDPs: widths through features instead of counts of pairs.

With ``Lambda_h = sum_{s,a} N_h phi phi^T + lam I`` the estimates are ::

    muhat_h(s') = Lambda_h^-1 sum n3_h(s,a,s') phi(s,a),     thetahat_h = Lambda_h^-1 sum_{s,a} sums_h phi,
    phihat_1 = E_rho phi(s, pi),   phihat_{h+1} = sum_s' <muhat_h(s'), phihat_h> phi(s', pi),
    Vhat = sum_h <phihat_h, thetahat_h>,
    W = sum_h (g_h + sqrt(kappa lam d) (H-h+1)) |phihat_h|_{Lambda_h^-1},
    g_h = (H-h+1)/2 sqrt( kappa (2 log(H |Pi| / delta) + log det(Lambda_h / lam)) ).

The proof is the tabular one, with ``|theta|, |mu| <= sqrt d`` for the bias. One-hot features give the tabular
values; the bias term differs (it is bounded in norm). Everything else is FTPedel.

Source: ours, after Wagenmaker and Jamieson (2022); FTPedel page, evaluation identity and widths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float

from theoryrl.learners._identification import (
    STOPS,
    EliminationState,
    batch_size,
    check_accuracy,
    check_identification,
    eliminate,
    halt,
    is_last,
    nearly_equal_parts,
    recommend,
    stage_accuracy,
)
from theoryrl.learners.ftpedel import one_hot
from theoryrl.models._validation import at, check_choice, check_count, check_flag, first_index, real_array
from theoryrl.models.linear import UNIT_BALL_TOLERANCE
from theoryrl.protocol.identification import Batch, BatchCounts, IdentificationSpec


class LinearEstimates(NamedTuple):
    """Values and widths of policies, and what the design needs.

    Attributes
    ----------
    values, widths
        Vhat and W: shape [M].
    targets
        phihat: shape [M, H, d].
    inverses
        Lambda_h^-1: shape [H, d, d].
    factors
        g_h with the factor of the bias: shape [H].
    kernel
        <phi(s, a), muhat_h(s')>, in general not a probability: shape [H, S, A, S].
    """

    values: Float[np.ndarray, " M"]
    widths: Float[np.ndarray, " M"]
    targets: Float[np.ndarray, "M H d"]
    inverses: Float[np.ndarray, "H d d"]
    factors: Float[np.ndarray, " H"]
    kernel: Float[np.ndarray, "H S A S"]


def linear_estimates(
    transitions: np.ndarray,
    reward_sums: np.ndarray,
    rho: np.ndarray,
    phi: Float[np.ndarray, "S A d"],
    actions: np.ndarray,
    log_policies: float,
    delta: float,
    lam: float,
    kappa: float,
) -> LinearEstimates:
    """Return values and widths of policies [M, H, S] from counts."""
    H, S = transitions.shape[:2]
    d = phi.shape[2]
    N = transitions.sum(axis=3)
    Lambda = np.einsum("hsa,sad,sae->hde", N, phi, phi) + lam * np.eye(d)
    inverse = np.linalg.inv(Lambda)
    theta = np.einsum("hde,hsa,sae->hd", inverse, reward_sums, phi)
    mu = np.einsum("hde,hsat,sae->hdt", inverse, transitions, phi)
    remaining = np.arange(H, 0, -1.0)
    log_det = np.linalg.slogdet(Lambda / lam)[1]
    g = remaining / 2 * np.sqrt(kappa * (2 * (np.log(H / delta) + log_policies) + log_det))
    factors = g + np.sqrt(kappa * lam * d) * remaining
    states = np.arange(S)
    targets = np.empty((len(actions), H, d))
    weight = np.broadcast_to(rho, (len(actions), S))
    for h in range(H):
        targets[:, h] = np.einsum("ms,msd->md", weight, phi[states, actions[:, h]])
        weight = targets[:, h] @ mu[h]
    norms = np.sqrt(np.einsum("mhd,hde,mhe->mh", targets, inverse, targets))
    kernel = np.einsum("sad,hdt->hsat", phi, mu)
    return LinearEstimates(
        np.einsum("mhd,hd->m", targets, theta), norms @ factors, targets, inverse, factors, kernel
    )


@dataclass(frozen=True, kw_only=True)
class LinearFTPedel:
    """FTPedel with known features.

    Parameters
    ----------
    features
        phi(s, a), each of norm at most 1: shape [S, A, d]; None: one-hot.
    eps, delta, conf_scale, inner_steps, stop, growth, eta, lam, use_offline
        As for `theoryrl.learners.FTPedel`. The guarantee is for linear MDPs with these features.
    """

    features: Any = None
    eps: float = 0.1
    delta: float = 0.1
    conf_scale: float = 1.0
    inner_steps: int = 16
    stop: str = "2eps"
    growth: float = 0.05
    eta: float = 30.0
    lam: float = 1.0
    use_offline: bool = True

    key: ClassVar[str] = "linear-ftpedel"

    def __post_init__(self) -> None:
        check_choice("stop", self.stop, STOPS)
        check_count("inner_steps", self.inner_steps)
        check_flag("use_offline", self.use_offline)
        check_identification(self)
        if self.features is None:
            return
        phi = real_array("features", self.features, ("S", "A", "d"))
        outside = np.linalg.norm(phi, axis=2) > 1 + UNIT_BALL_TOLERANCE
        if outside.any():
            index = first_index(outside)
            norm = float(np.linalg.norm(phi[index]))
            raise ValueError(f"{at('features', (*index, ':'))} must have norm at most 1; it has {norm!r}")
        object.__setattr__(self, "features", phi)

    @property
    def guaranteed(self) -> bool:
        """Whether the factors are those of the proof."""
        return self.conf_scale >= 1

    def _phi(self, spec: IdentificationSpec) -> Float[np.ndarray, "S A d"]:
        _, S, A = spec.shape
        if self.features is None:
            return np.eye(S * A).reshape(S, A, S * A)
        if self.features.shape[:2] != (S, A):
            raise ValueError(f"features must have (S, A) = {(S, A)} of the task; got {self.features.shape}")
        return np.asarray(self.features)

    def init(self, spec: IdentificationSpec, rng: np.random.Generator) -> EliminationState:
        """Return the state before the first episode."""
        check_accuracy(self.eps, spec)
        self._phi(spec)
        state = EliminationState(**EliminationState.fields_of(spec, rng, self.use_offline))
        state.alive = np.arange(len(spec.policies))
        return state

    def estimates(self, state: EliminationState) -> LinearEstimates:
        """Return values and widths of the policies alive."""
        return linear_estimates(
            state.transitions, state.reward_sums, state.spec.rho, self._phi(state.spec), state.actions,
            float(np.log(len(state.spec.policies))), self.delta, self.lam, self.conf_scale,
        )  # fmt: skip

    def plan(self, state: EliminationState) -> Batch:
        """Pass all stages that the data allow, then explore or stop."""
        while True:
            found = self.estimates(state)
            accuracy = stage_accuracy(state.level, state.spec.shape[0], self.eps, self.stop)
            if found.widths.max() > accuracy or state.stopped:
                break
            state.alive, state.best = eliminate(state.alive, found.values, accuracy)
            state.level += 1
            state.stopped = state.certified = len(state.alive) == 1 or is_last(accuracy, self.eps, self.stop)
        if not state.certified:
            state.best = int(state.alive[int(found.values.argmax())])
        state.stopped = state.stopped or state.left <= 0
        numbers = {
            "online": float(state.online), "stopped": float(state.stopped),
            "certified": float(state.certified), "width": float(found.widths.max()),
            "accuracy": accuracy, "alive": float(len(state.alive)),
        }  # fmt: skip
        policy = recommend(state, state.best)
        if state.stopped:
            return halt(state.spec, policy, numbers)
        parts = nearly_equal_parts(batch_size(state.online, self.growth, state.left), self.inner_steps)
        chosen = self._design(state, found, parts)
        return Batch(policy, one_hot(chosen, state.spec.shape[2]), parts, numbers)

    def _design(self, state: EliminationState, found: LinearEstimates, parts: np.ndarray) -> np.ndarray:
        """Frank-Wolfe steps on virtual counts: gains are the decrease of the smoothed largest width."""
        phi = self._phi(state.spec)
        H, S, _ = state.spec.shape
        inverse = found.inverses.copy()
        chosen = np.zeros((len(parts), H, S), dtype=np.int64)
        for j, episodes in enumerate(parts):
            solved = np.einsum("hde,mhe->mhd", inverse, found.targets)
            norms = np.sqrt(np.maximum(np.einsum("mhd,mhd->mh", solved, found.targets), 1e-300))
            W = norms @ found.factors
            q = np.exp(self.eta * (W / W.max() - 1))
            squares = np.einsum("mhd,sad->mhsa", solved, phi) ** 2
            gains = np.einsum("m,h,mh,mhsa->hsa", q, found.factors, 0.5 / norms, squares)
            V = np.zeros(S)
            for h in range(H - 1, -1, -1):
                Q = gains[h] + found.kernel[h] @ V
                chosen[j, h] = (Q + 1e-12 * Q.max() * state.rng.random(Q.shape)).argmax(axis=1)
                V = Q[np.arange(S), chosen[j, h]]
            inverse = self._after(inverse, found, state.spec.rho, phi, chosen[j], int(episodes))
        return chosen

    def _after(
        self, inverse: np.ndarray, found: LinearEstimates, rho: np.ndarray, phi: np.ndarray,
        actions: np.ndarray, episodes: int,
    ) -> np.ndarray:  # fmt: skip
        """Return the inverses after virtual episodes of a policy; negative estimated mass is not counted."""
        states, weight = np.arange(len(rho)), rho
        Lambda = np.linalg.inv(inverse)
        for h, a in enumerate(actions):
            own = phi[states, a]
            mass = np.maximum(weight, 0.0)
            Lambda[h] += episodes * (own.T * mass) @ own
            weight = mass @ found.kernel[h][states, a]
        return np.linalg.inv(Lambda)

    def update(self, state: EliminationState, decision: Batch, observation: BatchCounts) -> EliminationState:
        """Add a finished batch."""
        state.learn(decision, observation)
        return state
