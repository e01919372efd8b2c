"""Evidence on estimates and their widths, and on whole runs that look for a good policy."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from theoryrl.instances import offline_fork, twin_lock, two_arms
from theoryrl.learners import (
    VILCB,
    ActionElimination,
    FTPedel,
    GapUCBVI,
    LinearFTPedel,
    Pedel,
)
from theoryrl.learners._identification import eliminate
from theoryrl.learners.linear_ftpedel import linear_estimates
from theoryrl.models import (
    EpisodicMDP,
    FineTuningTask,
    LinearMDP,
    Policy,
    PolicyClass,
    RewardNoise,
    TransitionCounts,
)
from theoryrl.protocol import Identification, IdentificationProblem, identify
from theoryrl.solvers import (
    all_policy_certificate,
    class_values,
    policy_evaluation,
    policy_widths,
    simulate_counts,
)
from theoryrl.theory.core import Curve, Evidence, Scope, credentials
from theoryrl.theory.evidence.designs import random_task

DELTA = 0.1


def quietly(task: Any, learner: Any, budget: int, seed: int = 0, audit: Any = None) -> Identification:
    """Identify, and keep quiet about results without a certificate: the evidence says so itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no certificate")
        return identify(task, learner, budget, seed, audit)


# Estimates.


@dataclass(frozen=True, eq=False)
class Evaluation(Evidence):
    """Both sides of the evaluation identity, and the value by backward recursion, for some policies."""

    error: Float[np.ndarray, " M"]
    residuals: Float[np.ndarray, " M"]
    forward: Float[np.ndarray, " M"]
    backward: Float[np.ndarray, " M"]


def evaluations(scope: Scope, mutant: str = "") -> Iterator[Evaluation]:
    """Yield arbitrary data (not even from the model: the identity is algebra) and linear models."""
    for seed in range(scope.pick(8, 60)):
        rng = np.random.default_rng([scope.seed, seed, 41])
        if seed % 2:
            yield _linear_evaluation(rng, seed, mutant)
        else:
            yield _tabular_evaluation(rng, seed, mutant)


def _tabular_evaluation(rng: np.random.Generator, seed: int, mutant: str) -> Evaluation:
    mdp, policies, _ = random_task(int(rng.integers(1000)), H=3, S=2)
    counts = rng.integers(0, 50, mdp.P.shape)
    counts[rng.random(mdp.r.shape) < 0.2] = 0
    data = TransitionCounts(counts, counts.sum(axis=3) * rng.random(mdp.r.shape))
    lam = float(rng.uniform(0.01, 20))
    found = policy_widths(data, mdp.rho, policies, DELTA, lam)
    total_visits = data.visits + (1e-9 if mutant == "no ridge backwards" else lam)
    P, R = counts / total_visits[..., None], data.reward_sums / total_visits
    chosen = rng.integers(len(policies), size=5)
    residuals, backward, values = [], [], []
    states = np.arange(mdp.n_states)
    for m in chosen:
        actions = policies.actions[m]
        solution = policy_evaluation(mdp, policies[int(m)])
        V = np.vstack([solution.value, np.zeros(mdp.n_states)])
        total, back = 0.0, np.zeros(mdp.n_states)
        for h in range(mdp.horizon - 1, -1, -1):
            a = actions[h]
            Q = mdp.r[h] + mdp.P[h] @ V[h + 1]
            xi = data.reward_sums[h] + counts[h] @ V[h + 1] - data.visits[h] * Q
            share = found.occupancies[m, h] / (data.visits[h][states, a] + lam)
            total += float(share @ (xi - (0.0 if mutant == "no ridge" else lam) * Q)[states, a])
            back = R[h][states, a] + P[h][states, a] @ back
        residuals.append(total)
        backward.append(float(mdp.rho @ back))
        values.append(float(mdp.rho @ V[0]))
    forward = found.values[chosen]
    return Evaluation(
        f"data {seed}", forward - np.array(values), np.array(residuals), forward, np.array(backward)
    )


def random_linear(rng: np.random.Generator, H: int = 3, S: int = 4, A: int = 2, d: int = 3) -> LinearMDP:
    """Return a random linear MDP with features on the simplex."""
    phi, mu = rng.dirichlet(np.ones(d), (S, A)), rng.dirichlet(np.ones(S), (H, d))
    return LinearMDP(phi, rng.random((H, d)), mu, np.eye(S)[0])


