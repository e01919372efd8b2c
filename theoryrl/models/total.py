"""Markov decision processes judged by the expected sum of all rewards.

    V(s) = E[ sum_t r(s_t, a_t) | s_0 = s ],

without a discount: a shortest path problem is one whose rewards are minus the costs, and whose goal is
a state that keeps itself at no cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool

from theoryrl.models.episodic import RewardNoise
from theoryrl.models.stationary import StationaryMDP


@dataclass(frozen=True, eq=False)
class TotalRewardMDP(StationaryMDP):
    """An MDP judged by its total expected reward, which may be infinite.

    Parameters
    ----------
    P, r, allowed, noise
        As of `DiscountedMDP`. Rewards may be of either sign; where both signs occur, going on for
        ever must lose (a negative long-run average in every part of the model that does not pay
        zero), or the sum has no meaning and solvers refuse the model.

    Attributes
    ----------
    row_sum_error
        Proven bound on the distance of any row sum from one, which certificates account for.

    Notes
    -----
    A process ends where it can stay for ever at reward zero: a goal needs no name.
    """

    allowed: Bool[np.ndarray, "S A"] | None = None
    noise: RewardNoise = field(default_factory=RewardNoise)
    row_sum_error: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._set_tables(self.allowed, self.noise)

    def __repr__(self) -> str:
        return self._describe()
