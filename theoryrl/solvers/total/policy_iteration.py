"""Policy iteration for total rewards, on the merged problem, from a proper policy.

Source: Bertsekas and Tsitsiklis (1991): started from a proper policy, every policy is
proper and the values rise to the optimum.
"""

from __future__ import annotations

import numpy as np

from theoryrl.models import TotalRewardMDP
from theoryrl.models._validation import check_count
from theoryrl.solvers._quotient import solve_quotient
from theoryrl.solvers.solution import NotConvergedError, check_tolerance
from theoryrl.solvers.total._problem import NO_MEANING, TotalProblem, prepare
from theoryrl.solvers.total.solution import TotalSolution


def policy_iteration(
    mdp: TotalRewardMDP, tol: float = 1e-6, *, max_iterations: int = 10_000
) -> TotalSolution:
    """Return the optimal total reward of every state.

    Parameters
    ----------
    mdp
        The model.
    tol
        Largest error of a finite `value`, in units of the reward.
    max_iterations
        Largest number of improvements.

    Returns
    -------
    TotalSolution
        Values, bounds, and a policy whose own value is at least `lower`. Infinite values are exact.

    Raises
    ------
    NotConvergedError
        If the error is not proven to be at most `tol`; the bounds are attached.
    ValueError
        If rewards of both signs occur and going on for ever cannot be proven to lose: the sum may
        have no meaning.
    """
    check_tolerance(tol)
    check_count("max_iterations", max_iterations)
    problem = prepare(mdp)
    answer = problem.solution(solve_quotient(problem.merged, max_iterations), "policy iteration")
    return checked(problem, answer, tol)


def checked(problem: TotalProblem, answer: TotalSolution, tol: float) -> TotalSolution:
    """Return the answer if its bounds are as close as asked for."""
    if problem.signed and not np.isfinite(answer.upper[answer.finite]).all():
        raise ValueError(NO_MEANING)
    if not answer.gap <= 2 * tol:
        raise NotConvergedError(f"the method stopped short of an error of {tol:.3g}", answer)
    return answer
