"""Fine-tuning: an MDP, a class of policies to choose from, and data collected before."""

from __future__ import annotations

from dataclasses import dataclass

from theoryrl.models._validation import check_type
from theoryrl.models.counts import TransitionCounts
from theoryrl.models.episodic import EpisodicMDP
from theoryrl.models.policy import DeterministicPolicy, MarkovPolicy, Policy
from theoryrl.models.policy_class import PolicyClass


@dataclass(frozen=True, eq=False)
class FineTuningTask:
    """Find an eps-optimal policy of a class in few online episodes, given offline data.

    Parameters
    ----------
    mdp
        The true model, with rewards in [0, 1]; observed rewards must lie in [0, 1] too.
    policies
        The class, fixed before any data are seen.
    offline
        Data collected before; None for none.
    behaviour
        The policy that collected them, where there is one.

    Raises
    ------
    ValueError
        If sizes disagree, or observed rewards may leave [0, 1].
    """

    mdp: EpisodicMDP
    policies: PolicyClass
    offline: TransitionCounts | None = None
    behaviour: MarkovPolicy | None = None

    def __post_init__(self) -> None:
        check_type("mdp", self.mdp, EpisodicMDP)
        check_type("policies", self.policies, PolicyClass)
        shape = self.mdp.r.shape
        sizes = self.policies.horizon, self.policies.n_states, self.policies.n_actions
        if sizes != shape:
            raise ValueError(f"policies must have (H, S, A) = {shape} of the model; got {sizes}")
        if not self.mdp.has_unit_rewards or self.mdp.noise.kind not in ("none", "bernoulli"):
            raise ValueError(
                "mdp must have observed rewards in [0, 1] (noise 'none' or 'bernoulli'); "
                f"got noise {self.mdp.noise.kind!r} and means up to {float(self.mdp.r.max())!r}"
            )
        if self.offline is not None:
            check_type("offline", self.offline, TransitionCounts)
            if self.offline.shape != shape:
                raise ValueError(
                    f"offline must have (H, S, A) = {shape} of the model; got {self.offline.shape}"
                )
        if self.behaviour is not None:
            check_type("behaviour", self.behaviour, Policy, DeterministicPolicy)
            if self.behaviour.stages(self.mdp.horizon).shape != shape:
                raise ValueError(f"behaviour must have (H, S, A) = {shape} of the model")
