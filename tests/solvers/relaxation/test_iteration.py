"""SOR, symmetric SOR and SSOR-PCG are what their definitions say, and say so when they fail."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import spsolve

from tests.solvers.relaxation.systems import MATRICES, as_csr, random_spd, split
from theoryrl.instances.linear_systems import laplacian
from theoryrl.models import SPDMatrix
from theoryrl.solvers import (
    LinearSolveError,
    NotPositiveDefiniteError,
    conjugate_gradients,
    defect_matrix,
    sor,
    ssor,
    ssor_pcg,
)

ROUNDING = 1e-12
"""Of a few hundred sweeps on residuals of order one: each rounds by some units of 2^-53, and none grows."""


def dense_history(A, b, omega, symmetric, tol=1e-8, x0=None):
    """Residual norms of the dense recursion r <- C_w r until below tol times the first."""
    C = defect_matrix(A, omega, symmetric=symmetric)
    r = b - A @ (np.zeros_like(b) if x0 is None else x0)
    norms = [np.linalg.norm(r)]
    while norms[-1] >= tol * norms[0] or len(norms) == 1:
        r = C @ r
        norms.append(np.linalg.norm(r))
    return np.array(norms)


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("omega", [0.7, 1.0, 1.4, 1.9])
@pytest.mark.parametrize("method", [sor, ssor])
@pytest.mark.parametrize("warm", [False, True])
def test_counts_and_residuals_are_those_of_the_dense_recursion(name, omega, method, warm):
    A, rng = MATRICES[name], np.random.default_rng(0)
    b, x0 = rng.standard_normal(len(A)), rng.standard_normal(len(A)) if warm else None
    found = method(as_csr(A), b, omega, x0)
    expected = dense_history(A, b, omega, method is ssor, x0=x0)
    assert found.converged
    assert found.iterations == len(expected) - 1
    np.testing.assert_allclose(found.residuals, expected, atol=ROUNDING * expected.max())


def test_one_sweep_is_the_textbook_sweep():
    A, b = MATRICES["random"], np.arange(20.0)
    x, omega = np.linspace(-1, 1, 20), 1.3
    expected = x.copy()
    for i in range(20):
        expected[i] += omega / A[i, i] * (b[i] - A[i] @ expected)
    np.testing.assert_allclose(sor(A, b, omega, x, max_iterations=1).x, expected, atol=1e-12)
    for i in reversed(range(20)):
        expected[i] += omega / A[i, i] * (b[i] - A[i] @ expected)
    np.testing.assert_allclose(ssor(A, b, omega, x, max_iterations=1).x, expected, atol=1e-12)


def dense_pcg(A, b, P, tol=1e-8):
    """Iterations of textbook preconditioned conjugate gradients."""
    x, r = np.zeros_like(b), b.copy()
    z = np.linalg.solve(P, r)
    p = z.copy()
    for k in range(1, 1000):
        q = A @ p
        step = (r @ z) / (p @ q)
        x, r_next = x + step * p, r - step * q
        if np.linalg.norm(r_next) <= tol * np.linalg.norm(b):
            return k
        z_next = np.linalg.solve(P, r_next)
        p = z_next + (r_next @ z_next) / (r @ z) * p
        r, z = r_next, z_next
    raise AssertionError


@pytest.mark.parametrize("name", ["laplacian", "random"])
@pytest.mark.parametrize("omega", [0.8, 1.0, 1.5, 1.9])
@pytest.mark.parametrize("order", ["forward", "reversed"])
def test_ssor_pcg_counts_those_of_textbook_conjugate_gradients(name, omega, order):
    A = MATRICES[name]
    D, L = split(A)
    X = D + omega * L
    factors = (X, X.T) if order == "forward" else (X.T, X)
    P = factors[0] @ np.linalg.inv(D) @ factors[1] / (omega * (2 - omega))
    b = np.random.default_rng(1).standard_normal(len(A))
    found = ssor_pcg(A, b, omega, order=order)
    assert found.converged
    assert (
        abs(found.iterations - dense_pcg(A, b, P)) <= 1
    )  # rounding may move a residual across the tolerance


def test_the_reversed_order_is_the_forward_order_of_the_reversed_system():
    A, b = random_spd(30, 4), np.random.default_rng(2).standard_normal(30)
    flipped = ssor_pcg(np.ascontiguousarray(A[::-1, ::-1]), b[::-1].copy(), 1.6, order="forward")
    there = ssor_pcg(A, b, 1.6, order="reversed")
    assert flipped.iterations == there.iterations
    np.testing.assert_allclose(flipped.x[::-1], there.x, atol=1e-9)


@given(st.integers(0, 10_000), st.floats(0.1, 1.9), st.sampled_from([sor, ssor, ssor_pcg]))
def test_the_solution_is_that_of_a_direct_solver_up_to_the_certificate(seed, omega, method):
    A = random_spd(8, seed)
    b = np.random.default_rng(seed).standard_normal(8)
    found = method(A, b, omega, tol=1e-6, max_iterations=100_000)
    assert found.converged
    least = np.linalg.eigvalsh(A)[0]
    exact = np.linalg.solve(A, b)
    slack = 1e-12 * np.linalg.cond(A) * np.linalg.norm(exact)
    assert np.linalg.norm(found.x - exact) <= found.error_bound(0.999 * least) + slack
    assert found.residual <= found.residual_bound


@given(st.integers(0, 1000), st.floats(0.05, 20.0), st.floats(0.0, 3.0))
def test_scale_and_shift_are_those_of_the_assembled_matrix(seed, scale, shift):
    A, b = random_spd(10, seed), np.ones(10)
    assembled = scale * A + shift * np.eye(10)
    for method in (sor, ssor, ssor_pcg):
        one, other = method(assembled, b, 1.2), method(A, b, 1.2, scale=scale, shift=shift)
        assert abs(one.iterations - other.iterations) <= 1
        np.testing.assert_allclose(one.x, other.x, atol=1e-6 * np.abs(one.x).max())


def test_a_scaled_system_has_the_same_count():
    A, b = laplacian(8), np.random.default_rng(0).standard_normal(64)
    assert sor(A, b, 1.5).iterations == sor(A, b, 1.5, scale=8.0).iterations == sor(A, 4 * b, 1.5).iterations


def test_a_zero_residual_needs_no_iteration():
    A = MATRICES["laplacian"]
    for method in (sor, ssor, ssor_pcg):
        assert (method(A, np.zeros(36)).iterations, method(A, np.zeros(36)).converged) == (0, True)
    x = np.ones(36)
    assert sor(A, A @ x, 1.0, x).iterations == 0


def test_an_iteration_that_does_not_converge_says_so_and_shows_its_residuals():
    b = np.ones(100)
    found = sor(laplacian(10), b, 1.0, max_iterations=20)
    assert not found.converged
    assert found.iterations == 20
    assert len(found.residuals) == 21
    assert (np.diff(found.residuals) < 0).all()
    assert "NOT converged" in repr(found)
    with pytest.raises(
        LinearSolveError, match=r"sor with omega = 1 did not converge in 20 iterations.*history"
    ):
        raise LinearSolveError(found)


@pytest.mark.parametrize("method", [sor, ssor])
def test_an_unreachable_tolerance_is_not_reported_as_reached(method):
    """The updated residual shrinks without end; the one computed anew stalls at rounding."""
    found = method(laplacian(10), np.random.default_rng(0).standard_normal(100), 1.5, tol=1e-17)
    assert not found.converged
    assert found.residual > 1e-17 * found.residuals[0]


def test_a_tolerance_near_rounding_is_reached_by_going_on_from_the_true_residual():
    b = np.random.default_rng(0).standard_normal(100)
    found = ssor_pcg(laplacian(10), b, 1.5, tol=3e-15)
    assert found.converged
    assert found.residual <= 3e-15 * np.linalg.norm(b)


INDEFINITE = np.array([[1.0, 2.0], [2.0, 1.0]])


def large_indefinite():
    """Too large for the proof by a dense factor, with positive diagonal and a negative eigenvalue."""
    A = sparse.lil_array(sparse.eye_array(2100))
    A[0, 1] = A[1, 0] = 2.0
    return A


def test_a_matrix_that_is_not_positive_definite_is_refused_at_once_or_when_it_shows():
    with pytest.raises(ValueError, match="must be positive definite; its smallest eigenvalue is -1"):
        sor(INDEFINITE, np.ones(2))
    large, b = SPDMatrix.of(large_indefinite()), np.r_[1.0, -1.0, np.ones(2098)]
    assert not large.definite
    for method in (sor, ssor, ssor_pcg, conjugate_gradients):
        with pytest.raises(NotPositiveDefiniteError, match="A must be positive definite"):
            method(large, b)


@pytest.mark.parametrize("method", [sor, ssor, ssor_pcg])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"A": np.ones((2, 3))}, r"A must be square; got shape \(2, 3\)"),
        ({"A": sparse.csr_array(np.ones((2, 3)))}, r"A must be square; got shape \(2, 3\)"),
        ({"A": np.array([[1.0, np.nan], [np.nan, 1.0]])}, r"A\[0, 1\] must be finite; got nan"),
        ({"A": sparse.csr_array([[1.0, np.inf], [np.inf, 1.0]])}, r"A\[0, 1\] must be finite; got inf"),
        ({"A": np.array([[1.0, 0.5], [0.5, 0.0]])}, r"A\[1, 1\] must be positive; got 0\.0"),
        ({"A": np.diag([1.0, -2.0])}, r"A\[1, 1\] must be positive; got -2\.0"),
        (
            {"A": np.array([[1.0, 0.5], [0.4, 1.0]])},
            r"A must be symmetric; A\[0, 1\] = 0\.5, A\[1, 0\] = 0\.4",
        ),
        ({"A": np.array([[1.0, 1j], [-1j, 1.0]])}, "A must hold real numbers"),
        ({"omega": 0.0}, r"omega must be in \(0, 2\); got 0\.0"),
        ({"omega": 2.0}, r"omega must be in \(0, 2\); got 2\.0"),
        ({"omega": float("nan")}, "omega must be a finite number"),
        ({"b": np.ones(3)}, r"b must have shape \(2\); got shape \(3,\)"),
        ({"b": np.array([1.0, np.nan])}, r"b\[1\] must be finite; got nan"),
        ({"x0": np.array([np.inf, 1.0])}, r"x0\[0\] must be finite; got inf"),
        ({"tol": 0.0}, r"tol must be in \(0, 1\); got 0\.0"),
        ({"max_iterations": 0}, "max_iterations must be at least 1; got 0"),
        ({"shift": -1.0}, r"shift leave a positive diagonal; .* shift -1\.0"),
        ({"scale": -1.0}, "scale must be positive"),
    ],
)
def test_bad_input_is_named_with_its_first_bad_entry(method, arguments, message):
    good = {"A": np.array([[1.0, 0.5], [0.5, 1.0]]), "b": np.ones(2), "omega": 1.0}
    with pytest.raises(ValueError, match=message):
        method(**(good | arguments))


def test_a_sparse_matrix_of_complex_numbers_is_refused():
    with pytest.raises(ValueError, match="A must hold real numbers"):
        sor(sparse.csr_array([[1.0, 1j], [-1j, 1.0]]), np.ones(2))


def test_conjugate_gradients_solve_the_system():
    A = laplacian(12)
    b = np.random.default_rng(0).standard_normal(144)
    np.testing.assert_allclose(conjugate_gradients(A, b, tol=1e-12).x, spsolve(A.tocsc(), b), atol=1e-9)


def test_the_order_of_the_preconditioner_is_checked():
    with pytest.raises(ValueError, match="order must be forward or reversed; got 'x'"):
        ssor_pcg(np.eye(2), np.ones(2), order="x")


@pytest.mark.parametrize("method", [ssor_pcg, conjugate_gradients])
def test_conjugate_gradients_answer_a_zero_target_from_any_start(method):
    """No residual is small relative to zero, and rounding on the way there looks like bad curvature."""
    found = method(laplacian(4), np.zeros(16), x0=np.ones(16))
    assert found.converged
    assert (found.iterations, found.residual) == (0, 0.0)
    np.testing.assert_array_equal(found.x, 0)
