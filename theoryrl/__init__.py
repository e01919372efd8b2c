"""theoryrl: provable reinforcement learning on exactly solved models.

The wings, each of which imports only those above it: `models`, `solvers`, `instances`, `protocol`,
`learners`, `theory`, `study`, `cli`. The names that everyone uses are here.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "AverageRewardMDP": "models",
    "ConservativeMDP": "models",
    "ConstrainedMDP": "models",
    "DeterministicPolicy": "models",
    "DiscountedMDP": "models",
    "EpisodicMDP": "models",
    "HistoryPolicy": "models",
    "ImplicitMDP": "models",
    "LinearMDP": "models",
    "LossTable": "models",
    "MatrixGame": "models",
    "MixturePolicy": "models",
    "OfflineDataset": "models",
    "PiecewiseStationaryMDP": "models",
    "Policy": "models",
    "PreferenceGame": "models",
    "RecoveringBandit": "models",
    "RegularizedGame": "models",
    "RelaxationTuner": "learners",
    "RewardNoise": "models",
    "RobustLinearMDP": "models",
    "RobustMDP": "models",
    "StochasticBandit": "models",
    "Study": "study",
    "Trace": "protocol",
    "TrajectoryGame": "models",
    "Uncertainty": "models",
    "ZeroSumMarkovGame": "models",
    "play": "protocol",
    "solve": "solvers",
    "verify": "theory",
}
_WINGS = ("models", "solvers", "instances", "protocol", "learners", "theory", "study")

__all__ = [
    "AverageRewardMDP",
    "ConservativeMDP",
    "ConstrainedMDP",
    "DeterministicPolicy",
    "DiscountedMDP",
    "EpisodicMDP",
    "HistoryPolicy",
    "ImplicitMDP",
    "LinearMDP",
    "LossTable",
    "MatrixGame",
    "MixturePolicy",
    "OfflineDataset",
    "PiecewiseStationaryMDP",
    "Policy",
    "PreferenceGame",
    "RecoveringBandit",
    "RegularizedGame",
    "RelaxationTuner",
    "RewardNoise",
    "RobustLinearMDP",
    "RobustMDP",
    "StochasticBandit",
    "Study",
    "Trace",
    "TrajectoryGame",
    "Uncertainty",
    "ZeroSumMarkovGame",
    "__version__",
    "instances",
    "learners",
    "models",
    "play",
    "protocol",
    "solve",
    "solvers",
    "study",
    "theory",
    "verify",
]

if TYPE_CHECKING:
    from theoryrl import instances, learners, models, protocol, solvers, study, theory
    from theoryrl.learners import RelaxationTuner
    from theoryrl.models import (
        AverageRewardMDP,
        ConservativeMDP,
        ConstrainedMDP,
        DeterministicPolicy,
        DiscountedMDP,
        EpisodicMDP,
        HistoryPolicy,
        ImplicitMDP,
        LinearMDP,
        LossTable,
        MatrixGame,
        MixturePolicy,
        OfflineDataset,
        PiecewiseStationaryMDP,
        Policy,
        PreferenceGame,
        RecoveringBandit,
        RegularizedGame,
        RewardNoise,
        RobustLinearMDP,
        RobustMDP,
        StochasticBandit,
        TrajectoryGame,
        Uncertainty,
        ZeroSumMarkovGame,
    )
    from theoryrl.protocol import Trace, play
    from theoryrl.solvers import solve
    from theoryrl.study import Study
    from theoryrl.theory import verify


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package stays instant."""
    if name in _HOME:
        return getattr(importlib.import_module(f"theoryrl.{_HOME[name]}"), name)
    if name in _WINGS:
        return importlib.import_module(f"theoryrl.{name}")
    raise AttributeError(f"module 'theoryrl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
