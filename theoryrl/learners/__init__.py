"""The algorithms of the papers, and what they are compared with."""

from __future__ import annotations

from typing import Any

from theoryrl._registry import Registry
from theoryrl.learners.all_policies import AllPolicyFTPedel
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
from theoryrl.learners.baselines.identification import VILCB, ActionElimination, GapUCBVI
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
from theoryrl.learners.dr_rpo import DRRPO
from theoryrl.learners.ftpedel import FTPedel, Pedel
from theoryrl.learners.linear_ftpedel import LinearFTPedel
from theoryrl.learners.nash_mp import NashMP, NashProx
from theoryrl.learners.nash_mp_pg import NashMPPG
from theoryrl.learners.offline_baseline import LearnedBaseline, learn_baseline
from theoryrl.learners.recovering import PeriodicUCB
from theoryrl.learners.sor import BinnedTsallisINF, ChebCB
from theoryrl.learners.spo import SPO, QueueSPO
from theoryrl.learners.stepmix import EpsMix, StepMix
from theoryrl.learners.trajectory_spo import TrajectorySPO
from theoryrl.learners.tuner import RelaxationTuner
from theoryrl.learners.two_phase_ftpedel import TwoPhaseFTPedel

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
    FTPedel,
    Pedel,
    TwoPhaseFTPedel,
    LinearFTPedel,
    AllPolicyFTPedel,
    VILCB,
    GapUCBVI,
    ActionElimination,
)

LEARNERS: Registry[type[Any]] = Registry("learner", [(learner.key, learner) for learner in _ALL])

__all__ = [
    "BPIUCBVI",
    "DOPE",
    "DRLSVIUCB",
    "DRRPO",
    "EGPO",
    "INPO",
    "KLUCB",
    "LEARNERS",
    "LSVIUCB",
    "MMD",
    "MPO",
    "OMWU",
    "PSRL",
    "RPO",
    "SPO",
    "UCB1",
    "UCBVI",
    "VILCB",
    "ActionElimination",
    "AllPolicyFTPedel",
    "AlwaysBaseline",
    "BinnedTsallisINF",
    "BlockingUCB",
    "Budget",
    "ChebCB",
    "DuellingHedge",
    "EpsMix",
    "Exp3",
    "FTPedel",
    "FixedArm",
    "FixedMixture",
    "GPLookahead",
    "GapUCBVI",
    "GreedyOracle",
    "InterleavedOracle",
    "IteratedReference",
    "LearnedBaseline",
    "LinearFTPedel",
    "LookaheadOracle",
    "NashEMA",
    "NashMD",
    "NashMDPG",
    "NashMP",
    "NashMPPG",
    "NashProx",
    "OnlineIPO",
    "OptCMDP",
    "OptPessLP",
    "OptimalCycle",
    "OracleMixture",
    "Pedel",
    "PeriodicOracle",
    "PeriodicUCB",
    "QueueSPO",
    "RandomOffsetsOracle",
    "RelaxationTuner",
    "RewardModelLearner",
    "RoundRobinOracle",
    "StepMix",
    "ThompsonSampling",
    "TrajectoryRewardModel",
    "TrajectorySPO",
    "TsallisINF",
    "TwoPhaseFTPedel",
    "UCBGreedy",
    "WeDriveU",
    "learn_baseline",
]
