"""Linear MDPs: kernels and rewards that are linear in known features.

A linear MDP has features phi(s, a) in R^d and, at each stage, a reward vector theta_h and d signed
measures mu_{h,i} with

    r_h(s, a) = <phi(s, a), theta_h>,     P_h(s' | s, a) = <phi(s, a), mu_h(s')>.

A *robust* linear MDP surrounds each factor mu_{h,i} by a ball (or a price) of its own, independently
of the others and of (s, a): the d-rectangular set. That needs features on the simplex and factors
that are distributions, so that every combination of factors is a kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import (
    ROW_SUM_TOLERANCE,
    at,
    check_count,
    check_distribution,
    check_interval,
    check_type,
    first_index,
    real_array,
)
from theoryrl.models.episodic import EpisodicMDP
from theoryrl.models.policy import Policy
from theoryrl.models.regularisation import check_regularisation
from theoryrl.models.uncertainty import Uncertainty

UNIT_BALL_TOLERANCE = 1e-10
"""How far beyond one the norm of a feature vector may be (rounding of its entries)."""


@dataclass(frozen=True, eq=False)
class LinearMDP(Frozen):
    """A finite-horizon MDP whose kernel and rewards are linear in the features.

    Parameters
    ----------
    phi
        Features: shape [S, A, d], each of Euclidean norm at most one.
    theta
        Reward vectors: shape [H, d]; rewards are within [0, 1].
    mu
        Factors of the kernel: shape [H, d, S].
    rho
        Distribution of the first state: shape [S].

    Raises
    ------
    ValueError
        On a wrong shape, a number that is not finite, features outside the unit ball, a reward outside
        [0, 1], or a row <phi(s, a), mu_h> that is not a distribution.
    """

    phi: Float[np.ndarray, "S A d"]
    theta: Float[np.ndarray, "H d"]
    mu: Float[np.ndarray, "H d S"]
    rho: Float[np.ndarray, " S"]

    def __post_init__(self) -> None:
        phi = real_array("phi", self.phi, ("S", "A", "d"))
        theta = real_array("theta", self.theta, ("H", phi.shape[2]))
        mu = real_array("mu", self.mu, (len(theta), phi.shape[2], phi.shape[0]))
        rho = real_array("rho", self.rho, (phi.shape[0],))
        check_distribution("rho", rho)
        norms = np.linalg.norm(phi, axis=2)
        outside = norms > 1 + UNIT_BALL_TOLERANCE
        if outside.any():
            index = first_index(outside)
            raise ValueError(
                f"{at('phi', (*index, ':'))} must have norm at most 1; it has {float(norms[index])!r}"
            )
        for name, value in (("phi", phi), ("theta", theta), ("mu", mu), ("rho", rho)):
            object.__setattr__(self, name, value)
        check_interval("<phi, theta>", self.rewards, -ROW_SUM_TOLERANCE, 1 + ROW_SUM_TOLERANCE)
        self._check_rows()

    def _check_rows(self) -> None:
        rows = np.einsum("sad,hdt->hsat", self.phi, self.mu)
        negative = rows < -ROW_SUM_TOLERANCE
        if negative.any():
            index = first_index(negative)
            raise ValueError(f"{at('<phi, mu>', index)} must be a probability; got {float(rows[index])!r}")
        total = rows.sum(axis=-1)
        wrong = np.abs(total - 1) > ROW_SUM_TOLERANCE
        if wrong.any():
            index = first_index(wrong)
            raise ValueError(
                f"{at('<phi, mu>', (*index, ':'))} must sum to 1; it sums to {float(total[index])!r}"
            )

    @property
    def rewards(self) -> Float[np.ndarray, "H S A"]:
        """r[h, s, a] = <phi(s, a), theta_h>."""
        return np.einsum("sad,hd->hsa", self.phi, self.theta)

    @property
    def horizon(self) -> int:
        """Number of stages H."""
        return int(self.theta.shape[0])

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.phi.shape[0])

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return int(self.phi.shape[1])

    @property
    def dimension(self) -> int:
        """Number of features d."""
        return int(self.phi.shape[2])

    @property
    def has_simplex_features(self) -> bool:
        """Whether features and factors are distributions, so that factors can be perturbed one by one."""
        totals = self.phi.sum(axis=2), self.mu.sum(axis=2)
        sums_to_one = all((np.abs(total - 1) <= ROW_SUM_TOLERANCE).all() for total in totals)
        return bool(self.phi.min() >= 0 and self.mu.min() >= 0 and sums_to_one)

    def to_episodic(self, mu: np.ndarray | None = None) -> EpisodicMDP:
        """Return the same model as tables, or the one with other factors mu of the same shape.

        Products of signed factors may leave [0, 1] by rounding; what is within 1e-10 of the interval is
        put on its end (the constructor has refused what is further away).
        """
        factors = self.mu if mu is None else real_array("mu", mu, self.mu.shape)
        rows = np.einsum("sad,hdt->hsat", self.phi, factors)
        rewards = self.rewards
        for table in (rows, rewards):
            table[(table < 0) & (table >= -ROW_SUM_TOLERANCE)] = 0.0
            table[(table > 1) & (table <= 1 + ROW_SUM_TOLERANCE)] = 1.0
        return EpisodicMDP(rows, rewards, self.rho)

    @classmethod
    def from_episodic(cls, mdp: EpisodicMDP) -> LinearMDP:
        """Return a tabular model as a linear one: d = S A features that are unit vectors."""
        H, S, A = mdp.r.shape
        phi = np.eye(S * A).reshape(S, A, S * A)
        return cls(phi, mdp.r.reshape(H, -1), mdp.P.reshape(H, S * A, S), mdp.rho)

    def __repr__(self) -> str:
        sizes = f"H={self.horizon}, S={self.n_states}, A={self.n_actions}, d={self.dimension}"
        return f"LinearMDP({sizes})"


@dataclass(frozen=True, eq=False)
class RobustLinearMDP(Frozen):
    """A policy-regularised robust linear MDP with d-rectangular uncertainty.

    The value of a policy is its worst over all kernels <phi(s, a), mu'_h> with factors mu'_{h,i} from
    the sets around mu_{h,i}, less `temperature` times KL(pi || reference) in each state on the way::

        V_h(s) = sum_a pi(a|s) Q_h(s, a) - temperature KL(pi_h(.|s) || reference_h(.|s)),
        Q_h(s, a) = r_h(s, a) + inf_{mu'} <phi(s, a), mu'_h V_{h+1}> .

    Parameters
    ----------
    nominal
        The model to interact with; its features and factors are distributions.
    uncertainty
        The sets; radii broadcast to [H, d].
    fail_state
        An absorbing state without reward that the adversary cannot change, so that no value of an
        optimal policy is below the one there. Where it is one of the worst states, the adversary goes
        there. None: there is no such state.
    temperature
        eta >= 0, in units of the reward.
    reference
        The reference policy, with full support if eta > 0. Default: uniform.

    Raises
    ------
    ValueError
        If a feature or a factor is not a distribution, the state `fail_state` is not absorbing, pays,
        or is perturbed, or the reference policy does not fit.
    """

    nominal: LinearMDP
    uncertainty: Uncertainty
    fail_state: int | None = None
    temperature: float = 0.0
    reference: Policy | None = None

    def __post_init__(self) -> None:
        check_type("nominal", self.nominal, LinearMDP)
        check_type("uncertainty", self.uncertainty, Uncertainty)
        check_distribution("phi", self.nominal.phi)
        check_distribution("mu", self.nominal.mu)
        radii = self.uncertainty.radii(self.nominal.theta.shape)
        if self.fail_state is not None:
            self._check_fail_state(radii)
        mdp = self.nominal
        sizes = mdp.horizon, mdp.n_states, mdp.n_actions
        temperature, reference = check_regularisation(self.temperature, self.reference, sizes)
        object.__setattr__(self, "temperature", temperature)
        object.__setattr__(self, "reference", reference)

    def _check_fail_state(self, radii: np.ndarray) -> None:
        s = check_count("fail_state", self.fail_state, low=0, high=self.nominal.n_states - 1)
        used = np.flatnonzero((self.nominal.phi[s] > 0).any(axis=0))
        for h in range(self.nominal.horizon):
            for i in used:
                kept, reward = self.nominal.mu[h, i, s], self.nominal.theta[h, i]
                if kept != 1.0:
                    raise ValueError(f"fail_state {s} must be absorbing; mu[{h}, {i}, {s}] = {kept!r}")
                if reward != 0.0:
                    raise ValueError(f"fail_state {s} must pay nothing; theta[{h}, {i}] = {reward!r}")
                if radii[h, i] != 0.0 and not self.uncertainty.penalty and self.uncertainty.creates_support:
                    raise ValueError(
                        f"fail_state {s} must not be perturbed; the radius of factor {i} at stage {h} "
                        f"is {float(radii[h, i])!r}"
                    )

    @property
    def reference_policy(self) -> Float[np.ndarray, "H S A"]:
        """The reference policy's probabilities."""
        assert self.reference is not None  # set by the constructor
        return self.reference.stages(self.nominal.horizon)

    @property
    def horizon(self) -> int:
        """Number of stages H."""
        return self.nominal.horizon

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return self.nominal.n_states

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return self.nominal.n_actions

    def replaced(self, **changes: Any) -> RobustLinearMDP:
        """Return the same model with other fields."""
        fields = ("nominal", "uncertainty", "fail_state", "temperature", "reference")
        return RobustLinearMDP(**({name: getattr(self, name) for name in fields} | changes))

    def surrounded(self, uncertainty: Uncertainty) -> RobustLinearMDP:
        """Return the same model with this set around each factor but those that keep the fail state.

        The set's one radius, or radii that broadcast to [H, d], become zero where a ball would break the
        fail state; a price, or a ball that cannot reach other states, stays everywhere.
        """
        harmless = uncertainty.penalty or not uncertainty.creates_support
        if self.fail_state is None or harmless:
            return self.replaced(uncertainty=uncertainty)
        keeps = (self.nominal.phi[self.fail_state] > 0).any(axis=0)
        radii = np.where(keeps, 0.0, uncertainty.radii(self.nominal.theta.shape))
        changed = Uncertainty(uncertainty.divergence, radii, cost=uncertainty.cost)
        return self.replaced(uncertainty=changed)

    def __repr__(self) -> str:
        return f"RobustLinearMDP({self.nominal!r}, {self.uncertainty!r}, temperature={self.temperature:g})"
