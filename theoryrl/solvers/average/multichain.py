r"""Howard's policy iteration for models whose gain differs between states.

Evaluate gain g and bias h of a policy, whatever its recurrent classes. Improve first by where it
leads, max_a sum_t P(t | s, a) g(t); where no state can improve so, improve by max_a r + P h among the
actions with the largest P g. It ends at an optimal policy (Howard 1960; Puterman 1994, chapter 9, with
the bias normalised as by Veinott).

The comparisons of P g are made up to rounding, which is why the answer is not taken on trust: its h
bounds the gain of each communicating class, and these are joined as everywhere.
"""

from __future__ import annotations

import numpy as np

from theoryrl.models import AverageRewardMDP, DeterministicPolicy, SparseTransitions
from theoryrl.models._validation import check_count, check_type
from theoryrl.solvers.average._certificate import Setting
from theoryrl.solvers.average.evaluation import evaluate_policy
from theoryrl.solvers.average.solution import BiasSolution, GainSolution
from theoryrl.solvers.solution import NotConvergedError, check_tolerance

RELATIVE = 1e-11
"""Differences of gains and biases, relative to their size, that count as rounding."""


def multichain_policy_iteration(
    mdp: AverageRewardMDP, tol: float = 1e-6, *, max_iterations: int = 10_000
) -> GainSolution:
    """Return the optimal gain of every state by Howard's multichain policy iteration.

    Parameters
    ----------
    mdp, tol, max_iterations
        As of `policy_iteration`, which is faster; this one is independent of the classes until its
        answer is certified.

    Raises
    ------
    NotConvergedError
        If the error is not proven to be at most `tol`; the bounds are attached.
    """
    check_type("mdp", mdp, AverageRewardMDP)
    check_tolerance(tol)
    check_count("max_iterations", max_iterations)
    actions = np.where(mdp.mask, mdp.r, -np.inf).argmax(axis=1)
    iteration = 0
    while iteration < max_iterations:
        iteration += 1
        found = evaluate_policy(mdp, DeterministicPolicy(actions, mdp.n_actions))
        better = _improved(mdp, found, actions)
        if np.array_equal(better, actions):
            break
        actions = better
    setting = Setting(mdp)
    bounds = setting.bounds(found.bias)
    answer = setting.solution(found.bias, bounds, iteration, "multichain policy iteration")
    lower = np.maximum(answer.lower, found.lower)
    joined = GainSolution(
        value=lower + (np.maximum(answer.upper, lower) - lower) / 2,
        policy=found.policy,
        lower=found.lower,
        upper=answer.upper,
        iterations=iteration,
        method=answer.method,
        relative_values=answer.relative_values,
        classes=answer.classes,
    )
    if joined.gap > 2 * tol:
        raise NotConvergedError(f"{iteration} improvements did not reach {tol:.3g}", joined)
    return joined


def _improved(mdp: AverageRewardMDP, found: BiasSolution, actions: np.ndarray) -> np.ndarray:
    """Return the improved actions; the old ones where nothing is better by more than rounding."""
    states = np.arange(mdp.n_states)
    g = _onward(mdp, found.value)
    grain = RELATIVE * (1.0 + float(np.abs(found.value).max()))
    leads = g.max(axis=1)
    worse = leads > g[states, actions] + grain
    if worse.any():
        return np.where(worse, g.argmax(axis=1), actions)
    q = mdp.r + _onward(mdp, found.bias)
    q[g < leads[:, None] - grain] = -np.inf
    grain = RELATIVE * (1.0 + float(np.abs(found.bias).max()) + float(np.abs(mdp.r).max()))
    worse = q.max(axis=1) > q[states, actions] + grain
    return np.where(worse, q.argmax(axis=1), actions)


def _onward(mdp: AverageRewardMDP, v: np.ndarray) -> np.ndarray:
    """Return (P v)(s, a), minus infinity where an action is not available."""
    if isinstance(mdp.P, SparseTransitions):
        onward = (mdp.P.to_scipy() @ v).reshape(mdp.r.shape)
    else:
        onward = mdp.P @ v
    return np.where(mdp.mask, onward, -np.inf)
