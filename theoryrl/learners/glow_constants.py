"""The two constants of GLOW's confidence sets, and what they guarantee.

With ``alpha_t = c_alpha / gamma_t``, ``beta_t = c_beta gamma_t L / M`` and M episodes of data, the paper has
``(c_alpha, c_beta) = (8, 36)``. For non-negative weights every pair with, for some k >= 3::

    c_alpha >= 8 / k,    c_beta >= k + 16 / k

keeps Q* in all version spaces with probability 1 - delta, and every surviving f then satisfies, for all
weights (clipped at gamma_t) and with the expectation under the law of the data::

    E[Delta f w] <= (A / gamma_t) E[w^2] + B gamma_t L / M,    A = 3 c_alpha / 2 + 4 / k,    B = c_beta + 2 c_alpha + k.

``sharp`` is the pair (1, 10) of k = 8: A = 2, B = 20, against A = 40/3, B = 55 of the paper's pair. The proof is
on the GLOW page.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from theoryrl.models._validation import check_choice, check_real

NAMED = {"paper": (8.0, 36.0), "sharp": (1.0, 10.0)}
CHOICES = (*NAMED, "practical")


class Slack(NamedTuple):
    """The constants A and B of what surviving functions satisfy."""

    A: float
    B: float


class GlowConstants(NamedTuple):
    """The factors ``c_alpha`` and ``c_beta``."""

    c_alpha: float
    c_beta: float

    @classmethod
    def named(cls, name: str, practical: tuple[float, float]) -> GlowConstants:
        """Return the constants of a name; ``"practical"`` stands for the given pair."""
        check_choice("constants", name, CHOICES)
        pair = NAMED.get(name, practical)
        for symbol, number in zip(("c_alpha", "c_beta"), pair, strict=True):
            if check_real(symbol, number, low=0.0) == 0:
                raise ValueError(f"{symbol} must be positive; got {number!r}")
        return cls(*map(float, pair))

    @property
    def k(self) -> float | None:
        """Smallest k >= 3 for which the pair is covered by the proof; None if there is none."""
        # k + 16/k falls up to k = 4 and rises from there on: it is at most c_beta between two roots.
        discriminant = self.c_beta**2 - 64
        if discriminant < 0:
            return None
        low, high = ((self.c_beta + sign * math.sqrt(discriminant)) / 2 for sign in (-1, 1))
        k = max(3.0, 8 / self.c_alpha, low)
        return k if k <= high * (1 + 1e-12) else None

    @property
    def slack(self) -> Slack | None:
        """A and B; None if the pair is not covered by the proof."""
        if self.k is None:
            return None
        return Slack(1.5 * self.c_alpha + 4 / self.k, self.c_beta + 2 * self.c_alpha + self.k)


def log_confidence(
    log_functions: float, log_weights: float, rounds: int, horizon: int, delta: float
) -> float:
    """Return ``L = log(6 |F| |W| T H / delta)``."""
    return math.log(6 * rounds * horizon / delta) + log_functions + log_weights


def theory_gamma(coverability: float, rounds: int, log_term: float, episodes: int = 1) -> float:
    """Return Theorem 3.1's ``gamma = sqrt(C K / (T L))``, at most 1."""
    return min(1.0, math.sqrt(coverability * episodes / (rounds * log_term)))


def harmonic(rounds: int) -> float:
    """Return ``H_T = 1 + 1/2 + ... + 1/T``."""
    return math.fsum(1 / t for t in range(1, rounds + 1))
