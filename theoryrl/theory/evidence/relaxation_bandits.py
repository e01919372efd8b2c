"""Evidence on bandits that choose relaxation parameters: probabilities, runs, exact expectations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.polynomial import chebyshev

from theoryrl.instances import alternating_laplacian, shifted_laplacian
from theoryrl.instances.linear_systems import laplacian
from theoryrl.learners import BinnedTsallisINF, ChebCB, TsallisINF
from theoryrl.learners._relaxation_kernels import approximation_error, inverse_gaps
from theoryrl.learners.baselines.bandits._weights import tsallis_probabilities
from theoryrl.models import LossTable, RelaxationTuning
from theoryrl.protocol import BanditProblem, Trace, play, pose_relaxation
from theoryrl.solvers import NearAsymptotic, jacobi_radius, near_asymptotic, young_omega
from theoryrl.theory.core import Curve, Evidence, Scope, credentials

EPS = 1e-8
Make = Callable[[], Any]


@dataclass(frozen=True, eq=False)
class LeaderStep(Evidence):
    """Losses, a rate, and the probabilities that follow the regularised leader."""

    L: Float[np.ndarray, " d"]
    eta: float
    p: Float[np.ndarray, " d"]

    @property
    def multipliers(self) -> Float[np.ndarray, " d"]:
        """``eta (L_i - min L) - 2 / sqrt(p_i)`` over the largest term, equal at the minimiser."""
        terms = 2 / np.sqrt(self.p)
        return (self.eta * (self.L - self.L.min()) - terms) / terms.max()


def leader_steps(scope: Scope) -> Iterator[LeaderStep]:
    """Yield random and extreme losses."""
    rng = np.random.default_rng([scope.seed, 61])
    for index in range(scope.pick(60, 600)):
        d = int(rng.integers(1, 40))
        L = rng.random(d) * 10 ** rng.uniform(-3, 9)
        eta, p = float(10 ** rng.uniform(-4, 0.3)), np.empty(d)
        tsallis_probabilities(L, eta, p)
        yield LeaderStep(f"step {index}", L, eta, p)


@dataclass(frozen=True, eq=False)
class BanditRun(Evidence):
    """A run on a loss table.

    Attributes
    ----------
    table
        The losses, within [low, low + K].
    trace
        With the diagnostics arm and probability.
    rate
        ``"anytime"`` or ``"horizon"``: which eta_t the learner had.
    """

    table: LossTable
    trace: Trace
    rate: str = "anytime"

    @property
    def T(self) -> int:
        """Number of rounds."""
        return self.table.rounds

    @property
    def d(self) -> int:
        """Number of arms."""
        return self.table.n_arms

    @property
    def K(self) -> float:
        """Width of the range of losses."""
        return self.table.loss_range[1] - self.table.loss_range[0]

    @property
    def regret(self) -> float:
        """Loss beyond that of the best arm in hindsight."""
        return self.trace.final_regret

    @property
    def regret_bound(self) -> float:
        """The bound on the expected regret: ``2 K sqrt(2 d T)``, or ``4 K sqrt(d T) - 2 K sqrt T``."""
        return self.K * normalised_bound(self.d, self.T, self.rate)

    def pathwise(self) -> tuple[Float[np.ndarray, " d"], float]:
        """Return regret against each arm's estimated loss, and its bound; losses divided by K.

        ``sum_t l_t(i_t) - Lhat_T(i) <= 4 (sqrt d - 1) / eta_T + sum_t (eta_t / 2) l_t(i_t)^2 /
        sqrt(p_t(i_t))``.
        """
        shown = self.trace.diagnostics
        arms, p = shown["arm"].astype(np.int64), shown["probability"]
        losses = (-self.trace.values - self.table.loss_range[0]) / self.K
        estimated = np.bincount(arms, losses / p, minlength=self.d)
        t = np.arange(1, self.T + 1)
        eta = np.full(self.T, math.sqrt(8 / self.T)) if self.rate == "horizon" else 2 / np.sqrt(t)
        bound = 4 * (math.sqrt(self.d) - 1) / eta[-1] + float((eta / 2 * losses**2 / np.sqrt(p)).sum())
        return float(losses.sum()) - estimated, bound


def normalised_bound(d: int, T: int, rate: str) -> float:
    """Return the bound on the expected regret of Tsallis-INF for losses in [0, 1]."""
    if rate == "horizon":
        return 2 * math.sqrt(2 * d * T)
    return 4 * math.sqrt(d * T) - 2 * math.sqrt(T)


RATES = ("anytime", "horizon")


@cache
def tuning_problem(rounds: int, n_omegas: int, block: int = 100, side: int = 10) -> tuple[Any, BanditProblem]:
    """Return the alternating Laplacian and its table of counts."""
    tuning = alternating_laplacian(side=side, rounds=rounds, block=block, n_omegas=n_omegas)
    return tuning, pose_relaxation(tuning, f"alternating Laplacian, T = {rounds}")


def counts_of(rounds: int, n_omegas: int) -> LossTable:
    """Return the counts of the alternating Laplacian."""
    model = tuning_problem(rounds, n_omegas)[1].model
    assert isinstance(model, LossTable)
    return model


def tables(scope: Scope) -> Iterator[LossTable]:
    """Yield counts of shifted Laplacians, random losses with a drift, and two where the rate matters most.

    With one good arm a smaller rate finds it later than the inequality of every run allows; where the losses
    of two arms alternate, a much larger one follows the wrong arm.
    """
    yield LossTable(1.0 - np.eye(3)[np.zeros(1000, dtype=np.int64)])
    yield LossTable(np.eye(2)[np.arange(2000) % 2])
    rng = np.random.default_rng([scope.seed, 62])
    for rounds in scope.pick((300,), (300, 2000)):
        yield counts_of(rounds, 10)
        drift = np.linspace(0, 1, rounds)[:, None] * rng.random(6)
        yield LossTable(np.clip(0.5 * rng.random((rounds, 6)) + 0.5 * drift, 0, 1))
        yield LossTable((rng.random((rounds, 3)) < [0.2, 0.5, 0.8]).astype(float))


def tsallis_runs(scope: Scope, make: Callable[[str], Any] | None = None) -> Iterator[BanditRun]:
    """Yield runs of Tsallis-INF with both rates on several tables."""
    for index, table in enumerate(tables(scope)):
        for rate in RATES:
            for seed in scope.seeds(4, 40):
                yield bandit_run(
                    table, TsallisINF(rate=rate) if make is None else make(rate), seed, index, rate
                )


def bandit_run(table: LossTable, learner: Any, seed: int, name: Any, rate: str = "anytime") -> BanditRun:
    """Play a table."""
    trace = play(BanditProblem(table, str(name)), learner, table.rounds, seed)
    group = f"table {name}, {rate}"
    return BanditRun(f"{group}, seed {seed}", table, trace, rate, group=group, **credentials(trace))


def horizon_runs(scope: Scope) -> Iterator[BanditRun]:
    """Yield independent runs on one table of counts, with the rate of the horizon."""
    return expectation_runs(scope, "horizon")


def anytime_runs(scope: Scope) -> Iterator[BanditRun]:
    """Yield independent runs on one table of counts, with the anytime rate."""
    return expectation_runs(scope, "anytime")


def expectation_runs(
    scope: Scope, rate: str, make: Callable[[str], Any] | None = None
) -> Iterator[BanditRun]:
    """Yield independent runs on one table of counts."""
    table = counts_of(2000, 10)
    for seed in scope.seeds(200, 1000):
        learner = TsallisINF(rate=rate) if make is None else make(rate)
        yield bandit_run(table, learner, seed, "counts, T = 2000", rate)


def regret_curves(scope: Scope, make: Make | None = None) -> Iterator[Curve]:
    """Yield the regret of Tsallis-INF over T on the alternating Laplacian, 10 parameters."""
    sizes = np.array([500, 2000, 8000])
    learner = TsallisINF(rate="horizon") if make is None else make()
    samples = []
    every = scope.seeds(16 * len(sizes), 100 * len(sizes))
    for index, T in enumerate(sizes):
        problem = tuning_problem(int(T), 10)[1]
        seeds = every[index :: len(sizes)]  # no two runs share a seed
        samples.append([play(problem, learner, int(T), seed).final_regret for seed in seeds])
    yield Curve(
        "alternating Laplacian, d = 10",
        sizes * 1.0,
        np.array(samples),
        "T",
        "regret",
        guaranteed=learner.guaranteed,
    )


@dataclass(frozen=True, eq=False)
class RelaxationRun(Evidence):
    """A run on the counts of a sequence, with the surrogate of each of its different matrices.

    Attributes
    ----------
    run
        What was played.
    which
        Index of the matrix in each round: shape [T].
    surrogates
        U on a mesh that contains the grid, for each matrix.
    betas
        Jacobi's radius of each matrix.
    policy
        Index in the mesh of each matrix's parameter under the comparator policy; None: the best fixed one.
    policy_slope
        Lipschitz constant of the policy in the context.
    bins
        Number of context bins.
    context_width
        C, the width of the contexts.
    least
        ``min_w sum U_t(w)`` over parameters on and off the mesh, see `least_total`.
    """

    run: BanditRun
    which: Int[np.ndarray, " T"]
    surrogates: tuple[NearAsymptotic, ...]
    betas: tuple[float, ...]
    policy: tuple[int, ...] | None = None
    policy_slope: float = 0.0
    bins: int = 1
    context_width: float = 0.0
    least: float = math.inf

    @property
    def frequencies(self) -> Int[np.ndarray, " M"]:
        """How often each matrix occurs."""
        return np.bincount(self.which, minlength=len(self.surrogates))

    @property
    def alphas(self) -> Float[np.ndarray, " M"]:
        """alpha of each matrix."""
        pairs = zip(self.surrogates, self.betas, strict=True)
        return np.array([s.alpha(beta, float(s.omegas[-1])) for s, beta in pairs])

    @property
    def lipschitz(self) -> Float[np.ndarray, " M"]:
        """Price of rounding up, for each matrix: ``(1 - tau) log(1/eps) / (alpha log^2 alpha)``."""
        tau = np.array([s.tau for s in self.surrogates])
        return (1 - tau) * math.log(1 / EPS) / (self.alphas * np.log(self.alphas) ** 2)

    @property
    def values(self) -> Float[np.ndarray, "M N"]:
        """U of each matrix on the mesh."""
        return np.array([s.bounds for s in self.surrogates])

    @property
    def total(self) -> float:
        """Sum of the counts of the run."""
        return -float(self.run.trace.values.sum())

    @property
    def comparator(self) -> float:
        """Sum of U at the policy's parameters, or the smallest one of a fixed parameter."""
        if self.policy is None:
            return min(self.least, float((self.frequencies @ self.values).min()))
        return float(
            sum(n * u[i] for n, u, i in zip(self.frequencies, self.values, self.policy, strict=True))
        )

    @property
    def spacing(self) -> float:
        """Distance of neighbours of the learner's grid."""
        mesh = self.surrogates[0].omegas
        return float(mesh[-1] - mesh[0]) / self.run.d

    @property
    def bound(self) -> float:
        """Theorem 2.1, or with bins its contextual form.

        ``2 K sqrt(2 d T) + sum log(1/eps) / (d log^2 alpha_t)``, or ``4 K sqrt(d m T)`` and the rounding
        ``(C L_f / m + (w_max - 1) / d) sum L_t``; and the comparator.
        """
        run, m = self.run, self.bins
        if m == 1:
            rounding = math.log(1 / EPS) / run.d * float(self.frequencies @ (1 / np.log(self.alphas) ** 2))
            return run.regret_bound + rounding + self.comparator
        price = self.spacing + self.context_width * self.policy_slope / m
        regret = 4 * run.K * math.sqrt(run.d * m * run.T)
        return regret + price * float(self.frequencies @ self.lipschitz) + self.comparator


