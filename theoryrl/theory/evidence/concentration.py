"""Evidence on confidence sets for rows of a kernel, and on what is built from them.

Three questions about the bounds of a family of policies: does the KL dual bound the extreme
expectation (and attain it), does the mixture threshold hold for all sample sizes at once, and do the
bounds propagate through the stages when the rows' errors are exactly as large as the events allow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq

from theoryrl.learners._family import ORIENTATIONS, BoundOptions, FamilyState
from theoryrl.learners._kernels import BERNSTEIN, BPI, action_bounds
from theoryrl.solvers.episodic.simulation import cumulative
from theoryrl.solvers.kl_ball import KLExtremes, kl_ball
from theoryrl.theory.core import Evidence, Scope
from theoryrl.theory.evidence._kernels import largest_excess
from theoryrl.theory.evidence.conservative import (
    ROUNDING,
    boltzmann_instance,
    comparator_values,
    member_values,
)


@dataclass(frozen=True, eq=False)
class Ball(Evidence):
    """A KL ball, the library's bounds, the exact extremes, and points inside the ball."""

    bounds: KLExtremes
    exact: KLExtremes
    inside: Float[np.ndarray, " N"]


def balls(scope: Scope) -> Iterator[Ball]:
    """Yield random balls: zeros in the centre, ties in V, radii from 1e-4 to 30."""
    rng = np.random.default_rng([scope.seed, 2])
    for index in range(scope.pick(150, 1500)):
        S = int(rng.integers(2, 8))
        p = rng.dirichlet(np.full(S, 0.7)) * (rng.random(S) < 0.75)
        if p.sum() == 0:
            p[0] = 1.0
        p /= p.sum()
        V = np.round(rng.random(S) * 3, int(rng.integers(1, 6)))
        eps = float(10 ** rng.uniform(-4, math.log10(30)))
        q = p + rng.random((40, 1)) * (rng.dirichlet(np.full(S, 0.5), size=40) - p)
        inside = q[_divergence(p, q) <= eps] @ V
        exact = KLExtremes(-_exact_maximum(p, -V, eps), _exact_maximum(p, V, eps))
        yield Ball(f"ball {index}", kl_ball(p, V, eps), exact, inside)


def _divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    charged = p > 0
    with np.errstate(divide="ignore"):
        return (p[charged] * np.log(p[charged] / q[:, charged])).sum(axis=1)


def _exact_maximum(p: np.ndarray, V: np.ndarray, eps: float) -> float:
    """Solve the primal: q_i = p_i c / (nu - V_i), plus free mass on the maxima if p gives them none."""
    top, charged = V.max(), p > 0
    gaps, weights = top - V[charged], p[charged]
    if np.ptp(V) == 0 or gaps.max() == 0:
        return float(top)

    def divergence(t: float) -> float:
        return float(np.log(weights @ (1 / (gaps + t))) + weights @ np.log(gaps + t))

    if gaps.min() > 0 and divergence(0.0) <= eps:
        scale = math.exp(weights @ np.log(gaps) - eps)
        q = weights * scale / gaps
        return float(q @ V[charged] + (1 - q.sum()) * top)
    low, high = np.log(gaps.max()) - 600, np.log(gaps.max() / math.expm1(eps)) + 1e-9
    if divergence(math.exp(low)) <= eps:
        return float(top)
    t = math.exp(brentq(lambda u: divergence(math.exp(u)) - eps, low, high, xtol=1e-13))
    q = weights / (gaps + t)
    return float((q / q.sum()) @ V[charged])


@dataclass(frozen=True, eq=False)
class Stream(Evidence):
    """One i.i.d. stream from a row: the largest excess of n KL(phat || p) over its threshold."""

    excess: float


CROSSING_DELTA = 0.3
"""Level at which the single-row threshold is tested; large, so that slack cannot hide an error."""


def streams(scope: Scope) -> Iterator[Stream]:
    """Yield streams of length 1500 from uniform and skewed rows of 2, 4 and 8 states."""
    rng = np.random.default_rng([scope.seed, 3])
    uniform = {f"uniform, S = {S}": np.full(S, 1 / S) for S in (2, 4, 8)}
    for group, p in {**uniform, "skewed": np.array([0.9, 0.05, 0.05])}.items():
        for index in range(scope.pick(1600, 8000)):
            excess = largest_excess(p, cumulative(p), math.log(1 / CROSSING_DELTA), rng.random(1500))
            yield Stream(f"{group}, stream {index}", excess, group=group)


@dataclass(frozen=True, eq=False)
class Row(Evidence):
    """One row of a comparator mode: next values L <= V <= W <= U, and an error as large as E1 allows.

    Where the tail is the baseline, V = W and nothing needs to be transported.

    `lowest_V` and `highest_W` are the extreme expectations of V and W under a true row that satisfies
    E1 for W with radius ell and E2 with radius beta; `upper` and `lower` are the action bounds.
    """

    arguments: tuple[Any, ...]
    highest_W: float
    lowest_V: float
    upper: float
    lower: float


