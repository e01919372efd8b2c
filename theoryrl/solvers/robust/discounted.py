"""Robust discounted MDPs: repeated backups with two-sided bounds.

Let W be the computed backup of h, with the true one in [W - e, W + e'], and m <= W - h <= M. A robust
backup T is monotone, and T(h + c) = T(h) + gamma c for constants c, as for a plain one. So with
d = m - e the function y = W - e + gamma d / (1 - gamma) satisfies T(y) >= y, and the fixed point lies above
it; the upper bound is the mirror image. (MacQueen 1966 and Porteus 1971 for one kernel; nothing in the
argument needs the kernel to be one.) T is also a contraction by gamma in the largest norm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theoryrl.models import DiscountedMDP, Policy, RobustMDP
from theoryrl.models._validation import check_count, check_real
from theoryrl.solvers.robust._operators import EXPANSION, Backup, stage_backup
from theoryrl.solvers.solution import NotConvergedError, Solution


@dataclass(frozen=True, eq=False)
class DiscountedRobustSolution(Solution):
    """A solution of a robust discounted MDP: `value`, `lower` and `upper` have shape [S].

    Attributes
    ----------
    action_values
        Q[s, a] against the worst rows: shape [S, A].
    worst_kernel
        Rows P[s, a, s'] of the set that are worst for `value`.
    residual
        Largest change of the last sweep.
    """

    action_values: Float[np.ndarray, "S A"]
    worst_kernel: Float[np.ndarray, "S A S"]
    residual: float


def solve_discounted(
    model: RobustMDP, pi: np.ndarray | None, tol: float, max_sweeps: int
) -> DiscountedRobustSolution:
    """Iterate the backup of a policy pi[S, A], or of the best one, until the bounds are 2 tol apart.

    The returned policy is the best one for the last iterate but one; its value, too, is at least `lower`
    (it satisfies the same inequalities for its own backup).

    Raises
    ------
    NotConvergedError
        If the bounds are not that close after `max_sweeps` sweeps; those that were proven are attached.
    """
    if check_real("tol", tol, low=0.0) == 0.0:
        raise ValueError("tol must be positive; got 0")
    assert isinstance(model.nominal, DiscountedMDP)
    gamma = model.nominal.gamma
    h = following = np.zeros(model.nominal.n_states)
    for sweep in range(1, check_count("max_sweeps", max_sweeps) + 1):
        h = following
        stage = stage_backup(model, 0, h, pi)
        low, high = _shifts(stage, h, gamma)
        if high - low <= 2 * tol:
            return _solution(model, h, pi, sweep, low, high)
        following = stage.V
    solution = _solution(model, h, pi, max_sweeps, low, high)
    raise NotConvergedError(f"{tol:g} was not reached in {max_sweeps} sweeps", solution)


def _shifts(stage: Backup, h: np.ndarray, gamma: float) -> tuple[float, float]:
    """Return (low, high) such that the fixed point lies in [W + low, W + high]."""
    change = stage.V - h
    unit = 4 * 2.0**-53 * float(np.abs(stage.V).max(initial=0.0) + np.abs(h).max(initial=0.0))
    worst, best = float(change.min()) - stage.down - unit, float(change.max()) + stage.up + unit
    # Rows that sum to one only nearly make the discount of a constant a little larger or smaller.
    shrunk, grown = gamma / EXPANSION, min(gamma * EXPANSION, 1 - 2.0**-52)
    low = min(g * worst / (1 - g) for g in (shrunk, grown)) - stage.down
    high = max(g * best / (1 - g) for g in (shrunk, grown)) + stage.up
    return low, high


def _solution(
    model: RobustMDP, h: np.ndarray, pi: np.ndarray | None, sweeps: int, low: float, high: float
) -> DiscountedRobustSolution:
    stage = stage_backup(model, 0, h, pi, rows=True)
    assert stage.rows is not None
    return DiscountedRobustSolution(
        value=stage.V + 0.5 * (low + high),
        policy=Policy(stage.pi),
        lower=stage.V + low,
        upper=stage.V + high,
        iterations=sweeps,
        method="robust value iteration" if pi is None else "robust policy evaluation",
        action_values=stage.Q,
        worst_kernel=stage.rows,
        residual=float(np.abs(stage.V - h).max()),
    )
