r"""Gain and bias of a policy, for any chain: several recurrent classes, transient states, periods.

With the recurrent classes C of the chain, p_C(s) the chance to end in C, and D its deviation matrix::

    g(s) = sum_C p_C(s) g_C,    g_C = pi_C . r,    h = D r,

and they solve g = P g, g + h = r + P h, with pi_C . h = 0 in every class (Puterman 1994, chapter
8 and appendix A).

Certificate. In a class, any h' gives min rho <= g_C <= max rho for rho = r + P h' - h'. Its error
e = h - h' solves Poisson's equation for rho, so that for the anchor z of the class::

    |e(s) - e(z)| = |E_s sum_{t < T_z} (rho(s_t) - g_C)| <= w(s) (max rho - min rho),

where w bounds the expected time T_z to reach z. The constant pi . h' is itself a gain, that of the
rewards h', and is bounded likewise. In transient states both equations are absorption problems, whose
errors are at most w times the residual plus the errors in the classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from theoryrl.models import AverageRewardMDP, MarkovPolicy
from theoryrl.models._validation import check_type
from theoryrl.solvers._chain_systems import (
    LinearSystem,
    PoissonSystem,
    absorption_system,
    differences,
    longest_row,
    proven_times,
    submatrix,
)
from theoryrl.solvers._rows import policy_chain
from theoryrl.solvers.average.solution import BiasSolution
from theoryrl.solvers.classes import closed_classes
from theoryrl.solvers.solution import rounding_unit

UNIT = 2.0**-53


def evaluate_policy(mdp: AverageRewardMDP, policy: MarkovPolicy) -> BiasSolution:
    """Return gain and bias of a stationary policy, with proven bounds on both."""
    check_type("mdp", mdp, AverageRewardMDP)
    P, r = policy_chain(mdp, policy)
    unit = rounding_unit(mdp.n_actions + 2)  # the average of rewards over actions, and the weights
    reward_error = 0.0 if hasattr(policy, "actions") else unit * float(np.abs(mdp.r).max())
    tau = 2 * mdp.row_sum_error + (0.0 if hasattr(policy, "actions") else 4 * unit)
    answer = evaluate_chain(P, r, reward_error, tau)
    slack = 4 * UNIT * np.maximum(np.abs(answer.low), np.abs(answer.high))
    bias_slack = np.where(np.isfinite(answer.error), answer.error, 0.0) + 8 * UNIT * np.abs(answer.bias)
    bias_slack[~np.isfinite(answer.error)] = np.inf
    low, high = answer.low - slack, answer.high + slack
    return BiasSolution(
        value=low + (high - low) / 2,
        policy=policy,
        lower=low,
        upper=high,
        iterations=1,
        method="policy evaluation",
        bias=answer.bias,
        bias_lower=answer.bias - bias_slack,
        bias_upper=answer.bias + bias_slack,
        classes=answer.classes,
    )


@dataclass
class Evaluated:
    """Gain bounds, bias and its error bound, and the recurrent class of each state."""

    low: np.ndarray
    high: np.ndarray
    bias: np.ndarray
    error: np.ndarray
    classes: np.ndarray


def evaluate_chain(P: Any, r: np.ndarray, reward_error: float, tau: float) -> Evaluated:
    """Evaluate a chain whose rewards are off by at most `reward_error`, its rows by a factor 1 + tau."""
    classes = closed_classes(P)
    S = classes.size
    out = Evaluated(np.zeros(S), np.zeros(S), np.zeros(S), np.zeros(S), classes)
    members = np.flatnonzero(classes >= 0)
    inside = P if members.size == S else submatrix(P, members, members)
    _evaluate_recurrent(inside, r[members], reward_error, tau, members, out)
    if members.size < S:
        _evaluate_transient(P, r, reward_error, tau, np.flatnonzero(classes < 0), members, out)
    return out


def _evaluate_recurrent(
    P: Any, r: np.ndarray, reward_error: float, tau: float, members: np.ndarray, out: Evaluated
) -> None:
    groups = out.classes[members]
    system = PoissonSystem(P, groups, frequent_states(P, groups))
    h, low, high = solve_poisson(P, r, reward_error, tau, groups, system)
    _, mean_low, mean_high = solve_poisson(P, h, 0.0, tau, groups, system)
    middle = (mean_low + mean_high) / 2
    width = (high - low) * (1 + 4 * UNIT)
    free = np.ones(groups.size, dtype=np.bool_)
    free[system.anchors] = False
    to_anchor = np.zeros(groups.size)
    others = np.flatnonzero(free)
    to_anchor[others] = proven_times(submatrix(P, others, others), tau)
    longest = np.zeros(int(groups.max()) + 1)
    np.maximum.at(longest, groups, to_anchor)
    with np.errstate(invalid="ignore"):
        error = (to_anchor + longest[groups]) * width[groups]
    error[np.isnan(error)] = np.inf
    error += (mean_high - mean_low)[groups] + 4 * UNIT * (np.abs(h) + np.abs(middle)[groups])
    out.low[members], out.high[members] = low[groups], high[groups]
    out.bias[members] = h - middle[groups]
    out.error[members] = error * (1 + 16 * UNIT)


def solve_poisson(
    P: Any, r: np.ndarray, reward_error: float, tau: float, groups: np.ndarray, system: PoissonSystem
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (h, low, high): relative values, and proven bounds on the gain of each closed set.

    The solution is refined once by its own residual, which differences of h make accurate.
    """
    _, h = system.solve(r)
    count = int(groups.max()) + 1
    if np.isfinite(h).all():
        total, _ = differences(P, h)
        _, correction = system.solve(r + total)
        if np.isfinite(correction).all():
            h = h + correction
    else:
        h = np.zeros_like(r)
    total, size = differences(P, h)
    unit = rounding_unit(longest_row(P) + 6)
    error = unit * np.abs(r) + (unit + tau) * size + reward_error
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, groups, r + total - error)
    np.maximum.at(high, groups, r + total + error)
    return h, low, high


