"""Recovering bandits: periodic plans beside the optimum, and learning them phase by phase.

    python experiments/recovering.py                    # all parts, a minute or two
    python experiments/recovering.py --quick            # fewer instances, seeds and periods
    python experiments/recovering.py --only ratio       # some parts
    python experiments/recovering.py --docs             # all parts, into docs/papers/figures/recovering/

Averages of policies and rewards of runs are exact mean rewards; nothing is estimated from samples. Writes a
figure (PNG) and a table (Markdown) for each part, and all numbers in `numbers.json`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from _parts import Part, Setting, run
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from theoryrl import RecoveringBandit, play
from theoryrl.instances import recovering
from theoryrl.learners import (
    BlockingUCB,
    GPLookahead,
    GreedyOracle,
    InterleavedOracle,
    LookaheadOracle,
    OptimalCycle,
    PeriodicOracle,
    PeriodicUCB,
    RandomOffsetsOracle,
    RoundRobinOracle,
    UCBGreedy,
)
from theoryrl.learners.baselines.recovering.oracles import best_rotation
from theoryrl.models import IndexRule
from theoryrl.protocol import RecoveringProblem
from theoryrl.solvers import (
    best_classes,
    correlation_gap,
    fluid_bound,
    optimal_cycle,
    ppp_guarantee,
    purely_periodic,
    random_offsets,
    rewards_over_time,
)
from theoryrl.theory import slope_interval
from theoryrl.theory.evidence.phases import audited_run, planner_regret, regret_bound
from theoryrl.theory.evidence.schedules import greedy_average, random_bandit

KINDS = ("concave", "blocking", "monotone")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999933")
MARKERS = "osD^vPX*"


def panels(rows: int, columns: int, width: float = 4.2, height: float = 3.4) -> tuple[Figure, Any]:
    """Return a figure that needs no display, and its axes in a flat array."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes.ravel()


def mean_min(samples: list[float]) -> str:
    """Write mean and minimum."""
    return f"{np.mean(samples):.3f} / {np.min(samples):.3f}"


# What a plan looks like.


def schedule(setting: Setting) -> Part:
    """The relaxation of four arms, and the timetable that the planner makes of it."""
    bandit = recovering("concave", n_arms=4, max_pulls=2, memory=12, seed=1)
    fluid, plan = fluid_bound(bandit), purely_periodic(bandit)
    figure, (left, right) = panels(1, 2, width=5)
    d = np.arange(1, bandit.R.shape[1] + 1)
    for i, colour in zip(range(bandit.n_arms), COLOURS, strict=False):
        x, F = 1 / d, bandit.R[i] / d
        left.plot(np.append(x, 0), np.append(F, 0), "-o", color=colour, markersize=3, linewidth=1)
        height = np.interp(fluid.policy[i], np.append(x, 0)[::-1], np.append(F, 0)[::-1])
        left.plot([fluid.policy[i]], [height], "*", color=colour, markersize=13, label=f"arm {i}")
    left.set(xlabel="pulls per period", ylabel="reward per period", title="relaxation: stars are its optimum")
    left.legend(frameon=False, fontsize="small")
    for t in range(24):
        for arm in plan.policy.pulls(t):
            right.barh(int(plan.policy.machines[arm]), 1, left=t, color=COLOURS[arm], edgecolor="white")
            right.text(t + 0.5, int(plan.policy.machines[arm]), str(arm), ha="center", va="center",
                       color="white", fontsize="small")  # fmt: skip
    right.set(xlabel="period", yticks=[0, 1], yticklabels=["machine 0", "machine 1"], xlim=(0, 24))
    right.set_title("periodic plan: arm pulled by each machine")
    rows = [
        [
            str(i),
            f"{fluid.policy[i]:.3f}",
            str(int(plan.policy.periods[i])) if plan.policy.periods[i] else "never",
            f"{plan.policy.offsets[i]}",
        ]
        for i in range(bandit.n_arms)
    ]
    numbers = {
        "UB": float(fluid.value),
        "optimum": float(optimal_cycle(bandit).value),
        "plan": float(plan.value),
        "guarantee": plan.guarantee,
    }
    return Part(figure, ["arm", "relaxed frequency", "period", "offset"], rows, numbers)


