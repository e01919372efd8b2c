r"""Optimism over all kernels: certified bounds, and the optimum of small cases by branch and bound.

Given counts N_h(s, a, s') with sums n, known rewards r and eta > 0, the objective of a kernel P is::

    J(P) = V*_P(rho) - eta sum_{h,s,a} n KL(phat || P_h(. | s, a)).

It is not concave. From below: block-coordinate ascent over the stages; given the occupancies d_h(s) and
the values V_{h+1}, the block of stage h splits into penalised row problems with price eta n / d_h(s)
(`kl_penalised_row`). It is monotone, and ends in a local maximum whose J is evaluated from scratch.
From above: as d_h(s, a) <= 1, eta n KL >= d (eta n) KL, so

    max J  <=  max_{P, pi} E_P[ sum_h r - eta n KL ],

an ordinary dynamic program with row problems of price eta n. The distance of the two is the *gap*, which
is reported; it closes in small cases by branching on the occupancies l <= d_h(s) <= u, where the price
becomes eta n / u and the two constraints have multipliers, any of which give a valid bound.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from theoryrl.models import DeterministicPolicy
from theoryrl.models._validation import (
    check_choice,
    check_count,
    check_distribution,
    check_interval,
    check_real,
    first_index,
    real_array,
)
from theoryrl.solvers.maximize_to_explore import _model_kernels, _row_kernels
from theoryrl.solvers.solution import Solution, check_tolerance

SWEEPS = 60
"""Most sweeps of one ascent."""
POLYAK_STEPS = 12
"""Subgradient steps for the multipliers of a node."""


@dataclass(frozen=True, eq=False)
class PlannedModel(Solution):
    """A kernel with a large objective, and bounds on the largest one.

    Attributes
    ----------
    P
        The kernel: shape [H, S, A, S]. `value` = `lower` is its objective, evaluated from scratch.
    start_value
        V*_P(rho), what the policy would earn in P.
    """

    P: Float[np.ndarray, "H S A S"]
    start_value: float


def check_problem(
    counts: Any, rewards: Any, rho: Any, eta: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return counts [H, S, A, S], rewards [H, S, A] and the first state's law as arrays of floats."""
    N = real_array("counts", counts, ("H", "S", "A", "S"))
    check_interval("counts", N, 0.0, np.inf)
    r = real_array("rewards", rewards, N.shape[:3])
    check_interval("rewards", r, 0.0, 1.0)
    start = real_array("rho", rho, (N.shape[1],))
    check_distribution("rho", start)
    check_eta(eta)
    return N, r, start


def check_eta(eta: float) -> float:
    """Return eta as a float if it is a positive finite number."""
    number = check_real("eta", eta)
    if number <= 0:
        raise ValueError(f"eta must be positive; got {eta!r}")
    return number


def enclosing(value: float, upper: float) -> float:
    """Return the upper bound, at least the value: they may cross by rounding, and by nothing else.

    Raises
    ------
    ArithmeticError
        If the bound is below a value that was found by more than 1e-9 (relative above 1).
    """
    if upper < value - 1e-9 * max(1.0, abs(value)):
        raise ArithmeticError(f"upper bound {upper!r} is below {value!r}, which was found")
    return max(value, upper)


def allowed_states(support: Any, counts: np.ndarray) -> np.ndarray:
    """Return the mask of allowed next states, everything by default."""
    if support is None:
        return np.ones(counts.shape, dtype=np.bool_)
    mask = np.array(support, dtype=np.bool_, order="C")
    if mask.shape != counts.shape:
        raise ValueError(f"support must have shape {counts.shape}; got {mask.shape}")
    outside = (counts > 0) & ~mask
    if outside.any():
        index = first_index(outside)
        raise ValueError(
            f"support{list(index)} must be true, because counts{list(index)} = {float(counts[index])!r}"
        )
    return mask