def _linear_evaluation(rng: np.random.Generator, seed: int, mutant: str) -> Evaluation:
    model = random_linear(rng)
    mdp, phi = model.to_episodic(), model.phi
    counts = rng.integers(0, 50, mdp.P.shape)
    N = counts.sum(axis=3)
    sums, lam = N * rng.random(mdp.r.shape), float(rng.uniform(0.01, 20))
    actions = rng.integers(2, size=(5, 3, 4))
    found = linear_estimates(counts, sums, mdp.rho, phi, actions, 1.0, DELTA, lam, 1.0)
    states = np.arange(4)
    residuals, backward, values = [], [], []
    for m in range(5):
        V, total, back = np.zeros(4), 0.0, np.zeros(4)
        for h in range(2, -1, -1):
            gamma = model.theta[h] + model.mu[h] @ V  # Q = <phi, gamma>
            xi = sums[h] + counts[h] @ V - N[h] * (phi @ gamma)
            vector = np.einsum("sa,sad->d", xi, phi) - (0.0 if mutant == "no ridge" else lam) * gamma
            total += float(found.targets[m, h] @ found.inverses[h] @ vector)
            fitted = np.einsum("sa,sad->d", sums[h] + counts[h] @ back, phi) @ found.inverses[h]
            back = (phi @ fitted)[states, actions[m, h]]
            V = (phi @ gamma)[states, actions[m, h]]
        residuals.append(total)
        backward.append(float(mdp.rho @ back))
        values.append(float(mdp.rho @ V))
    return Evaluation(
        f"linear data {seed}",
        found.values - np.array(values),
        np.array(residuals),
        found.values,
        np.array(backward),
    )


# Widths.


@dataclass(frozen=True, eq=False)
class WidthRatio(Evidence):
    """Largest ``|Vhat - V| / W`` over policies, and over every time that was looked at."""

    ratio: float


Radius = Callable[[np.ndarray, float, float], np.ndarray]
"""g of one cell: (visits, lambda, delta) to the radius."""


def proven_radius(n: np.ndarray, lam: float, delta: float) -> np.ndarray:
    """Return g for H = S = A = 1."""
    return np.asarray(0.5 * np.sqrt(2 * np.log(1 / delta) + np.log1p(n / lam)))


def one_cell_ratios(
    scope: Scope, radius: Radius = proven_radius, lam: float = 1.0, mean: float = 0.5, bias: bool = True
) -> Iterator[WidthRatio]:
    """Yield the supremum over every n up to 20,000 in one cell: adaptive stopping at its worst."""
    n = np.arange(1, 20_001)
    g = radius(n, lam, DELTA)
    norm = 1 / np.sqrt(n + lam)
    width = g * norm + (lam / (n + lam) if bias else 0.0)
    for seed in range(scope.pick(200, 1000)):
        rng = np.random.default_rng([scope.seed, seed, 42])
        sums = np.cumsum(rng.random(len(n)) < mean)
        ratio = float(np.max(np.abs(sums / (n + lam) - mean) / width))
        yield WidthRatio(f"one cell, seed {seed}", ratio, group="every time in one cell", delta=DELTA)


def independent_ratios(
    scope: Scope, kappa: float = 1.0, mode: str = "self-normalized"
) -> Iterator[WidthRatio]:
    """Yield independent data sets of a uniform policy, of different sizes."""
    for seed in range(scope.pick(60, 300)):
        rng = np.random.default_rng([scope.seed, seed, 43])
        mdp, policies, _ = random_task(seed, H=3, S=2)
        data = simulate_counts(mdp, Policy.uniform(2, 2), int(rng.integers(5, 2000)), rng)
        yield WidthRatio(
            f"data set {seed}",
            largest_ratio(mdp, policies, data, kappa, mode),
            group=f"independent episodes, {mode}",
            delta=DELTA,
        )


def largest_ratio(
    mdp: EpisodicMDP, policies: PolicyClass, data: TransitionCounts, kappa: float = 1.0,
    mode: str = "self-normalized",
) -> float:  # fmt: skip
    """Return the largest ``|Vhat - V| / W`` over the class."""
    found = policy_widths(data, mdp.rho, policies, DELTA, 1.0, kappa, mode)
    return float(np.max(np.abs(found.values - class_values(mdp, policies)) / found.widths))