def least_total(
    found: Sequence[NearAsymptotic], betas: Sequence[float], frequencies: Int[np.ndarray, " M"]
) -> float:
    """Return ``min_w sum U_t(w)`` over a fine mesh with every omega*, where U has its kinks.

    The minimiser is at a kink or where a smooth sum is flat, so the mesh errs by the square of its spacing.
    """
    low, high = found[0].omegas[0], found[0].omegas[-1]
    best = [young_omega(beta) for beta in betas]
    mesh = np.unique(np.concatenate([np.linspace(low, high, 1000), np.clip(best, low, high)]))
    values = np.array([near.at(beta, mesh) for near, beta in zip(found, betas, strict=True)])
    return float((frequencies @ values).min())


def fixed_runs(scope: Scope, make: Make | None = None) -> Iterator[RelaxationRun]:
    """Yield runs for Theorem 2.1: two shifts in turn, K from alpha, d near its optimum."""
    rounds = scope.pick(6400, 25_600)
    d = best_size(rounds)
    tuning, problem = tuning_problem(rounds, d, block=50, side=4)
    assert isinstance(problem.model, LossTable)
    found = surrogates_of(tuning)
    table = LossTable(problem.model.losses, (1.0, largest_count(tuning, found)))
    which = (tuning.systems.shift[tuning.systems.order] > 0).astype(np.int64)
    betas, learner = betas_of(tuning), TsallisINF(rate="horizon") if make is None else make()
    least = least_total(found, betas, np.bincount(which))
    for seed in scope.seeds(480, 600):
        run = bandit_run(table, learner, seed, f"T = {rounds}", "horizon")
        yield RelaxationRun(
            run.instance, run, which, found, betas, least=least, group=run.group, **credentials(run.trace)
        )


