"""The two backups that every iterative method is made of, on tables.

``bellman``: W = max_a (r + gamma P h); ``policy_backup``: W = r_pi + gamma P_pi h. An operator also
knows how far a computed backup may be from the true one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from theoryrl.models import DiscountedMDP, ImplicitMDP, SparseTransitions
from theoryrl.models._validation import check_count
from theoryrl.solvers._threads import available_threads, in_parts
from theoryrl.solvers.discounted import _kernels
from theoryrl.solvers.solution import rounding_unit

PolicyBackup: TypeAlias = Callable[[np.ndarray, np.ndarray], None]
"""Called with h and W: writes the backup of h by one policy into W."""


@runtime_checkable
class Operator(Protocol):
    """The backups of a discounted model, without a copy of it."""

    gamma: float
    n_states: int
    n_actions: int
    row_sum_error: float

    def bellman(self, h: np.ndarray, margin: float, W: np.ndarray, actions: np.ndarray) -> None:
        """Write max_a Q(s, a) and the maximisers; forget actions that are `margin` below the best."""

    def policy(self, actions: np.ndarray) -> PolicyBackup:
        """Return the function that writes Q_h(s, actions[s]) into W, to be called many times."""

    def gauss_seidel(self, h: np.ndarray, backwards: bool) -> None:
        """Back h up in place, state after state."""

    def backup_error(self, h: np.ndarray) -> float:
        """Bound the distance of a computed backup of h from the exact one."""


class Tabular:
    """The operator of a dense or sparse model.

    Parameters
    ----------
    P, r, gamma, mask, row_sum_error
        As of a `DiscountedMDP`, from which `of` takes them.
    threads
        Largest number of threads; None for as many as there are processors.
    extra_operations
        Roundings that its entries have seen before, which the error bound counts in.
    """

    def __init__(
        self,
        P: np.ndarray | SparseTransitions,
        r: np.ndarray,
        gamma: float,
        mask: np.ndarray,
        row_sum_error: float,
        threads: int | None = None,
        extra_operations: int = 0,
    ) -> None:
        self.P, self.r, self.gamma = P, r, gamma
        self.n_states, self.n_actions = r.shape
        self.row_sum_error = row_sum_error
        self.threads = available_threads() if threads is None else check_count("threads", threads)
        self.active = mask.copy()
        self._buffers: tuple[np.ndarray, np.ndarray] | None = None
        if isinstance(P, SparseTransitions):
            self.rows: Any = (P.probabilities, P.next_states, P.row_starts)
            terms, self.work = P.longest_row, float(P.probabilities.size)
        else:
            self.rows = P.reshape(-1, self.n_states)
            terms, self.work = self.n_states, float(P.size)
        # The products and their sum, gamma times it, plus r; and one for a difference of two such numbers.
        self.unit = rounding_unit(terms + 3 + extra_operations)
        self.largest_reward = float(np.abs(r[mask]).max())

    @classmethod
    def of(cls, mdp: DiscountedMDP, threads: int | None = None) -> Tabular:
        """Return the operator of a model."""
        return cls(mdp.P, mdp.r, mdp.gamma, mdp.mask, mdp.row_sum_error, threads)

    def bellman(self, h: np.ndarray, margin: float, W: np.ndarray, actions: np.ndarray) -> None:
        """Write max_a Q(s, a) and the maximisers; forget actions that are `margin` below the best."""
        arguments = self.rows, self.r, self.active, self.gamma, h, margin, W, actions
        in_parts(_kernels.bellman, self.n_states, self.work, self.threads, *arguments)

    def policy(self, actions: np.ndarray) -> PolicyBackup:
        """Return the function that writes Q_h(s, actions[s]) into W; the one before is void then.

        Sparse rows of the policy are copied, an A-th of the model: rows that are short and far apart
        waste most of every cache line that they touch. Dense rows are long, and read in place.
        """
        rows, r, chosen = self.rows, self.r, actions
        if isinstance(self.P, SparseTransitions):
            starts, successors, weights = copy_policy_rows(self.P, actions, self._buffers)
            self._buffers = successors, weights
            rows = weights, successors, starts
            r = self.r[np.arange(self.n_states), actions][:, None]
            chosen = np.zeros_like(actions)
        for array in (*rows, r) if isinstance(rows, tuple) else (r,):
            array.setflags(write=False)  # as the arrays of a model are: kernels are compiled once
        work = self.work / self.n_actions

        def backup(h: np.ndarray, W: np.ndarray) -> None:
            arguments = rows, r, chosen, self.gamma, h, W
            in_parts(_kernels.policy_backup, self.n_states, work, self.threads, *arguments)

        return backup

    def gauss_seidel(self, h: np.ndarray, backwards: bool) -> None:
        """Back h up in place, state after state."""
        _kernels.gauss_seidel(self.rows, self.r, self.active, self.gamma, h, backwards)

    def backup_error(self, h: np.ndarray) -> float:
        """Bound the distance of a computed backup of h from the exact one (Higham 2002, Lemma 3.1)."""
        largest = max(float(h.max()), -float(h.min()))
        return self.unit * (self.largest_reward + (1 + self.row_sum_error) * largest) * (1 + 1e-12)


def operator_of(mdp: DiscountedMDP | ImplicitMDP, threads: int | None = None) -> Operator:
    """Return the operator of a model."""
    if isinstance(mdp, ImplicitMDP):
        from theoryrl.solvers.discounted._implicit import Implicit

        return Implicit(mdp, threads)
    return Tabular.of(mdp, threads)


def copy_policy_rows(
    P: SparseTransitions, actions: np.ndarray, buffers: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (starts, successors, weights) of the rows that a policy takes.

    The last two are written into `buffers` if these have the right size: new memory costs more than the
    copy.
    """
    starts = np.zeros(actions.size + 1, dtype=P.row_starts.dtype)
    _kernels.policy_row_starts(P.row_starts, actions, P.n_actions, starts)
    if buffers is None or buffers[0].size != starts[-1]:
        buffers = np.empty(int(starts[-1]), dtype=P.next_states.dtype), np.empty(int(starts[-1]))
    successors, weights = buffers
    for array in buffers:
        array.setflags(write=True)
    _kernels.policy_rows(
        P.row_starts, P.next_states, P.probabilities, actions, P.n_actions, starts, successors, weights
    )
    return starts, successors, weights
