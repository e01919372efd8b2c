"""What SPO is compared with: reward models, and two learners that play against each other."""

from theoryrl.learners.baselines.winner.duelling import DuellingHedge
from theoryrl.learners.baselines.winner.reward_model import (
    RewardModelLearner,
    TrajectoryRewardModel,
)

__all__ = ["DuellingHedge", "RewardModelLearner", "TrajectoryRewardModel"]
