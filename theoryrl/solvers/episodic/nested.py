"""Policies that switch from one policy to another at a stage, or mix the two at one stage.

Mixing two policies at a *single* stage makes values and occupancies exactly linear in the weight
(Lemma 1 of the StepMix page): both policies share the law of the state at that stage, and follow
the same tail after it. Mixing at two or more stages does not.
"""

from __future__ import annotations

import numpy as np

from theoryrl.models import EpisodicMDP, MarkovPolicy, Policy
from theoryrl.models._validation import check_count, check_real
from theoryrl.solvers.episodic.planning import occupancy_measure, policy_evaluation


def nested_policy(head: MarkovPolicy, tail: MarkovPolicy, switch: int, horizon: int) -> Policy:
    """Follow `head` at stages 0, ..., switch-1 and `tail` from stage `switch` on."""
    check_count("switch", switch, low=0, high=horizon)
    return Policy(np.concatenate([head.stages(horizon)[:switch], tail.stages(horizon)[switch:]]))


def mix_at_stage(
    first: MarkovPolicy, second: MarkovPolicy, stage: int, weight: float, horizon: int
) -> Policy:
    """Mix two policies that agree at every stage but one: weight * first + (1 - weight) * second.

    Raises
    ------
    ValueError
        If the policies differ at another stage (the mixture would not be linear in the weight), the
        stage is outside [0, H) or the weight outside [0, 1].
    """
    check_count("stage", stage, low=0, high=horizon - 1)
    check_real("weight", weight, 0.0, 1.0)
    a, b = first.stages(horizon), second.stages(horizon)
    others = np.arange(horizon) != stage
    if not np.array_equal(a[others], b[others]):
        raise ValueError(f"policies must agree at every stage except stage = {stage}")
    mixed = np.where(others[:, None, None], a, weight * a + (1 - weight) * b)
    return Policy(mixed)


def performance_difference(
    mdp: EpisodicMDP, policy: MarkovPolicy, reference: MarkovPolicy
) -> tuple[float, float]:
    """Return both sides of the performance-difference identity.

    V^pi - V^ref = sum_h E_{s ~ d^pi_h, a ~ pi_h} [ Q^ref_h(s, a) - V^ref_h(s) ].

    Source: Kakade and Langford (2002), Lemma 6.1, in its finite-horizon form.
    """
    ours = policy_evaluation(mdp, policy)
    theirs = policy_evaluation(mdp, reference)
    advantage = theirs.action_values - theirs.value[:, :, None]
    return (
        ours.start_value - theirs.start_value,
        float(np.sum(occupancy_measure(mdp, policy) * advantage)),
    )
