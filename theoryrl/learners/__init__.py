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
from theoryrl.learners.offline_baseline import LearnedBaseline, learn_baseline
from theoryrl.learners.recovering import PeriodicUCB
from theoryrl.learners.sor import BinnedTsallisINF, ChebCB
from theoryrl.learners.stepmix import EpsMix, StepMix
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
)

LEARNERS: Registry[type[Any]] = Registry("learner", [(learner.key, learner) for learner in _ALL])

__all__ = [
    "BPIUCBVI",
    "DOPE",
    "KLUCB",
    "LEARNERS",
    "PSRL",
    "UCB1",
    "UCBVI",
    "AlwaysBaseline",
    "BinnedTsallisINF",
    "BlockingUCB",
    "Budget",
    "ChebCB",
    "EpsMix",
    "Exp3",
    "FixedArm",
    "FixedMixture",
    "GPLookahead",
    "GreedyOracle",
    "InterleavedOracle",
    "LearnedBaseline",
    "LookaheadOracle",
    "OptCMDP",
    "OptPessLP",
    "OptimalCycle",
    "OracleMixture",
    "PeriodicOracle",
    "PeriodicUCB",
    "RandomOffsetsOracle",
    "RelaxationTuner",
    "RoundRobinOracle",
    "StepMix",
    "ThompsonSampling",
    "TsallisINF",
    "UCBGreedy",
    "learn_baseline",
]