def rows(scope: Scope) -> Iterator[Row]:
    """Yield random rows of mode ``bernstein``, whose proof splits its errors at eta = 1/H."""
    for name, row, values in _random_rows(scope, 8):
        yield _row(name, BERNSTEIN, row, values, 1 / row[0])
        U, L, _, W = values
        yield _row(f"{name}, baseline", BERNSTEIN, row, (U, L, W, W), 1 / row[0], is_baseline=True)


def bpi_rows(scope: Scope) -> Iterator[Row]:
    """Yield random rows of mode ``bpi-ucbvi``, which is proved from the same events at eta = 1/(2H).

    Its radii are the smallest for which it dominates ``bernstein`` at that eta (`dominating_radii`).
    """
    for name, row, values in _random_rows(scope, 11):
        yield _row(name, BPI, row, values, 1 / (2 * row[0]))


RandomRow = tuple[int, int, int, np.ndarray, float, float]
"""H, h, n, p, ell and beta."""


def _random_rows(scope: Scope, stream: int) -> Iterator[tuple[str, RandomRow, tuple[np.ndarray, ...]]]:
    """Yield rows with rare states, with values (U, L, V, W); every other U has the least variance it can."""
    rng = np.random.default_rng([scope.seed, stream])
    for index in range(scope.pick(3000, 50_000)):
        S, H = int(rng.integers(2, 6)), int(rng.integers(2, 7))
        h = int(rng.integers(0, H - 1))
        B, n = H - h - 1.0, int(2 * 10 ** rng.uniform(0, 3))
        p = rng.dirichlet(np.full(S, 0.3))
        W = B * rng.random(S) ** rng.choice([0.2, 1.0, 5.0])
        if index % 2:
            U = W + (B - W) * rng.random() * rng.random(S)
            V = W * (1 - rng.random() * rng.random(S))
            L = V * (1 - rng.choice([0.0, 1.0]) * rng.random(S))
        else:
            U, V, L = W + rng.choice([0.0, rng.random()]) * (W.max() - W), W, W
        ell, beta = (float(10 ** rng.uniform(-2, 0.7)) for _ in range(2))
        yield f"row {index}", (H, h, n, p, ell, beta), (U, L, V, W)


def _row(
    name: str,
    mode: int,
    row: RandomRow,
    values: tuple[np.ndarray, ...],
    eta: float,
    is_baseline: bool = False,
) -> Row:
    H, h, n, p, ell, beta = row
    U, L, V, W = values
    B = H - h - 1.0
    error = np.sqrt(2 * _variance(p, W) * ell / (n - 1)) + 7 * B * ell / (3 * (n - 1))
    transported = 0.0 if is_baseline else eta * (p @ (W - V)) + (1 / eta + 3.5) * B * beta / n
    main, transport = np.array([ell]), np.array([beta])
    if mode == BPI:
        main, transport = dominating_radii(H, B, np.array([n]), main, transport)
    upper, lower = action_bounds(
        np.array([mode]), 1.0, 2, H, h, n, 0.0, p, main, transport, np.ones(len(p), dtype=np.bool_),
        U, L, is_baseline, np.empty(len(p)),
    )  # fmt: skip
    highest, lowest = min(B, p @ W + error), max(0.0, p @ V - error - transported)
    return Row(name, (*row, U, L, is_baseline), highest, lowest, min(upper, float(H - h)), lower)


def _variance(p: np.ndarray, V: np.ndarray) -> float:
    return max(0.0, float(p @ V**2 - (p @ V) ** 2))


@dataclass(frozen=True, eq=False)
class Induction(Evidence):
    """A family's bounds from radii that are as small as the events allow, and the true values."""

    mode: str
    U: Float[np.ndarray, "J K S"]
    L: Float[np.ndarray, "J K S"]
    W: Float[np.ndarray, "J K S"]
    V: Float[np.ndarray, "J K S"]


INDUCTION_MODES = ("bernstein", "kl", "bpi-ucbvi", "kl+bernstein", "bpi-ucbvi+kl", "bernstein+bpi-ucbvi")


