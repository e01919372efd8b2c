"""Minimum visitation: how much one policy can visit every pair at once.

    lambda_h = max_pi min_{s,a} d_h^pi(s, a),    lambda* = min_h lambda_h,

the tabular form of ``min_h sup_pi lambda_min(E_pi phi phi^T)``, which is what experiment design in
linear MDPs assumes to be positive. The last action is free, so it is drawn uniformly and
``lambda_h = max_pi min_s Pr(s_h = s) / A``: a linear program over flows, whose dual is a game in which the
opponent chooses a distribution y over the states::

    lambda_h A = min_y max_pi sum_s y(s) Pr(s_h = s).

Whatever HiGHS returns, its policy evaluated exactly is a lower bound, and its prices turned into y and
played against by dynamic programming give an upper one.

Source of the definition: Wagenmaker and Pacchiano (2023), "Leveraging Offline Data in Online
Reinforcement Learning", recalled; the bounds are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from theoryrl.models import EpisodicMDP, Policy
from theoryrl.models._validation import check_type
from theoryrl.solvers.coefficients.coefficient import Coefficient, enclose
from theoryrl.solvers.coefficients.reachability import (
    enclosed_occupancies,
    largest_expectations,
    reachable_states,
)
from theoryrl.solvers.episodic.linear_program import flow_constraints, policy_from_occupancy
from theoryrl.solvers.solution import rounding_unit


@dataclass(frozen=True, eq=False)
class MinimumVisitation(Coefficient):
    """The minimum visitation of each stage, the smallest of them, and the policies that attain them.

    Attributes
    ----------
    policies
        For each stage a policy whose smallest occupancy at that stage is at least `stage_lower`.
    """

    policies: tuple[Policy, ...]

    def _extreme(self, stages: np.ndarray) -> float:
        return float(stages.min())


def minimum_visitation(mdp: EpisodicMDP, reachable: bool = False) -> MinimumVisitation:
    """Return ``max_pi min_{s,a} d_h^pi(s, a)`` of each stage, and the smallest of them.

    Parameters
    ----------
    mdp
        The model; its rewards play no part.
    reachable
        Whether the minimum runs over the states that some policy reaches at that stage only. Otherwise
        a state that is out of reach makes it zero.

    Returns
    -------
    MinimumVisitation
        With bounds by duality.

    Raises
    ------
    RuntimeError
        If HiGHS does not report optimality.
    """
    check_type("reachable", reachable, bool, np.bool_)
    arrived = reachable_states(mdp)
    targets = arrived if reachable else np.ones_like(arrived)
    answers = [_of_stage(mdp, h, targets[h], arrived[h]) for h in range(mdp.horizon)]
    policies, prices = (list(x) for x in zip(*answers, strict=True))
    lower, upper = _bounds(mdp, targets, policies, np.stack(prices))
    return MinimumVisitation(lower, lower, np.maximum(lower, upper), policies=tuple(policies))


def _of_stage(
    mdp: EpisodicMDP, h: int, targets: np.ndarray, arrived: np.ndarray
) -> tuple[Policy, np.ndarray]:
    """Return a policy, and the opponent's distribution y over the target states of stage h."""
    H, S, A = mdp.r.shape
    uniform = np.full((H, S, A), 1 / A)
    if (targets & ~arrived).any():  # the opponent takes a state that is out of reach
        return Policy(uniform), np.eye(S)[(targets & ~arrived).argmax()]
    if h == 0:  # there is nothing to choose: the opponent takes the rarest first state
        return Policy(uniform), np.eye(S)[np.where(targets, mdp.rho, np.inf).argmin()]
    matrix, right = flow_constraints(mdp.P[:h], mdp.rho)
    size = h * S * A
    arrivals = mdp.P[h - 1].reshape(S * A, S).T[targets]
    # Variables: the flow d of the first h stages, then t; every target has t - arrivals <= 0.
    count = len(arrivals)
    padding = sparse.csr_array((count, size - S * A))
    inequalities = sparse.hstack([padding, sparse.csr_array(-arrivals), np.ones((count, 1))])
    equalities = sparse.hstack([matrix, sparse.csr_array((h * S, 1))])
    cost = np.append(np.zeros(size), -1.0)
    result = linprog(cost, inequalities, np.zeros(count), equalities, right, method="highs")
    if result.status != 0:
        raise RuntimeError(f"the program of minimum visitation was not solved: {result.message}")
    uniform[:h] = policy_from_occupancy(result.x[:-1].reshape(h, S, A)).probabilities
    y = np.zeros(S)
    y[targets] = np.maximum(-result.ineqlin.marginals, 0.0)
    if not y.sum() > 0:  # no prices: any distribution over the targets gives a bound
        y[targets] = 1.0
    return Policy(uniform), y / y.sum()


def _bounds(
    mdp: EpisodicMDP, targets: np.ndarray, policies: list[Policy], y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    H, S, A = mdp.r.shape
    stage = np.arange(H)
    own = enclosed_occupancies(mdp, policies)
    smallest = own.lower[stage, stage].min(axis=2)  # the smallest action of each state: shape [H, S]
    lower = np.where(targets, smallest, np.inf).min(axis=1)
    best = enclose(
        largest_expectations(mdp, y[..., None])[:, 0], (H + 1) * S, (y * reachable_states(mdp)).any(1)
    )
    # y sums to one only up to rounding; min_s <= sum_s y(s) (...) / sum_s y(s).
    upper = best.upper / A / (y.sum(axis=1) * (1 - rounding_unit(S + 3)))
    return lower, upper * (1 + rounding_unit(3))
