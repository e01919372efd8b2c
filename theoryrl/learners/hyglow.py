"""H2O, the reduction from hybrid to offline learning, and HyGLOW, which feeds it MABO.CR.

Round t = 1, ..., T, one episode each, with offline data of at least T episodes::

    pi_t = offline algorithm on the first t - 1 offline episodes and the t - 1 online ones;   play pi_t once.

There is no optimism: the offline data cover a good policy, the online ones everything that was tried.
HyGLOW is H2O with MABO.CR at ``gamma_t = gamma t``, ``alpha_t = 8 / gamma_t`` and the weights
``d^pi / mu_t``, ``mu_t = (nu + average of what was played) / 2``, in every candidate model, where nu is the
law of the behaviour policy. The first round has no data; its policy is arbitrary.

Source: Amortila, Foster, Jiang, Sekhari and Xie (2024), Algorithms 2 and 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners._guarantee import warn_if_void
from theoryrl.learners.candidates import Candidates, ResidualSums, check_ties, require_hypotheses
from theoryrl.learners.glow import model_coverability
from theoryrl.learners.glow_constants import log_confidence
from theoryrl.learners.offline_fits import (
    FittedQIteration,
    ModelMLE,
    OfflineAlgorithm,
    mabo_objective,
    smallest,
)
from theoryrl.models import MarkovPolicy, OfflineDataset, Policy
from theoryrl.models._validation import check_choice, check_fraction, check_real
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers import WeightClass, density_ratio
from theoryrl.solvers.episodic import Trajectories, occupancy_measure

NAMES = ("fqi", "mle", "tabular-fqi")


def require_offline(spec: EpisodicSpec, learner: str, episodes: int) -> OfflineDataset:
    """Return the offline data of a problem, of at least this many episodes."""
    if spec.offline is None:
        raise ValueError(f"{learner} needs a problem with offline data; spec.offline is None")
    if len(spec.offline) < episodes:
        raise ValueError(
            f"{learner} needs one offline episode for each of {episodes} rounds; "
            f"spec.offline has {len(spec.offline)}"
        )
    return spec.offline


def named_algorithm(name: str, spec: EpisodicSpec, learner: str, ties: str) -> OfflineAlgorithm:
    """Return the offline algorithm of a name, with the candidates of the problem."""
    check_choice("offline", name, NAMES)
    if name == "tabular-fqi":
        return FittedQIteration(None, ties)
    hypotheses = require_hypotheses(spec, learner)
    if name == "fqi":
        return FittedQIteration(hypotheses.functions, ties)
    return ModelMLE(hypotheses.models, ties)


def chosen_algorithm(
    offline: str | OfflineAlgorithm, spec: EpisodicSpec, learner: str, ties: str
) -> OfflineAlgorithm:
    """Return the algorithm itself, or that of its name."""
    return named_algorithm(offline, spec, learner, ties) if isinstance(offline, str) else offline


def check_algorithm(offline: Any) -> None:
    """Raise unless the object is a name, or has ``fit``."""
    if isinstance(offline, str):
        check_choice("offline", offline, NAMES)
    elif isinstance(offline, type) or not isinstance(offline, OfflineAlgorithm):
        raise ValueError(f"offline must have fit(dataset) -> policy; got {offline!r}")


@dataclass(slots=True, eq=False)
class H2OState:
    """The data of H2O: offline and online episodes in turn, 2 (t - 1) before round t.

    Attributes
    ----------
    states, actions, rewards
        Shapes [2 T, H+1], [2 T, H] and [2 T, H]; the first 2 `rounds` rows are filled.
    rounds
        Number of finished rounds.
    """

    offline: OfflineDataset
    algorithm: OfflineAlgorithm
    states: Int[np.ndarray, "N H1"]
    actions: Int[np.ndarray, "N H"]
    rewards: Float[np.ndarray, "N H"]
    rounds: int

    @property
    def dataset(self) -> OfflineDataset:
        """What the offline algorithm is given in this round."""
        n, offline = 2 * self.rounds, self.offline
        parts = self.states[:n], self.actions[:n], self.rewards[:n]
        return OfflineDataset(*parts, offline.n_states, offline.n_actions, independent=False)


@dataclass(frozen=True)
class H2O:
    """Hybrid learning by any offline algorithm.

    Parameters
    ----------
    offline
        Anything with ``fit(dataset) -> policy``, or the name of one that takes the candidates of the problem:
        ``"fqi"``, ``"mle"``, ``"tabular-fqi"``.
    ties
        Tie rule of the named ones.
    """

    offline: str | OfflineAlgorithm = "fqi"
    ties: str = "first"

    key: ClassVar[str] = "h2o"

    def __post_init__(self) -> None:
        check_algorithm(self.offline)
        check_ties(self.ties)

    @property
    def guaranteed(self) -> bool:
        """The reduction has no constants of its own; what it promises is the offline algorithm's."""
        return bool(getattr(self.offline, "guaranteed", False))

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> H2OState:
        """Return the state without data."""
        T, H = spec.rounds, spec.horizon
        offline = require_offline(spec, "H2O", T)
        algorithm = chosen_algorithm(self.offline, spec, "H2O", self.ties)
        return H2OState(
            offline,
            algorithm,
            np.zeros((2 * T, H + 1), dtype=np.int64),
            np.zeros((2 * T, H), dtype=np.int64),
            np.zeros((2 * T, H)),
            0,
        )

    def plan(self, state: H2OState) -> EpisodicDecision:
        """Return the offline algorithm's policy; a uniform one before there are data."""
        if state.rounds == 0:
            policy: MarkovPolicy = Policy.uniform(state.offline.n_states, state.offline.n_actions)
        else:
            policy = state.algorithm.fit(state.dataset)
        return EpisodicDecision(policy, None, {"data": float(2 * state.rounds)})

    def update(self, state: H2OState, decision: EpisodicDecision, observation: Trajectories) -> H2OState:
        """Add the episode, and one offline episode."""
        i, offline = state.rounds, state.offline
        for into, source, seen in (
            (state.states, offline.states, observation.states),
            (state.actions, offline.actions, observation.actions),
            (state.rewards, offline.rewards, observation.rewards),
        ):
            into[2 * i], into[2 * i + 1] = source[i], seen[0]
        state.rounds += 1
        return state


