"""Audited runs in average-reward MDPs: what episodes were planned with, and the steps of UCRL2's proof."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int

from theoryrl.instances import average_riverswim, random_average
from theoryrl.learners import UCRL2
from theoryrl.models import PiecewiseStationaryMDP
from theoryrl.protocol import AverageProblem, Run, Trace
from theoryrl.solvers import diameter
from theoryrl.solvers.average import policy_iteration
from theoryrl.solvers.average.extended import set_maximum
from theoryrl.theory.core import Evidence, Scope, credentials

DELTA = 0.05


@dataclass
class EpisodeAudit:
    """Keeps what each episode was planned with, and tells whether the true model lies in the set."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, problem: AverageProblem, state: Any, decision: Any) -> Mapping[str, float]:
        """Record an episode."""
        found, plan = state.found, state.plan
        model = problem.model
        segment = int(model.segment_of(np.array([state.played]))[0])
        P, r = model.P[segment], model.r[segment]
        inside = bool(
            (np.abs(found.r - r) <= found.reward_radius + 1e-12).all()
            and (np.abs(found.P - P).sum(axis=-1) <= found.radius + 1e-12).all()
        )
        self.rows.append(
            {
                "start": state.played,
                "clock": state.clock,
                "life": state.life,
                "N": state.N.copy(),
                "reward_radius": found.reward_radius,
                "radius": found.radius,
                "P": found.P,
                "rewards": plan.rewards,
                "u": plan.u,
                "low": float(plan.bounds[0]),
                "high": float(plan.bounds[1]),
                "tol": plan.tol,
                "policy": plan.policy,
                "inside": inside,
            }
        )
        return {"inside": float(inside)}


@dataclass(frozen=True, eq=False)
class AverageRun(Evidence):
    """An audited run on a model, which may change.

    Parameters
    ----------
    problem, trace
        The true model, and the run.
    rows
        What the audit kept of each episode.
    last
        Where the last step led.
    """

    problem: AverageProblem
    trace: Trace
    rows: list[dict[str, Any]]
    last: int

    @property
    def shape(self) -> tuple[int, int]:
        """(S, A)."""
        return self.problem.model.n_states, self.problem.model.n_actions

    @cached_property
    def states(self) -> Int[np.ndarray, " T1"]:
        """States of all steps, and where the last one led."""
        return np.append(self.trace.diagnostics["state"].astype(np.int64), self.last)

    @cached_property
    def actions(self) -> Int[np.ndarray, " T"]:
        """Actions of all steps."""
        return self.trace.diagnostics["action"].astype(np.int64)

    @cached_property
    def diameter(self) -> float:
        """Largest diameter of the segments, at least 1."""
        return max(1.0, *(diameter(mdp).upper for mdp in self.problem.model.segments))

    @property
    def good(self) -> bool:
        """Whether the true model was in the set at the start of every episode."""
        return all(row["inside"] for row in self.rows)

    @property
    def realised_regret(self) -> float:
        """sum_t (rho*_t - reward_t), of observed rewards."""
        return float((self.trace.benchmarks - self.trace.diagnostics["reward"]).sum())

    @cached_property
    def visits(self) -> Int[np.ndarray, "E S A"]:
        """Visits of each pair in each episode."""
        S, A = self.shape
        starts = np.array([row["start"] for row in self.rows])
        episode = np.searchsorted(starts, np.arange(self.trace.rounds), side="right") - 1
        nu = np.zeros((len(self.rows), S, A), dtype=np.int64)
        np.add.at(nu, (episode, self.states[:-1], self.actions), 1)
        return nu


def audited_run(
    problem: AverageProblem,
    learner: Any,
    rounds: int,
    seed: int,
    audit: EpisodeAudit | None = None,
    **who: Any,
) -> AverageRun:
    """Play a problem and keep what every episode was planned with."""
    audit = audit or EpisodeAudit()
    run = Run(problem, learner, rounds, seed, audit).advance()
    environment: Any = run._environment
    last = environment._state
    who = {"group": problem.key, **credentials(run.trace), **who}
    return AverageRun(problem.key, problem, run.trace, audit.rows, int(last), **who)


