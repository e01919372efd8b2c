"""The reward-model pipeline: fit rewards to comparisons of uniform samples, then take the best action.

With exact answers one query is enough: the Bradley-Terry likelihood of uniform pairs depends on the
preferences only through the win rates against the uniform policy, whose order is the Borda order. Whatever
the preferences are, the result is one action (one deterministic policy over trajectories).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.learners.spo import require_unregularized
from theoryrl.models._validation import check_count
from theoryrl.models.trajectory import Leaves
from theoryrl.protocol import (
    Duels,
    PreferenceDecision,
    PreferenceSpec,
    TrajectoryDecision,
    TrajectorySpec,
)
from theoryrl.solvers import best_trajectory_response, bradley_terry_rewards, trajectory_law
from theoryrl.solvers.preference.fields import LogPolicy


@dataclass(slots=True, eq=False)
class Comparisons:
    """What has been seen.

    Attributes
    ----------
    numbers
        How often two actions were compared, or the weight of the pair: symmetric, shape [X, n, n].
    surplus
        ``(wins - losses) / 2``: shape [X, n].
    log_policy
        Logarithms of the policy of the fitted rewards: shape [X, n].
    """

    numbers: Float[np.ndarray, "X n n"]
    surplus: Float[np.ndarray, "X n"]
    log_policy: LogPolicy


@dataclass(frozen=True)
class RewardModelLearner:
    """Bradley-Terry rewards by maximum likelihood, and their best action.

    Parameters
    ----------
    duels
        0: exact win rates of uniform pairs. Otherwise duels per round, of two uniform actions; those of an
        action with itself tell nothing.
    """

    duels: int = 0

    key: ClassVar[str] = "reward-model"
    guaranteed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_count("duels", self.duels, low=0)

    def init(self, spec: PreferenceSpec, rng: np.random.Generator) -> Comparisons:
        """Return the state before the first comparison: no rewards, the uniform policy."""
        require_unregularized(spec, self.key)
        X, n = spec.shape
        return Comparisons(np.zeros((X, n, n)), np.zeros((X, n)), np.full((X, n), -np.log(n)))

    def plan(self, state: Comparisons) -> PreferenceDecision:
        """Compare uniform actions."""
        uniform = np.full(state.log_policy.shape, -np.log(state.log_policy.shape[1]))
        challenger = uniform if self.duels else None
        return PreferenceDecision(state.log_policy, uniform, challenger, self.duels)

    def update(
        self, state: Comparisons, decision: PreferenceDecision, answer: Duels | LogPolicy
    ) -> Comparisons:
        """Count, and fit again."""
        X, n = state.surplus.shape
        numbers, surplus = state.numbers.copy(), state.surplus.copy()
        if isinstance(answer, np.ndarray):
            numbers[:], surplus[:] = 2 / n**2, 2 / n * answer
        else:
            sign = np.where(answer.won, 0.5, -0.5)
            np.add.at(numbers, (answer.contexts, answer.first, answer.second), 1.0)
            np.add.at(numbers, (answer.contexts, answer.second, answer.first), 1.0)
            np.add.at(surplus, (answer.contexts, answer.first), sign)
            np.add.at(surplus, (answer.contexts, answer.second), -sign)
        best = [int(np.argmax(fitted_rewards(numbers[x], surplus[x]))) for x in range(X)]
        with np.errstate(divide="ignore"):
            state.log_policy = np.log((np.arange(n) == np.array(best)[:, None]).astype(np.float64))
        state.numbers, state.surplus = numbers, surplus
        return state


def fitted_rewards(
    numbers: Float[np.ndarray, "n n"], surplus: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Return the rewards of maximum likelihood, with the default ridge."""
    return bradley_terry_rewards(numbers, surplus).rewards


@dataclass(slots=True, eq=False)
class FittedLaw:
    """The law of the policy that is best for the fitted rewards: shape [N]."""

    spec: TrajectorySpec
    law: Leaves


@dataclass(frozen=True)
class TrajectoryRewardModel:
    """A reward for each trajectory, fitted to pairs drawn from the uniform policy, and its best policy."""

    key: ClassVar[str] = "trajectory-reward-model"
    guaranteed: ClassVar[bool] = False

    def init(self, spec: TrajectorySpec, rng: np.random.Generator) -> FittedLaw:
        """Return the state before the first comparison: the uniform policy."""
        return FittedLaw(spec, self._uniform(spec))

    def plan(self, state: FittedLaw) -> TrajectoryDecision:
        """Hold the fitted policy, and ask about the uniform one."""
        return TrajectoryDecision(state.law, self._uniform(state.spec))

    def update(self, state: FittedLaw, decision: TrajectoryDecision, field: Leaves) -> FittedLaw:
        """Fit rewards to pairs weighted by how often the uniform policy makes them, and plan with them."""
        spec, weights = state.spec, decision.query
        possible = np.flatnonzero(weights > 0)
        w, gain = weights[possible], field[possible]
        rewards = np.zeros(len(weights))
        rewards[possible] = fitted_rewards(2 * np.outer(w, w), 2 * w * gain)
        _, policy = best_trajectory_response(spec.P, spec.rho, rewards)
        state.law = trajectory_law(spec.P, spec.rho, list(policy.stages))
        return state

    @staticmethod
    def _uniform(spec: TrajectorySpec) -> Leaves:
        S, A = spec.P.shape[:2]
        even = [np.full(((S * A) ** h, S, A), 1 / A) for h in range(spec.horizon)]
        return trajectory_law(spec.P, spec.rho, even)
