"""Bounds on optimal values and on the gap of a policy, from counts.

V* is fixed, so Hoeffding's inequality bounds the row at each count n: with probability 1 - delta/2, for all
pairs and all n, ``|rhat - r + (Phat - P) V*_{h+1}| <= b``, with
``b = (H-h+1) sqrt(log(4 H S A n^2 / (delta/2)) / (2 n))`` (two-sided; sum_n 1/(2 n^2) < 1) and b = H-h+1
without data. Hence by induction ``Qlow <= Q* <= Qup`` for ::

    Qup = min(rhat + Phat Vup + b, H-h+1),    Qlow = max(rhat + Phat Vlow - b, 0).

Values that depend on the data need the rows (Bernstein, with probability 1 - delta/2, for f in [0, 1])::

    Phat f <= (1 + 1/H) P f + c/n,      c = S H log(2 H S^2 A nbar / (delta/2)),
    P f <= (1 + 1/H) Phat f + 3 c/n.

So the gap of a policy pi is at most D_1, with ``D_h = min(H-h+1, x_h + (1 + 1/H) Phat_pi D_{h+1} + 3 c
(H-h+1)/n)`` for any ``x_h(s) >= V*(s) - Q*(s, pi)``, such as ``max_a Qup - Qlow(s, pi)``. For the policy that
is greedy for Qup, D also bounds ``Vup - V^pi`` with ``x = 2 b + c (H-h+1)/n`` and the factor (1 + 1/H)^2.

Source: ours; FTPedel page, baselines. The rows are those of the two-phase variant without lambda.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners._identification import Statistics


class RowBounds(NamedTuple):
    """Estimates per pair with their bounds.

    Attributes
    ----------
    P, r
        Empirical model: shapes [H, S, A, S] and [H, S, A]; zero without data.
    b
        Bound on the error of ``r + P V*``: shape [H, S, A].
    shift
        ``c (H-h+1) / n``, infinite without data: shape [H, S, A].
    """

    P: Float[np.ndarray, "H S A S"]
    r: Float[np.ndarray, "H S A"]
    b: Float[np.ndarray, "H S A"]
    shift: Float[np.ndarray, "H S A"]


def row_bounds(state: Statistics, delta: float) -> RowBounds:
    """Return the bounds from all data so far."""
    H, S, A = state.spec.shape
    N = state.transitions.sum(axis=3).astype(np.float64)
    n = np.maximum(N, 1.0)
    remaining = np.arange(H, 0, -1.0)[:, None, None]
    half = delta / 2
    log = np.log(4 * H * S * A * n**2 / half)
    b = np.where(N > 0, np.minimum(remaining, remaining * np.sqrt(log / (2 * n))), remaining)
    offline = 0 if state.spec.offline is None else int(state.spec.offline.visits.sum(axis=(1, 2)).max())
    nbar = offline + state.spec.budget
    c = S * H * math.log(2 * H * S**2 * A * max(nbar, 1) / half)
    shift = np.where(N > 0, c * remaining / n, np.inf)
    return RowBounds(state.transitions / n[..., None], state.reward_sums / n, b, shift)


class ValueBounds(NamedTuple):
    """Qlow <= Q* <= Qup, each [H, S, A]."""

    upper: Float[np.ndarray, "H S A"]
    lower: Float[np.ndarray, "H S A"]


def value_bounds(rows: RowBounds) -> ValueBounds:
    """Return bounds on Q*."""
    H, S, _ = rows.r.shape
    upper, lower = np.empty(rows.r.shape), np.empty(rows.r.shape)
    above, below = np.zeros(S), np.zeros(S)
    for h in range(H - 1, -1, -1):
        upper[h] = np.minimum(rows.r[h] + rows.P[h] @ above + rows.b[h], H - h)
        lower[h] = np.maximum(rows.r[h] + rows.P[h] @ below - rows.b[h], 0.0)
        above, below = upper[h].max(axis=1), lower[h].max(axis=1)
    return ValueBounds(upper, lower)


def gap_bound(
    rows: RowBounds,
    actions: Int[np.ndarray, "H S"],
    local: Float[np.ndarray, "H S"],
    rho: Float[np.ndarray, " S"],
    factor: float,
    shifts: float,
) -> float:
    """Return rho D_1 with ``D = min(H-h+1, local + factor Phat D + shifts times shift)`` along the policy."""
    H, S = actions.shape
    D, states = np.zeros(S), np.arange(S)
    for h in range(H - 1, -1, -1):
        a = actions[h]
        onward = factor * (rows.P[h][states, a] @ D) + shifts * rows.shift[h][states, a]
        D = np.minimum(H - h, local[h] + onward)
    return float(rho @ D)


@dataclass(eq=False)
class GapState(Statistics):
    """Further: whether the learner has stopped."""

    stopped: bool = False


def numbers_of(state: Statistics, certified: bool, width: float, **more: Any) -> dict[str, float]:
    """Return the diagnostics of these learners."""
    stopped = certified or state.left <= 0
    return {
        "online": float(state.online), "stopped": float(stopped), "certified": float(certified),
        "width": width, **more,
    }  # fmt: skip
