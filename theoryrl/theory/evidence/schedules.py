"""Evidence on planning for recovering bandits: relaxations, optima, plans and their packings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linprog

from theoryrl.instances import blocking, recovering
from theoryrl.models import OffsetSchedule, PeriodicSchedule, RecoveringBandit
from theoryrl.solvers.recovering import (
    CycleSolution,
    FluidSolution,
    RandomOffsets,
    best_classes,
    finite_horizon_value,
    fluid_bound,
    optimal_cycle,
    planner_ratio,
    ppp_guarantee,
    pulls_over_time,
    purely_periodic,
    random_offsets,
    rewards_over_time,
    round_up,
    structured_periods,
)
from theoryrl.solvers.recovering._kernels import pack, plan
from theoryrl.theory.core import Curve, Evidence, Scope

KINDS = ("concave", "blocking", "monotone", "ties")
LONGEST_CYCLE = 20_000
"""Cycles up to this length are simulated; longer ones are checked by their offsets only."""

Planner = Callable[[RecoveringBandit, int, str], Any]


def random_bandit(kind: str, N: int, D: int, K: int, rng: np.random.Generator) -> RecoveringBandit:
    """Return a random bandit; ``ties`` are sorted uniform means rounded to tenths."""
    d = np.arange(1, D + 1)
    rested = rng.uniform(0.2, 1, (N, 1))
    if kind == "concave":
        R = rested * (1 - rng.uniform(0.3, 0.95, (N, 1)) ** d)
    elif kind == "blocking":
        R = rested * (d >= rng.integers(1, D + 1, (N, 1)))
    else:
        R = np.sort(rng.random((N, D)), axis=1)
    return RecoveringBandit(R.round(1) if kind == "ties" else R, K)


@dataclass(frozen=True, eq=False)
class Relaxation(Evidence):
    """A small bandit with its relaxation and its exact optimum."""

    bandit: RecoveringBandit
    fluid: FluidSolution
    optimum: CycleSolution

    @cached_property
    def by_linear_program(self) -> float:
        """UB from the linear program over rates of pulls z[i, d] at each idle time."""
        return relaxation_program(self.bandit)

    def totals(self, horizons: tuple[int, ...]) -> Float[np.ndarray, " T"]:
        """Return the largest total rewards of some horizons, from rest."""
        return np.array([finite_horizon_value(self.bandit, T) for T in horizons])


def relaxation_program(bandit: RecoveringBandit) -> float:
    """Maximise sum z R with sum_d d z[i, d] <= 1 for each arm and sum z <= K."""
    N, D = bandit.R.shape
    rows = np.kron(np.eye(N), np.arange(1.0, D + 1))
    A = np.vstack([rows, np.ones(N * D)])
    solution = linprog(-bandit.R.ravel(), A_ub=A, b_ub=np.append(np.ones(N), bandit.K), method="highs")
    return -float(solution.fun)


def small_bandits(scope: Scope) -> Iterator[tuple[str, RecoveringBandit]]:
    """Yield N in 2..4, D in 2..6, K in 1..min(3, N), of four kinds of curves in turn."""
    rng = np.random.default_rng([scope.seed, 51])
    for index in range(scope.pick(120, 1500)):
        kind = KINDS[index % len(KINDS)]
        N, D = int(rng.integers(2, 5)), int(rng.integers(2, 7))
        K = int(rng.integers(1, min(3, N) + 1))
        yield f"{kind} {index}: N={N}, D={D}, K={K}", random_bandit(kind, N, D, K, rng)


def relaxations(scope: Scope) -> Iterator[Relaxation]:
    """Yield small bandits, and as many whose curves are not monotone, which T1 does not need."""
    rng = np.random.default_rng([scope.seed, 52])
    for name, bandit in small_bandits(scope):
        shuffled = RecoveringBandit(rng.permuted(bandit.R, axis=1), bandit.K)
        for title, model in ((name, bandit), (f"{name}, shuffled", shuffled)):
            yield Relaxation(title, model, fluid_bound(model), optimal_cycle(model))


@dataclass(frozen=True, eq=False)
class Plan(Evidence):
    """A purely periodic plan with a classes, and what it is compared with.

    Parameters
    ----------
    bandit, a, method
        What was planned, how.
    bound
        The relaxation's certified upper bound.
    optimum
        The exact optimum, for small bandits.
    solution
        The planner's answer.
    """

    bandit: RecoveringBandit
    a: int
    method: str
    bound: float
    optimum: CycleSolution | None
    solution: Any

    @property
    def ratio(self) -> float:
        """What the proof promises of the bound."""
        return planner_ratio(self.bandit.K, self.a)

    @property
    def schedule(self) -> PeriodicSchedule:
        """The plan."""
        schedule: PeriodicSchedule = self.solution.policy
        return schedule

    @property
    def best(self) -> CycleSolution:
        """The exact optimum."""
        assert self.optimum is not None
        return self.optimum

    @cached_property
    def crowd(self) -> int:
        """Largest number of arms that are due in one period of three cycles."""
        schedule, K = self.schedule, self.bandit.n_arms
        T = min(3 * schedule.cycle_length, LONGEST_CYCLE) if schedule.periods.any() else 1
        free = RecoveringBandit(self.bandit.R, K)
        machines = np.where(schedule.periods > 0, np.arange(len(schedule.periods)), -1)
        alone = PeriodicSchedule.trusted(schedule.periods, schedule.offsets, machines, K)
        return int(pulls_over_time(free, alone, T).max())

    @cached_property
    def collisions(self) -> int:
        """Pairs of arms of one machine whose offsets agree modulo the gcd of their periods."""
        d, o, m = self.schedule.periods, self.schedule.offsets, self.schedule.machines
        used = (d[:, None] > 0) & (d[None, :] > 0) & (m[:, None] == m[None, :])
        meet = (o[:, None] - o[None, :]) % np.maximum(np.gcd(d[:, None], d[None, :]), 1) == 0
        return int(np.triu(used & meet, 1).sum())

    @cached_property
    def measured_average(self) -> float | None:
        """Average of one whole cycle after the first, or None for a cycle that is too long."""
        schedule = self.schedule
        if not schedule.periods.any():
            return 0.0
        cycle = schedule.cycle_length
        if cycle > LONGEST_CYCLE:
            return None
        return float(rewards_over_time(self.bandit, schedule, 2 * cycle)[cycle:].mean())


def planned_up(bandit: RecoveringBandit, a: int, method: str) -> Any:
    """Plan as in the proof: the fractional arm moves up."""
    return purely_periodic(bandit, a, method, "up")


def small_plans(scope: Scope, planner: Planner = planned_up) -> Iterator[Plan]:
    """Yield plans of small bandits with their optimum: both methods, the best a and the next."""
    for name, bandit in small_bandits(scope):
        bound, optimum = float(fluid_bound(bandit).upper), optimal_cycle(bandit)
        for method in ("grid", "round"):
            for a in (best_classes(bandit.K), best_classes(bandit.K) + 1):
                title = f"{name}, {method}, a={a}"
                yield Plan(title, bandit, a, method, bound, optimum, planner(bandit, a, method))


def large_plans(scope: Scope, planner: Planner = planned_up) -> Iterator[Plan]:
    """Yield plans of larger bandits, half of them K d equal blocking arms, where packing is tight."""
    rng = np.random.default_rng([scope.seed, 53])
    for index in range(scope.pick(60, 300)):
        K = int(rng.choice([1, 2, 3, 4, 6, 9]))
        if index % 2:
            d = int(rng.integers(2, 14))
            bandit = blocking(K * d, K, d)
            name = f"{K * d} blocking arms, delay {d}, K={K}"
        else:
            kind = KINDS[index // 2 % len(KINDS)]
            bandit = random_bandit(kind, 4 * K, 24, K, rng)
            name = f"{kind} {index}: N={4 * K}, D=24, K={K}"
        bound = float(fluid_bound(bandit).upper)
        for method in ("grid", "round"):
            a = best_classes(K) + int(rng.integers(2))
            title = f"{name}, {method}, a={a}"
            yield Plan(title, bandit, a, method, bound, None, planner(bandit, a, method))


@dataclass(frozen=True, eq=False)
class Packing(Evidence):
    """Arms with given periods, packed: machines used, and machines that each odd part needs."""

    periods: Int[np.ndarray, " N"]
    offsets: Int[np.ndarray, " N"]
    machines: Int[np.ndarray, " N"]
    used: int

    @property
    def needed(self) -> int:
        """Sum over odd parts of the ceiling of their density, in exact integers."""
        total = 0
        odd = self.periods // (self.periods & -self.periods)
        for j in np.unique(odd):
            periods = self.periods[odd == j]
            longest = int(periods.max())
            total += -(-int((longest // periods).sum()) // longest)
        return total

    @property
    def collisions(self) -> int:
        """Pairs of arms of one machine that meet."""
        schedule = PeriodicSchedule.trusted(self.periods, self.offsets, self.machines, max(self.used, 1))
        return 0 if schedule.collision() is None else 1


Packer = Callable[[Int[np.ndarray, " N"], Int[np.ndarray, " N"], Int[np.ndarray, " N"]], int]


def packings(scope: Scope, packer: Packer = pack) -> Iterator[Packing]:
    """Yield random multisets of periods j 2^l."""
    rng = np.random.default_rng([scope.seed, 54])
    for index in range(scope.pick(200, 2000)):
        N = int(rng.integers(2, 40))
        odd = rng.choice([1, 3, 5, 7, 9, 11], N)
        periods = odd << rng.integers(0, 7, N)
        offsets, machines = np.empty_like(periods), np.empty_like(periods)
        used = int(packer(periods, offsets, machines))
        yield Packing(f"multiset {index}", periods, offsets, machines, used)


@dataclass(frozen=True, eq=False)
class Rounding(Evidence):
    """Periods d and what they are rounded to, for one number of classes."""

    a: int
    d: Int[np.ndarray, " M"]
    rounded: Int[np.ndarray, " M"]

    @property
    def odd(self) -> Int[np.ndarray, " M"]:
        """Odd part of what d is rounded to."""
        return self.rounded // (self.rounded & -self.rounded)


def roundings(scope: Scope, rounder: Callable[[int, int], int] = round_up) -> Iterator[Rounding]:
    """Yield all d up to a limit, for a up to 12."""
    d = np.arange(1, scope.pick(2000, 10_000) + 1)
    for a in range(1, 13):
        yield Rounding(f"a={a}", a, d, np.array([rounder(int(period), a) for period in d]))


@dataclass(frozen=True, eq=False)
class Truncation(Evidence):
    """The relaxation over the structured periods up to phi."""

    bandit: RecoveringBandit
    a: int
    phi: int
    bound: float
    truncated: float


def truncations(scope: Scope) -> Iterator[Truncation]:
    """Yield random bandits, with phi from far below the memory to far above it."""
    rng = np.random.default_rng([scope.seed, 55])
    for index in range(scope.pick(120, 600)):
        kind, K = KINDS[index % len(KINDS)], int(rng.integers(1, 4))
        bandit = random_bandit(kind, int(rng.integers(K, 9)), 24, K, rng)
        phi, a = int(rng.integers(2, 60)), int(rng.integers(1, 4))
        bound, truncated = float(fluid_bound(bandit).upper), grid_bound(bandit, a, phi)
        yield Truncation(f"{kind} {index}, phi={phi}, a={a}", bandit, a, phi, bound, truncated)


def grid_bound(bandit: RecoveringBandit, a: int, phi: int) -> float:
    """Return the relaxation's value over the structured periods d <= phi."""
    grid = structured_periods(a, phi)
    V, position = bandit.at(grid), np.arange(len(grid))
    periods, offsets, machines = np.empty((3, bandit.n_arms), dtype=np.int64)
    audit = np.empty(5)
    plan(V, grid, V, grid, position, bandit.K, False, periods, offsets, machines, audit)
    return float(audit[3])


