"""The operator of a model that is a function: memory for the values only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from theoryrl._numba import run_time_kernel
from theoryrl.models import ImplicitMDP
from theoryrl.solvers._threads import available_threads, in_parts
from theoryrl.solvers.discounted import _implicit_kernels as kernels
from theoryrl.solvers.discounted._kernels import UNIT, concave_excess, largest_size
from theoryrl.solvers.discounted._operators import PolicyBackup
from theoryrl.solvers.solution import rounding_unit

PIECE = 4096
"""States that share one monotone search. It does not depend on the threads, nor do the results."""


class Implicit:
    r"""The backups of an `ImplicitMDP`.

    What the hint of concavity skips. Let g be a function that is concave in each block of states, with h
    <= g <= h + d (`_kernels.concave_excess` finds the smallest but for rounding). By the promise Q_g(s,
    .) is concave, and Q_h <= Q_g <= Q_h + gamma d. Let w be an action that was looked at, x > w another,
    and q the computed values, which are off by at most e. If q(x) + gamma d + 2 e <= q(w), then

        Q_g(x) <= q(x) + e + gamma d <= q(w) - e <= Q_g(w),

    so that Q_g does not rise beyond x, and Q_h(y) <= Q_g(y) <= Q_g(x) <= q(w) - e for every y >= x: no
    such action is better than w. The mirror image holds on the other side. Nothing is asked of h: where
    it is far from concave, d is large and more actions are looked at.

    Parameters
    ----------
    mdp
        The model.
    threads
        Largest number of threads; None for as many as there are processors.
    """

    def __init__(self, mdp: ImplicitMDP, threads: int | None = None) -> None:
        self.mdp, self.gamma = mdp, float(mdp.gamma)
        self.n_states, self.n_actions = mdp.n_states, mdp.n_actions
        self.row_sum_error = mdp.row_sum_error
        self.threads = available_threads() if threads is None else threads
        self.feasible = _every_action(mdp.n_actions) if mdp.feasible is None else mdp.feasible
        self.starts = _pieces(mdp.n_states, mdp.monotone_block) if mdp.monotone_block else None
        concave = mdp.concave_block and self.starts is None
        self.guess = np.zeros(mdp.n_states, dtype=np.int64) if concave else None

    def bellman(self, h: np.ndarray, margin: float | None, W: np.ndarray, actions: np.ndarray) -> None:
        """Write max_a Q(s, a) and the maximisers; no action is forgotten, which would need memory."""
        mdp, S = self.mdp, self.n_states
        common = mdp.step, self.feasible, mdp.max_successors, self.gamma, h
        work = float(S) * mdp.max_successors
        if self.guess is not None:
            arguments = *common, self._drop(h), self.guess, W, actions
            in_parts(kernels.bellman_concave, S, 8 * work, self.threads, *arguments)
            self.guess[:] = actions
            return
        if self.starts is None:
            in_parts(kernels.bellman, S, work * self.n_actions, self.threads, *common, W, actions)
            return
        pieces = self.starts.size - 1
        in_parts(kernels.bellman_monotone, pieces, 12 * work, self.threads, *common, self.starts, W, actions)

    def _drop(self, h: np.ndarray) -> float:
        """Return by how much an action value must have fallen: gamma d + 2 e, with rounding."""
        size = largest_size(h)
        excess = concave_excess(h, self.mdp.concave_block) + 16 * UNIT * size
        return self.gamma * (1 + self.row_sum_error) * excess * (1 + 8 * UNIT) + 2 * self._value_error(size)

    def policy(self, actions: np.ndarray) -> PolicyBackup:
        """Return the function that writes Q_h(s, actions[s]) into W."""
        mdp, work = self.mdp, float(self.n_states) * self.mdp.max_successors

        def backup(h: np.ndarray, W: np.ndarray) -> None:
            arguments = mdp.step, mdp.max_successors, self.gamma, actions, h, W
            in_parts(kernels.policy_backup, self.n_states, work, self.threads, *arguments)

        return backup

    def gauss_seidel(self, h: np.ndarray, toll: float, backwards: bool, actions: np.ndarray) -> None:
        """Back h up in place, looking at every feasible action; write the maximisers."""
        model = self.mdp.step, self.feasible, self.mdp.max_successors
        kernels.gauss_seidel(*model, self.gamma, toll, h, backwards, actions)

    def backup_error(self, h: np.ndarray) -> float:
        r"""Bound the distance of a computed backup of h from the exact one.

        One action value is off by at most e. In a monotone search the maximiser found at a state may
        be worse than the best by 2 e, and a search that trusts it loses at most as much again
        (increasing differences), so d levels of halving lose at most 2 e (d + 1).
        """
        one = self._value_error(largest_size(h))
        if self.starts is None:
            return one
        levels = int(np.diff(self.starts).max()).bit_length()
        return one * (2 * (levels + 1) + 1)

    def _value_error(self, largest: float) -> float:
        """Bound the error of one computed action value."""
        size = self.mdp.reward_bound + (1 + self.row_sum_error) * largest
        return rounding_unit(self.mdp.max_successors + 3) * size * (1 + 1e-12) + self.mdp.reward_error


def _every_action(n_actions: int) -> Callable[..., Any]:
    @run_time_kernel
    def every_action(s: int) -> tuple[int, int]:
        return 0, n_actions

    return every_action


def _pieces(n_states: int, block: int) -> np.ndarray:
    """Return where pieces of at most `PIECE` states begin, none of which crosses a block."""
    starts = [
        start
        for begin in range(0, n_states, block)
        for start in range(begin, min(begin + block, n_states), PIECE)
    ]
    return np.array([*starts, n_states], dtype=np.int64)
