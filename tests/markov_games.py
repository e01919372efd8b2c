"""Random Markov games and policies for the tests."""

import numpy as np

from theoryrl.models import FiniteMemoryPolicy, Policy, ZeroSumMarkovGame


def rows(rng, *shape):
    """Dense, sparse or deterministic rows."""
    kind = rng.integers(3)
    if kind == 2:
        return np.eye(shape[-1])[rng.integers(shape[-1], size=shape[:-1])]
    return rng.dirichlet(np.full(shape[-1], (1.0, 0.3)[kind]), shape[:-1])


def random_game(seed, largest=4):
    """A game of at most `largest` states, actions and stages, with ties in a third of them."""
    rng = np.random.default_rng(seed)
    S, A, B, H = (int(n) for n in rng.integers(1, largest + 1, 4))
    r = rng.random((H, S, A, B))
    if rng.integers(3) == 0:
        r = np.round(2 * r) / 2
    return ZeroSumMarkovGame(rows(rng, H, S, A, B, S), r, rng.dirichlet(np.ones(S)))


def random_pair(game, rng):
    """A policy for each player."""
    H, S, A, B = game.r.shape
    return Policy(rows(rng, H, S, A)), Policy(rows(rng, H, S, B))


def random_memory(game, rng, memories=3):
    """A min player with a memory that moves at random."""
    H, S, A, B = game.r.shape
    return FiniteMemoryPolicy(
        rows(rng, H, S, memories, B), rng.integers(memories, size=(H, S, A, B, memories))
    )
