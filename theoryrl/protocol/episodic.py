"""Playing an episodic MDP: one round is one episode, a decision is a policy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from theoryrl.models import (
    CandidateMDP,
    ConservativeMDP,
    DeterministicPolicy,
    EpisodicMDP,
    Hypotheses,
    LinearMDP,
    MarkovPolicy,
    MixturePolicy,
    OfflineDataset,
)
from theoryrl.models._validation import check_real
from theoryrl.protocol.core import Outcome, Streams, check_rounds
from theoryrl.solvers.episodic import Simulator, backward_induction, markov_value, policy_value
from theoryrl.solvers.episodic.planning import check_sizes
from theoryrl.solvers.episodic.simulation import NO_BUDGET

MAX_BLOCK = 1 << 14
"""Most episodes that one call simulates: bounds the memory of a block of trajectories."""

REALIZED = 1e-9
"""A function this close to Q* is Q*, up to the rounding of a recursion."""

NO_DIAGNOSTICS: Mapping[str, float] = {}


@dataclass(frozen=True, eq=False)
class EpisodicSpec:
    """What a learner may know of an episodic MDP: never its kernel.

    Attributes
    ----------
    n_states, n_actions, horizon
        S, A and H.
    rounds
        Number of episodes K.
    rho
        Distribution of the first state: shape [S].
    reward_range
        Bounds on every expected reward.
    rewards
        r[h, s, a] where the paper's setting has known rewards, else None.
    noisy_rewards
        Whether an observed reward differs from its mean.
    baseline, threshold
        The safe policy and the value that no episode may fall below (conservative exploration).
    offline
        Data collected before the first episode.
    support
        Where transitions may go, if known a priori: shape [H, S, A, S].
    hypotheses
        Candidate functions and models, for learners with function approximation.
    behaviour
        The policy that collected the offline data, if known.
    phi
        Features in which kernel and rewards are linear, if there are: shape [S, A, d].
    """

    n_states: int
    n_actions: int
    horizon: int
    rounds: int
    rho: Float[np.ndarray, " S"]
    reward_range: tuple[float, float] = (0.0, 1.0)
    rewards: Float[np.ndarray, "H S A"] | None = None
    noisy_rewards: bool = False
    baseline: MarkovPolicy | None = None
    threshold: float | None = None
    offline: OfflineDataset | None = None
    support: Bool[np.ndarray, "H S A S"] | None = None
    hypotheses: Hypotheses | None = None
    behaviour: MarkovPolicy | None = None
    phi: Float[np.ndarray, "S A d"] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, S, A)."""
        return self.horizon, self.n_states, self.n_actions


class EpisodicDecision(NamedTuple):
    """A policy to play.

    Attributes
    ----------
    policy
        The policy of each episode; a mixture draws its component at the start of the episode.
    visits
        Hold the decision until some (h, s, a) has been visited this many more times: shape
        [H, S, A]. None: decide anew after `episodes` episodes.
    diagnostics
        Numbers for the trace.
    episodes
        How many episodes to hold the decision, where `visits` does not tell.
    """

    policy: MarkovPolicy | MixturePolicy
    visits: Int[np.ndarray, "H S A"] | None = None
    diagnostics: Mapping[str, float] = NO_DIAGNOSTICS
    episodes: int = 1


class EpisodicEnvironment:
    """Draws the episodes of one run."""

    def __init__(self, simulator: Simulator, streams: Streams) -> None:
        self._simulator = simulator
        self._rng = streams.environment
        self._coin = streams.coin
        self._visits: np.ndarray | None = None
        self._left = 1

    def begin(self, decision: EpisodicDecision) -> None:
        """Start counting the visits, or the episodes, of a new decision."""
        self._visits = None if decision.visits is None else decision.visits.copy()
        self._left = decision.episodes

    def interact(self, decision: EpisodicDecision, rounds: int) -> Outcome:
        """Play at most `rounds` episodes; the observation is their trajectories."""
        if self._visits is None:
            played = min(rounds, self._left, MAX_BLOCK)
            trajectories, _ = self._simulator.run(decision.policy, played, self._rng, self._coin, NO_BUDGET)
            self._left -= played
            return Outcome(trajectories, played, self._left == 0)
        trajectories, spent = self._simulator.run(
            decision.policy, min(rounds, MAX_BLOCK), self._rng, self._coin, self._visits
        )
        return Outcome(trajectories, len(trajectories.actions), spent)


