r"""The linear programs of a discounted MDP, solved by HiGHS.

Primal, over values::      minimise  sum_s V(s)   subject to  V(s) >= r(s, a) + gamma P(. | s, a) . V

Dual, over occupancies::   maximise  <d, r>       subject to  d >= 0,
                           sum_a d(s', a) - gamma sum_{s, a} P(s' | s, a) d(s, a) = rho(s').

With positive mass rho everywhere (one per state here) a basic solution of either names an optimal policy
(d'Epenoux 1963; Puterman 1994, section 6.9). The program's own tolerance is not trusted: its policy is
evaluated by a linear system, and a Bellman sweep certifies the outcome.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from theoryrl.models import DeterministicPolicy, DiscountedMDP
from theoryrl.models._validation import check_choice
from theoryrl.solvers.discounted._chain import solve_directly
from theoryrl.solvers.discounted._operators import Tabular
from theoryrl.solvers.discounted._search import Search, run
from theoryrl.solvers.discounted.policy_iteration import EvaluateDirectly
from theoryrl.solvers.solution import Solution

FORMULATIONS = ("dual", "primal")
REPAIRS = 3
"""Improvements that a policy of the program may need where HiGHS stopped at its own tolerance."""


def flow_constraints(mdp: DiscountedMDP) -> tuple[sparse.csr_array, np.ndarray, np.ndarray]:
    """Return (M, states, actions): M d = rho for the occupancies d of the available pairs.

    Row s' of M reads sum_a d(s', a) - gamma sum_{s, a} P(s' | s, a) d(s, a).
    """
    states, actions = np.nonzero(mdp.mask)
    rows = mdp.sparse_P()[states * mdp.n_actions + actions]
    pairs = np.arange(states.size)
    leaving = sparse.csr_array((np.ones(states.size), (states, pairs)), shape=(mdp.n_states, states.size))
    return sparse.csr_array(leaving - mdp.gamma * rows.T), states, actions


def linear_program(mdp: DiscountedMDP, tol: float = 1e-6, *, formulation: str = "dual") -> Solution:
    """Solve a discounted MDP by linear programming.

    Parameters
    ----------
    mdp
        The model.
    tol
        Largest error of `value` in any state.
    formulation
        ``"dual"``: over occupancies; ``"primal"``: over values.

    Returns
    -------
    Solution
        Certified by a Bellman sweep; `iterations` are those of HiGHS.

    Raises
    ------
    NotConvergedError
        If the program's policy is not proven to be optimal up to `tol`.
    RuntimeError
        If HiGHS does not report optimality.
    """
    check_choice("formulation", formulation, FORMULATIONS)
    matrix, states, actions = flow_constraints(mdp)
    relevance, rewards = np.ones(mdp.n_states), mdp.r[states, actions]
    if formulation == "dual":
        result = checked(linprog(-rewards, A_eq=matrix, b_eq=relevance, method="highs"))
        visits = result.x
    else:
        free = [(None, None)] * mdp.n_states
        columns = sparse.csr_array(matrix.T)
        result = checked(linprog(relevance, A_ub=-columns, b_ub=-rewards, bounds=free, method="highs"))
        visits = -result.ineqlin.marginals
    policy = _most_visited(mdp, states, actions, visits)
    operator = Tabular.of(mdp)
    iterations = int(result.nit)

    def wrap(search: Search) -> Solution:
        value, lower, upper = search.bounds()
        greedy = DeterministicPolicy(search.actions.copy(), mdp.n_actions)
        return Solution(value, greedy, lower, upper, iterations, f"linear program ({formulation})")

    chosen = mdp.r[np.arange(mdp.n_states), policy]
    start = solve_directly(operator.P, policy, mdp.gamma, chosen)
    return run(
        operator,
        EvaluateDirectly(operator),
        "linear program",
        tol=tol,
        max_sweeps=1 + REPAIRS,
        start=start,
        wrap=wrap,
    )


def checked(result: Any) -> Any:
    """Return the result of HiGHS if it is optimal."""
    if result.status != 0:
        raise RuntimeError(f"the program was not solved: {result.message}")
    return result


def _most_visited(
    mdp: DiscountedMDP, states: np.ndarray, actions: np.ndarray, visits: np.ndarray
) -> np.ndarray:
    table = np.full(mdp.r.shape, -np.inf)
    table[states, actions] = visits
    return np.argmax(table, axis=1)
