"""Evidence on DR-RPO: tight plans, runs with the theory's constants, and what happens without coverage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.instances import random_robust_linear, repeated_mixture, unobserved_turn
from theoryrl.learners import DRRPO
from theoryrl.learners._dr_rpo_kernels import FACTOR
from theoryrl.models import RobustLinearMDP
from theoryrl.protocol import EpisodicDecision, OffDynamicsProblem
from theoryrl.theory.core import Curve, Evidence, Scope, Series, credentials
from theoryrl.theory.evidence.robust_linear import (
    NEGATIVE,
    PessimismAudit,
    Plan,
    PlanAudit,
    RegressionAudit,
    RobustRun,
    audited_run,
    bonuses,
    occupancy,
    tight_plan,
)

LEARNABLE = ("tv", "tv-penalty", "kl-penalty", "chi2-penalty")


def random_learning_model(
    rng: np.random.Generator, index: int, name: str, temperature: float
) -> RobustLinearMDP:
    """Draw a small model with a fail state: every kind of features, dense and sparse rewards."""
    features = ("dirichlet", "covered", "one-hot")[index % 3]
    return random_robust_linear(
        n_states=int(rng.integers(3, 6)),
        n_actions=int(rng.integers(2, 4)),
        dimension=0 if features == "one-hot" else int(rng.integers(3, 6)),
        horizon=int(rng.integers(2, 5)),
        features=features,
        uncertainty=name,
        radius=float(rng.random()) if name == "tv" else float(10 ** rng.uniform(-0.7, 0.5)),
        temperature=temperature,
        sparsity=0.5 * (index % 2),
        seed=int(rng.integers(2**31)),
    )


def tight_plans(
    scope: Scope, make: Callable[..., Any] = DRRPO, temperatures: tuple[float, ...] = (0.0, 0.05, 0.3)
) -> Iterator[Plan]:
    """Yield plans with the smallest bonus that the proof allows, for every set that can be learned."""
    rng = np.random.default_rng([scope.seed, 33])
    for index in range(scope.pick(60, 600)):
        for name in LEARNABLE:
            eta = temperatures[int(rng.integers(len(temperatures)))]
            model = random_learning_model(rng, index, name, eta)
            ridge, moments = float(10 ** rng.uniform(-1, 0.5)), name == "chi2-penalty" and index % 2 == 1
            learner = make(ridge=ridge, two_regressions=moments)
            yield tight_plan(rng, learner, model, f"{name}, {index}")


class Pessimistic(DRRPO):
    """Subtracts its bonus, as the offline learners do."""

    sign = -1.0


def pessimistic_plans(scope: Scope, make: Callable[..., Any] = Pessimistic) -> Iterator[Plan]:
    """Yield plans with the smallest bonus that the proof allows, subtracted."""
    rng = np.random.default_rng([scope.seed, 39])
    for index in range(scope.pick(40, 400)):
        for name in LEARNABLE:
            model = random_learning_model(rng, index, name, (0.0, 0.2)[int(rng.integers(2))])
            learner = make(
                ridge=float(10 ** rng.uniform(-1, 0.5)),
                two_regressions=bool(name == "chi2-penalty" and index % 2),
            )
            yield tight_plan(rng, learner, model, f"{name}, {index}", PessimismAudit())


def greedy_tv_plans(scope: Scope) -> Iterator[Plan]:
    """Yield the plans for total variation only, half of them without regularisation."""
    for plan in tight_plans(scope, temperatures=(0.0, 0.0, 0.05, 0.3)):
        if plan.model.uncertainty.name == "tv":
            yield plan


def theory_runs(scope: Scope) -> Iterator[RobustRun]:
    """Yield runs at delta = 0.05 for total variation; no two share a seed.

    96 runs without a failure show a rate below 0.05 with confidence 0.99.
    """
    seed = scope.seeds(1, 1)[0]
    for index in range(scope.pick(96, 480)):
        model = random_learning_model(np.random.default_rng([scope.seed, 34, index]), index, "tv", 0.1)
        learner = DRRPO(ridge=(0.1, 1.0)[index % 2], data_dependent=index % 4 > 1)
        yield audited_run(model, learner, 25, seed + index, f"{index}", audit=RegressionAudit())


def penalty_runs(scope: Scope) -> Iterator[RobustRun]:
    """Yield runs at delta = 0.5 for each estimate: 24 a group can show a rate below 0.5, or one above."""
    seed = scope.seeds(1, 1)[0] + 1000
    for name, moments in [*((name, False) for name in LEARNABLE[1:]), ("chi2-penalty", True)]:
        for index in range(scope.pick(24, 96)):
            model = random_learning_model(np.random.default_rng([scope.seed, 35, index]), index, name, 0.1)
            learner = DRRPO(delta=0.5, two_regressions=moments)
            group = name + ", two regressions" * moments
            yield audited_run(model, learner, 25, seed, f"{group}, {index}", group, RegressionAudit())
            seed += 1


def gap_runs(scope: Scope) -> Iterator[RobustRun]:
    """Yield fully audited runs with the theory's constants."""
    seed = scope.seeds(1, 1)[0] + 2000
    for index in range(scope.pick(24, 60)):
        model = random_learning_model(np.random.default_rng([scope.seed, 36, index]), index, "tv", 0.2)
        yield audited_run(model, DRRPO(), scope.pick(15, 200), seed + index, f"{index}")


