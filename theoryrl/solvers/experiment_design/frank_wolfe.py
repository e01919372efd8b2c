"""Experiment design by Frank and Wolfe's method over the occupancy polytope, with a gap.

Minimises the smoothed worst error of `offline_to_online_coefficient` over the flows of mass T ::

    F(x) = log(sum_i exp(eta f_i(x) / f_max)) f_max / eta,   f_i = sum w_i^2 / (x + N) / max(gap_i, eps)^2,

where f_max, fixed when a level starts, is the largest error at that flow: the maximum lies between
``F - f_max log(I) / eta`` and F. Each direction is the policy that collects the most of -F'(x): one dynamic
program, the learner's own design step. Its gap ``<F'(x), x - T d>`` is at least ``F(x) - min F``. After each
dynamic program the weights of *all* policies found so far are made best (fully corrective steps, by Newton's
method): steps towards one policy at a time stall at sharp maxima, with a gap of some per cent. The smoothing
is sharpened level by level.

With weights ``q_i ~ exp(eta f_i / f_max)`` the same gap gives, by convexity, for every flow y of mass T
``max f(y) >= sum_i q_i f_i(y) >= sum_i q_i f_i(x) - gap``, the proven lower bound: smoothing does not enter.

Source: Frank and Wolfe (1956); Jaggi (2013); as a design for policies, Wagenmaker and Jamieson (2022), as
recalled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from theoryrl.models import EpisodicMDP, PolicyClass
from theoryrl.models._validation import check_count, check_real
from theoryrl.solvers.experiment_design._barrier import Errors
from theoryrl.solvers.experiment_design.coefficient import design_errors

CLOSE = 1e-4
"""Gap, relative to F, at which a level ends."""

SHARPNESS = (30.0, 300.0, 3000.0, 30000.0)
"""eta of each level."""

GONE = 1e-13
"""Weight in a mixture that counts as none."""


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
        Most Frank-Wolfe steps, dynamic programs, of each level.
    """
    check_count("steps", steps)
    if check_real("episodes", episodes, low=0.0) == 0:
        raise ValueError(f"episodes must be positive; got {episodes!r}")
    network, errors, limits = design_errors(mdp, policies, eps, offline)
    vertices = network.flow_of(np.zeros(int(network.used.sum())), episodes)[None]
    weights, lower = np.ones(1), 0.0
    for eta in SHARPNESS:
        scale = float((errors.values(weights @ vertices) / limits).max())
        for step in range(steps + 1):
            x = weights @ vertices
            at = _Point.of(errors, limits, x, eta / scale)
            vertex = _vertex(network, -at.gradient, episodes)
            gap = float(at.gradient @ (x - vertex))
            lower = max(lower, float(at.q @ at.f) - gap)
            if gap <= CLOSE * at.smooth or step == steps:
                break
            vertices, weights = np.vstack([vertices, vertex]), np.append(weights, 0.0)
            weights = _best_weights(errors, limits, vertices, weights, eta / scale)
            vertices, weights = vertices[weights > 0], weights[weights > 0]
    smoothing = scale * float(np.log(len(limits))) / eta
    return FrankWolfeDesign(float(at.f.max()), lower, at.smooth, gap, smoothing, network.spread(x))


class _Point(NamedTuple):
    """F, its gradient, and the errors over their limits, their slopes and weights, at one flow."""

    smooth: float
    gradient: Float[np.ndarray, " C"]
    f: Float[np.ndarray, " I"]
    slopes: Float[np.ndarray, "I C"]
    q: Float[np.ndarray, " I"]

    @classmethod
    def of(cls, errors: Errors, limits: np.ndarray, x: np.ndarray, rate: float) -> _Point:
        f, slopes = errors.values(x) / limits, errors.slopes(x) / limits[:, None]
        q = np.exp(rate * (f - f.max()))
        total = float(q.sum())
        q /= total
        return cls(float(f.max()) + float(np.log(total)) / rate, q @ slopes, f, slopes, q)


def _best_weights(
    errors: Errors, limits: np.ndarray, vertices: np.ndarray, weights: np.ndarray, rate: float
) -> np.ndarray:
    """Return the mixture of the vertices with nearly the least F: projected Newton steps on the simplex."""
    for _ in range(50):
        at = _Point.of(errors, limits, weights @ vertices, rate)
        g = vertices @ at.gradient
        if g @ weights - g.min() <= CLOSE / 4 * at.smooth:
            break
        J = at.slopes @ vertices.T
        hessian = vertices @ errors.curvature(weights @ vertices, at.q / limits) @ vertices.T
        hessian += rate * ((J.T * at.q) @ J - np.outer(g, g))
        d = _simplex_newton(hessian, g, weights)
        falling = d < 0
        t = float(np.min(-weights[falling] / d[falling], initial=1.0))
        # A step to the boundary may leave a cell that must be seen without any visit: F is infinite there.
        while t > 1e-12 and not _value(errors, limits, _mixture(weights + t * d) @ vertices, rate) < (
            at.smooth + 1e-4 * t * float(g @ d)
        ):
            t /= 2
        if t <= 1e-12:
            break
        weights = _mixture(weights + t * d)
    return weights


def _mixture(weights: np.ndarray) -> np.ndarray:
    """Return weights on the simplex: without those that rounding has left, or has made negative."""
    kept = np.where(weights > GONE, weights, 0.0)
    return np.asarray(kept / kept.sum())


def _simplex_newton(hessian: np.ndarray, g: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Newton's direction that keeps the sum; what has no weight only moves upwards."""
    free = (weights > 0) | (g <= g @ weights)
    while True:
        k = int(free.sum())
        own = hessian[np.ix_(free, free)]
        kkt = np.ones((k + 1, k + 1))
        kkt[:k, :k] = own + 1e-12 * np.trace(own) / k * np.eye(k)
        kkt[k, k] = 0.0
        d = np.zeros(len(g))
        d[free] = np.linalg.solve(kkt, np.append(-g[free], 0.0))[:k]
        below = (weights <= 0) & (d < 0)
        if not below.any():
            return d
        free &= ~below


def _value(errors: Errors, limits: np.ndarray, x: np.ndarray, rate: float) -> float:
    f = errors.values(x) / limits
    top = float(f.max())
    return top + float(np.log(np.exp(rate * (f - top)).sum())) / rate if np.isfinite(top) else np.inf


def smoothed(
    errors: Errors, limits: np.ndarray, x: np.ndarray, rate: float
) -> tuple[float, Float[np.ndarray, " C"]]:
    """Return ``log(sum exp(rate f)) / rate`` at a flow, and its gradient."""
    at = _Point.of(errors, limits, x, rate)
    return at.smooth, at.gradient


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
