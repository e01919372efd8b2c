"""Evidence on conservative exploration: audited runs of StepMix, EpsMix and their relatives.

An audited run carries, for each stretch of episodes, what the proof of Theorem 1 rests on: whether
the bounds were true, the interpolated bounds recomputed from the learner's state, and the exact
value of the executed policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.instances import coin, fork, hard, hazard
from theoryrl.learners import Budget, EpsMix, StepMix
from theoryrl.learners.stepmix import OPTIMISTIC
from theoryrl.models import ConservativeMDP, EpisodicMDP, Policy
from theoryrl.protocol import EpisodicProblem, Trace, play
from theoryrl.solvers import backward_induction, policy_value
from theoryrl.solvers.episodic import _kernels
from theoryrl.theory.core import Curve, Evidence, Scope, credentials

ROUNDING = 1e-9
"""Rounding of a comparison between two recursions of at most ten stages in float64."""

GROWTH = 0.25
"""g of the lazy refresh in all evidence: the theorems hold for any, and time goes with 1 / log(1 + g)."""

Make = Callable[..., Any]


def comparator_values(
    mdp: EpisodicMDP, pi_b: Float[np.ndarray, "H S A"], orientation: str
) -> Float[np.ndarray, "J K S"]:
    """Return W[j, h, s]: the best value with pi^b at the j stages of member j (stage H is zero)."""
    H, S, _ = mdp.r.shape
    W = np.zeros((H + 1, H + 1, S))
    for j in range(H + 1):
        for h in range(H - 1, -1, -1):
            Q = mdp.r[h] + mdp.P[h] @ W[j, h + 1]
            acts = h < j if orientation == "baseline-first" else h >= H - j
            W[j, h] = (pi_b[h] * Q).sum(axis=1) if acts else Q.max(axis=1)
    return W


def member_values(
    mdp: EpisodicMDP,
    pi_b: Float[np.ndarray, "H S A"],
    greedy: Float[np.ndarray, "H S A"],
    orientation: str,
) -> Float[np.ndarray, "J K S"]:
    """Return V[j, h, s], the value of member j of the family (stage H is zero)."""
    H, S, _ = mdp.r.shape
    V = np.zeros((H + 1, H + 1, S))
    for j in range(H + 1):
        acts = np.arange(H) < j if orientation == "baseline-first" else np.arange(H) >= H - j
        _kernels.state_values(mdp.P, mdp.r, np.where(acts[:, None, None], pi_b, greedy), V[j])
    return V


class FamilyAudit:
    """Compares the bounds of a conservative learner with the true model, at every refresh.

    Parameters
    ----------
    orientation
        As the learner's.
    relative_loss, baseline_value_bound
        As the learner's, where the problem states no threshold.
    """

    def __init__(
        self,
        orientation: str = "baseline-first",
        relative_loss: float | None = None,
        baseline_value_bound: float | None = None,
    ) -> None:
        self._orientation = orientation
        self._relative_loss = relative_loss
        self._bound = baseline_value_bound
        self._comparators: np.ndarray | None = None

    def __call__(self, problem: EpisodicProblem, state: Any, decision: Any) -> Mapping[str, float]:
        """Return the margins of the claims and the interpolated bounds of the choice.

        Raises
        ------
        ValueError
            If the baseline's true value does not exceed the fixed threshold (no margin), or exceeds what
            was stated as its upper bound.
        """
        family, choice, chosen = state.family, state.choice, state.members
        if self._comparators is None:
            self._comparators = comparator_values(problem.mdp, family.pi_b, self._orientation)
        greedy = (family.greedy[..., None] == np.arange(family.n.shape[2])).astype(np.float64)
        values = member_values(problem.mdp, family.pi_b, greedy, self._orientation)
        upper, lower = state.start_bounds()
        baseline_value = float(values[-1, 0] @ problem.mdp.rho)
        w, conservative, bold = choice.weight, choice.switch, choice.bold
        return {
            "upper_claim": float((family.U - self._comparators)[chosen].min()),
            "lower_claim": float((values - family.L)[chosen].min()),
            "true_upper": float(w * upper[conservative] + (1 - w) * upper[bold]),
            "true_lower": float(w * lower[conservative] + (1 - w) * lower[bold]),
            "bold_lower": float(lower[bold]),
            "optimistic_lower": float(lower[0]),
            "best_lower": float(lower[chosen].max()),
            "baseline_value": baseline_value,
            "aim": self._aim(problem, float(upper[-1]), baseline_value),
        }

    def _aim(self, problem: EpisodicProblem, baseline_upper: float, baseline_value: float) -> float:
        """Return the threshold that the learner has to certify, worked out anew; refuse a false one."""
        if problem.threshold is not None:
            aim = problem.threshold
        elif self._relative_loss is None:
            raise ValueError("relative_loss must be given to the audit: the problem states no threshold")
        elif self._bound is None:
            return (1 - self._relative_loss) * baseline_upper
        else:
            aim = (1 - self._relative_loss) * self._bound
            if self._bound < baseline_value - ROUNDING:
                raise ValueError(
                    f"baseline_value_bound must be at least the baseline's value {baseline_value:.6g}; "
                    f"got {self._bound!r}"
                )
        if aim >= baseline_value:
            raise ValueError(
                f"the threshold must be below the baseline's value {baseline_value:.6g} "
                f"(the margin must be positive); got {aim!r}"
            )
        return aim


@dataclass(frozen=True, eq=False)
class ConservativeRun(Evidence):
    """An audited run: the problem, the learner's options, and the trace."""

    problem: EpisodicProblem
    trace: Trace
    refresh_growth: float = 0.0
    relative_loss: float | None = None

    @property
    def threshold(self) -> float:
        """gamma: the problem's, or (1 - alpha) V^{pi^b} in the relative form."""
        if self.problem.threshold is not None:
            return self.problem.threshold
        assert self.relative_loss is not None
        return (1 - self.relative_loss) * self.baseline_value

    @cached_property
    def baseline_value(self) -> float:
        """V^{pi^b}, of the given baseline or of the learned one."""
        if self.problem.baseline is None:
            return float(self.column("baseline_value")[0])
        return policy_value(self.problem.mdp, self.problem.baseline)

    @property
    def margin(self) -> float:
        """kappa = V^{pi^b} - gamma."""
        return self.baseline_value - self.threshold

    @property
    def improvement(self) -> float:
        """Delta_0 = V* - V^{pi^b}."""
        return self.problem.benchmark - self.baseline_value

    def column(self, name: str) -> Float[np.ndarray, " E"]:
        """Return one diagnostic per stretch."""
        return self.trace.stretch_diagnostics[name]

    @property
    def loss(self) -> Float[np.ndarray, " E"]:
        """V* - V^{pi_k} per stretch."""
        return self.problem.benchmark - self.trace.stretch_values

    @property
    def cautious(self) -> np.ndarray:
        """Whether the stretch did not play the optimistic policy."""
        return self.column("kind") != OPTIMISTIC

    @property
    def width(self) -> Float[np.ndarray, " E"]:
        """D_k, recomputed from the learner's bounds."""
        return self.column("true_upper") - self.column("true_lower")

    @property
    def certificate(self) -> Float[np.ndarray, " E"]:
        """D_k + Delta_0 1{k not optimistic}."""
        return self.width + self.improvement * self.cautious

    @property
    def true_claims(self) -> bool:
        """Whether every bound was true at every refresh."""
        claims = np.concatenate([self.column("upper_claim"), self.column("lower_claim")])
        return bool(claims.min() >= -ROUNDING)

    def cumulative(self, stretch_values: np.ndarray, points: np.ndarray) -> Float[np.ndarray, " N"]:
        """Return the sums over episodes of a per-stretch quantity, after the given episodes."""
        ends = np.concatenate([[0], np.cumsum(self.trace.lengths)])
        sums = np.concatenate([[0.0], np.cumsum(stretch_values * self.trace.lengths)])
        return np.interp(points, ends, sums)


