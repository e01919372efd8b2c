r"""Constrained planning by linear programs, in one known kernel and in a box of kernels.

One kernel: over occupancy measures d_h(s, a),

    maximise <d, f>  subject to  d in flow(P),  <d, c> >= gamma.

A box of kernels, |P'_h(y | s, a) - phat_h(y | s, a)| <= beta_h(s, a, y): the *extended* program over
z_h(s, a, y) = d_h(s, a) P'_h(y | s, a) chooses a policy and a kernel together (Efroni, Mannor and
Pirotta 2020, after Rosenberg and Mansour 2019). With d_h(s, a) = sum_y z_h(s, a, y),

    maximise <d, f>  subject to  z >= 0,  sum_a d_0(s, a) = rho(s),
                                 sum_a d_{h+1}(y, a) = sum_{s, a} z_h(s, a, y),
                                 (phat - beta) d <= z <= (phat + beta) d,  <d, c> >= gamma.

HiGHS satisfies rows up to its feasibility tolerance only, and its status is part of the answer;
callers who need a constraint to hold exactly evaluate the returned policy themselves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import sparse
from scipy.optimize import linprog

from theoryrl.models import Policy
from theoryrl.solvers.episodic import flow_constraints, policy_from_occupancy

SOLVED = 0
"""HiGHS's status, as `scipy.optimize.linprog` numbers it, of an optimal solution."""

FEASIBILITY_TOLERANCE = 1e-7
"""How far HiGHS lets a row of the program be violated."""


class Plan(NamedTuple):
    """Answer of a program.

    Attributes
    ----------
    status
        0 optimal, 1 iteration limit, 2 infeasible, 3 unbounded, 4 numerical trouble.
    value
        Optimal <d, f>; NaN unless solved.
    policy
        pi_h(a | s) = d_h(s, a) / sum_a d_h(s, a); None unless solved.
    """

    status: int
    value: float
    policy: Policy | None


def occupancy_program(
    P: Float[np.ndarray, "H S A S"],
    rho: Float[np.ndarray, " S"],
    objective: Float[np.ndarray, "H S A"],
    constraint: Float[np.ndarray, "H S A"],
    threshold: float,
) -> Plan:
    """Maximise the value of `objective` over policies whose value of `constraint` is large enough.

    Parameters
    ----------
    P, rho
        The kernel and the distribution of the first state.
    objective, constraint
        Rewards f and c.
    threshold
        gamma, the least value of c.
    """
    flow, inflow = flow_constraints(P, rho)
    cost = sparse.csr_array(-constraint.reshape(1, -1))
    return _solve(objective, objective.ravel(), cost, np.array([-threshold]), flow, inflow)


def extended_program(
    P_hat: Float[np.ndarray, "H S A S"],
    radius: Float[np.ndarray, "H S A S"],
    rho: Float[np.ndarray, " S"],
    objective: Float[np.ndarray, "H S A"],
    constraint: Float[np.ndarray, "H S A"],
    threshold: float,
) -> Plan:
    """Solve the same over policies and kernels in the box, whichever kernel suits the program best.

    Parameters
    ----------
    P_hat, radius
        Centre and half-width beta of the box, entry by entry.
    rho
        Distribution of the first state.
    objective, constraint
        Rewards f and c.
    threshold
        gamma, the least value of c.
    """
    H, S, A, _ = P_hat.shape
    spread = sparse.kron(sparse.eye_array(H * S * A), np.ones((1, S)), format="csr")
    rows, limits = _box(P_hat, radius, spread)
    cost = sparse.csr_array(-np.repeat(constraint.ravel(), S)[None])
    flow, inflow = _extended_flow(H, S, A, rho)
    return _solve(
        objective,
        np.repeat(objective.ravel(), S),
        sparse.vstack([rows, cost], format="csr"),
        np.append(limits, -threshold),
        flow,
        inflow,
        spread,
    )


def _box(
    P_hat: np.ndarray, radius: np.ndarray, spread: sparse.csr_array
) -> tuple[sparse.csr_array, np.ndarray]:
    """Return the rows z - (phat + beta) d <= 0 and (phat - beta) d - z <= 0, where they can bind."""
    upper, lower = (P_hat + radius).ravel(), (P_hat - radius).ravel()
    same_cell = sparse.csr_array(spread.T @ spread)
    one = sparse.eye_array(upper.size, format="csr")
    above = (one - sparse.diags_array(upper) @ same_cell).tocsr()[upper < 1]
    below = (sparse.diags_array(lower) @ same_cell - one).tocsr()[lower > 0]
    rows = sparse.vstack([above, below], format="csr")
    return rows, np.zeros(rows.shape[0])


def _extended_flow(H: int, S: int, A: int, rho: np.ndarray) -> tuple[sparse.csr_array, np.ndarray]:
    """Return (M, b) with M z = b: what leaves (h, s) is what arrived there, or rho(s) at h = 0."""
    outflow = sparse.kron(sparse.eye_array(H * S), np.ones((1, A * S)))
    arrivals = sparse.kron(
        sparse.eye_array(H), sparse.kron(np.ones((1, S * A)), sparse.eye_array(S)), format="csr"
    )
    shifted = sparse.vstack([sparse.csr_array((S, H * S * A * S)), arrivals[: (H - 1) * S]])
    right = np.zeros(H * S)
    right[:S] = rho
    return sparse.csr_array(outflow - shifted), right


def _solve(
    objective: np.ndarray,
    gains: np.ndarray,
    rows: sparse.csr_array,
    limits: np.ndarray,
    flow: sparse.csr_array,
    inflow: np.ndarray,
    spread: sparse.csr_array | None = None,
) -> Plan:
    # HiGHS judges optimality on an absolute scale, and optimistic rewards can be very large.
    scale = max(1.0, float(np.abs(gains).max()))
    result = linprog(
        -gains / scale,
        A_ub=rows,
        b_ub=limits,
        A_eq=flow,
        b_eq=inflow,
        method="highs",
        options={"primal_feasibility_tolerance": FEASIBILITY_TOLERANCE},
    )
    if result.status != SOLVED:
        return Plan(int(result.status), np.nan, None)
    d = result.x if spread is None else spread @ result.x
    return Plan(SOLVED, -scale * float(result.fun), policy_from_occupancy(d.reshape(objective.shape)))
