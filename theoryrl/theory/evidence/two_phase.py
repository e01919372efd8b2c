"""Evidence on the two-phase variant: rows, transfer between models, the design program, whole runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.instances import twin_lock
from theoryrl.learners import TwoPhaseFTPedel
from theoryrl.learners.two_phase_ftpedel import exploration_bound, row_bonus
from theoryrl.models import EpisodicMDP, FineTuningTask, PolicyClass, RewardNoise
from theoryrl.protocol import Identification, IdentificationProblem
from theoryrl.solvers import (
    class_occupancies,
    minimal_flow,
    minimal_online_episodes,
    smallest_positive_occupancy,
)
from theoryrl.theory.core import Evidence, Scope, credentials
from theoryrl.theory.evidence.identification import quietly

DELTA = 0.025
"""Of the learner; the statements on whole runs hold with probability 1 - 4 delta = .9."""

BUDGET = 100_000_000


@dataclass(frozen=True, eq=False)
class Rows(Evidence):
    """Expectations of f in [0, 1] under a row and its estimate, at the edge of Bernstein's inequality.

    Attributes
    ----------
    true, estimated
        P f and Phat f.
    bonus
        b(n).
    inflation
        1 + 1/H.
    """

    true: Float[np.ndarray, " N"]
    estimated: Float[np.ndarray, " N"]
    bonus: float
    inflation: float


def rows(scope: Scope, shrink: float = 1.0) -> Iterator[Rows]:
    """Yield rows whose estimates are as far off as the event of the proof allows; `shrink` spoils b."""
    tests = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]])
    for H in (1, 2, 5, 20):
        for iota in (3.0, 12.0):
            for n in (1, 30, 1000, 30_000, 1_000_000):
                c_b = 3 * 3 * H * iota + 2
                true, estimated = [], []
                for p in (0.0, 1e-6, 1e-3, 0.1, 0.4):
                    P = np.array([p, 0.3, 0.7 - p])
                    for sign in np.array([[1, -1, 0], [-1, 1, 0], [1, 0, -1], [-1, 0, 1], [1, 1, -1]]):
                        off = np.sqrt(2 * P * iota / n) + iota / (3 * n)
                        bar = np.clip(P + sign * off, 0, 1)
                        bar = bar / max(bar.sum(), 1.0)
                        if (np.abs(bar - P) > off * (1 + 1e-12)).any():
                            continue
                        true.append(tests @ P)
                        estimated.append(tests @ (bar * n / (n + 1)))
                if true:
                    bonus = float(row_bonus(np.array(float(n)), shrink * c_b))
                    yield Rows(
                        f"H={H}, iota={iota:g}, n={n}", np.concatenate(true), np.concatenate(estimated),
                        bonus, 1 + 1 / H,
                    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class TwoPhaseRun(Evidence):
    """One run, looked at with the true model.

    Attributes
    ----------
    result
        What was found.
    eps
        Accuracy.
    rows_hold
        Whether the event of the rows holds at every look.
    transfer
        Smallest and largest what / w over policies and cells, when the model is known.
    slack
        Smallest N / (2 c_b) over reachable cells, when the model is known; infinite if it never was.
    explored, exploration_limit
        Episodes of the first phase, and T_0.
    masses, least_masses
        Of each design: T^, and the least mass at tolerance tau / sqrt(9.35) in the true model.
    execution
        Largest (N + 1 + x) / 2 / (N_end + 1) over cells and designs.
    norms
        Largest norm after each design over tau.
    episodes_limit
        The bound on all episodes.
    """

    result: Identification
    eps: float
    rows_hold: bool
    transfer: tuple[float, float]
    slack: float
    explored: float
    exploration_limit: float
    masses: Float[np.ndarray, " D"]
    least_masses: Float[np.ndarray, " D"]
    execution: float
    norms: Float[np.ndarray, " D"]
    episodes_limit: float


class _Looks:
    """The audit of one run."""

    def __init__(self, learner: TwoPhaseFTPedel, task: FineTuningTask) -> None:
        self.learner, mdp = learner, task.mdp
        self.w = class_occupancies(mdp.P, mdp.rho, task.policies)
        self.reach = self.w.max(axis=0) > 0
        self.rows_hold, self.low, self.high, self.slack = True, math.inf, 0.0, math.inf
        self.masses: list[float] = []
        self.least: list[float] = []
        self.norms: list[float] = []
        self.execution = 0.0
        self.pending: tuple[Any, ...] | None = None

    def __call__(self, problem: IdentificationProblem, state: Any, decision: Any) -> dict[str, float]:
        mdp, policies = problem.task.mdp, problem.task.policies
        model = state.model(1.0)
        iota = (state.c_b - 2) / (3 * mdp.n_states * mdp.horizon)
        n = np.maximum(model.N, 1)[..., None]
        off = np.sqrt(2 * mdp.P * iota / n) + iota / (3 * n)
        wrong = (np.abs(state.transitions / n - mdp.P) > off) & (model.N > 0)[..., None]
        self.rows_hold &= not bool(wrong.any())
        what = class_occupancies(model.P, model.rho, policies)
        if self.pending is not None:
            self._after_design(model, policies, what)
        if decision.diagnostics["leak"] > self.learner.zeta:
            return {}
        inside = self.w > 0
        ratio = what[inside] / self.w[inside]
        self.low, self.high = min(self.low, float(ratio.min())), max(self.high, float(ratio.max()))
        self.slack = min(self.slack, float(model.N[self.reach].min()) / (2 * state.c_b))
        if decision.episodes.any():
            self._design(mdp, state, model)
        return {}

    def _design(self, mdp: EpisodicMDP, state: Any, model: Any) -> None:
        accuracy = mdp.horizon * 2.0**-state.level
        tau = 2.0 ** -(state.attempt - 1) * accuracy / state.Gamma
        alive = PolicyClass(state.actions, mdp.n_actions)
        limits = np.full(len(alive), tau**2)
        found = minimal_flow(model.P, model.rho, alive, model.N + 1, limits, 1e-3)
        true = minimal_flow(mdp.P, mdp.rho, alive, model.N + 1, limits / 9.35, 1e-3)
        self.masses.append(found.value)
        self.least.append(true.value)
        self.pending = tau, model.N, found.flow, state.alive.copy()

    def _after_design(self, model: Any, policies: PolicyClass, what: np.ndarray) -> None:
        assert self.pending is not None
        tau, N, flow, alive = self.pending
        self.pending = None
        self.execution = max(self.execution, float(((N + 1 + flow) / 2 / (model.N + 1)).max()))
        H, S = np.ogrid[: len(N), : N.shape[1]]
        load = (model.N + 1)[H, S, policies.actions[alive]]
        norms = np.sqrt((what[alive] ** 2 / load).sum(axis=2))
        self.norms.append(float(norms.max()) / tau)


def run(task: FineTuningTask, eps: float, w_min: float, seed: int, name: str) -> TwoPhaseRun:
    """Run the two-phase variant and look at it."""
    offline = 0.0 if task.offline is None else float(task.offline.visits.sum(axis=(1, 2)).max())
    nbar = BUDGET + offline
    learner = TwoPhaseFTPedel(eps=eps, delta=DELTA, zeta=w_min / 8, nbar=nbar)
    looks = _Looks(learner, task)
    states: list[Any] = []

    def audit(problem: Any, state: Any, decision: Any) -> dict[str, float]:
        states[:] = [state]
        return looks(problem, state, decision)

    result = quietly(task, learner, BUDGET, seed, audit)
    shape = task.mdp.r.shape
    T_0 = exploration_bound(shape, learner.zeta, nbar, DELTA)
    L = math.ceil(math.log2(4 * shape[0] / eps)) + 1
    beta = 1.6e5 * states[-1].Gamma ** 2
    N = None if task.offline is None else task.offline.visits
    designed = minimal_online_episodes(task.mdp, task.policies, eps, beta, N, tol=1e-3).value
    return TwoPhaseRun(
        name, result, eps, looks.rows_hold, (looks.low, looks.high), looks.slack,
        float(result.trace.stretch_diagnostics["explored"][-1]), T_0,
        np.array(looks.masses), np.array(looks.least), looks.execution, np.array(looks.norms),
        T_0 + 5 * L * (19.1 * designed + 1), group="two phases", **credentials(result.trace),
    )  # fmt: skip


@lru_cache(maxsize=2)
def _runs(scope: Scope) -> tuple[TwoPhaseRun, ...]:
    """Return runs on locks and random deterministic models, and some with random transitions."""
    found = []
    for seed in scope.seeds(45, 90):
        rng = np.random.default_rng([seed, 51])
        if seed % 3 == 0:
            found.append(
                run(twin_lock(2, 3, 0.8, 200_000 * (seed % 2), seed), 0.2, 1.0, seed, f"lock {seed}")
            )
            continue
        P = np.eye(2)[rng.integers(2, size=(2, 2, 2))]
        if seed % 9 == 1:
            P = rng.dirichlet(np.full(2, 5.0), (2, 2, 2))
        mdp = EpisodicMDP(P, rng.random((2, 2, 2)), np.eye(2)[0], noise=RewardNoise("bernoulli"))
        w_min = min(1.0, smallest_positive_occupancy(mdp).lower)
        policies = PolicyClass.product(np.ones((2, 2, 2), dtype=bool))
        found.append(run(FineTuningTask(mdp, policies), 0.2, w_min, seed, f"random {seed}"))
    return tuple(found)


def runs(scope: Scope) -> Iterator[TwoPhaseRun]:
    """Yield the runs, which several theorems look at."""
    yield from _runs(scope)
