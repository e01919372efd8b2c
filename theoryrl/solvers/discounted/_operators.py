"""The two backups that every iterative method is made of, on tables.

``bellman``: W = max_a (r + gamma P h); ``policy_backup``: W = r_pi + gamma P_pi h. An operator also
knows how far a computed backup may be from the true one.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from theoryrl.models import DiscountedMDP, ImplicitMDP, SparseTransitions
from theoryrl.models._validation import check_count
from theoryrl.solvers._threads import available_threads, in_parts
from theoryrl.solvers.discounted import _kernels
from theoryrl.solvers.solution import rounding_unit


@runtime_checkable
class Operator(Protocol):
    """The backups of a discounted model, without a copy of it."""

    gamma: float
    n_states: int
    n_actions: int
    row_sum_error: float

    def bellman(self, h: np.ndarray, margin: float, W: np.ndarray, actions: np.ndarray) -> None:
        """Write max_a Q(s, a) and the maximisers; forget actions that are `margin` below the best."""

    def policy_backup(self, actions: np.ndarray, h: np.ndarray, W: np.ndarray) -> None:
        """Write Q(s, actions[s])."""

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

    def policy_backup(self, actions: np.ndarray, h: np.ndarray, W: np.ndarray) -> None:
        """Write Q(s, actions[s])."""
        arguments = self.rows, self.r, actions, self.gamma, h, W
        work = self.work / self.n_actions
        in_parts(_kernels.policy_backup, self.n_states, work, self.threads, *arguments)

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