def boltzmann_instance(rng: np.random.Generator) -> ConservativeMDP:
    """Draw a small random MDP with a Boltzmann baseline and a threshold below its value.

    S <= 6, A <= 5, H <= 6; Dirichlet(1) or Dirichlet(0.3) rows; inverse temperature in [1, 10];
    gamma = V^b - f (V^b - V^unif) with f in [0.05, 0.8].
    """
    H, S, A = (int(rng.integers(low, high + 1)) for low, high in ((1, 6), (2, 6), (2, 5)))
    P = rng.dirichlet(np.full(S, rng.choice([1.0, 0.3])), size=(H, S, A))
    mdp = EpisodicMDP(P, rng.random((H, S, A)), np.eye(S)[0])
    Q = backward_induction(mdp).action_values
    tilt = np.exp(rng.uniform(1, 10) * (Q - Q.max(axis=2, keepdims=True)))
    baseline = Policy(tilt / tilt.sum(axis=2, keepdims=True))
    value = policy_value(mdp, baseline)
    spread = value - policy_value(mdp, Policy.uniform(S, A))
    return ConservativeMDP(mdp, baseline, max(0.0, value - rng.uniform(0.05, 0.8) * max(spread, 0.01)))


def audited_run(
    model: ConservativeMDP | EpisodicProblem, learner: Any, rounds: int, seed: int, name: str, group: str = ""
) -> ConservativeRun:
    """Play a conservative learner with the audit; in the relative form on a problem without a threshold."""
    problem = model if isinstance(model, EpisodicProblem) else EpisodicProblem.from_conservative(model, name)
    audit = FamilyAudit(learner.orientation, learner.relative_loss, learner.baseline_value_bound)
    trace = play(problem, learner, rounds, seed, audit=audit)
    return ConservativeRun(
        f"{name}, {learner.key}, seed {seed}",
        problem,
        trace,
        learner.refresh_growth,
        learner.relative_loss,
        group=group,
        **credentials(trace),
    )


