"""Transition probabilities with few successors, in compressed sparse rows.

Row s * A + a holds the successors of the pair (s, a) and their probabilities. A model keeps either a
dense array P[S, A, S] or a `SparseTransitions`; solvers take both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import (
    ROW_SUM_TOLERANCE,
    at,
    check_count,
    check_type,
    first_index,
    index_array,
    real_array,
)

BLOCK = 1 << 16
"""Rows that are checked at a time, so that the checks need little memory beside the model."""


@dataclass(frozen=True, eq=False)
class SparseTransitions(Frozen):
    """Rows of a stochastic matrix of shape (S A, S) in CSR form.

    Parameters
    ----------
    probabilities
        The stored probabilities, row after row: shape [N].
    next_states
        The successor of each stored probability: shape [N]. One that occurs twice in a row adds up.
    row_starts
        Where each row begins, and N at the end: shape [S A + 1].
    n_states
        Number of states S.

    Notes
    -----
    Indices are kept as int32 where S and N are below 2^31, which saves a third of the memory traffic,
    and as int64 otherwise. A row may be empty; a model accepts that for actions that are not
    available.
    """

    probabilities: Float[np.ndarray, " N"]
    next_states: Int[np.ndarray, " N"]
    row_starts: Int[np.ndarray, " R1"]
    n_states: int

    def __post_init__(self) -> None:
        S = check_count("n_states", self.n_states)
        probabilities = real_array("probabilities", self.probabilities, ("N",), allow_empty=True)
        N = probabilities.size
        next_states = index_array("next_states", self.next_states, (N,), S, allow_empty=True)
        row_starts = index_array("row_starts", self.row_starts, ("R",), N + 1)
        _check_starts(row_starts, N, S)
        negative = probabilities < 0
        if negative.any():
            index = first_index(negative)
            raise ValueError(
                f"{at('probabilities', index)} must be a probability; got {float(probabilities[index])!r}"
            )
        kind = np.int32 if max(S, N) < 2**31 else np.int64
        for name, value in (
            ("probabilities", probabilities),
            ("next_states", _narrowed(next_states, kind)),
            ("row_starts", _narrowed(row_starts, kind)),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def from_scipy(cls, matrix: Any) -> SparseTransitions:
        """Return the rows of a SciPy sparse matrix or array of shape (S A, S)."""
        if not sparse.issparse(matrix):
            raise ValueError(f"P must be a SciPy sparse matrix; got {type(matrix).__name__}")
        rows = matrix.tocsr()
        return cls(rows.data, rows.indices, rows.indptr, rows.shape[1])

    def to_scipy(self) -> sparse.csr_array:
        """Return the rows as a SciPy array of shape (S A, S), which shares their memory."""
        shape = self.n_rows, self.n_states
        return sparse.csr_array(
            (self.probabilities, self.next_states, self.row_starts), shape=shape, copy=False
        )

    @property
    def n_rows(self) -> int:
        """Number of rows, S A."""
        return int(self.row_starts.size) - 1

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return self.n_rows // self.n_states

    @property
    def shape(self) -> tuple[int, int, int]:
        """(S, A, S), as of the dense array that it stands for."""
        return self.n_states, self.n_actions, self.n_states

    @property
    def nbytes(self) -> int:
        """Bytes of the three arrays."""
        return int(self.probabilities.nbytes + self.next_states.nbytes + self.row_starts.nbytes)

    @cached_property
    def longest_row(self) -> int:
        """Largest number of stored successors of a pair."""
        return int(np.diff(self.row_starts).max())

    def __repr__(self) -> str:
        return f"SparseTransitions(S={self.n_states}, A={self.n_actions}, stored={self.probabilities.size})"


Transitions = Float[np.ndarray, "S A S"] | SparseTransitions
"""What a model keeps as `P`."""


def as_transitions(P: Any) -> Any:
    """Return `P` as a read-only dense array [S, A, S], or as `SparseTransitions`."""
    if isinstance(P, SparseTransitions):
        return P
    if sparse.issparse(P):
        return SparseTransitions.from_scipy(P)
    return real_array("P", P, ("S", "A", "S"))


def check_rows(P: Any, allowed: np.ndarray | None) -> float:
    """Raise unless the row of every available action is a distribution; return how far off sums are.

    The result bounds the distance of every row sum from one, rounding of the summation included.
    Sums are taken in the longest floating type, because a solver's certificate multiplies this
    number by 1 / (1 - gamma)^2.
    """
    if not isinstance(P, SparseTransitions):
        negative = P < 0
        if negative.any():
            index = first_index(negative)
            raise ValueError(f"{at('P', index)} must be a probability; got {float(P[index])!r}")
    S, A, _ = P.shape
    error = 0.0
    for first, sums in _row_sums(P):
        off = np.abs(sums - 1)
        if allowed is not None:
            off[~allowed.reshape(-1)[first : first + off.size]] = 0
        if off.size and off.max() > ROW_SUM_TOLERANCE:
            row = first + int(np.argmax(off > ROW_SUM_TOLERANCE))
            raise ValueError(f"P[{row // A}, {row % A}, :] must sum to 1; it sums to {_row_sum(P, row)!r}")
        error = max(error, float(off.max(initial=0)))
    terms = P.longest_row if isinstance(P, SparseTransitions) else S
    return error * (1 + 1e-9) + terms * float(np.finfo(np.longdouble).eps)


def _row_sums(P: Any) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, sums of a block of rows) in extended precision."""
    if not isinstance(P, SparseTransitions):
        for s in range(P.shape[0]):
            yield s * P.shape[1], P[s].sum(axis=-1, dtype=np.longdouble)
        return
    for first in range(0, P.n_rows, BLOCK):
        starts = P.row_starts[first : first + BLOCK + 1]
        begin = int(starts[0])
        entries = P.probabilities[begin : int(starts[-1])].astype(np.longdouble)
        sums = np.zeros(starts.size - 1, dtype=np.longdouble)
        filled = np.diff(starts) > 0
        if filled.any():
            sums[filled] = np.add.reduceat(entries, (starts[:-1] - begin)[filled])
        yield first, sums


