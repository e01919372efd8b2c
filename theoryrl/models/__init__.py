"""What a problem is: frozen dataclasses of validated, read-only arrays."""

from theoryrl.models.bandit import LossTable, StochasticBandit
from theoryrl.models.conservative import ConservativeMDP
from theoryrl.models.episodic import EpisodicMDP, RewardNoise
from theoryrl.models.interop import from_gymnasium, from_toolbox, to_gymnasium, to_toolbox
from theoryrl.models.linear_systems import LinearSystems, RelaxationTuning, SPDMatrix
from theoryrl.models.offline import OfflineDataset
from theoryrl.models.policy import DeterministicPolicy, MarkovPolicy, MixturePolicy, Policy
from theoryrl.models.storage import load, save

__all__ = [
    "ConservativeMDP",
    "DeterministicPolicy",
    "EpisodicMDP",
    "LinearSystems",
    "LossTable",
    "MarkovPolicy",
    "MixturePolicy",
    "OfflineDataset",
    "Policy",
    "RelaxationTuning",
    "RewardNoise",
    "SPDMatrix",
    "StochasticBandit",
    "from_gymnasium",
    "from_toolbox",
    "load",
    "save",
    "to_gymnasium",
    "to_toolbox",
]
