"""Evidence on preference games: random games, runs of mirror methods with all their iterates, local rates.

Every quantity is exact: equilibria carry certificates near the square of the rounding unit, divergences
are computed without cancellation, and what is left of either is allowed for explicitly (`slack`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.learners import NashMP
from theoryrl.models import PreferenceGame, RegularizedGame
from theoryrl.protocol import PreferenceProblem, Trace, play
from theoryrl.protocol.preference import Recorder
from theoryrl.solvers import (
    PreferenceSolution,
    exploitability_gap,
    lipschitz_constant,
    regularized_equilibrium,
)
from theoryrl.solvers.preference.fields import LogPolicy, PerContext
from theoryrl.solvers.simplex import kl_divergence, log_normalize, span
from theoryrl.theory.core import Evidence, Scope, credentials

EPS = float(np.finfo(np.float64).eps)
SMALLEST = 1e-12
"""Divergences below it are left out of one-step ratios: there the slack would be no longer small."""

FAMILIES = ("uniform", "intransitive", "bradley-terry", "tournament")


def random_game(rng: np.random.Generator, family: str, n: int, X: int = 1) -> PreferenceGame:
    """Draw a game of X contexts and n actions from one of `FAMILIES`."""
    if family == "uniform":
        return PreferenceGame.random(n, rng, contexts=X)
    if family == "intransitive":
        return PreferenceGame.from_low_rank(rng.normal(size=(X, n, 4)) / 2)
    if family == "bradley-terry":
        return PreferenceGame.from_bradley_terry(3 * rng.normal(size=(X, n)))
    lower = np.tril(rng.choice([-0.5, 0.5], (X, n, n)), -1)
    return PreferenceGame.from_skew(lower - np.swapaxes(lower, 1, 2))


def random_instance(
    rng: np.random.Generator, index: int, largest: int = 30, contexts: int = 1
) -> RegularizedGame:
    """Draw a regularised game: the family by index, n in [2, largest], beta in [0.003, 2], any reference."""
    n = int(rng.integers(2, largest + 1))
    game = random_game(rng, FAMILIES[index % len(FAMILIES)], n, contexts)
    reference = log_normalize(rng.uniform(0, 3) * rng.normal(size=(contexts, n)))
    return RegularizedGame(game, float(10 ** rng.uniform(-2.5, 0.3)), reference)


def random_policy(rng: np.random.Generator, game: RegularizedGame, scale: float = 3.0) -> LogPolicy:
    """Draw the logarithms of a policy, with logits of a random size up to `scale`."""
    return log_normalize(rng.uniform(0, scale) * rng.normal(size=game.shape))


def recorded(
    game: RegularizedGame, learner: Any, rounds: int, start: LogPolicy | None = None
) -> tuple[Trace, Recorder]:
    """Play and keep every policy."""
    recorder = Recorder()
    trace = play(PreferenceProblem(game, start=start), learner, rounds, audit=recorder)
    return trace, recorder


@dataclass(frozen=True, eq=False)
class MirrorRun(Evidence):
    """Iterates of a method of proximal steps, and the equilibrium.

    Parameters
    ----------
    game, best
        The game and its equilibrium.
    gamma
        Step of each context: shape [X].
    centres
        log pi_0, ..., log pi_K: shape [K+1, X, n].
    halves
        log pi_{1/2}, ..., or empty for methods without half steps: shape [K, X, n].
    """

    game: RegularizedGame
    best: PreferenceSolution
    gamma: PerContext
    centres: Float[np.ndarray, "K1 X n"]
    halves: Float[np.ndarray, "K X n"]

    @cached_property
    def kl(self) -> Float[np.ndarray, "K1 X"]:
        """KL(pi* || pi_k)."""
        return kl_divergence(self.best.log_policy, self.centres)

    @property
    def growth(self) -> PerContext:
        """1 + gamma beta."""
        return 1 + self.gamma * self.game.beta

    @property
    def q(self) -> PerContext:
        """1 / (1 + gamma beta)."""
        return 1 / self.growth

    @cached_property
    def slack(self) -> Float[np.ndarray, "K1 X"]:
        """Relative error of KL_k at most, from the error of pi* (its certificate) and of the logits."""
        logs = np.abs(self.centres).max(axis=2)
        root = np.sqrt(np.maximum(self.kl, 1e-300))
        return (4 * np.sqrt(self.best.certificate) + 64 * EPS * logs) / root

    @cached_property
    def steps(self) -> tuple[np.ndarray, ...]:
        """Positions (k, x) of the steps whose divergence is large enough for a ratio."""
        return np.nonzero(self.kl[:-1] > SMALLEST)

    @cached_property
    def spans(self) -> Float[np.ndarray, "K1 X"]:
        """span(log pi_k - log pi*)."""
        return span(self.centres - self.best.log_policy)

    @cached_property
    def gaps(self) -> Float[np.ndarray, "K1 X"]:
        """Exploitability gaps."""
        return np.array([exploitability_gap(self.game, centre) for centre in self.centres])

    @property
    def numbers(self) -> Float[np.ndarray, "K1 1"]:
        """0, 1, ..., K."""
        return np.arange(len(self.centres), dtype=np.float64)[:, None]


def mirror_run(
    game: RegularizedGame,
    learner: Any,
    iterations: int,
    name: str,
    gamma: PerContext,
    start: LogPolicy | None = None,
    half_steps: bool = True,
) -> MirrorRun:
    """Play a method and return its iterates."""
    rounds = 2 * iterations + 1 if half_steps else iterations + 1
    trace, recorder = recorded(game, learner, rounds, start)
    held, asked = np.array(recorder.held), np.array(recorder.asked)
    centres, halves = (held[::2], asked[1::2]) if half_steps else (held, held[:0])
    return MirrorRun(name, game, regularized_equilibrium(game), gamma, centres, halves, **credentials(trace))


STEPS = ("worst-case", "lipschitz", "max")


def chosen_steps(game: RegularizedGame, step: str) -> tuple[NashMP, PerContext]:
    """Return the learner and its gamma per context; the worst case's where the other would be infinite."""
    learner = NashMP(step)
    if (lipschitz_constant(game.game) == 0).any():
        learner = NashMP()
    gamma = learner.steps(PreferenceProblem(game).spec(1))[:, 0]
    return learner, gamma


