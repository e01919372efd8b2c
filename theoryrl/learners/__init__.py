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
from theoryrl.learners.baselines.bandits import KLUCB, UCB1, Exp3, FixedArm, ThompsonSampling, TsallisINF
from theoryrl.learners.baselines.golf import GOLF
from theoryrl.learners.baselines.hybrid import HyQ, OfflineOnly, OnlineFQI
from theoryrl.learners.baselines.off_dynamics import DRLSVIUCB, LSVIUCB, RPO, WeDriveU
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
from theoryrl.learners.baselines.recovering import (
    BlockingUCB,
    GPLookahead,
    GreedyOracle,
    InterleavedOracle,
    LookaheadOracle,
    OptimalCycle,
    PeriodicOracle,
    RandomOffsetsOracle,
    RoundRobinOracle,
    UCBGreedy,
)
from theoryrl.learners.baselines.winner import DuellingHedge, RewardModelLearner, TrajectoryRewardModel
from theoryrl.learners.candidates import RealizabilityError
from theoryrl.learners.dr_rpo import DRRPO
from theoryrl.learners.glow import GLOW
from theoryrl.learners.hyglow import H2O, HyGLOW
from theoryrl.learners.nash_mp import NashMP, NashProx
from theoryrl.learners.nash_mp_pg import NashMPPG
from theoryrl.learners.offline_baseline import LearnedBaseline, learn_baseline
from theoryrl.learners.offline_fits import MABO, MABOCR, FittedQIteration, ModelMLE, OfflineAlgorithm
from theoryrl.learners.population import population_glow, population_hyglow, population_mabo
from theoryrl.learners.recovering import PeriodicUCB
from theoryrl.learners.sor import BinnedTsallisINF, ChebCB
from theoryrl.learners.spo import SPO, QueueSPO
from theoryrl.learners.stepmix import EpsMix, StepMix
from theoryrl.learners.trajectory_spo import TrajectorySPO
from theoryrl.learners.tuner import RelaxationTuner

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
    DRRPO,
    DRLSVIUCB,
    LSVIUCB,
    RPO,
    WeDriveU,
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
    PeriodicUCB,
    UCBGreedy,
    BlockingUCB,
    GPLookahead,
    GreedyOracle,
    RoundRobinOracle,
    PeriodicOracle,
    OptimalCycle,
    RandomOffsetsOracle,
    InterleavedOracle,
    LookaheadOracle,
    TsallisINF,
    BinnedTsallisINF,
    ChebCB,
    UCB1,
    KLUCB,
    ThompsonSampling,
    Exp3,
    FixedArm,
    SPO,
    TrajectorySPO,
    QueueSPO,
    RewardModelLearner,
    TrajectoryRewardModel,
    DuellingHedge,
    GLOW,
    H2O,
    HyGLOW,
    GOLF,
    HyQ,
    OnlineFQI,
    OfflineOnly,
)

LEARNERS: Registry[type[Any]] = Registry("learner", [(learner.key, learner) for learner in _ALL])

__all__ = [
    "BPIUCBVI",
    "DOPE",
    "DRLSVIUCB",
    "DRRPO",
    "EGPO",
    "GLOW",
    "GOLF",
    "H2O",
    "INPO",
    "KLUCB",
    "LEARNERS",
    "LSVIUCB",
    "MABO",
    "MABOCR",
    "MMD",
    "MPO",
    "OMWU",
    "PSRL",
    "RPO",
    "SPO",
    "UCB1",
    "UCBVI",
    "AlwaysBaseline",
    "BinnedTsallisINF",
    "BlockingUCB",
    "Budget",
    "ChebCB",
    "DuellingHedge",
    "EpsMix",
    "Exp3",
    "FittedQIteration",
    "FixedArm",
    "FixedMixture",
    "GPLookahead",
    "GreedyOracle",
    "HyGLOW",
    "HyQ",
    "InterleavedOracle",
    "IteratedReference",
    "LearnedBaseline",
    "LookaheadOracle",
    "ModelMLE",
    "NashEMA",
    "NashMD",
    "NashMDPG",
    "NashMP",
    "NashMPPG",
    "NashProx",
    "OfflineAlgorithm",
    "OfflineOnly",
    "OnlineFQI",
    "OnlineIPO",
    "OptCMDP",
    "OptPessLP",
    "OptimalCycle",
    "OracleMixture",
    "PeriodicOracle",
    "PeriodicUCB",
    "QueueSPO",
    "RandomOffsetsOracle",
    "RealizabilityError",
    "RelaxationTuner",
    "RewardModelLearner",
    "RoundRobinOracle",
    "StepMix",
    "ThompsonSampling",
    "TrajectoryRewardModel",
    "TrajectorySPO",
    "TsallisINF",
    "UCBGreedy",
    "WeDriveU",
    "learn_baseline",
    "population_glow",
    "population_hyglow",
    "population_mabo",
]
