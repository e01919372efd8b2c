"""Gain and bias of a policy, or of an optimal one, and the span of the bias."""

from __future__ import annotations

from theoryrl.models import AverageRewardMDP, MarkovPolicy
from theoryrl.models._validation import check_type
from theoryrl.solvers.average.evaluation import evaluate_policy
from theoryrl.solvers.average.policy_iteration import policy_iteration
from theoryrl.solvers.average.solution import BiasSolution


def gain_and_bias(mdp: AverageRewardMDP, policy: MarkovPolicy | None = None) -> BiasSolution:
    """Return gain and bias of a stationary policy, with proven bounds on both.

    Parameters
    ----------
    mdp
        The model.
    policy
        Default: an optimal policy. Optimal policies share their gain, but not always their bias;
        this one's then satisfies g + h = max_a r + P h within each communicating class up to the
        bounds of `policy_iteration`.

    Returns
    -------
    BiasSolution
        Of that policy, for any structure of its chain: several recurrent classes, transient states,
        periods.
    """
    check_type("mdp", mdp, AverageRewardMDP)
    return evaluate_policy(mdp, policy_iteration(mdp).policy if policy is None else policy)


def bias_span(mdp: AverageRewardMDP, policy: MarkovPolicy | None = None) -> tuple[float, float]:
    """Return proven bounds on max h - min h of the bias of a policy (default: an optimal one).

    In a communicating model with rewards in [0, 1] the span of an optimal bias is at most the diameter
    (Bartlett and Tewari 2009).
    """
    return gain_and_bias(mdp, policy).span
