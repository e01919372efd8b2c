"""Evidence on change-point detection: enumerated streams, drawn streams, and when they alarm."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from theoryrl.solvers.detection import (
    RestartedBOCPD,
    RestartRule,
    detection_delay_bound,
    log_compositions,
    log_likelihood,
    log_mixture,
    plugin_delay,
    published_delay_bound,
    survival_bound,
    survival_bound_given,
)
from theoryrl.theory.core import Evidence, Scope

DELTA = 0.1
Weigher = Callable[[np.ndarray, int], np.ndarray]
"""(samples, O) to log weights [n, n], row t of ``log Q(x_{0:s-1}) + log Q(x_{s:t})`` in columns s <= t."""
Detector = Callable[[np.ndarray, int, RestartRule], int]
"""(samples, O, rule) to the index of the first alarm, or -1."""
Pruned = Callable[[np.ndarray, int, RestartRule, float], tuple[int, int]]
"""(samples, O, rule, epsilon) to the first alarm of a pruned run, and its bound on that of the exact one."""

NEVER = RestartRule("constant", gamma=1e-300)
"""A rule that never restarts, so that forecasters can be watched for long."""


def watched_weights(x: np.ndarray, n_symbols: int) -> np.ndarray:
    """Return the weights that the library's forecasters have after each sample."""
    detector = RestartedBOCPD(n_symbols, eta=NEVER)
    weights = np.full((len(x), len(x)), np.nan)
    for t, symbol in enumerate(x):
        detector.update(int(symbol))
        bank = detector._bank
        weights[t, : t + 1] = bank.head[0, : t + 1] + bank.tail[0, : t + 1]
        weights[t, 0] = bank.tail[0, 0]
    return weights


def first_alarm(x: np.ndarray, n_symbols: int, rule: RestartRule, prune: float = 0.0) -> int:
    """Return the index of the library's first alarm, or -1."""
    found = RestartedBOCPD(n_symbols, eta=rule, prune=prune).run(x)
    return found[0].time if found else -1


# Identities on every stream of some length.


@dataclass(frozen=True, eq=False)
class AllStreams(Evidence):
    """Every stream of n symbols, with the forecasters' log weights at its end: shape [O^n, n]."""

    n_symbols: int
    length: int
    streams: Int[np.ndarray, "N n"]
    weights: Float[np.ndarray, "N n"]

    def likelihood(self, theta: Float[np.ndarray, " O"]) -> Float[np.ndarray, " N"]:
        """Return the probability of each stream."""
        return np.asarray(np.prod(theta[self.streams], axis=1))


def all_streams(n_symbols: int, length: int) -> Int[np.ndarray, "N n"]:
    """Return every stream of this length."""
    return np.array(list(itertools.product(range(n_symbols), repeat=length)), dtype=np.int64)


def enumerations(scope: Scope, weigh: Weigher = watched_weights) -> Iterator[AllStreams]:
    """Yield all streams of a few alphabets."""
    for size, length in scope.pick([(2, 7), (3, 5)], [(2, 10), (3, 7), (4, 5)]):
        streams = all_streams(size, length)
        weights = np.array([weigh(x, size)[-1] for x in streams])
        yield AllStreams(f"all streams, O = {size}, n = {length}", size, length, streams, weights)


def sums_of_weights(case: AllStreams) -> Float[np.ndarray, " n"]:
    """Return, for each start s, the sum over all streams of Q(x_{0:s-1}) Q(x_{s:n-1})."""
    return np.exp(case.weights).sum(axis=0)


def expected_ratios(case: AllStreams) -> Float[np.ndarray, " M"]:
    """Return E_theta of Q Q / P_theta for each start, on laws inside and on the edge of the simplex.

    The expectation is over streams of positive probability.
    """
    found = []
    rng = np.random.default_rng(case.n_symbols)
    laws = list(rng.dirichlet(np.ones(case.n_symbols), size=3))
    laws += [np.append(rng.dirichlet(np.ones(case.n_symbols - 1)), 0.0), np.eye(case.n_symbols)[0]]
    for theta in laws:
        possible = case.likelihood(theta) > 0
        found.append(np.exp(case.weights[possible]).sum(axis=0))
    return np.concatenate(found)


