"""Modified policy iteration: between two Bellman sweeps, back up the greedy policy only.

A backup of one policy costs 1 / A of a Bellman sweep. Source: Puterman and Shin (1978); Puterman
(1994), section 6.5.
"""

from __future__ import annotations

import numpy as np

from theoryrl.models import DiscountedMDP, ImplicitMDP
from theoryrl.solvers.discounted._any import operator_of
from theoryrl.solvers.discounted._kernels import difference_range
from theoryrl.solvers.discounted._operators import Operator
from theoryrl.solvers.discounted._search import Search, run
from theoryrl.solvers.solution import OnSweep, Solution

LEAST, MOST = 1e-4, 0.5
"""An evaluation stops when its residual is some part of the Bellman residual it started from: twice the
share of states whose action has just changed, but within these two; none at all if no action changed."""
SWEEPS_WORTH = 12
"""An evaluation costs at most as much as this many Bellman sweeps."""
FAST = 0.8
"""A chain mixes if its residual falls by this factor per backup, or by more."""
PROBES = 12
"""Backups in which that is found out."""


def modified_policy_iteration(
    mdp: DiscountedMDP | ImplicitMDP,
    tol: float = 1e-6,
    *,
    eliminate: bool = True,
    max_sweeps: int = 1_000_000,
    on_sweep: OnSweep | None = None,
    start: np.ndarray | None = None,
    threads: int | None = None,
) -> Solution:
    """Solve a discounted MDP by modified policy iteration with adaptive evaluation depth.

    The greedy policy is backed up until the span of its residual is a small part of what the Bellman
    sweep found (the smaller, the fewer actions have changed), or is as small as the tolerance needs, or
    the work of twelve Bellman sweeps is done.

    Parameters
    ----------
    mdp
        The model.
    tol
        Largest error of `value` in any state, in units of the value.
    eliminate
        Whether to skip actions that the bounds prove not to be optimal.
    max_sweeps
        Largest number of Bellman sweeps.
    on_sweep, start, threads
        As of `policy_iteration`.

    Returns
    -------
    Solution
        Values, bounds, and the greedy policy, whose own value lies within the bounds too.

    Raises
    ------
    NotConvergedError, InterruptedSolve
        As of `policy_iteration`.
    """
    operator = operator_of(mdp, threads)
    return run(
        operator,
        back_up_policy(operator),
        "modified policy iteration",
        tol=tol,
        max_sweeps=max_sweeps,
        on_sweep=on_sweep,
        start=start,
        eliminate=eliminate,
    )


def back_up_policy(operator: Operator) -> BackUpPolicy:
    """Return the step of modified policy iteration."""
    return BackUpPolicy(operator, SWEEPS_WORTH * operator.n_actions)


class BackUpPolicy:
    """Backs up the greedy policy until its residual is small.

    Attributes
    ----------
    rate
        By what factor the residual's span fell per backup, at the last step.
    """

    def __init__(self, operator: Operator, deepest: int) -> None:
        self.operator, self.deepest = operator, deepest
        self.other = np.empty(operator.n_states)
        self.rate = 1.0

    def __call__(self, search: Search) -> None:
        """Back up the greedy policy."""
        share = search.changed / self.operator.n_states
        reduction = min(max(2 * share, LEAST), MOST) if share else 0.0
        target = max(reduction * search.span, 0.3 * search.target_span)
        h, W = search.h, self.other
        h[:] = search.W
        backup = self.operator.policy(search.actions)
        first, span, count = 0.0, 0.0, 0
        while count < self.deepest:
            backup(h, W)
            smallest, largest = difference_range(W, h)
            h, W = W, h
            span = largest - smallest
            first = first if count else span
            count += 1
            if span <= target:
                break
        self.rate = (span / first) ** (1 / (count - 1)) if count > 1 and first > 0 else 0.0
        search.h, self.other = h, W
