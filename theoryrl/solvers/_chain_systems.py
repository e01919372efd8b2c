r"""Linear systems of a Markov chain without a discount, and what their solutions prove.

*Poisson's equation* g + h = r + P h on closed sets of states, one number g for each set and h = 0 in
one state of each; regular where each set has one recurrent class, whichever state is chosen.

*Absorption* (I - Q) x = b for transient states, Q the part of P within them.

Nothing here is trusted: proofs use residuals that are computed afresh, with bounds on their rounding,
and *expected times*: any w > 0 with w >= 1 + Q w, checked entry by entry, bounds from above the
expected number of steps in the set, because w(s_t) + t is a supermartingale. Then

    |x - x'| <= w max |residual of x'|.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import splu

from theoryrl.solvers import _row_kernels
from theoryrl.solvers.solution import rounding_unit


class LinearSystem:
    """A x = b by LU, dense or sparse; a singular A gives NaN, which no proof accepts."""

    def __init__(self, A: Any) -> None:
        self.size = A.shape[0]
        self._factors: Any = None
        try:
            if isinstance(A, np.ndarray):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", linalg.LinAlgWarning)
                    self._factors = linalg.lu_factor(A, overwrite_a=True, check_finite=False)
            else:
                self._factors = splu(sparse.csc_matrix(A))
        except (RuntimeError, linalg.LinAlgError):
            self._factors = None

    def solve(self, b: np.ndarray, transposed: bool = False) -> np.ndarray:
        """Return x with A x = b, or with A' x = b."""
        if self._factors is None:
            return np.full(self.size, np.nan)
        with np.errstate(all="ignore"):
            if isinstance(self._factors, tuple):
                return np.asarray(linalg.lu_solve(self._factors, b, int(transposed), check_finite=False))
            return np.asarray(self._factors.solve(b, "T" if transposed else "N"))


class PoissonSystem:
    """g + h = r + P h on closed sets.

    Parameters
    ----------
    P
        Matrix of a chain, dense or CSR.
    groups
        Number of the closed set of each state, all in [0, K).
    anchors
        A state of each set, where h = 0.
    """

    def __init__(self, P: Any, groups: np.ndarray, anchors: np.ndarray) -> None:
        S = groups.size
        self.groups, self.anchors = groups, anchors
        states = np.arange(S)
        if isinstance(P, np.ndarray):
            A = np.negative(P)
            A[states, states] += 1.0
            A[:, anchors] = 0.0
            A[states, anchors[groups]] = 1.0
        else:
            A = _bordered(P, groups, anchors)
        self.system = LinearSystem(A)

    def solve(self, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (g, h) with g[groups] + (I - P) h = b."""
        x = self.system.solve(b)
        g = x[self.anchors]
        x[self.anchors] = 0.0
        return g, x

    def solve_stationary(self) -> np.ndarray:
        """Return the stationary law of each set, all in one vector: pi (I - P) = 0, sums one."""
        target = np.zeros(self.groups.size)
        target[self.anchors] = 1.0
        return self.system.solve(target, transposed=True)


def _bordered(P: sparse.csr_array, groups: np.ndarray, anchors: np.ndarray) -> sparse.csc_array:
    """Return I - P with the columns of the anchors replaced by the indicators of their sets."""
    S = groups.size
    is_anchor = np.zeros(S, dtype=np.bool_)
    is_anchor[anchors] = True
    source = np.repeat(np.arange(S), np.diff(P.indptr))
    kept = ~is_anchor[P.indices]
    free = np.flatnonzero(~is_anchor)
    states = np.arange(S)
    rows = np.concatenate([source[kept], free, states])
    columns = np.concatenate([P.indices[kept], free, anchors[groups]])
    entries = np.concatenate([-P.data[kept], np.ones(free.size), np.ones(S)])
    return sparse.csc_array((entries, (rows, columns)), shape=(S, S))


def absorption_system(Q: Any) -> LinearSystem:
    """Return the system I - Q."""
    if isinstance(Q, np.ndarray):
        return LinearSystem(np.eye(Q.shape[0]) - Q)
    return LinearSystem(sparse.eye_array(Q.shape[0], format="csr") - Q)


def proven_times(Q: Any, tau: float, system: LinearSystem | None = None) -> np.ndarray:
    """Return w with w >= 1 + Q w, proven: at least the expected number of steps within the set.

    Infinite everywhere if that cannot be proven.

    Parameters
    ----------
    Q
        Square block of a stochastic matrix, dense or CSR.
    tau
        Relative error of its entries.
    """
    if Q.shape[0] == 0:
        return np.zeros(0)
    w = (system or absorption_system(Q)).solve(np.ones(Q.shape[0]))
    with np.errstate(all="ignore"):
        onward = Q @ w
        unit = rounding_unit(longest_row(Q) + 4) + tau
        margin = float((w - onward - unit * (np.abs(onward) + np.abs(w))).min())
        if not (np.isfinite(w).all() and w.min() > 0 and margin > 0):
            return np.full(Q.shape[0], np.inf)
        return w / margin * (1 + 1e-14)


def longest_row(Q: Any) -> int:
    """Return the largest number of terms of a row's product with a vector."""
    return int(Q.shape[1]) if isinstance(Q, np.ndarray) else int(np.diff(Q.indptr).max(initial=0))


def differences(P: Any, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sum_t P(s, t) (h(t) - h(s)) and the same of absolute values, for each row s."""
    total, size = np.empty(h.size), np.empty(h.size)
    rows = P if isinstance(P, np.ndarray) else (P.data, P.indices, P.indptr)
    _row_kernels.drifts(rows, h, total, size)
    return total, size


def submatrix(P: Any, rows: np.ndarray, columns: np.ndarray) -> Any:
    """Return P[rows][:, columns], dense or CSR."""
    if isinstance(P, np.ndarray):
        return P[np.ix_(rows, columns)]
    return sparse.csr_array(P[rows][:, columns])
