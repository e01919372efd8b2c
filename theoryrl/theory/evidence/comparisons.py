"""Evidence for the theorems of StepMix that is about more than one audited run.

Neighbouring policies and their mixture, traces that should be one, learners without an episode-wise
guarantee, learned baselines, and growth with the number of episodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

from theoryrl.instances import coupon, hazard, random_conservative
from theoryrl.learners import BPIUCBVI, EpsMix, StepMix, learn_baseline
from theoryrl.learners.stepmix import OPTIMISTIC
from theoryrl.models import ConservativeMDP, DeterministicPolicy, MixturePolicy, Policy
from theoryrl.protocol import EpisodicDecision, EpisodicProblem, Trace, play
from theoryrl.solvers import (
    mix_at_stage,
    nested_policy,
    occupancy_measure,
    policy_value,
    simulate_episodes,
)
from theoryrl.theory.core import Curve, Evidence, Scope, credentials
from theoryrl.theory.evidence import conservative
from theoryrl.theory.evidence.conservative import GROWTH, MIXERS, ConservativeRun, Make, boltzmann_instance


@dataclass(frozen=True, eq=False)
class NestedPair(Evidence):
    """Two neighbouring members of a family and their mixture at the stage where they differ."""

    values: tuple[float, float, float]
    occupancies: tuple[np.ndarray, np.ndarray, np.ndarray]
    weight: float


def nested_pairs(scope: Scope) -> Iterator[NestedPair]:
    """Yield random neighbours, with the baseline at the head or at the tail."""
    rng = np.random.default_rng([scope.seed, 5])
    for index in range(scope.pick(200, 2000)):
        model = boltzmann_instance(rng)
        mdp, H = model.mdp, model.mdp.horizon
        other = DeterministicPolicy(rng.integers(mdp.n_actions, size=(H, mdp.n_states)), mdp.n_actions)
        j, weight = int(rng.integers(1, H + 1)), float(rng.random())
        if index % 2:
            first, second = (nested_policy(other, model.baseline, H - i, H) for i in (j, j - 1))
            stage = H - j
        else:
            first, second = (nested_policy(model.baseline, other, i, H) for i in (j, j - 1))
            stage = j - 1
        mixed = mix_at_stage(first, second, stage, weight, H)
        trio = (mixed, first, second)
        values = tuple(policy_value(mdp, policy) for policy in trio)
        occupancies = tuple(occupancy_measure(mdp, policy) for policy in trio)
        yield NestedPair(f"pair {index}", values, occupancies, weight)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class TracePair(Evidence):
    """Two traces that should be one."""

    ours: Trace
    reference: Trace


def unconstrained_pairs(scope: Scope) -> Iterator[TracePair]:
    """Yield traces of a mixer with threshold 0 and of the unconstrained learner, same seed."""
    rng = np.random.default_rng([scope.seed, 6])
    for index in range(scope.pick(6, 40)):
        model = boltzmann_instance(rng)
        free = ConservativeMDP(model.mdp, model.baseline, 0.0)
        for make in (StepMix, EpsMix):
            yield trace_pair(free, make(refresh_growth=GROWTH), 500, index)


def trace_pair(model: ConservativeMDP, mixer: Any, rounds: int, seed: int) -> TracePair:
    """Play a mixer and the unconstrained learner, and keep the policy of every episode."""
    plain = BPIUCBVI(bounds="kl", refresh_growth=GROWTH)
    traces = [play(model, learner, rounds, seed, audit=policy_code) for learner in (mixer, plain)]
    return TracePair(f"{mixer.key}, seed {seed}", *traces, **credentials(*traces))


def policy_code(problem: EpisodicProblem, state: Any, decision: EpisodicDecision) -> dict[str, float]:
    """Return a checksum of the policy's probabilities: equal for equal policies."""
    policy = decision.policy
    parts = policy.policies if isinstance(policy, MixturePolicy) else (policy,)
    return {"policy": float(crc32(b"".join(part.stages(problem.mdp.horizon).tobytes() for part in parts)))}


def episodes(trace: Trace) -> np.ndarray:
    """Return value, policy and length of the stretch of every episode: shape [3, K]."""
    lengths = np.repeat(trace.lengths, trace.lengths)
    return np.stack([trace.values, trace.diagnostics["policy"], lengths])


