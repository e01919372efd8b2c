"""How likely a state, or a pair of state and action, can be made.

The occupancy of a policy is ``d_h^pi(s, a) = Pr(s_h = s, a_h = a)``. Its largest value over the policies::

    q_h(s, a) = max_pi d_h^pi(s, a)

is what coverability and concentrability are made of. For all policies it is a dynamic program for
each target (k, y)::

    U_k(x, y) = 1{x = y},    U_h(x, y) = max_a sum_x' P_h(x' | x, a) U_{h+1}(x', y),
    max_pi Pr(s_k = y) = sum_x rho(x) U_0(x, y),

and the action at the target is free, so ``q_k(y, a)`` is the same number for every a. Randomised
policies and mixtures do not help, because each target is a linear objective.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from theoryrl.models import EpisodicMDP, MarkovPolicy, MixturePolicy
from theoryrl.models._validation import check_type
from theoryrl.solvers.coefficients.coefficient import Enclosure, enclose, enclose_sum
from theoryrl.solvers.episodic.planning import occupancy_measure


@dataclass(frozen=True, eq=False)
class Reachability:
    """The largest probability of each pair and each state, over all policies or a finite set.

    Attributes
    ----------
    pairs, pairs_lower, pairs_upper
        ``q_h(s, a) = max_pi d_h^pi(s, a)`` and proven bounds: shape [H, S, A]. Both bounds are zero
        exactly where no policy arrives.
    states, states_lower, states_upper
        ``max_pi Pr(s_h = s)`` and proven bounds: shape [H, S].
    """

    pairs: Float[np.ndarray, "H S A"]
    pairs_lower: Float[np.ndarray, "H S A"]
    pairs_upper: Float[np.ndarray, "H S A"]
    states: Float[np.ndarray, "H S"]
    states_lower: Float[np.ndarray, "H S"]
    states_upper: Float[np.ndarray, "H S"]


def reachability(
    mdp: EpisodicMDP, policies: Sequence[MarkovPolicy | MixturePolicy] | None = None
) -> Reachability:
    """Return the largest occupancy of each (h, s, a) and the largest probability of each (h, s).

    Parameters
    ----------
    mdp
        The model; its rewards play no part.
    policies
        A finite set of policies, or None for all of them.

    Returns
    -------
    Reachability
        Exact up to rounding, which the bounds account for.

    Raises
    ------
    ValueError
        If the set is empty, or a policy does not fit the model.

    Notes
    -----
    Cost O(H^2 S^3 A) for all policies, O(N H S^2 A) for N of them.
    """
    if policies is None:
        states = _over_all_policies(mdp)
        shape = mdp.r.shape
        pairs = Enclosure(
            *(np.broadcast_to(x[..., None], shape) for x in (states.value, states.lower, states.upper))
        )
    else:
        d = enclosed_occupancies(mdp, policies)
        pairs, states = _largest(d), _largest(enclose_sum(d, 1))
    return Reachability(pairs.value, pairs.lower, pairs.upper, states.value, states.lower, states.upper)


def _largest(each: Enclosure) -> Enclosure:
    return Enclosure(each.value.max(axis=0), each.lower.max(axis=0), each.upper.max(axis=0))


def occupancy_measures(
    mdp: EpisodicMDP, policies: Sequence[MarkovPolicy | MixturePolicy]
) -> Float[np.ndarray, "N H S A"]:
    """Return the occupancy measure of each of N policies.

    Raises
    ------
    ValueError
        If there is none, or one does not fit the model.
    """
    check_policies(policies)
    return np.stack([occupancy_measure(mdp, policy) for policy in policies])


def enclosed_occupancies(mdp: EpisodicMDP, policies: Sequence[MarkovPolicy | MixturePolicy]) -> Enclosure:
    """Return the occupancy measures with bounds: arrays of shape [N, H, S, A]."""
    H, S, A = mdp.r.shape
    d = occupancy_measures(mdp, policies)
    components = [p.policies if isinstance(p, MixturePolicy) else (p,) for p in policies]
    support = np.stack([_support_of(mdp, policy) for policy in policies])
    operations = H * (S * A + 2) + max(map(len, components)) + 1
    return enclose(d, operations, support)


def check_policies(policies: Sequence[MarkovPolicy | MixturePolicy]) -> None:
    """Raise unless `policies` is a sequence with at least one entry."""
    check_type("policies", policies, Sequence)
    if len(policies) == 0:
        raise ValueError("policies must not be empty; use None for all policies")


def reachable_states(mdp: EpisodicMDP) -> Bool[np.ndarray, "H S"]:
    """Return where some policy arrives with positive probability; decided without rounding."""
    return np.asarray(support_of_actions(mdp, np.ones(mdp.r.shape, dtype=bool)).any(axis=2))


def support_of_actions(mdp: EpisodicMDP, allowed: np.ndarray) -> Bool[np.ndarray, "H S A"]:
    """Return the pairs that are reached along transitions of the allowed[h, s, a] actions.

    Sums of positive probabilities, each taken once, are positive in floating point too.
    """
    reached = np.zeros(allowed.shape, dtype=bool)
    states = mdp.rho > 0
    for h in range(mdp.horizon):
        reached[h] = states[:, None] & allowed[h]
        states = reached[h].ravel().astype(np.float64) @ mdp.P[h].reshape(-1, mdp.n_states) > 0
    return reached


def _support_of(mdp: EpisodicMDP, policy: MarkovPolicy | MixturePolicy) -> np.ndarray:
    if isinstance(policy, MixturePolicy):
        parts = zip(policy.weights, policy.policies, strict=True)
        return np.asarray(np.stack([_support_of(mdp, p) for w, p in parts if w > 0]).any(axis=0))
    return support_of_actions(mdp, policy.stages(mdp.horizon) > 0)


def _over_all_policies(mdp: EpisodicMDP) -> Enclosure:
    H, S, _ = mdp.r.shape
    targets = np.broadcast_to(np.eye(S), (H, S, S))
    return enclose(largest_expectations(mdp, targets), H * S, reachable_states(mdp))


def largest_expectations(mdp: EpisodicMDP, targets: Float[np.ndarray, "H S M"]) -> Float[np.ndarray, "H M"]:
    """Return ``max_pi E f(s_h)`` for each stage h and its M non-negative functions targets[h, :, m].

    One backward pass serves all stages: at stage h the columns of the later ones are multiplied by
    the transition matrix of each action at once. The result has at most H S roundings.
    """
    H, S, M = targets.shape
    U = np.empty((S, H * M))
    for h in range(H - 1, -1, -1):
        later = U[:, (h + 1) * M :]
        if later.size:
            following = later.copy()
            np.matmul(mdp.P[h, :, 0], following, out=later)
            for a in range(1, mdp.n_actions):
                np.maximum(later, mdp.P[h, :, a] @ following, out=later)
        U[:, h * M : (h + 1) * M] = targets[h]
    return (mdp.rho @ U).reshape(H, M)
