"""Evidence on self-play: runs with every policy and every utility that was fed, in bandits and in contexts.

Strengths are on the scale A = 2 P - 1. The exploitability of what is held is computed from the model; the
regret from what the learner was fed, so that a wrong opponent shows as a difference of the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.instances import condorcet, three_cycle
from theoryrl.learners import SPO, DuellingHedge, RewardModelLearner
from theoryrl.learners.baselines.winner.reward_model import fitted_rewards
from theoryrl.learners.no_regret import METHODS
from theoryrl.learners.spo import SelfPlay
from theoryrl.models import PreferenceGame
from theoryrl.protocol import PreferenceProblem, PreferenceSpec, play
from theoryrl.solvers import borda_scores, condorcet_margin, exploitability, von_neumann_winner
from theoryrl.solvers.preference.fields import LogPolicy, PerContext
from theoryrl.solvers.simplex import kl_divergence, log_normalize
from theoryrl.theory.core import Curve, Evidence, Scope, credentials
from theoryrl.theory.evidence.preference import FAMILIES, random_game

Policies = Float[np.ndarray, "T X n"]


class Watched:
    """A learner whose policies and utilities are kept; it plays exactly as it would unwatched.

    Attributes
    ----------
    played
        p_t, read off the learner's state: one array [X, n] per round.
    fed
        Utilities, twice what was answered: one array [X, n] per round.
    """

    key: ClassVar[str] = "watched"

    def __init__(self, learner: Any) -> None:
        self.learner = learner
        self.played: list[np.ndarray] = []
        self.fed: list[np.ndarray] = []

    @property
    def guaranteed(self) -> bool:
        """That of the learner."""
        return bool(self.learner.guaranteed)

    def init(self, spec: PreferenceSpec, rng: np.random.Generator) -> Any:
        """Begin."""
        return self.learner.init(spec, rng)

    def plan(self, state: Any) -> Any:
        """Decide, and keep the current policy."""
        self.played.append(np.exp(state.log_policy))
        return self.learner.plan(state)

    def update(self, state: Any, decision: Any, observation: np.ndarray) -> Any:
        """Learn, and keep the utilities."""
        self.fed.append(2 * observation)
        return self.learner.update(state, decision, observation)


@dataclass(frozen=True, eq=False)
class SelfPlayRun(Evidence):
    """A run of a learner against itself.

    Parameters
    ----------
    game
        The preferences.
    method, eta
        What was played, and its step (NaN for methods without one).
    tuned
        Whether the step is the default for this number of rounds.
    played, fed
        Policies and utilities of each round: shape [T, X, n].
    losses
        Exploitability of what was held in each round, on the scale of A: shape [T, X].
    """

    game: PreferenceGame
    method: str
    eta: float
    tuned: bool
    played: Policies
    fed: Policies
    losses: Float[np.ndarray, "T X"]

    @property
    def n(self) -> int:
        """Number of actions."""
        return self.played.shape[2]

    @cached_property
    def rounds(self) -> Float[np.ndarray, "T 1"]:
        """1, ..., T."""
        return np.arange(1.0, len(self.played) + 1)[:, None]

    @cached_property
    def regret(self) -> Float[np.ndarray, "T X"]:
        """External regret after each round: ``max_i sum u_i - sum <p, u>``."""
        return np.asarray(np.cumsum(self.fed, axis=0).max(axis=2) - np.cumsum(self.gains, axis=0))

    @property
    def gains(self) -> Float[np.ndarray, "T X"]:
        """<p_t, u_t>."""
        return np.asarray((self.played * self.fed).sum(axis=2))

    @property
    def variation(self) -> Float[np.ndarray, "T X"]:
        """Sum of ``|u_s - u_{s-1}|_inf^2`` up to each round, with u_0 = 0."""
        steps = np.diff(self.fed, axis=0, prepend=np.zeros((1, *self.fed.shape[1:])))
        return np.asarray(np.cumsum(np.abs(steps).max(axis=2) ** 2, axis=0))

    @property
    def path(self) -> Float[np.ndarray, "T X"]:
        """Sum of ``|p_s - p_{s-1}|_1^2`` up to each round, from the second on."""
        steps = np.diff(self.played, axis=0, prepend=self.played[:1])
        return np.asarray(np.cumsum(np.abs(steps).sum(axis=2) ** 2, axis=0))


def self_play_run(
    problem: PreferenceGame | PreferenceProblem, learner: Any, rounds: int, name: str, seed: int = 0
) -> SelfPlayRun:
    """Play a learner whose state has the current `log_policy`, and keep everything."""
    game = problem if isinstance(problem, PreferenceGame) else problem.preferences
    watched, losses = Watched(learner), list[PerContext]()

    def audit(posed: PreferenceProblem, state: Any, decision: Any) -> dict[str, float]:
        losses.append(2 * exploitability(game, np.exp(decision.log_policy)))
        return {}

    trace = play(problem, watched, rounds, seed, audit=audit)
    stepped = isinstance(learner, SPO)
    return SelfPlayRun(
        name,
        game,
        learner.method if stepped else learner.key,
        learner.step(game.n_actions, rounds) if stepped else math.nan,
        stepped and learner.eta is None and learner.margin is None,
        np.array(watched.played),
        np.array(watched.fed),
        np.array(losses),
        **credentials(trace),
    )


def some_game(rng: np.random.Generator, index: int, largest: int = 40, contexts: int = 1) -> PreferenceGame:
    """Draw a game of 2 to `largest` actions; the family goes by the index."""
    return random_game(rng, FAMILIES[index % len(FAMILIES)], int(rng.integers(2, largest + 1)), contexts)


@dataclass(frozen=True)
class Erratic(SPO):
    """Learns nothing: plays a random policy in each round. The identity of self-play holds for it too."""

    key: ClassVar[str] = "erratic"
    guaranteed: ClassVar[bool] = True  # what it is evidence for has no constants

    def update(self, state: SelfPlay, decision: Any, field: LogPolicy) -> SelfPlay:
        """Draw the next policy from the sum of those so far, in a way that looks random."""
        scrambled = np.sin(1e4 * state.total + np.arange(state.total.shape[1]))
        state.log_policy = log_normalize(3 * scrambled)
        state.total = state.total + np.exp(state.log_policy)
        return state


@dataclass(frozen=True)
class _AnyMethod(SPO):
    """A method offered for statements that hold for every learner, whatever its constants."""

    @property
    def guaranteed(self) -> bool:
        return True


def identity_runs(scope: Scope) -> Iterator[SelfPlayRun]:
    """Yield runs of every method and of a bad one, in one context or three."""
    rng = np.random.default_rng([scope.seed, 80])
    learners: list[SPO] = [_AnyMethod(method) for method in METHODS]
    learners.append(Erratic())
    for index in range(scope.pick(24, 240)):
        learner = learners[index % len(learners)]
        game = some_game(rng, index // len(learners) + index, contexts=3 if index % 2 else 1)
        yield self_play_run(game, learner, int(rng.integers(1, 60)), f"{learner.key} {index}", index)


def tuned_runs(scope: Scope) -> Iterator[SelfPlayRun]:
    """Yield Hedge with the step for the known number of rounds, on runs short and long."""
    rng = np.random.default_rng([scope.seed, 81])
    for index in range(scope.pick(40, 300)):
        largest = 4 if index % 2 else 40
        rounds = int(rng.choice([1, 2, 3, 5, 10, 30, 100]))
        yield self_play_run(some_game(rng, index, largest), SPO(), rounds, f"game {index}, T = {rounds}")


def stepped_runs(scope: Scope, method: str = "hedge") -> Iterator[SelfPlayRun]:
    """Yield a method with steps of all sizes that its theorem covers."""
    rng = np.random.default_rng([scope.seed, 82])
    for index in range(scope.pick(20, 150)):
        eta = float(10 ** rng.uniform(-2, 0.5 if method == "hedge" else math.log10(0.5)))
        game = some_game(rng, index, 4 if index % 2 else 30)
        yield self_play_run(game, SPO(method, eta=eta), 60, f"game {index}, eta = {eta:.3g}")


def anytime_runs(scope: Scope) -> Iterator[SelfPlayRun]:
    """Yield Hedge without a known number of rounds."""
    return _default_runs(scope, "anytime-hedge", 83)


def optimistic_runs(scope: Scope) -> Iterator[SelfPlayRun]:
    """Yield optimistic Hedge with the step 1/2."""
    return _default_runs(scope, "optimistic-hedge", 84)


def optimistic_step_runs(scope: Scope) -> Iterator[SelfPlayRun]:
    """Yield optimistic Hedge with smaller steps."""
    return stepped_runs(scope, "optimistic-hedge")


def matching_runs(scope: Scope) -> Iterator[SelfPlayRun]:
    """Yield regret matching and regret matching plus."""
    yield from _default_runs(scope, "regret-matching", 85)
    yield from _default_runs(scope, "regret-matching-plus", 86)


def projection_runs(scope: Scope) -> Iterator[SelfPlayRun]:
    """Yield projected gradient ascent."""
    return _default_runs(scope, "projection", 87)


def _default_runs(scope: Scope, method: str, stream: int) -> Iterator[SelfPlayRun]:
    rng = np.random.default_rng([scope.seed, stream])
    for index in range(scope.pick(16, 150)):
        game = some_game(rng, index, 4 if index % 2 else 40)
        yield self_play_run(game, SPO(method), 80, f"{method}, game {index}")


# Games with a Condorcet winner.


@dataclass(frozen=True, eq=False)
class CondorcetRun(Evidence):
    """Hedge in self-play on a game whose action 0 beats every other by the margin at least.

    Parameters
    ----------
    n, margin, eta
        Actions, Delta, step.
    share, others
        x_t, the mass of the Condorcet winner, and ``1 - x_t`` without cancellation: shape [T].
    losses
        Exploitability of the mean policy after each round: shape [T].
    """

    n: int
    margin: float
    eta: float
    share: Float[np.ndarray, " T"]
    others: Float[np.ndarray, " T"]
    losses: Float[np.ndarray, " T"]

    @property
    def logs(self) -> Float[np.ndarray, " T"]:
        """-ln x_t."""
        small = self.share < 0.5
        return -np.where(small, np.log(self.share), np.log1p(-np.minimum(self.others, 0.5)))

    @property
    def rate(self) -> float:
        """eta Delta - (5/4) eta^2."""
        return self.eta * self.margin - 1.25 * self.eta**2

    @property
    def rounds(self) -> Float[np.ndarray, " T"]:
        """1, ..., T."""
        return np.arange(1.0, len(self.others) + 1)


def condorcet_run(game: PreferenceGame, learner: SPO, rounds: int, name: str) -> CondorcetRun:
    """Play on a game whose Condorcet winner is action 0."""
    run = self_play_run(game, learner, rounds, name)
    margin = float(condorcet_margin(game)[0])
    share, others = run.played[:, 0, 0], run.played[:, 0, 1:].sum(axis=1)
    return CondorcetRun(
        name, run.n, margin, run.eta, share, others, run.losses[:, 0], guaranteed=run.guaranteed
    )


MARGINS = (0.05, 0.1, 0.3, 0.6, 1.0)


def condorcet_runs(scope: Scope) -> Iterator[CondorcetRun]:
    """Yield the tuned step 2 Delta / 5."""
    rng = np.random.default_rng([scope.seed, 88])
    for index in range(scope.pick(20, 150)):
        margin = MARGINS[index % len(MARGINS)]
        game = condorcet(int(rng.integers(2, 21)), margin, int(rng.integers(2**31)))
        yield condorcet_run(game, SPO(margin=margin), 250, f"margin {margin}, game {index}")


def condorcet_step_runs(scope: Scope) -> Iterator[CondorcetRun]:
    """Yield steps up to the largest that the proof covers, 4 Delta / 5."""
    rng = np.random.default_rng([scope.seed, 89])
    for index in range(scope.pick(18, 150)):
        margin, share = MARGINS[index % len(MARGINS)], (0.1, 0.4, 0.8)[index % 3]
        game = condorcet(int(rng.integers(2, 9)), margin, int(rng.integers(2**31)))
        yield condorcet_run(game, SPO(eta=share * margin), 100, f"margin {margin}, share {share}")


# What is random: sampled utilities.


@dataclass(frozen=True, eq=False)
class SampledRun(Evidence):
    """The exploitability of the mean policy after T rounds of sampled utilities."""

    n: int
    rounds: int
    loss: float


SAMPLED_DELTA = 0.05


def sampled_runs_of(
    game: PreferenceGame, rounds: int, seed: int, learner: SPO | None = None
) -> list[SampledRun]:
    """Play Hedge with one opponent per round in every context at once; no two contexts share a duel."""
    held: list[LogPolicy] = []

    def audit(problem: PreferenceProblem, state: Any, decision: Any) -> dict[str, float]:
        held[:] = [decision.log_policy]
        return {}

    trace = play(game, learner or SPO(duels=1), rounds, seed, audit=audit)
    losses = 2 * exploitability(game, np.exp(held[0]))
    return [
        SampledRun(
            f"T = {rounds}, run {x}",
            game.n_actions,
            rounds,
            float(loss),
            group=f"T = {rounds}",
            **credentials(trace),
        )
        for x, loss in enumerate(losses)
    ]


def sampled_runs(scope: Scope) -> Iterator[SampledRun]:
    """Yield independent runs, each on a random game of its own, of five actions."""
    games = PreferenceGame.random(5, np.random.default_rng([scope.seed, 96]), scope.pick(100, 1000))
    for rounds in (150, 400):
        yield from sampled_runs_of(games, rounds, scope.seeds(1, 1)[0] + rounds)


SAMPLED_ROUNDS = (100, 400, 1600)


def sampled_curves(scope: Scope, learner: SPO | None = None) -> Iterator[Curve]:
    """Yield the exploitability over T for Hedge with sampled utilities, each sample on a game of its own.

    No two sizes share a seed: with the same one the longer run would begin with the duels of the shorter.
    """
    rng = np.random.default_rng([scope.seed, 97])
    samples = []
    for T in SAMPLED_ROUNDS:
        games = PreferenceGame.random(5, rng, scope.pick(60, 500))
        samples.append([run.loss for run in sampled_runs_of(games, T, scope.seeds(1, 1)[0] + T, learner)])
    sizes = np.array(SAMPLED_ROUNDS, dtype=float)
    yield Curve("five actions", sizes, np.array(samples), "rounds T", "exploitability")


# Rates over a fixed set of games: nothing is random.

RATE_ROUNDS = (32, 64, 128, 256, 512, 1024)


def rate_curve(learner: SPO) -> Iterator[Curve]:
    """Yield the mean exploitability over eight games of 20 actions, each horizon a run of its own."""
    games = PreferenceGame.random(20, np.random.default_rng(90), contexts=8)
    ends = [2 * (0.5 - float(play(games, learner, T).values[-1])) for T in RATE_ROUNDS]
    sizes = np.array(RATE_ROUNDS, dtype=float)
    yield Curve("20 actions", sizes, np.array(ends)[:, None], "rounds T", "exploitability", exact=True)


def hedge_curves(scope: Scope) -> Iterator[Curve]:
    """Yield Hedge with the step tuned to each T."""
    return rate_curve(SPO())


def optimistic_curves(scope: Scope) -> Iterator[Curve]:
    """Yield optimistic Hedge."""
    return rate_curve(SPO("optimistic-hedge"))


# Label flips, two players, last iterates, reward models.


@dataclass(frozen=True, eq=False)
class FlipCase(Evidence):
    """A policy in a game and in the same game with flipped labels, and the winner of the latter.

    Parameters
    ----------
    flip
        Probability that a label is flipped, below 1/2.
    loss, noisy_loss
        Exploitability of the policy in both games.
    winner_loss
        Exploitability in the game itself of the winner of the noisy one.
    """

    flip: float
    loss: float
    noisy_loss: float
    winner_loss: float


def with_label_flips(game: PreferenceGame, flip: float) -> PreferenceGame:
    """Return the game that labels show if each is flipped with a probability below 1/2."""
    if not 0 <= flip < 0.5:
        raise ValueError(f"flip must be in [0, 1/2); got {flip!r}")
    return PreferenceGame.from_skew((1 - 2 * flip) * game.skew, game.context_weights)


def flip_cases(scope: Scope) -> Iterator[FlipCase]:
    """Yield random policies and rates of flips."""
    rng = np.random.default_rng([scope.seed, 91])
    for index in range(scope.pick(40, 400)):
        game, flip = some_game(rng, index, 12), float(rng.uniform(0, 0.45))
        noisy = with_label_flips(game, flip)
        p = rng.dirichlet(np.ones(game.n_actions))[None]
        winner = von_neumann_winner(noisy).policy.probabilities
        losses = [2 * float(exploitability(g, q)[0]) for g, q in ((game, p), (noisy, p), (game, winner))]
        yield FlipCase(f"game {index}, flip {flip:.3g}", flip, *losses)


@dataclass(frozen=True, eq=False)
class DuellingRun(Evidence):
    """The duality gap of the averages of two players, and the sum of their regrets over T."""

    gap: float
    regrets: float


def duelling_run(game: PreferenceGame, learner: DuellingHedge, iterations: int, name: str) -> DuellingRun:
    """Play two players against each other."""
    policies: list[np.ndarray] = []

    def audit(problem: PreferenceProblem, state: Any, decision: Any) -> dict[str, float]:
        policies.append(np.exp(state.log_policies[:, 0]))
        return {}

    play(game, learner, 2 * iterations, audit=audit)
    p, q = np.array(policies[::2]).transpose(1, 0, 2)
    A = 2 * game.skew[0]
    up, uq = q @ A.T, p @ A.T
    own = float((p * up).sum() + (q * uq).sum())
    regrets = float(up.sum(axis=0).max() + uq.sum(axis=0).max()) - own
    gap = float((A @ q.mean(axis=0)).max() + (A @ p.mean(axis=0)).max())
    return DuellingRun(name, gap, regrets / iterations)


def duelling_runs(scope: Scope) -> Iterator[DuellingRun]:
    """Yield players from different starts."""
    rng = np.random.default_rng([scope.seed, 92])
    for index in range(scope.pick(8, 80)):
        yield duelling_run(some_game(rng, index, 10), DuellingHedge(tilt=2.0), 40, f"game {index}")


@dataclass(frozen=True, eq=False)
class LastIterates(Evidence):
    """KL(p* || p_t) of Hedge's iterates, where p* has full support: shape [T]."""

    kl: Float[np.ndarray, " T"]


