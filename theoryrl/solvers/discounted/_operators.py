"""The two backups that every iterative method is made of, on tables.

``bellman``: W = max_a (r + gamma P h); ``policy_backup``: W = r_pi + gamma P_pi h. An operator also
knows how far a computed backup may be from the true one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from theoryrl.models import DiscountedMDP, SparseTransitions
from theoryrl.models._validation import check_count
from theoryrl.solvers._threads import available_threads, in_parts
from theoryrl.solvers.discounted import _kernels
from theoryrl.solvers.discounted._kernels import difference_range, largest_size
from theoryrl.solvers.solution import rounding_unit

USUALLY_READ = 2
"""Rows of a state that a sweep reads once bounds rule out the others; an estimate."""

PolicyBackup: TypeAlias = Callable[[np.ndarray, np.ndarray], None]
"""Called with h and W: writes the backup of h by one policy into W."""


@runtime_checkable
class Operator(Protocol):
    """The backups of a discounted model, without a copy of it."""

    gamma: float
    n_states: int
    n_actions: int
    row_sum_error: float

    def bellman(self, h: np.ndarray, margin: float | None, W: np.ndarray, actions: np.ndarray) -> None:
        """Write max_a Q(s, a) and the maximisers; forget actions that are `margin` below the best.

        With None for the margin, every action is looked at.
        """

    def policy(self, actions: np.ndarray) -> PolicyBackup:
        """Return the function that writes Q_h(s, actions[s]) into W, to be called many times."""

    def gauss_seidel(self, h: np.ndarray, toll: float, backwards: bool, actions: np.ndarray) -> None:
        """Back h up in place, state after state, with rewards lower by `toll`; write the maximisers."""

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
        self.ceilings = Ceilings(r, mask)
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

    def bellman(self, h: np.ndarray, margin: float | None, W: np.ndarray, actions: np.ndarray) -> None:
        """Write max_a Q(s, a) and the maximisers; forget actions that are `margin` below the best."""
        ceilings = self.ceilings
        rise = ceilings.rise(h, self.gamma * (1 + self.row_sum_error), self.backup_error(h))
        arguments = self.rows, self.r, self.active, self.gamma, h
        skip = (math.inf, math.inf) if margin is None else (margin, rise)
        work = self.work if margin is None else USUALLY_READ * self.work / self.n_actions
        in_parts(
            _kernels.bellman,
            self.n_states,
            work,
            self.threads,
            *arguments,
            *skip,
            ceilings.values,
            ceilings.last,
            W,
            actions,
        )
        ceilings.last[:] = actions

    def policy(self, actions: np.ndarray) -> PolicyBackup:
        """Return the function that writes Q_h(s, actions[s]) into W; rows are read in place."""
        work = self.work / self.n_actions

        def backup(h: np.ndarray, W: np.ndarray) -> None:
            arguments = self.rows, self.r, actions, self.gamma, h, W
            in_parts(_kernels.policy_backup, self.n_states, work, self.threads, *arguments)

        return backup

    def gauss_seidel(self, h: np.ndarray, toll: float, backwards: bool, actions: np.ndarray) -> None:
        """Back h up in place, state after state, with rewards lower by `toll`; write the maximisers."""
        _kernels.gauss_seidel(self.rows, self.r, self.active, self.gamma, toll, h, backwards, actions)

    def evaluate_in_place(self, h: np.ndarray, toll: float, backwards: bool, actions: np.ndarray) -> None:
        """Back h up in place by one policy, with rewards lower by `toll`."""
        _kernels.evaluate_in_place(self.rows, self.r, self.gamma, toll, h, backwards, actions)

    def backup_error(self, h: np.ndarray) -> float:
        """Bound the distance of a computed backup of h from the exact one (Higham 2002, Lemma 3.1)."""
        largest = largest_size(h)
        return self.unit * (self.largest_reward + (1 + self.row_sum_error) * largest) * (1 + 1e-12)


class Ceilings:
    """Upper bounds on all action values, which make it needless to read most rows of most sweeps.

    Where Q_h(s, a) <= c for one h, then Q_g(s, a) <= c + gamma max(g - h) for any other g, because rows
    are distributions. An action with such a bound below the value of another action is not a maximiser
    for g, whatever its row; it may be one in a later sweep, when its bound has risen. (This is
    known as temporary elimination of actions; Puterman 1994, chapter 6.)

    One number for each pair, as many as there are rewards; the rewards themselves are the bounds for
    h = 0.

    Attributes
    ----------
    values
        Bounds for the h of the last sweep, less what `rise` adds: shape [S, A].
    last
        The maximisers of the last sweep, at first of r: shape [S].
    """

    def __init__(self, r: np.ndarray, mask: np.ndarray) -> None:
        self.values = r.copy()
        self.last = np.where(mask, r, -np.inf).argmax(axis=1)
        self.h = np.zeros(r.shape[0])
        self.error = 0.0

    def rise(self, h: np.ndarray, factor: float, error: float) -> float:
        """Return by how much action values of h may exceed those of the last sweep's, and note h.

        `factor` is at least gamma times any row sum, `error` bounds the rounding of a backup of h. It
        is at least 4 u times the size of an action value, so that twice the larger of both sweeps'
        errors covers the rounding of the value that was kept, of the difference and of its addition.
        """
        largest = max(0.0, difference_range(h, self.h)[1])
        error, self.error = max(error, self.error), error
        self.h[:] = h
        return factor * largest + 2 * error
