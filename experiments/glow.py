"""GLOW: every figure and table of its docs page.

    python experiments/glow.py                     # all parts, some minutes on two cores
    python experiments/glow.py --quick             # fewer seeds and rounds
    python experiments/glow.py --only incomplete   # some parts
    python experiments/glow.py --docs              # all parts, into docs/papers/figures/glow/

The paper has no experiments; these are ours. Regret is exact. Learners that are not run with the constants of
their theory are marked "tuned", and every tuning that was tried is shown.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from _parts import Part, Setting, run
from _plots import log_points, mean_sd, outside_legend, panels

from theoryrl.instances import incomplete_class, rich_lock
from theoryrl.learners import GLOW, GOLF, UCBVI, population_glow
from theoryrl.learners.glow import GlowState
from theoryrl.learners.glow_constants import (
    glow_regret_bound,
    log_confidence,
    population_bounds,
)
from theoryrl.learners.population import Expectations
from theoryrl.models import CandidateMDP, EpisodicMDP, FiniteFunctionClass, FiniteModelClass
from theoryrl.protocol import Run, as_problem
from theoryrl.solvers import WeightClass, coverability, mixture_log_size

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666")


def quiet(make: Callable[[], Any]) -> Any:
    """Build a learner whose missing guarantee the tables state."""
    with warnings.catch_warnings(action="ignore"):
        return make()


def bands(ax: Any, x: np.ndarray, samples: np.ndarray, label: str, colour: str) -> None:
    """Draw the mean over seeds and the range of the middle eighty percent."""
    ax.plot(x, samples.mean(axis=0), color=colour, label=label)
    low, high = np.quantile(samples, (0.1, 0.9), axis=0)
    ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


# Realisable and not complete.


def incomplete_run(learner: Any, episodes: int, seed: int) -> dict[str, Any]:
    """Play the two functions; return regret at points, and what became of the bad function."""
    with warnings.catch_warnings(action="ignore"):
        trace = Run(as_problem(incomplete_class()), learner, episodes, seed).advance().trace
    bad = trace.stretch_values < trace.benchmark - 0.1
    last = int(np.cumsum(trace.lengths)[bad][-1]) if bad.any() else 0
    points = log_points(episodes, 200)
    return {"regret": trace.regret_at(points) / points, "last": last, "final": trace.final_regret / episodes}


def lifetime(last: np.ndarray, total: int) -> str:
    """Say when the bad function was played last, or in how many runs it still is."""
    alive = int((last == total).sum())
    if alive:
        return "never dropped" if alive == len(last) else f"never in {alive} of {len(last)}"
    return f"{last.mean():,.0f} ± {last.std(ddof=1):,.0f}"


def incomplete(setting: Setting) -> Part:
    """Two functions: GOLF keeps the wrong one for ever, GLOW drops it when its constants allow."""
    K = 400
    rounds, seeds = setting.scope.pick((60, 2), (600, 20))
    learners = {
        "GLOW, paper's constants": GLOW(episodes=K, gamma=0.07, ties="last"),
        "GLOW, sharp constants": GLOW(episodes=K, gamma=0.07, constants="sharp", ties="last"),
        "GLOW, sharp, scaled weights": GLOW(episodes=K, gamma=0.07, constants="sharp", scales=8, ties="last"),
        "GLOW, tuned (0.3, 0.02)": quiet(
            lambda: GLOW(episodes=K, gamma=0.07, constants="practical", c_alpha=0.3, c_beta=0.02, ties="last")
        ),
        "GOLF, c = 0.01": GOLF(episodes=K, c=0.01, ties="last"),
        "GOLF, c = 1": GOLF(episodes=K, ties="last"),
        "UCBVI, bonus / 1000": quiet(lambda: UCBVI(bonus="hoeffding", bonus_scale=1e-3, refresh_growth=0.05)),
    }
    figure, axes = panels(1, 1, 6.4, 4.0)
    points, rows, numbers = log_points(rounds * K, 200), [], dict[str, Any]()
    for (name, learner), colour in zip(learners.items(), COLOURS, strict=True):
        found = setting.map(incomplete_run, [(learner, rounds * K, seed) for seed in range(seeds)])
        bands(axes[0], points, np.array([f["regret"] for f in found]), name, colour)
        last, final = np.array([f["last"] for f in found]), np.array([f["final"] for f in found])
        never = lifetime(last, rounds * K)
        rows.append([name, f"{final.mean():.4f} ± {final.std(ddof=1):.4f}", never])
        numbers[name] = {"final": final.tolist(), "last": last.tolist()}
    axes[0].set(xscale="log", xlabel="episode", ylabel="regret per episode", ylim=(-0.01, 0.5))
    axes[0].set_title(f"two functions, incomplete class; {seeds} seeds")
    outside_legend(figure, axes[0], 2)
    header = ["learner", f"regret per episode at {rounds * K:,}", "last bad episode"]
    return Part(figure, header, rows, numbers)


# Rich observations.

SIZES = (10, 40, 120, 240)


def lock_run(learner: Any, size: int, episodes: int, seed: int) -> float:
    """Return the final regret on a lock whose decoders and code are drawn by the seed."""
    with warnings.catch_warnings(action="ignore"):
        problem = as_problem(rich_lock(size, seed=seed))
        return Run(problem, learner, episodes, seed).advance().trace.final_regret


def observations(setting: Setting) -> Part:
    """A lock behind observations: coverability is 4, the number of states grows."""
    K, rounds = 20, setting.scope.pick(10, 100)
    seeds, sizes = setting.scope.pick((2, SIZES[:2]), (20, SIZES))
    learners: dict[str, Any] = {
        f"GLOW, tuned ({a:g}, {b:g})": quiet(
            lambda a=a, b=b: GLOW(
                episodes=K, gamma=0.3, constants="practical", c_alpha=a, c_beta=b, ties="last"
            )
        )
        for a, b in ((0.3, 0.02), (1.0, 0.05))
    }
    learners["GLOW, sharp constants"] = GLOW(episodes=K, gamma=0.3, constants="sharp", ties="last")
    for scale in (2e-4, 4e-4, 8e-4, 2.4e-3):
        learners[f"UCBVI, bonus x {scale:g}"] = quiet(lambda s=scale: UCBVI(bonus="hoeffding", bonus_scale=s))
    figure, axes = panels(1, 1, 6.0, 4.2)
    rows, numbers = [], dict[str, Any]()
    for (name, learner), colour in zip(learners.items(), COLOURS, strict=True):
        samples = np.array(
            [
                setting.map(lock_run, [(learner, size, rounds * K, seed) for seed in range(seeds)])
                for size in sizes
            ]
        )
        axes[0].errorbar(sizes, samples.mean(axis=1), samples.std(axis=1, ddof=1) / math.sqrt(seeds),
                         marker="o", markersize=4, capsize=2, color=colour, label=name)  # fmt: skip
        rows.append([name, *(mean_sd(row) for row in samples)])
        numbers[name] = samples.tolist()
    C = [coverability(rich_lock(size).mdp).value for size in sizes]
    rows.append(["coverability", *(f"{c:.2f}" for c in C)])
    axes[0].set(xscale="log", yscale="log", xlabel="observations S", ylabel="regret, episodes")
    axes[0].set_title(f"{rounds * K:,} episodes, {seeds} locks")
    axes[0].set_xticks(sizes, map(str, sizes))
    axes[0].minorticks_off()
    outside_legend(figure, axes[0], 2)
    return Part(figure, ["learner", *(f"S = {size}" for size in sizes)], rows, numbers)


# Bellman rank against coverability.


def rank_numbers(size: int, seed: int) -> tuple[float, int, float]:
    """Return coverability, numerical rank and stable rank of the residuals of 64 random functions."""
    rng = np.random.default_rng(seed)
    A, F = 4, 64
    P = np.broadcast_to(np.full(size, 1 / size), (1, size, A, size))
    mdp = EpisodicMDP(P, rng.random((1, size, A)), np.full(size, 1 / size))
    exact = Expectations.of(mdp, FiniteFunctionClass(rng.random((F, 1, size, A))))
    matrix = np.einsum("nhc,fhc->nf", exact.d[exact.policy_of], exact.residual)
    values = np.linalg.svd(matrix, compute_uv=False)
    rank = int((values > 1e-10 * values[0]).sum())
    return coverability(mdp).value, rank, float((values**2).sum() / values[0] ** 2)


def rank(setting: Setting) -> Part:
    """Contextual bandits: the Q-type Bellman rank grows up to the number of functions, coverability stays."""
    sizes = (4, 16, 64, 256)
    seeds = setting.scope.pick(2, 20)
    found = np.array([[rank_numbers(size, seed) for seed in range(seeds)] for size in sizes])
    figure, axes = panels(1, 1, 5.2, 3.6)
    names = ("coverability", "numerical Bellman rank", "stable rank")
    for i, name in enumerate(names):
        axes[0].plot(sizes, found[..., i].mean(axis=1), marker="o", color=COLOURS[i], label=name)
    axes[0].set(xscale="log", xlabel="contexts", title=f"64 random functions, 4 actions, {seeds} seeds")
    axes[0].set_xticks(sizes, map(str, sizes))
    axes[0].minorticks_off()
    axes[0].legend(frameon=False)
    rows = [[name, *(mean_sd(row) for row in found[..., i])] for i, name in enumerate(names)]
    numbers = {name: found[..., i].tolist() for i, name in enumerate(names)}
    return Part(figure, ["contexts", *map(str, sizes)], rows, numbers)


# Without noise.


def population(setting: Setting) -> Part:
    """Noise-free GLOW on the two functions: regret and both bounds over gamma."""
    rounds = setting.scope.pick(300, 3000)
    model = incomplete_class(oracle=True)
    C = Expectations.of(model.mdp, model.hypotheses.functions).coverability
    gammas = np.geomspace(0.003, 100, setting.scope.pick(12, 60))
    regret = np.array([population_glow(model, rounds, float(g)).regret[-1] for g in gammas])
    bound = np.array([[b[-1] for b in population_bounds(rounds, 2, C, float(g), 1.0)] for g in gammas])
    figure, axes = panels(1, 2, 4.6, 3.6)
    axes[0].plot(gammas, regret, color=COLOURS[0], label="regret")
    axes[0].plot(gammas, bound[:, 0], color=COLOURS[1], label="first bound")
    axes[0].plot(gammas, bound[:, 1], color=COLOURS[2], label="logarithmic bound")
    axes[0].axhline(0.45 * rounds, color="#666666", linestyle=":", label="nothing is eliminated")
    axes[0].set(xscale="log", yscale="log", xlabel="γ", title=f"after {rounds:,} rounds")
    axes[0].set_ylabel("regret, rounds")
    best = float(gammas[bound[:, 0].argmin()])
    t = np.arange(1, rounds + 1)
    numbers: dict[str, Any] = {"gamma": gammas.tolist(), "regret": regret.tolist(), "bound": bound.tolist()}
    rows = []
    for i, gamma in enumerate((0.05, best, 1.0)):
        played = population_glow(model, rounds, gamma)
        limits = np.minimum(*population_bounds(rounds, 2, C, gamma, 1.0))
        axes[1].plot(t, played.regret, color=COLOURS[i], label=f"γ = {gamma:.3g}")
        axes[1].plot(t, limits, color=COLOURS[i], linestyle="--")
        last = int(np.flatnonzero(played.played == 1)[-1]) + 1
        rows.append([f"{gamma:.3g}", f"{played.regret[-1]:.2f}", f"{limits[-1]:.0f}", f"{last}"])
    axes[1].plot(t, 0.45 * t, color="#666666", linestyle=":")
    axes[1].set(xscale="log", yscale="log", xlabel="round", title="regret (solid) and smaller bound (dashed)")
    for ax in axes:
        ax.legend(frameon=False, fontsize="small")
    return Part(figure, ["γ", "regret", "smaller bound", "last bad round"], rows, numbers)


# Ablations.


@dataclass(frozen=True)
class NoClip(GLOW):
    """Does not clip its weights."""

    def clipped(self, state: GlowState, t: int) -> Any:
        """Return the weights as they are."""
        weights = state.weights.mixtures(state.counts)
        return weights.reshape(-1, state.weights.shape[0], state.sums.N.shape[1])


@dataclass(frozen=True)
class Hoeffding(GLOW):
    """Has no quadratic term, and the radius that Hoeffding's inequality then asks for."""

    def excess(self, state: GlowState, t: int) -> Any:
        """Return the mean residuals alone."""
        w = self.clipped(state, t)
        return np.einsum("hcf,whc->hwf", state.sums.G, w) / state.sums.episodes

    def radius(self, state: GlowState, t: int) -> float:
        """Return ``3 gamma_t sqrt(2 L / M)``: the residual times a weight has range 3 gamma_t."""
        return 3 * state.gamma * t * math.sqrt(2 * state.L / state.sums.episodes)


