"""The two constants of GLOW's confidence sets, and what they guarantee.

With ``alpha_t = c_alpha / gamma_t``, ``beta_t = c_beta gamma_t L / M`` and M episodes of data, the paper has
``(c_alpha, c_beta) = (8, 36)``. For non-negative weights every pair with, for some k >= 3::

    c_alpha >= 8 / k,    c_beta >= k + 16 / k

keeps Q* in all version spaces with probability 1 - delta, and every surviving f then satisfies, for all
weights (clipped at gamma_t) and with the expectation under the law of the data::

    E[Delta f w] <= (A / gamma_t) E[w^2] + B gamma_t L / M,
    A = 3 c_alpha / 2 + 4 / k,    B = c_beta + 2 c_alpha + k.

Signed weights, clipped at both ends, need k >= 4: the range of residual times weight is then 4 gamma_t.
``sharp`` is the pair (1, 10) of k = 8: A = 2, B = 20, against A = 40/3, B = 55 of the paper's pair. The
proof is on the GLOW page.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

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
    @lru_cache(maxsize=64)
    def named(cls, name: str, practical: tuple[float, float]) -> GlowConstants:
        """Return the constants of a name; ``"practical"`` stands for the given pair."""
        check_choice("constants", name, CHOICES)
        pair = NAMED.get(name, practical)
        for symbol, number in zip(("c_alpha", "c_beta"), pair, strict=True):
            if check_real(symbol, number, low=0.0) == 0:
                raise ValueError(f"{symbol} must be positive; got {number!r}")
        return cls(*map(float, pair))

    def k(self, signed: bool = False) -> float | None:
        """Smallest k >= 3 (4 for signed weights) for which the proof covers the pair, or None."""
        # k + 16/k falls up to k = 4 and rises from there on: it is at most c_beta between two roots.
        discriminant = self.c_beta**2 - 64
        if discriminant < 0:
            return None
        low, high = ((self.c_beta + sign * math.sqrt(discriminant)) / 2 for sign in (-1, 1))
        k = max(4.0 if signed else 3.0, 8 / self.c_alpha, low)
        return k if k <= high * (1 + 1e-12) else None

    @property
    def slack(self) -> Slack | None:
        """A and B; None if the pair is not covered by the proof."""
        return self.slack_of(self.k())

    def slack_of(self, k: float | None) -> Slack | None:
        """A and B of one k."""
        if k is None:
            return None
        return Slack(1.5 * self.c_alpha + 4 / k, self.c_beta + 2 * self.c_alpha + k)


def log_confidence(
    log_functions: float, log_weights: float, rounds: int, horizon: int, delta: float
) -> float:
    """Return ``L = log(6 |F| |W| T H / delta)``."""
    return math.log(6 * rounds * horizon / delta) + log_functions + log_weights


def theory_gamma(coverability: float, rounds: int, log_term: float, episodes: int = 1) -> float:
    """Return Theorem 3.1's ``gamma = sqrt(C K / (T L))``, at most 1."""
    return min(1.0, math.sqrt(coverability * episodes / (rounds * log_term)))


def harmonics(rounds: int) -> Float[np.ndarray, " T"]:
    """Return H_1, ..., H_T."""
    return np.cumsum(1 / np.arange(1, rounds + 1))


def population_bounds(
    rounds: int, horizon: int, coverability: float, gamma: float, a: float
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """Return the two bounds on the noise-free regret of GLOW after every round.

    ::

        1 + H ((a + 1) C H_T / gamma + gamma T / (4 a)),      1 + H C H_T ((a + 1) / gamma + 1).
    """
    t, potential = np.arange(1, rounds + 1), coverability * harmonics(rounds)
    first = 1 + horizon * ((a + 1) * potential / gamma + gamma * t / (4 * a))
    return first, 1 + horizon * potential * ((a + 1) / gamma + 1)


def glow_regret_bound(
    rounds: int,
    horizon: int,
    coverability: float,
    gamma: float,
    log_term: float,
    episodes: int = 1,
    constants: GlowConstants | str = "paper",
) -> Float[np.ndarray, " T"]:
    """Return the bound on GLOW's regret, in rounds of K episodes, after every round.

    ::

        1 + sqrt(32 L T / K)
          + H ((A + 1) C H_T / gamma + B gamma L (T - 1) / K + min(gamma (T - 1) / (4 A), C H_T))

    with probability 1 - delta, if the weight class holds the mixtures.

    Raises
    ------
    ValueError
        If no proof covers the constants.
    """
    pair = GlowConstants.named(constants, (0.0, 0.0)) if isinstance(constants, str) else constants
    if pair.slack is None:
        raise ValueError(f"constants must be covered by the proof; got {pair}")
    A, B = pair.slack
    t, potential = np.arange(1, rounds + 1), coverability * harmonics(rounds)
    noise = B * gamma * log_term * (t - 1) / episodes
    own = np.minimum(gamma * (t - 1) / (4 * A), potential)
    estimate = np.sqrt(32 * log_term * t / episodes)
    return np.asarray(1 + estimate + horizon * ((A + 1) * potential / gamma + noise + own))


def population_hyglow_bound(
    rounds: int, horizon: int, coverability: float, c_star: float, gamma: float, a: float
) -> Float[np.ndarray, " T"]:
    """Return ``(H H_T / gamma) ((a + 1)(2 + gamma) C_cov + 2 (a + 2) C_star)`` after every round."""
    factor = (a + 1) * (2 + gamma) * coverability + 2 * (a + 2) * c_star
    return np.asarray(horizon * harmonics(rounds) / gamma * factor)


def hyglow_regret_bound(
    rounds: int, horizon: int, coverability: float, c_star: float, gamma: float, log_term: float
) -> Float[np.ndarray, " T"]:
    """Return the bound on HyGLOW's regret after every round, with probability 1 - delta.

    ::

        1 + (H H_T / gamma) ((43/3) (2 + gamma) C_cov + (92/3) C_star) + (164/3) H gamma L (T - 1)
    """
    t = np.arange(1, rounds + 1)
    factor = 43 / 3 * (2 + gamma) * coverability + 92 / 3 * c_star
    noise = 164 / 3 * horizon * gamma * log_term * (t - 1)
    return np.asarray(1 + horizon * harmonics(rounds) / gamma * factor + noise)