@dataclass(frozen=True, eq=False)
class OffsetLaw(Evidence):
    """The random-offset policy: its guarantee, and its candidates' exact expectation."""

    policy: RandomOffsets


def offset_laws(scope: Scope) -> Iterator[OffsetLaw]:
    """Yield random bandits, and 12 K equal blocking arms, where the guarantee is nearly attained."""
    rng = np.random.default_rng([scope.seed, 56])
    for index in range(scope.pick(200, 3000)):
        kind, K = KINDS[index % len(KINDS)], int(rng.choice([1, 2, 3, 5]))
        bandit = random_bandit(kind, 3 * K, 12, K, rng)
        yield OffsetLaw(f"{kind} {index}, K={K}", random_offsets(bandit))
    for K in (1, 2, 4, 8):
        yield OffsetLaw(f"{12 * K} blocking arms, K={K}", random_offsets(blocking(12 * K, K, 12)))


@dataclass(frozen=True, eq=False)
class OffsetDraw(Evidence):
    """One draw of offsets: the average reward of its first periods."""

    guarantee: float
    average: float


Draw = Callable[[RandomOffsets, np.random.Generator], OffsetSchedule]


def offset_draws(scope: Scope, draw: Draw = RandomOffsets.draw) -> Iterator[OffsetDraw]:
    """Yield independent draws, played for 400 periods from rest, on the default instance and on another.

    On twelve arms of delay 6 offsets that are not independent lose most pulls.
    """
    policies = {
        "concave": random_offsets(recovering()),
        "blocking": random_offsets(blocking(12, 2, 6)),
    }
    rng = np.random.default_rng([scope.seed, 57])
    for index in range(scope.pick(1600, 8000)):
        for name, policy in policies.items():
            average = float(rewards_over_time(policy.bandit, draw(policy, rng), 400).mean())
            yield OffsetDraw(f"{name}, draw {index}", policy.guarantee, average, group=name)