def last_iterate_runs(scope: Scope, learner: SPO | None = None) -> Iterator[LastIterates]:
    """Yield Hedge from uniform on three-cycles, and on random games of three actions with mixed winners."""
    rng = np.random.default_rng([scope.seed, 93])
    for index in range(scope.pick(10, 100)):
        game = three_cycle(*(float(s) for s in rng.uniform(0.2, 1, 3)))
        best = np.log(von_neumann_winner(game).policy.probabilities)
        run = self_play_run(game, learner or SPO(eta=0.1), 150, f"cycle {index}")
        with np.errstate(divide="ignore"):
            kl = kl_divergence(best, np.log(run.played))[:, 0]
        yield LastIterates(run.instance, kl)


@dataclass(frozen=True, eq=False)
class CycleCase(Evidence):
    """A three-cycle: its winner in closed form and by the solver, and what a reward model makes of it.

    Parameters
    ----------
    strengths
        a, b, c.
    closed, solved
        ``(b, c, a) / (a + b + c)``, and the solver's: shape [3].
    loss
        Exploitability of the reward model's action.
    """

    strengths: tuple[float, float, float]
    closed: Float[np.ndarray, " 3"]
    solved: Float[np.ndarray, " 3"]
    loss: float


def cycle_cases(scope: Scope) -> Iterator[CycleCase]:
    """Yield random cycles."""
    rng = np.random.default_rng([scope.seed, 94])
    for index in range(scope.pick(12, 200)):
        a, b, c = (float(s) for s in rng.uniform(0.2, 1, 3))
        game = three_cycle(a, b, c)
        solved = von_neumann_winner(game).policy.probabilities[0]
        loss = 2 * (0.5 - float(play(game, RewardModelLearner(), 2).values[-1]))
        yield CycleCase(f"cycle {index}", (a, b, c), np.array([b, c, a]) / (a + b + c), solved, loss)


