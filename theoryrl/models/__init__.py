"""What a problem is: frozen dataclasses of validated, read-only arrays."""

from theoryrl.models.conservative import ConservativeMDP
from theoryrl.models.episodic import EpisodicMDP, RewardNoise
from theoryrl.models.interop import from_gymnasium, from_toolbox, to_gymnasium, to_toolbox
from theoryrl.models.offline import OfflineDataset
from theoryrl.models.policy import DeterministicPolicy, MarkovPolicy, MixturePolicy, Policy
from theoryrl.models.preference import MatrixGame, PreferenceGame, RegularizedGame
from theoryrl.models.storage import load, save
from theoryrl.models.trajectory import HistoryPolicy, TrajectoryGame, list_trajectories

__all__ = [
    "ConservativeMDP",
    "DeterministicPolicy",
    "EpisodicMDP",
    "HistoryPolicy",
    "MarkovPolicy",
    "MatrixGame",
    "MixturePolicy",
    "OfflineDataset",
    "Policy",
    "PreferenceGame",
    "RegularizedGame",
    "RewardNoise",
    "TrajectoryGame",
    "from_gymnasium",
    "from_toolbox",
    "list_trajectories",
    "load",
    "save",
    "to_gymnasium",
    "to_toolbox",
]