def ablations(setting: Setting) -> Part:
    """Without clipping, without the quadratic term, and rounds against episodes, on the two functions."""
    total, seeds = setting.scope.pick((24_000, 2), (240_000, 20))
    options: dict[str, Any] = {"gamma": 0.3, "constants": "sharp", "ties": "last"}
    learners: dict[str, Any] = {
        "GLOW, K = 400": GLOW(episodes=400, **options),
        "no clipping": NoClip(episodes=400, **options),
        "no quadratic term, Hoeffding radius": Hoeffding(episodes=400, **options),
    }
    for K in (40, 100, 1000, 4000):
        learners[f"GLOW, K = {K}"] = GLOW(episodes=K, **options)
    figure, axes = panels(1, 1, 6.2, 4.0)
    points, rows, numbers = log_points(total, 200), [], dict[str, Any]()
    for (name, learner), colour in zip(learners.items(), COLOURS, strict=True):
        found = setting.map(incomplete_run, [(learner, total, seed) for seed in range(seeds)])
        bands(axes[0], points, np.array([f["regret"] for f in found]), name, colour)
        last, final = np.array([f["last"] for f in found]), np.array([f["final"] for f in found])
        never = lifetime(last, total)
        rows.append([name, f"{final.mean():.4f} ± {final.std(ddof=1):.4f}", never])
        numbers[name] = {"final": final.tolist(), "last": last.tolist()}
    axes[0].set(xscale="log", xlabel="episode", ylabel="regret per episode", ylim=(-0.01, 0.5))
    axes[0].set_title(f"γ = 0.3, sharp constants, {seeds} seeds")
    outside_legend(figure, axes[0], 2)
    return Part(figure, ["variant", f"regret per episode at {total:,}", "last bad episode"], rows, numbers)


