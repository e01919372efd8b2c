"""Robust planning with a finite horizon: value iteration, policy evaluation, mirror ascent, occupancy.

The robust Bellman equations, for h = H-1, ..., 0 and V_H = 0::

    Q_h(s, a) = r_h(s, a) + inf_{P in U_h(s, a)} sum_s' P(s') V_{h+1}(s')
    V_h(s)    = max_pi { sum_a pi(a) Q_h(s, a) - eta KL(pi || reference_h(.|s)) }        (optimal)
    V_h(s)    = sum_a pi_h(a|s) Q_h(s, a) - eta KL(pi_h(.|s) || reference_h(.|s))        (policy pi)

(for an s-rectangular set the infimum is taken after the average over actions; with a `policy_radius` the
maximum is over a ball of policies, without a price). Each stage adds the gap
of its inner problems and its rounding to the error of the stage after it, because every backup is
monotone, and adds a constant to its result when one is added to its argument.

Sources: Iyengar (2005); Nilim and El Ghaoui (2005); Wiesemann, Kuhn and Rustem (2013).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.models import DiscountedMDP, EpisodicMDP, MarkovPolicy, Policy, RobustLinearMDP, RobustMDP
from theoryrl.models._validation import check_count, check_real
from theoryrl.solvers.episodic.planning import EpisodicSolution, occupancy_measure
from theoryrl.solvers.robust._operators import EXPANSION, RobustModel, stage_backup
from theoryrl.solvers.robust.discounted import DiscountedRobustSolution, solve_discounted


@dataclass(frozen=True, eq=False)
class RobustSolution(EpisodicSolution):
    """A solution of a robust MDP with a finite horizon.

    Attributes
    ----------
    worst_kernel
        Rows P[h, s, a, s'] of the set against which the policy has this value.
    """

    worst_kernel: Float[np.ndarray, "H S A S"]


@dataclass(frozen=True, eq=False)
class AscentSolution(RobustSolution):
    """What mirror ascent found.

    Attributes
    ----------
    values
        Start value of the policy before each update, and of the last one: shape [iterations + 1].
    """

    values: Float[np.ndarray, " N"]


def robust_value_iteration(
    model: RobustModel, tol: float = 1e-9, max_sweeps: int = 1_000_000
) -> RobustSolution | DiscountedRobustSolution:
    """Solve a robust MDP for its best policy and that policy's worst kernel.

    Parameters
    ----------
    model
        A `RobustMDP` or a `RobustLinearMDP`.
    tol, max_sweeps
        For discounted models: largest error of the value, and the largest number of sweeps.

    Returns
    -------
    RobustSolution or DiscountedRobustSolution
        With a finite horizon, exact up to the inner problems and rounding.
    """
    if isinstance(model.nominal, DiscountedMDP):
        return solve_discounted(_tabular(model), None, tol, max_sweeps)
    return _backwards(model, None, "robust value iteration")


def robust_policy_evaluation(
    model: RobustModel, policy: MarkovPolicy, tol: float = 1e-9, max_sweeps: int = 1_000_000
) -> RobustSolution | DiscountedRobustSolution:
    """Evaluate a policy against the worst kernel, less the price of leaving the reference policy.

    Parameters
    ----------
    model
        A `RobustMDP` or a `RobustLinearMDP`.
    policy
        A Markov policy; stationary if the model is discounted.
    tol, max_sweeps
        As in `robust_value_iteration`.
    """
    sizes = (policy.n_states, policy.n_actions)
    if sizes != (model.nominal.n_states, model.nominal.n_actions):
        raise ValueError(
            f"policy has (S, A) = {sizes}; the model has (S, A) = "
            f"{(model.nominal.n_states, model.nominal.n_actions)}"
        )
    if isinstance(model.nominal, DiscountedMDP):
        if policy.horizon is not None:
            raise ValueError(
                f"policy must be stationary for a discounted model; it has {policy.horizon} stages"
            )
        return solve_discounted(_tabular(model), policy.probabilities, tol, max_sweeps)
    return _backwards(model, policy.stages(model.nominal.horizon), "robust policy evaluation")


def robust_occupancy(model: RobustModel, policy: MarkovPolicy) -> Float[np.ndarray, "H S A"]:
    """Return how often a policy visits each (h, s, a) under the kernel that is worst for it."""
    solution = _backwards(model, policy.stages(_horizon(model)), "robust policy evaluation")
    mdp = _nominal(model)
    worst = EpisodicMDP(solution.worst_kernel, np.zeros(mdp.r.shape), mdp.rho)
    return occupancy_measure(worst, policy)


def robust_mirror_ascent(
    model: RobustModel,
    step: float = 1.0,
    iterations: int = 100,
    start: MarkovPolicy | None = None,
) -> AscentSolution:
    """Improve a policy by exact robust mirror ascent.

    With Q the robust action values of pi, the next policy maximises, in each state,
    ``<pi', Q> - eta KL(pi' || reference) - KL(pi' || pi) / step``: it is proportional to
    ``reference^(eta t / (1 + eta t)) pi^(1 / (1 + eta t)) exp(t Q / (1 + eta t))``, t the step. Values
    never fall; `step = inf` is soft policy iteration, which needs at most H updates.

    Parameters
    ----------
    model
        With a finite horizon and ``"sa"`` or factor-wise rectangularity (with one budget for all actions
        the adversary would answer to the new policy within the state, and values may fall).
    step
        t > 0, in units of 1 / value; infinity is allowed for eta > 0.
    iterations
        Number of updates, at least 1.
    start
        The first policy, with full support; default the reference policy.

    Returns
    -------
    AscentSolution
        The last policy. `lower` bounds its values, `upper` the optimal ones, so `gap` bounds what is
        still missing.
    """
    if isinstance(model, RobustMDP) and model.rectangularity == "s":
        raise ValueError("rectangularity must be 'sa' for mirror ascent; got 's'")
    if isinstance(model, RobustMDP) and model.policy_radius is not None:
        raise ValueError("mirror ascent takes a temperature; the model has a policy_radius")
    H, eta = _horizon(model), model.temperature
    if not (step == np.inf and eta > 0) and check_real("step", step, low=0.0) == 0.0:
        raise ValueError("step must be positive; got 0")
    reference = np.broadcast_to(model.reference_policy, _nominal(model).r.shape)
    log_pi = np.log(reference if start is None else start.stages(H))
    if not np.isfinite(log_pi).all():
        raise ValueError("start must give each action a positive probability")
    keep = 0.0 if step == np.inf else 1.0 / (1.0 + eta * step)
    gain = 1.0 / eta if step == np.inf else step * keep
    values = []
    for _ in range(check_count("iterations", iterations)):
        current = _backwards(model, _probabilities(log_pi), "robust policy evaluation")
        values.append(current.start_value)
        log_pi = (1.0 - keep) * np.log(reference) + keep * log_pi + gain * current.action_values
        log_pi -= np.logaddexp.reduce(log_pi, axis=2, keepdims=True)
    last = _backwards(model, _probabilities(log_pi), "robust mirror ascent")
    best = _backwards(model, None, "robust value iteration")
    fields = vars(last) | {"upper": np.maximum(best.upper, last.upper), "iterations": iterations}
    return AscentSolution(**fields, values=np.array([*values, last.start_value]))


def _probabilities(log_pi: np.ndarray) -> np.ndarray:
    pi = np.exp(log_pi)
    return pi / pi.sum(axis=2, keepdims=True)


def _backwards(model: RobustModel, pi: np.ndarray | None, method: str) -> RobustSolution:
    """Run the recursion for a policy pi[H, S, A], or for the best one."""
    mdp = _nominal(model)
    H, S, A = mdp.r.shape
    V, Q, chosen = np.zeros((H + 1, S)), np.empty((H, S, A)), np.empty((H, S, A))
    down, up, worst = np.zeros(H + 1), np.zeros(H + 1), np.empty((H, S, A, S))
    for h in range(H - 1, -1, -1):
        stage = stage_backup(model, h, V[h + 1], None if pi is None else pi[h], rows=True)
        V[h], Q[h], chosen[h], worst[h] = stage.V, stage.Q, stage.pi, stage.rows
        down[h] = EXPANSION * down[h + 1] + stage.down
        up[h] = EXPANSION * up[h + 1] + stage.up
    return RobustSolution(
        value=V[:-1],
        policy=Policy(chosen),
        lower=V[:-1] - down[:-1, None],
        upper=V[:-1] + up[:-1, None],
        iterations=H,
        method=method,
        action_values=Q,
        start_value=float(mdp.rho @ V[0]),
        worst_kernel=worst,
    )


def _nominal(model: RobustModel) -> EpisodicMDP:
    if isinstance(model, RobustLinearMDP):
        return model.nominal.to_episodic()
    if isinstance(model.nominal, DiscountedMDP):
        raise ValueError("model must have a finite horizon; it is discounted")
    return model.nominal


def _horizon(model: RobustModel) -> int:
    return _nominal(model).horizon


def _tabular(model: Any) -> RobustMDP:
    assert isinstance(model, RobustMDP)  # a linear model has a horizon
    return model
