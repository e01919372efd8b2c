"""What conservative learners are compared with: the baseline alone, and whole-episode mixtures.

A mixture plays the optimistic policy of UCBVI with probability 1 - w and the baseline with
probability w, one coin per episode. Its value is (1 - w) V^opt + w V^base. `FixedMixture` fixes w;
`OracleMixture` knows the true values and takes the smallest w that is safe, which no learner can:
its regret is the cost of safety that is left when nothing needs to be certified.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from theoryrl.learners._counts import require_baseline, require_threshold, visit_budget
from theoryrl.learners.baselines.ucbvi import UCBVI, UCBVIState
from theoryrl.models import DeterministicPolicy, EpisodicMDP, MarkovPolicy, MixturePolicy
from theoryrl.models._validation import check_real, check_type
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories, policy_value

FOREVER = 1 << 62
"""A visit budget that no run exhausts."""


@dataclass(slots=True, eq=False)
class BaselineState:
    """The baseline, and the shape of the problem.

    Attributes
    ----------
    baseline
        The policy of every episode.
    shape
        (H, S, A).
    """

    baseline: MarkovPolicy
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class AlwaysBaseline:
    """Play the baseline in every episode: safe, and regret K (V* - V^base)."""

    key: ClassVar[str] = "always-baseline"

    @property
    def guaranteed(self) -> bool:
        """Whether the theory covers the run: there is no constant to choose."""
        return True

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> BaselineState:
        """Return the state, which never changes."""
        return BaselineState(require_baseline(spec, self.key), spec.shape)

    def plan(self, state: BaselineState) -> EpisodicDecision:
        """Return the baseline, to be held to the end."""
        return EpisodicDecision(state.baseline, np.full(state.shape, FOREVER, dtype=np.int64))

    def update(
        self, state: BaselineState, decision: EpisodicDecision, observation: Trajectories
    ) -> BaselineState:
        """Ignore the episodes."""
        return state


@dataclass(slots=True, eq=False)
class MixtureState:
    """UCBVI's state, and the problem's constraint.

    Attributes
    ----------
    optimist
        The state of the optimistic part.
    baseline
        The safe part.
    threshold
        Value that no episode may fall below, where the mixture uses it.
    """

    optimist: UCBVIState
    baseline: MarkovPolicy
    threshold: float | None


@dataclass(frozen=True, kw_only=True)
class _Mixture:
    """The coin between UCBVI's policy and the baseline; subclasses choose its weight."""

    optimist: UCBVI = field(default_factory=UCBVI)

    key: ClassVar[str]

    def __post_init__(self) -> None:
        check_type("optimist", self.optimist, UCBVI)

    @property
    def guaranteed(self) -> bool:
        """Whether the optimistic part has the constants of its theorems."""
        return self.optimist.guaranteed

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> MixtureState:
        """Return the state without data."""
        baseline = require_baseline(spec, self.key)
        return MixtureState(self.optimist.init(spec, rng), baseline, spec.threshold)

    def plan(self, state: MixtureState) -> EpisodicDecision:
        """Plan optimistically, and mix with the baseline."""
        bold, upper = self.optimist.optimistic_policy(state.optimist)
        weight = self.weight_conservative(state, bold)
        budget = visit_budget(state.optimist.n, self.optimist.refresh_growth)
        policy = MixturePolicy(np.array([1 - weight, weight]), (bold, state.baseline)) if weight else bold
        return EpisodicDecision(policy, budget, {"upper": upper, "weight_conservative": weight})

    def weight_conservative(self, state: MixtureState, bold: DeterministicPolicy) -> float:
        """Return the probability of the baseline when the other policy is `bold`."""
        raise NotImplementedError

    def update(
        self, state: MixtureState, decision: EpisodicDecision, observation: Trajectories
    ) -> MixtureState:
        """Count the episodes."""
        self.optimist.update(state.optimist, decision, observation)
        return state


@dataclass(frozen=True, kw_only=True)
class FixedMixture(_Mixture):
    """Play UCBVI's policy with a fixed probability, else the baseline.

    Parameters
    ----------
    epsilon
        Probability of the optimistic policy, in [0, 1].
    optimist
        The optimistic part.

    Notes
    -----
    No value of epsilon is safe in general: it is when (1 - epsilon) V^base >= threshold.
    Diagnostics: ``upper`` and ``weight_conservative``.
    """

    epsilon: float = 0.1

    key: ClassVar[str] = "fixed-mixture"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real("epsilon", self.epsilon, 0.0, 1.0)

    def weight_conservative(self, state: MixtureState, bold: DeterministicPolicy) -> float:
        """Return 1 - epsilon."""
        return 1 - self.epsilon


@dataclass(frozen=True, kw_only=True)
class OracleMixture(_Mixture):
    """Mix with the weight that makes the true value equal to the threshold: an oracle, not a learner.

    Parameters
    ----------
    mdp
        The true model, which a learner must not see.
    optimist
        The optimistic part.

    Notes
    -----
    Diagnostics: ``upper`` and ``weight_conservative`` = (threshold - V^opt) / (V^base - V^opt), or 0
    where the optimistic policy is safe by itself.
    """

    mdp: EpisodicMDP

    key: ClassVar[str] = "oracle-mixture"
    needs_model: ClassVar[str] = "mdp"

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> MixtureState:
        """Return the state without data.

        Raises
        ------
        ValueError
            If the model does not have the problem's sizes, or its baseline is not safe.
        """
        threshold = require_threshold(spec, self.key)
        if self.mdp.r.shape != spec.shape:
            raise ValueError(f"mdp must have (H, S, A) = {spec.shape}; got {self.mdp.r.shape}")
        state = super().init(spec, rng)
        value = policy_value(self.mdp, state.baseline)
        if value < threshold:
            raise ValueError(f"mdp must give the baseline at least {threshold:.6g}; it gives {value!r}")
        return state

    def weight_conservative(self, state: MixtureState, bold: DeterministicPolicy) -> float:
        """Return the smallest safe probability of the baseline."""
        assert state.threshold is not None
        bold_value = policy_value(self.mdp, bold)
        if bold_value >= state.threshold:
            return 0.0
        safe_value = policy_value(self.mdp, state.baseline)
        return (state.threshold - bold_value) / (safe_value - bold_value)