# Weight classes.


def listed(model: CandidateMDP, keep: np.ndarray) -> WeightClass:
    """Return the class of w = 1 where `keep` says so, and 0 elsewhere."""
    return WeightClass.explicit(keep[None].astype(np.float64), model.hypotheses.functions)


def weights(setting: Setting) -> Part:
    """The four modes of weight classes, and classes that miss a part of the ratio that refutes."""
    K = 400
    rounds, seeds = setting.scope.pick((60, 2), (600, 20))
    model = incomplete_class()
    context, late = np.zeros((2, 2, 2), dtype=bool), np.zeros((2, 2, 2), dtype=bool)
    context[:, 0], late[1] = True, True
    classes: dict[str, Any] = {mode: mode for mode in ("models", "self", "full")}
    classes["mixture (oracle)"] = WeightClass.from_models(
        FiniteModelClass.from_models([model.mdp]), model.hypotheses.functions, "mixture", oracle=True
    )
    classes["w = 1 in context 0 only"] = listed(model, context)
    classes["w = 1 at stage 2 only"] = listed(model, late)
    figure, axes = panels(1, 1, 6.2, 4.0)
    points, rows, numbers = log_points(rounds * K, 200), [], dict[str, Any]()
    for (name, chosen), colour in zip(classes.items(), COLOURS, strict=False):
        learner = quiet(
            lambda w=chosen: GLOW(weights=w, episodes=K, gamma=0.3, constants="sharp", ties="last")
        )
        started = time.perf_counter()
        found = setting.map(incomplete_run, [(learner, rounds * K, seed) for seed in range(seeds)])
        seconds = (time.perf_counter() - started) / seeds
        bands(axes[0], points, np.array([f["regret"] for f in found]), name, colour)
        last, final = np.array([f["last"] for f in found]), np.array([f["final"] for f in found])
        state = quiet(lambda made=learner: Run(as_problem(model), made, rounds * K, 0)).state
        size = state.weights.log_size(rounds)
        never = lifetime(last, rounds * K)
        rows.append([name, f"{size:.1f}", f"{final.mean():.4f} ± {final.std(ddof=1):.4f}", never])
        numbers[name] = {"final": final.tolist(), "last": last.tolist(), "log_size": size, "seconds": seconds}
    axes[0].set(xscale="log", xlabel="episode", ylabel="regret per episode", ylim=(-0.01, 0.5))
    axes[0].set_title(f"γ = 0.3, sharp constants, {seeds} seeds")
    outside_legend(figure, axes[0], 2)
    header = [
        "weights",
        "logarithm of the size of W",
        f"regret per episode at {rounds * K:,}",
        "last bad episode",
    ]
    return Part(figure, header, rows, numbers)