def ratio_curve(scope: Scope) -> Iterator[Curve]:
    """Yield 1 - gamma_K over K."""
    K = np.unique(np.geomspace(100, 10_000, 60).astype(np.int64))
    gaps = np.array([1 - ppp_guarantee(int(k)) for k in K])
    yield Curve("gamma_K", K.astype(np.float64), gaps[:, None], "K", "1 - gamma_K", exact=True)


@dataclass(frozen=True, eq=False)
class TightCase(Evidence):
    """Blocking arms of delay 2^l + 1, planned with powers of two."""

    delay: int
    ratio: float


def tight_cases(scope: Scope) -> Iterator[TightCase]:
    """Yield d = 2^l + 1 equal arms with K = 1."""
    for level in range(1, scope.pick(6, 9)):
        d = 2**level + 1
        value = float(purely_periodic(blocking(d, 1, d), 1).value)
        yield TightCase(f"delay {d}", d, value / float(fluid_bound(blocking(d, 1, d)).value))


@dataclass(frozen=True, eq=False)
class GreedyCase(Evidence):
    """The greedy policy's long-run average beside the optimum, on blocking arms with K = 1."""

    optimum: CycleSolution
    average: float


def greedy_cases(scope: Scope) -> Iterator[GreedyCase]:
    """Yield random blocking bandits with K = 1."""
    rng = np.random.default_rng([scope.seed, 58])
    for index in range(scope.pick(60, 600)):
        bandit = random_bandit("blocking", int(rng.integers(2, 6)), 6, 1, rng)
        yield GreedyCase(f"blocking {index}", optimal_cycle(bandit), greedy_average(bandit))


def greedy_average(bandit: RecoveringBandit) -> float:
    """Return the exact long-run average of the greedy policy: the mean of the cycle that it enters."""
    idle = bandit.memory.copy()
    memory, seen, rewards = bandit.memory, dict[tuple[int, ...], int](), list[float]()
    while tuple(idle.tolist()) not in seen:
        seen[tuple(idle.tolist())] = len(rewards)
        now = bandit.R[np.arange(bandit.n_arms), idle - 1]
        pulled = [i for i in np.argsort(-now, kind="stable")[: bandit.K] if now[i] > 0]
        rewards.append(float(now[pulled].sum()))
        idle = np.minimum(idle + 1, memory)
        idle[pulled] = 1
    cycle = rewards[seen[tuple(idle.tolist())] :]
    return math.fsum(cycle) / len(cycle)
