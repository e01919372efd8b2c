"""Linear systems (I - gamma P_pi) x = b of one deterministic policy.

*Direct*: an LU factorisation, sparse or dense. *Krylov*: GMRES (Saad and Schultz 1986), restarted, with
one Gauss-Seidel step as right preconditioner. The states are renumbered so that each comes after its
successors wherever the policy's graph allows it (a depth-first search): the Gauss-Seidel step then
solves chains and grids almost exactly, and what remains are the edges that close cycles.

Either one holds the rows of one policy, the A-th part of the model, in its own order; all sweeps read
the model in place.

Nothing here is trusted for more than speed: the certificate comes from the Bellman sweep that follows.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import splu

from theoryrl.models import SparseTransitions
from theoryrl.solvers._rows import select_rows
from theoryrl.solvers.discounted import _kernels

Rows: TypeAlias = np.ndarray | SparseTransitions
RESTART = 24
"""Krylov vectors that are kept: 24 numbers per state."""
STAGNATION = 0.5
"""A cycle that does not reduce the residual below this part of it is the last one."""
EARLY = 8
"""Steps after which a cycle is given up that has not reduced the residual to `STAGNATION`."""
LONGEST = 480
"""Krylov steps after which an evaluation is left as it is; the search goes on from there."""


def policy_matrix(P: Rows, actions: np.ndarray) -> Any:
    """Return P_pi: a dense array [S, S], or a SciPy sparse array."""
    S = actions.size
    if not isinstance(P, SparseTransitions):
        return P[np.arange(S), actions]
    return select_rows(P, np.arange(S) * P.n_actions + actions)


def solve_directly(P: Rows, actions: np.ndarray, gamma: float, b: np.ndarray) -> np.ndarray:
    """Return x with (I - gamma P_pi) x = b by an LU factorisation."""
    chosen = policy_matrix(P, actions)
    if isinstance(chosen, np.ndarray):
        matrix = np.multiply(chosen, -gamma)
        matrix[np.diag_indices_from(matrix)] += 1.0
        lu, pivots, failed = linalg.lapack.dgetrf(matrix, overwrite_a=True)
        if failed:
            raise np.linalg.LinAlgError("I - gamma P is singular in float64")
        return np.asarray(linalg.lapack.dgetrs(lu, pivots, b)[0])
    system = sparse.eye_array(b.size, format="csc") - gamma * chosen.tocsc()
    return np.asarray(splu(sparse.csc_matrix(system)).solve(b))


@runtime_checkable
class Chain(Protocol):
    """The system of one policy, for GMRES."""

    def enter(self, b: np.ndarray) -> np.ndarray:
        """Return a vector in the chain's own numbering."""

    def precondition(self, v: np.ndarray, z: np.ndarray) -> None:
        """Write an approximate solution z of A z = v."""

    def multiply(self, v: np.ndarray, z: np.ndarray, out: np.ndarray) -> None:
        """Write A z, where z is what `precondition` made of v."""

    def leave(self, x: np.ndarray) -> np.ndarray:
        """Return a vector in the model's numbering."""


class SparseChain:
    """A = I - gamma P_pi in depth-first order, split into its lower part, diagonal and upper part."""

    def __init__(self, P: SparseTransitions, actions: np.ndarray, gamma: float) -> None:
        S, A = actions.size, P.n_actions
        rows = np.arange(S) * A + actions
        stored = int((P.row_starts[rows + 1] - P.row_starts[rows]).sum(dtype=np.int64))
        kind = P.row_starts.dtype
        self.order, self.diagonal = np.empty(S, dtype=np.int32), np.empty(S)
        _kernels.depth_first_order(P.row_starts, P.next_states, actions, A, self.order)
        self.parts = (
            np.empty(S + 1, dtype=kind),
            np.empty(S, dtype=kind),
            np.empty(stored, dtype=P.next_states.dtype),
            np.empty(stored),
        )
        model = P.probabilities, P.next_states, P.row_starts
        _kernels.split_rows(model, actions, A, gamma, self.order, *self.parts, self.diagonal)

    def enter(self, b: np.ndarray) -> np.ndarray:
        """Return a vector in the chain's own numbering."""
        return b[self.order]

    def precondition(self, v: np.ndarray, z: np.ndarray) -> None:
        """Write the Gauss-Seidel step z = (D - L)^-1 v."""
        _kernels.sweep_forward(*self.parts, self.diagonal, v, z)

    def multiply(self, v: np.ndarray, z: np.ndarray, out: np.ndarray) -> None:
        """Write A z = v - U z."""
        _kernels.subtract_upper(*self.parts, v, z, out)

    def leave(self, x: np.ndarray) -> np.ndarray:
        """Return a vector in the model's numbering."""
        result = np.empty_like(x)
        result[self.order] = x
        return result


