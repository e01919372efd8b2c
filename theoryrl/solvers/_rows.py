"""What solvers of models without a horizon share: access to rows, and the chain of a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from theoryrl.models import DeterministicPolicy, MarkovPolicy, SparseTransitions, StationaryMDP
from theoryrl.solvers import _row_kernels
from theoryrl.solvers.solution import rounding_unit

SMALL, FEW = 200, 0.02
"""A chain of more states with a smaller share of positive entries is factorised as a sparse matrix."""
TINY = 128
"""A chain of at most so many states is factorised as a dense matrix."""


@dataclass(frozen=True)
class Rows:
    """The rows of a model as the kernels take them, and what rounding does to a sum over one.

    Attributes
    ----------
    P
        Dense array [S A, S], or (probabilities, next_states, row_starts).
    unit
        Relative error of a sum of differences weighted by a row, plus a reward.
    tau
        Twice the largest distance of a row sum from one: the error, relative to the sum of absolute
        values, of not dividing by the row sum.
    """

    P: Any
    unit: float
    tau: float

    @classmethod
    def of(cls, mdp: StationaryMDP) -> Rows:
        """Return the rows of a model, without a copy."""
        if isinstance(mdp.P, SparseTransitions):
            P: Any = (mdp.P.probabilities, mdp.P.next_states, mdp.P.row_starts)
            terms = mdp.P.longest_row
        else:
            P, terms = mdp.P.reshape(-1, mdp.n_states), mdp.n_states
        # A difference, a product and a sum of `terms`, plus r; two more for forming the bounds.
        return cls(P, rounding_unit(terms + 6), 2 * float(mdp.row_sum_error))  # type: ignore[attr-defined]


class Attractor:
    """Finds actions that lead to given states with probability one."""

    def __init__(self, mdp: StationaryMDP) -> None:
        self.mdp = mdp
        self.backwards: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, active: np.ndarray, settled: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Return which states can be led to `settled` with positive probability; fill their actions.

        Where the active actions never leave a set of states that all can, the actions lead there with
        probability one.
        """
        reached = settled.copy()
        if not isinstance(self.mdp.P, SparseTransitions):
            _row_kernels.attract(self.mdp.P.reshape(-1, self.mdp.n_states), active, reached, actions)
            return reached
        if self.backwards is None:
            self.backwards = _rows_by_successor(self.mdp.P)
        queue = np.empty(self.mdp.n_states, dtype=np.int64)
        _row_kernels.attract_backwards(*self.backwards, active, reached, actions, queue)
        return reached


def _rows_by_successor(P: SparseTransitions) -> tuple[np.ndarray, np.ndarray]:
    """Return (starts, rows): rows[starts[t] : starts[t + 1]] are those that reach t."""
    columns = sparse.csc_array(P.to_scipy())
    if columns.data.size and columns.data.min() == 0:
        columns.eliminate_zeros()
    return columns.indptr, columns.indices


def policy_chain(mdp: StationaryMDP, policy: MarkovPolicy) -> tuple[Any, np.ndarray]:
    """Return (P_pi, r_pi): a dense array or a SciPy sparse array of shape (S, S), and rewards [S].

    Raises
    ------
    ValueError
        If the policy has other sizes or several stages, or takes an action that is not available.
    """
    S, A = mdp.r.shape
    if (policy.n_states, policy.n_actions) != (S, A):
        raise ValueError(
            f"policy has (S, A) = {(policy.n_states, policy.n_actions)}; the model has (S, A) = {(S, A)}"
        )
    if policy.horizon is not None:
        raise ValueError(f"policy must be stationary; it has {policy.horizon} stages")
    if isinstance(policy, DeterministicPolicy):
        _check_available(mdp, policy.actions[:, None] == np.arange(A))
        return actions_chain(mdp, policy.actions)
    pi = policy.probabilities
    _check_available(mdp, pi > 0)
    pi = pi / pi.sum(axis=1, keepdims=True)
    r = np.einsum("sa,sa->s", pi, mdp.r)
    if not mdp.is_sparse:
        return np.einsum("sa,sat->st", pi, mdp.dense_P()), r
    states = np.repeat(np.arange(S), A)
    weights = sparse.csr_array((pi.ravel(), (states, np.arange(S * A))), shape=(S, S * A))
    weights.eliminate_zeros()
    return sparse.csr_array(weights @ mdp.sparse_P()), r


def actions_chain(mdp: StationaryMDP, actions: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return (P_pi, r_pi) of the actions taken in each state."""
    states = np.arange(mdp.n_states)
    r = mdp.r[states, actions]
    if not isinstance(mdp.P, SparseTransitions):
        return _thinned(mdp.P[states, actions]), r
    rows = states * mdp.n_actions + actions
    if mdp.n_states > TINY:
        return select_rows(mdp.P, rows), r
    P = np.zeros((mdp.n_states, mdp.n_states))
    _row_kernels.fill_rows(mdp.P.probabilities, mdp.P.next_states, mdp.P.row_starts, rows, P)
    return P, r


def _thinned(P: np.ndarray) -> Any:
    """Return a chain as a sparse array if it is large and has few entries."""
    S = P.shape[0]
    return sparse.csr_array(P) if S > SMALL and np.count_nonzero(P) < FEW * S * S else P


def select_rows(P: SparseTransitions, rows: np.ndarray) -> sparse.csr_array:
    """Return the matrix of the given rows."""
    begin = P.row_starts[rows]
    lengths = P.row_starts[rows + 1] - begin
    starts = np.zeros(rows.size + 1, dtype=P.row_starts.dtype)
    np.cumsum(lengths, out=starts[1:])
    places = np.arange(int(starts[-1]), dtype=P.row_starts.dtype) + np.repeat(begin - starts[:-1], lengths)
    entries = P.probabilities[places], P.next_states[places], starts
    return sparse.csr_array(entries, shape=(rows.size, P.n_states))


def _check_available(mdp: StationaryMDP, used: np.ndarray) -> None:
    wrong = used & ~mdp.mask
    if wrong.any():
        s, a = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"policy takes action {a} in state {s}, where it is not available")
