"""HyGLOW: every figure and table of its docs page.

    python experiments/hyglow.py                   # all parts, a few minutes on two cores
    python experiments/hyglow.py --quick           # fewer seeds and rounds
    python experiments/hyglow.py --only lock       # some parts
    python experiments/hyglow.py --docs            # all parts, into docs/papers/figures/hyglow/

The paper has no experiments; these are ours. Regret is exact; every seed draws its own offline data.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from _parts import Part, Setting, run
from _plots import mean_sd, outside_legend, panels

from theoryrl.instances import hybrid_lock, incomplete_hybrid
from theoryrl.learners import (
    GLOW,
    GOLF,
    H2O,
    MABO,
    MABOCR,
    HyGLOW,
    HyQ,
    OfflineOnly,
    OnlineFQI,
    population_hyglow,
)
from theoryrl.learners.glow_constants import population_hyglow_bound
from theoryrl.learners.population import Expectations
from theoryrl.models import CandidateMDP
from theoryrl.protocol import Run, as_problem
from theoryrl.solvers import WeightClass, density_ratio, occupancy_measure

COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#666666", "#000000", "#F0E442")
INSTANCES: dict[str, Callable[..., CandidateMDP]] = {"lock": hybrid_lock, "incomplete": incomplete_hybrid}


def offline_ratios(model: CandidateMDP) -> tuple[np.ndarray, WeightClass]:
    """Return the ratios of all policies to the offline law, in every candidate model."""
    models, functions = model.hypotheses.models, model.hypotheses.functions
    weights = WeightClass.from_models(models, functions)
    nu = np.stack([occupancy_measure(models[m], model.behaviour) for m in range(len(models))])
    ratios = density_ratio(weights.occupancies, nu[:, None])
    return ratios.reshape(-1, *weights.shape), weights


def learner_of(name: str, ties: str, model: CandidateMDP) -> Any:
    """Return the learner of a row of the tables."""
    with warnings.catch_warnings(action="ignore"):
        simple = {
            "HyGLOW, tuned (γ = 0.2, c = 1)": lambda: HyGLOW(gamma=0.2, c_alpha=1.0, ties=ties),
            "HyGLOW, c = 8, γ = 0.2": lambda: HyGLOW(gamma=0.2, ties=ties),
            "Hy-Q": lambda: HyQ(ties=ties),
            "H2O + FQI": lambda: H2O("fqi", ties=ties),
            "H2O + likelihood": lambda: H2O("mle", ties=ties),
            "online FQI": lambda: OnlineFQI(ties=ties),
            "offline FQI": lambda: OfflineOnly("fqi", ties=ties),
            "GLOW, sharp": lambda: GLOW(constants="sharp", gamma=0.3, ties=ties),
            "GOLF": lambda: GOLF(ties=ties),
        }
        if name in simple:
            return simple[name]()
        ratios, _ = offline_ratios(model)
        functions = model.hypotheses.functions
        if name == "offline MABO.CR":
            return OfflineOnly(MABOCR(functions, ratios, 0.2, 1.0, ties=ties))
        return OfflineOnly(MABO(functions, np.where(np.isfinite(ratios), ratios, 0.0), ties))


ROWS = (
    "HyGLOW, tuned (γ = 0.2, c = 1)",
    "HyGLOW, c = 8, γ = 0.2",
    "Hy-Q",
    "H2O + FQI",
    "H2O + likelihood",
    "online FQI",
    "offline FQI",
    "offline MABO.CR",
    "offline MABO",
    "GLOW, sharp",
    "GOLF",
)
DRAWN = ROWS[:7]


def hybrid_run(instance: str, name: str, ties: str, rounds: int, seed: int) -> np.ndarray:
    """Return the regret after every round."""
    model = INSTANCES[instance](episodes=rounds, seed=seed)
    with warnings.catch_warnings(action="ignore"):
        learner = learner_of(name, ties, model)
        return Run(as_problem(model), learner, rounds, seed).advance().trace.regret


def compared(setting: Setting, instance: str, rounds: int, seeds: int, title: str) -> Part:
    """Run every learner with ties for and against Q*."""
    figure, axes = panels(1, 2, 4.6, 3.7, sharey=True)
    rows, numbers = [], dict[str, Any]()
    tail = min(50, rounds // 2)
    for name in ROWS:
        row = [name]
        for ax, ties in zip(axes, ("last", "first"), strict=True):
            jobs = [(instance, name, ties, rounds, seed) for seed in range(seeds)]
            regret = np.array(setting.map(hybrid_run, jobs))
            late = (regret[:, -1] - regret[:, -1 - tail]) / tail
            row += [mean_sd(regret[:, -1]), f"{late.mean():.3f}"]
            numbers[f"{name}, {ties}"] = {"regret": regret[:, -1].tolist(), "late": late.tolist()}
            if name in DRAWN:
                ax.plot(
                    np.arange(1, rounds + 1),
                    regret.mean(axis=0),
                    color=COLOURS[DRAWN.index(name)],
                    label=name,
                )
        rows.append(row)
    for ax, ties in zip(axes, ("against", "for"), strict=True):
        ax.set(xlabel="round", title=f"ties {ties} the optimum")
    axes[0].set_ylabel("regret")
    figure.suptitle(f"{title}, {seeds} seeds")
    outside_legend(figure, axes[0], 3)
    header = ["learner", "regret, ties against Q*", f"per round, last {tail}", "ties for Q*", f"last {tail}"]
    return Part(figure, header, rows, numbers)


def lock(setting: Setting) -> Part:
    """A lock with data of the optimal policy, and functions that only other data refute."""
    rounds, seeds = setting.scope.pick((30, 2), (150, 20))
    return compared(setting, "lock", rounds, seeds, "hybrid lock")


def incomplete(setting: Setting) -> Part:
    """A class without completeness: fitted Q-iteration is wrong for ever, HyGLOW is not."""
    rounds, seeds = setting.scope.pick((40, 2), (400, 20))
    return compared(setting, "incomplete", rounds, seeds, "incomplete class")


def population(setting: Setting) -> Part:
    """Noise-free: with the offline data, without them, and the bound."""
    rounds = setting.scope.pick(200, 1500)
    t = np.arange(1, rounds + 1)
    figure, axes = panels(1, 2, 4.4, 3.5)
    rows, numbers = [], dict[str, Any]()
    for ax, (name, make) in zip(axes, INSTANCES.items(), strict=True):
        model = make(episodes=1)
        exact = Expectations.of(model.mdp, model.hypotheses.functions)
        nu = occupancy_measure(model.mdp, model.behaviour)
        star = float(density_ratio(exact.best_occupancy, nu.reshape(exact.d.shape[1:])).max())
        limit = population_hyglow_bound(rounds, model.mdp.horizon, exact.coverability, star, 1.0, 1.0)
        curves = {
            "with offline data": population_hyglow(model, nu, rounds, 1.0).regret,
            "without": population_hyglow(model, nu, rounds, 1.0, offline=False).regret,
        }
        for i, (label, regret) in enumerate(curves.items()):
            ax.plot(t, np.maximum(regret, 1e-2), color=COLOURS[2 * i], label=label)
        ax.plot(t, limit, color="#666666", linestyle="--", label="bound")
        ax.set(xscale="log", yscale="log", xlabel="round", title=f"{name}: C_cov = {exact.coverability:.3g}")
        finals = [float(regret[-1]) for regret in curves.values()]
        rows.append([name, f"{finals[0]:.2f}", f"{finals[1]:.2f}", f"{limit[-1]:.0f}"])
        numbers[name] = {"with": finals[0], "without": finals[1], "bound": float(limit[-1])}
    axes[0].set_ylabel("regret, γ = a = 1")
    axes[0].legend(frameon=False, fontsize="small")
    return Part(figure, ["instance", "regret", "without offline data", "bound"], rows, numbers)


PARTS = {"lock": lock, "incomplete": incomplete, "population": population}

if __name__ == "__main__":
    run("hyglow", PARTS, __doc__)
