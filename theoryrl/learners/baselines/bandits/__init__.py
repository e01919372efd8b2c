"""Classic bandit learners, each of which plays whole blocks of rounds in one compiled call.

`UCB1`, `KLUCB` and `ThompsonSampling` are for independent rewards, `Exp3` for losses that an adversary
chose, `TsallisINF` for both; `FixedArm` learns nothing.
"""

from __future__ import annotations

from theoryrl.learners.baselines.bandits.indices import KLUCB, UCB1, FixedArm, ThompsonSampling
from theoryrl.learners.baselines.bandits.weights import Exp3, TsallisINF

__all__ = ["KLUCB", "UCB1", "Exp3", "FixedArm", "ThompsonSampling", "TsallisINF"]