def abandoned_ratios(scope: Scope, kappa: float = 1.0) -> Iterator[WidthRatio]:
    """Yield data of a collector that leaves an arm as soon as its mean is well above the truth."""
    arms = PolicyClass(np.arange(4).reshape(4, 1, 1), 4)
    mdp = EpisodicMDP(
        np.ones((1, 1, 4, 1)), np.full((1, 1, 4), 0.5), np.ones(1), noise=RewardNoise("bernoulli")
    )
    steps = np.arange(1, 2001)
    for seed in range(scope.pick(60, 300)):
        rng = np.random.default_rng([scope.seed, seed, 44])
        worst = 0.0
        counts, sums = np.zeros(4), np.zeros(4)
        for arm in range(4):
            path = np.cumsum(rng.random(2000) < 0.5)
            lucky = np.flatnonzero(path - steps / 2 > np.sqrt(steps))
            stop = int(lucky[0]) + 1 if len(lucky) else 2000
            counts[arm], sums[arm] = stop, path[stop - 1]
            data = TransitionCounts(counts.reshape(1, 1, 4, 1), sums.reshape(1, 1, 4))
            worst = max(worst, largest_ratio(mdp, arms, data, kappa))
        yield WidthRatio(f"collector {seed}", worst, group="lucky arms are abandoned", delta=DELTA)


@dataclass(frozen=True, eq=False)
class EliminationRun(Evidence):
    """One run of FTPedel, looked at with the true values at every decision.

    Attributes
    ----------
    ratio
        Largest ``|Vhat - V| / W`` over all policies and all looks.
    survived
        Whether every optimal policy was alive at every look.
    worst_survivor
        Largest (gap of a survivor) / (4 eps_l) after any elimination.
    result
        What was found.
    eps
        The accuracy that was asked for.
    """

    ratio: float
    survived: bool
    worst_survivor: float
    result: Identification
    eps: float

    @property
    def good(self) -> bool:
        """Whether the event of the widths holds on this run."""
        return self.ratio <= 1


class Looks:
    """An audit that compares every look with the truth."""

    def __init__(self, problem: IdentificationProblem, learner: FTPedel) -> None:
        self.learner, self.ratio, self.survived, self.worst = learner, 0.0, True, 0.0
        self.values = problem.values
        self.level = 0

    def __call__(self, problem: IdentificationProblem, state: Any, decision: Any) -> dict[str, float]:
        """Enter one look."""
        task, learner = problem.task, self.learner
        data = TransitionCounts(state.transitions, state.reward_sums)
        found = policy_widths(
            data, task.mdp.rho, task.policies, learner.delta, learner.lam, learner.conf_scale
        )
        self.ratio = max(self.ratio, float(np.max(np.abs(found.values - self.values) / found.widths)))
        gaps = self.values.max() - self.values
        self.survived &= bool(np.isin(np.flatnonzero(gaps <= 1e-12), state.alive).all())
        eliminated = state.level + (1 if state.certified else 0)
        if eliminated > self.level or state.certified:
            H = task.mdp.horizon
            accuracy = H * 2.0 ** -(eliminated - 1)
            accuracy = max(accuracy, learner.eps / 2) if learner.stop == "2eps" else accuracy
            self.worst = max(self.worst, float(gaps[state.alive].max()) / (4 * accuracy))
            self.level = eliminated
        return {}


def elimination_run(
    task: FineTuningTask, learner: FTPedel, budget: int, seed: int, name: str, group: str
) -> EliminationRun:
    """Run FTPedel and look at it."""
    problem = IdentificationProblem(task)
    looks = Looks(problem, learner)
    result = quietly(problem, learner, budget, seed, looks)
    return EliminationRun(
        name, looks.ratio, looks.survived, looks.worst, result, learner.eps,
        group=group, **credentials(result.trace),
    )  # fmt: skip


def elimination_runs(scope: Scope, make: Callable[..., Any] = FTPedel) -> Iterator[EliminationRun]:
    """Yield adaptive runs on forks and locks, with and without offline data, both stops."""
    for seed in scope.seeds(46, 150):
        task = offline_fork(seed % 2 == 0, 20_000 if seed % 4 < 2 else 0, seed)
        learner = make(eps=0.8, growth=0.1, stop="paper" if seed % 3 else "2eps")
        yield elimination_run(task, learner, 2_000_000, seed, f"fork, seed {seed}", "FTPedel on forks")
    for seed in scope.seeds(46, 150):
        task = twin_lock(3, 4, 0.8, 10_000 if seed % 2 else 0, seed)
        learner = make(eps=0.6, growth=0.1, stop="paper" if seed % 3 else "2eps")
        yield elimination_run(task, learner, 2_000_000, seed, f"lock, seed {seed}", "FTPedel on locks")


