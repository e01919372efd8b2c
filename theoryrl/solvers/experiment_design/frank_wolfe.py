"""Experiment design by Frank and Wolfe's method over the occupancy polytope, with a gap.

Minimises the smoothed worst error of `offline_to_online_coefficient` over the flows of mass T ::

    F(x) = log(sum_i exp(eta f_i(x) / f_max)) f_max / eta,   f_i = sum w_i^2 / (x + N) / max(gap_i, eps)^2,

where f_max, fixed when a level starts, is the largest error at that flow: the maximum lies between
``F - f_max log(I) / eta`` and F. Each direction is the policy that collects the most of -F'(x): one dynamic
program, the learner's own design step. It takes its weight from the worst policy of the mixture (pairwise
steps), as much as is best along the segment. Its gap ``<F'(x), x - T d>`` is at least ``F(x) - min F``. The
smoothing is sharpened level by level.

Source: Frank and Wolfe (1956); Jaggi (2013); as a design for policies, Wagenmaker and Jamieson (2022), as
recalled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.models import EpisodicMDP, PolicyClass
from theoryrl.models._validation import check_count, check_real
from theoryrl.solvers.experiment_design._barrier import Errors
from theoryrl.solvers.experiment_design.coefficient import design_errors

CLOSE = 1e-4
"""Gap, relative to F, at which a level ends."""

SHARPNESS = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
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
    steps: int = 100,
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
    start = network.flow_of(np.zeros(int(network.used.sum())), episodes)
    mixture = _Mixture([start], [1.0])
    lower = 0.0
    for eta in SHARPNESS:
        scale = float((errors.values(mixture.flow) / limits).max())
        for _ in range(steps + 1):
            x = mixture.flow
            smooth, slope = smoothed(errors, limits, x, eta / scale)
            vertex = _vertex(network, -slope, episodes)
            gap = float(slope @ (x - vertex))
            lower = max(lower, smooth - gap - scale * np.log(len(limits)) / eta)
            if gap <= CLOSE * smooth:
                break
            mixture.shift(vertex, slope, partial(_best_step, errors, limits, x, eta / scale))
    value = float((errors.values(x) / limits).max())
    smoothing = scale * float(np.log(len(limits))) / eta
    return FrankWolfeDesign(value, lower, smooth, gap, smoothing, network.spread(x))


class _Mixture:
    """A flow as a mixture of vertices, of which one gives its weight to another."""

    def __init__(self, vertices: list[np.ndarray], weights: list[float]) -> None:
        self.vertices, self.weights = vertices, weights

    @property
    def flow(self) -> np.ndarray:
        return np.array(self.weights) @ np.array(self.vertices)

    def shift(self, vertex: np.ndarray, slope: np.ndarray, step: Callable[[np.ndarray], float]) -> None:
        """Move weight from the worst vertex of the mixture to a new one, as much as pays."""
        known = [i for i, v in enumerate(self.vertices) if np.array_equal(v, vertex)]
        if not known:
            self.vertices.append(vertex)
            self.weights.append(0.0)
        new = known[0] if known else len(self.vertices) - 1
        scores = np.array(self.vertices) @ slope
        scores[np.array(self.weights) <= 0] = -np.inf
        worst = int(scores.argmax())
        if worst == new:
            return
        moved = step(self.weights[worst] * (vertex - self.vertices[worst])) * self.weights[worst]
        self.weights[new] += moved
        self.weights[worst] -= moved
        if self.weights[worst] <= 1e-15:
            del self.vertices[worst], self.weights[worst]


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


def _best_step(errors: Errors, limits: np.ndarray, x: np.ndarray, rate: float, d: np.ndarray) -> float:
    """Return the step in (0, 1] at which the slope along d vanishes, by bisection."""
    low, high = 0.0, 1.0
    # A full step may leave a cell that must be seen without any visit.
    if np.isfinite(errors.values(x + d)).all() and smoothed(errors, limits, x + d, rate)[1] @ d <= 0:
        return 1.0
    for _ in range(12):
        middle = (low + high) / 2
        if smoothed(errors, limits, x + middle * d, rate)[1] @ d > 0:
            high = middle
        else:
            low = middle
    return (low + high) / 2