# Small instances, against the exact optimum.

POLICIES = ("plan, grid", "plan, round", "greedy", "round robin", "random offsets (bound)")


def exact(setting: Setting) -> Part:
    """Every policy's long-run average over the exact optimum, on small random bandits."""
    count = setting.scope.pick(8, 60)
    found: dict[str, dict[str, list[float]]] = {}
    for k, kind in enumerate(KINDS):
        rng = np.random.default_rng([setting.scope.seed, 1, k])
        cells: dict[str, list[float]] = {name: [] for name in (*POLICIES, "OPT / UB")}
        for _ in range(count):
            N, D = int(rng.integers(2, 5)), int(rng.integers(2, 7))
            K = int(rng.integers(1, min(3, N) + 1))
            for name, ratio in ratios_to_optimum(random_bandit(kind, N, D, K, rng)).items():
                cells[name].append(ratio)
        found[kind] = cells
    figure, axes = panels(1, 3, width=3.8)
    for ax, kind in zip(axes, KINDS, strict=True):
        samples = [found[kind][name] for name in POLICIES]
        ax.boxplot(samples, whis=(0, 100), medianprops={"color": "black"})
        ax.set_xticks(range(1, 6), [name.replace(" ", "\n") for name in POLICIES], fontsize="x-small")
        ax.set(title=kind, ylim=(0, 1.03))
    axes[0].set_ylabel("long-run average / optimum")
    names = (*POLICIES, "OPT / UB")
    rows = [[kind, *(mean_min(found[kind][name]) for name in names)] for kind in KINDS]
    return Part(figure, ["mean / minimum", *names], rows, found)


def ratios_to_optimum(bandit: RecoveringBandit) -> dict[str, float]:
    """Return each policy's average over the optimum; of the plan, the best number of classes."""
    optimum = float(optimal_cycle(bandit).value)
    return {
        "plan, grid": float(purely_periodic(bandit, method="grid").value) / optimum,
        "plan, round": float(purely_periodic(bandit, method="round").value) / optimum,
        "greedy": greedy_average(bandit) / optimum,
        "round robin": best_rotation(bandit)[1] / optimum,
        "random offsets (bound)": random_offsets(bandit).expected / optimum,
        "OPT / UB": optimum / float(fluid_bound(bandit).value),
    }


# Large instances, over K.


def ratio(setting: Setting) -> Part:
    """The plan's share of the bound over K, with N = 4 K and curves of memory 40."""
    sizes = setting.scope.pick([1, 2, 4], [1, 2, 4, 9, 16, 36, 100])
    names = ("plan, grid", "plan, round", "greedy", "random offsets (bound)")
    jobs = {K: [(K, index) for index in range(setting.scope.pick(3, 12 if K < 100 else 3))] for K in sizes}
    found = {K: setting.map(shares_of_bound, jobs[K]) for K in sizes}
    shares = {name: {K: [case[name] for case in found[K]] for K in sizes} for name in names}
    figure, (left, right) = panels(1, 2, width=5)
    grid = np.unique(np.geomspace(1, sizes[-1], 60).astype(int))
    left.plot(
        grid, [ppp_guarantee(int(K)) for K in grid], color="grey", linewidth=1, label="$\\gamma_K$ (proved)"
    )
    left.plot(grid, [correlation_gap(int(K)) for K in grid], ":", color="grey", linewidth=1,
              label="correlation gap (proved)")  # fmt: skip
    for name, colour, marker in zip(names, COLOURS, MARKERS, strict=False):
        worst = [min(shares[name][K]) for K in sizes]
        left.plot(sizes, worst, marker=marker, markersize=4, color=colour, label=name)
    left.set(xscale="log", xlabel="K", ylabel="worst share of the bound UB", ylim=(0, 1.02))
    left.legend(frameon=False, fontsize="x-small", loc="lower right")
    gaps = [1 - np.mean(shares["plan, grid"][K]) for K in sizes]
    right.plot(sizes, gaps, marker="o", color=COLOURS[0], label="plan, grid: mean gap to UB")
    right.plot(grid, [1 - ppp_guarantee(int(K)) for K in grid], color="grey", label="$1 - \\gamma_K$")
    right.plot(grid, 2 / np.sqrt(grid), "--", color="black", linewidth=0.8, label="$2 / \\sqrt{K}$")
    right.set(xscale="log", yscale="log", xlabel="K", ylabel="gap")
    right.legend(frameon=False, fontsize="small")
    rows = [
        [
            f"{K}",
            f"{ppp_guarantee(K):.4f} (a = {best_classes(K)})",
            f"{correlation_gap(K):.4f}",
            f"{min(shares['plan, grid'][K]):.3f} ({np.mean(shares['plan, grid'][K]):.3f})",
            *(f"{min(shares[name][K]):.3f}" for name in names[1:]),
        ]
        for K in sizes
    ]
    header = ["K", "γ_K", "correlation gap", "plan, grid: min (mean)", *(f"{n}: min" for n in names[1:])]
    return Part(figure, header, rows, {name: {str(K): v for K, v in s.items()} for name, s in shares.items()})