def covered(model: RobustLinearMDP, P: np.ndarray, pi: np.ndarray) -> float:
    """Return the least eigenvalue of E[phi phi^T] on the coordinates that the set reaches, over stages.

    Total variation reaches every state from the second stage on. The last stage, which has no bonus, is
    left out.
    """
    phi, visits, alpha = model.nominal.phi, occupancy(P, pi, model.nominal.rho), np.inf
    for h in range(model.horizon - 1):
        reached = np.arange(model.n_states) if h else np.flatnonzero(model.nominal.rho)
        reached = reached[reached != model.fail_state]
        J = np.flatnonzero((phi[reached] > 0).any(axis=(0, 1)))
        moments = np.einsum("sa,sai,saj->ij", visits[h], phi[..., J], phi[..., J])
        alpha = min(alpha, float(np.linalg.eigvalsh(moments)[0]))
    return alpha


def reference_coverage(run: RobustRun) -> float:
    """Return alpha of the reference policy."""
    model = run.problem.model
    return covered(model, model.nominal.to_episodic().P, model.reference_policy)


class CoverageAudit:
    """How well each played policy covers the features that the set reaches."""

    def __init__(self) -> None:
        self._last: tuple[Any, dict[str, float]] = (None, {})
        self._P: np.ndarray | None = None

    def __call__(self, problem: OffDynamicsProblem, state: Any, decision: Any) -> dict[str, float]:
        """Return alpha of the policy, and the sum of the bonus factors."""
        if self._last[0] is decision.policy:
            return self._last[1]
        if self._P is None:
            self._P = problem.model.nominal.to_episodic().P
        alpha = covered(problem.model, self._P, decision.policy.probabilities)
        self._last = decision.policy, {"alpha": alpha, "beta_sum": float(state.beta.sum())}
        return self._last[1]


COVERED_ETA = 1.0
COVERED_DELTA = 0.3
"""At this level 13 runs suffice for either verdict: 0.7^13 < 0.01, 0.3^12 < 1e-6."""


STALE = math.sqrt(2.0)
"""By how much a plan's bonuses may exceed the data's: it is renewed when a determinant has doubled."""


def covered_learner() -> DRRPO:
    """Return DR-RPO with the theory's constants, planning seldom."""
    return DRRPO(delta=COVERED_DELTA / 2, data_dependent=True, switching="doubling")


@lru_cache(maxsize=1)
def covered_runs(scope: Scope, make: Callable[[], Any] = covered_learner) -> tuple[RobustRun, ...]:
    """Return long runs on a small model whose features are covered; several theorems look at them."""
    model = random_robust_linear(3, 2, 3, 2, "covered", temperature=COVERED_ETA, seed=0)
    K, seeds = scope.pick(2**12, 2**15), scope.seeds(13, 20)
    return tuple(audited_run(model, make(), K, seed, "covered", audit=CoverageAudit()) for seed in seeds)


def slow_bound(run: RobustRun) -> Float[np.ndarray, " K"]:
    """G n0 + (8 / sqrt alpha) (sum_h beta_h) sqrt k, for each k > n0 (else G k)."""
    k, alpha, beta, n0, G = _coverage(run)
    bound = G * n0 + STALE * 4 * math.sqrt(2 / alpha) * beta * np.sqrt(k)
    return np.where(k > n0, bound, G * k)


def fast_bound(run: RobustRun) -> Float[np.ndarray, " K"]:
    """G n0 + (2 H (sum_h beta_h)^2 / (eta alpha)) log(k / n0), for each k > n0 (else G k)."""
    k, alpha, beta, n0, G = _coverage(run)
    model = run.problem.model
    growth = STALE**2 * model.horizon * beta**2 / (model.temperature * alpha)
    return np.where(k > n0, G * n0 + growth * np.log(np.maximum(k / n0, 1.0)), G * k)


def _coverage(run: RobustRun) -> tuple[np.ndarray, float, float, int, float]:
    """Return (k, alpha, sum of beta, n0, G)."""
    model, K = run.problem.model, run.trace.rounds
    H, d = model.horizon, model.nominal.dimension
    alpha, beta = float(run.column("alpha").min()), float(run.column("beta_sum").max())
    assert run.delta is not None
    n0 = math.ceil(8 / alpha * math.log(d * H * K / run.delta))
    return np.arange(1.0, K + 1), alpha, beta, n0, H * (H + 3) / 2


