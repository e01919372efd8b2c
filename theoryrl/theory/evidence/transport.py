"""Evidence on the transport lemma: how far an expectation moves between two distributions close in KL.

If KL(p || q) <= alpha and f takes values in [0, b], then ``|(p - q) f|`` is at most
2 sqrt(Var_p(f) alpha) + 7/3 b alpha, and that is at most eta p f + (1/eta + 7/3) b alpha for every
eta > 0 (proof: StepMix page). The cases below are random, climbed towards the bounds, or extreme.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from theoryrl.theory.core import Evidence, Scope

LOWER_ORDER = 7 / 3
"""The constant of the proof. The bounds of mode ``bernstein`` use 7/2, which is weaker."""

SMALLEST_DIVERGENCE = 1e-7
"""Climbing stops here: a divergence is exact to about 1e-16, so this one to nine digits."""


class Terms(NamedTuple):
    """What the lemma is about, for N cases at once: arrays of shape [N]."""

    distance: np.ndarray
    divergence: np.ndarray
    variance: np.ndarray
    mean: np.ndarray
    top: np.ndarray

    def root(self, leading: float = 2.0, lower_order: float = LOWER_ORDER) -> np.ndarray:
        """2 sqrt(Var_p(f) alpha) + 7/3 b alpha."""
        return leading * np.sqrt(self.variance * self.divergence) + lower_order * self.top * self.divergence

    def linear(self, eta: np.ndarray, leading: float = 1.0, lower_order: float = LOWER_ORDER) -> np.ndarray:
        """Eta p f + (1/eta + 7/3) b alpha."""
        return eta * self.mean + (leading / eta + lower_order) * self.top * self.divergence


def terms(p: Float[np.ndarray, "N S"], q: Float[np.ndarray, "N S"], f: Float[np.ndarray, "N S"]) -> Terms:
    """Return the terms for distributions p, q and functions f >= 0, with b = max f."""
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = np.where(p > 0, p * np.log(p / q), 0.0).sum(axis=1)
    mean = (p * f).sum(axis=1)
    variance = (p * (f - mean[:, None]) ** 2).sum(axis=1)
    return Terms(np.abs(((p - q) * f).sum(axis=1)), divergence, variance, mean, f.max(axis=1))


@dataclass(frozen=True, eq=False)
class Transport(Evidence):
    """A batch of cases with a value of eta for each."""

    terms: Terms
    eta: Float[np.ndarray, " N"]


def transports(scope: Scope) -> Iterator[Transport]:
    """Yield random cases, hill-climbed ones for both forms of the bound, and point masses."""
    rng = np.random.default_rng([scope.seed, 10])
    for S in (2, 3, 5):
        cases = rng.normal(size=(scope.pick(400, 4000), 3 * S + 1)) * rng.choice([1.0, 3.0])
        yield Transport(f"random, S = {S}", *_decode(cases))
        for form in ("root", "linear"):
            start = rng.normal(size=(scope.pick(60, 400), 3 * S + 1))
            climbed = _climb(start, form, scope.pick(1500, 10_000), rng)
            yield Transport(f"climbed for the {form} form, S = {S}", *_decode(climbed))
    yield Transport("point mass", *_point_masses())


def _decode(cases: Float[np.ndarray, "N D"]) -> tuple[Terms, Float[np.ndarray, " N"]]:
    """Read rows as logits of p, logits of q relative to p, values of f (through a sigmoid), and log eta."""
    S = cases.shape[1] // 3
    logits, tilt, values = cases[:, :S], cases[:, S : 2 * S], cases[:, 2 * S : 3 * S]
    p, q = (np.exp(x - x.max(axis=1, keepdims=True)) for x in (logits, logits + tilt))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    f = 1 / (1 + np.exp(-4 * values))
    return terms(p, q, f), np.exp(cases[:, -1].clip(-5, 5))


def _ratio(cases: Float[np.ndarray, "N D"], form: str) -> Float[np.ndarray, " N"]:
    found, eta = _decode(cases)
    bound = found.root() if form == "root" else found.linear(eta)
    return np.where(found.divergence >= SMALLEST_DIVERGENCE, found.distance / bound, -np.inf)


def _climb(
    cases: Float[np.ndarray, "N D"], form: str, steps: int, rng: np.random.Generator
) -> Float[np.ndarray, "N D"]:
    """Improve the ratio of distance to bound by random steps of mixed sizes."""
    best = _ratio(cases, form)
    for _ in range(steps):
        size = 10 ** rng.uniform(-3, 0, size=(len(cases), 1))
        proposed = cases + size * rng.normal(size=cases.shape) * (rng.random(cases.shape) < 0.4)
        ratio = _ratio(proposed, form)
        better = ratio > best
        cases, best = np.where(better[:, None], proposed, cases), np.where(better, ratio, best)
    return cases


def _point_masses() -> tuple[Terms, Float[np.ndarray, " N"]]:
    """All mass of p where f is zero: no variance and no mean, so the lower-order term stands alone."""
    alpha, eta = (x.ravel() for x in np.meshgrid(np.geomspace(1e-4, 3, 20), [0.1, 1.0, 10.0, 1000.0]))
    p = np.tile([1.0, 0.0], (len(alpha), 1))
    q = np.column_stack([np.exp(-alpha), -np.expm1(-alpha)])
    return terms(p, q, np.tile([0.0, 1.0], (len(alpha), 1))), eta
