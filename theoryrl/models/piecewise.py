"""Average-reward MDPs whose kernel and rewards change at fixed times.

Segment l has its own P_l and r_l and lasts from `change_points[l - 1]` to `change_points[l] - 1`. The change
points are fixed beforehand: nothing that a learner does moves them. Regret is counted against the
optimal gain of the segment in which each step falls,

    Regret(T) = sum_t ( rho*_{l(t)} - r_{l(t)}(s_t, a_t) ).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import (
    LARGEST_COUNT,
    at,
    check_distribution,
    check_interval,
    check_type,
    first_index,
    index_array,
    real_array,
)
from theoryrl.models.episodic import RewardNoise
from theoryrl.models.stationary import AverageRewardMDP


@dataclass(frozen=True, eq=False)
class PiecewiseStationaryMDP(Frozen):
    """An average-reward MDP that changes at some time steps.

    Parameters
    ----------
    P
        Transition probabilities P[l, s, a, s'] of each segment: shape [L, S, A, S].
    r
        Expected rewards r[l, s, a], in [0, 1]: shape [L, S, A].
    change_points
        The first step (counted from 0) of segments 1, ..., L - 1, increasing: shape [L - 1].
    noise
        Law of an observed reward around r: Bernoulli (the default), none, or uniform within [0, 1].

    Attributes
    ----------
    segments
        The stationary models, one for each segment.

    Raises
    ------
    ValueError
        On a wrong shape, a row that is not a distribution, a reward outside [0, 1], noise that leaves
        [0, 1], or change points that do not increase from at least 1.

    Source: Alami, Mahfoud and Moulines (2023), abstract.
    """

    P: Float[np.ndarray, "L S A S"]
    r: Float[np.ndarray, "L S A"]
    change_points: Int[np.ndarray, " M"] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    noise: RewardNoise = field(default_factory=lambda: RewardNoise("bernoulli"))

    def __post_init__(self) -> None:
        P = real_array("P", self.P, ("L", "S", "A", "S"))
        r = real_array("r", self.r, P.shape[:3])
        check_distribution("P", P)
        check_interval("r", r, 0.0, 1.0)
        check_type("noise", self.noise, RewardNoise)
        check_unit_noise(r, self.noise)
        points = np.asarray(self.change_points)
        points = points.astype(np.int64) if points.size == 0 else points
        points = index_array("change_points", points, (len(P) - 1,), LARGEST_COUNT, allow_empty=True)
        wrong = np.diff(points, prepend=0) <= 0
        if wrong.any():
            index = first_index(wrong)
            raise ValueError(
                f"{at('change_points', index)} must be above {0 if index[0] == 0 else points[index[0] - 1]}; "
                f"got {points[index]}"
            )
        for name, value in (("P", P), ("r", r), ("change_points", points)):
            object.__setattr__(self, name, value)

    @classmethod
    def of(
        cls, segments: Sequence[AverageRewardMDP], change_points: Any, noise: RewardNoise | None = None
    ) -> PiecewiseStationaryMDP:
        """Return the model that goes through stationary ones; by default rewards are Bernoulli."""
        for index, mdp in enumerate(segments):
            if not mdp.mask.all():
                raise ValueError(f"segments[{index}] must allow every action in every state")
        P = np.stack([mdp.dense_P() for mdp in segments])
        r = np.stack([mdp.r for mdp in segments])
        return cls(P, r, np.array(change_points, dtype=np.int64), noise or RewardNoise("bernoulli"))

    @property
    def n_segments(self) -> int:
        """Number of segments L."""
        return len(self.P)

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.P.shape[1])

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return int(self.P.shape[2])

    @property
    def segments(self) -> tuple[AverageRewardMDP, ...]:
        """The stationary models."""
        return tuple(AverageRewardMDP(P, r, noise=self.noise) for P, r in zip(self.P, self.r, strict=True))

    def segment_of(self, steps: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
        """Return the number of the segment in which each step falls."""
        return np.searchsorted(self.change_points, steps, side="right")

    def __repr__(self) -> str:
        sizes = f"S={self.n_states}, A={self.n_actions}"
        return f"PiecewiseStationaryMDP({sizes}, change_points={self.change_points.tolist()})"


def check_unit_noise(r: np.ndarray, noise: RewardNoise) -> None:
    """Raise unless every observed reward lies in [0, 1]."""
    if noise.kind == "gaussian":
        raise ValueError("noise must keep rewards in [0, 1]; Gaussian noise does not")
    if noise.kind == "uniform":
        check_interval("r - noise.scale", r - noise.scale, 0.0, 1.0)
        check_interval("r + noise.scale", r + noise.scale, 0.0, 1.0)
