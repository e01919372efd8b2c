"""Flows of least mass under convex constraints on estimation errors: a barrier method with certificates.

A flow x[h, s, a] of mass T is T times the occupancy measure of some mixture of policies. With data N and
target vectors w_i (occupancies of the policies to be judged) the error of constraint i is ::

    f_i(x) = sum_j w_ij^2 / (x_j + N_j)      or, with features,      |phi_i|^2 in the inverse of
                                             Lambda(x) = sum_j (x_j + N_j) phi_j phi_j^T,

convex and decreasing in x. Two programs are solved, ``f_i <= c_i`` at the least mass, and ``f_i <= c_i t``
at the least t for a given mass.

**Certificate.** By convexity ``f_i(x) >= f_i(y) + <f_i'(y), x - y>`` for every y. Take multipliers p >= 0 and
``G = -sum_i p_i f_i'(y) >= 0``, scaled so that no policy collects more than 1 from G (one dynamic program).
Then every feasible flow of mass T has ``T >= <G, x> >= sum_i p_i (f_i(y) - c_i) + <G, y>``. The upper bound
is a flow that is built from a policy and checked. Neither trusts the method in between.

Newton's steps are scaled by x, so that cells with a mass of 1 and of 10^8 do not disturb each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from theoryrl.solvers.episodic.linear_program import flow_constraints

CENTRED = 1e-8
"""Squared Newton decrement, over two, at which the barrier parameter grows."""

GROWTH = 12.0
"""Factor of the barrier parameter."""


@runtime_checkable
class Errors(Protocol):
    """The errors f_i of some constraints, as functions of the flow on the cells in use."""

    def values(self, x: np.ndarray) -> np.ndarray:
        """Return f[i]."""

    def slopes(self, x: np.ndarray) -> np.ndarray:
        """Return f_i'(x), never positive: shape [i, cells]."""

    def curvature(self, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Return the Hessian of sum_i p_i f_i."""


@dataclass(frozen=True, eq=False)
class TabularErrors:
    """f_i = sum_j w_ij^2 / (x_j + N_j), zero where w is zero."""

    squares: Float[np.ndarray, "I C"]
    offsets: Float[np.ndarray, " C"]

    def values(self, x: np.ndarray) -> np.ndarray:
        """Return f[i]."""
        total = x + self.offsets
        terms = np.zeros(self.squares.shape)
        with np.errstate(divide="ignore"):
            np.divide(self.squares, total, out=terms, where=self.squares > 0)
        return terms.sum(axis=1)

    def slopes(self, x: np.ndarray) -> np.ndarray:
        """Return f_i'(x)."""
        terms = np.zeros(self.squares.shape)
        np.divide(-self.squares, (x + self.offsets) ** 2, out=terms, where=self.squares > 0)
        return terms

    def curvature(self, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Return the Hessian of sum_i p_i f_i."""
        weights = p @ self.squares
        terms = np.zeros(len(x))
        np.divide(2 * weights, (x + self.offsets) ** 3, out=terms, where=weights > 0)
        return np.diag(terms)


@dataclass(frozen=True, eq=False)
class LinearErrors:
    """f_i = |phi_i|^2 in the inverse of Lambda of its stage; constraint i belongs to one stage.

    Attributes
    ----------
    targets, stages
        phi_i [I, d] and the stage of each.
    features, cells
        phi_j of each cell [C, d], and the stage of each cell [C].
    offsets
        N_j.
    bases
        What else enters Lambda of each stage: data of cells that no flow reaches, a ridge: [H, d, d].
    """

    targets: Float[np.ndarray, "I d"]
    stages: np.ndarray
    features: Float[np.ndarray, "C d"]
    cells: np.ndarray
    offsets: Float[np.ndarray, " C"]
    bases: Float[np.ndarray, "H d d"]

    @cached_property
    def _spans(self) -> list[np.ndarray]:
        """An orthonormal basis of what Lambda of each stage can see; targets lie in it."""
        bases = []
        for h, base in enumerate(self.bases):
            seen = np.vstack([self.features[self.cells == h], base])
            _, size, rows = np.linalg.svd(seen, full_matrices=False)
            bases.append(rows[size > 1e-12 * size[0]].T)
        return bases

    def _inverses(self, x: np.ndarray) -> np.ndarray:
        loads = x + self.offsets
        inverses = np.empty_like(self.bases)
        for h, span in enumerate(self._spans):
            own = self.features[self.cells == h]
            Lambda = (own.T * loads[self.cells == h]) @ own + self.bases[h]
            inverses[h] = span @ np.linalg.inv(span.T @ Lambda @ span) @ span.T
        return inverses

    def values(self, x: np.ndarray) -> np.ndarray:
        """Return f[i]."""
        inverse = self._inverses(x)[self.stages]
        return np.einsum("id,ide,ie->i", self.targets, inverse, self.targets)

    def _products(self, x: np.ndarray) -> np.ndarray:
        inverse = self._inverses(x)[self.stages]
        products = np.einsum("id,ide,ce->ic", self.targets, inverse, self.features)
        return np.where(self.stages[:, None] == self.cells, products, 0.0)

    def slopes(self, x: np.ndarray) -> np.ndarray:
        """Return f_i'(x)."""
        return -(self._products(x) ** 2)

    def curvature(self, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Return the Hessian of sum_i p_i f_i."""
        inverse, u = self._inverses(x), self._products(x)
        kernel = np.einsum("cd,cde,be->cb", self.features, inverse[self.cells], self.features)
        return 2 * np.einsum("i,ic,ib->cb", p, u, u) * kernel


@dataclass(frozen=True, eq=False)
class Network:
    """Where a flow may go: the reachable cells of a (possibly sub-stochastic) model."""

    P: Float[np.ndarray, "H S A S"]
    rho: Float[np.ndarray, " S"]
    used: np.ndarray
    matrix: Float[np.ndarray, "E C"]
    source: Float[np.ndarray, " E"]

    @classmethod
    def of(cls, P: np.ndarray, rho: np.ndarray) -> Network:
        """Find the reachable cells and their equations of conservation."""
        H, S, A, _ = P.shape
        reach = np.zeros((H, S), dtype=bool)
        reach[0] = rho > 0
        for h in range(1, H):
            reach[h] = (P[h - 1][reach[h - 1]] > 0).any(axis=(0, 1))
        used = np.repeat(reach[..., None], A, axis=2)
        matrix, right = flow_constraints(P, rho)
        dense = np.asarray(matrix.todense())[reach.ravel()][:, used.ravel()]
        return cls(P, rho, used, dense, right[reach.ravel()])

    def spread(self, x: np.ndarray) -> Float[np.ndarray, "H S A"]:
        """Return the flow on all cells."""
        full = np.zeros(self.used.shape)
        full[self.used] = x
        return full

    def flow_of(self, x: np.ndarray, mass: float) -> np.ndarray:
        """Return the flow of that mass of the Markov policy in x: an exact flow, whatever x is."""
        full = np.maximum(self.spread(x), 0.0)
        weight = full.sum(axis=2, keepdims=True)
        pi = np.divide(full, weight, out=np.full(full.shape, 1 / full.shape[2]), where=weight > 0)
        state, flow = mass * self.rho, np.empty_like(full)
        for h in range(len(self.P)):
            flow[h] = state[:, None] * pi[h]
            state = np.einsum("sa,sat->t", flow[h], self.P[h])
        return flow[self.used]

    def most(self, G: np.ndarray) -> float:
        """Return the most that a policy collects from the gains G of the cells in use."""
        gains, V = self.spread(G), np.zeros(self.P.shape[1])
        for h in range(len(self.P) - 1, -1, -1):
            V = (gains[h] + self.P[h] @ V).max(axis=1)
        return float(self.rho @ V)


@dataclass(frozen=True, eq=False)
class Program:
    """One of the two programs: `mass` None asks for the least mass, else for the least t."""

    network: Network
    errors: Errors
    limits: Float[np.ndarray, " I"]
    mass: float | None

    def slack(self, x: np.ndarray, t: float) -> np.ndarray:
        """Return what is left of each limit."""
        scale = 1.0 if self.mass is None else t
        return self.limits * scale - self.errors.values(x)

    def bounds(self, x: np.ndarray, t: float, p: np.ndarray) -> tuple[float, float, np.ndarray]:
        """Return proven bounds on the optimum, and the flow of the upper one."""
        network, mass = self.network, self.mass
        f, G = self.errors.values(x), -(p @ self.errors.slopes(x))
        if mass is not None:
            flow = network.flow_of(x, mass)
            upper = float((self.errors.values(flow) / self.limits).max())
            weight = float(p @ self.limits)
            lower = (float(p @ f) + float(G @ x) - mass * network.most(G)) / weight
            return max(lower, 0.0), upper, flow
        most = network.most(G)
        lower = (float(p @ (f - self.limits)) + float(G @ x)) / most if most > 0 else 0.0
        upper, flow = self._feasible(x, t)
        return max(lower, 0.0), upper, flow

    def _feasible(self, x: np.ndarray, mass: float) -> tuple[float, np.ndarray]:
        """Return the least multiple of the flow in x, near its own mass, that is within all limits."""
        unit = self.network.flow_of(x, 1.0)

        def fits(m: float) -> bool:
            return bool((self.errors.values(m * unit) <= self.limits).all())

        high = mass
        while not fits(high):
            high *= 1 + 1e-9 if high < mass * (1 + 1e-8) else 1.5
            if high > 1e6 * mass:
                return np.inf, mass * unit
        low = high * (1 - 1e-6)
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (low, middle) if fits(middle) else (middle, high)
        return high, high * unit


@dataclass(frozen=True, eq=False)
class Optimum:
    """What the barrier method found: the optimum with proven bounds, a flow, and multipliers."""

    lower: float
    upper: float
    flow: Float[np.ndarray, " C"]
    multipliers: Float[np.ndarray, " I"]
    steps: int


def minimise(program: Program, x: np.ndarray, t: float, tol: float, most_steps: int = 600) -> Optimum:
    """Follow the central path from a strictly feasible flow until the proven bounds meet.

    Parameters
    ----------
    program
        What to minimise.
    x, t
        Positive flow on the cells in use with slack in every limit; its mass, or t.
    tol
        Relative distance of the bounds at which to stop.
    """
    size = len(program.limits) + len(x)
    weight = size / t
    best = Optimum(0.0, np.inf, x, np.ones(len(program.limits)), 0)
    steps = 0
    while steps < most_steps:
        x, t, taken = _centre(program, x, t, weight)
        steps += taken
        p = 1 / (weight * program.slack(x, t))
        lower, upper, flow = program.bounds(x, t, p)
        if upper < best.upper:
            best = Optimum(max(lower, best.lower), upper, flow, p, steps)
        elif lower > best.lower:
            best = Optimum(lower, best.upper, best.flow, p, steps)
        if best.upper - best.lower <= tol * best.upper or size / weight < 1e-13 * t:
            break
        weight *= GROWTH
    return best


def _centre(program: Program, x: np.ndarray, t: float, weight: float) -> tuple[np.ndarray, float, int]:
    """Minimise ``weight t - sum log slack - sum log x`` on the flows by Newton's method."""
    for step in range(1, 60):
        dx, dt, decrement = _newton(program, x, t, weight)
        if decrement / 2 <= CENTRED:
            return x, t, step
        length = 1.0 / (1.0 + np.sqrt(decrement)) if decrement > 0.25 else 1.0
        bound = np.max(-dx / x, initial=-dt / t if t > 0 else 0.0)
        longest = 0.99 / bound if bound > 0 else np.inf
        here = _barrier(program, x, t, weight)
        trial = min(1.0, longest)  # the damped step always descends; a longer one often does more
        while trial > length and not _barrier(program, x + trial * dx, t + trial * dt, weight) < here:
            trial /= 2
        length = min(max(trial, length), longest)
        while length > 1e-14 and not (program.slack(x + length * dx, t + length * dt) > 0).all():
            length /= 2
        if length <= 1e-14:
            return x, t, step
        x, t = x + length * dx, t + length * dt
    return x, t, step


def _barrier(program: Program, x: np.ndarray, t: float, weight: float) -> float:
    slack = program.slack(x, t)
    if (slack <= 0).any() or (x <= 0).any():
        return np.inf
    return weight * t - float(np.log(slack).sum()) - float(np.log(x).sum())


def _newton(program: Program, x: np.ndarray, t: float, weight: float) -> tuple[np.ndarray, float, float]:
    """Return Newton's step in x and t, and the squared decrement; coordinates are scaled by x and t."""
    errors, n = program.errors, len(x)
    inverse = 1 / program.slack(x, t)
    rows = np.zeros((len(inverse), n + 1))
    rows[:, :n] = errors.slopes(x) * x
    if program.mass is not None:
        rows[:, n] = -program.limits * t
    rows *= inverse[:, None]
    hessian = rows.T @ rows
    hessian[:n, :n] += errors.curvature(x, inverse) * np.outer(x, x) + np.eye(n)
    gradient = rows.sum(axis=0)
    gradient[:n] -= 1
    gradient[n] += weight * t
    hessian[n, n] += 1e-14 * max(hessian[n, n], 1.0)
    E = np.zeros((len(program.network.source), n + 1))
    E[:, :n] = program.network.matrix * x
    if program.mass is None:
        E[:, n] = -program.network.source * t
    scale = np.linalg.norm(E, axis=1)
    # Rounding makes x drift off the flows; the step leads back.
    drift = program.network.matrix @ x - program.network.source * (
        t if program.mass is None else program.mass
    )
    kkt = np.block([[hessian, (E / scale[:, None]).T], [E / scale[:, None], np.zeros((len(E), len(E)))]])
    right = np.concatenate([-gradient, -drift / scale])
    u = np.linalg.solve(kkt, right)[: n + 1]
    return u[:n] * x, float(u[n] * t), float(u @ hessian @ u)
