r"""Optimism over all tables of action values: the optimum is a bonus that depends on the occupancy.

With every table as candidate and as auxiliary function the loss of Q is, exactly,
sum_{s,a} n (Q_h - r_h - Phat_h V_{h+1})^2: the variance cancels. Put e = Q - r - Phat V. For a fixed
deterministic policy the best e is d / (2 eta n), d being the policy's occupancy under Phat, so that where
every cell that Phat reaches has data and no value meets its range,

    max_Q J(Q)  =  max_pi  V^pi_Phat(rho) + (1 / (4 eta)) sum_{h,s,a} d^pi_h(s, a)^2 / n_h(s, a).

From above: d^2 <= d, a dynamic program with the bonus 1 / (4 eta n). From below: minorise d^2 by its
tangent, a dynamic program with the bonus d / (2 eta n) for the last policy's d, a few times. With the
range 0 <= Q_h <= H - h every backup is clipped, cells without data are worth H - h, and J is evaluated
from the clipped Q: both bounds stay valid; the formula is then no longer exact.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theoryrl.models import DeterministicPolicy
from theoryrl.models._validation import real_array
from theoryrl.solvers.maximize_to_explore import _q_kernels
from theoryrl.solvers.maximize_to_explore.tabular_model import check_problem, enclosing
from theoryrl.solvers.solution import Solution

STEPS = 8
"""Most dynamic programs of one climb; two to five are needed."""

MOST_POLICIES = 100_000


@dataclass(frozen=True, eq=False)
class PlannedQ(Solution):
    """A table with a large objective, and an upper bound on the largest one.

    Attributes
    ----------
    Q
        Action values: shape [H, S, A]. `value` = `lower` is their objective, evaluated from scratch.
    start_value
        max_a Q_0(s, a) averaged over the first state.
    """

    Q: Float[np.ndarray, "H S A"]
    start_value: float


def plan_tabular_q(
    counts: Float[np.ndarray, "H S A S"],
    rewards: Float[np.ndarray, "H S A"],
    rho: Float[np.ndarray, " S"],
    eta: float,
    *,
    warm_start: DeterministicPolicy | None = None,
) -> PlannedQ:
    """Search all tables Q_h in [0, H-h] for the largest V_Q(rho) - eta sum n (Q - r - Phat V_Q)^2.

    Parameters
    ----------
    counts
        N[h, s, a, s']: shape [H, S, A, S].
    rewards
        Observed (noiseless) rewards: shape [H, S, A]; irrelevant where there are no data.
    rho
        Distribution of the first state.
    eta
        Price of a squared error, positive.
    warm_start
        Climb from this policy, too.

    Returns
    -------
    PlannedQ
        With proven bounds on the maximum.
    """
    N, r, start = check_problem(counts, rewards, rho, eta)
    H, S, A = r.shape
    Q, V, actions = np.zeros((H, S, A)), np.zeros((H + 1, S)), np.zeros((H, S), dtype=np.int64)
    if warm_start is not None:
        actions[:] = warm_start.actions
    caps = np.vstack([start, np.ones((H - 1, S))])
    value, upper, made = _q_kernels.plan_q(
        N, N.sum(axis=3), r, start, float(eta), caps, warm_start is not None, STEPS, Q, V, actions
    )
    return PlannedQ(
        value=np.asarray(value),
        policy=DeterministicPolicy(actions, A),
        lower=np.asarray(value),
        upper=np.asarray(enclosing(value, upper)),
        iterations=int(made),
        method="occupancy bonus",
        Q=Q,
        start_value=float(start @ V[0]),
    )


def tabular_q_objective(
    counts: Float[np.ndarray, "H S A S"],
    rewards: Float[np.ndarray, "H S A"],
    rho: Float[np.ndarray, " S"],
    eta: float,
    Q: Float[np.ndarray, "H S A"],
) -> float:
    """Return V_Q(rho) - eta sum n (Q - r - Phat V_Q)^2."""
    N, r, start = check_problem(counts, rewards, rho, eta)
    table = real_array("Q", Q, r.shape)
    return float(_q_kernels.q_objective(N, N.sum(axis=3), r, start, float(eta), table))


def occupancy_bonus_value(
    counts: Float[np.ndarray, "H S A S"],
    rewards: Float[np.ndarray, "H S A"],
    rho: Float[np.ndarray, " S"],
    eta: float,
    policy: DeterministicPolicy,
) -> float:
    """Return V^pi_Phat(rho) + (1 / (4 eta)) sum d^2 / n, the best unbounded objective of one policy.

    Raises
    ------
    ValueError
        If the policy reaches a cell without data.
    """
    N, r, start = check_problem(counts, rewards, rho, eta)
    return _bonus_value(N, N.sum(axis=3), r, start, eta, policy.actions)


def best_occupancy_bonus(
    counts: Float[np.ndarray, "H S A S"],
    rewards: Float[np.ndarray, "H S A"],
    rho: Float[np.ndarray, " S"],
    eta: float,
) -> float:
    """Return max_pi V^pi_Phat(rho) + (1 / (4 eta)) sum d^2 / n by listing all policies (small cases)."""
    N, r, start = check_problem(counts, rewards, rho, eta)
    H, S, A = r.shape
    if A ** (H * S) > MOST_POLICIES:
        raise ValueError(f"best_occupancy_bonus takes at most {MOST_POLICIES} policies; got {A}^{H * S}")
    n = N.sum(axis=3)
    return max(
        _bonus_value(N, n, r, start, eta, np.array(choice).reshape(H, S))
        for choice in itertools.product(range(A), repeat=H * S)
    )


def _bonus_value(
    N: np.ndarray, n: np.ndarray, r: np.ndarray, rho: np.ndarray, eta: float, actions: np.ndarray
) -> float:
    d, total = rho, 0.0
    states = np.arange(len(rho))
    for h in range(len(r)):
        a = actions[h]
        visits = n[h, states, a]
        reached = d > 0
        if (reached & (visits == 0)).any():
            s = int(np.argmax(reached & (visits == 0)))
            raise ValueError(f"counts[{h}, {s}, {a[s]}] must not be empty: the policy goes there")
        safe = np.where(visits > 0, visits, 1)
        total += float(np.sum(d * r[h, states, a] + np.where(reached, d**2 / (4 * eta * safe), 0.0)))
        d = (d / safe) @ N[h, states, a]
    return total
