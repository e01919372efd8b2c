"""Hypothesis strategies for small recovering bandits, and the same from a seed."""

import numpy as np

from theoryrl.models import RecoveringBandit, RewardNoise

KINDS = ("concave", "blocking", "monotone", "ties", "any")


def random_bandit(seed, kind=None, N=None, D=None, K=None, noise="bernoulli", scale=1.0):
    """A small bandit; `ties` are monotone with means rounded to tenths, `any` are not monotone."""
    rng = np.random.default_rng(seed)
    kind = kind or KINDS[seed % len(KINDS)]
    N = N or int(rng.integers(1, 5))
    D = D or int(rng.integers(1, 7))
    K = K or int(rng.integers(1, min(3, N) + 1))
    d = np.arange(1, D + 1)
    rested = rng.uniform(0.2, 1, (N, 1))
    curves = {
        "concave": lambda: rested * (1 - rng.uniform(0.3, 0.95, (N, 1)) ** d),
        "blocking": lambda: rested * (d >= rng.integers(1, D + 1, (N, 1))),
        "monotone": lambda: np.sort(rng.random((N, D)), axis=1),
        "ties": lambda: np.sort(rng.random((N, D)), axis=1).round(1),
        "any": lambda: rng.random((N, D)),
    }
    return RecoveringBandit(scale * curves[kind](), K, RewardNoise(noise))
