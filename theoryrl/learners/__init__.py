"""The algorithms of the papers, and what they are compared with."""

from __future__ import annotations

from typing import Any

from theoryrl._registry import Registry
from theoryrl.learners.baselines.bpi_ucbvi import BPIUCBVI
from theoryrl.learners.baselines.budget import Budget
from theoryrl.learners.offline_baseline import LearnedBaseline, learn_baseline
from theoryrl.learners.stepmix import EpsMix, StepMix

LEARNERS: Registry[type[Any]] = Registry(
    "learner",
    [(learner.key, learner) for learner in (StepMix, EpsMix, BPIUCBVI, Budget)],
)

__all__ = ["BPIUCBVI", "LEARNERS", "Budget", "EpsMix", "LearnedBaseline", "StepMix", "learn_baseline"]
