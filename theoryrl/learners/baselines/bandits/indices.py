"""Bandit learners for independent rewards: UCB1, KL-UCB, Thompson sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners._guarantee import check_bonus_scale, warn_if_void
from theoryrl.learners.baselines.bandits import _kernels
from theoryrl.learners.baselines.bandits.family import BanditLearner
from theoryrl.models._validation import check_choice, check_count, check_real
from theoryrl.protocol import ArmDecision, BanditObservation, BanditSpec


@dataclass(frozen=True)
class FixedArm:
    """Pull one arm in every round.

    Parameters
    ----------
    arm
        Its index.
    """

    arm: int = 0
    key: ClassVar[str] = "fixed-arm"

    def __post_init__(self) -> None:
        check_count("arm", self.arm, low=0)

    @property
    def guaranteed(self) -> bool:
        """There is nothing to guarantee."""
        return True

    def init(self, spec: BanditSpec, rng: np.random.Generator) -> int:
        """Check that the arm exists."""
        return check_count("arm", self.arm, low=0, high=spec.n_arms - 1)

    def plan(self, state: int) -> ArmDecision:
        """Pull the arm."""
        return ArmDecision(state, {"arm": state, "probability": 1.0})

    def update(self, state: int, decision: ArmDecision, observation: BanditObservation) -> int:
        """Learn nothing."""
        return state


@dataclass(frozen=True)
class UCB1(BanditLearner):
    """Pull the arm with the largest ``mean + sqrt(2 log t / n)``, after each arm once.

    The radius is that of rewards in [0, 1]; for a sub-Gaussian constant s it is ``sqrt(8 s^2 log t / n)``.

    Parameters
    ----------
    bonus_scale
        Factor on the radius; below 1 the guarantee is void.

    Notes
    -----
    For rewards in [0, 1] the regret after T rounds is at most
    ``8 sum_{i: gap_i > 0} log T / gap_i + (1 + pi^2 / 3) sum_i gap_i`` in expectation.

    Source: Auer, Cesa-Bianchi and Fischer (2002), Theorem 1.
    """

    bonus_scale: float = 1.0
    key: ClassVar[str] = "ucb1"
    bounded: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_bonus_scale(self.bonus_scale)
        warn_if_void(self, self.bonus_scale)

    @property
    def guaranteed(self) -> bool:
        """Whether the radius is that of the theory."""
        return self.bonus_scale >= 1

    def rule(self, spec: BanditSpec) -> tuple[int, list[float]]:
        """Return the rule; the radius grows with the range where that is all that is known."""
        return _kernels.UCB1, [self.bonus_scale * _sub_gaussian(spec, self.key)]


@dataclass(frozen=True)
class KLUCB(BanditLearner):
    """Pull each arm once, then the one with the largest q with ``n kl(mean, q) <= log t + c log log t``.

    kl is the divergence of Bernoulli laws; rewards are scaled to [0, 1]. While log t <= 1 the second term is
    left out.

    Parameters
    ----------
    c
        3 in the theorem; 0 does better in practice, and voids the guarantee.

    Notes
    -----
    Asymptotically optimal for Bernoulli rewards: the regret is ``sum_i gap_i log T / kl(mean_i, mean*)`` up
    to o(log T).

    Source: Garivier and Cappé (2011), Theorem 1.
    """

    c: float = 3.0
    key: ClassVar[str] = "kl-ucb"

    def __post_init__(self) -> None:
        check_real("c", self.c, low=0.0)

    @property
    def guaranteed(self) -> bool:
        """Whether c is that of the theorem."""
        return self.c >= 3

    def rule(self, spec: BanditSpec) -> tuple[int, list[float]]:
        """Return the rule and c."""
        return _kernels.KL_UCB, [self.c]


@dataclass(frozen=True)
class ThompsonSampling(BanditLearner):
    """Draw each arm's mean from its posterior, and pull the arm with the largest draw.

    Parameters
    ----------
    prior
        ``"beta"``: uniform prior and Bernoulli likelihood; a reward strictly between the ends of its range
        counts as a success with that probability. ``"gaussian"``: flat prior and normal likelihood with the
        spec's sub-Gaussian constant, after each arm once.

    Source: Thompson (1933); Agrawal and Goyal (2012) for rewards in [0, 1].
    """

    prior: str = "beta"
    key: ClassVar[str] = "thompson"
    PRIORS: ClassVar[tuple[str, ...]] = ("beta", "gaussian")

    def __post_init__(self) -> None:
        check_choice("prior", self.prior, self.PRIORS)

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        """Whether rewards must have limits."""
        return self.prior == "beta"

    def rule(self, spec: BanditSpec) -> tuple[int, list[float]]:
        """Return the rule and the standard deviation of the likelihood."""
        if self.prior == "beta":
            return _kernels.THOMPSON, []
        return _kernels.THOMPSON_GAUSS, [_sub_gaussian(spec, self.key)]


def _sub_gaussian(spec: BanditSpec, key: str) -> float:
    """Return the spec's constant; by Hoeffding's lemma half the width of the range will do."""
    if spec.sub_gaussian is not None:
        return spec.sub_gaussian
    if spec.reward_range is None:
        raise ValueError(
            f"{key} needs a sub-Gaussian constant or the limits of the rewards; spec has neither"
        )
    return 0.5 * (spec.reward_range[1] - spec.reward_range[0])
