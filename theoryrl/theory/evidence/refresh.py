"""Evidence on what a learner's bounds are made of: its current counts, and each share of delta once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from theoryrl.instances import hazard
from theoryrl.learners import StepMix, learn_baseline
from theoryrl.learners._family import MODES, BoundOptions, FamilyState
from theoryrl.learners._kernels import action_bounds, radii
from theoryrl.models import Policy
from theoryrl.protocol import EpisodicProblem, play
from theoryrl.solvers import simulate_episodes
from theoryrl.theory.core import Evidence, Scope, credentials
from theoryrl.theory.evidence.conservative import VARIANTS, Make, boltzmann_instance


def recomputed_lower(
    family: FamilyState, options: BoundOptions, members: Bool[np.ndarray, " J"]
) -> Float[np.ndarray, "J K S"]:
    """Return L[j] for j < H from the current counts, U and barpi, stage by stage in plain loops.

    Only L[H] may remember earlier counts (its running maximum); where member j ends with the baseline
    (optimistic-first), L[j] is L[H] by definition.
    """
    H, S, A = family.r.shape
    main, transport = radii(options.codes, options.delta, family.n_next, family.support)
    phat = family.n_next / np.maximum(family.n, 1)[..., None]
    barpi = np.eye(A)[family.greedy]
    first = options.orientation == "baseline-first"
    L, scratch = family.L.copy(), np.empty(S)
    for j in np.flatnonzero(members[:-1]):
        for h in range((H if first else H - j) - 1, -1, -1):
            policy = family.pi_b[h] if first and h < j else barpi[h]
            L[j, h] = 0.0
            for s, a in zip(*np.nonzero(policy), strict=True):
                cell = h, s, a
                _, low = action_bounds(
                    options.codes, options.bonus_scale, options.n_min, H, h, family.n[cell], family.r[cell],
                    phat[cell], main[:, h, s, a], transport[:, h, s, a], family.support[cell],
                    family.U[j, h + 1], L[j, h + 1], False, scratch,
                )  # fmt: skip
                L[j, h, s] += policy[s, a] * low
    return L


@dataclass(frozen=True, eq=False)
class Refresh(Evidence):
    """The lower bounds after every refresh of a run, kept and recomputed: shape [E], largest difference."""

    difference: Float[np.ndarray, " E"]


def refreshes(scope: Scope) -> Iterator[Refresh]:
    """Yield short runs of every variant on random instances."""
    rng = np.random.default_rng([scope.seed, 12])
    for index in range(scope.pick(10, 200)):
        make, variant = VARIANTS[index % len(VARIANTS)]
        learner = make(delta=0.5, refresh_growth=0.5, n_min=1 + index % 3 // 2, **variant)

        def audit(problem: Any, state: Any, decision: Any, learner: Any = learner) -> Mapping[str, float]:
            again = recomputed_lower(state.family, learner._options, state.members)
            return {"difference": float(np.abs(state.family.L - again).max())}

        model = boltzmann_instance(rng)
        problem = EpisodicProblem.from_conservative(model, f"random {index}")
        trace = play(problem, learner, 300, index, audit=audit)
        difference = trace.stretch_diagnostics["difference"]
        yield Refresh(f"random {index}, {learner.key}", difference, **credentials(trace))


@dataclass(frozen=True, eq=False)
class Split(Evidence):
    """What a learner derives from delta, and what is owed to it: the same from each share by itself."""

    used: np.ndarray
    owed: np.ndarray


def mode_splits(scope: Scope) -> Iterator[Split]:
    """Yield the radii of several modes at delta, and of each mode at its share of delta."""
    rng = np.random.default_rng([scope.seed, 13])
    groups = [group for size in (2, 3) for group in combinations(MODES, size)]
    for index in range(scope.pick(20, 200)):
        H, S, A = rng.integers(1, 6, size=3)
        n_next = rng.multinomial(rng.integers(0, 300, size=(H, S, A)), np.full(S, 1 / S))
        support, delta = np.ones(n_next.shape, dtype=np.bool_), float(rng.uniform(0.01, 0.9))
        modes = groups[index % len(groups)]
        codes = BoundOptions("+".join(modes)).codes
        used = np.array(radii(codes, delta, n_next, support))
        each = [radii(BoundOptions(mode).codes, delta / len(modes), n_next, support) for mode in modes]
        owed = np.array([np.concatenate(parts) for parts in zip(*each, strict=True)])
        yield Split(" + ".join(modes), used, owed)


def phase_splits(scope: Scope, make: Make = StepMix) -> Iterator[Split]:
    """Yield the certificate and the bounds of a learner with offline data, and those at delta / 2 each.

    The bounds are taken after episodes have been counted: without data they do not show delta.
    """
    rng = np.random.default_rng([scope.seed, 14])
    model = hazard(p=0.3, kappa=0.2)
    mdp, H = model.mdp, model.mdp.horizon
    stages = model.baseline.stages(H)
    behaviour = Policy(0.8 * stages + 0.2 * stages[..., ::-1])
    for index in range(scope.pick(9, 60)):
        method = ("kl", "fold-hoeffding", "fold-bernstein")[index % 3]
        bounds, delta = (*MODES, "kl+bernstein")[index % 4], float(rng.uniform(0.01, 0.9))
        data = simulate_episodes(mdp, behaviour, 3000, rng)
        learner = make(delta=delta, offline=method, bounds=bounds)
        problem = EpisodicProblem(mdp, "hazard", threshold=0.0, offline=data)
        state = learner.init(problem.spec(100), np.random.default_rng(0))
        counts = rng.multinomial(np.full(mdp.r.shape, 20_000), mdp.P)
        state.family.n_next[:], state.family.n[:] = counts, counts.sum(axis=3)
        learner.plan(state)
        learned = learn_baseline(data, mdp.r, mdp.rho, delta / 2, method)
        alone = FamilyState.start(mdp.r, learned.policy.stages(H), n_next=counts)
        alone.refresh(BoundOptions(bounds, delta / 2), np.ones(H + 1, dtype=np.bool_))
        yield Split(
            f"hazard, {method}, {bounds}",
            np.concatenate([[state.certificate], state.family.U.ravel(), state.family.L.ravel()]),
            np.concatenate([[learned.certificate], alone.U.ravel(), alone.L.ravel()]),
        )
