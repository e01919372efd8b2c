"""Other detectors on one stream, for comparison: Bernoulli GLR, CUSUM, and BOCPD with a hazard rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import xlogy

from theoryrl.models._validation import (
    check_count,
    check_distribution,
    check_fraction,
    check_real,
    index_array,
    real_array,
)
from theoryrl.solvers.detection import _kernels


def glr_alarm(samples: Any, delta: float = 0.05) -> int:
    """Return the index of the first alarm of the Bernoulli generalised likelihood ratio, or -1.

    sup_m [ m kl(mu_m, mu) + k kl(mu_k, mu) ] > beta(n, delta), with
    beta = 2 T(log(3 n sqrt(n) / delta) / 2) + 6 log(1 + log n) and T(x) = x + 4 log(1 + x + sqrt(2 x)).

    Source: Besson, Kaufmann, Maillard and Seznec (2022), recalled.
    """
    x = index_array("samples", samples, ("N",), 2, allow_empty=True).astype(np.float64)
    check_fraction("delta", delta)
    sums = np.concatenate([[0.0], np.cumsum(x)])
    for n in range(2, len(x) + 1):
        m = np.arange(1, n)
        before, after = sums[1:n], sums[n] - sums[1:n]
        value = -_entropy(before, m) - _entropy(after, n - m) + _entropy(sums[n : n + 1], np.array([n]))
        half = math.log(3 * n * math.sqrt(n) / delta) / 2
        beta = 2 * (half + 4 * math.log(1 + half + math.sqrt(2 * half))) + 6 * math.log(1 + math.log(n))
        if value.max() > beta:
            return n - 1
    return -1


def _entropy(ones: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return n times the entropy of a sample with so many ones."""
    return np.asarray(-(xlogy(ones, ones / n) + xlogy(n - ones, 1 - ones / n)))


def cusum_alarm(samples: Any, theta_1: Any, theta_2: Any, threshold: float) -> int:
    """Return the index of the first alarm of CUSUM, which is told both laws, or -1.

    g_t = max(0, g_{t-1} + log(theta_2(x_t) / theta_1(x_t))), alarm when g_t > threshold.
    Source: Page (1954). Both laws must charge every symbol.
    """
    p, q = real_array("theta_1", theta_1, ("O",)), real_array("theta_2", theta_2, ("O",))
    for name, law in (("theta_1", p), ("theta_2", q)):
        check_distribution(name, law)
        if law.min() <= 0:
            raise ValueError(f"{name}[{int(law.argmin())}] must be positive; got 0")
    check_real("threshold", threshold, low=0.0)
    steps = np.log(q / p)[index_array("samples", samples, ("N",), len(p), allow_empty=True)]
    g = 0.0
    for t, step in enumerate(steps):
        g = max(0.0, g + float(step))
        if g > threshold:
            return t
    return -1


def bocpd_alarm(samples: Any, n_symbols: int, hazard: float) -> int:
    """Return the index of the first sample at which the likeliest start of a run is not the first, or -1.

    Source: Adams and MacKay (2007), with Laplace's rule and a constant hazard rate.
    """
    x = index_array("samples", samples, ("N",), check_count("n_symbols", n_symbols, low=2), allow_empty=True)
    check_fraction("hazard", hazard)
    return int(_kernels.bocpd(x, n_symbols, math.log(hazard), math.log1p(-hazard)))
