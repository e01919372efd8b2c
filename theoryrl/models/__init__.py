"""What a problem is: frozen dataclasses of validated, read-only arrays."""

from theoryrl.models.conservative import ConservativeMDP
from theoryrl.models.episodic import EpisodicMDP, RewardNoise
from theoryrl.models.interop import from_gymnasium, from_toolbox, to_gymnasium, to_toolbox
from theoryrl.models.offline import OfflineDataset
from theoryrl.models.policy import DeterministicPolicy, MarkovPolicy, MixturePolicy, Policy
from theoryrl.models.storage import load, save
from theoryrl.models.uncertainty import Uncertainty

__all__ = [
    "ConservativeMDP",
    "DeterministicPolicy",
    "EpisodicMDP",
    "MarkovPolicy",
    "MixturePolicy",
    "OfflineDataset",
    "Policy",
    "RewardNoise",
    "Uncertainty",
    "from_gymnasium",
    "from_toolbox",
    "load",
    "save",
    "to_gymnasium",
    "to_toolbox",
]