def frequent_states(P: Any, groups: np.ndarray) -> np.ndarray:
    """Return a state of each set that is visited often: an anchor which the others reach soon."""
    weight = np.ones(groups.size)
    PT = P.T
    for _ in range(20):
        weight = 0.5 * weight + 0.5 * (PT @ weight)
    order = np.lexsort((weight, groups))
    last = np.append(np.flatnonzero(np.diff(groups[order])), groups.size - 1)
    return order[last]


def _evaluate_transient(
    P: Any,
    r: np.ndarray,
    reward_error: float,
    tau: float,
    transient: np.ndarray,
    members: np.ndarray,
    out: Evaluated,
) -> None:
    Q, R = submatrix(P, transient, transient), submatrix(P, transient, members)
    system = absorption_system(Q)
    w = proven_times(Q, tau, system)
    middle = (out.low + out.high) / 2
    half = float((out.high - out.low)[members].max()) / 2
    zero = np.zeros(transient.size)
    g, error = _absorbed(system, Q, R, zero, middle[members], w, tau, 0.0)
    error = error + half * (1 + 8 * UNIT)
    least, largest = float(out.low[members].min()), float(out.high[members].max())
    out.low[transient] = np.clip(g - error, least, largest)
    out.high[transient] = np.clip(g + error, least, largest)
    reward = r[transient] - g
    per_step = reward_error + float(error.max()) + UNIT * float(np.abs(reward).max())
    h, bias_error = _absorbed(system, Q, R, reward, out.bias[members], w, tau, per_step)
    out.bias[transient] = h
    out.error[transient] = bias_error + float(out.error[members].max())


def _absorbed(
    system: LinearSystem,
    Q: Any,
    R: Any,
    c: np.ndarray,
    at_end: np.ndarray,
    w: np.ndarray,
    tau: float,
    reward_error: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return x = c + Q x + R at_end and a bound on its error, given `at_end` and c up to `reward_error`."""
    entering = R @ at_end
    x = system.solve(c + entering)
    if not np.isfinite(x).all():
        return np.zeros(c.size), np.full(c.size, np.inf)
    x = x + system.solve(c + entering + Q @ x - x)
    unit = rounding_unit(longest_row(Q) + longest_row(R) + 6)
    size = np.abs(c) + np.abs(x) + np.abs(Q) @ np.abs(x) + np.abs(R) @ np.abs(at_end)
    residual = np.abs(c + entering + Q @ x - x) + (unit + tau) * size + reward_error
    with np.errstate(invalid="ignore"):
        error = w * float(residual.max()) * (1 + 8 * UNIT)
    return x, np.where(np.isnan(error), np.inf, error)