def _row_sum(P: Any, row: int) -> float:
    if isinstance(P, SparseTransitions):
        return float(P.probabilities[P.row_starts[row] : P.row_starts[row + 1]].sum())
    return float(P.reshape(-1, P.shape[2])[row].sum())


def _check_starts(row_starts: np.ndarray, N: int, S: int) -> None:
    rows = row_starts.size - 1
    if rows < 1 or rows % S:
        raise ValueError(f"row_starts must have S A + 1 entries with S = {S}; got {row_starts.size}")
    for index, wanted in ((0, 0), (rows, N)):
        if row_starts[index] != wanted:
            raise ValueError(f"row_starts[{index}] must be {wanted}; got {row_starts[index]}")
    falling = np.diff(row_starts) < 0
    if falling.any():
        index = int(np.argmax(falling)) + 1
        raise ValueError(f"row_starts[{index}] must not be below the one before; got {row_starts[index]}")


def _narrowed(indices: np.ndarray, kind: Any) -> np.ndarray:
    narrow = indices.astype(kind, copy=False)
    narrow.setflags(write=False)
    return narrow


def check_allowed(allowed: Any, S: int, A: int) -> np.ndarray | None:
    """Return the mask of available actions as a read-only array, or None if all are available."""
    if allowed is None:
        return None
    check_type("allowed", allowed, np.ndarray, list, tuple)
    mask = np.array(allowed)
    if mask.dtype != np.bool_ or mask.shape != (S, A):
        raise ValueError(
            f"allowed must be boolean of shape ({S}, {A}); got {mask.dtype} of shape {mask.shape}"
        )
    empty = ~mask.any(axis=1)
    if empty.any():
        state = int(np.argmax(empty))
        raise ValueError(f"allowed[{state}, :] must have an available action; got none")
    mask.setflags(write=False)
    return mask
