"""Bandits whose arms recover: the mean reward of a pull depends on how long the arm has rested.

N arms, at most K distinct ones pulled per period. The *idle time* of arm i is tau >= 1, the number of
periods since its last pull (1: it was pulled in the previous period), and a pull has mean reward
R_i(tau). Memory is finite: R_i(tau) = R_i(D_i) for tau >= D_i. The first pull of an arm counts as fully
rested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import (
    at,
    check_count,
    check_interval,
    check_real,
    check_type,
    first_index,
    real_array,
)
from theoryrl.models.episodic import RewardNoise


def _bernoulli() -> RewardNoise:
    return RewardNoise("bernoulli")


@dataclass(frozen=True, eq=False)
class RecoveringBandit(Frozen):
    """A bandit with recovering rewards (Simchi-Levi, Zheng and Zhu 2021).

    Parameters
    ----------
    R
        Mean rewards ``R[i, d - 1]`` = R_i(d) for idle times d = 1, ..., D: shape [N, D], within
        [0, `reward_max`]. Longer idle times are worth R_i(D). Curves of different lengths:
        `from_curves`.
    K
        Largest number of arms pulled in a period, in [1, N]. Pulling fewer is allowed.
    noise
        Law of an observed reward around its mean.
    reward_max
        Known bound R_max on every mean reward.

    Raises
    ------
    ValueError
        On a wrong shape, a mean that is not finite or out of range, K outside [1, N], or Bernoulli noise
        with means that are not probabilities.

    Notes
    -----
    Curves need not be monotone or concave here; what needs that says so (`require_monotone`).
    """

    R: Float[np.ndarray, "N D"]
    K: int = 1
    noise: RewardNoise = field(default_factory=_bernoulli)
    reward_max: float = 1.0

    def __post_init__(self) -> None:
        top = check_real("reward_max", self.reward_max, low=0.0)
        if top == 0:
            raise ValueError("reward_max must be positive; got 0")
        R = real_array("R", self.R, ("N", "D"))
        check_interval("R", R, 0.0, top)
        check_type("noise", self.noise, RewardNoise)
        if self.noise.kind == "bernoulli":
            check_interval("R (with Bernoulli noise)", R, 0.0, 1.0)
        object.__setattr__(self, "R", R)
        object.__setattr__(self, "K", check_count("K", self.K, high=len(R)))
        object.__setattr__(self, "reward_max", top)

    @classmethod
    def from_curves(cls, curves: Sequence[Any], K: int = 1, **options: Any) -> RecoveringBandit:
        """Return the bandit of curves of any lengths, each of which stays at its last value."""
        if len(curves) == 0:
            raise ValueError("curves must not be empty")
        rows = [real_array(f"curves[{i}]", curve, ("D",)) for i, curve in enumerate(curves)]
        longest = max(map(len, rows))
        return cls(
            np.stack([np.pad(row, (0, longest - len(row)), mode="edge") for row in rows]), K, **options
        )

    @property
    def n_arms(self) -> int:
        """Number of arms N."""
        return int(self.R.shape[0])

    @property
    def memory(self) -> Int[np.ndarray, " N"]:
        """Smallest D_i from which on each curve is constant: shape [N]."""
        changes = self.R[:, 1:] != self.R[:, :-1]
        memory: np.ndarray = 1 + (changes * np.arange(1, self.R.shape[1])).max(axis=1, initial=0)
        return memory

    @property
    def is_monotone(self) -> bool:
        """Whether no curve decreases anywhere."""
        return bool((np.diff(self.R, axis=1) >= 0).all())

    @property
    def sub_gaussian(self) -> float:
        """Sub-Gaussian parameter of an observed reward, as Hoeffding's lemma gives it for an interval."""
        by_kind = {"none": self.reward_max / 2, "bernoulli": 0.5}
        return by_kind.get(self.noise.kind, self.noise.scale)

    @property
    def observed_max(self) -> float:
        """Bound on every observed reward; infinite where noise can lead out of [0, R_max]."""
        by_kind = {"none": self.reward_max, "bernoulli": 1.0}
        return by_kind.get(self.noise.kind, np.inf)

    def at(self, periods: Int[np.ndarray, "*d"]) -> Float[np.ndarray, N * d]:
        """Return R_i(d) for each arm and each of the given idle times d >= 1."""
        return self.R[:, np.minimum(periods, self.R.shape[1]) - 1]

    def require_monotone(self, user: str) -> None:
        """Raise unless every curve is non-decreasing, which `user` needs."""
        falls = np.diff(self.R, axis=1) < 0
        if falls.any():
            i, d = first_index(falls)
            raise ValueError(
                f"{user} needs non-decreasing curves: {at('R', (i, d + 1))} = {float(self.R[i, d + 1])!r} "
                f"is below {at('R', (i, d))} = {float(self.R[i, d])!r}"
            )

    def __repr__(self) -> str:
        return f"RecoveringBandit(N={self.n_arms}, K={self.K}, D={self.R.shape[1]})"