def best_size(rounds: int) -> int:
    """Return the size of the grid in Theorem 2.1, ``d = (gbar^2 log^2(alpha_max) T / 2)^(1/3)``, rounded.

    alpha and ``gbar = mean 1 / log^2 alpha`` are those of a coarse grid.
    """
    tuning = tuning_problem(200, 10, block=50, side=4)[0]
    pairs = zip(surrogates_of(tuning), betas_of(tuning), strict=True)
    logs = np.array([math.log(near.alpha(beta, float(near.omegas[-1]))) ** 2 for near, beta in pairs])
    return round(((1 / logs).mean() ** 2 * logs.min() * rounds / 2) ** (1 / 3))


def binned_runs(scope: Scope, make: Callable[[int], Any] | None = None) -> Iterator[RelaxationRun]:
    """Yield runs of the binned bandit against the policy omega*(c), on grids of (1, 1.5].

    All omega* are below 1.4. Up to w_max = 1.95, as a user would choose who does not know that, alpha is
    near one, and the price of rounding vast: it takes a fine grid and many systems until the bound bites.
    """
    drawn = scope.seeds(40, 80)
    yield from binned_case(scope, 1.5, scope.pick((20_000, 16, 8), (50_000, 20, 12)), drawn[:60], make)
    yield from binned_case(scope, 1.95, (300_000, 64, 32), drawn[60:], make)  # none in the quick profile


