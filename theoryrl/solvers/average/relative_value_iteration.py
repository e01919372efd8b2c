r"""Relative value iteration, in every communicating class at once.

    h <- h + step (max_a r + P h - h),   0 < step < 1,

which is value iteration for P' = step P + (1 - step) I: staying with some probability leaves every gain
as it is, divides the bias by `step`, and makes periodic chains aperiodic, so that the differences
converge to the gain (Schweitzer 1971; Puterman 1994, chapter 8). The bounds of Odoni (1969) are
read off the model itself in every sweep.
"""

from __future__ import annotations

import numpy as np

from theoryrl.models import AverageRewardMDP
from theoryrl.models._validation import check_count, check_fraction, check_type, real_array
from theoryrl.solvers import _row_kernels
from theoryrl.solvers.average._certificate import Setting
from theoryrl.solvers.average.solution import GainSolution
from theoryrl.solvers.solution import InterruptedSolve, NotConvergedError, OnSweep, Progress, check_tolerance


def relative_value_iteration(
    mdp: AverageRewardMDP,
    tol: float = 1e-6,
    *,
    step: float = 0.9,
    max_sweeps: int = 1_000_000,
    on_sweep: OnSweep | None = None,
    start: np.ndarray | None = None,
) -> GainSolution:
    """Return the optimal gain of every state by relative value iteration.

    Parameters
    ----------
    mdp
        The model; any number of communicating classes, periodic or not.
    tol
        Largest error of `value` in any state, in units of the reward per step.
    step
        Weight of the model's own transitions, in (0, 1).
    max_sweeps
        Largest number of sweeps.
    on_sweep
        Called after each sweep with a `Progress`.
    start
        Initial relative values: shape [S]; default zero.

    Returns
    -------
    GainSolution
        Gain, bounds, and the greedy policy, whose own gain lies within the bounds too.

    Raises
    ------
    NotConvergedError
        If the error is not proven to be at most `tol`; the bounds are attached.
    InterruptedSolve
        On Ctrl-C; the bounds are attached.
    """
    check_type("mdp", mdp, AverageRewardMDP)
    check_tolerance(tol)
    check_fraction("step", step)
    check_count("max_sweeps", max_sweeps)
    setting = Setting(mdp)
    S = mdp.n_states
    h = np.zeros(S) if start is None else np.array(real_array("start", start, (S,)))
    low, high, new = np.empty(S), np.empty(S), np.empty(S)
    rows, parts = setting.rows, setting.parts
    gap, sweeps = np.inf, 0
    # Several classes are joined by further rounding, for which some of the tolerance is left.
    target = 2 * tol if parts.n == 1 else tol
    name = "relative value iteration"
    try:
        while gap > target and sweeps < max_sweeps:
            if sweeps:
                h, new = new, h
                _centre(h, parts.labels, parts.n)
            _row_kernels.relax(rows.P, mdp.r, parts.inner, h, step, rows.unit, rows.tau, low, high, new)
            sweeps += 1
            smallest, largest = setting.extremes(low, high)
            gap = float((largest - smallest).max())
            if on_sweep is not None:
                on_sweep(Progress(sweeps, gap, tol))
    except KeyboardInterrupt as interrupt:
        answer = setting.solution(h, setting.bounds(h), sweeps, name)
        raise InterruptedSolve(answer) from interrupt
    answer = setting.solution(h, setting.bounds(h), sweeps, name)
    if answer.gap > 2 * tol:
        raise NotConvergedError(f"{sweeps} sweeps did not reach {tol:.3g}", answer)
    return answer


def _centre(h: np.ndarray, labels: np.ndarray, n: int) -> None:
    """Move h in each class by a constant, which nothing depends on, so that it stays near zero."""
    if n == 1:
        h -= h[int(np.argmax(labels >= 0))]
        return
    inside = np.flatnonzero(labels >= 0)
    names, first = np.unique(labels[inside], return_index=True)
    anchors = np.zeros(n)
    anchors[names] = h[inside[first]]
    h[inside] -= anchors[labels[inside]]