def shares_of_bound(K: int, index: int) -> dict[str, float]:
    """Return each policy's average over UB on one instance; the plan uses the best a for K only."""
    bandit = recovering(KINDS[index % 3], n_arms=4 * K, max_pulls=K, memory=40, seed=1000 * K + index)
    bound, a = float(fluid_bound(bandit).value), best_classes(K)
    greedy = rewards_over_time(bandit, IndexRule(bandit.R, K), 3000)[-1500:].mean()
    return {
        "plan, grid": float(purely_periodic(bandit, a, "grid").value) / bound,
        "plan, round": float(purely_periodic(bandit, a, "round").value) / bound,
        "greedy": float(greedy) / bound,
        "random offsets (bound)": random_offsets(bandit).expected / bound,
    }


# Learning.

VARIANTS: dict[str, Callable[..., PeriodicUCB]] = {
    "PeriodicUCB": PeriodicUCB,
    "fractional arm up": lambda: PeriodicUCB(fractional="up"),
    "first pulls reused": lambda: PeriodicUCB(reuse_first=True),
    "unknown horizon (doubling)": lambda: PeriodicUCB(horizon="doubling"),
}


def learning(setting: Setting) -> Part:
    """Regret of PeriodicUCB and its variants against the planner that knows the curves, over T."""
    horizons = np.array([2000, 8000, *setting.scope.pick([16_000], [32_000, 128_000])])
    seeds = setting.scope.seeds(3, 24)
    bandit = recovering()
    jobs = [(name, horizons, seeds) for name in VARIANTS]
    regrets = dict(zip(VARIANTS, setting.map(variant_regret, jobs), strict=True))
    figure, (left, right) = panels(1, 2, width=5)
    rows, numbers = [], dict[str, Any]()
    for (name, samples), colour, marker in zip(regrets.items(), COLOURS, MARKERS, strict=False):
        mean, error = samples.mean(axis=1), samples.std(axis=1, ddof=1) / math.sqrt(len(seeds))
        left.errorbar(horizons, mean, 2 * error, marker=marker, markersize=4, color=colour, label=name)
        slope = slope_interval(horizons[1:] * 1.0, samples[1:])
        text = [f"{m:,.0f} ± {e:,.0f}" for m, e in zip(mean, error, strict=True)]
        rows.append([name, *text, f"{slope.estimate:.3f} [{slope.low:.3f}, {slope.high:.3f}]"])
        numbers[name] = {"T": horizons.tolist(), "regret": samples.tolist(), "slope": list(slope)}
    left.plot(
        horizons, 4 * np.sqrt(horizons), "--", color="grey", linewidth=0.8, label="$\\propto \\sqrt{T}$"
    )
    left.set(xscale="log", yscale="log", xlabel="periods T", ylabel="regret against the planner")
    left.legend(frameon=False, fontsize="small")
    numbers["bound"] = against_the_bound(right, setting, bandit)
    header = ["regret, mean ± s.e.", *(f"T = {T:,}" for T in horizons), "slope, T ≥ 8,000"]
    return Part(figure, header, rows, numbers)