def stationary_problems() -> list[AverageProblem]:
    """Return the models without changes that UCRL2 is audited on."""
    return [
        AverageProblem.from_stationary(average_riverswim(3), "riverswim-3"),
        AverageProblem.from_stationary(random_average(3, 2, seed=5), "random-3"),
    ]


def ucrl_runs(scope: Scope, learner: Any = None) -> Iterator[AverageRun]:
    """Yield runs of UCRL2 on models that do not change."""
    for problem in stationary_problems():
        for seed in scope.seeds(90, 300):
            yield audited_run(problem, learner or UCRL2(delta=DELTA), scope.pick(600, 3000), seed)


def long_runs(scope: Scope, learner: Any = None) -> Iterator[AverageRun]:
    """Yield a few longer runs, with both radii, whose proof is followed step by step."""
    for problem in stationary_problems():
        for radius in ("published", "laplace"):
            for seed in scope.seeds(1, 5):
                chosen = learner or UCRL2(delta=DELTA, radius=radius)
                run = audited_run(problem, chosen, scope.pick(5000, 30_000), seed)
                yield replace(run, instance=f"{problem.key}, {radius}")


def bandit_runs(scope: Scope, learner: Any = None) -> Iterator[AverageRun]:
    """Yield runs of UCRL2 on two arms, long enough for its bound to be below T."""
    problem = AverageProblem(one_state([[0.95, 0.05]], []), "two-arms")
    for seed in scope.seeds(90, 200):
        yield audited_run(problem, learner or UCRL2(delta=DELTA), scope.pick(60_000, 200_000), seed)


def one_state(means: Any, change_points: Any) -> PiecewiseStationaryMDP:
    """Return a bandit with means [L, A]."""
    r = np.array(means)[:, None, :]
    P = np.ones((len(r), 1, r.shape[2], 1))
    return PiecewiseStationaryMDP(P, r, np.array(change_points, dtype=np.int64))


def narrow_runs(scope: Scope, learner: Any = None) -> Iterator[AverageRun]:
    """Yield runs with the narrower radii, in which coverage has less to spare."""
    for problem in stationary_problems():
        for seed in scope.seeds(90, 300):
            chosen = learner or UCRL2(delta=DELTA, radius="laplace")
            yield audited_run(problem, chosen, scope.pick(600, 3000), seed)


def decomposition(run: AverageRun) -> tuple[float, float]:
    """Return the pseudo-regret of a run, and the sum of gaps, of the bias' ends and of its martingale.

    With the bias h of an optimal policy and gap = rho* + h - r - P h >= 0.
    """
    mdp = run.problem.model.segments[0]
    found = policy_iteration(mdp, 1e-11)
    h, gain = found.relative_values, float(found.value[0])
    s, a, following = run.states[:-1], run.actions, run.states[1:]
    Ph = mdp.dense_P() @ h
    gap = gain + h[:, None] - mdp.r - Ph
    pieces = gap[s, a].sum() + h[following[-1]] - h[s[0]] + (Ph[s, a] - h[following]).sum()
    return float(run.trace.final_regret), float(pieces)


def episode_sides(run: AverageRun) -> tuple[np.ndarray, np.ndarray]:
    """Return for each episode its regret, and what the optimistic plan allows it.

    rho* - r <= tol + 2 d_r + (P~ - I) u for each step: optimism, the stopping rule, and the rewards' radius.
    """
    mdp, gain = run.problem.model.segments[0], float(run.problem.solution.value[0])
    regrets, allowed = [], []
    for row, nu in zip(run.rows, run.visits, strict=True):
        regrets.append(float((nu * (gain - mdp.r)).sum()))
        best = np.array([set_maximum(p, row["u"], d) for p, d in _chosen(row)])
        own = nu.sum(axis=1)
        drift = best - row["u"]
        allowed.append(float((nu * 2 * row["reward_radius"]).sum() + own @ drift + row["tol"] * nu.sum()))
    return np.array(regrets), np.array(allowed)


