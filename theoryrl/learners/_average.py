"""What the average-reward learners share: counts, confidence sets, episodes of doubling visits.

Episode k begins at step t_k (counted from 1 since the last restart). A confidence set for rewards and
transitions is formed, extended value iteration returns the policy of its best model up to 1 / sqrt(t_k), and
that is played until some pair has been visited as often within the episode as before it.

Source: Jaksch, Ortner and Auer (2010), figure 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners._average_kernels import tally
from theoryrl.models._validation import check_fraction
from theoryrl.protocol import AverageDecision, AverageSpec, Monitor
from theoryrl.solvers.average import _extended_kernels
from theoryrl.solvers.average.extended import NO_WIDTHS, SETS
from theoryrl.solvers.average.simulation import Steps

MOST_SWEEPS = 1_000_000
NO_RADII = np.zeros((0, 0))


class ConfidenceSet(NamedTuple):
    """A set of models.

    Attributes
    ----------
    kind
        ``"l1"``, ``"box"`` or ``"kl"``, as of `theoryrl.solvers.extended_value_iteration`.
    P, r
        Centres: shapes [S, A, S] and [S, A].
    reward_radius
        Half-width around r: shape [S, A].
    radius
        Of the set around each row: shape [S, A]; [S, A, S] for boxes.
    """

    kind: str
    P: Float[np.ndarray, "S A S"]
    r: Float[np.ndarray, "S A"]
    reward_radius: Float[np.ndarray, "S A"]
    radius: Any


class Optimum(NamedTuple):
    """What a learner planned: the policy, the last sweep's vector and bounds, and the precision asked for."""

    policy: Int[np.ndarray, " S"]
    u: Float[np.ndarray, " S"]
    bounds: Float[np.ndarray, " 2"]
    tol: float
    rewards: Float[np.ndarray, "S A"]


@dataclass(slots=True, eq=False)
class AverageState:
    """State of a run.

    Attributes
    ----------
    spec, rng
        What is known of the problem, and the learner's random stream.
    N, T, R, R2
        Visits, transitions, sums of rewards and of their squares since the last restart: shapes [S, A],
        [S, A, S], [S, A], [S, A].
    clock
        Steps since the last restart.
    played
        Steps since the beginning.
    life
        1 + number of restarts.
    episode
        Number of the present episode.
    found, plan
        The present confidence set and what was planned with it.
    extra
        What a learner keeps beyond that.
    """

    spec: AverageSpec
    rng: np.random.Generator
    N: Int[np.ndarray, "S A"]
    T: Int[np.ndarray, "S A S"]
    R: Float[np.ndarray, "S A"]
    R2: Float[np.ndarray, "S A"]
    clock: int = 0
    played: int = 0
    life: int = 1
    episode: int = -1
    found: ConfidenceSet | None = None
    plan: Optimum | None = None
    extra: Any = None

    @classmethod
    def empty(cls, spec: AverageSpec, rng: np.random.Generator) -> AverageState:
        """Return the state before the first step."""
        S, A = spec.n_states, spec.n_actions
        counts = np.zeros((S, A), dtype=np.int64)
        return cls(spec, rng, counts, np.zeros((S, A, S), dtype=np.int64), np.zeros((S, A)), np.zeros((S, A)))

    def forget(self) -> None:
        """Restart: drop all data, and let the clock begin anew."""
        for array in (self.N, self.T, self.R, self.R2):
            array[...] = 0
        self.clock = 0
        self.life += 1

    def forget_pair(self, s: int, a: int) -> None:
        """Drop the data of one pair."""
        for array in (self.N, self.T, self.R, self.R2):
            array[s, a] = 0

    @property
    def empirical(self) -> tuple[Float[np.ndarray, "S A S"], Float[np.ndarray, "S A"]]:
        """Empirical rows (uniform without data) and mean rewards (0 without data)."""
        n = np.maximum(1, self.N)
        P = np.where(self.N[..., None] > 0, self.T / n[..., None], 1 / self.spec.n_states)
        return P, self.R / n


