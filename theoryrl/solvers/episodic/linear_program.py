"""The linear program over occupancy measures, solved by HiGHS.

    maximise <d, r>  subject to  d >= 0,  sum_a d_0(s, a) = rho(s),
                                 sum_a d_{h+1}(s', a) = sum_{s, a} d_h(s, a) P_h(s' | s, a).

An independent second opinion on backward induction, and the base of the constrained programs.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from theoryrl.models import EpisodicMDP, Policy
from theoryrl.solvers.episodic.planning import EpisodicSolution, policy_evaluation


def flow_constraints(P: np.ndarray, rho: np.ndarray) -> tuple[sparse.csr_array, np.ndarray]:
    """Return (M, b) with M d = b exactly for the occupancy measures d[h, s, a] of the model.

    Row (h, s) reads: sum_a d_h(s, a) - inflow from stage h-1 = rho(s) if h = 0 else 0.
    """
    H, S, A, _ = P.shape
    outflow = sparse.kron(sparse.eye_array(H * S), np.ones((1, A)))
    inflow = sparse.block_diag([P[h].reshape(S * A, S).T for h in range(H)])
    shifted = sparse.vstack([sparse.csr_array((S, H * S * A)), inflow.tocsr()[: (H - 1) * S]])
    right = np.zeros(H * S)
    right[:S] = rho
    return sparse.csr_array(outflow - shifted), right


def policy_from_occupancy(d: np.ndarray) -> Policy:
    """Return pi(a | s) = d_h(s, a) / sum_a d_h(s, a); uniform where the state is never visited."""
    d = np.maximum(d, 0.0)
    mass = d.sum(axis=-1, keepdims=True)
    uniform = np.full(d.shape, 1 / d.shape[-1])
    return Policy(np.divide(d, mass, out=uniform, where=mass > 0))


def linear_program(mdp: EpisodicMDP) -> EpisodicSolution:
    """Solve the MDP by linear programming, with one unit of mass entering at every stage and state.

    Positive mass everywhere makes the program's policy optimal from each (h, s), not only on the
    states that rho reaches (Puterman 1994, section 6.9).

    Returns
    -------
    EpisodicSolution
        The value of the program's policy, evaluated exactly (hence a lower bound at the start), and
        an upper bound by weak duality: the program's prices plus their Bellman violations.

    Raises
    ------
    RuntimeError
        If HiGHS does not report optimality.
    """
    H, S, A = mdp.r.shape
    matrix, _ = flow_constraints(mdp.P, mdp.rho)
    relevance = np.ones(H * S)
    result = linprog(-mdp.r.ravel(), A_eq=matrix, b_eq=relevance, method="highs")
    if result.status != 0:
        raise RuntimeError(f"the occupancy program was not solved: {result.message}")
    policy = policy_from_occupancy(result.x.reshape(H, S, A))
    evaluated = policy_evaluation(mdp, policy)
    prices = np.vstack([-result.eqlin.marginals.reshape(H, S), np.zeros(S)])
    backup = mdp.r + np.einsum("hsat,ht->hsa", mdp.P, prices[1:])
    violation = np.maximum(0.0, (backup - prices[:-1, :, None]).max(axis=(1, 2)))
    rounding = evaluated.upper - evaluated.value
    upper = prices[:-1] + np.cumsum(violation[::-1])[::-1, None] + rounding
    return EpisodicSolution(
        value=evaluated.value,
        policy=policy,
        lower=evaluated.lower,
        upper=np.maximum(upper, evaluated.upper),
        iterations=int(result.nit),
        method="linear program",
        action_values=evaluated.action_values,
        start_value=evaluated.start_value,
    )