@lru_cache(maxsize=4)
def shared_runs(scope: Scope) -> tuple[EliminationRun, ...]:
    """Return the runs above, which several theorems look at."""
    return tuple(elimination_runs(scope))


def good_runs(scope: Scope) -> Iterator[EliminationRun]:
    """Yield the runs above."""
    yield from shared_runs(scope)


def width_ratios(scope: Scope) -> Iterator[Evidence]:
    """Yield all four ways to collect data: one group each."""
    yield from one_cell_ratios(scope)
    yield from independent_ratios(scope)
    yield from abandoned_ratios(scope)
    yield from shared_runs(scope)


def fixed_design_ratios(scope: Scope) -> Iterator[WidthRatio]:
    """Yield the other mode where it is proven: independent episodes, one look."""
    yield from independent_ratios(scope, mode="fixed-design")


# Elimination by itself.


@dataclass(frozen=True, eq=False)
class Elimination(Evidence):
    """One elimination with arbitrary values and estimates within eps_l of them.

    Attributes
    ----------
    gaps
        Of all policies: shape [M].
    kept
        Which survive.
    best
        The empirically best one.
    accuracy
        eps_l.
    """

    gaps: Float[np.ndarray, " M"]
    kept: Bool[np.ndarray, " M"]
    best: int
    accuracy: float


def eliminations(scope: Scope, slack: float = 2.0) -> Iterator[Elimination]:
    """Yield values with adversarial signs of the errors: optimal policies down, others up."""
    for index in range(scope.pick(200, 2000)):
        rng = np.random.default_rng([scope.seed, index, 45])
        M, accuracy = int(rng.integers(2, 12)), float(rng.uniform(0.01, 0.5))
        V = np.round(rng.uniform(0, 6 * accuracy, M), int(rng.integers(1, 4)))
        sign = np.where(V >= V.max() - 1e-12, -1.0, 1.0)
        if index % 3 == 0:
            sign = rng.choice([-1.0, 1.0], M)
        if index % 3 == 1:  # the hardest for the slack: another policy just below the best one
            V[0], V[1:] = V.max() + 1, np.minimum(V[1:], V.max() + 1 - 0.05 * accuracy)
            V[1] = V[0] - 0.05 * accuracy
            sign = np.where(np.arange(M) == 0, -1.0, 1.0)
        values = V + accuracy * sign * (1 - 1e-9)
        alive, best = eliminate(np.arange(M), values, accuracy, slack)
        kept = np.isin(np.arange(M), alive)
        yield Elimination(f"values {index}", V.max() - V, kept, best, accuracy)


# Certified runs.


@dataclass(frozen=True, eq=False)
class CertifiedRun(Evidence):
    """What a learner certified: the exact gap, and eps; uncertified runs claim nothing."""

    result: Identification
    eps: float

    @property
    def certified(self) -> bool:
        """Whether it claims anything."""
        return self.result.certified


def certified_runs(scope: Scope, make: Callable[[str], Any] | None = None) -> Iterator[CertifiedRun]:
    """Yield runs of every certifying learner: Pedel, baselines, ablations, the linear variant."""
    makers: dict[str, Any] = {
        "Pedel": Pedel(eps=0.6, growth=0.4),
        "two certificates": FTPedel(eps=0.6, growth=0.4, hedge_offline=True),
        "class, fixed design": FTPedel(eps=0.6, growth=0.4, collect="class", confidence="fixed-design"),
        "linear": LinearFTPedel(eps=0.9, growth=0.4, inner_steps=4),
        "gap UCBVI": GapUCBVI(eps=0.6, growth=0.4),
        "action elimination": ActionElimination(eps=0.6, growth=0.4),
    }
    for name, learner in makers.items():
        for seed in scope.seeds(45, 100):
            task = twin_lock(2, 3, 0.8, 500 * (seed % 2), seed)
            result = quietly(task, make(name) if make else learner, 1_000_000, seed)
            yield CertifiedRun(
                f"{name}, seed {seed}", result, learner.eps, group=name, **credentials(result.trace)
            )


# All policies.


