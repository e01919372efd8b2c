"""The robust Bellman backup of each kind of set, with a bound on its error.

An operator turns values at the next stage into action values or, where the adversary has one budget
for all actions, into values; both come with a proven error.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.special import logsumexp

from theoryrl.models import DiscountedMDP, EpisodicMDP, LinearMDP, RobustLinearMDP, RobustMDP, Uncertainty
from theoryrl.models._validation import ROW_SUM_TOLERANCE
from theoryrl.solvers.episodic._kernels import first_maximum
from theoryrl.solvers.robust import _state_budget
from theoryrl.solvers.robust.backups import ascending, expectation, frozen
from theoryrl.solvers.solution import rounding_unit

RobustModel: TypeAlias = RobustMDP | RobustLinearMDP


class Backup(NamedTuple):
    """One stage of a robust recursion.

    Attributes
    ----------
    V
        Values: shape [S].
    Q
        Action values against the worst rows: shape [S, A].
    pi
        The policy: shape [S, A].
    down, up
        The true backup of the same next values lies in [V - down, V + up].
    rows
        The worst rows P[s, a, s'], or None if they were not asked for.
    """

    V: np.ndarray
    Q: np.ndarray
    pi: np.ndarray
    down: float
    up: float
    rows: np.ndarray | None


class Regulariser(NamedTuple):
    """The price of leaving the reference policy in one stage (eta = 0 for none), or a ball around it."""

    eta: float
    reference: np.ndarray
    radius: float | None = None

    def improve(self, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the best policy for Q, its value, and how much better another one may be.

        The Gibbs law, the first maximum, or the tilt of the reference on the sphere of the ball.
        """
        if self.radius is not None:
            return self._within_ball(Q)
        if self.eta == 0.0:
            return greedy(Q), Q.max(axis=1), 0.0
        return *soft_greedy(Q, self.eta, self.reference), 0.0

    def _within_ball(self, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Maximise <pi, Q> over KL(pi || reference) <= radius: an adversary's inner problem for -Q."""
        assert self.radius is not None
        ball, pi, V, gap = Uncertainty("kl", self.radius), np.empty(Q.shape), np.empty(len(Q)), 0.0
        for s in range(len(Q)):
            allowed = np.isfinite(Q[s])
            centre = np.where(allowed, self.reference[s], 0.0)
            found = expectation(ball, centre[None] / centre.sum(), np.where(allowed, -Q[s], 0.0), rows=True)
            assert found.rows is not None
            pi[s], V[s], gap = found.rows[0], -found.value[0], max(gap, found.gap)
        return pi, V, gap

    def evaluate(self, Q: np.ndarray, pi: np.ndarray) -> np.ndarray:
        """Return sum_a pi Q - eta KL(pi || reference)."""
        value: np.ndarray = (pi * Q).sum(axis=1)
        return value - self.eta * relative_entropy(pi, self.reference) if self.eta else value

    @property
    def scale(self) -> float:
        """Size of the numbers that the price adds to a value."""
        if self.eta == 0.0:
            return 0.0
        return self.eta * (1.0 + float(np.log(1.0 / self.reference.min())))


def greedy(Q: np.ndarray) -> np.ndarray:
    """Return the deterministic policy that takes the first best action."""
    pi = np.zeros(Q.shape)
    for s in range(len(Q)):
        pi[s, first_maximum(Q[s], 0.0)] = 1.0
    return pi


def soft_greedy(Q: np.ndarray, eta: float, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pi proportional to reference exp(Q / eta), and eta log sum_a reference exp(Q / eta)."""
    logits = Q / eta + np.log(reference)
    normaliser = logsumexp(logits, axis=-1, keepdims=True)
    pi = np.exp(logits - normaliser)
    return pi / pi.sum(axis=-1, keepdims=True), eta * normaliser[..., 0]


def relative_entropy(pi: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return KL(pi || reference) along the last axis."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(pi > 0, pi * np.log(pi / reference), 0.0)
    total: np.ndarray = terms.sum(axis=-1)
    return np.maximum(total, 0.0)


def stage_backup(
    model: RobustModel, h: int, v: np.ndarray, pi: np.ndarray | None = None, rows: bool = False
) -> Backup:
    """Back up the values v of the next stage, for the policy pi[S, A] or (None) for the best one."""
    if isinstance(model, RobustMDP) and model.rectangularity == "s":
        return _with_state_budget(model, h, v, pi, rows)
    if isinstance(model, RobustLinearMDP):
        Q, gap, worst = _factors(model, h, v, rows)
    else:
        Q, gap, worst = _rows(model, h, v, rows)
    regulariser = regulariser_of(model, h)
    missed = 0.0
    if pi is None:
        pi, V, missed = regulariser.improve(Q)
    else:
        V = regulariser.evaluate(Q, pi)
    rounding = _rounding(model, h, v, regulariser.scale)
    return Backup(V, Q, pi, gap + rounding, missed + rounding, worst)


def regulariser_of(model: RobustModel, h: int) -> Regulariser:
    """Return the policy regulariser of stage h."""
    reference = model.reference_policy
    radius = model.policy_radius if isinstance(model, RobustMDP) else None
    return Regulariser(model.temperature, reference[h] if reference.ndim == 3 else reference, radius)


def _tables(model: RobustMDP, h: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return (P[S, A, S], r[S, A], radii, discount) of stage h."""
    mdp, radii = model.nominal, model.uncertainty.radii(model.set_shape)
    if isinstance(mdp, EpisodicMDP):
        return mdp.P[h], mdp.r[h], radii[h], 1.0
    return mdp.dense_P(), mdp.r, radii, mdp.gamma


def _rows(model: RobustMDP, h: int, v: np.ndarray, rows: bool) -> tuple[np.ndarray, float, np.ndarray | None]:
    P, r, radii, gamma = _tables(model, h)
    inner = expectation(model.uncertainty, P, v, rows, radii=radii)
    Q = r + gamma * inner.value
    if isinstance(model.nominal, DiscountedMDP):
        Q = np.where(model.nominal.mask, Q, -np.inf)
    return Q, gamma * inner.gap, inner.rows


def _factors(
    model: RobustLinearMDP, h: int, v: np.ndarray, rows: bool
) -> tuple[np.ndarray, float, np.ndarray | None]:
    mdp = model.nominal
    radii = model.uncertainty.radii(mdp.theta.shape)[h]
    inner = expectation(model.uncertainty, mdp.mu[h], v, rows, model.fail_state, radii)
    Q = mdp.phi @ (mdp.theta[h] + inner.value)
    return Q, inner.gap, None if inner.rows is None else mdp.phi @ inner.rows


def _with_state_budget(model: RobustMDP, h: int, v: np.ndarray, pi: np.ndarray | None, rows: bool) -> Backup:
    P, r, kappas, gamma = _tables(model, h)
    S, A = r.shape
    if isinstance(model.nominal, DiscountedMDP) and not model.nominal.mask.all():
        raise ValueError("rectangularity 's' needs all actions to be available")
    policy = np.empty((S, A)) if pi is None else np.array(pi)
    upper, lower = np.empty(S), np.empty(S)
    worst = np.empty((S, A, S)) if rows else np.empty((0, A, S))
    _state_budget.state_budget(
        frozen(P), frozen(r), gamma, frozen(v), ascending(v), frozen(kappas), pi is not None, policy,
        upper, lower, worst,
    )  # fmt: skip
    Q = r + gamma * (worst @ v) if rows else np.full((S, A), np.nan)
    rounding = _rounding(model, h, v, 0.0)
    gap = float((upper - lower).max())
    return Backup(upper, Q, policy, gap + rounding, rounding, worst if rows else None)


def _rounding(model: RobustModel, h: int, v: np.ndarray, scale: float) -> float:
    """Bound what rounding of a backup, and rows that sum to one only nearly, do to a value."""
    mdp = model.nominal
    terms = mdp.n_states + (mdp.dimension if isinstance(mdp, LinearMDP) else 0)
    size = 1.0 + scale + float(np.abs(v).max()) + float(np.abs(_rewards(model, h)).max())
    return float(rounding_unit(4 * (terms + mdp.n_actions) + 40) * size)


def _rewards(model: RobustModel, h: int) -> np.ndarray:
    if isinstance(model, RobustLinearMDP):
        return model.nominal.theta[h]
    return model.nominal.r[h] if isinstance(model.nominal, EpisodicMDP) else model.nominal.r


EXPANSION = 1 + ROW_SUM_TOLERANCE
"""By how much an error at the next stage may grow in a backup: rows sum to one only nearly."""
