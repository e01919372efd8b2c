"""Backward induction, policy evaluation and occupancy measures of an episodic MDP.

The Bellman equations, for h = H-1, ..., 0 and V_H = 0::

    Q_h(s, a) = r_h(s, a) + sum_s' P_h(s' | s, a) V_{h+1}(s')
    V_h(s)    = max_a Q_h(s, a)                (optimal)
    V_h(s)    = sum_a pi_h(a | s) Q_h(s, a)    (policy pi)

A finite recursion is exact up to rounding; the certificate bounds that rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.models import DeterministicPolicy, EpisodicMDP, MarkovPolicy, MixturePolicy
from theoryrl.models._validation import ROW_SUM_TOLERANCE
from theoryrl.solvers.episodic import _kernels
from theoryrl.solvers.solution import Solution, rounding_unit


@dataclass(frozen=True, eq=False)
class EpisodicSolution(Solution):
    """A solution of an episodic MDP: `value`, `lower` and `upper` have shape [H, S].

    Attributes
    ----------
    action_values
        Q[h, s, a]: shape [H, S, A].
    start_value
        rho . V_0, the expected return of an episode.
    """

    meaning: ClassVar[str] = "start of an episode"
    action_values: Float[np.ndarray, "H S A"]
    start_value: float

    @property
    def overall(self) -> tuple[float, float, float]:
        """Value at the start of an episode, with its bounds."""
        return self.start_value, *self.start_bounds

    @property
    def start_bounds(self) -> tuple[float, float]:
        """Proven lower and upper bound on the true start value."""
        error = float(np.max(self.upper[0] - self.value[0]))
        error += rounding_unit(self.value.shape[1] + 2) * float(np.abs(self.value[0]).max())
        error *= 1 + 2 * ROW_SUM_TOLERANCE
        return self.start_value - error, self.start_value + error


def backward_induction(mdp: EpisodicMDP) -> EpisodicSolution:
    """Solve the Bellman optimality equations exactly.

    Returns
    -------
    EpisodicSolution
        Optimal values, a deterministic optimal policy (lowest index on ties) and bounds that
        account for rounding.

    Notes
    -----
    Source: Puterman (1994), section 4.5. Cost O(H S^2 A).
    """
    H, S, A = mdp.r.shape
    Q, V = np.empty((H, S, A)), np.zeros((H + 1, S))
    actions = np.empty((H, S), dtype=np.int64)
    _kernels.optimal_values(mdp.P, mdp.r, 0.0, Q, V, actions)
    policy = DeterministicPolicy(actions, A)
    return _certified(mdp, V, Q, policy, S + 1, "backward induction", np.abs(V).max(axis=1))


def policy_evaluation(mdp: EpisodicMDP, policy: MarkovPolicy | MixturePolicy) -> EpisodicSolution:
    """Evaluate a policy exactly.

    For a `MixturePolicy` the values are the weighted averages over its components, which is what a
    component drawn once per episode earns from state s at stage h onwards when the draw is
    independent of s; its start value is the expected return.
    """
    check_sizes(mdp, policy)
    H, S, A = mdp.r.shape
    Q, V = np.zeros((H, S, A)), np.zeros((H + 1, S))
    magnitude = np.zeros(H + 1)
    for weight, component in _components(policy):
        q, v = np.empty((H, S, A)), np.zeros((H + 1, S))
        _kernels.policy_values(mdp.P, mdp.r, component.stages(H), q, v)
        Q += weight * q
        V += weight * v
        np.maximum(magnitude, np.abs(v).max(axis=1), out=magnitude)
    operations = S + A + 2 + len(_components(policy))
    return _certified(mdp, V, Q, policy, operations, "policy evaluation", magnitude)


def policy_value(mdp: EpisodicMDP, policy: MarkovPolicy | MixturePolicy) -> float:
    """Return the expected return rho . V_0 of a policy (the fast path: no certificate, no arrays)."""
    check_sizes(mdp, policy)
    return sum(weight * markov_value(mdp, component) for weight, component in _components(policy))


def markov_value(mdp: EpisodicMDP, policy: MarkovPolicy) -> float:
    """Return rho . V_0 of a Markov policy whose sizes are known to fit (hot loops)."""
    if isinstance(policy, DeterministicPolicy) and policy.actions.ndim == 2:
        return _kernels.deterministic_start_value(mdp.P, mdp.r, mdp.rho, policy.actions)
    return _kernels.start_value(mdp.P, mdp.r, mdp.rho, policy.stages(mdp.horizon))


def occupancy_measure(mdp: EpisodicMDP, policy: MarkovPolicy | MixturePolicy) -> Float[np.ndarray, "H S A"]:
    """Return d[h, s, a] = Pr(s_h = s, a_h = a); each stage sums to one.

    The value of the policy is the inner product <d, r>.
    """
    check_sizes(mdp, policy)
    total = np.zeros(mdp.r.shape)
    for weight, component in _components(policy):
        d = np.empty(mdp.r.shape)
        _kernels.occupancies(mdp.P, component.stages(mdp.horizon), mdp.rho, d)
        total += weight * d
    return total


def _components(policy: MarkovPolicy | MixturePolicy) -> list[tuple[float, MarkovPolicy]]:
    if isinstance(policy, MixturePolicy):
        return [(float(w), p) for w, p in zip(policy.weights, policy.policies, strict=True)]
    return [(1.0, policy)]


def check_sizes(mdp: EpisodicMDP, policy: MarkovPolicy | MixturePolicy) -> None:
    """Raise unless the policy has the model's numbers of stages, states and actions."""
    sizes = (policy.n_states, policy.n_actions)
    if sizes != (mdp.n_states, mdp.n_actions):
        raise ValueError(
            f"policy has (S, A) = {sizes}; the model has (S, A) = {(mdp.n_states, mdp.n_actions)}"
        )
    for _, component in _components(policy):
        if component.horizon not in (None, mdp.horizon):
            raise ValueError(f"policy has {component.horizon} stages; the model has {mdp.horizon}")


def _certified(
    mdp: EpisodicMDP,
    V: np.ndarray,
    Q: np.ndarray,
    policy: MarkovPolicy | MixturePolicy,
    operations: int,
    method: str,
    magnitude: np.ndarray,
) -> EpisodicSolution:
    """Bound the rounding of a recursion whose values (of each component) are at most magnitude[h]."""
    unit = rounding_unit(operations + 1)  # one more for adding the bound to the value
    error = np.zeros(mdp.horizon + 1)
    for h in range(mdp.horizon - 1, -1, -1):
        scale = np.abs(mdp.r[h]).max() + magnitude[h + 1]
        error[h] = (1 + ROW_SUM_TOLERANCE) * error[h + 1] + unit * scale * (1 + ROW_SUM_TOLERANCE)
    slack = error[:-1, None] * (1 + 1e-12)
    return EpisodicSolution(
        value=V[:-1],
        policy=policy,
        lower=V[:-1] - slack,
        upper=V[:-1] + slack,
        iterations=mdp.horizon,
        method=method,
        action_values=Q,
        start_value=float(mdp.rho @ V[0]),
    )
