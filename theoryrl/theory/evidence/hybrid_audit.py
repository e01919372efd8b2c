"""Evidence on sampled HyGLOW: how far the averages of its data are from expectations under their law."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theoryrl.learners import HyGLOW
from theoryrl.learners.candidates import residual_tests
from theoryrl.learners.hyglow import HyGlowState
from theoryrl.learners.population import Expectations
from theoryrl.models import (
    CandidateMDP,
    DeterministicPolicy,
    EpisodicMDP,
    FiniteFunctionClass,
    FiniteModelClass,
    Hypotheses,
    RewardNoise,
)
from theoryrl.protocol import EpisodicDecision, EpisodicProblem, Run, Trace
from theoryrl.solvers import backward_induction, occupancy_measure, simulate_episodes
from theoryrl.theory.core import Evidence, Scope, credentials

GAMMA, ROUNDS, EVERY = 0.0124, 260, 26
"""At gamma t = 3 and 26 L episodes the two terms of the bound are equal, and smaller than a residual of 2."""


class HyGlowAudit:
    """Largest ``|mean - E[residual w]|`` of any function, weight and stage, over its bound.

    The bound is ``4 E[w^2] / (3 gamma_t) + 3 gamma_t L / M``, with expectations under the law of the data,
    half of it offline. Computed in every `EVERY`-th round.
    """

    def __init__(self, problem: EpisodicProblem) -> None:
        assert problem.hypotheses is not None
        assert problem.behaviour is not None
        self.exact = Expectations.of(problem.mdp, problem.hypotheses.functions)
        self.nu = occupancy_measure(problem.mdp, problem.behaviour).reshape(self.exact.d.shape[1:])

    def __call__(
        self, problem: EpisodicProblem, state: HyGlowState, decision: EpisodicDecision
    ) -> dict[str, float]:
        """Return the ratio, minus infinity in the rounds between."""
        t = state.round
        if t == 1 or t % EVERY:
            return {"deviation": -math.inf}
        clip, M = state.gamma * t, state.sums.episodes
        weights = np.minimum(state.weights.hybrid_ratios(state.counts, state.nu), clip)
        weights = weights.reshape(-1, *self.nu.shape)
        mu = (self.nu + np.einsum("n,nhc->hc", state.counts / (t - 1), self.exact.d)) / 2
        residual = np.moveaxis(self.exact.residual, 0, -1)
        mean, _ = residual_tests(state.sums.N / M, state.sums.G / M, weights, 0.0)
        expected, square = residual_tests(mu, mu[..., None] * residual, weights, 4 / (3 * clip))
        bound = square[..., None] + 3 * clip * state.L / M
        return {"deviation": float(np.max(np.abs(mean - expected) / bound))}


@dataclass(frozen=True, eq=False)
class AuditedHyGlow(Evidence):
    """A sampled run of HyGLOW with its audit."""

    trace: Trace

    @property
    def deviation(self) -> Float[np.ndarray, " N"]:
        """The ratio in every round in which it was computed."""
        column = np.asarray(self.trace.diagnostics["deviation"])
        return column[np.isfinite(column)]


def two_branches(episodes: int, seed: int) -> CandidateMDP:
    """Return data of the optimal policy, and a function whose error of 2 its own policy never sees.

    Action 1 pays 1 and leads to a state that pays nothing; action 0 leads to one that pays .5. The function
    promises nothing for action 1, 1 for what follows it, and the truth elsewhere.
    """
    P, r = np.zeros((2, 3, 2, 3)), np.zeros((2, 3, 2))
    P[0, :, 0, 1] = P[0, :, 1, 2] = 1
    P[1, :, :, 0] = 1
    r[0, 0, 1], r[1, 1] = 1.0, 0.5
    noise, rho = RewardNoise("bernoulli"), np.eye(3)[0]
    mdp, other = EpisodicMDP(P, r, rho, noise=noise), EpisodicMDP(P[:, :, ::-1], r[:, :, ::-1], rho)
    best = backward_induction(mdp).action_values
    wrong = best.copy()
    wrong[0, 0], wrong[1, 2] = (0.5, 0.0), 1.0
    behaviour = DeterministicPolicy(best.argmax(axis=2), 2)
    data = simulate_episodes(mdp, behaviour, episodes, np.random.default_rng([seed, 105]))
    functions = FiniteFunctionClass(np.stack([best, wrong]))
    return CandidateMDP(
        mdp, Hypotheses(functions, FiniteModelClass.from_models([mdp, other])), behaviour, data
    )


def audited_hyglow(learner: HyGLOW, seed: int) -> AuditedHyGlow:
    """Play HyGLOW on the two branches, with the audit."""
    problem = EpisodicProblem.from_candidates(two_branches(ROUNDS, seed), "two-branches")
    trace = Run(problem, learner, ROUNDS, seed, HyGlowAudit(problem)).advance().trace
    return AuditedHyGlow(f"seed {seed}", trace, **credentials(trace))


def audited_runs(scope: Scope) -> Iterator[AuditedHyGlow]:
    """Yield runs at delta = .05, each with offline data of its own."""
    seed = scope.seeds(1, 1)[0]
    for index in range(scope.pick(92, 460)):
        yield audited_hyglow(HyGLOW(gamma=GAMMA, ties="last"), seed + index)
