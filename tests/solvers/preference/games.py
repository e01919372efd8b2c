"""Preference games of all families from a seed."""

import numpy as np

from theoryrl.models import PreferenceGame, RegularizedGame
from theoryrl.solvers.simplex import log_normalize

FAMILIES = ("uniform", "intransitive", "bradley-terry", "tournament", "ties")


def random_game(rng, family, n, X=1):
    """A game of X contexts and n actions."""
    if family == "uniform":
        return PreferenceGame.random(n, rng, contexts=X)
    if family == "intransitive":
        return PreferenceGame.from_low_rank(rng.normal(size=(X, n, 4)))
    if family == "bradley-terry":
        return PreferenceGame.from_bradley_terry(3 * rng.normal(size=(X, n)))
    values = [-0.5, 0.5] if family == "tournament" else [-0.5, 0.0, 0.5]
    lower = np.tril(rng.choice(values, (X, n, n)), -1)
    return PreferenceGame.from_skew(lower - np.swapaxes(lower, 1, 2))


def random_logits(rng, X, n, scale):
    return log_normalize(scale * rng.normal(size=(X, n)))


def random_regularized(rng, family, n, beta, X=1, scale=1.0):
    """The game with a random reference."""
    return RegularizedGame(random_game(rng, family, n, X), beta, random_logits(rng, X, n, scale))
