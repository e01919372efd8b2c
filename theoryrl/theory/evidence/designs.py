"""Evidence on exact designs: the laws of T_o2o, closed forms, smoothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.instances import fork_episodes, offline_fork, twin_lock, twin_lock_episodes
from theoryrl.models import EpisodicMDP, Policy, PolicyClass, RewardNoise
from theoryrl.solvers import (
    fixed_exploration_episodes,
    minimal_online_episodes,
    occupancy_measure,
    offline_to_online_coefficient,
)
from theoryrl.solvers.experiment_design.coefficient import design_errors
from theoryrl.solvers.experiment_design.frank_wolfe import frank_wolfe_design, smoothed
from theoryrl.theory.core import Curve, Evidence, Scope

BETA, EPS = 20.0, 0.1
FORK_BETA = 100.0
COVER = 40.0
"""Offline episodes of the fork in units of beta / eps^2: L is covered."""


def random_task(seed: int, H: int = 3, S: int = 3, A: int = 2) -> tuple[EpisodicMDP, PolicyClass, np.ndarray]:
    """Return a random model (every third one deterministic), all its policies, and some visits."""
    rng = np.random.default_rng([seed, 31])
    P = rng.dirichlet(np.ones(S), (H, S, A))
    if seed % 3 == 2:
        P = np.eye(S)[rng.integers(S, size=(H, S, A))]
    mdp = EpisodicMDP(P, rng.random((H, S, A)), np.eye(S)[0], noise=RewardNoise("bernoulli"))
    return mdp, PolicyClass.product(np.ones((H, S, A), dtype=bool)), rng.integers(0, 200, (H, S, A)) * 1.0


@dataclass(frozen=True, eq=False)
class DesignLaws(Evidence):
    """T_o2o of one random task at several arguments.

    Attributes
    ----------
    T
        At (N, eps, beta).
    stages
        The same stage by stage.
    scaled, factor
        At (c N, eps, c beta), and c.
    alone
        Without data, at (beta, c beta).
    more_data, larger_eps, larger_beta
        With (N + something), with 2 eps, with 2 beta.
    masses, coefficients
        C_o2o at these masses: shape [M] (equally spaced).
    inverse
        C_o2o at mass T, times beta (1 where T = 0).
    covered
        Whether the data satisfy every constraint by themselves.
    """

    T: float
    stages: Float[np.ndarray, " H"]
    scaled: float
    factor: float
    alone: tuple[float, float]
    more_data: float
    larger_eps: float
    larger_beta: float
    masses: Float[np.ndarray, " M"]
    coefficients: Float[np.ndarray, " M"]
    inverse: float
    covered: bool


def design_laws(scope: Scope, solve: Callable[..., Any] = minimal_online_episodes) -> Iterator[DesignLaws]:
    """Yield random tasks; every fourth one has data enough."""
    first = 1000 * scope.seed
    for seed in range(first, first + scope.pick(6, 40)):
        mdp, policies, N = random_task(seed)
        if seed % 4 == 3:
            N = N + 1e6
        rng = np.random.default_rng([seed, 32])
        c = float(rng.uniform(2, 5))
        T = solve(mdp, policies, EPS, BETA, N).value
        masses = np.linspace(1, 1.5, 4) * max(T, 100.0)
        C = [offline_to_online_coefficient(mdp, policies, EPS, float(m), N).value for m in masses]
        inverse = offline_to_online_coefficient(mdp, policies, EPS, T, N).value * BETA if T > 0 else 1.0
        zero = design_errors(mdp, policies, EPS, N)
        covered = bool((zero[1].values(np.zeros(int(zero[0].used.sum()))) * BETA <= zero[2]).all())
        yield DesignLaws(
            f"task {seed}",
            T,
            np.array(solve(mdp, policies, EPS, BETA, N, joint=False).stages),
            solve(mdp, policies, EPS, c * BETA, c * N).value,
            c,
            tuple(solve(mdp, policies, EPS, b).value for b in (BETA, c * BETA)),
            solve(mdp, policies, EPS, BETA, N + rng.integers(0, 50, N.shape)).value,
            solve(mdp, policies, 2 * EPS, BETA, N).value,
            solve(mdp, policies, EPS, 2 * BETA, N).value,
            masses,
            np.array(C),
            inverse,
            covered,
        )


@dataclass(frozen=True, eq=False)
class Closed(Evidence):
    """Numbers of episodes by a solver and in closed form."""

    found: Float[np.ndarray, " N"]
    closed: Float[np.ndarray, " N"]


def bandits(scope: Scope, offline: Callable[[np.ndarray], Any] = lambda N: N) -> Iterator[Closed]:
    """Yield arms with offline pulls."""
    rng = np.random.default_rng([scope.seed, 33])
    for index in range(scope.pick(10, 100)):
        K = int(rng.integers(2, 8))
        means, N = rng.random(K), rng.integers(0, 1500, K) * 1.0
        mdp = EpisodicMDP(np.ones((1, 1, K, 1)), means.reshape(1, 1, K), np.ones(1))
        arms = PolicyClass(np.arange(K).reshape(K, 1, 1), K)
        need = BETA / np.maximum(means.max() - means, EPS) ** 2
        found = minimal_online_episodes(mdp, arms, EPS, BETA, offline(N.reshape(1, 1, K)))
        closed = np.maximum(need - N, 0).sum()
        yield Closed(f"arms {index}", np.array([found.value]), np.array([closed]))


@lru_cache(maxsize=64)
def fork_design(eps: float, covered: bool, beta: float = FORK_BETA, optimal: bool = True) -> float:
    """Return T_o2o of a fork, with or without data of its behaviour policy; `optimal` False is M+."""
    task = offline_fork(optimal)
    N = COVER * beta / eps**2 * occupancy_measure(task.mdp, _policy(task.behaviour)) if covered else None
    return minimal_online_episodes(task.mdp, task.policies, eps, beta, N).value


def _policy(policy: Any) -> Policy:
    assert isinstance(policy, Policy)
    return policy


def fork_cells(scope: Scope, design: Callable[[float, bool], float] = fork_design) -> Iterator[Closed]:
    """Yield the ten cells of the covered fork."""
    for covered in (True, False):
        eps = np.array([0.2, 0.1, 0.05, 0.025, 0.0125])
        found = np.array([design(float(e), covered) for e in eps])
        closed = np.array([fork_episodes(FORK_BETA, float(e), covered) for e in eps])
        yield Closed(f"fork, {'with' if covered else 'without'} data", found, closed)


def fork_curve(covered: bool, optimal: bool = True) -> Callable[[Scope], Iterator[Curve]]:
    """Return evidence on T_o2o over eps, where every gap of L is below eps."""

    def curves(scope: Scope) -> Iterator[Curve]:
        eps = np.array([0.2, 0.1, 0.05])
        T = np.array([fork_design(float(e), covered, optimal=optimal) for e in eps])
        name = f"{'M-' if optimal else 'M+'}, {'with' if covered else 'without'} data"
        yield Curve(name, eps, T[:, None], x_label="eps", y_label="T_o2o", exact=True)

    return curves


LOCKS = ((2, 3), (3, 4), (4, 3), (3, 6))


def lock_forms(
    scope: Scope, kind: str, offline: Callable[[np.ndarray], Any] = lambda N: N, eps: float = EPS
) -> Iterator[Closed]:
    """Yield one row of the table of closed forms: design, uniform or class."""
    beta, v = 100.0, 0.8
    for H, A in LOCKS:
        task = twin_lock(H, A, v)
        mdp, policies = task.mdp, task.policies
        twins = (policies[0], policies[(H - 1) * (A - 1) + 1])
        N = beta / eps**2 * np.sum([occupancy_measure(mdp, twin) for twin in twins], axis=0)
        found = [lock_episodes(kind, mdp, policies, eps, beta, data) for data in (0 * N, offline(N))]
        closed = twin_lock_episodes(H, A, v, beta, eps)[kind]
        yield Closed(f"twin lock H={H}, A={A}, {kind}", np.array(found), np.array(closed))


def lock_episodes(
    kind: str, mdp: EpisodicMDP, policies: PolicyClass, eps: float, beta: float, N: Any
) -> float:
    """Return the episodes of a way to explore."""
    if kind == "design":
        return minimal_online_episodes(mdp, policies, eps, beta, N).value
    if kind == "uniform":
        w = occupancy_measure(mdp, Policy.uniform(mdp.n_states, mdp.n_actions))
    else:
        w = np.mean([occupancy_measure(mdp, policies[m]) for m in range(len(policies))], axis=0)
    return fixed_exploration_episodes(mdp, policies, eps, beta, w, N)


def lock_designs(scope: Scope) -> Iterator[Closed]:
    """Yield the best design on the twin lock."""
    yield from lock_forms(scope, "design")


def lock_uniforms(scope: Scope) -> Iterator[Closed]:
    """Yield uniform actions on the twin lock."""
    yield from lock_forms(scope, "uniform")


def lock_classes(scope: Scope) -> Iterator[Closed]:
    """Yield the class mixture on the twin lock."""
    yield from lock_forms(scope, "class")


@dataclass(frozen=True, eq=False)
class Smoothing(Evidence):
    """The smoothed largest error at one flow, and Frank and Wolfe's gap there.

    Attributes
    ----------
    largest, smooth, slack
        max f, F, and f_max log(I) / eta.
    gap, least
        Frank and Wolfe's gap at the end, and a proven upper bound on the least F.
    """

    largest: float
    smooth: float
    slack: float
    gap: float
    least: float


def smoothings(scope: Scope) -> Iterator[Smoothing]:
    """Yield designs after few steps and after many, and uniform flows beside many data.

    There F is nearly linear, and the gap nearly all that can be gained: the hardest case for the bound.
    """
    first = 2000 + 1000 * scope.seed
    for seed in range(first, first + scope.pick(4, 20)):
        mdp, policies, N = random_task(seed)
        short = frank_wolfe_design(mdp, policies, EPS, 1500.0, N, steps=1)
        long = frank_wolfe_design(mdp, policies, EPS, 1500.0, N, steps=60)
        network, errors, limits = design_errors(mdp, policies, EPS, N)
        rate = float(np.log(len(limits))) / short.smoothing
        least = smoothed(errors, limits, long.flow[network.used], rate)[0]
        yield Smoothing(f"task {seed}", short.value, short.smooth, short.smoothing, short.gap, least)
        yield _beside_many_data(f"task {seed}, many data", mdp, policies, N + 1000.0)


def _beside_many_data(name: str, mdp: EpisodicMDP, policies: PolicyClass, N: np.ndarray) -> Smoothing:
    """Return the uniform flow of a few episodes, with its gap by a dynamic program of its own."""
    T = 10.0
    network, errors, limits = design_errors(mdp, policies, EPS, N)
    x = network.flow_of(np.zeros(int(network.used.sum())), T)
    largest = float((errors.values(x) / limits).max())
    smooth, gradient = smoothed(errors, limits, x, 30 / largest)
    gap = float(gradient @ x) + T * network.most(-gradient)
    long = frank_wolfe_design(mdp, policies, EPS, T, N, steps=60)
    least = smoothed(errors, limits, long.flow[network.used], 30 / largest)[0]
    return Smoothing(name, largest, smooth, largest * float(np.log(len(limits))) / 30, gap, least)


@dataclass(frozen=True, eq=False)
class Uncovered(Evidence):
    """The fork whose data miss the optimal branch: T_o2o with data, and beta / eps^2."""

    T: float
    floor: float


def uncovered_forks(scope: Scope) -> Iterator[Uncovered]:
    """Yield M+ at several accuracies."""
    for eps in (0.2, 0.1, 0.05):
        T = fork_design(eps, True, optimal=False)
        yield Uncovered(f"M+ at eps = {eps}", T, FORK_BETA / eps**2)
