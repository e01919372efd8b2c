"""Random inner problems, and the same problems for cvxpy."""

import cvxpy as cp
import numpy as np

from theoryrl.models import EpisodicMDP, Uncertainty

BALLS = ("tv", "l1", "linf", "kl", "chi2", "wasserstein", "contamination")
NAMES = (*BALLS, *(f"{name}-penalty" for name in BALLS[:-1]))
LARGEST = {
    "tv": 1.0,
    "l1": 2.0,
    "linf": 1.0,
    "kl": 20.0,
    "chi2": 50.0,
    "wasserstein": 5.0,
    "contamination": 1.0,
}


def random_set(rng, name, S):
    """A set of that name; radii are zero or the largest one in a good part of the cases."""
    divergence = name.removesuffix("-penalty")
    penalty = name != divergence
    cost = None
    if divergence == "wasserstein":
        cost = np.round(rng.random((S, S)), int(rng.integers(1, 6)))
        np.fill_diagonal(cost, 0.0)
    top = LARGEST[divergence]
    radius = 10 ** rng.uniform(-2, 1.5) if penalty else rng.choice([0.0, top, top * rng.random() ** 3])
    return Uncertainty(divergence, float(radius), penalty=penalty, cost=cost)


def random_row(rng, S):
    """A row with zeros in a good part of the cases."""
    p = rng.dirichlet(np.full(S, 0.5)) * (rng.random(S) < 0.75)
    if p.sum() == 0:
        p[int(rng.integers(S))] = 1.0
    return p / p.sum()


def random_values(rng, S):
    """Values with ties in a good part of the cases."""
    return np.round(3 * rng.random(S), int(rng.integers(0, 6)))


def by_cvxpy(uncertainty, p0, v):
    """The least expectation, from an independent solver."""
    S, radius = len(v), uncertainty.radius
    p = cp.Variable(S, nonneg=True)
    constraints, support = [cp.sum(p) == 1], p0 > 0
    match uncertainty.divergence:
        case "tv":
            distance = cp.norm1(p - p0) / 2
        case "l1":
            distance = cp.norm1(p - p0)
        case "linf":
            distance = cp.norm_inf(p - p0)
        case "kl":
            distance = cp.sum(cp.rel_entr(p[support], p0[support]))
        case "chi2":
            scaled = cp.multiply(1 / np.sqrt(p0[support]), p[support] - p0[support])
            distance = cp.sum_squares(scaled)
            if not uncertainty.penalty:  # a cone is better conditioned than a square
                distance, radius = cp.norm(scaled), np.sqrt(radius)
        case "wasserstein":
            plan = cp.Variable((S, S), nonneg=True)
            constraints += [cp.sum(plan, axis=1) == p0, cp.sum(plan, axis=0) == p]
            distance = cp.sum(cp.multiply(plan, uncertainty.cost))
        case "contamination":
            constraints.append(p >= (1 - radius) * p0)
            distance = 0.0
    if not uncertainty.creates_support and not support.all():
        constraints.append(p[~support] == 0)
    objective = p @ v
    if uncertainty.penalty:
        objective = objective + radius * distance
    elif uncertainty.divergence != "contamination":
        constraints.append(distance <= radius)
    accuracy = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}
    return cp.Problem(cp.Minimize(objective), constraints).solve(solver=cp.CLARABEL, **accuracy)


def random_model(rng, H=3, S=4, A=2):
    """A dense random model with a random first state."""
    P = rng.dirichlet(np.full(S, 0.4), size=(H, S, A))
    return EpisodicMDP(P, rng.random((H, S, A)), rng.dirichlet(np.ones(S)))
