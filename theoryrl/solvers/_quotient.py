r"""A model whose end components are merged into one node each, where a process may stop.

    v(k) = max { stay(k),  max over the rows that leave node k of r + sum_t P(t) v(node(t)) }.

Within an end component one may go to any of its states at no loss, so only where to leave it, or
whether to stay, is left to decide. Both the gain of a model with several communicating classes and
total rewards come down to this problem.

Certificate. Let w > 0 satisfy w >= 1 + Q w for the rows Q of a policy that stops; then for
eps = max(0, max(v - T_d v)) the vector v - eps w is at most T_d of itself, hence at most the policy's
value. And u = v + eps w is an upper bound as soon as every row satisfies r + P u < u strictly, which
is checked row by row: then a policy that stops earns at most u, and one that does not loses without
end, because the stationary average of r + P u - u < 0 is its gain.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse

from theoryrl.models import SparseTransitions, StationaryMDP
from theoryrl.solvers import _row_kernels
from theoryrl.solvers._chain_systems import absorption_system, proven_times
from theoryrl.solvers._rows import Attractor, Rows, select_rows
from theoryrl.solvers.classes import EndComponents

STOP = -1
UNIT = 2.0**-53
LARGEST_WIDENINGS = 80
"""Times that an upper bound is widened, by 4 each, before none is claimed."""


@dataclass(frozen=True)
class Quotient:
    """The merged model.

    Attributes
    ----------
    node
        Node of each state: shape [S]. End components come first, in their order.
    r
        Rewards of rows: shape [S, A].
    active
        The rows that may be taken: shape [S, A].
    stay
        Reward for stopping in each node; minus infinity where that is not possible.
    """

    mdp: StationaryMDP
    parts: EndComponents
    node: np.ndarray
    r: np.ndarray
    active: np.ndarray
    stay: np.ndarray
    rows: Rows = field(repr=False)

    @classmethod
    def merge(
        cls, mdp: StationaryMDP, parts: EndComponents, r: np.ndarray, active: np.ndarray, stay: np.ndarray
    ) -> Quotient:
        """Merge end components; `stay` has one entry for each of them, and others cannot stop."""
        node = parts.labels.copy()
        outside = np.flatnonzero(node < 0)
        node[outside] = parts.n + np.arange(outside.size)
        stops = np.concatenate([stay, np.full(outside.size, -np.inf)])
        return cls(mdp, parts, node, r, active & ~parts.inner, stops, Rows.of(mdp))

    @property
    def n(self) -> int:
        """Number of nodes."""
        return int(self.stay.size)

    def residuals(self, v: np.ndarray, choice: np.ndarray) -> Residuals:
        """Return T v - v and T_choice v - v with bounds."""
        n = self.n
        empty = np.empty((4, n))
        out = Residuals(empty[0], empty[1], empty[2], empty[3], np.empty(n, dtype=np.int64))
        rows = self.rows
        _row_kernels.node_residuals(
            rows.P, self.r, self.active, self.node, v[self.node], self.stay, rows.unit, rows.tau, choice,
            out.kept_low, out.kept_high, out.low, out.high, out.best,
        )  # fmt: skip
        return out

    def stopping_choice(self) -> np.ndarray:
        """Return a choice that stops with probability one; -2 in nodes from where none can."""
        choice = np.full(self.n, -2, dtype=np.int64)
        stops = self.stay > -np.inf
        choice[stops] = STOP
        _row_kernels.attract_nodes(self.rows.P, self.active, self.node, stops.copy(), choice)
        return choice

    def chain(self, choice: np.ndarray) -> tuple[Any, np.ndarray]:
        """Return (Q, c): the transitions between nodes and the rewards of a choice."""
        moving = np.flatnonzero(choice >= 0)
        rows = choice[moving]
        c = self.stay.copy()
        c[moving] = self.r.ravel()[rows]
        if isinstance(self.mdp.P, SparseTransitions):
            chosen = select_rows(self.mdp.P, rows).tocoo()
            source, target, weight = moving[chosen.row], self.node[chosen.col], chosen.data
            return sparse.csr_array((weight, (source, target)), shape=(self.n, self.n)), c
        Q = np.zeros((self.n, self.n))
        merge = sparse.csr_array(
            (np.ones(self.node.size), (np.arange(self.node.size), self.node)), shape=(self.node.size, self.n)
        )
        Q[moving] = self.mdp.P.reshape(-1, self.node.size)[rows] @ merge
        return Q, c

    def value(self, choice: np.ndarray) -> np.ndarray:
        """Return the value of a choice, refined once; NaN if it does not stop."""
        Q, c = self.chain(choice)
        system = absorption_system(Q)
        v = system.solve(c)
        if not np.isfinite(v).all():
            return np.full(self.n, np.nan)
        kept = self.residuals(v, choice)
        return np.asarray(v + system.solve((kept.kept_low + kept.kept_high) / 2))

    def actions(self, choice: np.ndarray, inner: np.ndarray, attract: Attractor) -> np.ndarray:
        """Turn a choice into actions; `inner` are those of components in which one stays."""
        actions = inner.copy()
        rows = choice[choice >= 0]
        states = rows // self.mdp.n_actions
        settled = ~(choice[self.node] >= 0)
        settled[states] = True
        actions[states] = rows % self.mdp.n_actions
        attract(self.parts.inner, settled, actions)
        return actions


@dataclass
class Residuals:
    """Bounds on T_choice v - v and on T v - v, and the maximising rows."""

    kept_low: np.ndarray
    kept_high: np.ndarray
    low: np.ndarray
    high: np.ndarray
    best: np.ndarray


@dataclass
class NodeValues:
    """Value, proven bounds, and the choice whose value is at least `lower`."""

    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    choice: np.ndarray
    iterations: int


def solve_quotient(problem: Quotient, max_iterations: int = 10_000) -> NodeValues:
    """Solve the problem by policy iteration, from a choice that stops, and prove bounds.

    A bound that could not be proven is infinite. Every node must be able to reach one that may stop.
    """
    choice = problem.stopping_choice()
    v, choice, iterations = improve_choice(problem, choice, max_iterations)
    lower = lower_bound(problem, v, choice)
    upper = upper_bound(problem, v, choice)
    return NodeValues(v, np.minimum(lower, v), np.maximum(upper, v), choice, iterations)


def improve_choice(
    problem: Quotient, choice: np.ndarray, max_iterations: int = 10_000
) -> tuple[np.ndarray, np.ndarray, int]:
    """Run policy iteration; a choice is replaced only by one that is better by more than rounding."""
    v = problem.value(choice)
    iteration = 0
    while iteration < max_iterations:
        iteration += 1
        found = problem.residuals(v, choice)
        better = found.low > found.kept_high
        if not better.any():
            break
        candidate = np.where(better, found.best, choice)
        value = problem.value(candidate)
        # Values rise strictly but for rounding: where they do not, rows are exchanged for equal ones.
        if not (np.isfinite(value).all() and float(value.sum()) > float(v.sum())):
            break
        choice, v = candidate, value
    return v, choice, iteration


def lower_bound(problem: Quotient, v: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """Return a proven lower bound on the value of a choice."""
    Q, _ = problem.chain(choice)
    w = proven_times(Q, problem.rows.tau)
    lacking = max(0.0, -float(problem.residuals(v, choice).kept_low.min()))
    if not (np.isfinite(w).all() and np.isfinite(lacking)):
        return np.full(problem.n, -np.inf)
    lower = v - w * lacking
    return np.asarray(lower - 4 * UNIT * (np.abs(v) + np.abs(lower)))


def upper_bound(problem: Quotient, v: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """Return a proven upper bound on the optimal value, or infinity.

    Any w may be tried, as what decides is the check of u = v + eps w. Where every step costs (or earns)
    something, 1 + |v| does, as a bound on times; else about the longest times of good rows.
    """
    if not np.isfinite(v).all():
        return np.full(problem.n, np.inf)
    size = 1.0 + float(np.abs(v).max())
    excess = max(float(problem.residuals(v, choice).high.max()), 0.0) + UNIT * size
    bound = _widened(problem, v, choice, 1.0 + np.abs(v), excess, 12)
    for slack in (1e-9, 1e-5, np.inf):
        if np.isfinite(bound).all():
            break
        w = longest_times(problem, v, choice, slack * size)
        if np.isfinite(w).all() and w.min() > 0:
            bound = _widened(problem, v, choice, w, excess, LARGEST_WIDENINGS)
    return bound


def _widened(
    problem: Quotient, v: np.ndarray, choice: np.ndarray, w: np.ndarray, excess: float, tries: int
) -> np.ndarray:
    """Return v + eps w for the first eps = excess, 4 excess, ... that makes it a bound, or infinity."""
    for _ in range(tries):
        u = v + excess * w
        if strictly_above(problem, u, problem.residuals(u, choice)):
            return np.asarray(u + 2 * UNIT * np.abs(u))
        excess *= 4
    return np.full(problem.n, np.inf)


def strictly_above(problem: Quotient, u: np.ndarray, found: Residuals) -> bool:
    """Return whether u is proven to exceed T u everywhere, given the residuals of u."""
    return bool((u >= problem.stay).all() and (found.high < 0).all())


def longest_times(problem: Quotient, v: np.ndarray, choice: np.ndarray, slack: float) -> np.ndarray:
    """Return about the longest expected time to stop with rows that lose at most `slack` each."""
    timed = replace(
        problem,
        r=np.ones_like(problem.r),
        active=problem.active & near_optimal(problem, v, slack),
        stay=np.where(problem.stay > -np.inf, 1.0, -np.inf),
    )
    try:
        w, _, _ = improve_choice(timed, choice, 100)
    except (RuntimeError, FloatingPointError):
        return np.full(problem.n, np.nan)
    return w


def near_optimal(problem: Quotient, v: np.ndarray, slack: float) -> np.ndarray:
    """Return the rows with r + P v >= v - slack: shape [S, A]."""
    if slack == np.inf:
        return np.ones_like(problem.active)
    S, A = problem.r.shape
    onward = np.empty((S, A))
    full = v[problem.node]
    if isinstance(problem.mdp.P, SparseTransitions):
        onward[:] = (problem.mdp.P.to_scipy() @ full).reshape(S, A)
    else:
        onward[:] = problem.mdp.P @ full
    return problem.r + onward >= full[:, None] - slack
