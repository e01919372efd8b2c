"""A discounted MDP that is never written down: a compiled function from (s, a) to its successors.

A model with 10^5 states and 10^5 actions has 10^10 pairs, which fit into no memory as arrays. Where
each pair has few successors that a formula gives, the formula is the model, and a solver needs
memory for values only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from theoryrl.models._validation import check_count, check_memory, check_real
from theoryrl.models.stationary import DiscountedMDP
from theoryrl.models.transitions import SparseTransitions


@dataclass(frozen=True, eq=False)
class ImplicitMDP:
    """A discounted MDP given by compiled functions.

    Parameters
    ----------
    step
        Compiled by Numba: ``step(s, a, next_states, probabilities) -> (count, reward)`` writes the
        successors of (s, a) and their probabilities into the first `count` entries of the two
        arrays, and returns that number and the expected reward. It must give the same answer
        whenever it is asked.
    n_states, n_actions
        S and A.
    gamma
        Discount factor, in [0, 1).
    max_successors
        Largest `count`, at least 1.
    reward_bound
        At least the largest absolute value of a reward; rounding bounds use it.
    feasible
        Compiled by Numba: ``feasible(s) -> (low, high)``, the actions low, ..., high - 1 that are
        available in s, with 0 <= low < high <= A. Default: all.
    monotone_block
        A hint that makes a sweep cost O((S + A) log S) instead of O(S A). Numbers k > 0 promise this:
        cut the states into consecutive blocks of k; within a block, low and high do not decrease
        with s, and Q(s, a) = r(s, a) + gamma sum P(s' | s, a) V(s') has *increasing differences* for
        every V: for s < t and a < b available in both, Q(s, b) - Q(s, a) <= Q(t, b) - Q(t, a). Then
        a maximiser does not decrease with s, whatever V is (Topkis 1978), so the search between the
        maximisers of two states need look at no action outside. 0, the default, promises nothing.
    concave_block
        A hint that makes a sweep look at a few actions of each state, near the last maximiser. Numbers
        k > 0 promise this: cut the states into consecutive blocks of k; for every V that is concave
        in each block, V(t) - V(t - 1) not rising with t, the action value Q(s, a) is concave in a
        within the available actions of each s. So it is if r(s, a) is, and if, whatever happens by
        chance, one action more leads one state further in the same block: a level to choose on an
        even grid. The V of a computation need not be concave: how far it is from that is measured in
        each sweep, and accounted for. Where `monotone_block` is given too, that one is used. 0
        promises nothing.
    row_sum_error
        At least the distance of any sum of probabilities from one.
    reward_error
        At least the distance of any computed reward from the formula for which the hint holds: a few
        units in the last place of `reward_bound`. Certificates account for it.

    Notes
    -----
    The functions are believed, not validated: a check would cost as much as the solution. Check a
    small member of the family with `to_tabular`, whose constructor validates every row, and the
    hint with `check_hint`.
    """

    step: Callable[..., Any]
    n_states: int
    n_actions: int
    gamma: float
    max_successors: int
    reward_bound: float
    feasible: Callable[..., Any] | None = None
    monotone_block: int = 0
    row_sum_error: float = 1e-15
    reward_error: float = 0.0
    concave_block: int = 0

    def __post_init__(self) -> None:
        for name, function in (("step", self.step), ("feasible", self.feasible)):
            if function is not None and not hasattr(function, "py_func"):
                raise ValueError(f"{name} must be compiled by numba.njit; got {type(function).__name__}")
        check_count("n_states", self.n_states)
        check_count("n_actions", self.n_actions)
        check_count("max_successors", self.max_successors)
        check_count("monotone_block", self.monotone_block, low=0)
        check_count("concave_block", self.concave_block, low=0)
        check_real("reward_bound", self.reward_bound, low=0.0)
        check_real("row_sum_error", self.row_sum_error, low=0.0)
        check_real("reward_error", self.reward_error, low=0.0)
        gamma = check_real("gamma", self.gamma)
        if not 0 <= gamma < 1:
            raise ValueError(f"gamma must be in [0, 1); got {self.gamma!r}")

    @property
    def n_pairs(self) -> int:
        """S times A; fewer are available where `feasible` is given."""
        return self.n_states * self.n_actions

    def available(self, s: int) -> range:
        """The actions of a state."""
        return range(self.n_actions) if self.feasible is None else range(*self.feasible(s))

    def to_tabular(self) -> DiscountedMDP:
        """Return the same model as sparse tables, validated row by row (small models only)."""
        S, A = self.n_states, self.n_actions
        check_memory("r", S, A)
        r, allowed = np.zeros((S, A)), np.zeros((S, A), dtype=np.bool_)
        starts, states, weights = np.zeros(S * A + 1, dtype=np.int64), [], []
        next_states, probabilities = np.zeros(self.max_successors, np.int64), np.zeros(self.max_successors)
        for s in range(S):
            for a in self.available(s):
                count, reward = self.step(s, a, next_states, probabilities)
                r[s, a], allowed[s, a], starts[s * A + a + 1] = reward, True, count
                states.append(next_states[:count].copy())
                weights.append(probabilities[:count].copy())
        rows = SparseTransitions(np.concatenate(weights), np.concatenate(states), np.cumsum(starts), S)
        return DiscountedMDP(rows, r, self.gamma, allowed)

    def check_hint(self) -> None:
        """Raise unless `feasible` and the hints keep their promises, by looking at every pair.

        Increasing differences for every V mean two things: those of r, and successors whose change
        from one action to the next is the same in every state of a block. Concavity for every V that
        is concave in each block: that of r, and a second difference of the successors over actions
        that is a sum, with weights that are not negative, of second differences (1, -2, 1) within
        blocks. For small models only.
        """
        tables = self.to_tabular()
        P, slack = tables.dense_P(), 4 * self.reward_error
        if self.monotone_block:
            self._check_monotone(tables.r, P, slack)
        if self.concave_block:
            self._check_concave(tables.r, P, slack)

    def _check_monotone(self, r: np.ndarray, P: np.ndarray, slack: float) -> None:
        for s in range(self.n_states - 1):
            if (s + 1) % self.monotone_block == 0:
                continue
            here, there = self.available(s), self.available(s + 1)
            if there.start < here.start or there.stop < here.stop:
                raise ValueError(f"feasible({s + 1}) must not begin or end below feasible({s})")
            for a in range(there.start, here.stop - 1):
                rise = np.diff(r[s : s + 2, a : a + 2], axis=1)[:, 0]
                moves = np.diff(P[s : s + 2, a : a + 2], axis=1)[:, 0]
                if rise[0] > rise[1] + slack or not np.array_equal(moves[0], moves[1]):
                    raise ValueError(f"monotone_block: no increasing differences at s = {s}, a = {a}")

    def _check_concave(self, r: np.ndarray, P: np.ndarray, slack: float) -> None:
        grain = 8 * np.finfo(np.float64).eps * self.concave_block
        for s in range(self.n_states):
            here = self.available(s)
            for a in range(here.start, here.stop - 2):
                bend = r[s, a] - 2 * r[s, a + 1] + r[s, a + 2]
                if bend > slack or not self._is_bend(P[s, a] - 2 * P[s, a + 1] + P[s, a + 2], grain):
                    raise ValueError(f"concave_block: no concave action values at s = {s}, a = {a}")

    def _is_bend(self, change: np.ndarray, grain: float) -> bool:
        """Return whether a change of the successors' law lowers the mean of every V concave in blocks.

        Summed twice from the left, it must be no less than zero, and zero at the end of each block.
        """
        for begin in range(0, self.n_states, self.concave_block):
            once = np.cumsum(change[begin : begin + self.concave_block])
            twice = np.cumsum(once)
            if abs(once[-1]) > grain or abs(twice[-1]) > grain or twice.min() < -grain:
                return False
        return True

    def __repr__(self) -> str:
        return f"ImplicitMDP(S={self.n_states}, A={self.n_actions}, gamma={self.gamma:g})"
