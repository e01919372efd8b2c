"""Evidence on optimistic planning: inner maxima, brackets of extended gains, models inside their sets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog

from theoryrl.instances import average_riverswim, random_average
from theoryrl.models import AverageRewardMDP
from theoryrl.solvers import diameter, solve
from theoryrl.solvers.average import extended_value_iteration
from theoryrl.solvers.average.extended import set_maximum
from theoryrl.theory.core import Evidence, Scope

Maximum = Callable[..., float]


@dataclass(frozen=True, eq=False)
class InnerCase(Evidence):
    """A set around p, the value that was computed for u, and that of a linear program."""

    kind: str
    value: float
    program: float


def inner_cases(scope: Scope, maximum: Maximum = set_maximum) -> Iterator[InnerCase]:
    """Yield random inner problems of L1 balls and boxes."""
    rng = np.random.default_rng([scope.seed, 71])
    for index in range(scope.pick(60, 400)):
        S = int(rng.integers(1, 8))
        p = rng.dirichlet(np.full(S, rng.choice([0.2, 1.0])))
        u = np.round(rng.random(S) * rng.choice([1.0, 30.0]), int(rng.integers(0, 4)))
        kind = "l1" if index % 2 else "box"
        radius: Any = rng.random(S) * 0.4 if kind == "box" else float(rng.random() * 2.2 + 1e-6)
        yield InnerCase(
            f"{kind} {index}", kind, maximum(p, u, radius, kind), linear_maximum(p, u, radius, kind)
        )


def linear_maximum(p: np.ndarray, u: np.ndarray, radius: Any, kind: str) -> float:
    """Solve an inner problem with HiGHS."""
    S = len(p)
    if kind == "box":
        bounds = [(max(0.0, a - w), min(1.0, a + w)) for a, w in zip(p, radius, strict=True)]
        found = linprog(-u, A_eq=np.ones((1, S)), b_eq=[1.0], bounds=bounds, method="highs")
        return -float(found.fun)
    # q = p + up - down with sum(up + down) <= radius.
    cost = np.concatenate([-u, u])
    equal = np.concatenate([np.ones(S), -np.ones(S)])[None]
    bounds = [(0.0, None)] * S + [(0.0, float(a)) for a in p]
    found = linprog(
        cost, A_ub=np.ones((1, 2 * S)), b_ub=[radius], A_eq=equal, b_eq=[0.0], bounds=bounds, method="highs"
    )
    return float(p @ u) - float(found.fun)


@dataclass(frozen=True, eq=False)
class Bracket(Evidence):
    """Bounds on an extended gain, and that gain from all corners of the balls."""

    lower: float
    upper: float
    gain: float
    width: float
    tol: float


def ball_corners(p: np.ndarray, radius: float) -> Float[np.ndarray, "K S"]:
    """Return, for each order of the states, the row of the L1 ball that is best for it."""
    corners = []
    for order in itertools.permutations(range(len(p))):
        q = p.copy()
        left = min(radius / 2, 1 - q[order[0]])
        q[order[0]] += left
        for s in reversed(order[1:]):
            take = min(q[s], left)
            q[s] -= take
            left -= take
        corners.append(q / q.sum())
    return np.array(corners)


def extended_gain(P: np.ndarray, r: np.ndarray, radius: np.ndarray) -> float:
    """Return the gain of the extended MDP by policy iteration over the corners of its balls."""
    S, A, _ = P.shape
    rows = np.array(
        [np.concatenate([ball_corners(P[s, a], radius[s, a]) for a in range(A)]) for s in range(S)]
    )
    return float(
        solve(AverageRewardMDP(rows, np.repeat(r, math.factorial(S), axis=1)), tol=1e-11).value.max()
    )


Planner = Callable[..., Any]


def brackets(scope: Scope, plan: Planner = extended_value_iteration) -> Iterator[Bracket]:
    """Yield extended MDPs of three states, small enough to list the corners of their balls."""
    rng = np.random.default_rng([scope.seed, 72])
    for index in range(scope.pick(15, 80)):
        P = rng.dirichlet(np.full(3, 0.5), size=(3, 2))
        r, radius = rng.random((3, 2)), rng.random((3, 2)) * 0.8 + 0.01
        tol = float(rng.choice([1e-2, 1e-6]))
        found = plan(P, r, radius, tol)
        gap = float(found.upper - found.lower)
        yield Bracket(
            f"model {index}", float(found.lower), float(found.upper), extended_gain(P, r, radius), gap, tol
        )


@dataclass(frozen=True, eq=False)
class Optimism(Evidence):
    """A model inside a set: its optimal gain and diameter, and what extended value iteration returned."""

    gain: float
    diameter: float
    value: float
    upper: float
    span: float
    wider: float
    tol: float


def optimistic_cases(scope: Scope, plan: Planner = extended_value_iteration) -> Iterator[Optimism]:
    """Yield models whose rows and rewards lie in the set around an estimate."""
    rng = np.random.default_rng([scope.seed, 73])
    for index in range(scope.pick(20, 150)):
        S, A = int(rng.integers(2, 7)), int(rng.integers(1, 4))
        mdp = random_average(S, A, mixing=0.1, seed=int(rng.integers(1 << 30)))
        if index % 5 == 0:
            mdp = average_riverswim(S)
        P, r = mdp.dense_P(), mdp.r
        other = rng.dirichlet(np.ones(S), size=r.shape)
        centre = 0.8 * P + 0.2 * other
        radius = np.abs(centre - P).sum(axis=-1) * (1 + 1e-9) + 1e-9
        rewards = np.minimum(1.0, r + rng.random(r.shape) * 0.1)
        tol = float(rng.choice([0.3, 1e-2, 1e-5]))
        found, wider = plan(centre, rewards, radius, tol), plan(centre, rewards, 1.5 * radius, 1e-9)
        tight = plan(centre, rewards, radius, 1e-9)
        yield Optimism(
            f"model {index}",
            gain=float(solve(mdp, tol=1e-10).value[0]),
            diameter=diameter(mdp).upper,
            value=float(found.value),
            upper=float(found.upper),
            span=float(np.ptp(found.u)),
            wider=float(wider.value - tight.value),
            tol=tol,
        )