@dataclass(frozen=True, eq=False)
class WinnerCase(Evidence):
    """Losses of actions that ought to be winners, and the support of the only winner.

    Parameters
    ----------
    condorcet_distance
        ``|winner - Condorcet winner|_1`` by the solver; 0 where the game has none.
    transitive_loss
        Exploitability of the best action of a transitive game.
    borda_inversions
        Pairs of actions that fitted rewards and Borda scores order differently.
    support
        Size of the support of the winner of a random tournament.
    """

    condorcet_distance: float
    transitive_loss: float
    borda_inversions: int
    support: int


def winner_cases(scope: Scope) -> Iterator[WinnerCase]:
    """Yield a game of each kind."""
    rng = np.random.default_rng([scope.seed, 95])
    for index in range(scope.pick(12, 120)):
        n = int(rng.integers(2, 12))
        undefeated = condorcet(n, float(rng.uniform(0.05, 1)), int(rng.integers(2**31)))
        found = von_neumann_winner(undefeated).policy.probabilities[0]
        r = rng.normal(size=n)
        ranked = PreferenceGame.from_skew(np.tanh(r[:, None] - r[None, :]) ** 3 / 2)
        best = (np.arange(n) == np.argmax(r)).astype(float)[None]
        tournament = random_game(rng, "tournament", n)
        support = int((von_neumann_winner(tournament).policy.probabilities > 1e-9).sum())
        yield WinnerCase(
            f"game {index}, n = {n}",
            float(np.abs(found - (np.arange(n) == 0)).sum()),
            2 * float(exploitability(ranked, best)[0]),
            borda_inversions(PreferenceGame.random(n, rng)),
            support,
        )


def borda_inversions(game: PreferenceGame, rewards: Float[np.ndarray, " n"] | None = None) -> int:
    """Return how many pairs the reward model of uniform pairs orders otherwise than the Borda scores."""
    n = game.n_actions
    scores = borda_scores(game)[0]
    fitted = fitted_rewards(np.full((n, n), 2 / n**2), 2 / n * (scores - 0.5))
    r = fitted if rewards is None else rewards
    return int(((r[:, None] - r[None, :]) * (scores[:, None] - scores[None, :]) < 0).sum()) // 2
