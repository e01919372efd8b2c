"""UCRL2, UCRL2B and KL-UCRL: optimism in an average-reward MDP that does not change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners._average import SETS_OF_UCRL2, AverageState, ConfidenceSet, OptimisticLearner
from theoryrl.learners._guarantee import check_bonus_scale, warn_if_void
from theoryrl.models._validation import check_choice


@dataclass(frozen=True, kw_only=True)
class UCRL2(OptimisticLearner):
    """UCRL2 (Jaksch, Ortner and Auer 2010).

    Parameters
    ----------
    delta
        Failure probability.
    radius
        ``"published"``: the radii of the paper; ``"laplace"``: the narrower time-uniform ones.
    bonus_scale
        Factor on both radii, for illustration; below 1 the guarantee is void.

    Notes
    -----
    With probability 1 - delta, regret <= 34 D S sqrt(A T log(T / delta)) for all T > 1 (published radii,
    theorem 2). Diagnostics: ``episode``, ``restarts``, ``gain`` (that of the best model).
    """

    radius: str = "published"
    bonus_scale: float = 1.0

    key: ClassVar[str] = "ucrl"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("radius", self.radius, tuple(SETS_OF_UCRL2))
        check_bonus_scale(self.bonus_scale)
        warn_if_void(self, self.bonus_scale, *self.void_because())

    def void_because(self) -> tuple[str, ...]:
        """Return further reasons why the guarantee is void."""
        return ()

    @property
    def guaranteed(self) -> bool:
        """Whether the radii are at least those of the theory."""
        return self.bonus_scale >= 1 and not self.void_because()

    def confidence_set(self, state: AverageState) -> ConfidenceSet:
        """Return the L1 balls around the empirical rows."""
        return SETS_OF_UCRL2[self.radius](state, self.level(state), self.bonus_scale)


@dataclass(frozen=True, kw_only=True)
class UCRL2B(UCRL2):
    """UCRL2 with empirical Bernstein boxes (Fruit, Pirotta and Lazaric 2020), recalled.

    Each probability is known up to 2 sqrt(v L / N) + 6 L / N with v = p (1 - p) and
    L = log(6 S A N / delta), and so are rewards with their empirical variance.

    Parameters
    ----------
    delta, radius, bonus_scale
        As of `UCRL2`; there is one kind of radius only.
    """

    key: ClassVar[str] = "ucrl-bernstein"

    def confidence_set(self, state: AverageState) -> ConfidenceSet:
        """Return the boxes around the empirical rows."""
        S, A = state.N.shape
        P, r = state.empirical
        n = np.maximum(1, state.N)
        L = np.log(6 * S * A * n / self.level(state))
        variance = np.maximum(state.R2 / n - r * r, 0.0)
        reward = 2 * np.sqrt(variance * L / n) + 6 * L / n
        width = 2 * np.sqrt(P * (1 - P) * (L / n)[..., None]) + (6 * L / n)[..., None]
        scale = self.bonus_scale
        return ConfidenceSet("box", P, r, scale * reward, scale * width)


@dataclass(frozen=True, kw_only=True)
class KLUCRL(UCRL2):
    """KL-UCRL (Filippi, Cappe and Garivier 2010), recalled.

    Rows q with N KL(p || q) <= C_P = S (B + log(B + 1/log T) (1 + 1 / (B + 1/log T))),
    B = log(2 e S^2 A log T / delta); rewards within sqrt(log(4 S A log T / delta) / (1.99 N)).

    Parameters
    ----------
    delta, radius, bonus_scale
        As of `UCRL2`; there is one kind of radius only.
    """

    key: ClassVar[str] = "kl-ucrl"

    def confidence_set(self, state: AverageState) -> ConfidenceSet:
        """Return the balls of the relative entropy around the empirical rows."""
        S, A = state.N.shape
        P, r = state.empirical
        n, log_T = np.maximum(1, state.N), math.log(max(state.spec.rounds, 3))
        B = math.log(2 * math.e * S**2 * A * log_T / self.level(state))
        inner = B + 1 / log_T
        C = S * (B + math.log(inner) * (1 + 1 / inner))
        reward = np.sqrt(math.log(4 * S * A * log_T / self.level(state)) / (1.99 * n))
        scale = self.bonus_scale
        return ConfidenceSet("kl", P, r, scale * reward, scale * C / n)
