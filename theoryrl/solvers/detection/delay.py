r"""How long R-BOCPD takes to detect a change: proven bounds, exact sums, and a plug-in estimate.

m samples of theta_1 are followed by samples of theta_2. All bounds look at the forecaster of the true
change only, of which the exact run (prune = 0) keeps track. Where m is chosen by something that looks at the
data, such as a policy that visits a pair or not, use `detection_delay_bound` with ``adaptive=True`` or
`survival_bound_given`; the bounds for fixed m are false there.

Proofs: page of R-BOCPD-UCRL2, section "Delay".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln, xlogy

from theoryrl.models._validation import (
    check_count,
    check_distribution,
    check_fraction,
    index_array,
    real_array,
)
from theoryrl.solvers.detection.rules import (
    RestartRule,
    log_compositions,
    log_likelihood,
    log_mixture,
)

LONGEST = 10_000_000
"""Largest delay that is searched for; beyond it a bound is reported as infinite."""
MOST_TERMS = 5_000_000
"""Largest number of count vectors that are summed over."""


def detection_delay_bound(
    m: int,
    theta_1: Any,
    theta_2: Any,
    rule: RestartRule,
    delta_prime: float = 0.05,
    *,
    adaptive: bool = False,
) -> float:
    """Return D such that an alarm occurs by sample m + D, with probability 1 - delta_prime at least.

    D is the least d with 1/2 m d / (m + d) (||theta_1 - theta_2||_1 - e_m - e_d)_+^2 above
    -log eta(m, m + d) + log C_O(m) + log C_O(d), for radii e_n = sqrt(2 log(2 (2^O - 2) / delta') / n).

    Parameters
    ----------
    m
        Samples before the change, since the last restart.
    theta_1, theta_2
        Laws before and after: shape [O].
    rule
        The restart rule.
    delta_prime
        Failure probability.
    adaptive
        Whether m may depend on the samples; e_m then contains log(m (m + 1)).

    Returns
    -------
    float
        The number of samples; infinite if no delay is certified after m samples.

    Notes
    -----
    Valid, and loose by a factor of tens: it rests on Pinsker's inequality and Weissman's (2003).
    """
    p, q = _laws(theta_1, theta_2)
    check_count("m", m)
    check_fraction("delta_prime", delta_prime)
    size = len(p)
    rule.check_alphabet(size)
    distance = float(np.abs(p - q).sum())
    subsets = size * math.log(2.0) + math.log1p(-(2.0 ** (1 - size)))
    base = math.log(2 / delta_prime) + subsets
    before = math.sqrt(2 * (base + (math.log(m * (m + 1)) if adaptive else 0.0)) / m)
    cost = log_compositions(m, size)

    def certified(d: int) -> bool:
        margin = distance - before - math.sqrt(2 * base / d)
        if margin <= 0:
            return False
        needed = -rule.log_eta(m, m + d, size) + cost + log_compositions(d, size)
        return 0.5 * (m * d / (m + d)) * margin**2 > needed

    return first_delay(certified)


def published_delay_bound(m: int, mu_1: float, mu_2: float, rule: RestartRule, delta: float = 0.05) -> float:
    """Return the published bound for two symbols: an alarm occurs by m + D with probability 1 - delta.

    D is the least d with C < Delta and 2 m d / (m + d) (Delta - C)^2 > -log eta + f, the form of the printed
    fraction that keeps its two hidden conditions. Constants recalled from Alami et al. (2020), theorem 2,
    and proved here as they stand.
    """
    check_count("m", m)
    check_fraction("delta", delta)
    gap = abs(mu_1 - mu_2)

    def certified(d: int) -> bool:
        n = m + d
        first = (1 + 1 / m) / m * math.log(2 * math.sqrt(m + 1) / delta)
        tail = 2 * n * math.sqrt(d + 1) * math.log(n) ** 2 / (delta * math.log(2))
        C = math.sqrt(0.5) * (math.sqrt(first) + math.sqrt((1 + 1 / d) / d * math.log(tail)))
        if gap <= C:
            return False
        f = math.log(m + 1) + math.log(d + 1) - 0.5 * math.log(n) + 9 / 8
        return 2 * (m * d / n) * (gap - C) ** 2 > -rule.log_eta(m, n, 2) + f

    return first_delay(certified)


def plugin_delay(m: int, theta_1: Any, theta_2: Any, rule: RestartRule) -> float:
    """Return the first delay at which *expected* counts would alarm: an estimate, no bound.

    Within a few per cent of the mean delay where m is large.
    """
    p, q = _laws(theta_1, theta_2)
    check_count("m", m)
    size = len(p)
    left = float(log_mixture(m * p))

    def alarms(d: int) -> bool:
        whole = m * p + d * q
        against = log_likelihood(whole) if rule.eta == "universal" else log_mixture(whole)
        return left + float(log_mixture(d * q)) - float(against) + rule.log_eta(m, m + d, size) > 0

    return first_delay(alarms)


def first_delay(holds: Callable[[int], bool]) -> float:
    """Return the least d with `holds(d)`, for a condition that holds on an interval; else infinity.

    Steps grow by a hundredth, then the last gap is halved: a set of d shorter than that may be missed,
    which only makes the answer larger.
    """
    low, d = 0, 1
    while not holds(d):
        low, d = d, d + 1 + d // 100
        if d > LONGEST:
            return math.inf
    while d - low > 1:
        middle = (low + d) // 2
        low, d = (low, middle) if holds(middle) else (middle, d)
    return float(d)


def survival_bound(
    m: int, delays: Any, theta_1: Any, theta_2: Any, rule: RestartRule
) -> Float[np.ndarray, " N"]:
    """Return bounds on P(no alarm within d samples after the change), for fixed m and increasing d.

    P( log Q(X) + log Q(Y) - log Q(X + Y) <= -log eta(m, m + d) ) for X ~ Mult(m, theta_1) and
    Y ~ Mult(d, theta_2), a finite sum; and its running minimum, since survival does not increase.

    Raises
    ------
    ValueError
        If delays do not increase, or a sum has more than five million terms.
    """
    p, q = _laws(theta_1, theta_2)
    X, weight = _multinomial(check_count("m", m), p)
    return _survival(X, weight, delays, q, rule)


def survival_bound_given(
    counts: Any, delays: Any, theta_2: Any, rule: RestartRule
) -> Float[np.ndarray, " N"]:
    """Return bounds on P(no alarm within d further samples | counts before the change).

    Valid however the number of samples before the change came about.
    """
    q = real_array("theta_2", theta_2, ("O",))
    check_distribution("theta_2", q)
    X = index_array("counts", counts, q.shape, LONGEST)[None]
    return _survival(X.astype(np.float64), np.ones(1), delays, q, rule)


def _survival(X: np.ndarray, weight: np.ndarray, delays: Any, q: np.ndarray, rule: RestartRule) -> np.ndarray:
    steps = index_array("delays", delays, ("N",), LONGEST)
    if (np.diff(steps) <= 0).any():
        # The running minimum would lend an early delay the bound of a later one.
        index = int(np.argmax(np.diff(steps) <= 0)) + 1
        raise ValueError(f"delays[{index}] must be above {steps[index - 1]}; got {steps[index]}")
    size, m = len(q), int(X[0].sum())
    rule.check_alphabet(size)
    left = log_mixture(X)
    found, least = np.empty(len(steps)), 1.0
    for i, d in enumerate(steps):
        Y, chance = _multinomial(check_count(f"delays[{i}]", int(d)), q)
        if len(X) * len(Y) > MOST_TERMS:
            raise ValueError(f"delays[{i}] = {d} needs {len(X) * len(Y):.3g} terms; at most {MOST_TERMS:.3g}")
        whole = X[:, None, :] + Y[None, :, :]
        against = log_likelihood(whole) if rule.eta == "universal" else log_mixture(whole)
        statistic = left[:, None] + log_mixture(Y)[None] - against
        quiet = statistic <= -rule.log_eta(m, m + int(d), size)
        least = min(least, float(weight @ quiet @ chance))
        found[i] = least
    return found


def _multinomial(n: int, p: np.ndarray) -> tuple[Float[np.ndarray, "N O"], Float[np.ndarray, " N"]]:
    """Return all count vectors of n samples, and their probabilities."""
    size = len(p)
    if math.exp(min(log_compositions(n, size), 50.0)) > MOST_TERMS:
        raise ValueError(f"n = {n} samples of {size} symbols have more than {MOST_TERMS:.3g} count vectors")
    counts = _compositions(n, size).astype(np.float64)
    log_chance = gammaln(n + 1) - gammaln(counts + 1).sum(axis=1) + xlogy(counts, p).sum(axis=1)
    return counts, np.exp(log_chance)


def _compositions(n: int, size: int) -> Int[np.ndarray, "N O"]:
    if size == 1:
        return np.array([[n]])
    if size == 2:
        ones = np.arange(n + 1)
        return np.stack([ones, n - ones], axis=1)
    parts = []
    for first in range(n + 1):
        rest = _compositions(n - first, size - 1)
        parts.append(np.concatenate([np.full((len(rest), 1), first), rest], axis=1))
    return np.concatenate(parts)


def _laws(theta_1: Any, theta_2: Any) -> tuple[np.ndarray, np.ndarray]:
    p = real_array("theta_1", theta_1, ("O",))
    q = real_array("theta_2", theta_2, p.shape)
    check_distribution("theta_1", p)
    check_distribution("theta_2", q)
    return p, q
