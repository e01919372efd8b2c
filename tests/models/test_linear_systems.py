"""Systems and sequences of them: what is kept is what was given, and what is wrong is named."""

import contextlib

import numpy as np
import pytest
from scipy import sparse

from theoryrl.instances import heat_equation, random_spd, shifted_laplacian
from theoryrl.instances.linear_systems import domain_laplacian, l_shape, laplacian
from theoryrl.models import LinearSystems, RelaxationTuning, SPDMatrix, load, save
from theoryrl.protocol import as_problem, relaxation_table
from theoryrl.solvers import counts_at, iteration_table

A = np.array([[4.0, -1.0, 0.5], [-1.0, 3.0, 0.0], [0.5, 0.0, 2.0]])


@pytest.mark.parametrize("given", [A, sparse.csr_array(A), sparse.coo_matrix(A), sparse.csc_matrix(A)])
def test_a_matrix_is_kept_as_it_was_given(given):
    matrix = SPDMatrix.of(given)
    np.testing.assert_array_equal(matrix.dense(), A)
    assert matrix.definite
    assert SPDMatrix.of(matrix) is matrix


def test_duplicates_of_a_sparse_matrix_are_summed_and_its_source_is_left_alone():
    given = sparse.coo_array(([1.0, 1.0, 3.0], ([0, 0, 1], [0, 0, 1])), shape=(2, 2))
    np.testing.assert_array_equal(SPDMatrix.of(given).dense(), np.diag([2.0, 3.0]))
    assert given.nnz == 3


def test_rounding_of_an_assembly_is_no_asymmetry_and_more_is():
    rounded = A.copy()
    rounded[0, 1] += 1e-15
    SPDMatrix.of(rounded)
    rounded[0, 1] += 1e-9
    with pytest.raises(ValueError, match=r"A must be symmetric; A\[0, 1\]"):
        SPDMatrix.of(rounded)


def test_dominance_proves_definiteness_only_with_a_strict_row_in_every_part():
    assert SPDMatrix.of(laplacian(60)).definite  # 3600 unknowns: no dense factor is tried
    ring = 2 * np.eye(4) - np.roll(np.eye(4), 1, axis=0) - np.roll(np.eye(4), -1, axis=0)
    with pytest.raises(ValueError, match="positive definite"):
        SPDMatrix.of(ring - 1e-9 * np.eye(4))


def neumann(rows, columns):
    """The Laplacian of a grid without boundary values: singular, constants are its kernel."""

    def path(n):
        steps = np.diff(np.eye(n), axis=0)
        return steps.T @ steps

    return np.kron(path(rows), np.eye(columns)) + np.kron(np.eye(rows), path(columns))


def accepted(factor, rows):
    for columns in range(2, 8):
        with contextlib.suppress(ValueError):
            yield SPDMatrix.of(factor * neumann(rows, columns))


@pytest.mark.parametrize("factor", [1.0, 0.3])
def test_a_singular_matrix_is_never_proved_definite_though_rounding_gives_it_a_factor(factor):
    """Neither by a Cholesky factor, nor by sums of rows that round to less than the diagonal."""
    kept = [matrix for rows in range(2, 8) for matrix in accepted(factor, rows)]
    assert kept  # some have a factor
    assert not any(matrix.definite for matrix in kept)
    weights = np.random.default_rng(0).random((50, 50))
    graph = np.triu(weights, 1) + np.triu(weights, 1).T
    large = np.kron(np.eye(45), np.diag(graph.sum(axis=1)) - graph)  # 2250 unknowns: dominance decides
    assert not SPDMatrix.of(sparse.csr_array(large)).definite


def test_an_ill_conditioned_matrix_is_proved_definite_whatever_its_units():
    units = np.diag(10.0 ** np.arange(-6, 4))
    hilbert_like = np.eye(10) + 0.999 * (np.ones((10, 10)) - np.eye(10))
    assert SPDMatrix.of(units @ hilbert_like @ units).definite


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, -1.0], [], [], [0, 0, 0]), r"diagonal\[1\] must be positive; got -1\.0"),
        (([1.0, 1.0], [0.5], [1], [0, 0, 1]), r"indices\[0\] must be below its row 1; got 1"),
        (([1.0, 1.0], [0.5], [0], [0, 1, 0]), "indptr must increase from 0 to 1"),
        (([3.0, 3.0, 3.0], [0.5, 0.5], [1, 0], [0, 0, 0, 2]), r"indices\[1\] must increase within its row"),
        (([1.0, 1.0], [np.nan], [0], [0, 0, 1]), r"data\[0\] must be finite"),
    ],
)
def test_a_triangle_that_is_none_is_refused(arguments, message):
    diagonal, data, indices, indptr = arguments
    with pytest.raises(ValueError, match=message):
        SPDMatrix(np.array(diagonal), np.array(data), np.array(indices, dtype=np.int64), np.array(indptr))


def sequence(**changes):
    fields = {
        "matrices": (SPDMatrix.of(A),),
        "matrix": np.array([0, 0]),
        "scale": np.ones(2),
        "shift": np.array([0.0, 0.5]),
        "targets": np.ones((2, 3)),
        "order": np.array([0, 1, 1]),
    }
    return LinearSystems(**(fields | changes))


