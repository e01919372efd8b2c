r"""The value and the occupancy of a given policy of a discounted MDP.

    V^pi = r_pi + gamma P_pi V^pi,      d^pi(s, a) = sum_t gamma^t Pr(s_t = s, a_t = a | s_0 ~ rho).

The value is certified by its Bellman residual, as in `theoryrl.solvers.discounted._search`. The
state occupancy x solves x = rho + gamma P_pi' x; its error is at most the 1-norm of its residual over
1 - gamma, because the inverse of I - gamma P_pi' has that 1-norm.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import linalg, sparse
from scipy.sparse.linalg import splu

from theoryrl.models import DeterministicPolicy, DiscountedMDP, MarkovPolicy, SparseTransitions
from theoryrl.models._validation import check_distribution, check_type, real_array
from theoryrl.solvers.discounted._chain import solve_directly
from theoryrl.solvers.discounted._operators import Tabular
from theoryrl.solvers.discounted._search import Search, Step, resolvent_range, run
from theoryrl.solvers.discounted.auto import SMALL, Choose
from theoryrl.solvers.discounted.policy_iteration import EvaluateDirectly
from theoryrl.solvers.solution import OnSweep, Solution, rounding_unit

DENSE_DIRECT = 3000
"""Dense chains up to this size are factorised, which takes about a second."""


class DiscountedOccupancy(NamedTuple):
    """A discounted occupancy measure with its certificate.

    Attributes
    ----------
    measure
        d[s, a]: shape [S, A]; the entries sum to 1 / (1 - gamma), and <d, r> is the policy's value.
    error
        Proven bound on the sum of the absolute errors of the entries.
    """

    measure: Float[np.ndarray, "S A"]
    error: float


def policy_evaluation(
    mdp: DiscountedMDP,
    policy: MarkovPolicy,
    tol: float = 1e-6,
    *,
    max_sweeps: int = 1_000_000,
    on_sweep: OnSweep | None = None,
    threads: int | None = None,
) -> Solution:
    """Evaluate a stationary policy exactly.

    Small chains are solved by an LU factorisation, large ones as `auto` does it.

    Parameters
    ----------
    mdp
        The model.
    policy
        A stationary policy that takes available actions only.
    tol
        Largest error of `value` in any state.
    max_sweeps, on_sweep, threads
        As of `value_iteration`.

    Returns
    -------
    Solution
        V^pi[s] and bounds, each of shape [S]; `policy` is the one given.
    """
    operator = policy_operator(mdp, policy, threads)
    small = operator.n_states <= (SMALL if mdp.is_sparse else DENSE_DIRECT)
    step: Step = EvaluateDirectly(operator) if small else Choose(operator)

    def wrap(search: Search) -> Solution:
        value, lower, upper = search.bounds()
        return Solution(value, policy, lower, upper, search.sweeps, "policy evaluation")

    return run(
        operator,
        step,
        "policy evaluation",
        tol=tol,
        max_sweeps=max_sweeps,
        on_sweep=on_sweep,
        start=first_guess(operator) if small else None,
        wrap=wrap,
    )


def first_guess(operator: Tabular) -> np.ndarray:
    """Return the direct solution of a chain of one action."""
    only = np.zeros(operator.n_states, dtype=np.int64)
    return solve_directly(operator.P, only, operator.gamma, operator.r[:, 0])


def occupancy_measure(
    mdp: DiscountedMDP, policy: MarkovPolicy, rho: Float[np.ndarray, " S"]
) -> DiscountedOccupancy:
    """Return the expected discounted visits d[s, a] from s_0 ~ rho, not normalised.

    Parameters
    ----------
    mdp
        The model.
    policy
        A stationary policy that takes available actions only.
    rho
        Distribution of the first state: shape [S].

    Notes
    -----
    One LU factorisation of the chain's matrix.
    """
    start = real_array("rho", rho, (mdp.n_states,))
    check_distribution("rho", start)
    pi = action_probabilities(mdp, policy)
    P, _, tau = _mixed_rows(mdp, pi)
    if isinstance(P, SparseTransitions):
        flow: Any = P.to_scipy().T.tocsr()
        system = sparse.csc_matrix(sparse.eye_array(start.size, format="csc") - mdp.gamma * flow.tocsc())
        visits = np.asarray(splu(system).solve(start))
        terms = int(np.diff(flow.indptr).max()) + mdp.n_actions
    else:
        flow = P[:, 0, :].T
        visits = np.asarray(linalg.solve(np.eye(start.size) - mdp.gamma * flow, start, check_finite=False))
        terms = start.size + mdp.n_actions
    visits = np.maximum(visits, 0.0)
    residual = start + mdp.gamma * (flow @ visits) - visits
    mass = float(np.abs(visits).sum()) + 1.0
    off = float(np.abs(residual).sum()) + rounding_unit(terms + start.size + 6) * 4 * mass
    error = off * (1 + resolvent_range(mdp.gamma, tau)[1]) * (1 + 1e-9) + rounding_unit(4) * mass
    return DiscountedOccupancy(visits[:, None] * pi, error)


def policy_operator(mdp: DiscountedMDP, policy: MarkovPolicy, threads: int | None = None) -> Tabular:
    """Return the operator of the chain of a policy: a model with one action."""
    pi = action_probabilities(mdp, policy)
    P, r, tau = _mixed_rows(mdp, pi)
    only = np.ones((mdp.n_states, 1), dtype=np.bool_)
    extra = 0 if isinstance(policy, DeterministicPolicy) else mdp.n_actions + 1
    return Tabular(P, r, mdp.gamma, only, tau, threads, extra)


def action_probabilities(mdp: DiscountedMDP, policy: MarkovPolicy) -> Float[np.ndarray, "S A"]:
    """Return pi[s, a] of a stationary policy, which must fit the model."""
    check_type("mdp", mdp, DiscountedMDP)
    if policy.horizon is not None:
        raise ValueError(f"policy must be stationary; got {policy.horizon} stages")
    pi = policy.probabilities
    if pi.shape != mdp.r.shape:
        raise ValueError(f"policy has (S, A) = {pi.shape}; the model has (S, A) = {mdp.r.shape}")
    wrong = (pi > 0) & ~mdp.mask
    if wrong.any():
        s, a = np.argwhere(wrong)[0]
        raise ValueError(f"policy takes action {a} in state {s}, where it is not available")
    return np.asarray(pi)


def _mixed_rows(mdp: DiscountedMDP, pi: np.ndarray) -> tuple[Any, np.ndarray, float]:
    """Return P_pi as [S, 1, S] or sparse rows, r_pi as [S, 1], and a bound on the error of row sums."""
    S, A = pi.shape
    off = float(np.abs(pi.sum(axis=1, dtype=np.longdouble) - 1).max())
    off += A * float(np.finfo(np.longdouble).eps)
    tau = (1 + mdp.row_sum_error) * (1 + off) - 1 + 2.0**-52 if off > A * 2.0**-60 else mdp.row_sum_error
    r = np.where(mdp.mask, pi * mdp.r, 0.0).sum(axis=1, keepdims=True)
    r.setflags(write=False)  # as the arrays of a model are: kernels are compiled once
    if isinstance(mdp.P, SparseTransitions):
        pairs, columns = np.arange(0, S * A + 1, A), np.arange(S * A)
        weights = sparse.csr_array((pi.ravel().copy(), columns, pairs), shape=(S, S * A))
        weights.eliminate_zeros()
        mixed = sparse.csr_array(weights @ mdp.P.to_scipy())
        return SparseTransitions.from_scipy(mixed), r, tau
    mixed = np.einsum("sa,sat->st", pi, mdp.P)[:, None, :]
    mixed.setflags(write=False)
    return mixed, r, tau