def _chosen(row: Mapping[str, Any]) -> list[tuple[np.ndarray, float]]:
    """Return centre and radius of the row that the policy plays in each state."""
    return [(row["P"][s, a], float(row["radius"][s, a])) for s, a in enumerate(row["policy"])]


def width_sides(run: AverageRun) -> tuple[np.ndarray, np.ndarray]:
    """Return for each episode nu (P~ - P) u and sum nu d_p D: two rows of one ball, and the span of u."""
    P = run.problem.model.P[0]
    moved, allowed = [], []
    for row, nu in zip(run.rows, run.visits, strict=True):
        own = nu.sum(axis=1)
        best = np.array([set_maximum(p, row["u"], d) for p, d in _chosen(row)])
        truth = np.array([P[s, a] @ row["u"] for s, a in enumerate(row["policy"])])
        moved.append(float(own @ (best - truth)))
        allowed.append(float((nu * row["radius"]).sum()) * run.diameter)
    return np.array(moved), np.array(allowed)


def transition_martingale(run: AverageRun) -> float:
    """Return the sum of P u - u(s') over all steps, u that of their episode over its span."""
    P = run.problem.model.P[0]
    starts = [row["start"] for row in run.rows] + [run.trace.rounds]
    total = 0.0
    for row, first, end in zip(run.rows, starts, starts[1:], strict=False):
        u = row["u"] / max(float(np.ptp(row["u"])), 1e-300)
        s, a = run.states[first:end], run.actions[first:end]
        total += float((P[s, a] @ u - u[run.states[first + 1 : end + 1]]).sum())
    return total


def potential_sides(run: AverageRun) -> tuple[float, float]:
    """Return sum_k sum nu_k / sqrt(max(1, N_k)) and (1 + sqrt 2) sqrt(S A T)."""
    S, A = run.shape
    total = sum(
        float((nu / np.sqrt(np.maximum(1, row["N"]))).sum())
        for row, nu in zip(run.rows, run.visits, strict=True)
    )
    return total, (1 + math.sqrt(2)) * math.sqrt(S * A * run.trace.rounds)


def regret_bound(
    D: float, S: int, A: int, T: Any, delta: float, changes: int = 0, delays: float = 0.0
) -> Any:
    """Return 34 D S sqrt(A (K + 1) T log((K + 1)(K + 2) T / delta)) + delays; K = 0 without the factor 2.

    Without changes it is UCRL2's 34 D S sqrt(A T log(T / delta)).
    """
    K = changes
    factor = (K + 1) * (K + 2) if K else 1
    T = np.asarray(T, dtype=np.float64)
    return 34 * D * S * np.sqrt(A * (K + 1) * T * np.log(factor * T / delta)) + delays


def bite_horizon(D: float, S: int, A: int, delta: float, changes: int = 0) -> float:
    """Return the least power of 2^(1/16) T at which the bound is below T, the trivial one."""
    T = 2.0
    while regret_bound(D, S, A, T, delta, changes) >= T:
        T *= 2 ** (1 / 16)
    return T


def bound_of(run: AverageRun, delta: float, changes: int = 0, delays: float = 0.0) -> float:
    """Return `regret_bound` at the end of a run."""
    S, A = run.shape
    return float(regret_bound(run.diameter, S, A, run.trace.rounds, delta, changes, delays))


def bite_of(run: AverageRun, delta: float, changes: int = 0) -> float:
    """Return `bite_horizon` for the model of a run."""
    S, A = run.shape
    return bite_horizon(run.diameter, S, A, delta, changes)