VARIANTS: tuple[tuple[Make, Mapping[str, str]], ...] = (
    (StepMix, {}),
    (EpsMix, {}),
    (StepMix, {"bounds": "bernstein"}),
    (EpsMix, {"bounds": "bpi-ucbvi"}),
    (StepMix, {"orientation": "optimistic-first"}),
    (StepMix, {"bounds": "bpi-ucbvi"}),
    (EpsMix, {"bounds": "bernstein"}),
    (StepMix, {"switch_rule": "best-ucb"}),
    (StepMix, {"orientation": "optimistic-first", "bounds": "bernstein"}),
    (StepMix, {"bounds": "kl+bernstein"}),
)
"""Algorithm, bound mode, orientation and switch rule, in turn."""


def small_runs(scope: Scope) -> Iterator[ConservativeRun]:
    """Yield short runs on random instances at delta = 0.5, one per instance, all variants in turn."""
    rng = np.random.default_rng([scope.seed, 1])
    for index in range(scope.pick(200, 1000)):
        make, options = VARIANTS[index % len(VARIANTS)]
        learner = make(delta=0.5, refresh_growth=GROWTH, **options)
        group = " ".join([learner.key, *options.values()])
        yield audited_run(boltzmann_instance(rng), learner, 600, index, f"random {index}", group)


