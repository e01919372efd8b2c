"""Off-dynamics learning: interact with the nominal model, be scored in the robust one.

One round is one episode of a linear MDP. The value of a policy is its worst over the uncertainty set
around the nominal factors, less the price of leaving the reference policy: exact, by planning. The
learner is told features, rewards and the set, never the factors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from theoryrl.models import MarkovPolicy, MixturePolicy, OfflineDataset, RobustLinearMDP, Uncertainty
from theoryrl.models._validation import check_count, check_real
from theoryrl.protocol.core import Streams
from theoryrl.protocol.episodic import EpisodicDecision, EpisodicEnvironment, check_data
from theoryrl.solvers.episodic import Simulator, backward_induction
from theoryrl.solvers.robust import robust_policy_evaluation, robust_value_iteration
from theoryrl.solvers.robust._factors import SETS, robust_values


@dataclass(frozen=True, eq=False)
class OffDynamicsSpec:
    """What a learner may know of a robust linear MDP: all but its factors.

    Attributes
    ----------
    phi
        Features: shape [S, A, d].
    theta
        Reward vectors, which are known: shape [H, d].
    rho
        Distribution of the first state: shape [S].
    rounds
        Number of episodes K.
    uncertainty
        The set around each factor.
    fail_state
        The absorbing state without reward, if there is one.
    temperature, reference
        The policy regulariser that the score uses; reference probabilities of shape [H, S, A].
    value_bound
        A number that no episode's return can exceed, where one below H is known.
    linear
        Whether the model is exactly linear in the features.
    offline
        Episodes of the nominal model, if there are any.
    """

    phi: Float[np.ndarray, "S A d"]
    theta: Float[np.ndarray, "H d"]
    rho: Float[np.ndarray, " S"]
    rounds: int
    uncertainty: Uncertainty
    fail_state: int | None
    temperature: float
    reference: Float[np.ndarray, "H S A"]
    value_bound: float | None = None
    linear: bool = True
    offline: OfflineDataset | None = None

    @property
    def caps(self) -> Float[np.ndarray, " K"]:
        """Largest value that can be earned from each stage on: shape [H+1], the last one zero."""
        remaining = np.arange(len(self.theta), -1.0, -1.0)
        return remaining if self.value_bound is None else np.minimum(remaining, self.value_bound)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(H, S, A, d)."""
        S, A, d = self.phi.shape
        return len(self.theta), S, A, d


class Approximation(NamedTuple):
    """Features that a learner is told although the model is not exactly linear in them.

    Attributes
    ----------
    phi, theta
        Features [S, A, d] and reward vectors [H, d].
    uncertainty
        The set around each of these features' factors.
    """

    phi: Float[np.ndarray, "S A d"]
    theta: Float[np.ndarray, "H d"]
    uncertainty: Uncertainty


@dataclass(frozen=True, eq=False)
class OffDynamicsProblem:
    """A robust linear MDP to be learned from its nominal model.

    Parameters
    ----------
    model
        The true model, which no learner sees.
    key
        Name of the instance.
    approximation
        What the learner is told instead of the model's own features, where these are too many; no
        theorem is about such a problem.
    value_bound
        A number below H that no optimal value exceeds, which the learner is told.
    offline
        Episodes of the nominal model that the learner is given.

    Raises
    ------
    ValueError
        If some optimal value of the nominal model exceeds `value_bound`, or the data are of other sizes.
    """

    model: RobustLinearMDP
    key: str = "off-dynamics"
    approximation: Approximation | None = None
    value_bound: float | None = None
    offline: OfflineDataset | None = None
    _simulator: Simulator = field(init=False, repr=False)
    _scored: list[tuple[MarkovPolicy, float]] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        mdp = self.model.nominal.to_episodic()
        object.__setattr__(self, "_simulator", Simulator(mdp))
        if self.offline is not None:
            check_data(self.offline, mdp)
        if self.value_bound is not None:
            largest = float(backward_induction(mdp).lower.max())
            if check_real("value_bound", self.value_bound) < largest:
                raise ValueError(f"value_bound must be at least {largest:.6g}; got {self.value_bound!r}")

    @cached_property
    def benchmark(self) -> float:
        """The best robust, regularised value of an episode."""
        solution = robust_value_iteration(self.model)
        return float(self.model.nominal.rho @ solution.value[0])

    def spec(self, rounds: int) -> OffDynamicsSpec:
        """Return what a learner may know."""
        model, nominal = self.model, self.model.nominal
        told = self.approximation or Approximation(nominal.phi, nominal.theta, model.uncertainty)
        return OffDynamicsSpec(
            phi=told.phi,
            theta=told.theta,
            rho=nominal.rho,
            rounds=check_count("rounds", rounds),
            uncertainty=told.uncertainty,
            fail_state=model.fail_state,
            temperature=model.temperature,
            reference=model.reference_policy,
            value_bound=self.value_bound,
            linear=self.approximation is None,
            offline=self.offline,
        )

    def value(self, decision: EpisodicDecision) -> float:
        """Return the exact robust, regularised value of the policy."""
        policy = decision.policy
        if isinstance(policy, MixturePolicy):
            raise ValueError("the robust value of a mixture is not the average of its values; play a Policy")
        # A learner that plans seldom plays the same object again and again.
        if not (self._scored and self._scored[0][0] is policy):
            self._scored[:] = [(policy, robust_start_value(self, policy))]
        return self._scored[0][1]

    @cached_property
    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """(log reference[h, s, a], radii[h, i]), as the compiled evaluation wants them."""
        with np.errstate(divide="ignore"):
            reference = np.ascontiguousarray(np.log(self.model.reference_policy))
        return reference, self.model.uncertainty.radii(self.model.nominal.theta.shape)

    def environment(self, streams: Streams) -> EpisodicEnvironment:
        """Return a fresh source of episodes of the nominal model."""
        return EpisodicEnvironment(self._simulator, streams)


def robust_start_value(problem: OffDynamicsProblem, policy: MarkovPolicy) -> float:
    """Return the robust value of a policy at the start, by the compiled path where there is one."""
    model = problem.model
    rho = model.nominal.rho
    if model.uncertainty.name not in SETS:
        return float(rho @ robust_policy_evaluation(model, policy).value[0])
    return float(rho @ compiled_values(problem, policy)[1][0])


def compiled_values(problem: OffDynamicsProblem, policy: MarkovPolicy) -> tuple[np.ndarray, np.ndarray]:
    """Return Q[h, s, a] and V[h, s] (with V[H] = 0) of a policy, for the sets in `SETS`."""
    model, nominal = problem.model, problem.model.nominal
    H, S, A = model.horizon, model.n_states, model.n_actions
    pi = np.ascontiguousarray(policy.stages(H)).view()
    pi.setflags(write=False)
    log_reference, radii = problem.tables
    Q, V = np.empty((H, S, A)), np.empty((H + 1, S))
    code = SETS.index(model.uncertainty.name)
    robust_values(
        code, nominal.phi, nominal.theta, nominal.mu, radii, pi, model.temperature, log_reference, Q, V
    )
    return Q, V
