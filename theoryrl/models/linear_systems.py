"""Symmetric positive definite systems, and sequences of them whose solver has a parameter to tune.

A matrix is ``A = L + D + L^T`` with D its diagonal and L strictly lower triangular; only D and L are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import (
    check_choice,
    check_count,
    check_fraction,
    check_interval,
    check_real,
    check_type,
    index_array,
    real_array,
)
from theoryrl.models.bandit import check_range

SYMMETRY_TOLERANCE = 1e-12
"""Largest difference between a_ij and a_ji, relative to sqrt(a_ii a_jj): rounding of an assembly."""

DENSE_LIMIT = 2000
"""Up to this order definiteness is proved by a dense Cholesky factor where dominance does not show it."""

UNIT = 2.0**-53
"""Relative error of one rounding."""

METHODS = ("sor", "ssor", "ssor-pcg")


@dataclass(frozen=True, eq=False)
class SPDMatrix(Frozen):
    """A sparse symmetric positive definite matrix, as its diagonal and its strict lower triangle by rows.

    Parameters
    ----------
    diagonal
        Positive: shape [n].
    data, indices, indptr
        The strict lower triangle in CSR form, columns increasing in each row: shapes [nnz], [nnz], [n+1].

    Attributes
    ----------
    definite
        True if positive definiteness is proved: by irreducible diagonal dominance, or up to order 2000 by a
        Cholesky factor that leaves room for its rounding. False if it is not known (a singular matrix may
        have a factor, thanks to rounding); then a solver that meets a direction of non-positive curvature
        says so. A matrix of order up to 2000 without a factor is refused.

    Raises
    ------
    ValueError
        Naming the first diagonal entry that is not positive, or the entry that is out of place.
    """

    diagonal: Float[np.ndarray, " n"]
    data: Float[np.ndarray, " nnz"]
    indices: Int[np.ndarray, " nnz"]
    indptr: Int[np.ndarray, " rows"]
    definite: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        diagonal = real_array("diagonal", self.diagonal, ("n",))
        n = len(diagonal)
        data = real_array("data", self.data, ("nnz",), allow_empty=True)
        indices = index_array("indices", self.indices, (len(data),), n, allow_empty=True)
        indptr = index_array("indptr", self.indptr, (n + 1,), len(data) + 1)
        _check_diagonal(diagonal)
        _check_lower(indices, indptr, len(data))
        frozen = {"diagonal": diagonal, "data": data}
        frozen |= {"indices": indices.astype(np.int32), "indptr": indptr.astype(np.int64)}
        for name, array in frozen.items():
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "definite", self._prove_definite())

    @classmethod
    def of(cls, A: Any) -> SPDMatrix:
        """Return a dense or sparse symmetric matrix in this form; an `SPDMatrix` is returned as it is.

        Raises
        ------
        ValueError
            If A is not square, not finite, not symmetric (beyond rounding, `SYMMETRY_TOLERANCE`), or has a
            diagonal entry that is not positive.
        """
        if isinstance(A, SPDMatrix):
            return A
        if sparse.issparse(A):
            if A.dtype.kind not in "fiu" or not np.can_cast(A.dtype, np.float64):
                raise ValueError(f"A must hold real numbers that fit into float64; got dtype {A.dtype}")
            whole = A.tocsr().astype(np.float64, copy=True)
        else:
            whole = sparse.csr_array(real_array("A", A, ("n", "m")))
        if whole.ndim != 2 or whole.shape[0] != whole.shape[1]:
            raise ValueError(f"A must be square; got shape {whole.shape}")
        whole.sum_duplicates()
        if not np.isfinite(whole.data).all():
            entries = whole.tocoo()
            first = int(np.argmin(np.isfinite(entries.data)))
            where = f"A[{entries.coords[0][first]}, {entries.coords[1][first]}]"
            raise ValueError(f"{where} must be finite; got {entries.data[first]}")
        diagonal = whole.diagonal()
        _check_diagonal(diagonal, "A")
        _check_symmetry(whole, diagonal)
        lower = sparse.tril(whole, -1, format="csr")
        lower.sort_indices()
        return cls(diagonal, lower.data, lower.indices, lower.indptr)

    @property
    def n(self) -> int:
        """Order of the matrix."""
        return len(self.diagonal)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Data, indices, row starts (both unsigned) and diagonal, as the kernels take them."""
        return self.data, self.indices.view(np.uint32), self.indptr.view(np.uint64), self.diagonal

    def lower(self) -> sparse.csr_array:
        """L, the strict lower triangle."""
        return sparse.csr_array((self.data, self.indices, self.indptr), shape=(self.n, self.n))

    def sparse(self) -> sparse.csr_array:
        """Return the whole matrix in CSR form."""
        L = self.lower()
        return sparse.csr_array(L + L.T + sparse.diags_array(self.diagonal))

    def dense(self) -> Float[np.ndarray, "n n"]:
        """Return the whole matrix as an array."""
        return self.sparse().toarray()

    def __repr__(self) -> str:
        return f"SPDMatrix(n={self.n}, nonzeros={self.n + 2 * len(self.data)})"

    def _prove_definite(self) -> bool:
        if self._dominant():
            return True
        if self.n > DENSE_LIMIT:
            return False
        dense = self.dense()
        try:
            np.linalg.cholesky(dense)
        except np.linalg.LinAlgError:
            least = float(np.linalg.eigvalsh(dense)[0])
            raise ValueError(f"A must be positive definite; its smallest eigenvalue is {least:.6g}") from None
        # If S = D^{-1/2} A D^{-1/2} less c has a factor, S is positive definite: the factor errs by at most
        # gamma_{n+1} tr S = n gamma_{n+1} (Rump 2006), forming S by four roundings of each entry, below n.
        root = np.sqrt(self.diagonal)
        scaled = dense / root[:, None] / root
        room = 2 * self.n * (self.n + 5) * UNIT
        try:
            np.linalg.cholesky(scaled - room * np.eye(self.n))
        except np.linalg.LinAlgError:
            return False
        return True

    def _dominant(self) -> bool:
        """Whether rows dominate, with one that does so strictly in each connected part: rounding included."""
        L = self.lower()
        off = np.abs(L).sum(axis=1) + np.abs(L).sum(axis=0)
        # Sums of whole numbers are exact; others err by one rounding for each term.
        whole = bool((self.data == np.rint(self.data)).all()) and float(off.max()) < 1 / UNIT
        longest = int((np.diff(self.indptr) + np.bincount(self.indices, minlength=self.n)).max())
        slack = 0.0 if whole else 2 * longest * UNIT
        if not (self.diagonal >= off * (1 + slack)).all():
            return False
        parts, label = connected_components(L, directed=False)
        strict = np.zeros(parts, dtype=bool)
        strict[label[self.diagonal > off * (1 + slack)]] = True
        return bool(strict.all())