@dataclass(frozen=True, eq=False)
class Relaxation(Evidence):
    """The certificate for all policies beside the enumeration.

    Attributes
    ----------
    uppers, lower
        Of the certificate.
    enumerated
        max (Vhat + W) over all policies.
    value, best
        Exact value of the policy that is returned, and the best one.
    """

    uppers: tuple[float, ...]
    lower: float
    enumerated: float
    value: float
    best: float


def relaxations(scope: Scope) -> Iterator[Relaxation]:
    """Yield random models with data of different sizes."""
    for seed in range(scope.pick(45, 120)):
        rng = np.random.default_rng([scope.seed, seed, 46])
        mdp, policies, _ = random_task(seed, H=2, S=2)
        data = simulate_counts(mdp, Policy.uniform(2, 2), int(rng.integers(100, 30_000)), rng)
        found = policy_widths(data, mdp.rho, policies, DELTA)
        certificate = all_policy_certificate(data, mdp.rho, DELTA, cuts=1 + seed % 2)
        values = class_values(mdp, policies)
        index = int(np.argmax((policies.actions == certificate.policy.actions).all(axis=(1, 2))))
        yield Relaxation(
            f"data {seed}",
            certificate.uppers,
            certificate.lower,
            float((found.values + found.widths).max()),
            float(values[index]),
            float(values.max()),
            delta=DELTA,
        )


@dataclass(frozen=True, eq=False)
class CarriedSet(Evidence):
    """Data on which a carried set of occupancies certifies a wrong policy.

    Attributes
    ----------
    width
        upper - lower of the sound certificate.
    carried
        What the carried set would claim, 2 eps_l.
    gap
        True suboptimality of its answer.
    """

    width: float
    carried: float
    gap: float


def carried_sets(scope: Scope) -> Iterator[CarriedSet]:
    """Yield the counterexample of the page; its gap is that of the policy in which the set has ended."""
    n = np.zeros((2, 4, 2, 4), dtype=np.int64)
    sums = np.zeros((2, 4, 2))
    n[0, 0, 0, 2], n[0, 0, 0, 1], n[0, 0, 1, 3] = 204_000, 200_000, 40_000
    n[1, 2, 0, 0], n[1, 1, 1, 0], n[1, 3, 0, 0] = 204_000, 200_000, 40_000
    sums[1, 2, 0], sums[1, 1, 1], sums[1, 3, 0] = 204_000, 160_000, 20_000
    found = all_policy_certificate(TransitionCounts(n, sums), np.eye(4)[0], DELTA)
    yield CarriedSet("root, X, X', Y", found.upper - found.lower, 0.0625, 0.1)


# Verifiable and unverifiable.


@dataclass(frozen=True, eq=False)
class TwoArms(Evidence):
    """A run on two arms of which the data know the better one.

    Attributes
    ----------
    pulls
        Of the second arm, online.
    budget
        Most pulls.
    needed
        Lower bound on the expected pulls of any verifiable learner.
    gap
        Of the recommendation.
    """

    pulls: int
    budget: int
    needed: float
    gap: float


def kl(p: float, q: float) -> float:
    """Return the divergence of two coins."""
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def two_arm_runs(scope: Scope, make: Callable[[], Any]) -> Iterator[TwoArms]:
    """Yield runs at gap .3, eps .2."""
    gap, eps, budget = 0.3, 0.2, 2000
    needed = kl(DELTA, 1 - DELTA) / kl(0.5 - gap, 0.5 + eps)
    for seed in scope.seeds(100, 300):
        task, pulls = two_arms(gap, 5000, seed), [0]

        def count(problem: Any, state: Any, decision: Any, pulls: list[int] = pulls) -> dict[str, float]:
            pulls[0] = int(state.transitions[0, 0, 1].sum())
            return {}

        result = quietly(task, make(), budget, seed, count)
        yield TwoArms(f"seed {seed}", pulls[0], budget, needed, result.gap, **credentials(result.trace))


def verifiable_arms(scope: Scope) -> Iterator[TwoArms]:
    """Yield FTPedel, which certifies."""
    yield from two_arm_runs(scope, lambda: FTPedel(eps=0.2, growth=0.2))


def unverifiable_arms(scope: Scope) -> Iterator[TwoArms]:
    """Yield VI-LCB, which does not."""
    yield from two_arm_runs(scope, VILCB)


def offline_alone(scope: Scope) -> Iterator[CertifiedRun]:
    """Yield VI-LCB on the fork whose data miss the optimal branch."""
    for seed in scope.seeds(45, 100):
        task = offline_fork(False, 50_000, seed)
        result = quietly(task, VILCB(), 1, seed)
        yield CertifiedRun(f"M+, seed {seed}", result, 0.5, **credentials(result.trace))


