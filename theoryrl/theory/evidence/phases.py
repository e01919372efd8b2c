"""Evidence on PeriodicUCB: audited runs, phase by phase.

For each phase the audit keeps the schedule, the bounds and the sample counts with which it was planned, so
that every step of the regret proof can be evaluated exactly on the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from theoryrl.instances import recovering
from theoryrl.learners import PeriodicUCB
from theoryrl.learners.recovering import SHORTEST_PHASE, confidence_log
from theoryrl.models import RecoveringBandit, RewardNoise
from theoryrl.protocol import RecoveringProblem, Run, Trace, play
from theoryrl.solvers.recovering import best_classes, fluid_bound, planner_ratio, structured_periods
from theoryrl.theory.core import Curve, Evidence, Scope, credentials
from theoryrl.theory.evidence.schedules import KINDS, grid_bound, random_bandit

DELTA = 0.05


def regret_bound(
    n_arms: int,
    K: int,
    T: int,
    delta: float | None = None,
    a: int | None = None,
    phi: int | None = None,
    reward_max: float = 1.0,
    sub_gaussian: float = 0.5,
) -> float:
    """Return the bound on rho UB T - (sum of mean rewards) that holds on the event of all widths.

    R_max (3 N T / phi + 2 N phi S_a) + 2 (1 + sqrt 2) 2 sigma sqrt(L / 2) W, where sigma is the
    sub-Gaussian parameter of a reward (1/2 for rewards in [0, 1]) and W = min(sqrt(N M K T),
    N sqrt(S_a T)), for M structured periods up to phi and S_a the sum of their inverses. In expectation,
    with delta = 1 / T (the default), add K R_max.
    """
    a = a or best_classes(K)
    phi = phi or max(SHORTEST_PHASE, math.isqrt(T))
    grid = structured_periods(a, phi)
    S_a, M = float((1 / grid).sum()), len(grid)
    log_term = confidence_log(n_arms, M, T, delta or 1 / T)
    W = min(math.sqrt(n_arms * M * K * T), n_arms * math.sqrt(S_a * T))
    phases = 3 * n_arms * T / phi + 2 * n_arms * phi * S_a
    widths = 2 * (1 + math.sqrt(2)) * 2 * sub_gaussian * math.sqrt(log_term / 2) * W
    return reward_max * phases + widths


def proven_radius(bandit: RecoveringBandit, n_cells: int, T: int, delta: float | None) -> float:
    """Return sigma sqrt(2 log(2 N M T / delta)), which is R_max sqrt(L / 2) for rewards in [0, R_max].

    The audits measure with it, not with the learner's own width, which may be what is wrong.
    """
    log_term = math.log(2 * n_cells * T / (delta or 1 / max(T, 2)))
    return bandit.sub_gaussian * math.sqrt(2 * log_term)


@dataclass
class PhaseAudit:
    """Keeps what each phase was planned with; the trace gets the distance of the bounds from the truth.

    Parameters
    ----------
    delta
        What the learner was given, or None for 1 / T.
    """

    delta: float | None
    truth: Float[np.ndarray, "N M"] | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, problem: RecoveringProblem, state: Any, decision: Any) -> Mapping[str, float]:
        """Record a phase."""
        if self.truth is None:
            self.truth = problem.bandit.at(state.grid)
        excess = state.U - self.truth
        width = np.full(state.n.shape, problem.bandit.reward_max)
        radius = proven_radius(problem.bandit, state.n.size, state.T, self.delta)
        np.divide(2 * radius, np.sqrt(state.n), out=width, where=state.n > 0)
        used, column = state.column >= 0, np.maximum(state.column, 0)
        arms = np.arange(len(column))
        self.rows.append(
            {
                "start": state.played,
                "rounds": decision.rounds,
                "periods": decision.schedule.periods.copy(),
                "offsets": decision.schedule.offsets.copy(),
                "column": state.column.copy(),
                "U": np.where(used, state.U[arms, column], 0.0),
                "R": np.where(used, self.truth[arms, column], 0.0),
                "n": state.n.copy(),
                "planned": decision.diagnostics["planned"],
                "relaxed": decision.diagnostics["relaxed"],
            }
        )
        return {"optimism": float(excess.min()), "slack": float((width - excess).min())}


@dataclass(frozen=True, eq=False)
class PhaseRun(Evidence):
    """An audited run of PeriodicUCB.

    Parameters
    ----------
    bandit, a, phi
        The true model, and the learner's classes and phase length.
    grid
        Structured periods up to phi: shape [M].
    trace
        The run.
    rows
        What the audit kept of each phase.
    n, s
        Samples and their sums at the end: shape [N, M].
    """

    bandit: RecoveringBandit
    a: int
    phi: int
    grid: Int[np.ndarray, " M"]
    trace: Trace
    rows: list[dict[str, Any]]
    n: Int[np.ndarray, "N M"]
    s: Float[np.ndarray, "N M"]

    def column(self, name: str) -> np.ndarray:
        """Return one record of all phases, stacked."""
        return np.stack([row[name] for row in self.rows])

    def number(self, name: str) -> Float[np.ndarray, " E"]:
        """Return a number of the trace."""
        return self.trace.stretch_diagnostics[name]

    @cached_property
    def bound(self) -> float:
        """UB."""
        return float(fluid_bound(self.bandit).upper)

    @property
    def ratio(self) -> float:
        """rho = a K / ((a + 1)(a + K))."""
        return planner_ratio(self.bandit.K, self.a)

    @cached_property
    def good(self) -> bool:
        """Whether R <= U <= R + 2 width held in every phase."""
        return bool(self.number("optimism").min() >= 0 and self.number("slack").min() >= -1e-12)

    @cached_property
    def earned(self) -> Float[np.ndarray, " P"]:
        """Mean reward of each phase."""
        starts = np.array([row["start"] for row in self.rows])
        return np.add.reduceat(self.trace.values, starts)

    @cached_property
    def lengths(self) -> Int[np.ndarray, " P"]:
        """Periods of each phase that were played."""
        starts = np.array([row["start"] for row in self.rows])
        return np.diff(np.append(starts, self.trace.rounds))

    @cached_property
    def usable(self) -> Int[np.ndarray, "P N"]:
        """m' = max(0, floor((H - 1 - o) / d)): pulls of each arm in each phase after its first."""
        d, o = self.column("periods"), self.column("offsets")
        return np.where(d > 0, np.maximum((self.lengths[:, None] - 1 - o) // np.maximum(d, 1), 0), 0)

    @cached_property
    def samples(self) -> Int[np.ndarray, "P N M"]:
        """New samples of each cell in each phase."""
        return np.diff(np.concatenate([self.column("n"), self.n[None]]), axis=0)

    @cached_property
    def before(self) -> Int[np.ndarray, "P N"]:
        """Samples that the cell in use had at the start of the phase."""
        column = np.maximum(self.column("column"), 0)
        return np.take_along_axis(self.column("n"), column[:, :, None], axis=2)[:, :, 0]

    @cached_property
    def cap(self) -> Int[np.ndarray, "P N"]:
        """q = floor((phi - 1) / d) for the period in use."""
        return np.where(self.used, (self.phi - 1) // np.maximum(self.column("periods"), 1), 0)

    @property
    def used(self) -> Bool[np.ndarray, "P N"]:
        """Whether an arm is in the schedule of a phase."""
        return self.column("periods") > 0

    def per_cell(self, weights: Num[np.ndarray, "P N"]) -> Float[np.ndarray, "N M"]:
        """Sum weights over the phases, by arm and period in use."""
        total = np.zeros(self.n.shape)
        columns = self.column("column")
        for phase in range(len(columns)):
            arms = np.flatnonzero(columns[phase] >= 0)
            total[arms, columns[phase, arms]] += weights[phase, arms]
        return total

    @property
    def regret(self) -> float:
        """rho UB T - sum of mean rewards."""
        return self.ratio * self.bound * self.trace.rounds - float(self.trace.values.sum())

    @property
    def guaranteed_regret(self) -> float:
        """What the theorem allows the regret to be, on the event."""
        model, T = self.bandit, self.trace.rounds
        return regret_bound(
            model.n_arms, model.K, T, self.delta, self.a, self.phi, model.reward_max, model.sub_gaussian
        )

    @property
    def trivial(self) -> float:
        """Regret of earning nothing."""
        return self.ratio * self.bound * self.trace.rounds

    @cached_property
    def grid_value(self) -> float:
        """Relaxation of the true means over the structured periods up to phi."""
        return grid_bound(self.bandit, self.a, self.phi)


Make = Callable[..., PeriodicUCB]


def audited_run(
    bandit: RecoveringBandit, learner: PeriodicUCB, T: int, seed: int, title: str, group: str = ""
) -> PhaseRun:
    """Play a learner, and keep what its proof needs."""
    audit = PhaseAudit(learner.delta)
    run = Run(RecoveringProblem(bandit, reference="bound"), learner, T, seed, audit).advance()
    state, trace = run.state, run.trace
    a = learner.classes or best_classes(bandit.K)
    made = credentials(trace)
    return PhaseRun(
        title,
        bandit,
        a,
        state.phase_length,
        state.grid,
        trace,
        audit.rows,
        state.n,
        state.s,
        group=group,
        **made,
    )


def small_runs(scope: Scope, make: Make = PeriodicUCB) -> Iterator[PhaseRun]:
    """Yield runs on random bandits of all kinds, N up to 6, T up to 1500, various phases and classes."""
    rng = np.random.default_rng([scope.seed, 61])
    for index, seed in enumerate(scope.seeds(60, 800)):
        kind, K = KINDS[index % len(KINDS)], int(rng.integers(1, 4))
        bandit = random_bandit(kind, int(rng.integers(K, 7)), 8, K, rng)
        T = int(rng.integers(50, 1500))
        options: dict[str, Any] = {"delta": DELTA, "fractional": ("best", "up")[index % 2]}
        if index % 3 == 0:
            options |= {"classes": int(rng.integers(1, 4)), "phase_length": int(rng.integers(4, 80))}
        yield audited_run(bandit, make(**options), T, seed, f"{kind}, T={T}, seed {seed}")


def repeated_runs(scope: Scope, make: Make = PeriodicUCB) -> Iterator[PhaseRun]:
    """Yield independent runs at delta = 0.05 on two instances; 95 can show a failure rate below that."""
    models = {
        "concave": recovering("concave", n_arms=4, memory=6, seed=1),
        "blocking": recovering("blocking", n_arms=4, memory=6, seed=2),
    }
    for number, (name, bandit) in enumerate(models.items()):
        for seed in scope.seeds(95, 400):
            unique = 2 * seed + number
            title = f"{name}, seed {unique}"
            yield audited_run(bandit, make(delta=DELTA), 1500, unique, title, group=name)


def open_bandit() -> RecoveringBandit:
    """Return four arms that may all be pulled at once: here the bound bites after some 6,000 periods."""
    return RecoveringBandit(np.tile([0.9, 0.95, 1.0], (4, 1)), 4)


def open_runs(scope: Scope, make: Make = PeriodicUCB) -> Iterator[PhaseRun]:
    """Yield independent runs at delta = 0.05, long enough for the bound to say something."""
    for seed in scope.seeds(95, 400):
        yield audited_run(open_bandit(), make(delta=DELTA), 10_000, seed, f"open, seed {seed}")


def long_runs(scope: Scope, make: Make = PeriodicUCB) -> Iterator[PhaseRun]:
    """Yield long runs on the default instance, where the bound on the regret is not vacuous."""
    for seed in scope.seeds(1, 4):
        yield audited_run(recovering(), make(delta=DELTA), 1_000_000, seed, f"concave, seed {seed}")


@dataclass(frozen=True, eq=False)
class DoublingRun(Evidence):
    """A run that was not told its horizon: the lengths of its epochs, and whether their bounds were true."""

    regret: float
    trivial: float
    guaranteed_regret: float
    good: bool


@dataclass
class EpochAudit:
    """Compares the bounds with the truth in epochs that each have their own grid, at delta = 0.05."""

    epochs: dict[int, int] = field(default_factory=dict)
    good: bool = True

    def __call__(self, problem: RecoveringProblem, state: Any, decision: Any) -> Mapping[str, float]:
        """Note the epoch, and whether R <= U <= R + 2 width."""
        self.epochs[state.end] = state.T
        excess = state.U - problem.bandit.at(state.grid)
        radius = proven_radius(problem.bandit, state.n.size, state.T, DELTA)
        width = 2 * radius / np.sqrt(np.maximum(state.n, 1))
        true = (excess >= 0) & ((excess <= width + 1e-12) | (state.n == 0))
        self.good = self.good and bool(true.all())
        return {}


def doubling_runs(scope: Scope, make: Make = PeriodicUCB) -> Iterator[DoublingRun]:
    """Yield runs with doubling epochs on the open bandit, long enough for the sum of bounds to bite."""
    bandit, T = open_bandit(), 300_000
    rho = planner_ratio(bandit.K, best_classes(bandit.K))
    trivial = rho * float(fluid_bound(bandit).upper) * T
    for seed in scope.seeds(1, 10):
        audit, learner = EpochAudit(), make(horizon="doubling", delta=DELTA)
        trace = play(RecoveringProblem(bandit, reference="bound"), learner, T, seed, audit=audit)
        bound = sum(regret_bound(bandit.n_arms, bandit.K, length, DELTA) for length in audit.epochs.values())
        regret = trivial - float(trace.values.sum())
        yield DoublingRun(f"open, seed {seed}", regret, trivial, bound, audit.good, **credentials(trace))


def noise_free_runs(scope: Scope, make: Make = PeriodicUCB) -> Iterator[PhaseRun]:
    """Yield runs whose rewards are the means themselves."""
    rng = np.random.default_rng([scope.seed, 62])
    for index, seed in enumerate(scope.seeds(20, 200)):
        kind, K = KINDS[index % len(KINDS)], int(rng.integers(1, 4))
        drawn = random_bandit(kind, int(rng.integers(K, 7)), 8, K, rng)
        bandit = replace(drawn, noise=RewardNoise("none"))
        learner = make(reuse_first=bool(index % 2))
        yield audited_run(bandit, learner, 800, seed, f"{kind}, seed {seed}")


HORIZONS = np.array([8_000, 32_000, 128_000])


def planner_regret(
    bandit: RecoveringBandit, make: Make, horizons: Int[np.ndarray, " X"], seeds: range
) -> tuple[Float[np.ndarray, "X S"], list[Trace]]:
    """Return the regret against the planner that knows the curves, at each horizon (a run of its own)."""
    problem = RecoveringProblem(bandit, reference="planner")
    traces = [
        [play(problem, make(), int(T), seed + 1000 * k) for seed in seeds] for k, T in enumerate(horizons)
    ]
    regrets = np.array([[trace.final_regret for trace in row] for row in traces])
    return regrets, [trace for row in traces for trace in row]


def regret_curves(scope: Scope, make: Make = PeriodicUCB) -> Iterator[Curve]:
    """Yield the planner regret on the default instance over T."""
    regrets, traces = planner_regret(recovering(), make, HORIZONS, scope.seeds(8, 24))
    name = "concave, N=6, K=2"
    made = credentials(*traces)
    yield Curve(name, HORIZONS * 1.0, regrets, "periods T", "planner regret", **made)


def bound_over_time(scope: Scope) -> Iterator[Curve]:
    """Yield the proven bound over T, for some N and K."""
    T = np.array([10**k for k in range(10, 17)])
    for N, K in ((6, 2), (50, 1), (50, 50)):
        bounds = np.array([regret_bound(N, K, int(t)) for t in T])
        yield Curve(f"N={N}, K={K}", T * 1.0, bounds[:, None], "periods T", "bound", exact=True)


def bound_over_arms(scope: Scope) -> Iterator[Curve]:
    """Yield the proven bound over N at fixed T, for K from 1 to N."""
    N = np.array([2**k for k in range(4, 13)])
    sizes = {"K = 1": N**0, "K = sqrt(N)": np.sqrt(N).astype(np.int64), "K = N / 4": N // 4, "K = N": N}
    for name, pulls in sizes.items():
        bounds = np.array([regret_bound(int(n), int(k), 10**10) for n, k in zip(N, pulls, strict=True)])
        yield Curve(name, N * 1.0, bounds[:, None], "arms N", "bound", exact=True)
