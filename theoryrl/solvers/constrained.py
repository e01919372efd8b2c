r"""Constrained MDPs, episodic or discounted, by a linear program over occupancy measures.

    maximise <d, r>   subject to   <d, r_i> >= threshold_i,  d an occupancy measure from rho.

An optimal policy is randomised in general, in at most as many states (and stages) as there are
constraints at a vertex: pi(a | s) = d(s, a) / sum_a d(s, a). The dual prices lambda_i >= 0 say by how
much the optimum falls per unit of threshold_i. Source: Altman (1999), chapters 3 and 4.

The certificate: the policy is evaluated exactly, which proves its return and by how much it misses a
threshold, if at all; and for *any* prices the optimal value of the unconstrained MDP with the reward
r + sum_i lambda_i r_i, less sum_i lambda_i threshold_i, is an upper bound (weak duality).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from scipy import sparse
from scipy.optimize import linprog

from theoryrl.models import ConstrainedMDP, DiscountedMDP, EpisodicMDP, Policy
from theoryrl.models._validation import ROW_SUM_TOLERANCE, check_type
from theoryrl.solvers import episodic
from theoryrl.solvers.discounted.auto import auto
from theoryrl.solvers.discounted.evaluation import policy_evaluation
from theoryrl.solvers.discounted.linear_program import flow_constraints
from theoryrl.solvers.solution import Solution, rounding_unit

INFEASIBLE = 2
"""The status by which `scipy.optimize.linprog` reports that no point is feasible."""


class InfeasibleError(ValueError):
    """No policy reaches all thresholds."""


@dataclass(frozen=True, eq=False)
class ConstrainedSolution(Solution):
    """A solution of a constrained MDP: `value`, `lower` and `upper` are returns from the start.

    Attributes
    ----------
    prices
        lambda_i >= 0, the fall of the optimum per unit of threshold_i: shape [C].
    constraint_values
        V_i of the policy: shape [C].
    violation
        Proven bound on the largest shortfall threshold_i - V_i of the policy; at most the tolerance
        of the program, and 0 where every constraint is proven to hold.
    occupancy
        The occupancy measure of the program: shape [H, S, A] or [S, A].
    """

    meaning: ClassVar[str] = "return from the start"
    prices: Float[np.ndarray, " C"]
    constraint_values: Float[np.ndarray, " C"]
    violation: float
    occupancy: np.ndarray

    @property
    def start_value(self) -> float:
        """The expected return of the policy."""
        return float(self.value)

    @property
    def start_bounds(self) -> tuple[float, float]:
        """Proven bounds on the optimal return: below, up to `violation` of the constraints."""
        return float(self.lower), float(self.upper)


def constrained_linear_program(problem: ConstrainedMDP, tol: float = 1e-6) -> ConstrainedSolution:
    """Solve a constrained MDP.

    Parameters
    ----------
    problem
        The model, its further rewards and their thresholds.
    tol
        Largest error of the evaluations from which the bounds are made, in units of the return.

    Returns
    -------
    ConstrainedSolution
        The randomised policy with its exactly evaluated return and constraint values; `lower` is the
        proven return of the policy, `upper` the dual bound on what any feasible policy earns. If
        `violation` is positive, the policy is feasible up to it, and `lower` may exceed the optimum by
        the prices times `violation`.

    Raises
    ------
    InfeasibleError
        If HiGHS proves that no policy reaches all thresholds.
    RuntimeError
        If HiGHS stops for another reason.
    """
    check_type("problem", problem, ConstrainedMDP)
    shape = problem.mdp.r.shape
    matrix, right, keep = _flow(problem)
    rewards = problem.rewards.reshape(problem.n_constraints, -1)[:, keep]
    result = linprog(
        -problem.mdp.r.ravel()[keep],
        A_eq=matrix,
        b_eq=right,
        A_ub=-rewards if rewards.size else None,
        b_ub=-problem.thresholds if rewards.size else None,
        method="highs",
    )
    if result.status == INFEASIBLE:
        raise InfeasibleError("thresholds cannot all be reached: HiGHS proves that no policy does")
    if result.status != 0:
        raise RuntimeError(f"the constrained program was not solved: {result.message}")
    occupancy = np.zeros(problem.mdp.r.size)
    occupancy[keep] = np.maximum(result.x, 0.0)
    prices = np.maximum(0.0, -result.ineqlin.marginals) if rewards.size else np.zeros(0)
    return _certified(problem, occupancy.reshape(shape), prices, int(result.nit), tol)


def _flow(problem: ConstrainedMDP) -> tuple[sparse.csr_array, np.ndarray, np.ndarray]:
    """Return the flow constraints, their right-hand side, and the pairs that are variables."""
    mdp = problem.mdp
    if isinstance(mdp, EpisodicMDP):
        matrix, right = episodic.flow_constraints(mdp.P, mdp.rho)
        return matrix, right, np.arange(mdp.r.size)
    matrix, states, actions = flow_constraints(mdp)
    return matrix, np.asarray(problem.rho), states * mdp.n_actions + actions


def _certified(
    problem: ConstrainedMDP, occupancy: np.ndarray, prices: np.ndarray, iterations: int, tol: float
) -> ConstrainedSolution:
    policy = _policy(problem, occupancy)
    value, error = _return(problem, problem.mdp.r, policy, tol)
    earned = [_return(problem, rewards, policy, tol) for rewards in problem.rewards]
    short = [threshold - (v - e) for threshold, (v, e) in zip(problem.thresholds, earned, strict=True)]
    priced = problem.mdp.r + np.tensordot(prices, problem.rewards, axes=1)
    size = float(np.abs(problem.mdp.r).max())
    size += float(np.abs(problem.rewards).max(initial=0.0) * prices.sum())
    off = rounding_unit(problem.n_constraints + 2) * size * _steps(problem)
    upper = _optimal_return(problem, priced, tol) + off - float(prices @ problem.thresholds)
    upper += rounding_unit(problem.n_constraints + 2) * float(prices @ np.abs(problem.thresholds))
    return ConstrainedSolution(
        value=np.asarray(value),
        policy=policy,
        lower=np.asarray(value - error),
        upper=np.asarray(max(upper, value - error)),
        iterations=iterations,
        method="linear program over occupancies",
        prices=prices,
        constraint_values=np.array([v for v, _ in earned]),
        violation=max([0.0, *map(float, short)]),
        occupancy=occupancy,
    )


def _steps(problem: ConstrainedMDP) -> float:
    """Return the total weight of the steps of an episode."""
    mdp = problem.mdp
    return float(mdp.horizon if isinstance(mdp, EpisodicMDP) else 1 / (1 - mdp.gamma)) * (1 + 1e-6)


def _policy(problem: ConstrainedMDP, occupancy: np.ndarray) -> Policy:
    """Return pi(a | s) = d(s, a) / sum_a d(s, a); uniform over what is available where d vanishes."""
    if isinstance(problem.mdp, EpisodicMDP):
        return episodic.policy_from_occupancy(occupancy)
    mask = problem.mdp.mask.astype(np.float64)
    mass = occupancy.sum(axis=1, keepdims=True)
    pi = mask / mask.sum(axis=1, keepdims=True)
    return Policy(np.divide(occupancy, mass, out=pi, where=mass > 0))


def _return(problem: ConstrainedMDP, rewards: np.ndarray, policy: Policy, tol: float) -> tuple[float, float]:
    """Return the expected return of a policy for some rewards, and a bound on its error."""
    mdp = _with_rewards(problem, rewards)
    if isinstance(mdp, EpisodicMDP):
        answer = episodic.policy_evaluation(mdp, policy)
        low, high = answer.start_bounds
        return answer.start_value, max(high - answer.start_value, answer.start_value - low)
    certified = policy_evaluation(mdp, policy, tol)
    return _start(problem, certified.value, certified.gap / 2)


def _optimal_return(problem: ConstrainedMDP, rewards: np.ndarray, tol: float) -> float:
    """Return an upper bound on the optimal return for some rewards."""
    mdp = _with_rewards(problem, rewards)
    if isinstance(mdp, EpisodicMDP):
        return episodic.backward_induction(mdp).start_bounds[1]
    certified = auto(mdp, tol)
    value, error = _start(problem, certified.value, certified.gap / 2)
    return value + error


def _start(problem: ConstrainedMDP, V: np.ndarray, error: float) -> tuple[float, float]:
    value = float(np.asarray(problem.rho) @ V)
    rounding = rounding_unit(V.size + 2) * float(np.abs(V).max())
    return value, error * (1 + 2 * ROW_SUM_TOLERANCE) + rounding


def _with_rewards(problem: ConstrainedMDP, rewards: np.ndarray) -> EpisodicMDP | DiscountedMDP:
    mdp: Any = problem.mdp
    if isinstance(mdp, EpisodicMDP):
        low, high = float(rewards.min()), float(rewards.max())
        return EpisodicMDP(mdp.P, rewards, mdp.rho, reward_range=(low, high))
    return DiscountedMDP(mdp.P, rewards, mdp.gamma, mdp.allowed)