def binned_case(
    scope: Scope,
    largest: float,
    sizes: tuple[int, int, int],
    seeds: Sequence[int],
    make: Callable[[int], Any] | None,
) -> Iterator[RelaxationRun]:
    """Yield runs of T rounds with d parameters of (1, largest] and m bins; sizes are (T, d, m)."""
    if not seeds:
        return
    rounds, d, m = sizes
    drawn = shifted_laplacian(side=5, rounds=rounds, different=12, seed=scope.seed)
    tuning = RelaxationTuning(drawn.systems, 1 + (largest - 1) * np.arange(1, d + 1) / d)
    betas = betas_of(tuning)
    found = surrogates_of(tuning, [young_omega(beta) for beta in betas])
    systems = tuning.systems
    low, high = systems.context_range or (0.0, 1.0)
    counts = pose_relaxation(tuning).model
    assert isinstance(counts, LossTable)
    table = LossTable(counts.losses, (1.0, largest_count(tuning, found)), systems.contexts, (low, high))
    policy = tuple(int(np.argmin(np.abs(found[0].omegas - young_omega(beta)))) for beta in betas)
    # The steepest slope of omega* over the contexts is at the left end, where beta is largest.
    steepest = policy_slope(4 * math.cos(math.pi / 6), 4.0, low)
    for seed in seeds:
        learner = BinnedTsallisINF(bins=m) if make is None else make(m)
        run = bandit_run(table, learner, seed, f"{m} bins, w_max = {largest:g}, T = {rounds}")
        yield RelaxationRun(
            run.instance, run, systems.order, found, betas, policy, steepest, m,
            high - low, group=run.group, **credentials(run.trace),
        )  # fmt: skip


