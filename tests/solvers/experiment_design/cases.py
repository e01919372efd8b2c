"""Small tasks that the tests of this folder share."""

import numpy as np

from theoryrl.models import EpisodicMDP, PolicyClass, RewardNoise


def random_task(seed, H=3, S=3, A=2, sparse=False):
    """Return a random model, all its deterministic policies, and some offline visits."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(S), (H, S, A))
    if sparse:
        P = np.eye(S)[rng.integers(S, size=(H, S, A))]
    mdp = EpisodicMDP(P, rng.random((H, S, A)), np.eye(S)[0], noise=RewardNoise("bernoulli"))
    policies = PolicyClass.product(np.ones((H, S, A), dtype=bool))
    return mdp, policies, rng.integers(0, 200, (H, S, A)).astype(float)