def test_a_sequence_yields_its_systems_in_order():
    systems = sequence(scale=np.array([1.0, 2.0]))
    listed = list(systems)
    assert len(listed) == systems.rounds == 3
    np.testing.assert_allclose(listed[1][0].toarray(), 2 * A + 0.5 * np.eye(3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"matrices": ()}, "matrices must not be empty"),
        ({"matrices": (A,)}, r"matrices\[0\] must be a SPDMatrix; got ndarray"),
        ({"matrices": (SPDMatrix.of(A), SPDMatrix.of(np.eye(2)))}, r"matrices\[1\] has order 2"),
        ({"matrix": np.array([0, 1])}, r"matrix\[1\] must be in \[0, 1\); got 1"),
        ({"order": np.array([0, 2])}, r"order\[1\] must be in \[0, 2\); got 2"),
        ({"scale": np.array([1.0, 0.0])}, "system 1 must have a positive scale and diagonal"),
        ({"shift": np.array([-2.0, 0.0])}, "system 0 must have a positive scale and diagonal"),
        ({"targets": np.ones((2, 2))}, "targets must have shape"),
        ({"starts": np.ones((1, 3))}, "starts must have shape"),
        ({"contexts": np.ones(3)}, "contexts need context_range"),
        ({"contexts": np.ones(3), "context_range": (2.0, 3.0)}, r"contexts\[0\] must be in"),
    ],
)
def test_a_sequence_that_is_none_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        sequence(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"omegas": [1.0, 2.0]}, r"omegas\[1\] must be in \(0, 2\)"),
        ({"omegas": [1.5, 1.5]}, r"omegas\[1\] must be larger"),
        ({"method": "jacobi"}, "method must be one of"),
        ({"tolerance": 0.0}, "tolerance must be in"),
        ({"largest_count": 1}, "largest_count must be at least 2"),
    ],
)
def test_a_task_that_is_none_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        RelaxationTuning(**({"systems": sequence(), "omegas": [1.0, 1.5]} | changes))


def test_a_bound_on_the_counts_that_does_not_hold_is_refused_before_anyone_relies_on_it():
    tuning = RelaxationTuning(sequence(), np.array([1.0, 1.9]), largest_count=3)
    with pytest.raises(ValueError, match="largest_count must be at least"):
        relaxation_table(tuning)


def test_a_solve_that_does_not_converge_counts_as_one_more_than_was_tried():
    tuning = RelaxationTuning(sequence(), np.array([1.9]), max_iterations=5)
    assert iteration_table(tuning).tolist() == [[6], [6]]


@pytest.mark.parametrize("make", [shifted_laplacian, heat_equation, random_spd])
def test_a_task_survives_a_file(make, tmp_path):
    tuning = make(rounds=5)
    save(tuning, tmp_path / "task.npz")
    again = load(tmp_path / "task.npz")
    np.testing.assert_array_equal(iteration_table(again), iteration_table(tuning))
    assert as_problem(again).spec(5).context_range == tuning.systems.context_range


def test_the_heat_equation_follows_its_own_solution():
    """Each start is the solution of the system before, and what moves is what was asked for."""
    systems = heat_equation(side=6, rounds=4, dt=0.01).systems
    for t in range(3):
        K, b = systems.system(t)
        np.testing.assert_allclose(K @ systems.starts[t + 1], b, atol=1e-10)
    assert np.unique(heat_equation(side=6, rounds=4, moving="source").systems.scale).size == 1
    quiet = heat_equation(side=6, rounds=40, dt=0.02, moving="diffusion").systems
    assert np.linalg.norm(quiet.starts[-1]) < np.linalg.norm(quiet.starts[0])


def test_the_laplacian_of_a_domain_has_its_neighbours():
    square = laplacian(3).toarray()
    np.testing.assert_array_equal(domain_laplacian(np.ones((3, 3), dtype=bool)).toarray(), square)
    assert square[4].tolist() == [0, -1, 0, -1, 4, -1, 0, -1, 0]
    shape = l_shape(4)
    assert shape.sum() == 12
    np.testing.assert_array_equal(
        domain_laplacian(shape).toarray(), laplacian(4).toarray()[np.ix_(*[shape.ravel()] * 2)]
    )


def test_a_shift_that_makes_a_system_indefinite_is_found_by_conjugate_gradients():
    """-3 I shifts the Laplacian's smallest eigenvalue below zero, and leaves its diagonal positive."""
    systems = LinearSystems(
        (SPDMatrix.of(laplacian(5)),),
        np.array([0]),
        np.ones(1),
        np.array([-3.0]),
        np.ones((1, 25)),
        np.array([0]),
    )
    tuning = RelaxationTuning(systems, np.array([1.0]), "ssor-pcg")
    for count in (lambda: iteration_table(tuning), lambda: counts_at(tuning, np.array([1.5]))):
        with pytest.raises(ValueError, match="A of system 0 must be positive definite"):
            count()
    diverging = RelaxationTuning(systems, np.array([1.0]), "sor", max_iterations=50)
    assert iteration_table(diverging).tolist() == [[51]]