@dataclass(frozen=True, eq=False)
class EpisodicProblem:
    """An episodic MDP to be learned.

    Parameters
    ----------
    mdp
        The true model, which no learner sees.
    key
        Name of the instance.
    baseline, threshold
        For conservative exploration; the baseline's value must exceed the threshold.
    known_rewards
        Whether the spec tells the learner r.
    offline
        Data that the learner is given.
    known_support
        Whether the spec tells the learner which transitions have positive probability.
    hypotheses
        Candidate functions and models that the learner is given.
    behaviour
        The policy that collected the offline data, if the learner may know it.
    phi
        Features that the spec tells: shape [S, A, d].

    Raises
    ------
    ValueError
        If the baseline does not satisfy the constraint itself, or does not have the model's sizes, or if
        the data do not.
    """

    mdp: EpisodicMDP
    key: str = "episodic"
    baseline: MarkovPolicy | None = None
    threshold: float | None = None
    known_rewards: bool = True
    offline: OfflineDataset | None = None
    known_support: bool = False
    hypotheses: Hypotheses | None = None
    behaviour: MarkovPolicy | None = None
    phi: Float[np.ndarray, "S A d"] | None = None
    _simulator: Simulator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_simulator", Simulator(self.mdp))
        if self.threshold is not None:
            check_real("threshold", self.threshold)
        if self.offline is not None:
            check_data(self.offline, self.mdp)
        if self.behaviour is not None:
            check_sizes(self.mdp, self.behaviour)
        if self.baseline is None:
            return
        if not isinstance(self.baseline, MarkovPolicy):
            raise ValueError(f"baseline must be a Markov policy; got {self.baseline!r}")
        check_sizes(self.mdp, self.baseline)
        if self.threshold is not None:
            value = policy_value(self.mdp, self.baseline)
            if value <= self.threshold:
                raise ValueError(
                    f"threshold must be below the baseline's value {value:.6g} "
                    f"(the margin must be positive); got {self.threshold!r}"
                )

    @classmethod
    def from_conservative(cls, model: ConservativeMDP, key: str) -> EpisodicProblem:
        """Return the problem of a `ConservativeMDP`."""
        return cls(model.mdp, key, model.baseline, model.threshold)

    @classmethod
    def from_candidates(cls, model: CandidateMDP, key: str) -> EpisodicProblem:
        """Return the problem of a `CandidateMDP`; rewards are observed, not known.

        Warns if no candidate function is Q*, which every theorem assumes, or no candidate model is the
        truth, so that weights made from them need not hold the true ratios.
        """
        if model.hypotheses.models.index(model.mdp) is None:
            warnings.warn(f"{key}: no candidate model is the true one", stacklevel=2)
        error = np.abs(model.hypotheses.functions.Q - backward_induction(model.mdp).action_values)
        if error.max(axis=(1, 2, 3)).min() > REALIZED:
            warnings.warn(f"{key}: no candidate function is the optimal one", stacklevel=2)
        return cls(
            model.mdp,
            key,
            known_rewards=False,
            offline=model.offline,
            hypotheses=model.hypotheses,
            behaviour=model.behaviour,
        )

    @classmethod
    def from_linear(cls, model: LinearMDP, key: str) -> EpisodicProblem:
        """Return the problem of a `LinearMDP`: the learner is told the features, and no reward in advance."""
        return cls(model.to_episodic(), key, known_rewards=False, phi=model.phi)

    @cached_property
    def benchmark(self) -> float:
        """V*, the optimal expected return of an episode."""
        return backward_induction(self.mdp).start_value

    def spec(self, rounds: int) -> EpisodicSpec:
        """Return what a learner may know."""
        mdp = self.mdp
        return EpisodicSpec(
            n_states=mdp.n_states,
            n_actions=mdp.n_actions,
            horizon=mdp.horizon,
            rounds=check_rounds(rounds),
            rho=mdp.rho,
            reward_range=mdp.reward_range,
            rewards=mdp.r if self.known_rewards else None,
            noisy_rewards=mdp.noise.kind != "none",
            baseline=self.baseline,
            threshold=self.threshold,
            offline=self.offline,
            support=mdp.P > 0 if self.known_support else None,
            hypotheses=self.hypotheses,
            behaviour=self.behaviour,
            phi=self.phi,
        )

    def value(self, decision: EpisodicDecision) -> float:
        """Return the exact expected return of an episode, coin of a mixture included."""
        policy = decision.policy
        if isinstance(policy, DeterministicPolicy):
            return markov_value(self.mdp, policy)
        return policy_value(self.mdp, policy)

    @property
    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """Cumulative (rho, P) of the true model, for compiled runs that draw as the environment does."""
        return self._simulator._cum_rho, self._simulator._cum_P

    def environment(self, streams: Streams) -> EpisodicEnvironment:
        """Return a fresh source of episodes."""
        return EpisodicEnvironment(self._simulator, streams)


def check_data(data: OfflineDataset, mdp: EpisodicMDP) -> None:
    """Raise unless the data have the model's numbers of stages, states and actions."""
    sizes = (data.horizon, data.n_states, data.n_actions)
    if sizes != mdp.r.shape:
        raise ValueError(f"offline must have (H, S, A) = {mdp.r.shape} of the model; got {sizes}")