def certified_runs(scope: Scope) -> Iterator[ConservativeRun]:
    """Yield one longer run per bound mode, at delta = 0.05, on `random 0` and on `hazard`."""
    models = {"random 0": random_conservative(seed=0), "hazard p=.5": hazard(p=0.5, kappa=0.1)}
    for name, model in models.items():
        for bounds in ("kl", "bernstein", "bpi-ucbvi"):
            learner = StepMix(bounds=bounds, refresh_growth=GROWTH)
            yield conservative.audited_run(
                model, learner, scope.pick(20_000, 1_000_000), scope.seeds(1, 1)[0], f"{name}, {bounds}"
            )


def tight_baseline_runs(scope: Scope) -> Iterator[ConservativeRun]:
    """Yield runs whose threshold is just below the value of a deterministic baseline."""
    for seed in scope.seeds(3, 20):
        for make in (StepMix, EpsMix):
            yield conservative.audited_run(hazard(p=0.5, kappa=0.01), make(), 50, seed, "hazard kappa=.01")


@dataclass(frozen=True, eq=False)
class Violations(Evidence):
    """How a learner without an episode-wise guarantee did on an instance."""

    violated: int
    cumulative_margin: float


def unconstrained_violations(scope: Scope) -> Iterator[Violations]:
    """Yield what plain optimism does on `hazard`."""
    yield from violations(scope.seeds(5, 20), lambda model: BPIUCBVI(bounds="kl", refresh_growth=GROWTH))


def budget_violations(scope: Scope) -> Iterator[Violations]:
    """Yield what the cumulative-budget learner does on `hazard`; 100 runs can show a rate below .05."""
    yield from violations(scope.seeds(100, 400), conservative.budget_learner)


def violations(seeds: range, make: Make) -> Iterator[Violations]:
    """Play 500 episodes on `hazard`, and count those below the threshold."""
    model = hazard(p=0.5, kappa=0.1)
    for seed in seeds:
        trace = play(model, make(model), 500, seed)
        below = trace.values < model.threshold - conservative.ROUNDING
        margin = np.cumsum(trace.values - model.threshold).min()
        yield Violations(f"hazard, seed {seed}", int(below.sum()), float(margin), **credentials(trace))


@dataclass(frozen=True, eq=False)
class Certificate(Evidence):
    """A baseline learned from one data set: what was certified, and what it is worth."""

    certified: float
    value: float


def certificates(scope: Scope, learn: Make = learn_baseline) -> Iterator[Certificate]:
    """Yield certificates at delta = 0.05 from data sets of `hazard` (80/20 behaviour) and `coupon`."""
    rng = np.random.default_rng([scope.seed, 7])
    for index in range(scope.pick(300, 1200)):
        for name, model in (("hazard", hazard(p=0.3, kappa=0.2)), ("coupon", coupon(n_states=60))):
            mdp = model.mdp
            behaviour = model.baseline.stages(mdp.horizon)
            if name == "hazard":
                behaviour = 0.8 * behaviour + 0.2 * behaviour[..., ::-1]
            data = simulate_episodes(mdp, Policy(behaviour), int(rng.choice([30, 100, 400])), rng)
            method = ("kl", "fold-hoeffding", "fold-bernstein")[index % 3]
            learned = learn(data, mdp.r, mdp.rho, 0.05, method)
            value, title = policy_value(mdp, learned.policy), f"{name}, {method}"
            yield Certificate(title, learned.certificate, value, group=title, delta=0.05)


def saturation_curves(scope: Scope) -> Iterator[Curve]:
    """Yield N and the regret on `random 0` over K: both stop growing once barpi is certified."""
    horizons = np.array([10_000, 30_000, 100_000, scope.pick(300_000, 1_000_000)])
    model = random_conservative(seed=0)
    for name, make in MIXERS.items():
        traces = [play(model, make(), int(horizons[-1]), seed) for seed in scope.seeds(5, 20)]
        made = credentials(*traces)
        regrets = np.array([trace.regret_at(horizons) for trace in traces]).T
        yield Curve(f"{name}, regret", horizons * 1.0, regrets, "episodes K", "regret", paired=True, **made)
        counts = np.array([_cautious_at(trace, horizons) for trace in traces]).T
        yield Curve(f"{name}, N", horizons * 1.0, counts, "episodes K", "cautious N", paired=True, **made)


def _cautious_at(trace: Trace, horizons: np.ndarray) -> np.ndarray:
    cautious = trace.diagnostics["kind"] != OPTIMISTIC
    return np.cumsum(cautious)[horizons - 1].astype(np.float64)