# Episodes over eps.


def episode_curve(covered: bool, learner: type[Any], data: bool = True) -> Callable[[Scope], Iterator[Curve]]:
    """Return evidence on the episodes of a learner on the fork until its certificate, over eps."""

    def curves(scope: Scope, make: Callable[..., Any] = learner) -> Iterator[Curve]:
        eps = np.array([0.4, 0.2, 0.1])
        seeds = scope.seeds(5, 10)
        runs = [
            [
                quietly(
                    offline_fork(covered, int(8e4 / e**2) if data else 0, seed),
                    make(eps=float(e), growth=0.1, stop="paper"), 100_000_000, seed,
                )
                for seed in seeds
            ]
            for e in eps
        ]  # fmt: skip
        T = np.array([[run.episodes for run in row] for row in runs], dtype=float)
        traces = [run.trace for row in runs for run in row]
        name = f"{'M-' if covered else 'M+'}, {learner.__name__}"
        yield Curve(
            name, eps, T, x_label="eps", y_label="online episodes", paired=True, **credentials(*traces)
        )

    return curves


# The twin lock.


@dataclass(frozen=True, eq=False)
class TwinVisits(Evidence):
    """Visits of the code's last cell that the certificate needs while both twins are alive.

    Attributes
    ----------
    visits, needed
        N_H(c, 0) at the looks that passed a stage of accuracy at most 1/2, and (9/16) g_H^2 / e^2 - 1.
    ratio
        As for `EliminationRun`: the statement is about the good event.
    """

    visits: Float[np.ndarray, " L"]
    needed: Float[np.ndarray, " L"]
    ratio: float


class TwinLooks(Looks):
    """An audit that enters the visits of the code's last cell when a stage has passed."""

    def __init__(self, problem: IdentificationProblem, learner: FTPedel) -> None:
        super().__init__(problem, learner)
        self.rows: list[tuple[float, float]] = []
        M, H = len(self.values), problem.task.mdp.horizon
        self.twins, self.log = (
            {0, (H - 1) * (problem.task.mdp.n_actions - 1) + 1},
            2 * math.log(H * M / DELTA),
        )

    def __call__(self, problem: IdentificationProblem, state: Any, decision: Any) -> dict[str, float]:
        """Enter one look."""
        before = self.level
        super().__call__(problem, state, decision)
        e = problem.task.mdp.horizon * 2.0 ** -(self.level - 1)
        if self.level > before and e <= 0.5 and self.twins <= {int(m) for m in state.alive}:
            visits = state.transitions[-1].sum(axis=2)
            square = (self.log + np.log1p(visits).sum()) / 4
            self.rows.append((float(visits[0, 0]), 9 / 16 * float(square) / e**2 - 1))
        return {}


def twin_visits(scope: Scope) -> Iterator[TwinVisits]:
    """Yield runs with uniform actions, whose visits of the last cell are not planned."""
    for seed in scope.seeds(8, 30):
        problem = IdentificationProblem(twin_lock(2, 3, 0.8, 0))
        learner = FTPedel(eps=0.3, growth=0.1, collect="uniform", stop="paper")
        looks = TwinLooks(problem, learner)
        result = quietly(problem, learner, 5_000_000, seed, looks)
        visits, needed = np.array(looks.rows).reshape(-1, 2).T
        yield TwinVisits(f"seed {seed}", visits, needed, looks.ratio, **credentials(result.trace))


@dataclass(frozen=True, eq=False)
class UniformTwins(Evidence):
    """Episodes of uniform exploration with the twins offline, the lower bound, and the budget."""

    episodes: int
    needed: float
    budget: int


def uniform_twins(scope: Scope, collect: str = "uniform") -> Iterator[UniformTwins]:
    """Yield verifiable runs on the lock with v = .5, eps = .2, H = 3, A = 4."""
    v, eps, budget = 0.5, 0.2, 1_000_000
    needed = 4**3 * kl(DELTA, 1 - DELTA) / math.log(1 / (1 - v - 2 * eps))
    for seed in scope.seeds(40, 150):
        task = twin_lock(3, 4, v, 10_000, seed)
        result = quietly(task, FTPedel(eps=eps, growth=0.3, collect=collect), budget, seed)
        yield UniformTwins(f"seed {seed}", result.episodes, needed, budget, **credentials(result.trace))