@dataclass(frozen=True, kw_only=True)
class OptimisticLearner:
    """Base of the optimistic learners; each has its own confidence set, and its own restarts.

    Parameters
    ----------
    delta
        Failure probability, in (0, 1).
    """

    delta: float = 0.05

    key: ClassVar[str]

    def __post_init__(self) -> None:
        check_fraction("delta", self.delta)

    @property
    def guaranteed(self) -> bool:
        """Whether every constant is the one that the theory asks for."""
        return True

    def init(self, spec: AverageSpec, rng: np.random.Generator) -> AverageState:
        """Return the state without data."""
        return AverageState.empty(require_average(spec, self.key), rng)

    def level(self, state: AverageState) -> float:
        """Return the failure probability of the present run."""
        return self.delta

    def confidence_set(self, state: AverageState) -> ConfidenceSet:
        """Return the models that are still plausible."""
        raise NotImplementedError

    def prepare(self, state: AverageState) -> None:
        """Restart, if it is time to."""

    def limits(self, state: AverageState) -> tuple[int | None, float, Monitor | None]:
        """Return the largest number of steps of the next episode, its exploration, and its monitor."""
        return None, 0.0, None

    def optimise(self, state: AverageState, found: ConfidenceSet) -> Optimum:
        """Return the policy of the best model of the set."""
        return best_policy(found, 1 / math.sqrt(state.clock + 1))

    def plan(self, state: AverageState) -> AverageDecision:
        """Begin an episode."""
        self.prepare(state)
        state.episode += 1
        state.found = self.confidence_set(state)
        state.plan = self.optimise(state, state.found)
        rounds, exploration, monitor = self.limits(state)
        numbers = {
            "episode": float(state.episode),
            "restarts": float(state.life - 1),
            "gain": float(state.plan.bounds.mean()),
        }
        visits = np.maximum(1, state.N)
        return AverageDecision(state.plan.policy, visits, rounds, exploration, monitor, numbers)

    def update(self, state: AverageState, decision: AverageDecision, steps: Steps) -> AverageState:
        """Count what happened."""
        tally(steps.states, steps.actions, steps.rewards, state.N, state.T, state.R, state.R2)
        state.clock += steps.rounds
        state.played += steps.rounds
        return state


def best_policy(found: ConfidenceSet, tol: float, step: float = 1.0) -> Optimum:
    """Run extended value iteration from zero until the span of the change is below `tol`."""
    S, A = found.r.shape
    rewards = np.minimum(1.0, found.r + found.reward_radius)
    boxes = found.kind == "box"
    u, policy, bounds = np.zeros(S), np.zeros(S, dtype=np.int64), np.empty(2)
    _extended_kernels.extended_sweeps(
        SETS.index(found.kind), found.P, rewards,
        np.zeros((S, A)) if boxes else found.radius, found.radius if boxes else NO_WIDTHS,
        step, tol, MOST_SWEEPS, u, policy, bounds,
    )  # fmt: skip
    return Optimum(policy, u, bounds, tol, rewards)


def hoeffding_set(state: AverageState, delta: float, scale: float) -> ConfidenceSet:
    """The set of UCRL2: radii sqrt(7 log(2 S A t / delta) / 2 N) and sqrt(14 S log(2 A t / delta) / N).

    Source: Jaksch, Ortner and Auer (2010), equations 3 and 4.
    """
    S, A = state.N.shape
    P, r = state.empirical
    n, t = np.maximum(1, state.N), state.clock + 1
    d_r = scale * np.sqrt(3.5 * math.log(2 * S * A * t / delta) / n)
    d_p = scale * np.sqrt(14 * S * math.log(2 * A * t / delta) / n)
    return ConfidenceSet("l1", P, r, d_r, d_p)


def laplace_set(state: AverageState, delta: float, scale: float) -> ConfidenceSet:
    """The time-uniform set of UCRL2-L: half of delta for the rewards, half for the rows.

    sqrt((1 + 1/N) log(4 S A sqrt(N + 1) / delta) / 2 N) and
    sqrt(2 (1 + 1/N) log(2 S A sqrt(N + 1) (2^S - 2) / delta) / N), by the method of mixtures.

    Source: Maillard (2019) as used by Bourel, Maillard and Talebi (2020), recalled; proof on the page.
    """
    S, A = state.N.shape
    P, r = state.empirical
    n = np.maximum(1, state.N)
    shrink = (1 + 1 / n) / n
    subsets = S * math.log(2) + math.log1p(-(2.0 ** (1 - S))) if S > 1 else 0.0
    d_r = np.sqrt(0.5 * shrink * np.log(4 * S * A * np.sqrt(n + 1) / delta))
    d_p = np.sqrt(2 * shrink * (np.log(2 * S * A * np.sqrt(n + 1) / delta) + subsets))
    unknown = state.N == 0
    return ConfidenceSet("l1", P, r, scale * np.where(unknown, 1.0, d_r), scale * np.where(unknown, 2.0, d_p))


SETS_OF_UCRL2 = {"published": hoeffding_set, "laplace": laplace_set}


def require_average(spec: Any, key: str) -> AverageSpec:
    """Return the spec if it is that of an average-reward problem."""
    if not isinstance(spec, AverageSpec):
        raise ValueError(f"{key} needs an average-reward problem; got {type(spec).__name__}")
    return spec
