"""The default method: modified policy iteration where the chain mixes, policy iteration where not.

Backing up one policy is the cheapest thing there is, and enough where the residual's span falls fast,
as it does on chains that mix. Where it does not (long corridors, ageing machines, gamma near one), the
policy is evaluated by a linear system; and where the Krylov method stagnates on a large sparse model,
sweeps in place carry values along until it works again.
"""

from __future__ import annotations

import numpy as np

from theoryrl.models import DiscountedMDP, ImplicitMDP, SparseTransitions
from theoryrl.solvers.discounted._any import operator_of
from theoryrl.solvers.discounted._operators import Tabular
from theoryrl.solvers.discounted._search import Search, Step, run
from theoryrl.solvers.discounted.modified_policy_iteration import (
    FAST,
    PROBES,
    BackUpPolicy,
    back_up_policy,
)
from theoryrl.solvers.discounted.policy_iteration import Evaluate, EvaluateByKrylov
from theoryrl.solvers.discounted.value_iteration import SweepInPlace
from theoryrl.solvers.solution import OnSweep, Solution

SMALL = 3000
"""Sparse models up to this size may be factorised: even a full LU fits into memory."""
PATIENCE = 96
"""Krylov steps before an evaluation is given up."""
TELLING = 0.5
"""Share of the states in which rewards depend on the action, from which on a myopic policy is evaluated."""
TRIAL = 12
"""Krylov steps that the first evaluation may take, of a policy that is far from the best."""


def auto(
    mdp: DiscountedMDP | ImplicitMDP,
    tol: float = 1e-6,
    *,
    max_sweeps: int = 1_000_000,
    on_sweep: OnSweep | None = None,
    start: np.ndarray | None = None,
    threads: int | None = None,
) -> Solution:
    """Solve a discounted MDP by the method that its first sweeps suggest.

    Parameters
    ----------
    mdp
        The model. An `ImplicitMDP` is solved by modified policy iteration.
    tol, max_sweeps, on_sweep, start, threads
        As of `value_iteration`.

    Returns
    -------
    Solution
        Values, bounds, and the greedy policy, whose own value lies within the bounds too.

    Raises
    ------
    NotConvergedError
        If the error is not proven to be at most `tol`: a solution that is returned has met it.
    InterruptedSolve
        On Ctrl-C; the bounds are attached.
    """
    operator = operator_of(mdp, threads)
    step: Step = Choose(operator) if isinstance(operator, Tabular) else back_up_policy(operator)
    return run(
        operator,
        step,
        "auto",
        tol=tol,
        max_sweeps=max_sweeps,
        on_sweep=on_sweep,
        start=start,
        eliminate=True,
    )


class Choose:
    """Takes the step that has worked so far."""

    def __init__(self, operator: Tabular) -> None:
        self.operator = operator
        self.probe = BackUpPolicy(operator, PROBES)
        self.back_up = back_up_policy(operator)
        self.in_place = SweepInPlace(mixing=False, evaluate=operator.evaluate_in_place)
        self.factorise = not isinstance(operator.P, SparseTransitions) or operator.n_states <= SMALL
        self.krylov = EvaluateByKrylov(operator)
        self.evaluate = Evaluate(operator, PATIENCE)
        self.mixing, self.waiting, self.failures = True, 0, 0

    def __call__(self, search: Search) -> None:
        """Take one step."""
        search.method = "modified policy iteration (auto)" if self.mixing else "policy iteration (auto)"
        if self.mixing:
            self._back_up(search)
        elif self.factorise:
            self.evaluate(search)
        elif self.waiting:
            self.waiting -= 1
            self.in_place(search)
        else:
            self._try_krylov(search, PATIENCE)

    def _back_up(self, search: Search) -> None:
        before = search.h.copy()
        self.probe(search)
        if self.probe.rate > FAST:
            self.mixing = False
            if not self.factorise:
                search.h[:] = before  # the residual W - h belongs to it
                self._try_krylov(search, TRIAL if self._rewards_tell() else 0)

    def _try_krylov(self, search: Search, longest: int) -> None:
        """Evaluate the policy if that takes few Krylov steps; if not, sweeps come first, for a while."""
        self.krylov.longest, self.krylov.succeeded = longest, False
        if longest:
            self.krylov(search)
        if not self.krylov.succeeded:
            self.failures += 1
            self.waiting = 2 * 4**self.failures
            self.in_place(search)

    def _rewards_tell(self) -> bool:
        """Whether rewards tell actions apart; where they do not, the first policies are arbitrary."""
        r, active = self.operator.r, self.operator.active
        best, worst = np.where(active, r, -np.inf).max(axis=1), np.where(active, r, np.inf).min(axis=1)
        return bool((best > worst).mean() > TELLING)
