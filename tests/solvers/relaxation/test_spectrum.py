"""Radii, bounds and their certificates, against dense eigenvalues and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.solvers.relaxation.systems import MATRICES, random_spd, split, tridiagonal
from theoryrl.instances.linear_systems import laplacian
from theoryrl.models import SPDMatrix
from theoryrl.solvers import (
    NotConsistentlyOrderedError,
    adaptive_beta,
    consistent_ordering,
    defect_matrix,
    energy_norm,
    exact_energy_norm,
    iteration_bound,
    jacobi_radius,
    near_asymptotic,
    optimal_omega,
    sor,
    sor_spectral_radius,
    spectral_radius,
    ssor_condition,
    young_omega,
    young_radius,
)
from theoryrl.solvers.relaxation.surrogate import crossing

EIGENVALUE = 1e-9
"""Of a simple eigenvalue of a small well-conditioned matrix; a double one errs by its square root."""

SEEDS = st.integers(0, 10_000)


def dense_radius(C):
    return np.abs(np.linalg.eigvals(C)).max()


@given(SEEDS, st.integers(2, 12))
def test_a_tridiagonal_matrix_is_consistently_ordered_and_its_certificate_can_be_read_off(seed, n):
    A = tridiagonal(n, seed)
    gamma = consistent_ordering(A)
    rows, columns = np.nonzero(np.tril(A, -1))
    assert (gamma[rows] - gamma[columns] == 1).all()


def test_a_triangle_of_neighbours_and_a_bad_order_are_not_consistently_ordered():
    triangle = np.full((3, 3), -0.3) + 1.3 * np.eye(3)
    square = 2 * np.eye(4)
    for i, j in ((0, 1), (1, 2), (2, 3), (0, 3)):  # the cycle 0-1-2-3 goes up three times and down once
        square[i, j] = square[j, i] = -0.5
    for A in (triangle, square):
        assert consistent_ordering(A) is None
        with pytest.raises(NotConsistentlyOrderedError):
            optimal_omega(A)
    red_black = square[np.ix_([0, 2, 1, 3], [0, 2, 1, 3])]
    assert consistent_ordering(red_black) is not None


def test_consistent_ordering_is_what_brute_force_over_all_vectors_finds():
    rng = np.random.default_rng(0)
    for _ in range(60):
        n = 4
        A = 9 * np.eye(n)
        for i in range(n):
            for j in range(i):
                A[i, j] = A[j, i] = rng.integers(2)
        rows, columns = np.nonzero(np.tril(A, -1))
        vectors = np.stack(np.meshgrid(*[np.arange(n)] * n), axis=-1).reshape(-1, n)
        exists = bool((vectors[:, rows] - vectors[:, columns] == 1).all(axis=1).any())
        assert (consistent_ordering(A) is not None) == exists


@given(SEEDS, st.floats(0.05, 1.95))
def test_youngs_formula_is_the_dense_radius_away_from_the_double_eigenvalue(seed, omega):
    A = tridiagonal(9, seed)
    found = sor_spectral_radius(A, omega)
    exact = dense_radius(defect_matrix(A, omega))
    near = abs(omega - optimal_omega(A).value) < 0.02
    assert abs(found.value - exact) < (1e-6 if near else EIGENVALUE)
    assert found.lower <= found.value <= found.upper


def test_the_radius_of_the_laplacian_has_its_closed_form():
    for side in (3, 10):
        beta = jacobi_radius(laplacian(side))
        exact = math.cos(math.pi / (side + 1))
        assert beta.lower <= exact <= beta.upper
        assert beta.upper - beta.lower < 1e-12
        omega = optimal_omega(laplacian(side))
        assert omega.lower <= 2 / (1 + math.sin(math.pi / (side + 1))) <= omega.upper


@given(SEEDS, st.floats(0.1, 1.9))
def test_powers_enclose_the_radius_of_a_matrix_that_young_does_not_cover(seed, omega):
    A = random_spd(7, seed)
    found = sor_spectral_radius(A, omega)
    exact = dense_radius(defect_matrix(A, omega))
    assert found.lower <= exact + EIGENVALUE
    assert exact <= found.upper + EIGENVALUE
    assert found.upper / found.lower < 1.01
    assert abs(1 - omega) <= found.upper


def test_the_radius_of_a_nilpotent_matrix_is_zero():
    assert spectral_radius(np.array([[0.0, 1.0], [0.0, 0.0]])).value == 0.0


@given(st.floats(0.01, 0.999), st.floats(0.01, 1.99))
def test_the_optimal_parameter_is_optimal_and_beta_can_be_read_from_the_ratio(beta, omega):
    assert young_radius(beta, young_omega(beta)) <= young_radius(beta, omega) + 1e-7
    if omega < young_omega(beta) - 1e-6:
        assert abs(adaptive_beta(young_radius(beta, omega), omega) - beta) < 1e-6


@pytest.mark.parametrize("shift", [-0.1, 0.0, 0.3])
def test_the_crossing_is_one_and_the_bound_covers_the_hardest_targets(shift):
    A = laplacian(5)
    found = near_asymptotic(A, np.linspace(1.0, 1.95, 8), shift=shift)
    assert 0 < found.tau < 1
    for omega, k, norm, bound in zip(found.omegas, found.crossings, found.norms, found.bounds, strict=True):
        C = defect_matrix(A, float(omega), shift=shift)
        power = np.linalg.matrix_power(C, int(k))
        assert abs(np.linalg.norm(power, 2) / norm - 1) < 1e-6
        assert norm >= 1e-8 > np.linalg.norm(power @ C, 2)
        for j in (k, k // 2, 3):
            hardest = np.linalg.svd(np.linalg.matrix_power(C, int(j)))[2][0]
            assert sor(A, hardest, float(omega), shift=shift).iterations <= bound


def test_an_exact_sweep_has_bound_one():
    assert crossing(np.zeros((3, 3)), 1e-8) == (0, 1.0)
    found = near_asymptotic(np.diag([1.0, 4.0]), [1.0])
    assert (found.tau, found.bounds[0]) == (0.0, 1.0)


def test_the_bound_of_a_matrix_whose_powers_do_not_shrink_is_refused():
    with pytest.raises(ValueError, match="do not become small"):
        crossing(np.eye(2), 1e-8)


def test_the_iteration_bound_is_its_formula():
    np.testing.assert_allclose(iteration_bound([0.5], 0.0, 0.25), [3.0])


@given(SEEDS, st.floats(0.1, 1.95))
def test_axelssons_bound_covers_the_condition_number_of_either_order(seed, omega):
    A = random_spd(6, seed)
    D, L = split(A)
    bound = ssor_condition(A).bound(omega)
    for lower in (L, L.T):
        X = D + omega * lower
        P = X @ np.linalg.inv(D) @ X.T / (omega * (2 - omega))
        spectrum = np.linalg.eigvals(np.linalg.solve(P, A)).real
        assert spectrum.max() / spectrum.min() <= bound * (1 + 1e-9)


@given(SEEDS)
def test_the_minimiser_of_axelssons_bound_is_its_minimiser(seed):
    found = ssor_condition(random_spd(6, seed))
    grid = np.linspace(0.01, 1.99, 199)
    assert found.bound(found.best_omega) <= min(found.bound(float(w)) for w in grid) * (1 + 1e-12)


def test_the_minimiser_on_the_laplacian_tells_whether_a_quarter_of_the_diagonal_is_subtracted():
    """Without it the inequality still holds, and only this value moves (1.558; the argmin is 1.56)."""
    found = ssor_condition(laplacian(10))
    grid = np.linspace(0.83, 1.95, 113)
    assert abs(grid[np.argmin([found.bound(float(w)) for w in grid])] - found.best_omega) <= 0.01
    assert round(found.best_omega, 3) == 1.558
    loose = found._replace(b1=found.b1 + 0.25 * found.a1)
    assert abs(loose.best_omega - 1.558) > 0.1


@given(SEEDS, st.floats(0.05, 1.95))
def test_the_energy_norm_is_below_its_bound(seed, omega):
    A = random_spd(6, seed)
    assert exact_energy_norm(A, omega) <= energy_norm(A).bound(omega) + 1e-9


def test_the_textbooks_energy_bound_is_no_bound_for_large_omega():
    """On the 10 x 10 Laplacian, as soon as Om^2 + G - 1/4 is negative."""
    A = laplacian(10)
    found = energy_norm(A)
    assert found.excess(1.5) > 0 > found.excess(1.9)
    assert found.textbook(1.5) >= exact_energy_norm(A, 1.5)
    assert found.textbook(1.9) < 0.94 < exact_energy_norm(A, 1.9) <= found.bound(1.9)


def test_dense_spectra_are_refused_for_large_matrices():
    with pytest.raises(ValueError, match="order at most 2000"):
        jacobi_radius(SPDMatrix.of(laplacian(50)))


@pytest.mark.parametrize("name", MATRICES)
def test_energy_and_condition_bounds_of_a_diagonal_matrix_are_exact(name):
    A = np.diag(np.diag(MATRICES[name]))
    assert abs(ssor_condition(A).bound(1.0) - 1) < 1e-12
    assert energy_norm(A).bound(1.0) < 1e-7


@pytest.mark.parametrize(
    "bound",
    [
        jacobi_radius,
        ssor_condition,
        energy_norm,
        lambda A, **system: near_asymptotic(A, [1.0, 1.5], **system),
        lambda A, **system: sor_spectral_radius(A, 1.2, **system),
        lambda A, **system: exact_energy_norm(A, 1.2, **system),
    ],
)
def test_bounds_refuse_a_scale_or_shift_that_leaves_no_positive_definite_matrix(bound):
    A = laplacian(4)  # smallest eigenvalue .76
    bound(A, scale=2.0, shift=-1.5)
    with pytest.raises(ValueError, match=r"shift must leave a positive definite matrix; at -1\.5"):
        bound(A, shift=-1.5)
    with pytest.raises(ValueError, match=r"scale must be positive; got -1\.0"):
        bound(A, scale=-1.0)