# The bound.


def bound(setting: Setting) -> Part:
    """Regret bounds over gamma, and where they begin to say something."""
    H, C, delta = 2, 1.5, 0.05
    gammas = np.geomspace(1e-5, 1, setting.scope.pick(30, 120))
    figure, axes = panels(1, 2, 4.6, 3.6)
    rows, numbers = [], dict[str, Any]()
    T = 10**5
    for i, constants in enumerate(("paper", "sharp")):
        for K, dash in ((1, "-"), (1000, "--")):
            L = log_confidence(math.log(2), mixture_log_size(2, T), T, H, delta)
            values = [float(glow_regret_bound(T, H, C, float(g), L, K, constants)[-1]) / T for g in gammas]
            axes[0].plot(gammas, values, color=COLOURS[i], linestyle=dash, label=f"{constants}, K = {K}")
            best = float(gammas[int(np.argmin(values))])
            start = {}
            for k in (1, K):
                curve = glow_regret_bound(T, H, C, best, L, k, constants)
                t = np.arange(1, T + 1)
                start[k] = int(np.argmax(curve < t)) + 1 if (curve < t).any() else None
            begins = "later than T" if start[K] is None else f"{start[K]:,}"
            rows.append([f"{constants}, K = {K}", f"{best:.2g}", f"{min(values):.3f}", begins])
            numbers[f"{constants}, K = {K}"] = {"gamma": gammas.tolist(), "per_round": values}
    axes[0].axhline(1, color="#666666", linestyle=":")
    axes[0].set(xscale="log", yscale="log", xlabel="γ", title=f"bound / T at T = {T:,}", ylim=(0.01, 100))
    t = np.arange(1, T + 1)
    for i, constants in enumerate(("paper", "sharp")):
        for K, dash in ((1, "-"), (1000, "--")):
            gamma = min(
                1.0, math.sqrt(C * K / (T * log_confidence(0.7, mixture_log_size(2, T), T, H, delta)))
            )
            L = log_confidence(math.log(2), mixture_log_size(2, T), T, H, delta)
            curve = glow_regret_bound(T, H, C, gamma, L, K, constants)
            shown = log_points(T) - 1
            axes[1].plot(t[shown], curve[shown] / t[shown], color=COLOURS[i], linestyle=dash)
    axes[1].axhline(1, color="#666666", linestyle=":", label="trivial")
    axes[1].axhline(0.45, color="#666666", linestyle="--", label="nothing is eliminated")
    axes[1].set(xscale="log", yscale="log", xlabel="round", title="bound per round at the theorem's γ")
    for ax in axes:
        ax.legend(frameon=False, fontsize="small")
    header = ["constants", "best γ", f"bound per round at T = {T:,}", "below the trivial one from round"]
    return Part(figure, header, rows, numbers)


PARTS = {
    "incomplete": incomplete,
    "observations": observations,
    "rank": rank,
    "population": population,
    "ablations": ablations,
    "weights": weights,
    "bound": bound,
}

if __name__ == "__main__":
    run("glow", PARTS, __doc__)