@dataclass(frozen=True, eq=False)
class Stream(Evidence):
    """A stream, its forecasters' weights, and its count vectors n_{s:t}."""

    n_symbols: int
    x: Int[np.ndarray, " n"]
    weights: Float[np.ndarray, "n n"]

    @property
    def counts(self) -> Int[np.ndarray, "n1 O"]:
        """Counts of the first t samples, t = 0, ..., n."""
        hot = np.eye(self.n_symbols, dtype=np.int64)[self.x]
        return np.concatenate([np.zeros((1, self.n_symbols), dtype=np.int64), np.cumsum(hot, axis=0)])

    @property
    def closed_form(self) -> Float[np.ndarray, "n n"]:
        """log Q(x_{0:s-1}) + log Q(x_{s:t}) from the counts; NaN where s > t."""
        sums = self.counts
        value = log_mixture(sums[None, :-1]) + log_mixture(np.maximum(sums[1:, None] - sums[None, :-1], 0))
        n = len(self.x)
        return np.where(np.arange(n)[None] <= np.arange(n)[:, None], value, np.nan)


def random_law(rng: np.random.Generator, size: int) -> Float[np.ndarray, " O"]:
    """Return a distribution, often close to the edge of the simplex."""
    return rng.dirichlet(np.full(size, rng.choice([0.3, 1.0, 5.0])))


def random_streams(scope: Scope, weigh: Weigher = watched_weights) -> Iterator[Stream]:
    """Yield streams with a change somewhere."""
    rng = np.random.default_rng([scope.seed, 61])
    for index in range(scope.pick(8, 60)):
        size, n = int(rng.integers(2, 6)), int(rng.integers(1, 120))
        m = int(rng.integers(0, n + 1))
        x = np.concatenate([rng.choice(size, k, p=random_law(rng, size)) for k in (m, n - m)]).astype(
            np.int64
        )
        yield Stream(f"stream {index}, O = {size}, n = {n}", size, x, weigh(x, size))


def lower_triangle(array: Float[np.ndarray, "n n"]) -> Float[np.ndarray, " K"]:
    """Return the entries with s <= t."""
    return array[np.tril_indices(len(array))]


def log_redundancies(case: Stream) -> tuple[np.ndarray, np.ndarray]:
    """Return log max P - log Q and log C_O(n), for every prefix."""
    sums = case.counts[1:]
    spent = log_likelihood(sums) - case.weights[:, 0]
    return spent, np.array([log_compositions(n, case.n_symbols) for n in range(1, len(sums) + 1)])


# False alarms.


@dataclass(frozen=True, eq=False)
class ExactLevel(Evidence):
    """The probability that a detector alarms within n samples of one law, without sampling.

    Attributes
    ----------
    detected
        From the detector, run on all streams.
    defined
        From the definition of the rule, evaluated on the counts of all streams.
    """

    rule: RestartRule
    detected: float
    defined: float


@lru_cache(maxsize=16)
def defined_alarms(rule: RestartRule, n_symbols: int, length: int) -> np.ndarray:
    """Return for every stream whether its rule's condition ever holds, from counts alone."""
    streams = all_streams(n_symbols, length)
    hot = np.eye(n_symbols, dtype=np.int64)[streams]
    sums = np.concatenate([np.zeros_like(hot[:, :1]), np.cumsum(hot, axis=1)], axis=1)
    alarm = np.zeros(len(streams), dtype=np.bool_)
    for n in range(2, length + 1):
        whole = sums[:, n]
        against = log_likelihood(whole) if rule.eta == "universal" else log_mixture(whole)
        for m in range(1, n):
            value = log_mixture(sums[:, m]) + log_mixture(whole - sums[:, m])
            alarm |= value + rule.log_eta(m, n, n_symbols) > against
    return alarm


