"""What a problem is: frozen dataclasses of validated, read-only arrays."""

from theoryrl.models.bandit import LossTable, StochasticBandit
from theoryrl.models.conservative import ConservativeMDP
from theoryrl.models.constrained import ConstrainedMDP
from theoryrl.models.counts import TransitionCounts
from theoryrl.models.episodic import EpisodicMDP, RewardNoise
from theoryrl.models.fine_tuning import FineTuningTask
from theoryrl.models.hypotheses import CandidateMDP, FiniteFunctionClass, FiniteModelClass, Hypotheses
from theoryrl.models.implicit import ImplicitMDP
from theoryrl.models.interop import from_gymnasium, from_toolbox, to_gymnasium, to_toolbox
from theoryrl.models.layouts import (
    discounted_from_toolbox,
    from_quantecon,
    stationary_to_toolbox,
    to_quantecon,
)
from theoryrl.models.linear import LinearMDP, RobustLinearMDP
from theoryrl.models.linear_systems import LinearSystems, RelaxationTuning, SPDMatrix
from theoryrl.models.markov_game import (
    CandidateGame,
    FiniteGameClass,
    FiniteMemoryPolicy,
    PolicyPair,
    ZeroSumMarkovGame,
)
from theoryrl.models.offline import OfflineDataset
from theoryrl.models.parametric_classes import (
    LinearMixtureClass,
    LinearQClass,
    TabularModelClass,
    TabularQClass,
)
from theoryrl.models.piecewise import PiecewiseStationaryMDP
from theoryrl.models.policy import DeterministicPolicy, MarkovPolicy, MixturePolicy, Policy
from theoryrl.models.policy_class import PolicyClass
from theoryrl.models.preference import MatrixGame, PreferenceGame, RegularizedGame
from theoryrl.models.product_class import ProductQClass
from theoryrl.models.recovering import RecoveringBandit
from theoryrl.models.robust import RobustMDP
from theoryrl.models.schedules import (
    IndexRule,
    OffsetSchedule,
    PeriodicSchedule,
    PullSequence,
    Schedule,
)
from theoryrl.models.stationary import AverageRewardMDP, DiscountedMDP, StationaryMDP
from theoryrl.models.storage import load, save
from theoryrl.models.total import TotalRewardMDP
from theoryrl.models.trajectory import HistoryPolicy, TrajectoryGame, list_trajectories
from theoryrl.models.transitions import SparseTransitions
from theoryrl.models.uncertainty import Uncertainty

__all__ = [
    "AverageRewardMDP",
    "CandidateGame",
    "CandidateMDP",
    "ConservativeMDP",
    "ConstrainedMDP",
    "DeterministicPolicy",
    "DiscountedMDP",
    "EpisodicMDP",
    "FineTuningTask",
    "FiniteFunctionClass",
    "FiniteGameClass",
    "FiniteMemoryPolicy",
    "FiniteModelClass",
    "HistoryPolicy",
    "Hypotheses",
    "ImplicitMDP",
    "IndexRule",
    "LinearMDP",
    "LinearMixtureClass",
    "LinearQClass",
    "LinearSystems",
    "LossTable",
    "MarkovPolicy",
    "MatrixGame",
    "MixturePolicy",
    "OfflineDataset",
    "OffsetSchedule",
    "PeriodicSchedule",
    "PiecewiseStationaryMDP",
    "Policy",
    "PolicyClass",
    "PolicyPair",
    "PreferenceGame",
    "ProductQClass",
    "PullSequence",
    "RecoveringBandit",
    "RegularizedGame",
    "RelaxationTuning",
    "RewardNoise",
    "RobustLinearMDP",
    "RobustMDP",
    "SPDMatrix",
    "Schedule",
    "SparseTransitions",
    "StationaryMDP",
    "StochasticBandit",
    "TabularModelClass",
    "TabularQClass",
    "TotalRewardMDP",
    "TrajectoryGame",
    "TransitionCounts",
    "Uncertainty",
    "ZeroSumMarkovGame",
    "discounted_from_toolbox",
    "from_gymnasium",
    "from_quantecon",
    "from_toolbox",
    "list_trajectories",
    "load",
    "save",
    "stationary_to_toolbox",
    "to_gymnasium",
    "to_quantecon",
    "to_toolbox",
]
