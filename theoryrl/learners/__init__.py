"""The algorithms of the papers, and what they are compared with."""

from __future__ import annotations

from typing import Any

from theoryrl._registry import Registry
from theoryrl.learners.baselines import (
    BPIUCBVI,
    DOPE,
    PSRL,
    UCBVI,
    AlwaysBaseline,
    Budget,
    FixedMixture,
    OptCMDP,
    OptPessLP,
    OracleMixture,
)
from theoryrl.learners.baselines.preference import (
    EGPO,
    INPO,
    MMD,
    MPO,
    OMWU,
    IteratedReference,
    NashEMA,
    NashMD,
    NashMDPG,
    OnlineIPO,
)
from theoryrl.learners.baselines.winner import DuellingHedge, RewardModelLearner, TrajectoryRewardModel
from theoryrl.learners.nash_mp import NashMP, NashProx
from theoryrl.learners.nash_mp_pg import NashMPPG
from theoryrl.learners.offline_baseline import LearnedBaseline, learn_baseline
from theoryrl.learners.spo import SPO, QueueSPO
from theoryrl.learners.stepmix import EpsMix, StepMix
from theoryrl.learners.trajectory_spo import TrajectorySPO

_ALL: tuple[type[Any], ...] = (
    StepMix,
    EpsMix,
    UCBVI,
    BPIUCBVI,
    PSRL,
    AlwaysBaseline,
    FixedMixture,
    OracleMixture,
    Budget,
    OptCMDP,
    OptPessLP,
    DOPE,
    NashMP,
    NashProx,
    NashMPPG,
    NashMD,
    NashMDPG,
    NashEMA,
    OnlineIPO,
    INPO,
    EGPO,
    OMWU,
    MMD,
    MPO,
    IteratedReference,
    SPO,
    TrajectorySPO,
    QueueSPO,
    RewardModelLearner,
    TrajectoryRewardModel,
    DuellingHedge,
)

LEARNERS: Registry[type[Any]] = Registry("learner", [(learner.key, learner) for learner in _ALL])

__all__ = [
    "BPIUCBVI",
    "DOPE",
    "EGPO",
    "INPO",
    "LEARNERS",
    "MMD",
    "MPO",
    "OMWU",
    "PSRL",
    "SPO",
    "UCBVI",
    "AlwaysBaseline",
    "Budget",
    "DuellingHedge",
    "EpsMix",
    "FixedMixture",
    "IteratedReference",
    "LearnedBaseline",
    "NashEMA",
    "NashMD",
    "NashMDPG",
    "NashMP",
    "NashMPPG",
    "NashProx",
    "OnlineIPO",
    "OptCMDP",
    "OptPessLP",
    "OracleMixture",
    "QueueSPO",
    "RewardModelLearner",
    "StepMix",
    "TrajectoryRewardModel",
    "TrajectorySPO",
    "learn_baseline",
]