def nash_mp_runs(scope: Scope, step: str | None = None) -> Iterator[MirrorRun]:
    """Yield runs of Nash-MP on random games, from the reference and from elsewhere, with each step."""
    rng = np.random.default_rng([scope.seed, 40])
    for index in range(scope.pick(80, 800)):
        game = random_instance(rng, index, contexts=3 if index % 5 == 4 else 1)
        chosen = STEPS[index // len(FAMILIES) % 3] if step is None else step
        learner, gamma = chosen_steps(game, chosen)
        start = random_policy(rng, game, 8.0) if index % 2 else None
        title = f"game {index}, n = {game.shape[1]}, beta = {game.beta:.3g}, step {chosen}"
        yield mirror_run(game, learner, 40, title, gamma, start)


def paper_runs(scope: Scope) -> Iterator[MirrorRun]:
    """Yield runs with the step of every game."""
    return nash_mp_runs(Scope(scope.profile, scope.seed + 1), "worst-case")


def reference_runs(scope: Scope) -> Iterator[MirrorRun]:
    """Yield runs of Nash-MP that start at the reference, which bounds how far they start from pi*."""
    rng = np.random.default_rng([scope.seed, 41])
    for index in range(scope.pick(40, 400)):
        game = random_instance(rng, index)
        yield mirror_run(game, NashMP(), 60, f"game {index}", np.full(1, 2.0))


@dataclass(frozen=True, eq=False)
class PolicyCase(Evidence):
    """A game, its equilibrium, and any policy."""

    game: RegularizedGame
    best: PreferenceSolution
    log_policy: LogPolicy
    log_other: LogPolicy


def policy_cases(scope: Scope) -> Iterator[PolicyCase]:
    """Yield random policies, far from the equilibrium and near it."""
    rng = np.random.default_rng([scope.seed, 42])
    for index in range(scope.pick(300, 3000)):
        game = random_instance(rng, index)
        best = regularized_equilibrium(game)
        distance = 10 ** rng.uniform(-3, 0.5)
        near = log_normalize(best.log_policy + distance * rng.normal(size=game.shape))
        policy = near if index % 2 else random_policy(rng, game)
        yield PolicyCase(f"policy {index}", game, best, policy, random_policy(rng, game))


def tight_policy_cases(scope: Scope) -> Iterator[PolicyCase]:
    """Yield games of two actions and no preferences, with policies near the even one: bounds are close there.

    ``KL(pi || pi*) <= span^2 / 8`` is Hoeffding's lemma, sharp for two even actions.
    """
    rng = np.random.default_rng([scope.seed, 43])
    for index in range(scope.pick(20, 100)):
        game = PreferenceGame(np.full((2, 2), 0.5)).regularized(float(10 ** rng.uniform(-2, 1)))
        best = regularized_equilibrium(game)
        tilt = 10 ** rng.uniform(-3, 0)
        policy = log_normalize(np.array([[tilt, 0.0]]))
        yield PolicyCase(f"even {index}", game, best, policy, game.log_reference)


def all_policy_cases(scope: Scope) -> Iterator[PolicyCase]:
    """Yield both."""
    yield from policy_cases(scope)
    yield from tight_policy_cases(scope)


@dataclass(frozen=True, eq=False)
class LocalRun(Evidence):
    """The slope of a run that starts near the equilibrium.

    Parameters
    ----------
    slope
        Of ln KL(pi* || pi_k) over k.
    predicted
        2 ln rho(M).
    exponent
        ln(1 + gamma beta), the theorem's.
    """

    slope: float
    predicted: float
    exponent: float


LAST = 1e-24
"""Divergence at which the fit of a slope ends, well above rounding."""


def fitted_slope(kl: Float[np.ndarray, " K"]) -> float:
    """Return the slope of ln kl over k down to `LAST`; NaN for fewer than 15 points."""
    inside = np.flatnonzero(kl > LAST)
    if len(inside) < 15:
        return math.nan
    return float(np.polyfit(inside, np.log(kl[inside]), 1)[0])