def covered_curves(scope: Scope, make: Callable[[], Any] = covered_learner) -> Iterator[Curve]:
    """Yield the mean gap of blocks of episodes [2^j, 2^(j+1)), one column per run."""
    runs = covered_runs(scope, make)
    exponents = range(8, scope.pick(12, 15))
    gaps = np.array([run.trace.benchmark - run.trace.values for run in runs])
    samples = np.array([gaps[:, 2**j - 1 : 2 ** (j + 1) - 1].mean(axis=1) for j in exponents])
    centres = np.array([1.5 * 2.0**j for j in exponents])
    labels = ("episode", "mean gap of a block")
    yield Curve(
        "covered", centres, samples, *labels, paired=True, **credentials(*(run.trace for run in runs))
    )


def allowed_plans(run: RobustRun) -> float:
    """Return 1 + H d log2(1 + K / d), for lambda = 1."""
    model, K = run.problem.model, run.trace.rounds
    return 1 + model.horizon * model.nominal.dimension * math.log2(1 + K / model.nominal.dimension)


class BonusAudit:
    """The bonuses that the played policy meets in the nominal model, and the plan's bonus factors."""

    def __init__(self) -> None:
        self._P: np.ndarray | None = None

    def __call__(self, problem: OffDynamicsProblem, state: Any, decision: Any) -> dict[str, float]:
        """Return the expected sum of 2 Gamma, and 2 sum_h beta_h."""
        model = problem.model
        if self._P is None:
            self._P = model.nominal.to_episodic().P
        visits = occupancy(self._P, decision.policy.probabilities, model.nominal.rho)
        Gamma = bonuses(model, state, FACTOR)
        return {"nominal_bonuses": float((visits * 2 * Gamma).sum()), "beta_sum": float(2 * state.beta.sum())}


def table_runs(scope: Scope, make: Callable[..., Any] = DRRPO) -> Iterator[RobustRun]:
    """Yield runs without regularisation on tables, whose features are unit vectors."""
    for seed in scope.seeds(13, 20):
        model = random_robust_linear(3, 2, 0, 3, "one-hot", temperature=0.0, seed=seed)
        learner = make(delta=COVERED_DELTA / 2)
        yield audited_run(model, learner, scope.pick(400, 4000), seed, "table", audit=BonusAudit())


def table_bound(run: RobustRun) -> float:
    """Return sum_h 2 beta_h (n / sqrt lambda + 2 sqrt(n K) + sqrt(2 K log(H / delta) / lambda)), lambda = 1.

    n is the number of pairs (s, a) outside the fail state.
    """
    model, K = run.problem.model, run.trace.rounds
    assert run.delta is not None
    n = (model.n_states - 1) * model.n_actions
    visits = n + 2 * math.sqrt(n * K) + math.sqrt(2 * K * math.log(model.horizon / run.delta))
    return float(run.column("beta_sum").max()) * visits


@dataclass(frozen=True, eq=False)
class LongData(Evidence):
    """The plan after very many episodes: its gap, and the bound's sum under the nominal kernel."""

    episodes: int
    gap: float
    nominal_bonuses: float


def unobserved_turns(scope: Scope, make: Callable[[], Any] = DRRPO) -> Iterator[LongData]:
    """Yield plans on `unobserved_turn`, where every policy makes the same data.

    Nature is deterministic there and all features that an episode visits are the same, so n episodes of
    any policies are one episode that counts n times.
    """
    model = unobserved_turn()
    problem = OffDynamicsProblem(model, "unobserved turn")
    for n in (10**6, 10**7, 10**8):
        learner = make()
        state = learner.init(problem.spec(n), np.random.default_rng(scope.seed))
        states, actions = np.array([[0, 1, 1, 1]]), np.zeros((1, 3), dtype=np.int64)
        state.regression.record(state.spec.phi, states, actions, np.full((1, 3), float(n)))
        row = PlanAudit()(problem, state, EpisodicDecision(learner.plan(state).policy))
        sides = (row["gap"], row["nominal_bonuses"])
        yield LongData(f"n = {n}", n, *sides, guaranteed=learner.guaranteed, delta=learner.delta)


def repeated_mixtures(scope: Scope, make: Callable[[], Any] | None = None) -> Iterator[RobustRun]:
    """Yield runs without regularisation on `repeated_mixture`."""
    learner = DRRPO() if make is None else make()
    for seed in scope.seeds(2, 5):
        yield audited_run(repeated_mixture(), learner, 400, seed, "repeated mixture", audit=RegressionAudit())


def number(plan: Plan, name: str) -> float:
    """Return one number of a plan's audit."""
    return plan.numbers[name]


def nonnegative(plan: Plan) -> bool:
    """Whether the premise V^pi >= 0 of the domination holds at every stage and state."""
    return plan.model.temperature == 0 or plan.numbers["lowest_value"] >= NEGATIVE


def regret_series(run: RobustRun) -> Series:
    """Return regret and the smaller of its two bounds, at logarithmic points."""
    points = np.unique(np.geomspace(1, run.trace.rounds, 60).astype(np.int64))
    regret = run.trace.regret_at(points)
    bound = np.minimum(slow_bound(run), fast_bound(run))[points - 1]
    return Series(
        "dr-rpo.coverage-fast", "episode", "regret and its bounds", points * 1.0, regret, bound, log=True
    )