def policy_slope(radius: float, diagonal: float, shift: float) -> float:
    """Return ``|d omega* / d c|`` of ``A + c I``, where ``beta(c) = radius / (diagonal + c)``.

    ``d omega* / d beta = 2 beta / (s (1 + s)^2)`` with ``s = sqrt(1 - beta^2)``.
    """
    beta = radius / (diagonal + shift)
    s = math.sqrt(1 - beta**2)
    return 2 * beta / (s * (1 + s) ** 2) * beta / (diagonal + shift)


def surrogates_of(tuning: RelaxationTuning, further: Sequence[float] = ()) -> tuple[NearAsymptotic, ...]:
    """Return U of each different shift, on a mesh of [1, w_max] with the grid and further points."""
    mesh = np.unique(np.concatenate([np.linspace(1, tuning.omegas[-1], 12), tuning.omegas, further]))
    mesh = mesh[np.concatenate([[True], np.diff(mesh) > 1e-9])]
    A = tuning.systems.matrices[0]
    return tuple(near_asymptotic(A, mesh, EPS, shift=float(c)) for c in _shifts(tuning))


def betas_of(tuning: RelaxationTuning) -> tuple[float, ...]:
    """Return Jacobi's radius at each different shift."""
    return tuple(jacobi_radius(tuning.systems.matrices[0], shift=float(c)).value for c in _shifts(tuning))


def _shifts(tuning: RelaxationTuning) -> Float[np.ndarray, " M"]:
    shift = tuning.systems.shift
    return shift if tuning.systems.contexts is not None else np.unique(shift)


def largest_count(tuning: RelaxationTuning, found: tuple[NearAsymptotic, ...]) -> float:
    """Return K + 1 with ``K = log eps / log alpha_max``, which bounds every count."""
    pairs = zip(found, betas_of(tuning), strict=True)
    alpha = max(near.alpha(beta, float(near.omegas[-1])) for near, beta in pairs)
    return 1 + math.log(EPS) / math.log(alpha)


@dataclass(frozen=True, eq=False)
class Gaps(Evidence):
    """Both sides of the lemma on inverse gap weighting, for one or many choices: shapes [N].

    ``sum_i p_i f_i - f_s <= 2 (d - 1) / eta + (eta / 4) sum_i p_i (y_i - f_i)^2``.
    """

    regret: Float[np.ndarray, " N"]
    bound: Float[np.ndarray, " N"]
    squares: Float[np.ndarray, " N"]
    scale: Float[np.ndarray, " N"]


def gap_sides(y: np.ndarray, f: np.ndarray, p: np.ndarray, eta: float, s: int) -> tuple[float, float]:
    """Return the regret against arm s, and the squared term."""
    return float(p @ f - f[s]), eta / 4 * float(p @ (y - f) ** 2)


def worst_gaps(scope: Scope, weigh: Callable[..., Any] = inverse_gaps) -> Iterator[Gaps]:
    """Yield random predictions with the losses that make the lemma tightest, for every comparator."""
    rng = np.random.default_rng([scope.seed, 64])
    for index in range(scope.pick(60, 600)):
        d, eta = int(rng.integers(2, 25)), float(10 ** rng.uniform(-2, 4))
        y, p, rows = rng.uniform(-0.5, 0.5, d), np.empty(d), []
        weigh(y, eta, p)
        for s in range(d):
            f = y + 2 / eta
            f[s] = y[s] - 2 * (1 - p[s]) / (eta * p[s])
            rows.append((*gap_sides(y, f, p, eta, s), (d - 1) / eta))
        regret, squares, unit = np.array(rows).T
        yield Gaps(f"predictions {index}", regret, 2 * unit + squares, squares, unit)


