"""R-BOCPD in plain Python, from its definition: every weight from the raw counts, in every step.

Switches put one error at a time into it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from theoryrl.solvers.detection import RestartRule

TIE = 1e-11
"""Log odds closer than this are equal: 1/n has exact ties, which the rounding of `lgamma` must not break."""


@dataclass(frozen=True)
class Reference:
    """The detector of one stream.

    Parameters
    ----------
    pseudo
        Count that each symbol has before the first sample (1 for Laplace's rule).
    normaliser
        What is added to n in the denominator of a prediction; None: O times `pseudo`.
    newborn
        ``"right"``: a forecaster predicts the sample with which it begins; ``"skips"`` it, or counts it
        ``"twice"``.
    before
        ``"right"``: the weight at birth is that of the samples before; ``"after"``: the present one too.
    shift
        0 for m (m + 1); -2 for max(1, m (m - 1)).
    compositions
        Whether eta is divided by C_O(n).
    prior
        Whether eta is divided by m (m + 1).
    """

    pseudo: float = 1.0
    normaliser: float | None = None
    newborn: str = "right"
    before: str = "right"
    shift: int = 0
    compositions: bool = True
    prior: bool = True

    def log_probability(self, counts: tuple[int, ...]) -> float:
        """Return log Q of a sequence with these counts."""
        total = len(counts) * self.pseudo if self.normaliser is None else self.normaliser
        return log_probability(counts, self.pseudo, total)

    def weight(self, sums: list[tuple[int, ...]], x: np.ndarray, s: int, t: int) -> float:
        """Return the log weight of start s after sample t."""
        own = list(difference(sums[t + 1], sums[s]))
        if s > 0 and self.newborn != "right":
            own[x[s]] += 1 if self.newborn == "twice" else -1
        past = sums[s + (self.before == "after" and s > 0)]
        return self.log_probability(past) + self.log_probability(tuple(own))

    def weights(self, x: np.ndarray, n_symbols: int) -> np.ndarray:
        """Return all log weights, [n, n]; NaN where s > t."""
        sums, n = cumulated(x, n_symbols), len(x)
        found = np.full((n, n), np.nan)
        for t in range(n):
            found[t, : t + 1] = [self.weight(sums, x, s, t) for s in range(t + 1)]
        return found

    def log_eta(self, rule: RestartRule, m: int, n: int, n_symbols: int) -> float:
        """Return log eta of a rule."""
        if rule.eta == "inverse_n":
            return -math.log(n)
        if rule.eta == "constant":
            return -math.log(rule.horizon or 1)
        if rule.eta == "icml2020":
            inner = math.log(4 * rule.alpha + 2) * rule.delta**2 / (4 * n * math.log((rule.alpha + 3) * n))
            return math.log(math.sqrt(m * (n - m)) / (10 * n)) + rule.alpha * math.log(inner)
        value = math.log(rule.delta)
        if rule.eta == "safe_horizon":
            value -= math.log(rule.horizon or 1)
        elif self.prior:
            value -= math.log(max(1, m * (m + 1 + self.shift)))
        if rule.eta != "universal" and self.compositions:
            value -= math.log(math.comb(n + n_symbols - 1, n_symbols - 1))
        return value

    def first_alarm(self, x: np.ndarray, n_symbols: int, rule: RestartRule) -> int:
        """Return the index of the first alarm, or -1."""
        found = self.alarm(x, n_symbols, rule)
        return found[0] if found else -1

    def alarms(self, x: np.ndarray, n_symbols: int, rule: RestartRule) -> list[tuple[int, int, float]]:
        """Return time, estimated start and log odds of all alarms, each after a restart."""
        found: list[tuple[int, int, float]] = []
        first = 0
        while (alarm := self.alarm(x[first:], n_symbols, rule)) is not None:
            time, estimate, odds = alarm
            found.append((first + time, first + estimate, odds))
            first += time + 1
        return found

    def alarm(self, x: np.ndarray, n_symbols: int, rule: RestartRule) -> tuple[int, int, float] | None:
        """Return time, estimated start and log odds of the first alarm."""
        sums = cumulated(x, n_symbols)
        for t in range(1, len(x)):
            against = self.log_probability(sums[t + 1])
            if rule.eta == "universal":
                against = sum(c * math.log(c / (t + 1)) for c in sums[t + 1] if c)
            odds = [
                self.log_eta(rule, s, t + 1, n_symbols) + self.weight(sums, x, s, t) - against
                for s in range(1, t + 1)
            ]
            best = int(np.argmax(np.array(odds) > max(odds) - TIE))
            if odds[best] > TIE:
                return t, 1 + best, odds[best]
        return None


def cumulated(x: np.ndarray, n_symbols: int) -> list[tuple[int, ...]]:
    """Return the counts of the first 0, 1, ..., n samples."""
    hot = np.eye(n_symbols, dtype=np.int64)[x]
    sums = np.concatenate([np.zeros((1, n_symbols), dtype=np.int64), np.cumsum(hot, axis=0)])
    return [tuple(row) for row in sums.tolist()]


def difference(more: tuple[int, ...], less: tuple[int, ...]) -> tuple[int, ...]:
    """Return the counts of what was added."""
    return tuple(a - b for a, b in zip(more, less, strict=True))


@lru_cache(maxsize=1 << 18)
def log_probability(counts: tuple[int, ...], pseudo: float, total: float) -> float:
    """Return log of Gamma(total) / Gamma(n + total) times prod Gamma(N_i + pseudo) / Gamma(pseudo)."""
    value = sum(math.lgamma(c + pseudo) - math.lgamma(pseudo) for c in counts)
    return value - math.lgamma(sum(counts) + total) + math.lgamma(total)