ALMOST_ONE = 1 - 1e-12
"""delta = 1 up to rounding: the level at which short streams alarm at all."""


def exact_levels(scope: Scope, detect: Detector = first_alarm) -> Iterator[ExactLevel]:
    """Yield the exact false-alarm probabilities of the proven rules on short streams."""
    length = scope.pick(11, 14)
    streams = all_streams(2, length)
    for eta, delta in (("safe", ALMOST_ONE), ("safe", 0.5), ("universal", ALMOST_ONE), ("universal", 0.5)):
        rule = RestartRule(eta, delta)
        alarms = np.array([detect(x, 2, rule) >= 0 for x in streams])
        for p in (0.5, 0.2):
            chance = np.prod(np.array([1 - p, p])[streams], axis=1)
            detected = float(chance @ alarms)
            defined = float(chance @ defined_alarms(rule, 2, length))
            yield ExactLevel(f"{eta}, delta = {delta:g}, p = {p}", rule, detected, defined)


@dataclass(frozen=True, eq=False)
class Quiet(Evidence):
    """A stream without a change: the index of its first alarm, or -1."""

    alarm: int


def stationary_streams(
    scope: Scope, detect: Detector = first_alarm, rules: Sequence[RestartRule] | None = None
) -> Iterator[Quiet]:
    """Yield streams without a change, one group for each rule and law."""
    chosen = rules or [
        RestartRule("safe", DELTA),
        RestartRule("safe_horizon", DELTA, horizon=400),
        RestartRule("universal", DELTA),
    ]
    for k, rule in enumerate(chosen):
        for size, theta in ((2, [0.5, 0.5]), (3, [0.2, 0.3, 0.5])):
            rng = np.random.default_rng([scope.seed, 62, k, size])
            for _ in range(scope.pick(100, 1000)):
                x = rng.choice(size, 400, p=theta)
                alarm = detect(x, size, rule)
                name = f"{rule.eta}, O = {size}"
                yield Quiet(name, alarm, group=name, delta=rule.delta)


# Pruning, and the two rules beside each other.


@dataclass(frozen=True, eq=False)
class Pair(Evidence):
    """First alarms on one stream (its length where there is none), and what was kept meanwhile.

    Attributes
    ----------
    safe, universal
        Of the exact runs.
    pruned, earliest
        Of the pruned run, and its bound on when the exact one alarms.
    epsilon
        Of the pruning.
    """

    n: int
    safe: int
    universal: int
    pruned: int
    earliest: int
    epsilon: float


def pruned_alarm(x: np.ndarray, n_symbols: int, rule: RestartRule, epsilon: float) -> tuple[int, int]:
    """Return time and `earliest` of the library's first alarm; the number of samples and 0 without one."""
    found = RestartedBOCPD(n_symbols, eta=rule, prune=epsilon).run(x)
    return (found[0].time, found[0].earliest) if found else (len(x), 0)


def changing_streams(
    scope: Scope, detect: Detector = first_alarm, detect_pruned: Pruned = pruned_alarm
) -> Iterator[Pair]:
    """Yield streams with a change, with the first alarms of several runs."""
    rng = np.random.default_rng([scope.seed, 63])
    for index in range(scope.pick(60, 400)):
        size = int(rng.integers(2, 5))
        m, k = int(rng.integers(5, 400)), 400
        x = np.concatenate([rng.choice(size, j, p=random_law(rng, size)) for j in (m, k)])
        epsilon = float(rng.choice([0.05, 0.1, 0.25, 1.0]))
        safe, universal = RestartRule("safe", 0.1), RestartRule("universal", 0.1)
        n = len(x)
        times = [a if (a := detect(x, size, rule)) >= 0 else n for rule in (safe, universal)]
        pruned, earliest = detect_pruned(x, size, safe, epsilon)
        yield Pair(f"stream {index}", n, times[0], times[1], pruned, earliest, epsilon)


