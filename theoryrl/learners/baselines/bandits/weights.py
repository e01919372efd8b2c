"""Bandit learners for losses that an adversary chose: Exp3, and Tsallis-INF, also good on independent ones.

Both estimate the losses of all arms from the one they see, by dividing it by the probability of seeing it.
The largest loss K of an arm is the width of the spec's range; losses are divided by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from theoryrl.learners.baselines.bandits import _kernels
from theoryrl.learners.baselines.bandits.family import BanditLearner
from theoryrl.models._validation import check_choice, check_real
from theoryrl.protocol import BanditSpec

RATES = ("anytime", "horizon")


@dataclass(frozen=True)
class Exp3(BanditLearner):
    """Exponential weights: ``p_i`` proportional to ``exp(-eta L_i)``, L the estimated losses.

    Parameters
    ----------
    rate
        ``"horizon"``: ``eta = sqrt(2 log d / (d T))``; ``"anytime"``: ``eta_t = sqrt(log d / (d t))``.
    rate_scale
        Factor on eta.

    Notes
    -----
    With d arms, losses in [0, K] and an oblivious adversary the expected regret against any fixed arm is at
    most ``K sqrt(2 T d log d)``, or ``2 K sqrt(T d log d)`` with the anytime rate.

    Source: Auer, Cesa-Bianchi, Freund and Schapire (2002); constants of Bubeck and Cesa-Bianchi (2012),
    Theorem 3.1.
    """

    rate: str = "horizon"
    rate_scale: float = 1.0
    key: ClassVar[str] = "exp3"

    def __post_init__(self) -> None:
        check_choice("rate", self.rate, RATES)
        check_positive("rate_scale", self.rate_scale)

    @property
    def guaranteed(self) -> bool:
        """Whether eta is that of the theory."""
        return self.rate_scale == 1

    def rule(self, spec: BanditSpec) -> tuple[int, list[float]]:
        """Return the rule and its rate."""
        d, T = spec.n_arms, spec.rounds
        log_d = math.log(max(d, 2))
        if self.rate == "horizon":
            return _kernels.EXP3, [self.rate_scale * math.sqrt(2 * log_d / (d * T)), 0.0]
        return _kernels.EXP3, [self.rate_scale * math.sqrt(log_d / d), 1.0]


@dataclass(frozen=True)
class TsallisINF(BanditLearner):
    """Follow the leader regularised by the Tsallis entropy of order 1/2.

    ``p = argmin <L, p> - (4 / eta_t) sum_i sqrt(p_i)`` over the simplex, L the estimated losses.

    Parameters
    ----------
    rate
        ``"anytime"``: ``eta_t = 2 / sqrt(t)`` (4 / sqrt(t) with reduced variance); ``"horizon"``:
        ``eta = sqrt(8 / T)``.
    estimator
        ``"importance"``: ``loss / p``; ``"reduced-variance"``: the same around the middle of the range.
    scale
        ``"range"``: losses are divided by the width of their range, as the theory asks. ``"running-mean"``:
        all the past by the mean loss so far, as in the code that Khodak et al. released; it needs no range,
        and no theorem covers it.
    rate_scale
        Factor on eta.

    Notes
    -----
    With d arms, losses in [0, K] and an oblivious adversary the expected regret against any fixed arm is at
    most ``4 K sqrt(d T) - 2 K sqrt(T)`` (anytime) or ``2 K sqrt(2 d T)`` (horizon); proofs on the SOR page,
    for the importance-weighted estimator. That of reduced variance has its guarantee with the anytime rate
    only (Zimmert and Seldin, Theorem 1, with a smaller leading constant and further terms in log T).
    On independent rewards the anytime form has regret of order ``sum_i log T / gap_i``.

    Source: Zimmert and Seldin (2021); Khodak et al. (2024), Algorithm 2.
    """

    rate: str = "anytime"
    estimator: str = "importance"
    scale: str = "range"
    rate_scale: float = 1.0

    key: ClassVar[str] = "tsallis-inf"
    ESTIMATORS: ClassVar[tuple[str, ...]] = ("importance", "reduced-variance")
    SCALES: ClassVar[tuple[str, ...]] = ("range", "running-mean")

    def __post_init__(self) -> None:
        check_choice("rate", self.rate, RATES)
        check_choice("estimator", self.estimator, self.ESTIMATORS)
        check_choice("scale", self.scale, self.SCALES)
        check_positive("rate_scale", self.rate_scale)
        if self.scale == "running-mean" and self.estimator != "importance":
            raise ValueError("scale = 'running-mean' goes with estimator = 'importance' only")

    @property
    def guaranteed(self) -> bool:
        """Whether a theorem covers these options: reduced variance needs the rate that decreases."""
        covered = self.estimator == "importance" or self.rate == "anytime"
        return self.rate_scale == 1 and self.scale == "range" and covered

    def rule(self, spec: BanditSpec) -> tuple[int, list[float]]:
        """Return the rule and its options."""
        reduced = self.estimator == "reduced-variance"
        anytime = 4.0 if reduced else 2.0
        eta = math.sqrt(8 / spec.rounds) if self.rate == "horizon" else anytime
        options = [float(self.rate == "anytime"), float(reduced), float(self.scale == "running-mean")]
        return _kernels.TSALLIS, [self.rate_scale * eta, *options]


def check_positive(name: str, value: float) -> float:
    """Return `value` as a positive finite float."""
    number = check_real(name, value, low=0.0)
    if number == 0:
        raise ValueError(f"{name} must be positive; got {value!r}")
    return number
