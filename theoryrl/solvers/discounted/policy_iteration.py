"""Policy iteration: improve the policy by a Bellman sweep, then evaluate it by a linear system.

Source: Howard (1960); Puterman (1994), section 6.4. The inexact variant evaluates only as far as the
next improvement can use (Gargiani, Liao-McPherson, Zanelli and Lygeros 2022).
"""

from __future__ import annotations

import numpy as np

from theoryrl.models import DiscountedMDP
from theoryrl.models._validation import check_choice
from theoryrl.solvers.discounted._chain import LONGEST, chain, solve_by_gmres, solve_directly
from theoryrl.solvers.discounted._kernels import centre
from theoryrl.solvers.discounted._operators import Tabular
from theoryrl.solvers.discounted._search import Search, Step, run
from theoryrl.solvers.solution import OnSweep, Solution

EVALUATIONS = ("auto", "lu", "krylov")
FORCING = 1e-3
"""How far below the Bellman residual an evaluation goes while the policy still changes."""
DENSE_LU = 200
"""Dense models up to this size are factorised: their LU costs less than the Krylov steps."""


def policy_iteration(
    mdp: DiscountedMDP,
    tol: float = 1e-6,
    *,
    evaluation: str = "auto",
    max_sweeps: int = 10_000,
    on_sweep: OnSweep | None = None,
    start: np.ndarray | None = None,
    threads: int | None = None,
) -> Solution:
    """Solve a discounted MDP by policy iteration.

    Parameters
    ----------
    mdp
        The model.
    tol
        Largest error of `value` in any state, in units of the value.
    evaluation
        ``"lu"``: an LU factorisation of I - gamma P_pi, dense or sparse. ``"krylov"``: GMRES with a
        Gauss-Seidel preconditioner, as far as needed; where it stagnates the policy is not evaluated
        but backed up once, so that this may be slow. ``"auto"``: LU for small dense models, else
        Krylov, and LU where that stagnates.
    max_sweeps
        Largest number of improvements.
    on_sweep
        Called after each improvement with a `Progress`.
    start
        Initial values: shape [S]; default zero.
    threads
        Largest number of threads of a sweep.

    Returns
    -------
    Solution
        Values, bounds, and the greedy policy, whose own value lies within the bounds too.

    Raises
    ------
    NotConvergedError
        If the error is not proven to be at most `tol`; the bounds are attached.
    InterruptedSolve
        On Ctrl-C; the bounds are attached.
    """
    check_choice("evaluation", evaluation, EVALUATIONS)
    small = not mdp.is_sparse and mdp.n_states <= DENSE_LU
    operator = Tabular.of(mdp, threads)
    step: Step = Evaluate(operator)
    if evaluation == "lu" or (evaluation == "auto" and small):
        step = EvaluateDirectly(operator)
    elif evaluation == "krylov":
        step = EvaluateByKrylov(operator)
    return run(
        operator,
        step,
        f"policy iteration ({evaluation})",
        tol=tol,
        max_sweeps=max_sweeps,
        on_sweep=on_sweep,
        start=start,
    )


class EvaluateDirectly:
    """Replaces h by the value of the greedy policy, from an LU factorisation."""

    def __init__(self, operator: Tabular) -> None:
        self.operator = operator

    def __call__(self, search: Search) -> None:
        """Solve for what is missing."""
        # The value of the change, not of the policy: the error is relative to what is still missing.
        residual = centred_residual(search)
        search.h += solve_directly(self.operator.P, search.actions, self.operator.gamma, residual)


class EvaluateByKrylov:
    """Moves h towards the value of the greedy policy, as far as is of use.

    While the policy still changes, more digits of its value than the next sweep can use are not
    worth their time; the forcing term falls, so that in the long run this is exact policy iteration.

    Attributes
    ----------
    succeeded
        Whether the last step was taken. One that is not leaves the Bellman backup.
    """

    def __init__(self, operator: Tabular, longest: int = LONGEST) -> None:
        self.operator, self.longest = operator, longest
        self.succeeded = True

    def __call__(self, search: Search) -> None:
        """Solve for what is missing, nearly."""
        residual = centred_residual(search)
        ratio = FORCING * 0.5 ** (search.sweeps / 5) if search.changed else 0.0
        target = max(ratio * search.span, 0.2 * search.target_span)
        system = chain(self.operator.P, search.actions, self.operator.gamma)
        step, self.succeeded = solve_by_gmres(system, residual, target, self.longest)
        if self.succeeded:
            search.h += step
        else:
            search.h[:] = search.W


class Evaluate:
    """Krylov where it succeeds, LU where it does not."""

    def __init__(self, operator: Tabular, longest: int = LONGEST) -> None:
        self.krylov, self.direct = EvaluateByKrylov(operator, longest), EvaluateDirectly(operator)

    def __call__(self, search: Search) -> None:
        """Solve for what is missing."""
        before = search.h.copy()
        self.krylov(search)
        if not self.krylov.succeeded:
            search.h[:] = before
            self.direct(search)


def centred_residual(search: Search) -> np.ndarray:
    """Return W - h less the constant in its middle.

    A constant residual c is removed by adding the constant c / (1 - gamma), which the bounds do not
    see; leaving it out keeps numbers small.
    """
    residual = search.W - search.h
    centre(residual)
    return residual