def _check_diagonal(diagonal: np.ndarray, name: str = "diagonal") -> None:
    wrong = ~(diagonal > 0)
    if wrong.any():
        i = int(np.argmax(wrong))
        where = f"A[{i}, {i}]" if name == "A" else f"{name}[{i}]"
        raise ValueError(f"{where} must be positive; got {float(diagonal[i])!r}")


def _check_symmetry(whole: Any, diagonal: np.ndarray) -> None:
    difference = (whole - whole.T).tocoo()
    rows, columns = difference.coords
    wrong = np.abs(difference.data) > SYMMETRY_TOLERANCE * np.sqrt(diagonal[rows] * diagonal[columns])
    if wrong.any():
        i, j = (int(c[np.argmax(wrong)]) for c in (rows, columns))
        raise ValueError(
            f"A must be symmetric; A[{i}, {j}] = {float(whole[i, j])!r}, A[{j}, {i}] = {float(whole[j, i])!r}"
        )


def _check_lower(indices: np.ndarray, indptr: np.ndarray, nnz: int) -> None:
    if indptr[0] != 0 or indptr[-1] != nnz or (np.diff(indptr) < 0).any():
        raise ValueError(f"indptr must increase from 0 to {nnz}")
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    above = indices >= rows
    if above.any():
        k = int(np.argmax(above))
        raise ValueError(f"indices[{k}] must be below its row {rows[k]}; got {indices[k]}")
    unsorted = (np.diff(rows) == 0) & (np.diff(indices) <= 0)
    if unsorted.any():
        raise ValueError(f"indices[{int(np.argmax(unsorted)) + 1}] must increase within its row")


