"""Evidence on inexact steps, proximal points, local rates and the baselines of Nash-MP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.learners import EGPO, MMD, OMWU, IteratedReference, NashMD, NashMP, NashProx, OnlineIPO
from theoryrl.learners.nash_mp_pg import policy_gradient
from theoryrl.models import PreferenceGame, RegularizedGame
from theoryrl.protocol import Duels
from theoryrl.solvers import (
    exploitability,
    exploitability_gap,
    largest_mirror_prox_step,
    lipschitz_constant,
    local_contraction_rate,
    local_frequencies,
    preference_field,
    regularized_equilibrium,
    self_play_threshold,
    von_neumann_winner,
)
from theoryrl.solvers.preference.fields import LogPolicy, PerContext
from theoryrl.solvers.simplex import kl_divergence, log_normalize, proximal_step, span
from theoryrl.theory.core import Curve, Evidence, Scope, credentials
from theoryrl.theory.evidence.preference import (
    FAMILIES,
    LocalRun,
    MirrorRun,
    fitted_slope,
    mirror_run,
    random_game,
    random_instance,
    random_policy,
    recorded,
)

Prox = Callable[..., LogPolicy]

NEAR = 1e-4
"""Distance of the logits from the equilibrium's at which a local run starts: its slope errs by as much."""

LEAST_WEIGHT = 0.05
"""Standard deviation under pi* of a direction of size 1, at least, for a local run."""

CYCLIC = ("uniform", "intransitive", "tournament")
"""Families of games whose fields depend on the policy."""


# Proximal steps with errors.


@dataclass(frozen=True, eq=False)
class InexactRun(Evidence):
    """Divergences of Mirror Prox whose proximal steps err by logarithms of a known span.

    Parameters
    ----------
    beta, gamma
        Weight and step.
    errors
        Span of the error of the first and of the second proximal step: d1, d2.
    kl
        KL(pi* || pi_k), k = 0, ..., K: shape [K+1].
    """

    beta: float
    gamma: float
    errors: tuple[float, float]
    kl: Float[np.ndarray, " K1"]

    @property
    def one_step(self) -> Float[np.ndarray, " K"]:
        """KL_k + (gamma / beta) (beta + 1 / gamma)^2 (d1^2 / 8 + d2^2 / 4), which bounds KL_{k+1}/growth."""
        d1, d2 = self.errors
        weight = self.gamma / self.beta * (self.beta + 1 / self.gamma) ** 2
        return np.asarray(self.kl[:-1] + weight * (d1**2 / 8 + d2**2 / 4))

    @property
    def limit(self) -> float:
        """((beta + 1 / gamma) / beta)^2 (d1^2 / 4 + d2^2 / 2), which bounds the limit."""
        d1, d2 = self.errors
        return ((self.beta + 1 / self.gamma) / self.beta) ** 2 * (d1**2 / 4 + d2**2 / 2)


def inexact_run(
    game: RegularizedGame,
    errors: tuple[float, float],
    iterations: int,
    rng: np.random.Generator,
    name: str,
    tries: int = 4,
    scale: float = 1.0,
    gamma: float = 2.0,
    uniform: bool = False,
) -> InexactRun:
    """Run Mirror Prox with errors +- d/2 per action; of several draws the one that hurts most is taken.

    `scale` multiplies the errors that are made, but not those that are reported (for mutants); `uniform`
    draws the errors from the interval instead of its ends.
    """
    best = regularized_equilibrium(game).log_policy
    log_pi = game.log_reference
    kl = [float(kl_divergence(best, log_pi)[0])]

    def prox(field: LogPolicy, d: float) -> LogPolicy:
        exact = proximal_step(field, log_pi, game.log_reference, gamma, game.beta)
        draw = rng.random(exact.shape) if uniform else rng.integers(0, 2, exact.shape)
        return log_normalize(exact + scale * d * (draw - 0.5))

    for _ in range(iterations):
        candidates = []
        for _ in range(tries):
            half = prox(preference_field(game.game, np.exp(log_pi)), errors[0])
            candidates.append(prox(preference_field(game.game, np.exp(half)), errors[1]))
        distances = [float(kl_divergence(best, candidate)[0]) for candidate in candidates]
        worst = int(np.argmax(distances))
        log_pi = candidates[worst]
        kl.append(distances[worst])
    return InexactRun(name, game.beta, gamma, errors, np.array(kl))


