"""MEX over all kernels, all tables of action values, and mixtures of kernels: counts and planners."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from theoryrl.learners._counts import require_unit_rewards
from theoryrl.learners._mex_kernels import record_counts
from theoryrl.models import DeterministicPolicy, LinearMixtureClass, TabularModelClass, TabularQClass
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.maximize_to_explore import _model_kernels, _q_kernels, plan_mixture
from theoryrl.solvers.maximize_to_explore.tabular_model import SWEEPS
from theoryrl.solvers.maximize_to_explore.tabular_q import STEPS


@dataclass(slots=True, eq=False)
class Counts:
    """What was seen in each cell.

    Attributes
    ----------
    N, n
        Transitions [H, S, A, S] and visits [H, S, A], as floats.
    means
        Mean observed rewards: shape [H, S, A].
    rho
        Law of the first state.
    caps
        Upper bounds on every occupancy: shape [H, S].
    """

    N: Float[np.ndarray, "H S A S"]
    n: Float[np.ndarray, "H S A"]
    means: Float[np.ndarray, "H S A"]
    rho: Float[np.ndarray, " S"]
    caps: Float[np.ndarray, "H S"]

    @classmethod
    def begin(cls, spec: EpisodicSpec) -> Counts:
        """Return empty counts."""
        require_unit_rewards(spec)
        H, S, A = spec.shape
        caps = np.vstack([spec.rho, np.ones((H - 1, S))])
        rho = np.array(spec.rho)
        return cls(np.zeros((H, S, A, S)), np.zeros((H, S, A)), np.zeros((H, S, A)), rho, caps)

    def record(self, observation: Trajectories) -> None:
        """Count the episodes."""
        record_counts(*observation, self.N, self.n, self.means)


def refuse_error(error: float) -> None:
    """Raise unless the additive error is zero: these planners report a gap, they do not choose one."""
    if error > 0:
        raise ValueError("error must be 0 for this class: its planner reports a gap of its own")


@dataclass(slots=True, eq=False)
class TabularModels:
    """State of MEX over all kernels: counts, and the last plan, from which the next one starts.

    Its planner is not exact: diagnostics hold ``upper``, a bound on the objective of any kernel, and
    ``gap``, the bound's distance from what was found.
    """

    counts: Counts
    rewards: Float[np.ndarray, "H S A"]
    allowed: Bool[np.ndarray, "H S A S"]
    P: Float[np.ndarray, "H S A S"]
    V: Float[np.ndarray, "H1 S"]
    actions: Int[np.ndarray, "H S"]
    warm: bool = False

    kind = "model-based"

    @classmethod
    def start(cls, hypotheses: TabularModelClass, spec: EpisodicSpec) -> TabularModels:
        """Return the state without data."""
        if spec.rewards is None:
            raise ValueError("mex over kernels needs known rewards; spec.rewards is None")
        H, S, A = spec.shape
        support = hypotheses.support if hypotheses.support is not None else spec.support
        allowed = np.ones((H, S, A, S), dtype=np.bool_) if support is None else np.array(support)
        if allowed.shape != (H, S, A, S):
            raise ValueError(f"hypotheses.support must have shape {(H, S, A, S)}; got {allowed.shape}")
        return cls(
            Counts.begin(spec), np.array(spec.rewards), allowed, np.zeros((H, S, A, S)),
            np.zeros((H + 1, S)), np.zeros((H, S), dtype=np.int64),
        )  # fmt: skip

    def plan(self, eta: float, error: float) -> EpisodicDecision:
        """Ascend from the relaxation's maximiser and from the last plan."""
        refuse_error(error)
        c = self.counts
        value, upper, _ = _model_kernels.plan_model(
            c.N, c.n, self.rewards, c.rho, eta, c.caps, self.allowed, self.warm, SWEEPS,
            self.P, self.V, self.actions,
        )  # fmt: skip
        self.warm = True
        return _planned(self.actions, self.rewards.shape[2], eta, value, upper, c.rho @ self.V[0])

    def record(self, observation: Trajectories) -> None:
        """Count the episodes."""
        self.counts.record(observation)


@dataclass(slots=True, eq=False)
class TabularFunctions:
    """State of MEX over all tables of action values; diagnostics hold ``upper`` and ``gap``."""

    counts: Counts
    Q: Float[np.ndarray, "H S A"]
    V: Float[np.ndarray, "H1 S"]
    actions: Int[np.ndarray, "H S"]
    warm: bool = False

    kind = "model-free"

    @classmethod
    def start(cls, hypotheses: TabularQClass, spec: EpisodicSpec) -> TabularFunctions:
        """Return the state without data."""
        H, S, A = spec.shape
        return cls(
            Counts.begin(spec), np.zeros((H, S, A)), np.zeros((H + 1, S)), np.zeros((H, S), dtype=np.int64)
        )

    def plan(self, eta: float, error: float) -> EpisodicDecision:
        """Climb from the upper bound's policy and from the last one."""
        refuse_error(error)
        c = self.counts
        value, upper, _ = _q_kernels.plan_q(
            c.N, c.n, c.means, c.rho, eta, c.caps, self.warm, STEPS, self.Q, self.V, self.actions
        )
        self.warm = True
        return _planned(self.actions, self.Q.shape[2], eta, value, upper, c.rho @ self.V[0])

    def record(self, observation: Trajectories) -> None:
        """Count the episodes."""
        self.counts.record(observation)


@dataclass(slots=True, eq=False)
class MixtureModels:
    """State of MEX over mixtures of kernels; diagnostics hold ``upper`` and ``gap``."""

    counts: Counts
    hypotheses: LinearMixtureClass
    theta: Float[np.ndarray, "H d"] | None = field(default=None)

    kind = "model-based"

    @classmethod
    def start(cls, hypotheses: LinearMixtureClass, spec: EpisodicSpec) -> MixtureModels:
        """Return the state without data."""
        if hypotheses.r.shape != spec.shape:
            raise ValueError(
                f"hypotheses must have (H, S, A) = {spec.shape} of the problem; got {hypotheses.r.shape}"
            )
        if spec.rewards is not None and not np.array_equal(hypotheses.r, spec.rewards):
            raise ValueError("hypotheses.r must be the rewards that the problem tells; they are others")
        return cls(Counts.begin(spec), hypotheses)

    def plan(self, eta: float, error: float) -> EpisodicDecision:
        """Ascend from the uniform mixture and from the last one."""
        refuse_error(error)
        plan = plan_mixture(self.hypotheses, self.counts.N, self.counts.rho, eta, self.theta)
        self.theta = plan.theta
        value, upper = float(plan.value), float(plan.upper)
        return _planned(plan.policy.actions, self.hypotheses.P.shape[3], eta, value, upper, plan.start_value)

    def record(self, observation: Trajectories) -> None:
        """Count the episodes."""
        self.counts.record(observation)


def _planned(
    actions: np.ndarray, n_actions: int, eta: float, value: float, upper: float, start: float
) -> EpisodicDecision:
    diagnostics = {
        "eta": eta,
        "objective": value,
        "upper": upper,
        "gap": max(0.0, upper - value),
        "optimistic_value": float(start),
    }
    return EpisodicDecision(DeterministicPolicy.trusted(actions.copy(), n_actions), None, diagnostics)