@dataclass(slots=True, eq=False)
class HyGlowState:
    """What HyGLOW has seen.

    Attributes
    ----------
    candidates, weights
        The two classes.
    nu
        Law of the offline data in each candidate model: shape [M, H, S, A].
    offline
        The offline data.
    sums
        Counts and residual sums of 2 (t - 1) episodes.
    counts
        Number of rounds of each policy: shape [N].
    chosen
        The function of the current round.
    gamma, L
        Scale of the clipping, and the logarithm of the bound.
    """

    candidates: Candidates
    weights: WeightClass
    nu: Float[np.ndarray, "M H S A"]
    offline: OfflineDataset
    sums: ResidualSums
    counts: Int[np.ndarray, " N"]
    chosen: int
    gamma: float
    L: float

    @property
    def round(self) -> int:
        """Number t of the round that is planned next, or played."""
        return int(self.counts.sum()) + 1


@dataclass(frozen=True)
class HyGLOW:
    """Hybrid learning by MABO.CR.

    Parameters
    ----------
    gamma
        Scale of the clipping, in (0, 1]; 0 for that of Corollary 4.1 with the largest coefficients of the
        candidate models.
    delta
        Failure probability, in (0, 1).
    c_alpha
        Factor of the quadratic term; 8 in the paper, others without a guarantee.
    single_stages
        Whether the weights kept at one stage are in the class too, as in the paper; the bound does not
        need them.
    ties
        Which of several minimisers is played: the ``"first"`` or the ``"last"`` of the class.

    Notes
    -----
    Diagnostics: ``function``, the number of the function that is played; ``objective``, its value;
    ``oracle_weights``, 1 if the weights were computed with the true model.
    """

    gamma: float = 0.0
    delta: float = 0.05
    c_alpha: float = 8.0
    single_stages: bool = True
    ties: str = "first"

    key: ClassVar[str] = "hyglow"

    def __post_init__(self) -> None:
        check_real("gamma", self.gamma, low=0.0, high=1.0)
        check_fraction("delta", self.delta)
        check_ties(self.ties)
        if check_real("c_alpha", self.c_alpha, low=0.0) == 0:
            raise ValueError(f"c_alpha must be positive; got {self.c_alpha!r}")
        if not self.guaranteed:
            warn_if_void(self, 1.0, f"c_alpha = {self.c_alpha:g} is not 8")

    @property
    def guaranteed(self) -> bool:
        """Whether the factor is the one that the bound is proved for."""
        return self.c_alpha == 8.0

    def covers(self, spec: EpisodicSpec) -> bool:
        """Whether the offline episodes are independent draws, as the bound asks."""
        return spec.offline is not None and spec.offline.independent

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> HyGlowState:
        """Return the state without data."""
        hypotheses = require_hypotheses(spec, "HyGLOW")
        offline = require_offline(spec, "HyGLOW", spec.rounds)
        if spec.behaviour is None:
            raise ValueError("HyGLOW needs to know the policy of the offline data; spec.behaviour is None")
        models, functions = hypotheses.models, hypotheses.functions
        weights = WeightClass.from_models(models, functions, "models", hypotheses.oracle)
        nu = np.stack([occupancy_measure(models[m], spec.behaviour) for m in range(len(models))])
        candidates, T, H = Candidates.of(functions), spec.rounds, spec.horizon
        L = log_confidence(math.log(len(candidates)), weights.log_size(T), T, H, self.delta)
        return HyGlowState(
            candidates=candidates,
            weights=weights,
            nu=nu,
            offline=offline,
            sums=ResidualSums.empty(candidates),
            counts=np.zeros(weights.n_policies, dtype=np.int64),
            chosen=0,
            gamma=self.gamma or _corollary_gamma(weights, nu, T, L),
            L=L,
        )

    def plan(self, state: HyGlowState) -> EpisodicDecision:
        """Return the greedy policy of the minimiser."""
        t, F = state.round, len(state.candidates)
        objective = np.zeros(F)
        if t > 1:
            objective = self.objective(state, t)
        state.chosen = smallest(objective, self.ties)
        diagnostics = {
            "function": float(state.chosen),
            "objective": float(objective[state.chosen]),
            "oracle_weights": float(state.weights.oracle),
        }
        return EpisodicDecision(state.candidates.policies[state.chosen], None, diagnostics)

    def objective(self, state: HyGlowState, t: int) -> Float[np.ndarray, " F"]:
        """Return MABO.CR's objective of every function in round t."""
        clip, n, H = state.gamma * t, state.sums.episodes, len(state.sums.N)
        ratios = state.weights.hybrid_ratios(state.counts, state.nu)
        weights = np.minimum(ratios, clip).reshape(-1, H, state.sums.N.shape[1])
        N, G = state.sums.N / n, state.sums.G / n
        return mabo_objective(N, G, weights, self.c_alpha / clip, self.single_stages)

    def update(
        self, state: HyGlowState, decision: EpisodicDecision, observation: Trajectories
    ) -> HyGlowState:
        """Add the episode, and one offline episode."""
        i = state.round - 1
        old = (
            part[i : i + 1] for part in (state.offline.states, state.offline.actions, state.offline.rewards)
        )
        state.sums.add(state.candidates, Trajectories(*old))
        state.sums.add(state.candidates, observation)
        state.counts[state.weights.policy_of[state.chosen]] += 1
        return state


def _corollary_gamma(weights: WeightClass, nu: Float[np.ndarray, "M H S A"], T: int, L: float) -> float:
    """Return ``sqrt((C_star + C_cov) / (T H^2 L))``, at most 1, with coefficients of the candidate models.

    C_star is the largest over the models of the smallest finite ratio of a policy to the offline law; S A
    if the law covers none.
    """
    H, S, A = weights.shape
    worst = density_ratio(weights.occupancies, nu[:, None]).max(axis=(2, 3, 4))
    least = worst.min(axis=1)
    star = float(np.where(np.isfinite(least), least, S * A).max())
    return min(1.0, math.sqrt((star + model_coverability(weights)) / (T * H**2 * L)))
