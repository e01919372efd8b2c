"""Evidence on the lemmas behind MEX in Markov games: equilibria, sequences, and lock-ins."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theoryrl.instances import risky_game
from theoryrl.learners import MEXGame
from theoryrl.models import FiniteGameClass, FiniteMemoryPolicy, Policy, ZeroSumMarkovGame
from theoryrl.protocol import MarkovGameProblem, play
from theoryrl.solvers.markov_game import (
    best_response,
    markov_game_equilibrium,
    nash_gap,
    pair_occupancy,
    pair_value,
)
from theoryrl.theory.core import Evidence, Scope
from theoryrl.theory.evidence.games import hellinger, transfer


def random_rows(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return dense, sparse or deterministic distributions along the last axis."""
    kind = rng.integers(3)
    if kind == 2:
        return np.eye(shape[-1])[rng.integers(shape[-1], size=shape[:-1])]
    return rng.dirichlet(np.full(shape[-1], (1.0, 0.3)[kind]), shape[:-1])


def random_game(rng: np.random.Generator, index: int) -> ZeroSumMarkovGame:
    """Return a game of at most 4 states, 3 actions for each player and 4 stages, with ties in a third."""
    S, A, B, H = [(3, 2, 2, 3), (4, 3, 2, 2), (2, 2, 3, 4), (1, 3, 3, 1), (3, 1, 2, 3)][index % 5]
    r = rng.random((H, S, A, B))
    if index % 3 == 0:
        r = np.round(2 * r) / 2
    return ZeroSumMarkovGame(random_rows(rng, (H, S, A, B, S)), r, rng.dirichlet(np.ones(S)))


def random_memory(rng: np.random.Generator, game: ZeroSumMarkovGame, memories: int) -> FiniteMemoryPolicy:
    """Return a min player with a memory that moves at random."""
    H, S, A, B = game.r.shape
    nu = random_rows(rng, (H, S, memories, B))
    return FiniteMemoryPolicy(nu, rng.integers(memories, size=(H, S, A, B, memories)))


@dataclass(frozen=True, eq=False)
class EquilibriumCase(Evidence):
    """An equilibrium, and what random opponents make of it.

    Parameters
    ----------
    value
        V_f.
    gap
        ``V^{*, nu} - V^{mu, *}`` of the two policies.
    earned
        V^{mu, nu'} for random nu', Markov and with a memory: shape [N].
    random_policy_earns, response_earns
        What a random policy mu' earns against random opponents [N], and against its best response.
    """

    value: float
    gap: float
    earned: Float[np.ndarray, " N"]
    random_policy_earns: Float[np.ndarray, " N"]
    response_earns: float


Solver = Callable[[ZeroSumMarkovGame], tuple[np.ndarray, np.ndarray]]
Responder = Callable[[ZeroSumMarkovGame, np.ndarray], Policy]


def solved(game: ZeroSumMarkovGame) -> tuple[np.ndarray, np.ndarray]:
    """Return both policies of the library's equilibrium."""
    pair = markov_game_equilibrium(game).policy
    return pair.probabilities, pair.opponent


def responded(game: ZeroSumMarkovGame, mu: np.ndarray) -> Policy:
    """Return the library's best response of the min player."""
    return Policy(best_response(game, Policy(mu), "min").policy.probabilities)


def equilibrium_cases(
    scope: Scope, solver: Solver = solved, responder: Responder = responded
) -> Iterator[EquilibriumCase]:
    """Yield random games; their values are by linear programs, which the solver does not use."""
    rng = np.random.default_rng([scope.seed, 310])
    for index in range(scope.pick(20, 200)):
        game = random_game(rng, index)
        mu, nu = solver(game)
        H, S, A, B = game.r.shape
        others: list[Policy | FiniteMemoryPolicy] = [Policy(random_rows(rng, (H, S, B))) for _ in range(5)]
        others += [random_memory(rng, game, memories) for memories in (2, 3)]
        drawn = random_rows(rng, (H, S, A))
        yield EquilibriumCase(
            f"{game}, {index}",
            markov_game_equilibrium(game, "linear-program").start_value,
            nash_gap(game, Policy(mu), Policy(nu)),
            np.array([pair_value(game, Policy(mu), other) for other in others]),
            np.array([pair_value(game, Policy(drawn), other) for other in others]),
            pair_value(game, Policy(drawn), responder(game, drawn)),
        )


@dataclass(frozen=True, eq=False)
class SequenceCase(Evidence):
    """Any sequence of models and pairs of policies, in one true game.

    Parameters
    ----------
    shape
        (H, S, A, B).
    transfers
        ``abs(V_{f_k}^{mu_k, nu_k} - V*^{mu_k, nu_k})``: shape [K].
    energies
        ``E_h = sum_k sum_{i < k} E_{pair i} D_H^2(P_{f_k}, P*)``: shape [H].
    """

    shape: tuple[int, int, int, int]
    transfers: Float[np.ndarray, " K"]
    energies: Float[np.ndarray, " H"]


