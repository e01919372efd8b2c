"""Lipschitz constant, step sizes and local rates, against brute force and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.solvers.preference.games import FAMILIES, random_game, random_regularized
from theoryrl.models import PreferenceGame
from theoryrl.solvers.preference import (
    largest_mirror_prox_step,
    lipschitz_constant,
    local_contraction_rate,
    local_frequencies,
    regularized_equilibrium,
    self_play_threshold,
)
from theoryrl.solvers.simplex import log_normalize, proximal_step

seeds = st.integers(0, 2**32 - 1)
RPS = PreferenceGame.from_tournament([[0, 1, 0], [0, 0, 1], [1, 0, 0]])


@given(seed=seeds, family=st.sampled_from(FAMILIES), n=st.integers(1, 6))
def test_the_lipschitz_constant_is_the_largest_double_difference(seed, family, n):
    game = random_game(np.random.default_rng(seed), family, n)
    A = game.skew[0]
    double = A[:, None, :, None] - A[None, :, :, None] - A[:, None, None, :] + A[None, :, None, :]
    assert lipschitz_constant(game)[0] == pytest.approx(np.abs(double).max() / 4, abs=1e-15)
    assert lipschitz_constant(game)[0] <= 0.5


def test_known_constants():
    assert lipschitz_constant(RPS)[0] == 0.375
    r = np.array([0.1, -0.2, 0.05])
    linear = PreferenceGame(0.5 + r[:, None] - r)
    assert lipschitz_constant(linear)[0] == 0
    assert largest_mirror_prox_step(lipschitz_constant(linear), 0.1)[0] == np.inf
    assert largest_mirror_prox_step(0.5, 0.1) == pytest.approx((0.1 + np.sqrt(1.01)) * 2)


@given(L=st.floats(1e-3, 0.5), beta=st.floats(1e-3, 10))
def test_the_largest_step_solves_its_equation(L, beta):
    gamma = float(largest_mirror_prox_step(L, beta))
    assert gamma**2 * L**2 == pytest.approx(1 + gamma * beta, rel=1e-12)
    assert gamma >= 1 / L


@given(seed=seeds, family=st.sampled_from(FAMILIES), n=st.integers(2, 7))
def test_frequencies_are_eigenvalues_modulo_constants_and_below_the_lipschitz_constant(seed, family, n):
    rng = np.random.default_rng(seed)
    game = random_game(rng, family, n)
    pi = np.exp(log_normalize(rng.normal(size=(1, n))))
    S = np.diag(pi[0]) - np.outer(pi[0], pi[0])
    basis = np.linalg.qr(np.c_[np.ones(n), np.eye(n)[:, 1:]])[0][:, 1:]
    expected = np.linalg.eigvals(basis.T @ game.skew[0] @ S @ basis)
    assert np.abs(expected.real).max() < 1e-7
    lam = local_frequencies(game, pi)[0]
    np.testing.assert_allclose(lam, np.sort(np.abs(expected)), atol=1e-7)
    assert lam.max() <= lipschitz_constant(game)[0] + 1e-12


@given(seed=seeds, n=st.integers(2, 6), gamma=st.floats(0.1, 2.0))
def test_the_local_rate_is_that_of_the_jacobian_of_the_map(seed, n, gamma):
    """Finite differences of two proximal steps at the equilibrium, modulo constants."""
    game = random_regularized(np.random.default_rng(seed), "uniform", n, 0.1)
    best = regularized_equilibrium(game).log_policy

    def iterate(log_pi):
        A = game.game.skew[0]
        half = proximal_step((A @ np.exp(log_pi[0]))[None], log_pi, game.log_reference, gamma, 0.1)
        return proximal_step((A @ np.exp(half[0]))[None], log_pi, game.log_reference, gamma, 0.1)

    basis = np.linalg.qr(np.c_[np.ones(n), np.eye(n)[:, 1:]])[0][:, 1:]
    h = 1e-5
    columns = [
        (iterate(log_normalize(best + h * v)) - iterate(log_normalize(best - h * v)))[0] / (2 * h)
        for v in basis.T
    ]
    J = basis.T @ np.array(columns).T
    rate = np.abs(np.linalg.eigvals(J)).max()
    # Central differences err by h^2; a defective eigenvalue by the root of that.
    assert rate == pytest.approx(float(local_contraction_rate(game, best, gamma)[0]), abs=1e-5)


def test_the_constants_do_not_count_for_the_local_rate():
    """For n = 3 the trivial direction would make the rate q, which is wrong."""
    game = RPS.regularized(0.483)
    best = regularized_equilibrium(game).log_policy
    q, lam = 1 / (1 + 2 * 0.483), np.sqrt(3) / 6
    np.testing.assert_allclose(local_frequencies(game.game, np.exp(best)), [[lam, lam]], rtol=1e-12)
    expected = abs(q * (1 - q * (2 * lam) ** 2 + 2j * q * lam))
    assert local_contraction_rate(game, best, 2.0)[0] == pytest.approx(expected, rel=1e-12)
    assert expected < q - 0.01
    assert self_play_threshold(game, best)[0] == pytest.approx(2 * 0.483 / (0.483**2 + lam**2))