@dataclass(frozen=True, eq=False)
class LinearSystems(Frozen):
    """A sequence of systems ``(scale K + shift I) x = b``, fixed before any of them is solved.

    Equal systems are kept once: the sequence is ``order[t]``, the system solved in round t.

    Parameters
    ----------
    matrices
        The different matrices K, all of one order n.
    matrix, scale, shift
        Of each of the U systems: index of its K, factor, and multiple of the identity: shapes [U].
    targets
        b: shape [U, n].
    order
        The sequence: shape [T], indices of systems.
    starts
        Where the iteration starts: shape [U, n]; None for zero.
    contexts, context_range
        What is known of round t before it: shape [T]; None for nothing.

    Raises
    ------
    ValueError
        On a wrong shape, or a system whose matrix has a diagonal entry that is not positive.
    """

    matrices: tuple[SPDMatrix, ...]
    matrix: Int[np.ndarray, " U"]
    scale: Float[np.ndarray, " U"]
    shift: Float[np.ndarray, " U"]
    targets: Float[np.ndarray, "U n"]
    order: Int[np.ndarray, " T"]
    starts: Float[np.ndarray, "U n"] | None = None
    contexts: Float[np.ndarray, " T"] | None = None
    context_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not self.matrices:
            raise ValueError("matrices must not be empty")
        for index, matrix in enumerate(self.matrices):
            check_type(f"matrices[{index}]", matrix, SPDMatrix)
            if matrix.n != self.matrices[0].n:
                raise ValueError(f"matrices[{index}] has order {matrix.n}; matrices[0] has {self.n}")
        targets = real_array("targets", self.targets, ("U", self.n))
        U = len(targets)
        arrays: dict[str, Any] = {
            "matrices": tuple(self.matrices),
            "matrix": index_array("matrix", self.matrix, (U,), len(self.matrices)),
            "scale": real_array("scale", self.scale, (U,)),
            "shift": real_array("shift", self.shift, (U,)),
            "targets": targets,
            "order": index_array("order", self.order, ("T",), U),
        }
        if self.starts is not None:
            arrays["starts"] = real_array("starts", self.starts, (U, self.n))
        if self.contexts is not None:
            arrays["contexts"] = real_array("contexts", self.contexts, arrays["order"].shape)
            if self.context_range is None:
                raise ValueError("contexts need context_range, which the learner is told")
            arrays["context_range"] = check_range("context_range", self.context_range)
            check_interval("contexts", arrays["contexts"], *arrays["context_range"])
        for name, value in arrays.items():
            object.__setattr__(self, name, value)
        self._check_diagonals()

    def _check_diagonals(self) -> None:
        least = np.array([m.diagonal.min() for m in self.matrices])[self.matrix]
        wrong = (self.scale <= 0) | (self.scale * least + self.shift <= 0)
        if wrong.any():
            u = int(np.argmax(wrong))
            raise ValueError(
                f"system {u} must have a positive scale and diagonal; got scale {self.scale[u]!r}, "
                f"smallest diagonal entry {self.scale[u] * least[u] + self.shift[u]!r}"
            )

    @property
    def n(self) -> int:
        """Order of the systems."""
        return self.matrices[0].n

    @property
    def rounds(self) -> int:
        """Length T of the sequence."""
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[sparse.csr_array, Float[np.ndarray, " n"]]]:
        """Yield (A, b) of each round."""
        return (self.system(int(u)) for u in self.order)

    def system(self, u: int) -> tuple[sparse.csr_array, Float[np.ndarray, " n"]]:
        """Return (A, b) of system u."""
        K = self.matrices[self.matrix[u]].sparse()
        A = self.scale[u] * K + self.shift[u] * sparse.eye_array(self.n)
        return sparse.csr_array(A), self.targets[u]

    def __repr__(self) -> str:
        return f"LinearSystems(T={self.rounds}, n={self.n}, different={len(self.targets)})"


@dataclass(frozen=True, eq=False)
class RelaxationTuning(Frozen):
    """Choose the relaxation parameter of each system in a sequence, from iteration counts alone.

    Parameters
    ----------
    systems
        The sequence.
    omegas
        The grid of parameters, increasing, in (0, 2): shape [d].
    method
        ``"sor"``, ``"ssor"`` or ``"ssor-pcg"``.
    tolerance
        eps: the residual that ends an iteration, relative to the first residual, or for ``"ssor-pcg"`` to the
        norm of the target.
    max_iterations
        An iteration that has not converged by then counts as one more.
    largest_count
        K + 1, an upper bound on every count that the learner may be told; None: the largest one of the table
        (the learner is then told a number that only hindsight knows).
    """

    systems: LinearSystems
    omegas: Float[np.ndarray, " d"]
    method: str = "sor"
    tolerance: float = 1e-8
    max_iterations: int = 10_000
    largest_count: int | None = None

    def __post_init__(self) -> None:
        check_type("systems", self.systems, LinearSystems)
        omegas = check_omegas(self.omegas)
        object.__setattr__(self, "omegas", omegas)
        check_choice("method", self.method, METHODS)
        check_fraction("tolerance", self.tolerance)
        check_count("max_iterations", self.max_iterations)
        if self.largest_count is not None:
            check_count("largest_count", self.largest_count, low=2)

    def __repr__(self) -> str:
        return f"RelaxationTuning({self.systems!r}, {len(self.omegas)} omegas, {self.method})"


def check_omega(name: str, value: float) -> float:
    """Return a relaxation parameter as a float if it lies in (0, 2), where SOR converges."""
    omega = check_real(name, value)
    if not 0 < omega < 2:
        raise ValueError(f"{name} must be in (0, 2); got {value!r}")
    return omega


def check_omegas(values: Any) -> Float[np.ndarray, " d"]:
    """Return a grid of parameters as an increasing array in (0, 2)."""
    omegas = real_array("omegas", values, ("d",))
    for index, omega in enumerate(omegas):
        check_omega(f"omegas[{index}]", float(omega))
        if index and omega <= omegas[index - 1]:
            raise ValueError(f"omegas[{index}] must be larger than omegas[{index - 1}]; got {omega}")
    return omegas
