"""Optimism over all tabular functions with finitely many weights: linear and mixed-integer programs.

GLOW's version space for the class of all functions ``f_h`` with values in [0, 1] and weights
w_1, ..., w_N, on data with law mu and empirical model (P, r)::

    maximise  E v_1(s_1)  subject to  v_h(s) = max_a f_h(s, a),  0 <= f <= 1,  and for all h and n
              sum_{s,a} mu_h w_{n,h} (f_h - r - P v_{h+1}) <= beta + alpha sum_{s,a} mu_h w_{n,h}^2.

For the functions for which a given policy is greedy, ``v_h(s) = f_h(s, pi_h(s)) >= f_h(s, a)`` is
linear. In general a binary variable for each (h, s, a) says which action is greedy. Larger v only help
the constraints, so ``v = max f`` cannot be relaxed to ``v >= f``.

The bounds of the linear program are proven: the upper one is weak duality over the box [0, 1] whatever
the prices; the lower one belongs to functions that are moved towards those of zero residual until every
constraint holds.

Source: Amortila, Foster, Jiang, Sekhari and Xie (2024), Algorithm 1; the programs are ours.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from theoryrl.models import DeterministicPolicy, EpisodicMDP
from theoryrl.models._validation import check_choice, real_array
from theoryrl.solvers.coefficients.ratios import measure_array
from theoryrl.solvers.solution import rounding_unit
from theoryrl.solvers.tabular_class.optimum import (
    OptimisticValue,
    checked_actions,
    checked_data,
    policy_backup,
)

MOST_POLICIES = 10_000
"""More policies than this are not enumerated."""


def optimistic_program(
    empirical: EpisodicMDP,
    mu: Any,
    weights: Any,
    alpha: float,
    beta: float,
    policy: DeterministicPolicy | None = None,
    method: str = "mixed-integer",
) -> OptimisticValue:
    """Return the largest start value of a tabular function that survives the given weights.

    Parameters
    ----------
    empirical
        The empirical model; rows of pairs without data play no part.
    mu
        Share of the data in each pair, mu[h, s, a]: shape [H, S, A]; each stage sums to one.
    weights
        Non-negative weights, clipped as the algorithm says: shape [N, H, S, A].
    alpha, beta
        GLOW's parameters of the round, alpha > 0 and beta >= 0.
    policy
        Only functions for which this policy is greedy; None for all functions.
    method
        For all functions: ``"mixed-integer"``, or ``"enumeration"`` of all deterministic policies, whose
        bound is proven (tiny models only).

    Raises
    ------
    ValueError
        If an argument is not admissible, or there are too many policies to enumerate.
    RuntimeError
        If HiGHS does not report optimality.
    """
    mu = checked_data(empirical, mu, alpha, beta)
    w = measure_array("weights", real_array("weights", weights, ("N", *mu.shape)))
    matrix, right = _survival(empirical, mu, w, alpha, beta)
    if policy is not None:
        return _for_policy(empirical, matrix, right, policy)
    check_choice("method", method, ("mixed-integer", "enumeration"))
    if method == "mixed-integer":
        return _mixed_integer(empirical, matrix, right)
    return _enumerated(empirical, matrix, right)


def _survival(
    empirical: EpisodicMDP, mu: np.ndarray, w: np.ndarray, alpha: float, beta: float
) -> tuple[sparse.csr_array, np.ndarray]:
    """Return (M, b) with M (f, v) <= b the constraints of the weights; row n H + h is weight n, stage h."""
    N, H, S, A = w.shape
    loads = mu * w
    left = np.zeros((N, H, H, S, A))
    right_v = np.zeros((N, H, H, S))
    for h in range(H):
        left[:, h, h] = loads[:, h]
        if h + 1 < H:
            right_v[:, h, h + 1] = -np.einsum("nsa,sat->nt", loads[:, h], empirical.P[h])
    matrix = np.hstack([left.reshape(N * H, -1), right_v.reshape(N * H, -1)])
    bound = beta + np.sum(loads * (empirical.r + alpha * w), axis=(2, 3))
    return sparse.csr_array(matrix), bound.ravel()


def _greedy_rows(shape: tuple[int, ...], actions: np.ndarray) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Return E with E (f, v) = 0 for v = f(., pi), and G with G (f, v) <= 0 for f <= v."""
    H, S, A = shape
    states, cells = H * S, H * S * A
    taken = np.arange(states) * A + actions.ravel()
    chosen = sparse.csr_array((np.ones(states), (np.arange(states), taken)), (states, cells))
    spread = sparse.kron(sparse.eye_array(states), np.ones((A, 1)))
    equal = sparse.hstack([chosen, -sparse.eye_array(states)])
    below = sparse.hstack([sparse.eye_array(cells), -spread])
    return sparse.csr_array(equal), sparse.csr_array(below)