@dataclass(frozen=True, eq=False)
class Grid(Evidence):
    """The starts that a pruned run keeps after n samples."""

    n: int
    epsilon: float
    starts: Int[np.ndarray, " F"]

    @property
    def distances(self) -> Float[np.ndarray, " n"]:
        """For each start s: (s' - s) - epsilon (t - s') for the next kept s'."""
        s, t = np.arange(self.n), self.n - 1
        kept = self.starts[np.searchsorted(self.starts, s)]
        return kept - s - self.epsilon * (t - kept)

    @property
    def most(self) -> float:
        """4 log(n / 2) / log(1 + epsilon) + 8, a bound on the number of starts."""
        return 4 * math.log(max(self.n / 2, 1.0)) / math.log1p(self.epsilon) + 8


def kept_starts(n: int, epsilon: float) -> list[np.ndarray]:
    """Return the starts that the library keeps after some of the first n samples."""
    detector = RestartedBOCPD(2, eta=NEVER, prune=epsilon)
    kept = []
    for t in range(n):
        detector.update(t % 2)
        if t < 40 or t % 97 == 0 or t == n - 1:
            kept.append(detector.log_weights()[:, 0].astype(np.int64))
    return kept


def grids(scope: Scope, keep: Callable[[int, float], list[np.ndarray]] = kept_starts) -> Iterator[Grid]:
    """Yield the starts that are kept at many times, which do not depend on the samples."""
    for epsilon in (0.05, 0.25, 1.0):
        for starts in keep(scope.pick(1500, 10_000), epsilon):
            n = int(starts[-1]) + 1
            yield Grid(f"epsilon = {epsilon}, n = {n}", n, epsilon, starts)


# Delays.


@dataclass(frozen=True, eq=False)
class Survival(Evidence):
    """Whether a stream survived d samples after its change without an alarm, and the bound on that."""

    survived: float
    bound: float


BEFORE, AFTER = np.array([0.8, 0.2]), np.array([0.4, 0.6])


def survivals(scope: Scope, detect: Detector = first_alarm) -> Iterator[Survival]:
    """Yield streams with a change after m samples, one group for each delay."""
    m, rule = 300, RestartRule("safe", 0.05)
    delays = np.array([60, 80, 100])
    bounds = survival_bound(m, delays, BEFORE, AFTER, rule)
    rng = np.random.default_rng([scope.seed, 64])
    for _ in range(scope.pick(500, 2000)):
        x = np.concatenate([rng.choice(2, m, p=BEFORE), rng.choice(2, int(delays[-1]), p=AFTER)])
        alarm = detect(x, 2, rule)
        for d, bound in zip(delays, bounds, strict=True):
            survived = alarm < 0 or alarm >= m + d
            yield Survival(f"m = {m}, d = {d}", float(survived), float(bound), group=str(d))


def leaving_streams(scope: Scope, given_counts: bool = True, number: int | None = None) -> Iterator[Survival]:
    """Yield streams whose change comes as soon as their mean has strayed 2.5 deviations towards it.

    That is what a pair inside an agent may see. With `given_counts` false the bound is the one for
    fixed m, at the m that came about: it is false here, by .20 +- .01 on average (3000 streams of other
    seeds; deviation of one stream .46). At 2 deviations and 60 samples it is false by .085 only, which
    takes some 4000 streams to show.
    """
    rule, d, longest = RestartRule("safe", 0.05), 80, 1500
    p = BEFORE[1]
    rng = np.random.default_rng([scope.seed, 65])
    index = 0
    while index < (number or scope.pick(600, 2000)):
        x = (rng.random(longest) < p).astype(np.int64)
        n = np.arange(1, longest + 1)
        strayed = np.cumsum(x) / n - p > 2.5 * np.sqrt(p * (1 - p) / n)
        strayed[:200] = False
        if not strayed.any():
            continue
        index += 1
        m = int(strayed.argmax()) + 1
        stream = np.concatenate([x[:m], rng.choice(2, d, p=AFTER)])
        alarm = first_alarm(stream, 2, rule)
        counts = np.bincount(x[:m], minlength=2)
        if given_counts:
            bound = survival_bound_given(counts, [d], AFTER, rule)[0]
        else:
            bound = _fixed_survival(m, d, rule)
        survived = alarm < 0 or alarm >= m + d
        yield Survival(f"m = {m}", float(survived), float(bound))