def variant_regret(name: str, horizons: np.ndarray, seeds: range) -> np.ndarray:
    """Return the planner regret of a variant."""
    return planner_regret(recovering(), VARIANTS[name], horizons, seeds)[0]


def against_the_bound(ax: Axes, setting: Setting, bandit: RecoveringBandit) -> dict[str, Any]:
    """Draw the theorem's bound, the trivial one, and the benchmark regret of one long run."""
    T = setting.scope.pick(20_000, 1_000_000)
    run = audited_run(bandit, PeriodicUCB(delta=0.05), T, 0, "long run")
    points = np.unique(np.geomspace(1000, T, 80).astype(int))
    bounds = [regret_bound(bandit.n_arms, bandit.K, int(t), 0.05) for t in points]
    trivial = run.ratio * run.bound * points
    shortfall = run.bound * points - np.cumsum(run.trace.values)[points - 1]
    ax.plot(points, bounds, color=COLOURS[1], label="bound on $\\rho\\, UB\\, T$ − reward")
    ax.plot(points, trivial, ":", color="grey", label="trivial: $\\rho\\, UB\\, T$")
    ax.plot(points, shortfall, color=COLOURS[0], label="$UB\\, T$ − reward, one run")
    ax.set(
        xscale="log", yscale="log", xlabel="periods T", title="$\\rho\\, UB\\, T$ − reward itself is negative"
    )
    ax.legend(frameon=False, fontsize="small")
    biting = np.flatnonzero(np.array(bounds) < trivial)
    return {
        "T": T,
        "regret against rho UB": run.regret,
        "bound": bounds[-1],
        "trivial": float(trivial[-1]),
        "bites from": int(points[biting[0]]) if biting.size else None,
    }


# Everything else that the library has.


def baselines(setting: Setting) -> Part:
    """The last tenth of a run of every policy and learner, over the exact optimum, on three instances."""
    T = setting.scope.pick(300, 10_000)
    seeds = setting.scope.pick(2, 6)
    cases = {kind: recovering(kind, n_arms=5, max_pulls=2, memory=6, seed=3) for kind in KINDS}
    jobs = [(kind, name, T, seed) for kind in cases for name in CONTENDERS for seed in range(seeds)]
    results = dict(zip(jobs, setting.map(late_share, jobs), strict=True))
    figure, axes = panels(1, 3, width=3.9, height=4.2)
    rows, numbers = [], dict[str, Any]()
    for ax, kind in zip(axes, KINDS, strict=True):
        for y, name in enumerate(CONTENDERS):
            samples = [results[kind, name, T, seed] for seed in range(seeds)]
            if np.isnan(samples).any():
                ax.text(0.02, y, "blocking arms only", fontsize="x-small", va="center")
                continue
            learns = name in LEARNING
            ax.barh(y, np.mean(samples), color=COLOURS[1] if learns else COLOURS[0], height=0.7)
            ax.hlines(y, min(samples), max(samples), color="black", linewidth=1)
        ax.set(title=kind, xlim=(0, 1.02), xlabel="late average / optimum")
        ax.set_yticks(range(len(CONTENDERS)), CONTENDERS if kind == KINDS[0] else [], fontsize="small")
        ax.invert_yaxis()
    for name in CONTENDERS:
        cells = [[results[kind, name, T, seed] for seed in range(seeds)] for kind in KINDS]
        texts = ["-" if np.isnan(c).any() else f"{np.mean(c):.3f}" for c in cells]
        rows.append([name, "learner" if name in LEARNING else "knows the curves", *texts])
        numbers[name] = {kind: None if np.isnan(c).any() else c for kind, c in zip(KINDS, cells, strict=True)}
    return Part(figure, ["policy", "kind", *KINDS], rows, numbers)


LEARNING = ("PeriodicUCB", "UCB-greedy", "blocking UCB", "GP lookahead")
CONTENDERS = (
    "optimal cycle",
    "periodic plan",
    "greedy",
    "lookahead, 2 periods",
    "interleaved rates",
    "random offsets",
    "round robin",
    *LEARNING,
)