def inexact_runs(scope: Scope) -> Iterator[InexactRun]:
    """Yield runs with errors of many sizes, equal and unequal in the two steps."""
    rng = np.random.default_rng([scope.seed, 50])
    for index in range(scope.pick(24, 200)):
        game = random_instance(rng, index, largest=8)
        d1, d2 = 10 ** rng.uniform(-3, -0.5, 2) * rng.integers(0, 2, 2).clip(index % 2)
        yield inexact_run(game, (float(d1), float(d2)), 60, rng, f"errors {index}")


NOISE = (0.1, 0.03, 0.01, 0.003, 0.001)


def noise_curves(scope: Scope, scale: Callable[[float], float] = lambda d: 1.0) -> Iterator[Curve]:
    """Yield the divergence after 200 iterations over the span d of the errors; the draws repeat for each d.

    With the same draws the limit is a smooth function of d, of second order at 0.
    """
    game = random_instance(np.random.default_rng(7), 0, largest=10)
    game = RegularizedGame(game.game, 0.1, game.log_reference)
    ends = []
    for d in NOISE:
        rng = np.random.default_rng([scope.seed, 51])
        run = inexact_run(game, (d, d), 200, rng, f"d = {d}", tries=1, scale=scale(d))
        ends.append(run.kl[150:].mean())
    yield Curve(
        "uniform signs", np.array(NOISE), np.array(ends)[:, None], "span d", "KL after 200 iterations",
        exact=True,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class ProxCase(Evidence):
    """Both sides of the identity of a proximal step: loss of objective, weighted divergence."""

    loss: float
    divergence: float


def prox_case(name: str, rng: np.random.Generator, prox: Prox = proximal_step) -> ProxCase:
    """Compare a proximal step with a random policy: J(step) - J(other) over beta + 1/gamma, and KL."""
    n, beta, gamma = int(rng.integers(2, 12)), 10 ** rng.uniform(-2, 1), 10 ** rng.uniform(-2, 2)
    centre, reference, other = log_normalize(2 * rng.normal(size=(3, 1, n)))
    field = rng.uniform(-0.5, 0.5, (1, n))
    step = prox(field, centre, reference, gamma, beta)

    def objective(log_pi: LogPolicy) -> float:
        gain = float((np.exp(log_pi) * field).sum())
        charge = beta * kl_divergence(log_pi, reference) + kl_divergence(log_pi, centre) / gamma
        return gain - float(charge[0])

    weight = beta + 1 / gamma
    loss = (objective(step) - objective(other)) / weight
    return ProxCase(name, loss, float(kl_divergence(other, step)[0]))


def prox_cases(scope: Scope) -> Iterator[ProxCase]:
    """Yield proximal steps of random fields, centres, references and weights."""
    rng = np.random.default_rng([scope.seed, 52])
    for index in range(scope.pick(100, 1000)):
        yield prox_case(f"step {index}", rng)


# Near the equilibrium.


@dataclass(frozen=True, eq=False)
class SpectralCase(Evidence):
    """Frequencies at the equilibrium, the Lipschitz constant, the moduli of the linearisation, and q."""

    frequencies: Float[np.ndarray, " m"]
    lipschitz: float
    rate: float
    q: float


def spectral_cases(scope: Scope) -> Iterator[SpectralCase]:
    """Yield games with every covered step."""
    rng = np.random.default_rng([scope.seed, 53])
    for index in range(scope.pick(60, 600)):
        game = random_instance(rng, index, largest=12)
        best = regularized_equilibrium(game).log_policy
        L = float(lipschitz_constant(game.game)[0])
        gamma = 2.0 if index % 2 or L == 0 else float(largest_mirror_prox_step(L, game.beta))
        rate = float(local_contraction_rate(game, best, gamma)[0])
        q = 1 / (1 + gamma * game.beta)
        frequencies = local_frequencies(game.game, np.exp(best))[0]
        yield SpectralCase(f"game {index}", frequencies, L, rate, q)


def slow_mode(game: RegularizedGame, best: LogPolicy, gamma: float) -> LogPolicy:
    """Return a direction of the logits in which the linearised iteration contracts least, of size 1.

    In the coordinates ``R diag(s) v`` with s = sqrt(pi*) the linearisation is a polynomial in a skew matrix,
    hence normal: along an eigenvector even of a complex pair the divergence falls without oscillation.
    """
    s = np.exp(best[0] / 2)
    basis = np.linalg.qr(np.column_stack([s, np.eye(len(s))[:, 1:]]))[0][:, 1:]  # without the constants
    skew = basis.T @ (s[:, None] * game.game.skew[0] * s) @ basis
    frequencies, vectors = np.linalg.eigh(1j * skew)
    q, g = 1 / (1 + gamma * game.beta), gamma * frequencies
    slowest = basis @ vectors[:, int(np.argmax(np.hypot(1 - q * g**2, q * g)))]
    part = slowest.real if np.linalg.norm(slowest.real) > 0.5 else slowest.imag
    v = part / s
    return np.asarray((v / np.abs(v).max())[None])


def local_run(game: RegularizedGame, learner: Any, name: str) -> LocalRun:
    """Start beside the equilibrium in the slow direction and fit the slope; `learner` has step 2."""
    best = regularized_equilibrium(game).log_policy
    start = log_normalize(best + NEAR * slow_mode(game, best, 2.0))
    run = mirror_run(game, learner, 300, name, np.full(1, 2.0), start)
    predicted = 2 * np.log(local_contraction_rate(game, best, 2.0)[0])
    slope, exponent = fitted_slope(run.kl[:, 0]), float(np.log1p(2 * game.beta))
    return LocalRun(name, slope, float(predicted), exponent, guaranteed=run.guaranteed)


def local_game(rng: np.random.Generator, index: int) -> RegularizedGame:
    """Draw a game with beta in [0.05, 0.3], where the slope shows on a few hundred iterations."""
    n = int(rng.integers(2, 14))
    game = random_game(rng, FAMILIES[index % 4], n)
    return RegularizedGame(game, float(rng.uniform(0.05, 0.3)), log_normalize(rng.normal(size=(1, n))))


def local_runs(scope: Scope, make: Callable[[], Any] = NashMP) -> Iterator[LocalRun]:
    """Yield fitted slopes, where there are enough points between the start and rounding.

    Games whose slow direction has little weight in the divergence are left out: what the curvature adds,
    of order NEAR^2, would not be small beside it.
    """
    rng = np.random.default_rng([scope.seed, 54])
    for index in range(scope.pick(60, 400)):
        game = local_game(rng, index)
        pi = np.exp(regularized_equilibrium(game).log_policy[0])
        v = slow_mode(game, np.log(pi)[None], 2.0)[0]
        if pi @ v**2 - (pi @ v) ** 2 < LEAST_WEIGHT**2:
            continue
        run = local_run(game, make(), f"game {index}, n = {game.shape[1]}, beta = {game.beta:.3g}")
        if np.isfinite(run.slope):
            yield run


# Proximal points.


@dataclass(frozen=True, eq=False)
class ProximalRun(Evidence):
    """Iterates of a proximal-point method, and a point that they approach.

    Parameters
    ----------
    gamma, beta
        Step, and weight of the divergence from the reference (0 without).
    to_target, from_target
        KL(target || pi_k) and KL(pi_k || target), k = 0, ..., K: shape [K+1].
    moves
        KL(pi_{k+1} || pi_k): shape [K].
    error
        Bound on the divergence of the target, and of each pi_k, from what they stand for.
    """

    gamma: float
    beta: float
    to_target: Float[np.ndarray, " K1"]
    from_target: Float[np.ndarray, " K1"]
    moves: Float[np.ndarray, " K"]
    error: float

    @property
    def kept(self) -> np.ndarray:
        """Steps before which the divergence is large against its error: 4 sqrt(error / KL) <= 1e-8."""
        return np.flatnonzero(self.to_target[:-1] > max(1e-8, 16 * self.error * 1e16))


def centres_of(held: list[LogPolicy]) -> Float[np.ndarray, "K1 X n"]:
    """Return the different policies that were held, in order."""
    return np.array([held[0], *(new for old, new in pairwise(held) if new is not old)])


def prox_run(game: RegularizedGame, learner: NashProx, rounds: int, name: str) -> ProximalRun:
    """Play Nash-Prox."""
    trace, recorder = recorded(game, learner, rounds)
    best = regularized_equilibrium(game)
    centres = centres_of(recorder.held)[:, 0]
    target = best.log_policy[0]
    return ProximalRun(
        name,
        learner.step,
        game.beta,
        kl_divergence(target, centres),
        kl_divergence(centres, target),
        kl_divergence(centres[1:], centres[:-1]),
        float(best.certificate[0]) + learner.inner_tolerance,
        **credentials(trace),
    )


def prox_runs(scope: Scope, make: Callable[..., NashProx] = NashProx) -> Iterator[ProximalRun]:
    """Yield runs of Nash-Prox on rock, paper, scissors and on random games, with small and large steps."""
    cycle = PreferenceGame.from_tournament([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    game = RegularizedGame(cycle, 0.01, log_normalize(np.array([[1.0, 0.0, 0.0]])))
    yield prox_run(game, make(step=50.0), 3000, "rock, paper, scissors, gamma = 50")
    rng = np.random.default_rng([scope.seed, 55])
    for index in range(scope.pick(10, 100)):
        n = int(rng.integers(2, 9))
        reference = log_normalize(rng.normal(size=(1, n)))
        game = RegularizedGame(random_game(rng, FAMILIES[index % 4], n), rng.uniform(0.03, 1), reference)
        gamma = float(10 ** rng.uniform(-0.5, 1.3))
        yield prox_run(game, make(step=gamma), 1500, f"game {index}, gamma = {gamma:.3g}")


def iterated_runs(scope: Scope, make: Callable[..., Any] = IteratedReference) -> Iterator[ProximalRun]:
    """Yield runs of the iterated reference, measured against the winner of the game itself.

    They start away from the game's own reference, which must play no part.
    """
    rng = np.random.default_rng([scope.seed, 56])
    for index in range(scope.pick(10, 100)):
        n = int(rng.integers(2, 9))
        game = random_game(rng, FAMILIES[index % 4], n)
        learner = make(beta=float(rng.uniform(0.1, 0.5)))
        reference, start = log_normalize(rng.normal(size=(2, 1, n)))
        trace, recorder = recorded(RegularizedGame(game, 1.0, reference), learner, 1000, start)
        winner = von_neumann_winner(game).policy.probabilities[0]
        with np.errstate(divide="ignore"):
            target = np.maximum(np.log(winner), -1e4)  # probability 0, as far as a divergence from it goes
        centres = centres_of(recorder.held)[:, 0]
        yield ProximalRun(
            f"game {index}",
            1 / learner.beta,
            0.0,
            kl_divergence(target, centres),
            np.full(len(centres), np.inf),
            kl_divergence(centres[1:], centres[:-1]),
            learner.inner_tolerance,
            **credentials(trace),
        )


# The baselines.


@dataclass(frozen=True, eq=False)
class MixtureRun(Evidence):
    """Nash-MD: KL(pi* || pi_t), t = 0, ..., T, and the steps eta_t."""

    beta: float
    kl: Float[np.ndarray, " T1"]
    eta: Float[np.ndarray, " T"]


def nash_md_runs(scope: Scope, make: Callable[..., Any] = NashMD) -> Iterator[MixtureRun]:
    """Yield runs from the reference and from elsewhere."""
    rng = np.random.default_rng([scope.seed, 57])
    for index in range(scope.pick(40, 400)):
        game = random_instance(rng, index, largest=10)
        start = random_policy(rng, game, 8.0) if index % 2 else None
        trace, recorder = recorded(game, make(), 101, start)
        best = regularized_equilibrium(game).log_policy
        kl = kl_divergence(best, np.array(recorder.held))[:, 0]
        eta = 2 / (game.beta * (np.arange(100) + 2))
        yield MixtureRun(f"game {index}", game.beta, kl, eta, **credentials(trace))


def nash_md_curves(scope: Scope, make: Callable[..., Any] = NashMD) -> Iterator[Curve]:
    """Yield KL(pi* || pi_T) over T on one game at beta = 0.1, which is not random."""
    rng = np.random.default_rng(0)
    game = PreferenceGame.random(10, rng)
    reference = log_normalize(np.random.default_rng(1).normal(size=(1, 10)))
    model = RegularizedGame(game, 0.1, reference)
    T = np.array([300, 1000, 3000, *([10_000] if scope.profile == "full" else [])])
    trace, recorder = recorded(model, make(), int(T[-1]) + 1)
    best = regularized_equilibrium(model).log_policy
    kl = kl_divergence(best, np.array([recorder.held[t] for t in T]))
    yield Curve("n = 10", T * 1.0, kl, "iterations T", "KL", exact=True, **credentials(trace))


def mmd_runs(scope: Scope, make: Callable[..., Any] = MMD) -> Iterator[MirrorRun]:
    """Yield runs of magnetic mirror descent with the worst case's and the game's own step."""
    rng = np.random.default_rng([scope.seed, 58])
    for index in range(scope.pick(40, 400)):
        game = random_instance(rng, index, largest=12)
        L = lipschitz_constant(game.game)
        step = "lipschitz" if index % 2 and L[0] > 0 else "theory"
        gamma = game.beta / L**2 if step == "lipschitz" else np.full(1, 4 * game.beta)
        start = random_policy(rng, game, 8.0)
        yield mirror_run(game, make(step), 60, f"game {index}, {step}", gamma, start, half_steps=False)


def extragradient_runs(scope: Scope, make: Callable[..., Any] = EGPO) -> Iterator[MirrorRun]:
    """Yield runs of EGPO at its own step, as runs of gamma = eta / (1 - eta beta)."""
    rng = np.random.default_rng([scope.seed, 59])
    for index in range(scope.pick(40, 400)):
        game = random_instance(rng, index, largest=12)
        eta = 1 / (game.beta + 2)
        gamma = np.full(1, eta / (1 - eta * game.beta))
        start = random_policy(rng, game, 8.0) if index % 2 else None
        yield mirror_run(game, make(), 40, f"game {index}", gamma, start)


@dataclass(frozen=True, eq=False)
class MapPair(Evidence):
    """Iterates of Nash-MP and of EGPO with the corresponding step, relative to the size of the logits."""

    ours: Float[np.ndarray, "K X n"]
    theirs: Float[np.ndarray, "K X n"]


def map_pairs(scope: Scope, eta: Callable[[float, float], float] | None = None) -> Iterator[MapPair]:
    """Yield pairs of runs with gamma and with eta = gamma / (1 + gamma beta)."""
    rng = np.random.default_rng([scope.seed, 60])
    convert = eta or (lambda gamma, beta: gamma / (1 + gamma * beta))
    for index in range(scope.pick(20, 100)):
        game = random_instance(rng, index, largest=10)
        gamma = float(rng.uniform(0.1, 2))
        _, first = recorded(game, NashMP(gamma), 30)
        _, second = recorded(game, EGPO(convert(gamma, game.beta)), 30)
        ours, theirs = np.array(first.held), np.array(second.held)
        size = 1 + np.abs(ours).max()
        yield MapPair(f"game {index}", ours / size, theirs / size)


@dataclass(frozen=True, eq=False)
class OptimisticRun(Evidence):
    """OMWU: KL(pi* || pi_t), t = 0, ..., T, relative to the first, and the factor 1 - eta beta."""

    kl: Float[np.ndarray, " T1"]
    factor: float


def omwu_runs(scope: Scope, make: Callable[[], Any] = OMWU) -> Iterator[OptimisticRun]:
    """Yield runs from the reference and from far away."""
    rng = np.random.default_rng([scope.seed, 61])
    for index in range(scope.pick(40, 400)):
        game = random_instance(rng, index, largest=8)
        start = random_policy(rng, game, 8.0) if index % 2 else None
        trace, recorder = recorded(game, make(), 101, start)
        best = regularized_equilibrium(game).log_policy
        kl = kl_divergence(best, np.array(recorder.held[1:]))[:, 0]
        kl = kl[: 1 + int(np.argmax(np.r_[kl, 0.0] < 1e-14))]
        factor = 1 - game.beta / (2 * (game.beta + 1))
        yield OptimisticRun(f"game {index}", kl / kl[0], factor, **credentials(trace))


@dataclass(frozen=True, eq=False)
class SelfPlayPair(Evidence):
    """Growth of the divergence in self-play below and above the threshold of the step."""

    below: float
    above: float


def self_play_pairs(
    scope: Scope, threshold: Callable[..., PerContext] | None = None
) -> Iterator[SelfPlayPair]:
    """Yield the growth from a perturbation of 1e-6, at 0.95 and at 1.05 of the threshold.

    Only games with lam_max above beta, where the threshold is below 1 / beta, the largest mirror step.
    """
    rng = np.random.default_rng([scope.seed, 62])
    found = 0
    while found < scope.pick(8, 60):
        n = int(rng.integers(3, 8))
        reference = log_normalize(rng.normal(size=(1, n)))
        game = RegularizedGame(random_game(rng, CYCLIC[found % 3], n), rng.uniform(0.03, 0.2), reference)
        best = regularized_equilibrium(game).log_policy
        if local_frequencies(game.game, np.exp(best)).max() < 1.1 * game.beta:
            continue
        limit = float((threshold or self_play_threshold)(game, best)[0])
        start = log_normalize(best + 1e-6 * rng.normal(size=best.shape))
        yield SelfPlayPair(f"game {found}", *(_growth(game, f * limit, best, start) for f in (0.95, 1.05)))
        found += 1


def _growth(game: RegularizedGame, eta: float, best: LogPolicy, start: LogPolicy) -> float:
    """Return the last over the first divergence after 1500 steps of self-play; it stays finite."""
    eta = min(eta, 1 / game.beta)
    _, recorder = recorded(game, OnlineIPO(eta), 1501, start)
    kl = kl_divergence(best, np.array([recorder.held[0], recorder.held[-1]]))[:, 0]
    return float(kl[1] / kl[0])


# The unregularised game.


@dataclass(frozen=True, eq=False)
class LimitCase(Evidence):
    """A regularised equilibrium next to the winners of the game itself.

    Parameters
    ----------
    loss, allowed
        ``max_y (A pi)_y`` of a policy, and what its gap and the reference allow.
    divergence, winners
        KL(pi* || ref), and the least KL(p || ref) over known winners p.
    """

    loss: float
    allowed: float
    divergence: float
    winners: float


def limit_cases(scope: Scope) -> Iterator[LimitCase]:
    """Yield games with and without ties, at all beta; the policies are the equilibrium and others."""
    rng = np.random.default_rng([scope.seed, 63])
    for index in range(scope.pick(60, 400)):
        game = random_instance(rng, index, largest=9)
        if index % 2:
            lower = np.tril(rng.integers(-1, 2, (1, game.shape[1], game.shape[1])) / 2, -1)
            skew = lower - np.swapaxes(lower, 1, 2)
            game = RegularizedGame(PreferenceGame.from_skew(skew), game.beta, game.log_reference)
        best = regularized_equilibrium(game)
        policy = best.log_policy if index % 4 < 2 else random_policy(rng, game)
        gap = float(exploitability_gap(game, policy)[0])
        allowed = gap + game.beta * float(-game.log_reference.min())
        winners = [
            von_neumann_winner(game.game, method).policy.probabilities
            for method in ("support-newton", "linear-program")
        ]
        divergences = [_plain_kl(p[0], game.log_reference[0]) for p in winners]
        yield LimitCase(
            f"game {index}",
            float(exploitability(game.game, np.exp(policy))[0]),
            allowed,
            float(kl_divergence(best.log_policy, game.log_reference)[0]),
            min(divergences),
        )


def _plain_kl(p: Float[np.ndarray, " n"], log_q: Float[np.ndarray, " n"]) -> float:
    """Return KL(p || q) for a p that may have zeros."""
    inside = p > 0
    return float((p[inside] * (np.log(p[inside]) - log_q[inside])).sum())


# The field and the stochastic gradient.


@dataclass(frozen=True, eq=False)
class FieldCase(Evidence):
    """``span(A (p - q))``, and the 1-norm of p - q times twice the Lipschitz constant."""

    change: float
    allowed: float


def field_cases(scope: Scope) -> Iterator[FieldCase]:
    """Yield pairs of policies: random ones, and the pure ones between which the field changes most."""
    rng = np.random.default_rng([scope.seed, 64])
    for index in range(scope.pick(60, 600)):
        game = random_game(rng, FAMILIES[index % 4], int(rng.integers(2, 12)))
        A, L = game.skew[0], float(lipschitz_constant(game)[0])
        n = len(A)
        if index % 2:
            pairs = [(a, b) for a, b in product(range(n), range(n)) if a != b]
            a, b = max(pairs, key=lambda pair: float(span(A[:, pair[0]] - A[:, pair[1]])))
            difference = np.eye(n)[a] - np.eye(n)[b]
        else:
            difference = rng.dirichlet(np.ones(n)) - rng.dirichlet(np.ones(n))
        change = float(span(A @ difference))
        yield FieldCase(f"game {index}", change, 2 * L * float(np.abs(difference).sum()))


@dataclass(frozen=True, eq=False)
class GradientCase(Evidence):
    """The mean of the gradient estimate over all outcomes of two duels, and the exact gradient."""

    mean: Float[np.ndarray, " n"]
    exact: Float[np.ndarray, " n"]


Estimate = Callable[[Duels, LogPolicy, LogPolicy], LogPolicy]


def gradient_case(name: str, rng: np.random.Generator, estimate: Estimate = policy_gradient) -> GradientCase:
    """Enumerate all outcomes of two duels on a game of three actions."""
    game = random_game(rng, "uniform", 3)
    log_pi, log_mu = log_normalize(rng.normal(size=(2, 1, 3)))
    charge = rng.normal(size=(1, 3))
    P, pi, mu = game.P.reshape(3, 3), np.exp(log_pi[0]), np.exp(log_mu[0])
    outcomes = list(product(range(3), range(3), (False, True)))
    chances = [pi[y] * mu[z] * (P[y, z] if won else 1 - P[y, z]) for y, z, won in outcomes]
    mean = np.zeros(3)
    context = np.zeros(2, dtype=np.int64)
    for (p, one), (q, two) in product(zip(chances, outcomes, strict=True), repeat=2):
        columns = [np.array(pair) for pair in zip(one, two, strict=True)]
        mean += p * q * estimate(Duels(context, *columns), log_pi, charge)[0]
    c = P @ mu - charge[0]
    return GradientCase(name, mean, pi * (c - pi @ c))


def gradient_cases(scope: Scope) -> Iterator[GradientCase]:
    """Yield games, policies, opponents and charges."""
    rng = np.random.default_rng([scope.seed, 65])
    for index in range(scope.pick(5, 50)):
        yield gradient_case(f"game {index}", rng)


@dataclass(frozen=True, eq=False)
class EvenRun(Evidence):
    """A game of two actions: spans relative to the first, and the powers of q."""

    spans: Float[np.ndarray, " K1"]
    powers: Float[np.ndarray, " K1"]


def two_action_runs(scope: Scope) -> Iterator[EvenRun]:
    """Yield runs of any step on games of two actions, down to a span of 1e-6 of the first."""
    rng = np.random.default_rng([scope.seed, 66])
    for index in range(scope.pick(20, 100)):
        game = random_instance(rng, index, largest=2)
        gamma = float(rng.uniform(0.1, 2))
        run = mirror_run(
            game, NashMP(gamma), 20, f"game {index}", np.full(1, gamma), random_policy(rng, game)
        )
        powers = run.q[0] ** np.arange(21.0)
        kept = powers > 1e-6
        spans = run.spans[:, 0] / run.spans[0, 0]
        yield EvenRun(f"game {index}", spans[kept], powers[kept])