@lru_cache(maxsize=4096)
def _fixed_survival(m: int, d: int, rule: RestartRule) -> float:
    return float(survival_bound(m, [d], BEFORE, AFTER, rule)[0])


@dataclass(frozen=True, eq=False)
class Delay(Evidence):
    """The delay of the first alarm of a stream with a change (infinite for an early or no alarm)."""

    delay: float
    bound: float


DELAY_DELTA = 0.05


def delayed_streams(scope: Scope, detect: Detector = first_alarm) -> Iterator[Delay]:
    """Yield delays with the bound in total variation; it fails with probability 2 DELAY_DELTA at most."""
    laws = [([0.2, 0.8], [0.8, 0.2], 1000), ([0.1, 0.2, 0.7], [0.7, 0.2, 0.1], 1500)]
    yield from _delays(scope, detect, laws, lambda m, p, q, rule: detection_delay_bound(m, p, q, rule, 0.05))


def published_delays(scope: Scope, detect: Detector = first_alarm) -> Iterator[Delay]:
    """Yield delays with the published bound, at the same level."""
    laws = [([0.2, 0.8], [0.8, 0.2], 1000), ([0.1, 0.9], [0.7, 0.3], 300)]
    yield from _delays(
        scope, detect, laws, lambda m, p, q, rule: published_delay_bound(m, p[1], q[1], rule, 0.05)
    )


def _delays(scope: Scope, detect: Detector, laws: Any, bound_of: Callable[..., float]) -> Iterator[Delay]:
    rule = RestartRule("safe", DELAY_DELTA)
    for k, (p, q, m) in enumerate(laws):
        bound = bound_of(m, p, q, rule)
        rng = np.random.default_rng([scope.seed, 66, k])
        for _ in range(scope.pick(50, 300)):
            x = np.concatenate([rng.choice(len(p), m, p=p), rng.choice(len(q), int(bound) + 1, p=q)])
            alarm = detect(x, len(p), rule)
            delay = alarm - m + 1.0 if alarm >= m else math.inf
            delay = delay if math.isfinite(delay) else len(x) + 1.0
            yield Delay(f"O = {len(p)}, m = {m}", delay, bound, group=str(k), delta=2 * DELAY_DELTA)


@dataclass(frozen=True, eq=False)
class Slope(Evidence):
    """Delays d* of expected counts at falling delta, and the slope 1 / KL(theta_2 || theta_1)."""

    log_inverse_delta: Float[np.ndarray, " N"]
    delays: Float[np.ndarray, " N"]
    limit: float


def plugin_slopes(
    scope: Scope, delay: Callable[..., float] = plugin_delay, m: int = 1_000_000
) -> Iterator[Slope]:
    """Yield the plug-in delay over delta from 1e-20 to 1e-60, after a million samples."""
    for p, q in (([0.2, 0.3, 0.5], [0.5, 0.3, 0.2]), ([0.5, 0.5], [0.3, 0.7])):
        levels = np.array([10.0**-k for k in (20, 30, 40, 50, 60)])
        delays = np.array([delay(m, p, q, RestartRule("safe", level)) for level in levels])
        KL = float(np.sum(np.array(q) * np.log(np.array(q) / np.array(p))))
        yield Slope(f"{p} to {q}", -np.log(levels), delays, 1 / KL)
