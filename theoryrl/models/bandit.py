"""Bandits with finitely many arms: independent rewards, or losses that an oblivious adversary fixed before.

In round t the learner pulls one of K arms and sees that arm's reward only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import check_interval, check_real, check_type, real_array
from theoryrl.models.episodic import RewardNoise


@dataclass(frozen=True, eq=False)
class StochasticBandit(Frozen):
    """Independent rewards: arm i pays `means[i]` on average, in every round.

    Parameters
    ----------
    means
        Expected rewards: shape [K]; in [0, 1] for Bernoulli rewards.
    noise
        Law of a reward around its mean; Bernoulli by default.

    Raises
    ------
    ValueError
        On a mean that is not finite, or is no probability where the rewards are Bernoulli.
    """

    means: Float[np.ndarray, " K"]
    noise: RewardNoise = field(default_factory=lambda: RewardNoise("bernoulli"))

    def __post_init__(self) -> None:
        means = real_array("means", self.means, ("K",))
        check_type("noise", self.noise, RewardNoise)
        if self.noise.kind == "bernoulli":
            check_interval("means (with Bernoulli rewards)", means, 0.0, 1.0)
        object.__setattr__(self, "means", means)

    @property
    def n_arms(self) -> int:
        """Number of arms K."""
        return len(self.means)

    @property
    def reward_range(self) -> tuple[float, float] | None:
        """Limits of every reward; None if there are none.

        They do not tell the learner the means: for Bernoulli rewards (0, 1), otherwise the smallest and
        largest mean, rounded outwards to whole numbers, plus the half-width of the noise.
        """
        if self.noise.kind == "gaussian":
            return None
        low, high = min(0.0, np.floor(self.means.min())), max(1.0, np.ceil(self.means.max()))
        width = self.noise.scale if self.noise.kind == "uniform" else 0.0
        return float(low - width), float(high + width)

    @property
    def sub_gaussian(self) -> float:
        """A constant s with E exp(u (reward - mean)) <= exp(u^2 s^2 / 2), as far as the learner may know."""
        if self.noise.kind == "gaussian":
            return self.noise.scale
        if self.noise.kind == "none":
            return 0.0
        return 0.5 if self.noise.kind == "bernoulli" else self.noise.scale

    def __repr__(self) -> str:
        return f"StochasticBandit(K={self.n_arms}, {self.noise.kind})"


@dataclass(frozen=True, eq=False)
class LossTable(Frozen):
    """An oblivious adversary: the loss of every arm in every round, fixed before the first.

    Parameters
    ----------
    losses
        Loss of arm i in round t: shape [T, K], within `loss_range`.
    loss_range
        What the learner is told of the losses.
    contexts
        What the learner sees before round t: shape [T]; None for nothing.
    context_range
        What the learner is told of the contexts; needed if there are any.

    Raises
    ------
    ValueError
        On a number that is not finite or outside its range, or contexts without a range.
    """

    losses: Float[np.ndarray, "T K"]
    loss_range: tuple[float, float] = (0.0, 1.0)
    contexts: Float[np.ndarray, " T"] | None = None
    context_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        losses = real_array("losses", self.losses, ("T", "K"))
        object.__setattr__(self, "loss_range", check_range("loss_range", self.loss_range))
        check_interval("losses", losses, *self.loss_range)
        object.__setattr__(self, "losses", losses)
        if self.contexts is None:
            if self.context_range is not None:
                raise ValueError("context_range is used only together with contexts")
            return
        contexts = real_array("contexts", self.contexts, (len(losses),))
        if self.context_range is None:
            raise ValueError("contexts need context_range, which the learner is told")
        object.__setattr__(self, "context_range", check_range("context_range", self.context_range))
        check_interval("contexts", contexts, *self.context_range)
        object.__setattr__(self, "contexts", contexts)

    @property
    def rounds(self) -> int:
        """Number of rounds T."""
        return len(self.losses)

    @property
    def n_arms(self) -> int:
        """Number of arms K."""
        return int(self.losses.shape[1])

    def __repr__(self) -> str:
        return f"LossTable(T={self.rounds}, K={self.n_arms})"


def check_range(name: str, value: tuple[float, float]) -> tuple[float, float]:
    """Return `value` as a pair of finite floats with low < high."""
    if np.shape(value) != (2,):
        raise ValueError(f"{name} must be a pair (low, high); got {value!r}")
    low, high = check_real(f"{name}[0]", value[0]), check_real(f"{name}[1]", value[1])
    if low >= high:
        raise ValueError(f"{name} must be increasing; got {value!r}")
    return low, high
