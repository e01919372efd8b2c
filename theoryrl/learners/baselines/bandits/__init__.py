"""Classic bandit learners, each of which plays whole blocks of rounds in one compiled call.

`UCB1`, `KLUCB` and `ThompsonSampling` are for independent rewards, `Exp3` for losses that an adversary
chose, `TsallisINF` for both; `SuccessiveHalving` looks for the best arm, `FixedArm` learns nothing.
"""

from __future__ import annotations

from theoryrl.learners.baselines.bandits.halving import SuccessiveHalving
from theoryrl.learners.baselines.bandits.indices import KLUCB, UCB1, FixedArm, ThompsonSampling
from theoryrl.learners.baselines.bandits.weights import Exp3, TsallisINF

__all__ = ["KLUCB", "UCB1", "Exp3", "FixedArm", "SuccessiveHalving", "ThompsonSampling", "TsallisINF"]
