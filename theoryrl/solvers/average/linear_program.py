r"""The linear program of the average reward, solved by HiGHS, for several communicating classes.

The program is::

    minimise   sum_s v(s) + sum_C g_C
    subject to g_C + h(s) >= r(s, a) + sum_t P(t | s, a) h(t)   for s in C and the inner actions a,
               v(s) >= g_C                                      for s in C,
               v(s) >= sum_t P(t | s, a) v(t)                   for all s and a.

The duals of the first rows are the long-run frequencies x(s, a) of an optimal policy within each class.
This is the multichain program of Puterman (1994, chapter 9) with one gain for each communicating
class instead of one for each state, which is what makes its bounds provable: h bounds each g_C from
above, the evaluation of the policy x / sum_a x from below.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from theoryrl.models import AverageRewardMDP
from theoryrl.models._validation import check_type
from theoryrl.solvers.average._certificate import ClassBounds, Setting
from theoryrl.solvers.average.policy_iteration import PolicySearch
from theoryrl.solvers.average.solution import GainSolution
from theoryrl.solvers.solution import NotConvergedError, check_tolerance

VISITED = 1e-9
"""Frequencies below this share of the largest are taken for the program's rounding."""


def linear_program(mdp: AverageRewardMDP, tol: float = 1e-6) -> GainSolution:
    """Return the optimal gain of every state by linear programming.

    Parameters
    ----------
    mdp, tol
        As of `policy_iteration`.

    Returns
    -------
    GainSolution
        Gain, bounds, and the policy of the program's duals.

    Raises
    ------
    RuntimeError
        If HiGHS does not report optimality.
    NotConvergedError
        If the error is not proven to be at most `tol`; the bounds are attached.
    """
    check_type("mdp", mdp, AverageRewardMDP)
    check_tolerance(tol)
    setting = Setting(mdp)
    h, x, iterations = _solve(setting)
    search = PolicySearch(setting)
    frequent = np.where(setting.parts.inner, x, -1.0).argmax(axis=1)
    actions = np.where(setting.parts.labels >= 0, frequent, -1)
    visited = np.asarray((x > VISITED * max(float(x.max(initial=0.0)), 1e-300)).any(axis=1))
    setting.attract(setting.parts.inner, visited, actions)
    _, own, actions = search.evaluate(actions)
    only = setting.parts.inner & (actions[:, None] == np.arange(mdp.n_actions))
    below = setting.bounds(own, only)
    high = np.minimum(setting.bounds(h).high, setting.bounds(own).high)
    bounds = ClassBounds(below.low, np.maximum(high, below.low), actions)
    answer = setting.solution(own, bounds, iterations, "linear program")
    if answer.gap > 2 * tol:
        raise NotConvergedError(f"the program is solved only short of an error of {tol:.3g}", answer)
    return answer


def _solve(setting: Setting) -> tuple[np.ndarray, np.ndarray, int]:
    """Return (h, x, pivots); h is zero outside the classes, x[s, a] outside the inner actions."""
    mdp, parts = setting.mdp, setting.parts
    S, A = mdp.r.shape
    K = parts.n
    P = mdp.sparse_P()
    inner = np.flatnonzero(parts.inner.ravel())
    state = inner // A
    # Unknowns: g [K], h [S], v [S]; every row reads  left . unknowns <= right.
    g_of = _indicator(parts.labels[state], K)
    first = sparse.hstack([-g_of, P[inner] - _indicator(state, S), sparse.csr_array((inner.size, S))])
    members = setting.members
    second = sparse.hstack(
        [
            _indicator(parts.labels[members], K),
            sparse.csr_array((members.size, S)),
            -_indicator(members, S),
        ]
    )
    blocks, right = [first, second], [-mdp.r.ravel()[inner], np.zeros(members.size)]
    if K > 1:
        leaving = np.flatnonzero((mdp.mask & ~parts.inner).ravel())
        outer = np.concatenate([leaving, inner])
        third = sparse.hstack([sparse.csr_array((outer.size, K + S)), P[outer] - _indicator(outer // A, S)])
        blocks.append(third)
        right.append(np.zeros(outer.size))
    cost = np.concatenate([np.ones(K), np.zeros(S), np.ones(S)])
    result = linprog(
        cost,
        A_ub=sparse.csr_array(sparse.vstack(blocks)),
        b_ub=np.concatenate(right),
        bounds=_limits(setting),
        method="highs",
    )
    if result.status != 0:
        raise RuntimeError(f"the program of the average reward was not solved: {result.message}")
    x = np.zeros(S * A)
    x[inner] = np.maximum(-result.ineqlin.marginals[: inner.size], 0.0)
    return result.x[K : K + S], x.reshape(S, A), int(result.nit)


def _limits(setting: Setting) -> list[tuple[float | None, float | None]]:
    """Fix h in one state of each class and outside all; leave the rest free."""
    labels = setting.parts.labels
    K, S = setting.parts.n, labels.size
    fixed = labels < 0
    _, first = np.unique(labels[setting.members], return_index=True)
    fixed[setting.members[first]] = True
    free: tuple[float | None, float | None] = (None, None)
    h: list[tuple[float | None, float | None]] = [(0.0, 0.0) if f else free for f in fixed]
    v = [free] * S
    if K == 1:  # without the third rows nothing holds these down
        v = [free if label >= 0 else (0.0, 0.0) for label in labels]
    return [free] * K + h + v


def _indicator(columns: np.ndarray, n: int) -> sparse.csr_array:
    """Return the matrix with a one in each row, at the given column."""
    return sparse.csr_array(
        (np.ones(columns.size), columns, np.arange(columns.size + 1)), shape=(columns.size, n)
    )
