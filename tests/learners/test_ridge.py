"""Ridge regression from sums: the same as from samples, and as accurate after many updates."""

import numpy as np
import pytest

from theoryrl.learners.ridge import REFRESH, Ridge


def random_episodes(rng, N, H=3, S=5, A=2, d=4):
    phi = rng.dirichlet(np.ones(d), size=(S, A))
    return phi, rng.integers(S, size=(N, H + 1)), rng.integers(A, size=(N, H))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_estimate_is_the_regression_of_every_function_on_the_samples(weighted):
    rng = np.random.default_rng(0)
    phi, states, actions = random_episodes(rng, 60)
    weights = rng.random(actions.shape) if weighted else np.ones(actions.shape)
    ridge = Ridge.start(3, 4, 5, 0.3)
    ridge.record(phi, states[:20], actions[:20], weights[:20])
    ridge.record(phi, states[20:], actions[20:], weights[20:])
    f = rng.random(5)
    for h in range(3):
        x, w = phi[states[:, h], actions[:, h]], weights[:, h]
        Lambda = 0.3 * np.eye(4) + (w[:, None] * x).T @ x
        expected = np.linalg.solve(Lambda, (w[:, None] * x).T @ f[states[:, h + 1]])
        np.testing.assert_allclose(ridge.estimate[h] @ f, expected, atol=1e-10)
        assert abs(ridge.log_det[h] - np.linalg.slogdet(Lambda / 0.3)[1]) <= 1e-10


def test_ten_thousand_updates_do_not_drift():
    rng = np.random.default_rng(1)
    phi, states, actions = random_episodes(rng, 10_000)
    ridge = Ridge.start(3, 4, 5, 0.1)
    for n in range(0, 10_000, 7):
        ridge.record(phi, states[n : n + 7], actions[n : n + 7])
    assert ridge.updates == 10_000
    drift = np.abs(ridge.inverse @ ridge.Lambda - np.eye(4)).max()
    assert drift < 1e-8
    assert ridge.updates % REFRESH == 0
