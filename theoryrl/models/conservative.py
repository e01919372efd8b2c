"""An episodic MDP with a safe baseline policy and the value that no episode may fall below."""

from __future__ import annotations

from dataclasses import dataclass

from theoryrl.models._validation import check_real, check_type
from theoryrl.models.episodic import EpisodicMDP
from theoryrl.models.policy import DeterministicPolicy, MarkovPolicy, Policy


@dataclass(frozen=True, eq=False)
class ConservativeMDP:
    """Conservative exploration: maximise return while every episode's value stays above a threshold.

    The requirement is V^{pi_k} >= threshold in every episode k, for the exact expected return of the
    executed policy, with probability at least 1 - delta (Li, Huang, Shen and Yang 2023).

    Parameters
    ----------
    mdp
        The true model.
    baseline
        A known policy whose value exceeds `threshold` (checked where the problem is played).
    threshold
        gamma, in [0, H) in units of the return.
    """

    mdp: EpisodicMDP
    baseline: MarkovPolicy
    threshold: float

    def __post_init__(self) -> None:
        check_type("mdp", self.mdp, EpisodicMDP)
        check_type("baseline", self.baseline, Policy, DeterministicPolicy)
        check_real("threshold", self.threshold)
        if not 0 <= self.threshold < self.mdp.horizon:
            raise ValueError(f"threshold must be in [0, {self.mdp.horizon}); got {self.threshold!r}")
        self.baseline.stages(self.mdp.horizon)
        if (self.baseline.n_states, self.baseline.n_actions) != (self.mdp.n_states, self.mdp.n_actions):
            raise ValueError(
                f"baseline has (S, A) = {(self.baseline.n_states, self.baseline.n_actions)}; "
                f"the model has {(self.mdp.n_states, self.mdp.n_actions)}"
            )
