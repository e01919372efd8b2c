r"""Constants of MEX: generalized eluder coefficients of tabular models, and the eta that they lead to.

With c0 = 1 / ln 2, S A cells per stage, and L = ln max(K, 2), any sequence of tabular models satisfies

    sum_k V_{f^k} - V^{pi_k}  <=  burn + sum_h sqrt(2 H^2 c0 S A L E_h),   E_h = sum_k sum_{i<k} E_i D_H^2,

and any sequence of action-value functions in [0, H] the same with H^2 -> 1/2 and squared Bellman errors.
Proofs: MEX page. `iota` is the logarithm that the concentration of the losses costs.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

C0 = 1 / math.log(2)
"""x <= C0 ln(1 + x) on [0, 1]."""

SHARP = 1.84
"""Factor of H^2 iota in the model-free lemma; 11.5 by the simpler proof."""
SIMPLE = 11.5


def horizon_log(rounds: float) -> float:
    """Return ln max(K, 2)."""
    return math.log(max(rounds, 2))


def spans(horizon: int, refined: bool = False) -> Float[np.ndarray, " H"]:
    """Return the span of the next values at each stage: H, or H - 1 - h where rewards are in [0, 1]."""
    if refined:
        return np.arange(horizon - 1.0, -1.0, -1.0)
    return np.full(horizon, float(horizon))


def model_based_gec(cells: int, horizon: int, rounds: float, refined: bool = False) -> float:
    """Return d = 2 c0 S A ln K sum_h span_h^2, which is 2 c0 H^3 S A ln K if not refined.

    By Cauchy and Schwarz, sum_h sqrt(span_h^2 E_h) <= sqrt(sum span_h^2) sqrt(sum E_h).
    """
    return float(2 * C0 * cells * horizon_log(rounds) * np.sum(spans(horizon, refined) ** 2))


def model_based_burn_in(cells: int, horizon: int, refined: bool = False) -> float:
    """Return 2 sqrt(2) sum_h span_h cells: each cell's first visits."""
    return float(2 * math.sqrt(2) * cells * np.sum(spans(horizon, refined)))


def model_free_gec(cells: int, horizon: int, rounds: float) -> float:
    """Return d = c0 H S A ln K."""
    return C0 * horizon * cells * horizon_log(rounds)


def model_free_burn_in(cells: int, horizon: int) -> float:
    """Return 2 H^2 S A."""
    return 2.0 * horizon**2 * cells


def model_based_iota(n_models: int, horizon: int, delta: float) -> float:
    """Return ``log(H |F| / delta)``."""
    return math.log(horizon * n_models / delta)


def model_free_iota(n_functions: int, n_auxiliary: int, horizon: int, delta: float) -> float:
    """Return ``log(2 H max(|G_h|, |F_h| |F_{h+1}|) / delta)``."""
    return math.log(2 * horizon * max(n_auxiliary, n_functions**2) / delta)


def model_based_eta(d: float, horizon: int, rounds: float, iota: float) -> float:
    """Return sqrt(d / (16 H K iota)), which balances 2 eta H K iota and d / (8 eta)."""
    return math.sqrt(d / (16 * horizon * rounds * iota))


def model_free_eta(d: float, horizon: int, rounds: float, iota: float) -> float:
    """Return sqrt(d / (2 * 1.84 H^3 K iota))."""
    return math.sqrt(d / (2 * SHARP * horizon**3 * rounds * iota))


def model_based_regret(d: float, burn_in: float, horizon: int, rounds: float, iota: float) -> float:
    """Return sqrt(d H K iota) + burn-in."""
    return math.sqrt(d * horizon * rounds * iota) + burn_in


def model_free_regret(d: float, burn_in: float, horizon: int, rounds: float, iota: float) -> float:
    """Return sqrt(2 * 1.84 d H^3 K iota) + burn-in."""
    return math.sqrt(2 * SHARP * d * horizon**3 * rounds * iota) + burn_in


def epoch_length(episode: int) -> int:
    """Return 2^m, the length of the epoch of episode k = 1, 2, ...: it holds 2^m, ..., 2^{m+1} - 1."""
    return 1 << (episode.bit_length() - 1)
