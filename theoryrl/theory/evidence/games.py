"""Evidence on MEX in Markov games: audited runs, in which every term of the proof is evaluated exactly.

An audited run keeps the candidates that both players chose, the losses with which they chose, and the
policies that were played. Distinct pairs of policies are few, so that exact values, visits and Hellinger
distances of each are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from theoryrl.instances import random_candidate_game, risky_game
from theoryrl.learners import MEXGame, gec
from theoryrl.learners._candidates import CandidatePlans
from theoryrl.learners.mex_games import (
    anytime_half_bound,
    game_burn_in,
    game_gec,
    half_regret_bound,
)
from theoryrl.models import CandidateGame, FiniteGameClass, FiniteMemoryPolicy, Policy, ZeroSumMarkovGame
from theoryrl.protocol import (
    BestResponder,
    FixedOpponent,
    FrequencyResponder,
    GamePast,
    Grudger,
    MarkovGameProblem,
    Opponent,
    Run,
    Trace,
)
from theoryrl.solvers.episodic import occupancy_measure, policy_evaluation
from theoryrl.solvers.markov_game import (
    best_response,
    joint_model,
    joint_policy,
    markov_game_equilibrium,
    pair_occupancy,
    pair_value,
)
from theoryrl.solvers.markov_game.evaluation import Opponent as OpponentPolicy
from theoryrl.theory.core import Evidence, Scope, credentials

DELTA = 0.05
LOOSE_DELTA = 0.1
"""Of the event of the likelihoods, where failures are to be counted."""


def hellinger(P: Float[np.ndarray, "M *cells S"], Q: Float[np.ndarray, "*cells S"]) -> np.ndarray:
    """Return ``D_H^2 = 1 - sum sqrt(p q)`` of every row: shape ``[M, *cells]``."""
    overlap = np.sqrt(P * Q).sum(axis=-1)
    return np.asarray(np.maximum(1 - overlap, 0.0))


def transfer(
    model: ZeroSumMarkovGame, truth: ZeroSumMarkovGame, mu: Float[np.ndarray, "H S A"], nu: OpponentPolicy
) -> float:
    """Return ``sum_h E* [(P_model - P*) V_{h+1}^{mu, nu}]``, V in the model, the visits in the truth.

    By the simulation lemma it is ``V_model^{mu, nu} - V*^{mu, nu}``; it is computed by the right-hand side.
    """
    memory = nu if isinstance(nu, FiniteMemoryPolicy) else None
    there, here = joint_model(model, memory), joint_model(truth, memory)
    policy = joint_policy(truth, Policy.trusted(mu), nu)
    d, V = occupancy_measure(here, policy), policy_evaluation(there, policy).value
    return float(sum((d[h] * ((there.P[h] - here.P[h]) @ V[h + 1])).sum() for h in range(truth.horizon - 1)))


class Episode(NamedTuple):
    """What was decided in an episode: candidates, eta, and the losses beforehand."""

    main: int
    exploiter: int
    eta: float
    losses: Float[np.ndarray, "H M"]
    mu: Float[np.ndarray, "H S A"]
    nu: Float[np.ndarray, "H S B"] | None
    counts: Float[np.ndarray, "H S A B S"] | None = None


@dataclass
class GameAudit:
    """Keeps what both players decided, and with what losses; and the counts, where they are asked for."""

    learner: MEXGame
    keep_counts: bool = False
    rows: list[Episode] = field(default_factory=list)

    def __call__(self, problem: Any, state: Any, decision: Any) -> Mapping[str, float]:
        """Record an episode."""
        numbers = decision.diagnostics
        self.rows.append(
            Episode(
                int(numbers["main"]),
                int(numbers["exploiter"]),
                self.learner.weight(state),
                state.losses.copy(),
                decision.mu,
                decision.nu,
                state.counts.copy() if self.keep_counts else None,
            )
        )
        return {}


@dataclass
class Remembered:
    """An opponent whose policies are kept."""

    opponent: Opponent
    policies: list[OpponentPolicy] = field(default_factory=list)

    def respond(
        self, game: ZeroSumMarkovGame, mu: Float[np.ndarray, "H S A"], past: GamePast
    ) -> OpponentPolicy:
        """Return what the opponent says."""
        self.policies.append(self.opponent.respond(game, mu, past))
        return self.policies[-1]


@dataclass(frozen=True, eq=False)
class GameRun(Evidence):
    """An audited run of `MEXGame` on a realizable list of candidates.

    Parameters
    ----------
    model
        Truth and candidates.
    trace
        The run.
    rows
        What the audit kept of each episode.
    opponents
        The min player's policy of each episode.
    counts
        How often each (h, s, a, b, s') was observed: shape [H, S, A, B, S].
    last_losses
        Losses after the last episode: shape [H, M].
    slack
        What the learner's choices may miss of the maximum.
    self_play
        Whether there is an exploiter.
    failure
        delta of the event of the likelihoods.
    """

    model: CandidateGame
    trace: Trace
    rows: list[Episode]
    opponents: list[OpponentPolicy]
    counts: Float[np.ndarray, "H S A B S"]
    last_losses: Float[np.ndarray, "H M"]
    slack: float
    self_play: bool
    failure: float

    @cached_property
    def plans(self) -> CandidatePlans:
        """Equilibria and responses of all candidates, computed anew."""
        return CandidatePlans(self.model.candidates)

    @cached_property
    def star(self) -> int:
        """Position of the truth."""
        truth = self.model.truth
        assert truth is not None
        return truth

    @property
    def games(self) -> FiniteGameClass:
        """The candidates."""
        return self.model.candidates

    @cached_property
    def main(self) -> Int[np.ndarray, " K"]:
        """f of every episode."""
        return np.array([row.main for row in self.rows])

    @cached_property
    def exploiter(self) -> Int[np.ndarray, " K"]:
        """g of every episode."""
        return np.array([row.exploiter for row in self.rows])

    @cached_property
    def eta(self) -> Float[np.ndarray, " K"]:
        """Eta of every episode."""
        return np.array([row.eta for row in self.rows])

    @cached_property
    def losses(self) -> Float[np.ndarray, "K H M"]:
        """Losses before every episode."""
        return np.array([row.losses for row in self.rows])

    @cached_property
    def _pairs(self) -> tuple[Int[np.ndarray, " K"], list[tuple[int, Any, OpponentPolicy]]]:
        """Number of the pair of every episode, and the distinct pairs with the main player's candidate."""
        known: dict[Any, int] = {}
        distinct = list[tuple[int, Any, OpponentPolicy]]()
        number = np.empty(len(self.rows), dtype=np.int64)
        for k, (row, nu) in enumerate(zip(self.rows, self.opponents, strict=True)):
            moves = nu.memory.tobytes() if isinstance(nu, FiniteMemoryPolicy) else b""
            key = row.main, nu.probabilities.tobytes(), moves
            if key not in known:
                known[key] = len(distinct)
                distinct.append((row.main, row.mu, nu))
            number[k] = known[key]
        return number, distinct

    def _of_pairs(self, what: Callable[[int, Any, OpponentPolicy], Any]) -> np.ndarray:
        """Return a quantity of the pair of every episode."""
        number, distinct = self._pairs
        return np.asarray(np.array([what(*pair) for pair in distinct])[number])

    @cached_property
    def optimistic(self) -> Float[np.ndarray, " K"]:
        """V_f."""
        return self.plans.values[self.main]

    @cached_property
    def pessimistic(self) -> Float[np.ndarray, " K"]:
        """``V_g^{mu, *}``."""
        return np.array([self.plans.responses(row.main).start[row.exploiter] for row in self.rows])

    @cached_property
    def guaranteed_value(self) -> Float[np.ndarray, " K"]:
        """``V*^{mu, *}``, in the truth."""
        return np.array([self.plans.responses(f).start[self.star] for f in self.main.tolist()])

    @cached_property
    def believed(self) -> Float[np.ndarray, " K"]:
        """V_f^{mu, nu}: what the main player's candidate says of the pair that is played."""
        games = self.games
        return self._of_pairs(lambda f, mu, nu: pair_value(games[f], Policy.trusted(mu), nu))

    @cached_property
    def main_transfer(self) -> Float[np.ndarray, " K"]:
        """``V_f^{mu, nu} - V*^{mu, nu}`` by the simulation lemma."""
        return self._of_pairs(lambda f, mu, nu: transfer(self.games[f], self.model.game, mu, nu))

    @cached_property
    def exploiter_transfer(self) -> Float[np.ndarray, " K"]:
        """``V_g^{mu, nu} - V*^{mu, nu}`` by the simulation lemma."""
        known = dict[tuple[int, int], float]()
        number, distinct = self._pairs
        for pair, g in zip(number, self.exploiter, strict=True):
            if (pair, g) not in known:
                _, mu, nu = distinct[pair]
                known[pair, g] = transfer(self.games[int(g)], self.model.game, mu, nu)
        return np.array([known[pair, g] for pair, g in zip(number, self.exploiter, strict=True)])

    @property
    def decomposed(self) -> Float[np.ndarray, " K"]:
        """The regret of every episode as the sum of the terms of the proof."""
        half = self.main_gap + (self.optimistic - self.believed) + self.main_transfer
        if not self.self_play:
            return np.asarray(half)
        return np.asarray(half - self.exploiter_transfer + self.exploiter_gap)

    @property
    def main_gap(self) -> Float[np.ndarray, " K"]:
        """``V* - V_f``."""
        return np.asarray(self.plans.values[self.star] - self.optimistic)

    @property
    def exploiter_gap(self) -> Float[np.ndarray, " K"]:
        """``V_g^{mu, *} - V*^{mu, *}``."""
        return np.asarray(self.pessimistic - self.guaranteed_value)

    def advantage(self, chosen: Int[np.ndarray, " K"]) -> Float[np.ndarray, " K"]:
        """Return ``eta (L(f*) - L(chosen))`` before every episode; -inf for a candidate that is refuted."""
        total = self.losses.sum(axis=1)
        k = np.arange(len(total))
        return np.asarray(self.eta * (total[:, self.star] - total[k, chosen]))

    @cached_property
    def ratios(self) -> Float[np.ndarray, "K1 H M"]:
        """``L_h(f*) - L_h(f)``, the log-likelihood ratio of f to the truth, before and after all episodes."""
        losses = np.concatenate([self.losses, self.last_losses[None]])
        return np.asarray(losses[:, :, self.star, None] - losses)

    @cached_property
    def energy(self) -> Float[np.ndarray, "K1 H M"]:
        """``sum_{i < k} E_{pair i} D_H^2(P_f, P*)`` for every stage and candidate, k = 1, ..., K + 1."""
        truth = self.model.game
        distances = hellinger(self.games.P, truth.P)

        def mean_distance(f: int, mu: Any, nu: OpponentPolicy) -> np.ndarray:
            d = pair_occupancy(truth, Policy.trusted(mu), nu)
            return np.einsum("hsab,mhsab->hm", d, distances)

        spent = self._of_pairs(mean_distance)
        return np.concatenate([np.zeros_like(spent[:1]), np.cumsum(spent, axis=0)])

    def spent(self, chosen: Int[np.ndarray, " K"]) -> Float[np.ndarray, " H"]:
        """Return ``E_h = sum_k sum_{i < k} E_{pair i} D_H^2(P_chosen_k, P*)``."""
        k = np.arange(len(chosen))
        return np.asarray(self.energy[k, :, chosen].sum(axis=0))

    @cached_property
    def objectives(self) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
        """Objectives of the chosen candidates, and the largest of all candidates, for both players.

        Enumerated anew from the counts, the values of linear programs, and one response at a time.
        """
        games = [self.games[m] for m in range(len(self.games))]
        values = [markov_game_equilibrium(game, "linear-program").start_value for game in games]
        faced = dict[int, list[float]]()
        chosen, best = list[float](), list[float]()
        for row in self.rows:
            assert row.counts is not None
            seen = row.counts > 0
            with np.errstate(divide="ignore"):
                losses = [-float((row.counts[seen] * np.log(game.P[seen])).sum()) for game in games]
            if row.main not in faced:
                faced[row.main] = [best_response(game, Policy(row.mu)).start_value for game in games]
            players = [(row.main, values)]
            if self.self_play:
                players.append((row.exploiter, [-value for value in faced[row.main]]))
            for mine, worth in players:
                J = [v - row.eta * loss for v, loss in zip(worth, losses, strict=True)]
                chosen.append(J[mine])
                best.append(max(J))
        return np.array(chosen), np.array(best)

    @property
    def iota(self) -> float:
        """log(H M / delta)."""
        return gec.model_based_iota(len(self.games), self.model.game.horizon, self.failure)

    @cached_property
    def good(self) -> bool:
        """Whether the event of the likelihoods happened."""
        return bool((self.ratios <= -2 * self.energy + 2 * self.iota + 1e-9).all())

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(H, S, A, B)."""
        H, S, A, B = self.model.game.r.shape
        return H, S, A, B

    @property
    def regret(self) -> float:
        """Regret after the last episode."""
        return self.trace.final_regret

    @property
    def trivial(self) -> float:
        """K V*: the regret of earning nothing."""
        return float(self.trace.benchmarks.sum())

    @property
    def proved(self) -> float:
        """The bound of the theorem, with its eta."""
        half = half_regret_bound(self.shape, len(self.rows), len(self.games), self.failure)
        return self.players * half

    @property
    def proved_anytime(self) -> float:
        """The bound of the theorem, with an eta for every epoch."""
        half = anytime_half_bound(self.shape, len(self.rows), len(self.games), self.failure)
        return self.players * half

    @property
    def players(self) -> int:
        """Two in self-play, one against an opponent."""
        return 2 if self.self_play else 1

    @property
    def bound_on_event(self) -> float:
        """``2 eta H K iota + d / (8 eta) + burn-in`` for each player, with the eta that was used."""
        H, K, eta = self.shape[0], len(self.rows), float(self.eta[0])
        half = 2 * eta * H * K * self.iota + game_gec(self.shape, K) / (8 * eta)
        return self.players * (half + game_burn_in(self.shape))


def audited_run(
    model: CandidateGame,
    learner: MEXGame,
    rounds: int,
    seed: int,
    title: str,
    opponent: Opponent | None = None,
    *,
    group: str = "",
    for_every_eta: bool = False,
    keep_counts: bool = False,
) -> GameRun:
    """Play a learner, and keep what its proof needs.

    Parameters
    ----------
    keep_counts
        Keep the counts of every episode, from which the objectives can be enumerated anew.
    for_every_eta
        Set for statements that hold for every eta and slack: then such a run is as good as any.

    Raises
    ------
    ValueError
        If the truth is not a candidate: no statement is about such a run.
    """
    if model.truth is None:
        raise ValueError(f"{title}: candidates must contain the true game, or nothing is claimed of the run")
    audit = GameAudit(learner, keep_counts)
    watched = None if opponent is None else Remembered(opponent)
    problem = MarkovGameProblem.from_candidates(model, title, watched)
    run = Run(problem, learner, rounds, seed, audit).advance()
    trace = run.trace
    made = credentials(trace)
    if for_every_eta:
        made["guaranteed"] = learner.exploiter == "mex"
    if watched is None:
        wrapped = dict[int, OpponentPolicy]()
        opponents = [wrapped.setdefault(id(row.nu), Policy.trusted(_played(row))) for row in audit.rows]
    else:
        opponents = watched.policies
    return GameRun(
        title,
        model,
        trace,
        audit.rows,
        opponents,
        run.state.counts,
        run.state.losses.copy(),
        learner.slack,
        watched is None,
        learner.delta,
        group=group,
        **made,
    )


def _played(row: Episode) -> Float[np.ndarray, "H S B"]:
    assert row.nu is not None
    return row.nu


OPPONENTS: Mapping[str, Opponent] = {
    "uniform": FixedOpponent(),
    "best response": BestResponder(),
    "response to frequencies": FrequencyResponder(),
    "grudge": Grudger(),
}

Make = Callable[..., MEXGame]


def close_game(seed: int) -> CandidateGame:
    """Return 20 candidates on four states that are not easily told apart."""
    return random_candidate_game(n_candidates=20, mixing=0.2, seed=seed)


def various_runs(
    scope: Scope, make: Make = MEXGame, rounds: int = 60, runs: int | None = None
) -> Iterator[GameRun]:
    """Yield short self-play with eta from 0.001 to 100, on the risky game and on random ones."""
    rng = np.random.default_rng([scope.seed, 301])
    for index, seed in enumerate(list(scope.seeds(12, 100))[:runs]):
        model = risky_game() if index % 3 == 0 else random_candidate_game(
            n_candidates=int(rng.integers(2, 9)),
            n_states=int(rng.integers(2, 5)),
            n_actions=int(rng.integers(1, 4)),
            n_opponent_actions=int(rng.integers(1, 4)),
            horizon=int(rng.integers(1, 5)),
            mixing=float(rng.choice([0.2, 1.0])),
            seed=index,
        )  # fmt: skip
        eta = float(10 ** rng.uniform(-3, 2))
        title = f"{model}, eta = {eta:.3g}, seed {seed}"
        yield audited_run(
            model, make(eta=eta), rounds, seed, title, for_every_eta=True, keep_counts=runs is not None
        )


def enumerated_runs(scope: Scope, make: Make = MEXGame) -> Iterator[GameRun]:
    """Yield a few shorter ones, whose objectives can be enumerated anew."""
    yield from various_runs(scope, make, 25, scope.pick(6, 30))


def opposed_runs(scope: Scope, make: Make = MEXGame) -> Iterator[GameRun]:
    """Yield short runs against every opponent, with eta from 0.01 to 10."""
    rng = np.random.default_rng([scope.seed, 302])
    for index, seed in enumerate(scope.seeds(8, 80)):
        name = list(OPPONENTS)[index % len(OPPONENTS)]
        model = risky_game() if index % 8 < 4 else random_candidate_game(n_candidates=6, seed=index)
        eta = float(10 ** rng.uniform(-2, 1))
        title = f"{model} against {name}, eta = {eta:.3g}, seed {seed}"
        yield audited_run(model, make(eta=eta), 40, seed, title, OPPONENTS[name], for_every_eta=True)


def repeated_runs(scope: Scope, make: Make = MEXGame) -> Iterator[GameRun]:
    """Yield independent self-play at delta = 0.05 with the theory's eta, on one or two games."""
    models = scope.pick((risky_game(),), (risky_game(), close_game(1)))
    for number, model in enumerate(models):
        for seed in scope.seeds(95, 400):
            unique = 2 * seed + number
            title = f"{model}, seed {unique}"
            yield audited_run(model, make(delta=DELTA), 50, unique, title, group=f"{model}")


def anytime_runs(scope: Scope, make: Make = MEXGame) -> Iterator[GameRun]:
    """Yield independent self-play at delta = 0.05 with an eta for every epoch of doubling length."""
    for seed in scope.seeds(95, 400):
        learner = make(delta=DELTA, schedule="anytime")
        yield audited_run(risky_game(), learner, 70, seed, f"anytime, seed {seed}")


def repeated_opposed_runs(scope: Scope, make: Make = MEXGame) -> Iterator[GameRun]:
    """Yield independent runs at delta = 0.05 with the theory's eta, against one or two opponents."""
    for number, name in enumerate(scope.pick(("grudge",), ("grudge", "best response"))):
        for seed in scope.seeds(95, 400):
            unique = 2 * seed + number
            title = f"risky game against {name}, seed {unique}"
            learner = make(delta=DELTA)
            yield audited_run(risky_game(), learner, 40, unique, title, OPPONENTS[name], group=name)


def likelihood_runs(
    scope: Scope, make: Make = MEXGame, rounds: int | None = None, runs: int | None = None
) -> Iterator[GameRun]:
    """Yield independent self-play at delta = 0.1 among candidates that are hard to tell apart."""
    episodes = scope.pick(100, 600) if rounds is None else rounds
    for seed in list(scope.seeds(66, 300))[:runs]:
        learner = make(delta=LOOSE_DELTA)
        yield audited_run(close_game(seed), learner, episodes, seed, f"close candidates, seed {seed}")


def tiny_game() -> CandidateGame:
    """Return two stages, two states, two candidates: the online bound bites after some 10^4 episodes."""
    P = np.zeros((2, 2, 2, 2, 2, 2))
    P[..., 0] = 1.0
    P[0, 0, 0, 0, :, 1], P[0, 0, 0, 1, :, 1] = 0.05, 0.95
    P[1, 0, 0, 0, :, 1], P[1, 0, 0, 1, :, 1] = 0.95, 0.05
    P[..., 0] = 1 - P[..., 1]
    r = np.zeros((2, 2, 2, 2))
    r[1, 1] = 1.0
    games = FiniteGameClass(P, r, np.array([1.0, 0.0]))
    return CandidateGame(games[1], games)


def event_runs(scope: Scope, make: Make = MEXGame) -> Iterator[GameRun]:
    """Yield self-play of various lengths, with the theory's eta and with others."""
    rng = np.random.default_rng([scope.seed, 303])
    for index, seed in enumerate(scope.seeds(6, 60)):
        model = risky_game() if index % 2 else close_game(index)
        eta = None if index % 3 == 0 else float(10 ** rng.uniform(-2, 1))
        rounds = int(rng.integers(20, 300))
        title = f"{model}, K = {rounds}, seed {seed}"
        yield audited_run(model, make(eta=eta, delta=DELTA), rounds, seed, title, for_every_eta=True)


def opposed_event_runs(scope: Scope, make: Make = MEXGame) -> Iterator[GameRun]:
    """Yield runs against every opponent, and a long one on a tiny game, where the bound is not vacuous."""
    for index, seed in enumerate(scope.seeds(4, 40)):
        name = list(OPPONENTS)[index % len(OPPONENTS)]
        learner = make(delta=DELTA)
        title = f"risky game against {name}, seed {seed}"
        yield audited_run(risky_game(), learner, 100, seed, title, OPPONENTS[name])
    rounds = scope.pick(20_000, 60_000)
    even = FixedOpponent(Policy.uniform(2, 2))
    yield audited_run(tiny_game(), make(delta=DELTA), rounds, 0, "tiny game", even)


def slack_runs(scope: Scope, make: Make = MEXGame) -> Iterator[GameRun]:
    """Yield self-play whose players take the worst candidate within a slack of the best."""
    for index, seed in enumerate(scope.seeds(8, 60)):
        slack = (0.02, 0.1, 0.2, 0.5)[index % 4]
        model = risky_game() if index % 2 == 0 else random_candidate_game(n_candidates=8, seed=index)
        learner = make(eta=(0.05, 0.3)[index % 2], slack=slack)
        title = f"{model}, slack {slack}, seed {seed}"
        yield audited_run(model, learner, 80, seed, title, for_every_eta=True)
