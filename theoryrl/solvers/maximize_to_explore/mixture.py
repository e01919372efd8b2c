r"""Optimism over mixtures of given kernels: P_theta,h = sum_i theta_{h,i} P_{i,h}, theta_h on the simplex.

The objective of theta is ``V*_{P_theta}(rho) - eta sum_{h,s,a} n KL(phat || P_theta,h)``. From below:
block-coordinate ascent over the stages. With occupancies d_h, actions and V_{h+1} fixed, stage h is::

    max_theta  <g, theta> + eta sum_{s,a,s'} N log (sum_i theta_i P_i(s'|s,a)),
    g_i = sum_s d_h(s) <P_{i,h}(. | s, pi_h(s)), V_{h+1}>,

a concave program on the simplex, whose logarithms are minorised as in EM; what remains is a penalised
row problem. Every iterate theta has the certificate max_i grad_i - <grad, theta>. From above: each row
may choose a theta of its own, at the price eta n (as for all kernels), and its certificate is added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theoryrl.models import DeterministicPolicy, LinearMixtureClass
from theoryrl.models._validation import check_distribution, check_interval, check_type, real_array
from theoryrl.solvers.maximize_to_explore import _mixture_kernels
from theoryrl.solvers.maximize_to_explore.tabular_model import check_eta, enclosing, tabular_model_objective
from theoryrl.solvers.solution import Solution

SWEEPS = 30
EM_STEPS = 400


@dataclass(frozen=True, eq=False)
class PlannedMixture(Solution):
    """Weights with a large objective, and an upper bound on the largest one.

    Attributes
    ----------
    theta
        Weights: shape [H, d]. `value` = `lower` is their objective, evaluated from scratch.
    start_value
        V*_P(rho) of the mixture.
    """

    theta: Float[np.ndarray, "H d"]
    start_value: float


def plan_mixture(
    hypotheses: LinearMixtureClass,
    counts: Float[np.ndarray, "H S A S"],
    rho: Float[np.ndarray, " S"],
    eta: float,
    warm_start: Float[np.ndarray, "H d"] | None = None,
) -> PlannedMixture:
    """Search all mixtures for the largest V*_P(rho) - eta sum n KL(phat || P).

    Parameters
    ----------
    hypotheses
        Base kernels and known rewards.
    counts
        N[h, s, a, s']: shape [H, S, A, S].
    rho
        Distribution of the first state.
    eta
        Price of one nat, positive.
    warm_start
        Weights to start from, beside the uniform ones.

    Returns
    -------
    PlannedMixture
        With proven bounds on the maximum; the gap does not close in general.

    Raises
    ------
    ValueError
        If an observation has probability zero under every base kernel.
    """
    check_type("hypotheses", hypotheses, LinearMixtureClass)
    P, r = hypotheses.P, hypotheses.r
    N = real_array("counts", counts, P.shape[1:])
    check_interval("counts", N, 0.0, np.inf)
    start = real_array("rho", rho, (P.shape[2],))
    check_distribution("rho", start)
    check_eta(eta)
    impossible = (N > 0) & (P.max(axis=0) <= 0)
    if impossible.any():
        index = [int(i) for i in np.argwhere(impossible)[0]]
        raise ValueError(f"counts{index} must be 0: every base kernel excludes that transition")
    H, S, A = r.shape
    d = len(P)
    best: tuple[float, np.ndarray] | None = None
    starts = [np.full((H, d), 1 / d)] + ([] if warm_start is None else [warm_start])
    for theta in starts:
        weights = np.ascontiguousarray(theta) * (1 - 1e-6) + 1e-6 / d  # inside, where EM can move
        value = _mixture_kernels.ascend(P, N, r, start, eta, SWEEPS, EM_STEPS, weights)
        if best is None or value > best[0]:
            best = (float(value), weights)
    assert best is not None
    upper = _mixture_kernels.relaxed(P, N, N.sum(axis=3), r, start, eta, EM_STEPS)
    theta = best[1]
    mixed = np.einsum("hi,ihsat->hsat", theta, P)
    mixed /= mixed.sum(axis=3, keepdims=True)  # sums of convex weights round
    value = tabular_model_objective(N, r, start, eta, mixed)
    V, actions = np.zeros((H + 1, S)), np.empty((H, S), dtype=np.int64)
    _mixture_kernels.optimal(mixed, r, V, actions)
    return PlannedMixture(
        value=np.asarray(value),
        policy=DeterministicPolicy(actions, A),
        lower=np.asarray(value),
        upper=np.asarray(enclosing(value, float(upper))),
        iterations=SWEEPS,
        method="block-coordinate ascent over mixtures",
        theta=theta,
        start_value=float(start @ V[0]),
    )