def inductions(scope: Scope) -> Iterator[Induction]:
    """Yield families from random count tables, for each bound mode, orientation and refinement.

    The radii of each row are the smallest for which the row satisfies the events on which the proof
    rests (E1 and E2 for ``bernstein`` and ``bpi-ucbvi``, the KL event for ``kl``), so the bounds have
    no slack to hide an error in the induction over the stages. In every other case one family is
    refreshed several times with running bounds, as a run does.
    """
    rng = np.random.default_rng([scope.seed, 4])
    for index in range(scope.pick(240, 2400)):
        orientation, modes = ORIENTATIONS[index % 2], INDUCTION_MODES[index // 2 % len(INDUCTION_MODES)]
        running, clip = bool(index // 12 % 2), index // 24 % 3 == 0
        options = BoundOptions(
            modes, n_min=1 + index % 3 // 2, orientation=orientation, running=running, clip=clip
        )
        yield from tight_inductions(rng, options, 4 if running else 1, f"{index}: {modes}, {orientation}")


def tight_inductions(
    rng: np.random.Generator, options: BoundOptions, refreshes: int, name: str
) -> Iterator[Induction]:
    """Draw an instance and growing counts; refresh a family with the smallest admissible radii."""
    model = boltzmann_instance(rng)
    mdp = model.mdp
    H, A = mdp.horizon, mdp.n_actions
    pi_b = model.baseline.stages(H)
    W = comparator_values(mdp, pi_b, options.orientation)
    family = FamilyState.start(mdp.r, pi_b)
    for refresh in range(refreshes):
        n = rng.integers(0, int(rng.choice([4, 30, 1000])), size=mdp.r.shape)
        family.n_next += rng.multinomial(n, mdp.P)
        family.n += n
        main, transport = tight_radii(options.modes, family.n_next, mdp.P, W)
        family.refresh_with(options, np.ones(H + 1, dtype=np.bool_), main, transport)
        greedy = (family.greedy[..., None] == np.arange(A)).astype(np.float64)
        V = member_values(mdp, pi_b, greedy, options.orientation)
        yield Induction(f"{name}, refresh {refresh}", options.modes, family.U.copy(), family.L.copy(), W, V)


def tight_radii(
    modes: str,
    n_next: Int[np.ndarray, "H S A S"],
    P: Float[np.ndarray, "H S A S"],
    W: Float[np.ndarray, "J K S"],
) -> tuple[Float[np.ndarray, "M H S A"], Float[np.ndarray, "M H S A"]]:
    """Return the smallest radii of each of several modes joined by ``+``, in their order."""
    found = [smallest_radii(mode, n_next, P, W) for mode in modes.split("+")]
    return np.array([main for main, _ in found]), np.array([transport for _, transport in found])


def smallest_radii(
    mode: str,
    n_next: Int[np.ndarray, "H S A S"],
    P: Float[np.ndarray, "H S A S"],
    W: Float[np.ndarray, "J K S"],
) -> tuple[Float[np.ndarray, "H S A"], Float[np.ndarray, "H S A"]]:
    """Return the smallest (main, transport) radii for which every row satisfies its events."""
    H = len(P)
    n = n_next.sum(axis=3)
    safe = np.maximum(n, 1)
    phat = n_next / safe[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = np.where(phat > 0, phat * np.log(phat / P), 0.0).sum(axis=3).clip(min=0.0)
    if mode == "kl":
        return divergence, np.zeros(n.shape)
    ell = np.zeros(n.shape)
    for h in range(H):
        B = H - 1.0 - h
        for comparator in np.unique(W[:, h + 1], axis=0):
            error = np.abs((phat[h] - P[h]) @ comparator)
            variance = np.maximum(phat[h] @ comparator**2 - (phat[h] @ comparator) ** 2, 0.0)
            ell[h] = np.maximum(ell[h], _smallest_ell(error, variance, B, np.maximum(n[h] - 1, 1)))
    beta = safe * divergence
    if mode == "bernstein":
        return ell, beta
    ranges = np.arange(H - 1.0, -1.0, -1.0)[:, None, None]
    return dominating_radii(H, ranges, n, ell, beta)


def dominating_radii(
    H: int, B: Any, n: np.ndarray, ell: np.ndarray, beta: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest (beta*, beta) for which ``bpi-ucbvi`` dominates ``bernstein`` at eta = 1/(2H).

    Its leading term must cover sqrt(2 Var ell / (n-1)), and its lower-order term
    (7/3 + H) B ell / (n-1) + (2H + 7/2) B beta / n; for n = 1, which E1 does not cover, the range B.
    Then D/H is more than the D/(2H) that is needed.
    """
    m = np.maximum(n - 1, 1)
    lower_order = n * (7 / 3 + H) * B * ell / m + (2 * H + 3.5) * B * beta
    return (
        np.where(n >= 2, 2 * ell * n / (9 * m), 0.0),
        np.where(n >= 2, lower_order, B) / (14 * H**2),
    )


def _smallest_ell(error: np.ndarray, variance: np.ndarray, B: float, m: np.ndarray) -> np.ndarray:
    """Solve error = sqrt(2 variance ell / m) + 7 B ell / (3 m), a quadratic in sqrt(ell)."""
    if B == 0:
        return np.zeros_like(error)
    a, b = 7 * B / (3 * m), np.sqrt(2 * variance / m)
    return ((np.sqrt(b * b + 4 * a * error) - b) / (2 * a)) ** 2


__all__ = [
    "CROSSING_DELTA",
    "ROUNDING",
    "Ball",
    "Induction",
    "Row",
    "Stream",
    "balls",
    "bpi_rows",
    "dominating_radii",
    "inductions",
    "rows",
    "smallest_radii",
    "streams",
    "tight_inductions",
    "tight_radii",
]
