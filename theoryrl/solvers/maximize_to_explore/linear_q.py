r"""Optimism over linear action-value functions with ridge regression.

Q_h(s, a) = <phi(s, a), w_h>, V_h = clip(max_a Q_h, 0, H-h). With Lambda_h = lambda I + sum phi phi^T,
b_h = sum phi r and G_h = sum phi e_{s'}^T, the regression of a next value is
what_h(V) = Lambda_h^{-1} (b_h + G_h V), and the ridge loss of w_h minus its minimum is *exactly*
||w_h - what_h(V_{h+1})||^2 in the norm of Lambda_h, so that the objective of w is

    J(w) = V_0(rho) - eta sum_h ||w_h - what_h(V_{h+1})||^2_{Lambda_h}.

For a fixed policy without clipping the optimum is closed: with phibar_0 = sum_s rho(s) phi(s, pi_0(s)),
x_h = Lambda_h^{-1} phibar_h and phibar_{h+1} = M_h^T x_h, M_h = G_h Phi^pi_{h+1},

    w_h - what_h = x_h / (2 eta),    J(pi) = Vhat^pi + (1/(4 eta)) sum_h ||phibar_h||^2_{Lambda_h^{-1}} .

The search alternates between this and the policy that is greedy for the clipped values, from several
policies, and keeps the w with the largest exact J. It is not monotone in general (the weights that
regression implies may be negative) and has no certificate: the result is what was found, not the optimum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from theoryrl.solvers.maximize_to_explore import _linear_kernels

ALTERNATIONS = 8
"""Most alternations from one starting policy."""


class RidgeData(NamedTuple):
    """What the regressions of all stages need.

    Attributes
    ----------
    phi
        Features: shape [S, A, d].
    Lambda, inverse
        Lambda_h and its inverse: shape [H, d, d].
    b
        sum phi r: shape [H, d].
    G
        sum phi e_{s'}^T: shape [H, d, S].
    rho
        Distribution of the first state.
    """

    phi: Float[np.ndarray, "S A d"]
    Lambda: Float[np.ndarray, "H d d"]
    inverse: Float[np.ndarray, "H d d"]
    b: Float[np.ndarray, "H d"]
    G: Float[np.ndarray, "H d S"]
    rho: Float[np.ndarray, " S"]


class PlannedLinearQ(NamedTuple):
    """Weights with the largest objective that was found.

    Attributes
    ----------
    w
        Weights: shape [H, d].
    actions
        Greedy actions before clipping: shape [H, S].
    objective, start_value
        J(w), and V_0 averaged over the first state.
    """

    w: Float[np.ndarray, "H d"]
    actions: Int[np.ndarray, "H S"]
    objective: float
    start_value: float


def least_squares_values(
    data: RidgeData, bonus: float = 0.0, shift: Float[np.ndarray, "H d"] | None = None
) -> PlannedLinearQ:
    """Least-squares value iteration: w_h = what_h(V_{h+1}) + shift_h, Q = <phi, w_h> + bonus width.

    `bonus` multiplies ||phi||_{Lambda_h^{-1}} (LSVI-UCB); `objective` is NaN.
    """
    H, d = data.b.shape
    S = len(data.rho)
    shifts = np.zeros((H, d)) if shift is None else shift
    w, V, actions = np.empty((H, d)), np.zeros((H + 1, S)), np.empty((H, S), dtype=np.int64)
    _linear_kernels.backward(data.phi, data.inverse, data.b, data.G, shifts, bonus, w, V, actions)
    return PlannedLinearQ(w, actions, float("nan"), float(data.rho @ V[0]))


def plan_linear_q(data: RidgeData, eta: float, starts: tuple[Int[np.ndarray, "H S"], ...]) -> PlannedLinearQ:
    """Search for the largest J(w), alternating from each of the starting policies.

    Parameters
    ----------
    data
        The regressions.
    eta
        Price, positive.
    starts
        Deterministic policies to start from, at least one: each of shape [H, S].
    """
    best: PlannedLinearQ | None = None
    H, d = data.b.shape
    S = len(data.rho)
    for start in starts:
        w, V, actions = np.empty((H, d)), np.zeros((H + 1, S)), start.copy()
        value, first = _linear_kernels.alternate(
            data.phi, data.Lambda, data.inverse, data.b, data.G, data.rho, eta, ALTERNATIONS, w, V, actions
        )
        if best is None or value > best.objective:
            best = PlannedLinearQ(w, actions, float(value), float(first))
    if best is None:
        raise ValueError("starts must hold at least one policy; got none")
    return best


def linear_q_objective(data: RidgeData, eta: float, w: Float[np.ndarray, "H d"]) -> float:
    """Return J(w) from nothing but w."""
    H, S = len(w), len(data.rho)
    V, actions = np.zeros((H + 1, S)), np.empty((H, S), dtype=np.int64)
    value = _linear_kernels.objective(
        data.phi, data.Lambda, data.inverse, data.b, data.G, data.rho, eta, w, V, actions
    )
    return float(value)


def unclipped_policy_objective(data: RidgeData, eta: float, actions: Int[np.ndarray, "H S"]) -> float:
    """Return Vhat^pi + (1/(4 eta)) sum ||phibar||^2, the closed form for one policy without clipping."""
    H, d = data.b.shape
    shift, features = np.empty((H, d)), np.empty((H, d))
    _linear_kernels.optimal_shift(data.phi, data.inverse, data.G, data.rho, actions, eta, shift, features)
    states = np.arange(len(data.rho))
    V, total = np.zeros(len(data.rho)), 0.0
    for h in range(H - 1, -1, -1):
        V = data.phi[states, actions[h]] @ (data.inverse[h] @ (data.b[h] + data.G[h] @ V))
        total += float(features[h] @ data.inverse[h] @ features[h]) / (4 * eta)
    return float(data.rho @ V) + total
