"""A discounted MDP that is never written down: a compiled function from (s, a) to its successors.

A model with 10^5 states and 10^5 actions has 10^10 pairs, which fit into no memory as arrays. Where
each pair has few successors that a formula gives, the formula is the model, and a solver needs
memory for values only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from theoryrl.models._validation import check_count, check_real


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
    row_sum_error
        At least the distance of any sum of probabilities from one.

    Notes
    -----
    The functions are believed, not validated: a check would cost as much as the solution. Check a
    small member of the family with `to_tabular`, whose constructor validates every row, and the
    hints with `theoryrl.solvers.discounted.check_hints`.
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

    def __post_init__(self) -> None:
        for name, function in (("step", self.step), ("feasible", self.feasible)):
            if function is not None and not hasattr(function, "py_func"):
                raise ValueError(f"{name} must be compiled by numba.njit; got {type(function).__name__}")
        check_count("n_states", self.n_states, high=2**62)
        check_count("n_actions", self.n_actions, high=2**62)
        check_count("max_successors", self.max_successors)
        check_count("monotone_block", self.monotone_block, low=0)
        check_real("reward_bound", self.reward_bound, low=0.0)
        check_real("row_sum_error", self.row_sum_error, low=0.0)
        gamma = check_real("gamma", self.gamma)
        if not 0 <= gamma < 1:
            raise ValueError(f"gamma must be in [0, 1); got {self.gamma!r}")

    @property
    def n_pairs(self) -> int:
        """S times A; fewer are available where `feasible` is given."""
        return self.n_states * self.n_actions

    def __repr__(self) -> str:
        return f"ImplicitMDP(S={self.n_states}, A={self.n_actions}, gamma={self.gamma:g})"
