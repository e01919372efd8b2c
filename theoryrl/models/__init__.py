"""What a problem is: frozen dataclasses of validated, read-only arrays."""

from theoryrl.models.conservative import ConservativeMDP
from theoryrl.models.episodic import EpisodicMDP, RewardNoise
from theoryrl.models.offline import OfflineDataset
from theoryrl.models.policy import DeterministicPolicy, MarkovPolicy, MixturePolicy, Policy

__all__ = [
    "ConservativeMDP",
    "DeterministicPolicy",
    "EpisodicMDP",
    "MarkovPolicy",
    "MixturePolicy",
    "OfflineDataset",
    "Policy",
    "RewardNoise",
]
