"""Finite-horizon Markov decision processes.

An episodic MDP (S, A, H, P, r, rho) starts in s_0 ~ rho. At stage h = 0, ..., H-1 the learner in
state s takes action a, receives a reward with mean r_h(s, a), and moves to s' ~ P_h(. | s, a). The
value of a policy is the expected sum of the H rewards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import (
    check_choice,
    check_count,
    check_distribution,
    check_interval,
    check_memory,
    check_real,
    check_type,
    real_array,
)


@dataclass(frozen=True)
class RewardNoise:
    """The law of an observed reward around its mean.

    Parameters
    ----------
    kind
        ``"none"`` (the mean itself), ``"bernoulli"`` (1 with probability r, else 0),
        ``"gaussian"`` (standard deviation `scale`) or ``"uniform"`` (r plus or minus `scale`).
    scale
        Standard deviation or half-width, in units of the reward; unused by the first two.
    """

    kind: str = "none"
    scale: float = 0.0

    KINDS: ClassVar[tuple[str, ...]] = ("none", "bernoulli", "gaussian", "uniform")

    def __post_init__(self) -> None:
        check_choice("noise.kind", self.kind, self.KINDS)
        check_real("noise.scale", self.scale, low=0.0)

    @property
    def code(self) -> int:
        """Position of `kind` in `KINDS`, which kernels switch on."""
        return self.KINDS.index(self.kind)


@dataclass(frozen=True, eq=False)
class EpisodicMDP(Frozen):
    """A tabular finite-horizon MDP with stage-dependent kernel and rewards.

    Parameters
    ----------
    P
        Transition probabilities P[h, s, a, s']: shape [H, S, A, S].
    r
        Expected rewards r[h, s, a]: shape [H, S, A], within `reward_range`.
    rho
        Distribution of the first state: shape [S].
    reward_range
        Smallest and largest expected reward that the model admits; (0, 1) unless it says otherwise.
    noise
        Law of an observed reward around r.

    Raises
    ------
    ValueError
        On a wrong shape, a number that is not finite, a row that is not a distribution, a reward
        outside the range, or Bernoulli noise with rewards that are not probabilities.
    """

    P: Float[np.ndarray, "H S A S"]
    r: Float[np.ndarray, "H S A"]
    rho: Float[np.ndarray, " S"]
    reward_range: tuple[float, float] = (0.0, 1.0)
    noise: RewardNoise = field(default_factory=RewardNoise)

    def __post_init__(self) -> None:
        P = real_array("P", self.P, ("H", "S", "A", "S"))
        r = real_array("r", self.r, P.shape[:3])
        rho = real_array("rho", self.rho, (P.shape[1],))
        check_distribution("P", P)
        check_distribution("rho", rho)
        check_type("noise", self.noise, RewardNoise)
        low, high = self._checked_range()
        check_interval("r", r, low, high)
        if self.noise.kind == "bernoulli":
            check_interval("r (with Bernoulli noise)", r, 0.0, 1.0)
        for name, value in (("P", P), ("r", r), ("rho", rho), ("reward_range", (low, high))):
            object.__setattr__(self, name, value)

    def _checked_range(self) -> tuple[float, float]:
        if np.shape(self.reward_range) != (2,):
            raise ValueError(f"reward_range must be a pair (low, high); got {self.reward_range!r}")
        low = check_real("reward_range[0]", self.reward_range[0])
        high = check_real("reward_range[1]", self.reward_range[1])
        if low > high:
            raise ValueError(f"reward_range must be increasing; got {self.reward_range!r}")
        return low, high

    @classmethod
    def stationary(cls, P: Any, r: Any, rho: Any, horizon: int, **options: Any) -> EpisodicMDP:
        """Repeat one kernel P[S, A, S] and reward array r[S, A] at each of `horizon` stages."""
        check_count("horizon", horizon)
        kernel = real_array("P", P, ("S", "A", "S"))
        rewards = real_array("r", r, kernel.shape[:2])
        check_memory("P", horizon, *kernel.shape)
        return cls(
            np.broadcast_to(kernel, (horizon, *kernel.shape)),
            np.broadcast_to(rewards, (horizon, *rewards.shape)),
            rho,
            **options,
        )

    @property
    def horizon(self) -> int:
        """Number of stages H."""
        return int(self.P.shape[0])

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.P.shape[1])

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return int(self.P.shape[2])

    @property
    def has_unit_rewards(self) -> bool:
        """Whether every expected reward lies in [0, 1], as most theorems assume."""
        return bool(self.r.min() >= 0 and self.r.max() <= 1)

    def __repr__(self) -> str:
        return f"EpisodicMDP(H={self.horizon}, S={self.n_states}, A={self.n_actions})"