def late_share(kind: str, name: str, T: int, seed: int) -> float:
    """Return the mean reward of the last tenth of a run, over the optimum; NaN where it does not apply."""
    bandit = recovering(kind, n_arms=5, max_pulls=2, memory=6, seed=3)
    if name == "blocking UCB" and kind != "blocking":
        return math.nan
    makers: dict[str, Callable[[], Any]] = {
        "optimal cycle": lambda: OptimalCycle(bandit=bandit),
        "periodic plan": lambda: PeriodicOracle(bandit=bandit),
        "greedy": lambda: GreedyOracle(bandit=bandit),
        "lookahead, 2 periods": lambda: LookaheadOracle(bandit=bandit),
        "interleaved rates": lambda: InterleavedOracle(bandit=bandit),
        "random offsets": lambda: RandomOffsetsOracle(bandit=bandit),
        "round robin": lambda: RoundRobinOracle(bandit=bandit),
        "PeriodicUCB": PeriodicUCB,
        "UCB-greedy": lambda: UCBGreedy(memory=6, refresh_growth=0.1),
        "blocking UCB": lambda: BlockingUCB(refresh_growth=0.1),
        "GP lookahead": lambda: GPLookahead(memory=6),
    }
    problem = RecoveringProblem(bandit, known_delays=True)
    trace = play(problem, makers[name](), T, seed)
    return float(trace.values[-T // 10 :].mean()) / problem.benchmark


# Regret over the number of arms.


def arms(setting: Setting) -> Part:
    """Planner regret over N at fixed T, with K = 2 and with K = N / 3, beside the bound's growth."""
    sizes = setting.scope.pick([6, 12], [6, 12, 24, 48])
    T, seeds = setting.scope.pick(4000, 32_000), setting.scope.seeds(3, 12)
    figure, (ax,) = panels(1, 1, width=5.5)
    rows, numbers = [], dict[str, Any]()
    pulls = {"K = 2": [2 for N in sizes], "K = N / 3": [N // 3 for N in sizes]}
    for label, colour in zip(pulls, COLOURS, strict=False):
        jobs = [(N, K, T, seeds) for N, K in zip(sizes, pulls[label], strict=True)]
        samples = np.array(setting.map(regret_of_size, jobs))
        bounds = np.array([regret_bound(N, K, T) for N, K in zip(sizes, pulls[label], strict=True)])
        slope = slope_interval(np.array(sizes) * 1.0, samples)
        growth = np.polyfit(np.log(sizes), np.log(bounds), 1)[0]
        error = samples.std(axis=1, ddof=1) / math.sqrt(len(seeds))
        ax.errorbar(sizes, samples.mean(axis=1), 2 * error, color=colour, marker="o", markersize=4,
                    label=f"{label}: regret")  # fmt: skip
        ax.plot(sizes, bounds, ":", color=colour, label=f"{label}: bound")
        rows.append(
            [label, *(f"{m:,.0f}" for m in samples.mean(axis=1)), f"{slope.estimate:.2f}", f"{growth:.2f}"]
        )
        numbers[label] = {"N": sizes, "regret": samples.tolist(), "bound": bounds.tolist()}
    ax.set(xscale="log", yscale="log", xlabel="arms N", ylabel=f"after {T:,} periods")
    ax.legend(frameon=False, fontsize="small")
    header = [f"planner regret, T = {T:,}", *(f"N = {N}" for N in sizes), "slope", "slope of the bound"]
    return Part(figure, header, rows, numbers)


def regret_of_size(N: int, K: int, T: int, seeds: range) -> list[float]:
    """Return the planner regret on three concave bandits with N arms, averaged for each seed."""
    total = np.zeros(len(seeds))
    for seed in range(3):
        bandit = recovering("concave", n_arms=N, max_pulls=K, memory=16, seed=seed)
        total += planner_regret(bandit, PeriodicUCB, np.array([T]), seeds)[0][0]
    return (total / 3).tolist()


PARTS: dict[str, Callable[[Setting], Part]] = {
    "schedule": schedule,
    "exact": exact,
    "ratio": ratio,
    "learning": learning,
    "baselines": baselines,
    "arms": arms,
}

if __name__ == "__main__":
    run("recovering", PARTS, __doc__)
