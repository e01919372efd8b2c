"""A certificate for all deterministic policies at once, in polynomial time.

The class has A^(S H) members, so it is relaxed to the occupancy polytope of the empirical model. For any
``k_h > 0`` and cell bounds ``w <= u`` the width of a policy is at most linear in its occupancies::

    |w_h|_{1/(n+lambda)} <= (k_h + |w_h|^2 / k_h) / 2 <= k_h / 2 + sum w_h u_h / (2 k_h (n_h + lambda)).

So ``idx(w) = <Rhat, w> + sum_h g_h k_h / 2 + sum w_h (g_h u_h / (2 k_h (n_h + lambda)) + (H-h+1) lambda /
(n_h + lambda))`` is an upper bound on ``Vhat + W`` over the polytope; a lower bound on the best value is
``Vhat - W`` of the empirically best policy. Policies whose index is below it cannot be optimal: cutting them
off shrinks u and k, and the bounds again. Only the data of this moment enter: a set of surviving occupancies
carried from one look to the next would be unsound (FTPedel page, all policies).

Each linear program is bounded by its own dual, so that the method's tolerance does not enter.

Source: ours; proof on the FTPedel page, all policies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import sparse
from scipy.optimize import linprog

from theoryrl.models import DeterministicPolicy, TransitionCounts
from theoryrl.models._validation import check_count, check_fraction, check_real, check_type
from theoryrl.solvers.episodic.linear_program import flow_constraints
from theoryrl.solvers.experiment_design.widths import EmpiricalModel, confidence_radii
from theoryrl.solvers.solution import rounding_unit


@dataclass(frozen=True, eq=False)
class AllPolicyCertificate:
    """A policy, and bounds that hold with probability 1 - delta at every time.

    Attributes
    ----------
    policy
        The empirically best policy, deterministic.
    lower
        At most the value of `policy`.
    upper
        At least the best value of all policies: the least of `uppers`.
    uppers
        The upper bound after each round of cutting, non-increasing up to the accuracy of the programs.
    index
        Gains per cell of the last round's index; less Rhat, the cells' share of the width: [H, S, A].
    """

    policy: DeterministicPolicy
    lower: float
    upper: float
    uppers: tuple[float, ...]
    index: Float[np.ndarray, "H S A"]


class _Index(NamedTuple):
    constant: float
    gains: np.ndarray


def all_policy_certificate(
    data: TransitionCounts,
    rho: Float[np.ndarray, " S"],
    delta: float,
    lam: float = 1.0,
    cuts: int = 2,
    conf_scale: float = 1.0,
) -> AllPolicyCertificate:
    """Return the empirically best policy with bounds: it is (upper - lower)-optimal among all policies.

    Parameters
    ----------
    data
        All data, offline and online.
    rho
        Distribution of the first state, known.
    delta
        Probability with which the bounds may fail.
    lam
        lambda, positive.
    cuts
        Rounds of cutting; each solves S A H linear programs. 0: dynamic programs only.
    conf_scale
        kappa; the proof is for 1.
    """
    check_type("data", data, TransitionCounts)
    if check_real("lam", lam, low=0.0) == 0 or check_real("conf_scale", conf_scale, low=0.0) == 0:
        raise ValueError(f"lam and conf_scale must be positive; got {lam!r} and {conf_scale!r}")
    check_count("cuts", cuts, low=0)
    H, S, A = data.shape
    model = EmpiricalModel.of(data.transitions, data.reward_sums, rho, lam)
    log_policies = S * H * float(np.log(A))
    g = confidence_radii(model.N, log_policies, check_fraction("delta", delta), lam, conf_scale)
    root = float(np.sqrt(conf_scale))
    actions = greedy_actions(model, model.R)
    own = model.evaluate(actions[None], g, root)
    lower = float(own.values[0] - own.widths[0])
    reach = _reach(model)
    u = np.repeat(reach[..., None], A, axis=2)
    index = _index(model, g, root, u, _kaps(model, u, None))
    uppers = [index.constant + _best(model, index.gains)]
    for _ in range(cuts):
        polytope = _Polytope(model, [(index, lower)])
        u = polytope.cell_maxima(u)
        index = _index(model, g, root, u, _kaps(model, u, polytope))
        uppers.append(index.constant + polytope.maximum(index.gains))
    return AllPolicyCertificate(
        DeterministicPolicy(actions, A), lower, min(uppers), tuple(uppers), index.gains
    )


def greedy_actions(model: EmpiricalModel, gains: np.ndarray) -> np.ndarray:
    """Return the policy that collects the most of the gains in the empirical model: shape [H, S]."""
    H, S, _ = gains.shape
    actions, V = np.zeros((H, S), dtype=np.int64), np.zeros(S)
    for h in range(H - 1, -1, -1):
        Q = gains[h] + model.P[h] @ V
        actions[h] = Q.argmax(axis=1)
        V = Q.max(axis=1)
    return actions


def _best(model: EmpiricalModel, gains: np.ndarray) -> float:
    """Return max <gains, w> over the polytope, rounded up."""
    V = np.zeros(gains.shape[1])
    for h in range(len(gains) - 1, -1, -1):
        V = (gains[h] + model.P[h] @ V).max(axis=1)
    size = float(np.abs(gains).max(axis=(1, 2)).sum())
    return float(model.rho @ V) + rounding_unit(4 * gains.size) * size


def _reach(model: EmpiricalModel) -> Float[np.ndarray, "H S"]:
    """Return the largest mass that any policy brings to each state."""
    H, S, _ = model.R.shape
    reach = np.zeros((H, S))
    for h in range(H):
        V = np.eye(S)
        for k in range(h - 1, -1, -1):
            V = np.einsum("sat,tm->sam", model.P[k], V).max(axis=1)
        reach[h] = np.minimum(model.rho @ V, 1.0)
    return reach


def _kaps(model: EmpiricalModel, u: np.ndarray, polytope: _Polytope | None) -> Float[np.ndarray, " H"]:
    """Return sqrt(max sum w u / (n + lambda)) of each stage."""
    kaps = np.zeros(len(u))
    for h in range(len(u)):
        gains = np.zeros(u.shape)
        gains[h] = u[h] / (model.N[h] + model.lam)
        kaps[h] = _best(model, gains) if polytope is None else polytope.maximum(gains)
    return np.sqrt(np.maximum(kaps, 0.0))


def _index(model: EmpiricalModel, g: np.ndarray, root: float, u: np.ndarray, kaps: np.ndarray) -> _Index:
    H = len(u)
    share = 1 / (model.N + model.lam)
    slope = np.divide(g, 2 * kaps, out=np.zeros(H), where=kaps > 0)
    remaining = np.arange(H, 0, -1.0)
    gains = model.R + share * (slope[:, None, None] * u + root * model.lam * remaining[:, None, None])
    return _Index(float(g @ kaps) / 2, gains)


class _Polytope:
    """The occupancies of the empirical model whose index is at least a lower bound."""

    def __init__(self, model: EmpiricalModel, cuts: list[tuple[_Index, float]]) -> None:
        self.equal, self.source = flow_constraints(model.P, model.rho)
        self.cut = sparse.csr_array(np.stack([-index.gains.ravel() for index, _ in cuts]))
        self.room = np.array([index.constant - lower for index, lower in cuts])
        self.shape = model.R.shape
        self.reach = _reach(model)

    def maximum(self, gains: np.ndarray) -> float:
        """Return a proven upper bound on the largest <gains, w>, close to it."""
        c = gains.ravel()
        result = linprog(-c, self.cut, self.room, self.equal, self.source, bounds=(0, 1), method="highs")
        y = z = None
        if result.status == 0:
            y, z = np.maximum(-result.ineqlin.marginals, 0.0), -result.eqlin.marginals
        else:  # cut to nothing, or not solved: the uncut polytope still bounds
            y, z = np.zeros(len(self.room)), np.zeros(len(self.source))
        reduced = c - self.cut.T @ y - self.equal.T @ z
        size = np.abs(c) + abs(self.cut).T @ np.abs(y) + abs(self.equal).T @ np.abs(z)
        caps = np.repeat(self.reach[..., None], self.shape[2], axis=2).ravel()
        bound = float(y @ self.room + z @ self.source + np.maximum(reduced, 0.0) @ caps)
        magnitude = float(size.sum() + np.abs(y) @ np.abs(self.room) + np.abs(z) @ np.abs(self.source))
        return bound + rounding_unit(2 * len(c)) * magnitude

    def cell_maxima(self, u: np.ndarray) -> Float[np.ndarray, "H S A"]:
        """Return bounds on w of every cell that matters, at most those that are known."""
        smaller = u.copy()
        for cell in np.argwhere(u > 0):
            gains = np.zeros(self.shape)
            gains[tuple(cell)] = 1.0
            smaller[tuple(cell)] = min(u[tuple(cell)], max(self.maximum(gains), 0.0))
        return smaller
