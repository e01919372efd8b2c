"""Optimism over all tabular functions and all weights is a bonus: the chi-square concentrability.

For a fixed policy pi, GLOW's version space with every ``f_h`` in [0, 1] and every unclipped weight is::

    maximise E f_1(s_1, pi)
    subject to  f_h(s, pi) >= f_h(s, a),
                sum_{s,a} mu_h max(f_h - r - P f_{h+1}(., pi), 0)^2 / (4 alpha) <= beta.

If mu covers the occupancy ``d^pi`` of the policy in the empirical model, and ``f <= 1`` does not bind,
the maximum is::

    J(pi) + sum_h sqrt(4 alpha beta) sqrt(sum_{s,a} d_h^pi(s, a)^2 / mu_h(s, a)).

Proof: ``E f_1 - J = sum_h sum d_h g_h`` with the residuals g, and by Cauchy-Schwarz a stage adds at most
``|d_h / mu_h|_{2, mu_h} |max(g_h, 0)|_{2, mu_h}``, with equality for g_h proportional to d_h / mu_h. Other
actions are lowered to the value of the policy's, which makes their residuals no larger. The maximum
over policies is a convex *maximisation*: this is why GLOW with rich classes is hard.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from theoryrl.models import DeterministicPolicy, EpisodicMDP
from theoryrl.models._validation import first_index
from theoryrl.solvers.coefficients.ratios import density_ratio
from theoryrl.solvers.episodic.planning import occupancy_measure, policy_evaluation
from theoryrl.solvers.solution import rounding_unit
from theoryrl.solvers.tabular_class.optimum import (
    OptimisticValue,
    checked_actions,
    checked_data,
    policy_backup,
)


def chi_square_optimism(
    empirical: EpisodicMDP, mu: Any, alpha: float, beta: float, policy: DeterministicPolicy
) -> OptimisticValue:
    """Return the optimistic value of a policy over all tabular functions and all weights.

    Parameters
    ----------
    empirical
        The empirical model; the law of its first state is that of the data.
    mu
        Share of the data in each pair, mu[h, s, a]: shape [H, S, A]; each stage sums to one.
    alpha, beta
        GLOW's parameters of the round, alpha > 0 and beta >= 0.
    policy
        The policy, which must visit only pairs with data.

    Returns
    -------
    OptimisticValue
        `upper` is the closed form; `value` equals it (up to rounding) where ``f <= 1`` does not bind, and
        is the value of the functions cut at 1 otherwise.

    Raises
    ------
    ValueError
        If the policy visits a pair without data (any function value survives there), or an argument is
        not admissible.
    """
    mu = checked_data(empirical, mu, alpha, beta)
    actions = checked_actions(empirical, policy)
    d = occupancy_measure(empirical, policy)
    missed = (d > 0) & (mu == 0)
    if missed.any():
        raise ValueError(f"mu{list(first_index(missed))} must be positive where the policy goes; got 0")
    w = density_ratio(d, mu)
    norms = np.sqrt(np.sum(d * w, axis=(1, 2)))
    scale = np.sqrt(4 * alpha * beta)
    f = policy_backup(empirical, actions, scale * w / norms[:, None, None])
    H, S, A = d.shape
    # Occupancies have a relative error of H (S A + 2) roundings; the rest are sums of S A, H, S terms.
    unit = rounding_unit(2 * H * (S * A + 2) + 2 * S * A + 4 * H + S + 16)
    upper = policy_evaluation(empirical, policy).start_bounds[1] + scale * float(norms.sum()) * (1 + unit)
    start = np.take_along_axis(f[0], actions[0][:, None], axis=1)[:, 0]
    value = float(empirical.rho @ start)
    return OptimisticValue(value, max(upper, value), True, f, policy)
