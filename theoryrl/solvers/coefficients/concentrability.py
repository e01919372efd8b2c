"""Concentrability: how well a given distribution covers every policy.

For data with law mu_h(s, a) at stage h::

    C(Pi, mu)       = max_{pi in Pi} max_h max_{s,a} d_h^pi(s, a) / mu_h(s, a),
    CC_h(Pi, mu, c) = max_{pi in Pi} sum_{s,a} d_h^pi(s, a) min(d_h^pi(s, a) / mu_h(s, a), c).

With Pi = {pi} these are the single-policy coefficients (``C_*`` of hybrid learning for an optimal policy).
Concentrability is at least coverability, which is its infimum over mu. For all policies it is exact: the
largest occupancy of each pair over mu. Clipped concentrability of all policies maximises a function that
is neither convex nor concave, and a randomised policy can beat every deterministic one; so it is
enclosed, between the value of a policy found by ascent and the bound

    CC_h <= max_pi sum_{s,a} d_h^pi(s, a) min(q_h(s, a) / mu_h(s, a), c),    q_h(s, a) = max_pi d_h^pi(s, a),

a dynamic program, whose terms are the concave envelopes of ``x min(x / mu, c)`` on [0, q].

Source: Amortila, Foster, Jiang, Sekhari and Xie (2024), section 2 and Definition 4.3; the enclosure is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from theoryrl.models import EpisodicMDP, MarkovPolicy, MixturePolicy
from theoryrl.models._validation import check_distribution, real_array
from theoryrl.solvers.coefficients.coefficient import Coefficient, Enclosure, enclose
from theoryrl.solvers.coefficients.ratios import check_clip, density_ratio, mean_clipped_ratio
from theoryrl.solvers.coefficients.reachability import (
    Reachability,
    enclosed_occupancies,
    largest_expectations,
    reachability,
    reachable_states,
)
from theoryrl.solvers.episodic import _kernels
from theoryrl.solvers.solution import rounding_unit

ASCENT_STEPS = 50
WEIGHTS = np.linspace(0.0, 1.0, 65)
"""Step lengths that the ascent tries: ends included, because many maxima are at vertices."""


def concentrability(
    mdp: EpisodicMDP, mu: Any, policies: Sequence[MarkovPolicy | MixturePolicy] | None = None
) -> Coefficient:
    """Return the largest density ratio between a policy's occupancy and mu.

    Parameters
    ----------
    mdp
        The model; its rewards play no part.
    mu
        Law of the data, mu[h, s, a]: shape [H, S, A]; each stage sums to one.
    policies
        A finite set of policies, or None for all of them.

    Returns
    -------
    Coefficient
        Exact up to rounding; infinite where mu misses a pair that a policy visits.

    Raises
    ------
    ValueError
        If mu is not a distribution at each stage, the set is empty, or a policy does not fit.
    """
    mu = _checked_law(mdp, mu)
    reach = reachability(mdp, policies)
    unit = rounding_unit(2)
    stages, lower, upper = (
        density_ratio(pairs, mu).max(axis=(1, 2))
        for pairs in (reach.pairs, reach.pairs_lower, reach.pairs_upper)
    )
    return Coefficient(stages, lower * (1 - unit), upper * (1 + unit))


def clipped_concentrability(
    mdp: EpisodicMDP,
    mu: Any,
    clip: float,
    policies: Sequence[MarkovPolicy | MixturePolicy] | None = None,
) -> Coefficient:
    """Return the largest clipped concentrability of a finite set of policies, or enclose that of all.

    Parameters
    ----------
    mdp
        The model; its rewards play no part.
    mu
        Law of the data, mu[h, s, a]: shape [H, S, A]; each stage sums to one.
    clip
        The level c > 0.
    policies
        A finite set of policies, or None for all of them.

    Returns
    -------
    Coefficient
        For a finite set exact up to rounding; the maximum is taken at each stage separately. For all
        policies `stages` are values of policies that were found, hence true lower bounds, and the upper
        bounds may be strictly larger than the coefficient.

    Raises
    ------
    ValueError
        If mu is not a distribution at each stage, the level is not positive, the set is empty, or a
        policy does not fit.

    Notes
    -----
    The clipped concentrability of a policy that is drawn from a mixture once per episode is that of its
    average occupancy; the *average* over the components, which appears in risk bounds, is
    ``weights @ mean_clipped_ratio(occupancy_measures(mdp, policies), mu, clip)``.
    """
    mu = _checked_law(mdp, mu)
    clip = check_clip(clip)
    if policies is not None:
        return _of_occupancies(enclosed_occupancies(mdp, policies), mu, clip)
    reach = reachability(mdp)
    found = _of_occupancies(_ascend(mdp, reach, mu, clip), mu, clip)
    most = clip * (1 + rounding_unit(4)) * _mass(mdp)
    upper = np.minimum(_relaxed(mdp, reach, mu, clip), most)
    return Coefficient(found.stages, found.stage_lower, np.maximum(upper, found.stage_lower))


def _checked_law(mdp: EpisodicMDP, mu: Any) -> np.ndarray:
    mu = real_array("mu", mu, mdp.r.shape)
    check_distribution("mu", mu.reshape(mdp.horizon, -1))
    return mu


def _of_occupancies(d: Enclosure, mu: np.ndarray, clip: float) -> Coefficient:
    """Enclose max_n CC_h of the occupancies d[n]; CC_h is non-decreasing in every entry of d."""
    unit = rounding_unit(mu[0].size + 4)
    stages, lower, upper = (mean_clipped_ratio(x, mu, clip).max(axis=0) for x in (d.value, d.lower, d.upper))
    return Coefficient(stages, lower * (1 - unit), upper * (1 + unit))


def _mass(mdp: EpisodicMDP) -> np.ndarray:
    """Bound the mass of each stage, which rows that sum to one only up to a tolerance may change."""
    ones = np.ones((mdp.horizon, mdp.n_states, 1))
    mass = enclose(largest_expectations(mdp, ones)[:, 0], mdp.horizon * mdp.n_states)
    return mass.upper


def _relaxed(mdp: EpisodicMDP, reach: Reachability, mu: np.ndarray, clip: float) -> np.ndarray:
    """Bound ``max_pi sum d min(q / mu, c)`` from above, stage by stage."""
    weights = np.minimum(density_ratio(reach.pairs_upper, mu), clip)
    best = largest_expectations(mdp, weights.max(axis=2, keepdims=True))[:, 0]
    return enclose(best, mdp.horizon * mdp.n_states + 2).upper


def _ascend(mdp: EpisodicMDP, reach: Reachability, mu: np.ndarray, clip: float) -> Enclosure:
    """Find, for each stage, an occupancy measure with a large CC_h by conditional gradients.

    Row n of the result is a convex combination of occupancies of deterministic policies that was
    optimised for stage n, so it is the occupancy of a policy.
    """
    H, S, A = mdp.r.shape
    start = np.minimum(density_ratio(reach.pairs, mu), clip)
    found = np.stack([_ascend_stage(mdp, mu, clip, h, start[h]) for h in range(H)])
    support = np.broadcast_to(reachable_states(mdp)[..., None], found.shape)
    # Each of at most ASCENT_STEPS combinations rounds three times.
    return enclose(found, H * (S * A + 2) + 3 * ASCENT_STEPS, support)


def _ascend_stage(mdp: EpisodicMDP, mu: np.ndarray, clip: float, h: int, first: np.ndarray) -> np.ndarray:
    d = _greedy_occupancy(mdp, h, first)
    best = mean_clipped_ratio(d[h], mu[h], clip)
    for _ in range(ASCENT_STEPS):
        ratio = density_ratio(d[h], mu[h])
        vertex = _greedy_occupancy(mdp, h, np.where(ratio < clip, 2 * ratio, clip))
        segment = d[h] + WEIGHTS[:, None, None] * (vertex[h] - d[h])
        values = mean_clipped_ratio(np.maximum(segment, 0.0), mu[h], clip)
        chosen = int(values.argmax())
        if values[chosen] <= best * (1 + 1e-12):
            break
        weight, best = WEIGHTS[chosen], values[chosen]
        d = (1 - weight) * d + weight * vertex
    return d


def _greedy_occupancy(mdp: EpisodicMDP, h: int, weights: np.ndarray) -> np.ndarray:
    """Return the occupancies of a deterministic policy that maximises ``<d_h, weights>``."""
    H, S, A = mdp.r.shape
    reward = np.zeros((H, S, A))
    reward[h] = weights
    reward.setflags(write=False)
    Q, V, actions = np.empty((H, S, A)), np.zeros((H + 1, S)), np.empty((H, S), dtype=np.int64)
    _kernels.optimal_values(mdp.P, reward, 0.0, Q, V, actions)
    pi = (actions[..., None] == np.arange(A)).astype(np.float64)
    pi.setflags(write=False)
    d = np.empty((H, S, A))
    _kernels.occupancies(mdp.P, pi, mdp.rho, d)
    return d