def relative_runs(scope: Scope) -> Iterator[ConservativeRun]:
    """Yield runs in the relative form, with a known upper bound of V^b or without one.

    Small random instances at delta = 0.5, and instances on which an unsafe decision shows at
    delta = 0.05. The upper bound lies between V^b and V^b / (1 - alpha), as it must.
    """
    rng = np.random.default_rng([scope.seed, 9])
    models = [boltzmann_instance(rng) for _ in range(scope.pick(18, 200))]
    for index, model in enumerate(models):
        yield _relative_run(model, 0.5, float(rng.uniform(0.02, 0.5)), index, 600, f"random {index}")
    for seed in scope.seeds(4, 20):
        for name, model in named_models().items():
            alpha = 1 - model.threshold / policy_value(model.mdp, model.baseline)
            yield _relative_run(model, 0.05, alpha, seed, 2000, name)


def _relative_run(
    model: ConservativeMDP, delta: float, alpha: float, seed: int, rounds: int, name: str
) -> ConservativeRun:
    make, orientation = ((StepMix, "baseline-first"), (EpsMix, "baseline-first"),
                         (StepMix, "optimistic-first"))[seed // 2 % 3]  # fmt: skip
    value = policy_value(model.mdp, model.baseline)
    bound = None if seed % 2 == 0 else value * (1 + alpha / 2)
    learner = make(
        delta=delta,
        refresh_growth=GROWTH,
        orientation=orientation,
        relative_loss=alpha,
        baseline_value_bound=bound,
    )
    return audited_run(EpisodicProblem(model.mdp, name, model.baseline), learner, rounds, seed, name)


def named_models() -> dict[str, ConservativeMDP]:
    """Return the instances on which an unsafe decision shows."""
    return {"hazard p=.5": hazard(p=0.5, kappa=0.1), "hazard p=.3": hazard(p=0.3, kappa=0.1),
            "fork": fork(kappa=0.1), "coin": coin(kappa=0.1)}  # fmt: skip


ALGORITHMS: tuple[tuple[Make, Mapping[str, str]], ...] = (
    (StepMix, {}),
    (EpsMix, {}),
    (StepMix, {"orientation": "optimistic-first"}),
    (StepMix, {"switch_rule": "best-ucb"}),
)
"""What can be done with any bounds."""

LONG_ENOUGH: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "kl": (2000, ("hazard p=.5", "hazard p=.3", "fork", "coin")),
    "kl+bernstein": (2000, ("fork", "coin")),
    "bernstein": (20_000, ("fork", "coin")),
    "bpi-ucbvi": (200_000, ("coin",)),
}
"""For each bound mode, how many episodes it takes to leave the baseline, and on which instances it does.

A run that only plays the baseline is safe whatever the bounds are, so it would be no evidence.
"""


