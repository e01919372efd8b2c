"""An MDP with further rewards whose expected totals must reach thresholds.

    maximise V_r(pi)   subject to   V_i(pi) >= threshold_i,  i = 1, ..., C,

where V_r and V_i are the expected (discounted) sums of r and of the i-th further reward from the
start distribution. A cost with a budget b is the reward -cost with the threshold -b.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import check_distribution, check_type, real_array
from theoryrl.models.episodic import EpisodicMDP
from theoryrl.models.stationary import DiscountedMDP


@dataclass(frozen=True, eq=False)
class ConstrainedMDP(Frozen):
    """A constrained MDP, episodic or discounted.

    Parameters
    ----------
    mdp
        The transitions, and the reward that is maximised.
    rewards
        The further rewards, each of the shape of `mdp.r`: shape [C, H, S, A] or [C, S, A]; any
        finite numbers.
    thresholds
        What each must earn at least, in units of the return: shape [C].
    rho
        Distribution of the first state: shape [S]. An episodic model has its own, which is the
        default; a discounted model needs one.
    """

    mdp: EpisodicMDP | DiscountedMDP
    rewards: Float[np.ndarray, C * SA]
    thresholds: Float[np.ndarray, " C"]
    rho: Float[np.ndarray, " S"] | None = None

    def __post_init__(self) -> None:
        check_type("mdp", self.mdp, EpisodicMDP, DiscountedMDP)
        thresholds = real_array("thresholds", self.thresholds, ("C",))
        rewards = real_array("rewards", self.rewards, (thresholds.size, *self.mdp.r.shape))
        rho = self.rho
        if rho is None and isinstance(self.mdp, EpisodicMDP):
            rho = self.mdp.rho
        if rho is None:
            raise ValueError("rho must be given: a discounted model has no start distribution")
        start = real_array("rho", rho, (self.mdp.n_states,))
        check_distribution("rho", start)
        if isinstance(self.mdp, EpisodicMDP) and not np.array_equal(start, self.mdp.rho):
            raise ValueError("rho must be that of the episodic model, or left out")
        for name, value in (("rewards", rewards), ("thresholds", thresholds), ("rho", start)):
            object.__setattr__(self, name, value)

    @property
    def n_constraints(self) -> int:
        """Number of constraints C."""
        return int(self.thresholds.size)

    def __repr__(self) -> str:
        return f"ConstrainedMDP({self.mdp!r}, constraints={self.n_constraints})"