def plan_tabular_model(
    counts: Float[np.ndarray, "H S A S"],
    rewards: Float[np.ndarray, "H S A"],
    rho: Float[np.ndarray, " S"],
    eta: float,
    *,
    support: Bool[np.ndarray, "H S A S"] | None = None,
    warm_start: PlannedModel | None = None,
    certify: str = "dp",
    tol: float = 5e-3,
    max_nodes: int = 2000,
) -> PlannedModel:
    """Search all kernels for the largest V*_P(rho) - eta sum n KL(phat || P).

    Parameters
    ----------
    counts
        N[h, s, a, s']: shape [H, S, A, S].
    rewards
        Known rewards in [0, 1]: shape [H, S, A].
    rho
        Distribution of the first state.
    eta
        Price of one nat, positive.
    support
        Where transitions may go; default anywhere.
    warm_start
        Ascend from this plan, too.
    certify
        ``"dp"``: the upper bound of the relaxation; ``"bnb"``: branch and bound until the gap is at most
        `tol` or `max_nodes` are used (small models: three states, three stages).
    tol, max_nodes
        For ``"bnb"``.

    Returns
    -------
    PlannedModel
        `lower` is reached by its own kernel; `upper` bounds every kernel. Neither is exact unless they
        meet.
    """
    N, r, start = check_problem(counts, rewards, rho, eta)
    allowed = allowed_states(support, N)
    check_choice("certify", certify, ("dp", "bnb"))
    check_tolerance(tol)
    check_count("max_nodes", max_nodes)
    search = _Search(N, r, start, float(eta), allowed)
    value, upper, sweeps = search.ascend_from(warm_start)
    method, nodes = "block-coordinate ascent", sweeps
    if certify == "bnb":
        value, upper, nodes = search.branch(value, upper, tol, max_nodes)
        method = "branch and bound"
    policy = DeterministicPolicy(search.actions, r.shape[2])
    return PlannedModel(
        value=np.asarray(value),
        policy=policy,
        lower=np.asarray(value),
        upper=np.asarray(enclosing(value, upper)),
        iterations=nodes,
        method=method,
        P=search.P,
        start_value=float(start @ search.V[0]),
    )


def tabular_model_objective(
    counts: Float[np.ndarray, "H S A S"],
    rewards: Float[np.ndarray, "H S A"],
    rho: Float[np.ndarray, " S"],
    eta: float,
    P: Float[np.ndarray, "H S A S"],
) -> float:
    """Return V*_P(rho) - eta sum n KL(phat || P), minus infinity where P excludes an observation."""
    N, r, start = check_problem(counts, rewards, rho, eta)
    kernel = real_array("P", P, N.shape)
    check_distribution("P", kernel)
    H, S, _ = r.shape
    V, actions = np.zeros((H + 1, S)), np.empty((H, S), dtype=np.int64)
    return float(_model_kernels.model_objective(N, N.sum(axis=3), r, start, float(eta), kernel, V, actions))