def named_runs(scope: Scope) -> Iterator[ConservativeRun]:
    """Yield runs at delta = 0.05 on the named instances, no two of which share a seed.

    One group for each bound mode, since the bounds are what can fail; 96 runs without a failure show
    a rate below 0.05 with confidence 0.99.
    """
    models, seed = named_models(), scope.seeds(1, 1)[0]
    for bounds, (rounds, names) in LONG_ENOUGH.items():
        for index in range(scope.pick(96, 480)):
            make, options = ALGORITHMS[index % len(ALGORITHMS)]
            name = names[index // len(ALGORITHMS) % len(names)]
            learner = make(delta=0.05, refresh_growth=GROWTH, bounds=bounds, **options)
            yield audited_run(models[name], learner, rounds, seed, f"{name}, {bounds}", bounds)
            seed += 1


def rate_curves(
    x: np.ndarray,
    models: list[ConservativeMDP],
    rounds: list[int],
    quantity: Callable[[Trace], float],
    learners: Mapping[str, Make],
    seeds: range,
    labels: tuple[str, str],
) -> Iterator[Curve]:
    """Yield, per learner, the samples of a quantity over problem sizes x.

    Every size is played with the same seeds, so the samples of one seed depend on each other (the
    correlation of N between neighbouring sizes of `coin` is about 0.6): they are paired.
    """
    for name, make in learners.items():
        traces = [
            [play(model, make(), K, seed) for seed in seeds] for model, K in zip(models, rounds, strict=True)
        ]
        samples = np.array([[quantity(trace) for trace in row] for row in traces])
        yield Curve(name, x, samples, *labels, paired=True, **credentials(*chain(*traces)))


def cautious_episodes(trace: Trace) -> float:
    """N, the number of episodes that did not play the optimistic policy."""
    return float(trace.count(trace.stretch_diagnostics["kind"] != OPTIMISTIC))


MIXERS: Mapping[str, Make] = {
    "StepMix": lambda: StepMix(refresh_growth=GROWTH),
    "EpsMix": lambda: EpsMix(refresh_growth=GROWTH),
}


def coin_curves(scope: Scope, learners: Mapping[str, Make] = MIXERS) -> Iterator[Curve]:
    """Yield N over 1/kappa on `coin`, with enough episodes for N to saturate at the smallest kappa.

    The number of episodes must not depend on kappa: with 1/kappa^2 episodes a learner that never
    leaves the baseline would have slope 2 as well. 14 seeds make the standard error of the slope about
    0.04, a fifth of the distance from 2 to the end of the admissible interval.
    """
    kappas = 0.2 / 2.0 ** np.arange(5)
    models = [coin(kappa=float(kappa)) for kappa in kappas]
    rounds = [200_000] * len(kappas)
    labels = ("1 / kappa", "non-optimistic episodes N")
    yield from rate_curves(
        1 / kappas, models, rounds, cautious_episodes, learners, scope.seeds(14, 40), labels
    )


def hard_curves(scope: Scope, learners: Mapping[str, Make] = MIXERS) -> Iterator[Curve]:
    """Yield the final regret over K on the family `hard`, whose gap shrinks with K."""
    horizons = 2 ** np.arange(10, scope.pick(18, 19))
    models = [hard(rounds=int(K)) for K in horizons]
    yield from rate_curves(
        horizons.astype(np.float64),
        models,
        [int(K) for K in horizons],
        lambda trace: trace.final_regret,
        learners,
        scope.seeds(8, 20),
        ("episodes K", "regret"),
    )


FIXED_GAPS = (0.1, 0.4)


def minimax_curves(scope: Scope, learners: Mapping[str, Make] = MIXERS) -> Iterator[Curve]:
    """Yield, over K, the regret at the worst of several gaps: the quantity that sqrt(K) is about.

    With the shrinking gap of `hard` alone the regret of *any* policy is at most 2 sqrt(K), so that
    family can only show a lower bound. A run at a fixed gap serves every K, because these learners do
    not use the horizon. 32 seeds make the interval of the slope about 0.07 wide to either side (the
    regret at one gap varies by half its mean), which the admissible interval needs.
    """
    horizons = 4 ** np.arange(5, scope.pick(9, 10))
    seeds = scope.seeds(32, 60)
    for name, make in learners.items():
        long = [[play(hard(gap=gap), make(), int(horizons[-1]), s) for s in seeds] for gap in FIXED_GAPS]
        fixed = [np.array([trace.regret_at(horizons) for trace in traces]) for traces in long]
        samples, runs = [], list(chain(*long))
        for index, K in enumerate(horizons):
            short = [play(hard(rounds=int(K)), make(), int(K), seed) for seed in seeds]
            shrinking = np.array([trace.final_regret for trace in short])
            samples.append(max([shrinking, *(regrets[:, index] for regrets in fixed)], key=np.mean))
            runs += short
        labels = ("episodes K", "regret at the worst gap")
        yield Curve(name, horizons * 1.0, np.array(samples), *labels, paired=True, **credentials(*runs))


def budget_learner(model: ConservativeMDP) -> Budget:
    """Return the cumulative-budget learner that knows the baseline's value."""
    return Budget(refresh_growth=GROWTH, baseline_value=policy_value(model.mdp, model.baseline))
