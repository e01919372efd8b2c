"""Experiment design by Frank and Wolfe's method over the occupancy polytope, with a gap.

Minimises the smoothed worst error of `offline_to_online_coefficient` over the flows of mass T ::

    F(x) = log( sum_i exp(eta f_i(x) / f_max) ) f_max / eta,    f_i(x) = sum w_i^2 / (x + N) / max(gap_i, eps)^2,

where f_max, fixed when a level starts, is the largest error at that flow: the maximum lies between
``F - f_max log(I) / eta`` and F. Each direction is the policy that collects the most of -F'(x): one dynamic
program, no program solver, and the learner's own design step. Its gap ``<F'(x), x - T d>`` is at least
``F(x) - min F``. Steps are the best along the segment. The smoothing is sharpened level by level.

Source: Frank and Wolfe (1956); Jaggi (2013); as a design for policies, Wagenmaker and Jamieson (2022), as
recalled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.models import EpisodicMDP, PolicyClass
from theoryrl.models._validation import check_count, check_real
from theoryrl.solvers.experiment_design._barrier import Errors
from theoryrl.solvers.experiment_design.coefficient import design_errors

SHARPNESS = (30.0, 300.0, 3000.0)
"""eta of each level."""


@dataclass(frozen=True, eq=False)
class FrankWolfeDesign:
    """A design found by Frank and Wolfe's method.

    Attributes
    ----------
    value
        Largest error of the design.
    lower
        A proven lower bound on the largest error of every design.
    smooth
        F of the last level at the design.
    gap
        Frank and Wolfe's gap, at least ``F - min F``.
    smoothing
        f_max log(I) / eta of the last level.
    flow
        x[h, s, a] of mass T.
    """

    value: float
    lower: float
    smooth: float
    gap: float
    smoothing: float
    flow: Float[np.ndarray, "H S A"]


def frank_wolfe_design(
    mdp: EpisodicMDP,
    policies: PolicyClass,
    eps: float,
    episodes: float,
    offline: Any = None,
    steps: int = 300,
) -> FrankWolfeDesign:
    """Return a design of `episodes` online episodes.

    Parameters
    ----------
    mdp, policies, eps, episodes, offline
        As for `offline_to_online_coefficient`.
    steps
        Frank-Wolfe steps of each level.
    """
    check_count("steps", steps)
    if check_real("episodes", episodes, low=0.0) == 0:
        raise ValueError(f"episodes must be positive; got {episodes!r}")
    network, errors, limits = design_errors(mdp, policies, eps, offline)
    x = network.flow_of(np.zeros(int(network.used.sum())), episodes)
    lower = 0.0
    for eta in SHARPNESS:
        scale = float((errors.values(x) / limits).max())
        for _ in range(steps):
            smooth, slope = smoothed(errors, limits, x, eta / scale)
            vertex = _vertex(network, -slope, episodes)
            gap = float(slope @ (x - vertex))
            lower = max(lower, smooth - gap - scale * np.log(len(limits)) / eta)
            if gap <= 1e-6 * smooth:
                break
            x = x + _best_step(errors, limits, x, vertex - x, eta / scale) * (vertex - x)
    smooth, slope = smoothed(errors, limits, x, eta / scale)
    gap = float(slope @ (x - _vertex(network, -slope, episodes)))
    value = float((errors.values(x) / limits).max())
    smoothing = scale * float(np.log(len(limits))) / eta
    return FrankWolfeDesign(value, lower, smooth, gap, smoothing, network.spread(x))


def smoothed(
    errors: Errors, limits: np.ndarray, x: np.ndarray, rate: float
) -> tuple[float, Float[np.ndarray, " C"]]:
    """Return ``log(sum exp(rate f)) / rate`` at a flow, and its gradient."""
    f = errors.values(x) / limits
    top = f.max()
    q = np.exp(rate * (f - top))
    return float(top + np.log(q.sum()) / rate), (q / q.sum() / limits) @ errors.slopes(x)


def _vertex(network: Any, gains: np.ndarray, mass: float) -> np.ndarray:
    """Return the flow of the policy that collects the most of the gains."""
    full = network.spread(gains)
    H, S, _ = full.shape
    V, pi = np.zeros(S), np.zeros(full.shape)
    for h in range(H - 1, -1, -1):
        Q = full[h] + network.P[h] @ V
        best = Q.argmax(axis=1)
        pi[h, np.arange(S), best] = 1.0
        V = Q[np.arange(S), best]
    return network.flow_of(pi[network.used], mass)


def _best_step(errors: Errors, limits: np.ndarray, x: np.ndarray, d: np.ndarray, rate: float) -> float:
    """Return the step in (0, 1) at which the slope along d vanishes, by bisection."""
    low, high = 0.0, 1.0 - 1e-9
    for _ in range(30):
        middle = (low + high) / 2
        if smoothed(errors, limits, x + middle * d, rate)[1] @ d > 0:
            high = middle
        else:
            low = middle
    return (low + high) / 2
