r"""The concave relaxation: an upper bound on every policy of a recovering bandit.

Pulling arm i once every d periods earns F_i(1/d) = R_i(d) / d per period. With F_i^cc the smallest concave
function on [0, 1] above these points and F_i(0) = 0,

    UB = max { sum_i F_i^cc(x_i) : sum_i x_i <= K, 0 <= x_i <= 1 } >= OPT.

The maximum is found by filling the capacity K with the steepest edges; at most one arm ends strictly inside
an edge. The certificate is the dual: for *every* price lam >= 0,

    UB <= K lam + sum_i max(0, max_d (R_i(d) - lam) / d).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models import RecoveringBandit
from theoryrl.solvers.recovering import _kernels
from theoryrl.solvers.solution import Solution, rounding_unit


@dataclass(frozen=True, eq=False)
class FluidSolution(Solution):
    """The relaxation's optimum; `policy` holds the pull frequencies x, shape [N].

    Attributes
    ----------
    below, above
        Periods of the corners of the concave envelope that surround x_i: shape [N]; equal where x_i is a
        corner, and 0 stands for "never".
    fractional
        The arm strictly between its corners, or None.
    share
        How far it is from the lower corner to the upper one, in [0, 1).
    price
        The dual price lam of a pull.
    """

    below: Int[np.ndarray, " N"]
    above: Int[np.ndarray, " N"]
    fractional: int | None
    share: float
    price: float


def fluid_bound(bandit: RecoveringBandit) -> FluidSolution:
    """Solve the concave relaxation exactly.

    Returns
    -------
    FluidSolution
        Primal value with the dual bound as `upper`: no policy earns more than `upper` per period in the
        long run, nor more than T `upper` + sum_i max R_i over T periods.

    Notes
    -----
    Curves need not be monotone. Cost O(N D + E N) for E edges that are taken.
    """
    R = np.array(bandit.R)
    N, D = R.shape
    grid = np.arange(1, D + 1)
    vertices = np.empty((N, D), dtype=np.int64)
    sizes, levels = np.empty(N, dtype=np.int64), np.empty(N, dtype=np.int64)
    arm, share, value, price = _kernels.relax(R, grid, bandit.K, vertices, sizes, levels)
    below = np.array([grid[vertices[i, k - 1]] if k else 0 for i, k in enumerate(levels)], dtype=np.int64)
    above = below.copy()
    if arm >= 0:
        above[arm] = grid[vertices[arm, levels[arm]]]
    low, high = _frequency(below), _frequency(above)
    error = rounding_unit(4 * N + 8) * (value + bandit.K * price)
    overfilled = _kernels.FILLED * price  # an edge that exceeds the room by less than this is taken whole
    dual = bandit.K * price + float(np.maximum(((R - price) / grid).max(axis=1), 0.0).sum())
    return FluidSolution(
        value=np.array(value),
        policy=low + share * (high - low),
        lower=np.array(value - error - overfilled),
        upper=np.array(dual + error),
        iterations=int(levels.sum()) + (arm >= 0),
        method="steepest edges",
        below=below,
        above=above,
        fractional=int(arm) if arm >= 0 else None,
        share=float(share),
        price=float(price),
    )


def _frequency(periods: Int[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    return np.divide(1.0, periods, out=np.zeros(len(periods)), where=periods > 0)
