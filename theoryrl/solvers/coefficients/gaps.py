"""Sub-optimality gaps of actions and of policies.

    Delta_h(s, a) = V*_h(s) - Q*_h(s, a) >= 0,
    gap(pi)       = max_{pi' in Pi} V^{pi'} - V^pi >= 0;

the *minimal gap* is the smallest of them that is positive. Whether a gap is zero is a question that
rounding can leave open. Entries are therefore sorted into three kinds: certainly positive, certainly a
tie (an action with the same rewards and transitions as the best one, the same policy twice), and
undecided. The bounds of the minimal gap, and what is said of unique optima, respect the undecided ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from theoryrl.models import EpisodicMDP, MarkovPolicy, MixturePolicy
from theoryrl.models._validation import check_type
from theoryrl.solvers.coefficients.reachability import check_policies, reachable_states
from theoryrl.solvers.episodic.planning import backward_induction, policy_evaluation
from theoryrl.solvers.solution import rounding_unit


@dataclass(frozen=True, eq=False)
class Gaps:
    """Gaps with proven bounds, of actions (shape [H, S, A]) or of N policies (shape [N]).

    Attributes
    ----------
    value, lower, upper
        The gaps and their bounds.
    ties
        Where the gap certainly equals that of the best entry: the first entry of computed gap zero (along
        the last axis) and its copies.
    within
        Which entries count for the properties: all, or those of reachable states.
    """

    value: Float[np.ndarray, ...]
    lower: Float[np.ndarray, ...]
    upper: Float[np.ndarray, ...]
    ties: Bool[np.ndarray, ...]
    within: Bool[np.ndarray, ...]

    @property
    def positive(self) -> Bool[np.ndarray, ...]:
        """Where the gap is certainly positive."""
        return self.lower > 0

    @property
    def undecided(self) -> Bool[np.ndarray, ...]:
        """Where rounding leaves open whether the gap is zero."""
        return ~self.positive & ~self.ties

    @property
    def minimal(self) -> float:
        """The smallest computed gap among those that are certainly positive; infinite if there is none."""
        return float(np.min(self.value, where=self.positive & self.within, initial=np.inf))

    @property
    def minimal_bounds(self) -> tuple[float, float]:
        """Proven bounds on the smallest positive gap; the lower one is zero if an entry is undecided."""
        counted = self.positive & self.within
        lower = float(np.min(self.lower, where=counted, initial=np.inf))
        upper = float(np.min(self.upper, where=counted, initial=np.inf))
        return (0.0 if (self.undecided & self.within).any() else lower), upper

    @property
    def unique(self) -> bool | None:
        """Whether the optimum (of each state) is unique; None where rounding leaves that open."""
        counted = self.within.any(axis=-1)
        open_ = self.undecided.any(axis=-1)
        several = self.ties.sum(axis=-1) > 1
        if (several & ~open_ & counted).any():
            return False
        return None if (open_ & counted).any() else True


def action_gaps(mdp: EpisodicMDP, reachable: bool = False) -> Gaps:
    """Return ``Delta_h(s, a) = V*_h(s) - Q*_h(s, a)`` with bounds.

    Parameters
    ----------
    mdp
        The model.
    reachable
        Whether the minimal gap and uniqueness are asked only for states that some policy reaches.

    Returns
    -------
    Gaps
        Arrays of shape [H, S, A]. `Gaps.unique` says whether the optimal policy is unique.
    """
    check_type("reachable", reachable, bool, np.bool_)
    solution = backward_induction(mdp)
    Q, V = solution.action_values, solution.value
    value = V[:, :, None] - Q
    # The bound on the rounding of V_h(s) is one on the rounding of every Q_h(s, a).
    slack = 2 * (solution.upper - V)[:, :, None] + rounding_unit(2) * (np.abs(V)[:, :, None] + np.abs(Q))
    slack *= 1 + 1e-12
    ties = _copies_of_the_best(mdp, solution.policy.actions)
    lower = np.where(ties, 0.0, np.maximum(value - slack, 0.0))
    within = np.ones(value.shape, dtype=bool)
    if reachable:
        within &= reachable_states(mdp)[:, :, None]
    return Gaps(value, lower, value + slack, ties, within)


def suboptimality_gaps(mdp: EpisodicMDP) -> Float[np.ndarray, "H S A"]:
    """Return Delta[h, s, a] = V*_h(s) - Q*_h(s, a), which is non-negative, without bounds."""
    return action_gaps(mdp).value


def policy_gaps(mdp: EpisodicMDP, policies: Sequence[MarkovPolicy | MixturePolicy]) -> Gaps:
    """Return ``max_{pi' in Pi} V^{pi'} - V^pi`` for each policy of a finite set Pi.

    Raises
    ------
    ValueError
        If the set is empty, or a policy does not fit the model.
    """
    check_policies(policies)
    solutions = [policy_evaluation(mdp, policy) for policy in policies]
    low, high = np.array([solution.start_bounds for solution in solutions]).T
    values = np.array([solution.start_value for solution in solutions])
    best = int(values.argmax())
    ties = np.array([_same(policy, policies[best], mdp.horizon) for policy in policies])
    unit = 1 + rounding_unit(2)
    lower = np.where(ties, 0.0, np.maximum(low.max() - high, 0.0) / unit)
    upper = np.maximum(high.max() - low, 0.0) * unit
    return Gaps(values[best] - values, lower, upper, ties, np.ones(len(policies), dtype=bool))


def _copies_of_the_best(mdp: EpisodicMDP, actions: np.ndarray) -> np.ndarray:
    """Return where an action has the same row (r, P) as the best one; at the last stage P is irrelevant."""
    chosen = actions[..., None]
    same = mdp.r == np.take_along_axis(mdp.r, chosen, axis=2)
    same[:-1] &= (mdp.P == np.take_along_axis(mdp.P, chosen[..., None], axis=2))[:-1].all(axis=3)
    return same


def _same(first: MarkovPolicy | MixturePolicy, second: MarkovPolicy | MixturePolicy, horizon: int) -> bool:
    if isinstance(first, MixturePolicy) or isinstance(second, MixturePolicy):
        return first is second
    return bool(np.array_equal(first.stages(horizon), second.stages(horizon)))
