"""One episode of a deterministic policy has a short path of its own: it must make the same draws."""

import numpy as np
import pytest

from tests.learners.baselines.models import random_mdp
from theoryrl.models import DeterministicPolicy, RewardNoise
from theoryrl.solvers.episodic import Simulator

NOISES = [
    RewardNoise("none"),
    RewardNoise("bernoulli"),
    RewardNoise("uniform", 0.2),
    RewardNoise("gaussian", 0.2),
]


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.kind)
@pytest.mark.parametrize("shape", [(3, 3), (3,)], ids=["stages", "stationary"])
def test_single_episodes_equal_a_block_of_episodes(noise, shape):
    mdp = random_mdp(0, noise=noise)
    policy = DeterministicPolicy(np.random.default_rng(1).integers(0, 2, shape), 2)
    simulator = Simulator(mdp)
    block, _ = simulator.run(policy, 50, np.random.default_rng(2), np.random.default_rng(3))
    rng = np.random.default_rng(2)
    for i in range(50):
        single, _ = simulator.run(policy, 1, rng, np.random.default_rng(3))
        for one, many in zip(single, block, strict=True):
            np.testing.assert_array_equal(one[0], many[i])