def audit_gaps(problem: Any, state: Any, decision: Any) -> Mapping[str, float]:
    """Return both sides of the lemma for a choice of ChebCB, with the true counts of the round as f."""
    if state.rounds == 0:
        return {"gap_regret": 0.0, "gap_squares": 0.0, "gap_unit": 0.0, "largest_prediction": 0.0}
    f = problem.model.losses[state.rounds] / state.scale
    regret, squares = gap_sides(state.y, f, state.p, state.eta, int(f.argmin()))
    return {
        "gap_regret": regret,
        "gap_squares": squares,
        "gap_unit": (len(f) - 1) / state.eta,
        "largest_prediction": float(np.abs(state.y).max()),
    }


@dataclass(frozen=True, eq=False)
class ChebRun(Evidence):
    """An audited run of ChebCB."""

    trace: Trace

    def column(self, name: str) -> Float[np.ndarray, " T"]:
        """Return a diagnostic."""
        return self.trace.diagnostics[name]

    @property
    def gaps(self) -> Gaps:
        """Both sides of the lemma in every round."""
        unit, squares = self.column("gap_unit"), self.column("gap_squares")
        return Gaps(self.instance, self.column("gap_regret"), 2 * unit + squares, squares, unit)


def cheb_runs(scope: Scope, make: Make | None = None) -> Iterator[ChebRun]:
    """Yield ChebCB on shifted Laplacians. Its own constants are no part of what is claimed of each choice."""
    tuning = shifted_laplacian(side=8, rounds=scope.pick(300, 2000), different=100, seed=scope.seed)
    problem = pose_relaxation(tuning)
    for seed in scope.seeds(2, 10):
        learner = ChebCB() if make is None else make()
        trace = play(problem, learner, tuning.systems.rounds, seed, audit=audit_gaps)
        yield ChebRun(f"shifted Laplacian, seed {seed}", trace)
    for times in (1.0, 1.25):
        learner, table = ChebCB() if make is None else make(), steep_table(times)
        trace = play(BanditProblem(table, "steep"), learner, table.rounds, scope.seed, audit=audit_gaps)
        yield ChebRun(f"steep counts, {times} times the box", trace)