class DenseChain:
    """A = I - gamma P_pi as a dense matrix, without a preconditioner."""

    def __init__(self, P: np.ndarray, actions: np.ndarray, gamma: float) -> None:
        self.P, self.gamma = P[np.arange(actions.size), actions], gamma

    def enter(self, b: np.ndarray) -> np.ndarray:
        """Return a copy of the vector."""
        return b.copy()

    def precondition(self, v: np.ndarray, z: np.ndarray) -> None:
        """Write v."""
        z[:] = v

    def multiply(self, v: np.ndarray, z: np.ndarray, out: np.ndarray) -> None:
        """Write z - gamma P_pi z."""
        np.dot(self.P, z, out=out)
        out *= -self.gamma
        out += z

    def leave(self, x: np.ndarray) -> np.ndarray:
        """Return the vector itself."""
        return x


def chain(P: Rows, actions: np.ndarray, gamma: float) -> Chain:
    """Return the system of a deterministic policy."""
    if isinstance(P, SparseTransitions):
        return SparseChain(P, actions, gamma)
    return DenseChain(P, actions, gamma)


def solve_by_gmres(
    system: Chain, b: np.ndarray, target: float, longest: int = LONGEST
) -> tuple[np.ndarray, bool]:
    """Return x, and whether its residual has a 2-norm of at most `target` within `longest` steps."""
    residual = system.enter(b)
    x, z, product = np.zeros_like(residual), np.empty_like(residual), np.empty_like(residual)
    norm, steps = _kernels.euclidean_norm(residual), 0
    while norm > target and steps < longest:
        taken, direction = _cycle(system, residual / norm, target / norm, min(RESTART, longest - steps))
        steps += taken
        direction *= norm
        system.precondition(direction, z)
        system.multiply(direction, z, product)
        residual -= product
        before, norm = norm, _kernels.euclidean_norm(residual)
        if norm >= before:
            break
        x += z
        if norm > STAGNATION * before:
            break
    return system.leave(x), norm <= target


def _cycle(system: Chain, first: np.ndarray, target: float, longest: int) -> tuple[int, np.ndarray]:
    """Return (steps, v): v in the Krylov space of a unit vector minimises the norm of first - A M^-1 v.

    What orthogonalisation loses to rounding is seen in the true residual, from which the next cycle
    starts.
    """
    basis = np.empty((longest + 1, first.size))
    basis[0] = first
    H, rotations = np.zeros((longest + 1, longest)), np.zeros((longest, 2))
    right = np.zeros(longest + 1)
    right[0] = 1.0
    z, column = np.empty_like(first), np.empty(longest)
    k = 0
    while k < longest and abs(right[k]) > target:
        if k == EARLY and abs(right[k]) > STAGNATION:
            break
        system.precondition(basis[k], z)
        system.multiply(basis[k], z, basis[k + 1])
        length = _kernels.orthogonalise(basis, k, column)
        H[: k + 1, k] = column[: k + 1]
        _rotate(H[:, k], length, k, rotations, right)
        k += 1
        if length <= 1e-14:
            break
    y = linalg.solve_triangular(H[:k, :k], right[:k], check_finite=False)
    return k, y @ basis[:k]


def _rotate(column: np.ndarray, below: float, k: int, rotations: np.ndarray, right: np.ndarray) -> None:
    """Bring a new column of the Hessenberg matrix to triangular form by Givens rotations."""
    for j in range(k):
        c, s = rotations[j]
        column[j], column[j + 1] = c * column[j] + s * column[j + 1], c * column[j + 1] - s * column[j]
    size = float(np.hypot(column[k], below))
    c, s = column[k] / size, below / size
    rotations[k] = c, s
    column[k], column[k + 1] = size, 0.0
    right[k + 1] = -s * right[k]
    right[k] *= c
