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
from theoryrl.learners.baselines.off_dynamics import DRLSVIUCB, LSVIUCB, RPO, WeDriveU
from theoryrl.learners.dr_rpo import DRRPO
from theoryrl.learners.offline_baseline import LearnedBaseline, learn_baseline
from theoryrl.learners.stepmix import EpsMix, StepMix

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
)

LEARNERS: Registry[type[Any]] = Registry("learner", [(learner.key, learner) for learner in _ALL])

__all__ = [
    "BPIUCBVI",
    "DOPE",
    "DRLSVIUCB",
    "DRRPO",
    "LEARNERS",
    "LSVIUCB",
    "PSRL",
    "RPO",
    "UCBVI",
    "AlwaysBaseline",
    "Budget",
    "EpsMix",
    "FixedMixture",
    "LearnedBaseline",
    "OptCMDP",
    "OptPessLP",
    "OracleMixture",
    "StepMix",
    "WeDriveU",
    "learn_baseline",
]