def sequence_case(
    truth: ZeroSumMarkovGame,
    models: FiniteGameClass,
    pairs: list[tuple[np.ndarray, np.ndarray]],
    chosen: np.ndarray,
    played: np.ndarray,
    title: str,
) -> SequenceCase:
    """Evaluate the sequence in which model `chosen[k]` comes with the pair `played[k]`."""
    distances = hellinger(models.P, truth.P)
    carried = np.array(
        [[transfer(models[m], truth, mu, Policy(nu)) for mu, nu in pairs] for m in range(len(models))]
    )
    d = np.array([pair_occupancy(truth, Policy(mu), Policy(nu)) for mu, nu in pairs])
    spent = np.einsum("phsab,mhsab->pmh", d, distances)[played]  # [K, M, H]
    before = np.concatenate([np.zeros_like(spent[:1]), np.cumsum(spent, axis=0)[:-1]])
    k = np.arange(len(chosen))
    H, S, A, B = truth.r.shape
    return SequenceCase(title, (H, S, A, B), np.abs(carried[chosen, played]), before[k, chosen].sum(axis=0))


def sequence_cases(scope: Scope) -> Iterator[SequenceCase]:
    """Yield sequences of random and of deterministic models: at random, in blocks, one again and again."""
    rng = np.random.default_rng([scope.seed, 313])
    for index in range(scope.pick(12, 300)):
        truth = random_game(rng, index)
        M, N = 3, 3
        models = FiniteGameClass(random_rows(rng, (M, *truth.P.shape)), truth.r, truth.rho)
        H, S, A, B = truth.r.shape
        pairs = [(random_rows(rng, (H, S, A)), random_rows(rng, (H, S, B))) for _ in range(N)]
        K = int(rng.choice([1, 3, 40, 200]))
        chosen, played = rng.integers(0, M, K), rng.integers(0, N, K)
        if index % 3 == 1:
            chosen, played = np.sort(chosen), np.sort(played)
        if index % 3 == 2:
            chosen, played = np.zeros_like(chosen), np.zeros_like(played)
        yield sequence_case(truth, models, pairs, chosen, played, f"{truth}, K = {K}, {index}")
    for H, K in ((10, 1), (10, 300), (20, 300)):
        yield worst_chain(H, K)


def worst_chain(H: int, K: int) -> SequenceCase:
    """Return a chain of one wrong row, repeated: reward 1 in state 0 from the second stage on."""
    P = np.zeros((2, H, 2, 1, 1, 2))
    P[:, :, 0, 0, 0, 0] = P[:, :, 1, 0, 0, 1] = 1.0
    P[0, 0, 0, 0, 0], P[1, 0, 0, 0, 0] = (0.15, 0.85), (0.85, 0.15)
    r = np.zeros((H, 2, 1, 1))
    r[1:, 0] = 1.0
    games = FiniteGameClass(P, r, np.array([1.0, 0.0]))
    ones = np.ones((H, 2, 1))
    chosen, played = np.ones(K, dtype=int), np.zeros(K, dtype=int)
    return sequence_case(games[0], games, [(ones, ones)], chosen, played, f"chain, H = {H}, K = {K}")


@dataclass(frozen=True, eq=False)
class LockIn(Evidence):
    """A run of MEX on the risky game: how often it chose the hopeless candidate, and when it had to.

    The walk is ``L(f*) - L(f_0)``: log(7/3) up when the good arm fails, as much down when it does not. The
    candidate f_0, all of whose arms are bad, plays *safe*, which tells nothing: the run never leaves it.

    Parameters
    ----------
    locked
        Whether the last episode was played with f_0.
    chosen
        Episodes in which f_0 was chosen.
    crossed
        Episodes in which every other candidate had fallen behind f_0 by its advantage in value over eta.
    """

    locked: bool
    chosen: int
    crossed: int


GAP = 0.13
"""V* - 1.2 in the risky game: what the good arm earns beyond the safe action."""


LOCK_IN_ETA = 4 / math.sqrt(1000)
LOCK_IN_DELTA = math.exp(-GAP / LOCK_IN_ETA)
"""Ville's bound on the probability of a lock-in at that eta: .36 (the exact law is .18)."""


def lock_in_law(eta: float, gap: float = GAP) -> float:
    """Return the exact probability that the walk ever reaches gap / eta.

    It is ``(3 / 7)^ceil(gap / (eta log(7/3)))``: a walk with equal steps up (probability .3) and down (.7)
    climbs one step with probability 3/7.
    """
    steps = math.ceil(gap / (eta * math.log(7 / 3)) - 1e-12)
    return float((3 / 7) ** steps)


def lock_in(eta: float, rounds: int, seed: int, make: Callable[..., MEXGame] = MEXGame) -> LockIn:
    """Play the risky game, and replay the likelihoods of all arms from what was seen."""
    model = risky_game()
    outcomes = list[tuple[int, bool]]()

    def audit(problem: MarkovGameProblem, state: object, decision: object) -> dict[str, float]:
        total = state.losses.sum(axis=0)  # type: ignore[attr-defined]
        ahead = total - total[0] >= np.where(np.arange(8) > 0, GAP, 0.0) / eta - 1e-9
        outcomes.append((int(decision.diagnostics["main"]), bool(ahead.all())))  # type: ignore[attr-defined]
        return {}

    play(model, make(eta=eta), rounds, seed, audit=audit)
    chosen = [main == 0 for main, _ in outcomes]
    return LockIn(
        f"eta = {eta:.3g}, seed {seed}",
        chosen[-1],
        sum(chosen),
        sum(hopeless for _, hopeless in outcomes),
        group=f"eta = {eta:.3g}",
    )


def lock_ins(scope: Scope, make: Callable[..., MEXGame] = MEXGame) -> Iterator[LockIn]:
    """Yield independent runs at eta = 4 / sqrt(1000); in some two of ten *safe* is played for good."""
    for seed in scope.seeds(160, 1000):
        yield lock_in(LOCK_IN_ETA, 40, seed, make)
