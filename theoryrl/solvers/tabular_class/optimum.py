"""What the programs over all tabular functions return, and the checks that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.models import DeterministicPolicy, EpisodicMDP
from theoryrl.models._validation import check_distribution, check_real, check_type, real_array
from theoryrl.solvers.episodic.planning import check_sizes


@dataclass(frozen=True, eq=False)
class OptimisticValue:
    """The largest start value of a surviving function, with bounds.

    Attributes
    ----------
    value
        The start value of `functions`, which survive: a true lower bound.
    upper
        An upper bound on the largest start value.
    proven
        Whether `upper` is proven here; otherwise it is the bound of a mixed-integer solver, true to its
        own tolerances.
    functions
        ``f_h(s, a)`` in [0, 1]: shape [H, S, A].
    policy
        A policy that is greedy for the functions.
    """

    value: float
    upper: float
    proven: bool
    functions: Float[np.ndarray, "H S A"]
    policy: DeterministicPolicy

    @property
    def gap(self) -> float:
        """Distance between the two bounds."""
        return self.upper - self.value


def checked_data(empirical: EpisodicMDP, mu: Any, alpha: float, beta: float) -> np.ndarray:
    """Return the law of the data if it, the rewards and the two parameters are admissible."""
    check_type("empirical", empirical, EpisodicMDP)
    if not empirical.has_unit_rewards:
        raise ValueError("empirical must have rewards in [0, 1]")
    mu = real_array("mu", mu, empirical.r.shape)
    check_distribution("mu", mu.reshape(empirical.horizon, -1))
    if check_real("alpha", alpha, low=0.0) == 0:
        raise ValueError(f"alpha must be positive; got {alpha!r}")
    check_real("beta", beta, low=0.0)
    return mu


def checked_actions(empirical: EpisodicMDP, policy: DeterministicPolicy) -> np.ndarray:
    """Return the actions[h, s] of a deterministic policy that fits the model."""
    check_type("policy", policy, DeterministicPolicy)
    check_sizes(empirical, policy)
    return np.broadcast_to(policy.actions, empirical.r.shape[:2])


def policy_backup(
    empirical: EpisodicMDP, actions: np.ndarray, bonus: np.ndarray
) -> Float[np.ndarray, "H S A"]:
    """Return ``f_h = min(1, r + P f_{h+1}(., pi) + bonus_h)``, cut where an action would beat the policy's.

    Its residual ``f_h - r - P f_{h+1}(., pi)`` is at most the bonus, and the policy is greedy for it.
    """
    f = np.empty(empirical.r.shape)
    v = np.zeros(empirical.n_states)
    for h in range(empirical.horizon - 1, -1, -1):
        backup = np.minimum(empirical.r[h] + empirical.P[h] @ v + bonus[h], 1.0)
        v = np.take_along_axis(backup, actions[h][:, None], axis=1)[:, 0]
        f[h] = np.minimum(backup, v[:, None])
    return f