def steep_table(times: float, coefficients: int = 6, rounds: int = 200) -> LossTable:
    """Return counts whose fit presses against the box, and is extrapolated.

    The counts are those of a function with `times` the largest coefficients that the box allows,
    ``f(u) / K = times (1 + 2 sum_j T_j(u) / j)``, at contexts where that is in [0, 1]; and then the context
    is u = 1, where every polynomial is 1 and predictions are largest.
    """
    j = np.arange(1, coefficients)
    mesh = np.linspace(-1, 1, 2001)
    f = times * (1 + 2 * chebyshev.chebvander(mesh, coefficients - 1)[:, 1:] @ (1 / j))
    inside = np.flatnonzero((f >= 0) & (f <= 1))
    # The largest count first: it sets the scale of all targets.
    spread = inside[np.linspace(0, len(inside) - 1, rounds - 1).astype(np.int64)]
    chosen = np.r_[inside[f[inside].argmax()], spread]
    contexts = np.r_[mesh[chosen], np.ones(rounds // 10)]
    counts = 1 + 99 * np.r_[f[chosen], np.ones(rounds // 10)]
    return LossTable(np.repeat(counts[:, None], 2, axis=1), (1.0, 100.0), contexts, (-1.0, 1.0))


NODES = np.cos(np.pi * (np.arange(4000) + 0.5) / 4000)
"""Chebyshev's nodes on [-1, 1], decreasing."""

DEGREES = (1, 2, 3, 4, 5, 6, 64)
"""Numbers of coefficients m."""


@dataclass(frozen=True, eq=False)
class Expansion(Evidence):
    """Chebyshev coefficients of a Lipschitz function on [-1, 1], and its truncation errors.

    Attributes
    ----------
    slope
        Lipschitz constant times 2, the width of the interval.
    coefficients
        a_1, ..., a_M: shape [M].
    errors
        Largest error of the expansion up to degree m - 1, for each m of `DEGREES`.
    """

    slope: float
    coefficients: Float[np.ndarray, " M"]
    errors: Float[np.ndarray, " N"]

    @property
    def box(self) -> Float[np.ndarray, " M"]:
        """``2 Lc (b - a) / (pi j)``."""
        return 2 * self.slope / (math.pi * np.arange(1, len(self.coefficients) + 1))

    @property
    def alphas(self) -> Float[np.ndarray, " N"]:
        """Error bounds for degree m - 1: ``(pi + (2/pi) log(2m - 1)) / (2 m)`` times the slope."""
        return np.array([approximation_error(m - 1, self.slope) for m in DEGREES])


def expansions(scope: Scope) -> Iterator[Expansion]:
    """Yield random piecewise linear functions, zigzags, and for each degree a hardest function."""
    rng = np.random.default_rng([scope.seed, 65])
    for index in range(scope.pick(30, 300)):
        knots = np.sort(np.r_[-1, rng.uniform(-1, 1, int(rng.integers(1, 12))), 1])
        steps = np.diff(knots) * (rng.choice([-1, 1], len(knots) - 1) if index % 2 else rng.uniform(-1, 1))
        slope = 2 * float(np.abs(np.diff(np.r_[0, np.cumsum(steps)]) / np.diff(knots)).max())
        yield expansion(f"function {index}", np.interp(NODES, knots, np.r_[0, np.cumsum(steps)]), slope)
    for m in DEGREES:
        yield expansion(f"hardest for m = {m}", hardest(m), 2.0)


def expansion(name: str, f: Float[np.ndarray, " nodes"], slope: float) -> Expansion:
    """Return coefficients and errors of a function that is given at the nodes."""
    # Orthogonality on Chebyshev's nodes: exact for the interpolant, whose error is of order 1 / 4000.
    V = chebyshev.chebvander(NODES, max(DEGREES))
    a = 2 * V.T @ f / len(NODES)
    a[0] /= 2
    errors = [np.abs(V[:, :m] @ a[:m] - f).max() for m in DEGREES]
    return Expansion(name, slope, a[1:31], np.array(errors))


def hardest(m: int) -> Float[np.ndarray, " nodes"]:
    """Return the function with slopes of +-1 whose expansion up to degree m - 1 errs most, at a worst point.

    The error at a point is linear in the slope, ``sum_s f'(s) k(s)``, so the slope has the sign of k, and the
    error is the mass of k: for even m it is largest in the middle, else elsewhere.
    """
    V, points = chebyshev.chebvander(NODES, m - 1), np.arange(0, len(NODES), 20)
    weights = V @ (np.r_[1.0, np.full(m - 1, 2.0)] * V[points]).T / len(NODES)
    # Between neighbours s of the decreasing nodes: 1 left of the point, less the weights to the right of s.
    k = (np.arange(len(NODES) - 1)[:, None] >= points) - np.cumsum(weights, axis=0)[:-1]
    steps = np.diff(NODES)
    worst = k[:, np.argmin(steps @ np.abs(k))]
    return np.r_[0.0, np.cumsum(np.sign(worst) * steps)]


@dataclass(frozen=True, eq=False)
class PolicySlope(Evidence):
    """Slopes of ``omega*(c)`` between neighbouring shifts, and the largest derivative: shapes [N]."""

    measured: Float[np.ndarray, " N"]
    bound: Float[np.ndarray, " N"]


def policy_slopes(scope: Scope) -> Iterator[PolicySlope]:
    """Yield shifted Laplacians, omega* from dense spectra."""
    for side in scope.pick((3, 5, 7), (3, 5, 8, 10)):
        radius = 4 * math.cos(math.pi / (side + 1))
        shifts = np.linspace(-0.15, 0.6, 16)
        best = [young_omega(jacobi_radius(laplacian(side), shift=float(c)).value) for c in shifts]
        slopes = np.abs(np.diff(best) / np.diff(shifts))
        steepest = np.array([policy_slope(radius, 4.0, float(c)) for c in shifts[:-1]])
        yield PolicySlope(f"{side} x {side} Laplacian", slopes, steepest)