def _for_policy(
    empirical: EpisodicMDP, matrix: sparse.csr_array, right: np.ndarray, policy: DeterministicPolicy
) -> OptimisticValue:
    H, S, A = empirical.r.shape
    actions = checked_actions(empirical, policy)
    equal, below = _greedy_rows((H, S, A), actions)
    rows = sparse.csr_array(sparse.vstack([matrix, below]))
    bounds = np.append(right, np.zeros(H * S * A))
    gain = np.zeros(H * S * (A + 1))
    gain[H * S * A : H * S * A + S] = empirical.rho
    result = linprog(-gain, rows, bounds, equal, np.zeros(H * S), bounds=(0, 1), method="highs")
    if result.status != 0:
        raise RuntimeError(f"the optimistic program was not solved: {result.message}")
    y = np.maximum(-result.ineqlin.marginals, 0.0)
    upper = _dual_bound(gain, [(rows, bounds, y), (equal, np.zeros(H * S), -result.eqlin.marginals)])
    f = _repaired(empirical, matrix, right, actions, result.x[: H * S * A].reshape(H, S, A))
    value = float(empirical.rho @ _values(f, actions)[0])
    return OptimisticValue(value, max(upper, value), True, f, policy)


def _dual_bound(gain: np.ndarray, blocks: list[tuple[sparse.csr_array, np.ndarray, np.ndarray]]) -> float:
    """Bound max <gain, x> over x in [0, 1]^n with M x <= b (price y >= 0) or M x = b (any price).

    ``<gain, x> <= <y, b> + <gain - M^T y, x>``, and in the box the last term is at most its positive part.
    """
    reduced, size = gain.copy(), np.abs(gain)
    total, magnitude, count = 0.0, 0.0, len(gain)
    for matrix, b, y in blocks:
        reduced -= matrix.T @ y
        size += abs(matrix).T @ np.abs(y)
        total += float(y @ b)
        magnitude += float(np.abs(y) @ np.abs(b))
        count += len(b)
    magnitude += float(size.sum())
    return total + float(np.maximum(reduced, 0.0).sum()) + rounding_unit(2 * count) * magnitude


def _repaired(
    empirical: EpisodicMDP, matrix: sparse.csr_array, right: np.ndarray, actions: np.ndarray, f: np.ndarray
) -> Float[np.ndarray, "H S A"]:
    """Return functions near f that lie in [0, 1], have the greedy policy, and satisfy M (f, v) <= b.

    The functions of residual at most zero satisfy every constraint, which are linear for one policy.
    """
    safe = policy_backup(empirical, actions, np.zeros(f.shape))
    f = np.clip(f, 0.0, 1.0)
    f = np.minimum(f, _values(f, actions)[..., None])
    rounding = rounding_unit(2 * matrix.shape[1]) * (abs(matrix) @ np.ones(matrix.shape[1]) + np.abs(right))
    excess = _left(matrix, f, actions) + rounding - right
    room = np.maximum(right - _left(matrix, safe, actions), 0.0)
    bad = excess > 0
    step = float(np.max(excess[bad] / (excess[bad] + room[bad]), initial=0.0))
    return (1 - step) * f + step * safe


def _values(f: np.ndarray, actions: np.ndarray) -> np.ndarray:
    return np.take_along_axis(f, actions[..., None], axis=2)[..., 0]


def _left(matrix: sparse.csr_array, f: np.ndarray, actions: np.ndarray) -> np.ndarray:
    return matrix @ np.append(f.ravel(), _values(f, actions).ravel())


def _mixed_integer(empirical: EpisodicMDP, matrix: sparse.csr_array, right: np.ndarray) -> OptimisticValue:
    """Choose the greedy actions by binary variables z, then solve the linear program of their policy."""
    H, S, A = empirical.r.shape
    cells, states = H * S * A, H * S
    _, below = _greedy_rows((H, S, A), np.zeros((H, S), dtype=np.int64))
    select = sparse.kron(sparse.eye_array(states), np.ones((1, A)))
    spread = select.T
    constraints = [
        LinearConstraint(sparse.hstack([matrix, sparse.csr_array((len(right), cells))]), ub=right),
        LinearConstraint(sparse.hstack([below, sparse.csr_array((cells, cells))]), ub=0.0),
        # v - f + z <= 1: the chosen action attains the maximum.
        LinearConstraint(sparse.hstack([-sparse.eye_array(cells), spread, sparse.eye_array(cells)]), ub=1.0),
        LinearConstraint(sparse.hstack([sparse.csr_array((states, cells + states)), select]), lb=1.0, ub=1.0),
    ]
    gain = np.zeros(2 * cells + states)
    gain[cells : cells + S] = empirical.rho
    integrality = np.append(np.zeros(cells + states), np.ones(cells))
    result = milp(-gain, integrality=integrality, bounds=Bounds(0, 1), constraints=constraints)
    if result.status != 0:
        raise RuntimeError(f"the mixed-integer program was not solved: {result.message}")
    actions = result.x[cells + states :].reshape(H, S, A).argmax(axis=2)
    own = _for_policy(empirical, matrix, right, DeterministicPolicy(actions, A))
    upper = max(own.upper, -float(result.mip_dual_bound))
    return OptimisticValue(own.value, upper, False, own.functions, own.policy)


def _enumerated(empirical: EpisodicMDP, matrix: sparse.csr_array, right: np.ndarray) -> OptimisticValue:
    H, S, A = empirical.r.shape
    if A ** (H * S) > MOST_POLICIES:
        raise ValueError(f"method 'enumeration' takes at most {MOST_POLICIES} policies; got {A}^{H * S}")
    every = (np.array(a).reshape(H, S) for a in itertools.product(range(A), repeat=H * S))
    answers = [_for_policy(empirical, matrix, right, DeterministicPolicy(a, A)) for a in every]
    best = max(answers, key=lambda answer: answer.value)
    return OptimisticValue(
        best.value, max(answer.upper for answer in answers), True, best.functions, best.policy
    )