class _Search:
    """The best kernel so far, and the ways to improve it and to bound what it cannot reach."""

    def __init__(
        self, counts: np.ndarray, r: np.ndarray, rho: np.ndarray, eta: float, allowed: np.ndarray
    ) -> None:
        self.data = counts, counts.sum(axis=3), r, rho, eta
        self.allowed = allowed
        H, S, A = r.shape
        self.P, self.V = np.zeros((H, S, A, S)), np.zeros((H + 1, S))
        self.actions = np.zeros((H, S), dtype=np.int64)

    @property
    def caps(self) -> np.ndarray:
        """Upper bounds on every occupancy: the law of the first state, then one."""
        rho, (H, S) = self.data[3], self.actions.shape
        return np.vstack([rho, np.ones((H - 1, S))])

    def ascend_from(self, warm: PlannedModel | None) -> tuple[float, float, int]:
        """Plan with the relaxation; return (objective, upper bound, sweeps)."""
        if warm is not None:
            self.P[:] = warm.P
            self.actions[:] = warm.policy.actions
        value, upper, sweeps = _model_kernels.plan_model(
            *self.data, self.caps, self.allowed, warm is not None, SWEEPS, self.P, self.V, self.actions
        )
        return float(value), float(upper), int(sweeps)

    def improve(self, P: np.ndarray, actions: np.ndarray, value: float) -> float:
        """Ascend from a kernel and keep the result if it is better; return the best objective."""
        counts, n, *_ = self.data
        P, actions, V, d = P.copy(), actions.copy(), np.zeros_like(self.V), np.empty(actions.shape)
        _model_kernels.unplayed_rows_to_data(counts, n, actions, P)
        _model_kernels.ascend(*self.data, self.allowed, P, V, actions, d, SWEEPS)
        found = float(_model_kernels.model_objective(*self.data, P, V, actions))
        if found > value:
            self.P, self.V, self.actions = P, V, actions
            return found
        return value

    def bound(
        self, low: np.ndarray, high: np.ndarray, target: float
    ) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Return (bound, P, actions, occupancies) of a node."""
        P, actions, d = np.empty_like(self.P), np.empty_like(self.actions), np.empty(self.actions.shape)
        bound = _model_kernels.node_bound(
            *self.data, low, high, self.allowed, target, POLYAK_STEPS, P, np.zeros_like(self.V), actions, d
        )
        return float(bound), P, actions, d

    def branch(self, value: float, root: float, tol: float, max_nodes: int) -> tuple[float, float, int]:
        """Split occupancies until the gap is at most `tol`; return (objective, upper bound, nodes)."""
        low, high = np.zeros(self.actions.shape), self.caps
        first = self.bound(low, high, value)
        open_nodes = [(-min(root, first[0]), 0, low, high, first)]
        closed, nodes = -np.inf, 1
        while open_nodes and nodes < max_nodes:
            if -open_nodes[0][0] <= value + tol:
                break
            upper, _, low, high, (_, P, actions, d) = heapq.heappop(open_nodes)
            value = self.improve(P, actions, value)
            children = self._children(low, high, P, d)
            if not children:
                closed = max(closed, -upper)
            for child_low, child_high in children:
                child = self.bound(child_low, child_high, value)
                bound = min(-upper, child[0])
                nodes += 1
                if bound > value + tol:
                    heapq.heappush(open_nodes, (-bound, nodes, child_low, child_high, child))
                else:
                    closed = max(closed, bound)
        largest = max(closed, -open_nodes[0][0]) if open_nodes else closed
        return value, min(root, max(value, largest)), nodes

    def _children(
        self, low: np.ndarray, high: np.ndarray, P: np.ndarray, d: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Split the occupancy whose price is understated most, at the relaxation's own value."""
        counts, n, *_ = self.data
        charge = np.zeros(d.shape)
        for h, s in np.ndindex(d.shape):
            for a in range(n.shape[2]):
                if n[h, s, a] > 0:
                    charge[h, s] += _row_kernels.row_divergence(counts[h, s, a], n[h, s, a], P[h, s, a])
        room = high - low
        share = 1 - d / np.maximum(high, _model_kernels.SMALLEST_OCCUPANCY)
        score = np.where(room > 1e-6, np.maximum(share, 0.0) * charge + 1e-12 * room, -1.0)
        score[0] = -1.0  # the first stage's occupancies are given
        h, s = np.unravel_index(int(score.argmax()), score.shape)
        if score[h, s] < 0:
            return []
        middle = float(np.clip(d[h, s], low[h, s] + 0.1 * room[h, s], high[h, s] - 0.1 * room[h, s]))
        below, above_low, above = high.copy(), low.copy(), high.copy()
        below[h, s] = middle
        above_low[h, s] = middle
        others = np.arange(d.shape[1]) != s
        above[h, others] = np.minimum(above[h, others], 1 - middle)
        return [(low, below), (above_low, above)]
