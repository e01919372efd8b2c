"""StepMix and EpsMix beside what they are compared with: every figure and table of the docs page.

    python experiments/stepmix.py                    # all parts, a few minutes on two cores
    python experiments/stepmix.py --quick            # fewer seeds and episodes, under a minute
    python experiments/stepmix.py --only coin modes  # some parts
    python experiments/stepmix.py --docs             # all parts, into docs/papers/figures/stepmix/

Values, regrets and violations are exact: each executed policy is evaluated on the true model. Writes a
figure (PNG) and a table (Markdown) for each part, and all numbers in `numbers.json`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from _parts import Part, Setting, run
from _plots import log_points, mean_sd, outside_legend, panels
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from theoryrl import ConservativeMDP, Policy, Study, Trace, play
from theoryrl.instances import coin, hazard, random_conservative
from theoryrl.learners import (
    BPIUCBVI,
    DOPE,
    PSRL,
    UCBVI,
    AlwaysBaseline,
    Budget,
    EpsMix,
    FixedMixture,
    OptCMDP,
    OptPessLP,
    OracleMixture,
    StepMix,
    learn_baseline,
)
from theoryrl.protocol import EpisodicProblem
from theoryrl.solvers import policy_value, simulate_episodes
from theoryrl.theory import slope_interval
from theoryrl.theory.evidence.conservative import ConservativeRun, audited_run, cautious_episodes

LAZY = 0.1
"""Growth of the lazy refresh in every run."""

ROUNDING = 1e-9
"""A value counts as a violation when it is further than this below the threshold."""

STYLE = {
    "StepMix": ("#0072B2", "-"),
    "EpsMix": ("#D55E00", "--"),
    "unconstrained": ("#009E73", "-."),
    "budget": ("#CC79A7", ":"),
    "always baseline": ("#000000", ":"),
    "fixed mixture": ("#56B4E9", "--"),
    "oracle mixture": ("#E69F00", "-."),
    "UCBVI": ("#009E73", ":"),
    "PSRL": ("#666666", "-"),
    "OptCMDP": ("#999933", "--"),
    "OptPess-LP": ("#882255", "-"),
    "DOPE": ("#117733", "-"),
}


# What the parts share.


def contenders(model: ConservativeMDP, n_min: int = 1) -> dict[str, Any]:
    """Return the four learners of the main comparison, all with ``kl`` bounds."""
    shared: dict[str, Any] = {"refresh_growth": LAZY, "n_min": n_min}
    return {
        "StepMix": StepMix(**shared),
        "EpsMix": EpsMix(**shared),
        "unconstrained": BPIUCBVI(bounds="kl", **shared),
        "budget": Budget(baseline_value=policy_value(model.mdp, model.baseline), **shared),
    }


def violations(trace: Trace, threshold: float) -> int:
    """Return the number of episodes whose policy is worth less than the threshold."""
    return trace.count(trace.stretch_values < threshold - ROUNDING)


def caution(trace: Trace) -> float:
    """Return N, the number of non-optimistic episodes; a learner without a constraint has none."""
    return cautious_episodes(trace) if "kind" in trace.stretch_diagnostics else 0.0


def band(ax: Axes, x: np.ndarray, curves: np.ndarray, name: str, label: str | None = None) -> None:
    """Draw the mean over seeds (the first axis), and the range of the seeds as a band."""
    colour, dash = STYLE[name]
    ax.plot(x, curves.mean(axis=0), color=colour, linestyle=dash, linewidth=1.6, label=label or name)
    ax.fill_between(x, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, linewidth=0)


# Violations, regret and N on five instances.


def comparison(setting: Setting) -> Part:
    """StepMix, EpsMix, plain optimism and the cumulative budget, with n_min = 1 and 2."""
    pick = setting.scope.pick
    dense = pick(5000, 20_000), pick(2, 5)
    instances = {f"random {i}": (random_conservative(seed=i), *dense) for i in range(3)}
    instances["hazard p=.5"] = (hazard(p=0.5, kappa=0.1), 2000, pick(3, 10))
    instances["hazard p=.3"] = (hazard(p=0.3, kappa=0.1), *dense)
    cells = {
        (name, n_min, who): [(model, learner, rounds, seed) for seed in range(seeds)]
        for name, (model, rounds, seeds) in instances.items()
        for n_min in (1, 2)
        for who, learner in contenders(model, n_min).items()
    }
    played = iter(setting.map(play, [job for jobs in cells.values() for job in jobs]))
    found = {}
    for cell, jobs in cells.items():
        traces = [next(played) for _ in jobs]
        found[cell] = {
            "violations": [violations(trace, jobs[0][0].threshold) for trace in traces],
            "regret": [trace.final_regret for trace in traces],
            "N": [caution(trace) for trace in traces],
        }
    rows = [
        [f"{name}, K = {rounds:,}", str(n_min), *(_triple(found[name, n_min, who]) for who in LEADING)]
        for name, (_, rounds, _) in instances.items()
        for n_min in (1, 2)
    ]
    numbers = {", ".join(map(str, cell)): cell_numbers for cell, cell_numbers in found.items()}
    return Part(_bars(found, list(instances)), ["instance", "n_min", *LEADING], rows, numbers)


LEADING = ("StepMix", "EpsMix", "unconstrained", "budget")


def _triple(cell: Mapping[str, Sequence[float]]) -> str:
    return f"{np.mean(cell['violations']):.4g} / {mean_sd(cell['regret'])} / {np.mean(cell['N']):,.0f}"


def _bars(
    found: Mapping[tuple[str, int, str], Mapping[str, Sequence[float]]], instances: list[str]
) -> Figure:
    figure, axes = panels(1, 2, width=5.2)
    for ax, quantity in zip(axes, ("violations", "regret"), strict=True):
        for shift, who in enumerate(LEADING):
            samples = [found[name, 1, who][quantity] for name in instances]
            x = np.arange(len(instances)) + 0.2 * (shift - 1.5)
            means = [float(np.mean(s)) for s in samples]
            ax.bar(x, means, 0.18, color=STYLE[who][0], label=who)
            for position, mean, s in zip(x, means, samples, strict=True):
                ax.vlines(position, min(s), max(s), color="black", linewidth=0.8)
                if mean == 0:
                    ax.annotate("0", (position, 0), ha="center", va="bottom", fontsize="x-small")
        ax.set_xticks(
            range(len(instances)), [name.replace(" ", "\n") for name in instances], fontsize="small"
        )
    axes[0].set(title="episodes below the threshold, per run", yscale="symlog", ylim=(0, None))
    axes[1].set(title="regret", yscale="log")
    outside_legend(figure, axes[0], 4)
    return figure


# Why episode-wise: hazard, every episode.


def safety(setting: Setting) -> Part:
    """The value of each episode's policy, and the cumulative margin that hides the violations."""
    model = hazard(p=0.5, kappa=0.1)
    study = Study({"hazard": model}, contenders(model), 2000, setting.scope.pick(3, 10))
    runs = study.run(setting.executor, progress=False).isel(instance=0)
    episodes = runs["round"].values
    optimum, gamma = float(runs["benchmark"].mean()), model.threshold
    figure, axes = panels(2, 3, width=3.6, height=2.8)
    margin_ax, count_ax = axes[2], axes[5]
    rows, numbers = [], dict[str, Any]()
    for ax, who in zip(axes[[0, 1, 3, 4]], LEADING, strict=True):
        values = runs["value"].sel(learner=who).transpose("seed", "round").values
        below = values < gamma - ROUNDING
        margins = np.cumsum(values - gamma, axis=1)
        _draw_values(ax, episodes, values, below, who)
        ax.axhline(gamma, color="black", linewidth=0.8)
        ax.axhline(optimum, color="grey", linestyle=":", linewidth=0.8)
        band(margin_ax, episodes, margins, who)
        band(count_ax, episodes, np.cumsum(below, axis=1), who)
        worst = values.min() - gamma
        rows.append([who, mean_sd(below.sum(axis=1)), f"{worst:+.3f}", f"{margins.min():+.1f}"])
        numbers[who] = {
            "violations": below.sum(axis=1).tolist(),
            "worst episode": float(worst),
            "worst cumulative margin": margins.min(axis=1).tolist(),
        }
    margin_ax.axhline(0, color="black", linewidth=0.8)
    margin_ax.set(title="cumulative margin", xlabel="episode", yscale="symlog", xscale="log")
    count_ax.set(title="episodes below the threshold", xlabel="episode", xscale="log")
    outside_legend(figure, margin_ax, 4)
    header = ["hazard p=.5, K = 2,000", "violations per run", "worst episode − γ", "lowest cumulative margin"]
    return Part(figure, header, rows, numbers)


def _draw_values(ax: Axes, episodes: np.ndarray, values: np.ndarray, below: np.ndarray, who: str) -> None:
    """Draw every episode of every seed, violations in red."""
    x = np.broadcast_to(episodes, values.shape)
    ax.scatter(x[~below], values[~below], s=2, color=STYLE[who][0], rasterized=True)
    ax.scatter(x[below], values[below], s=4, color="red", marker="x", linewidths=0.5, rasterized=True)
    ax.set(title=who, xlabel="episode", ylabel="value of the policy", xscale="log", ylim=(1.4, 2.95))


# Regret against the certificate.


def certificate(setting: Setting) -> Part:
    """Regret with seed bands, under the certificate of part (c), which no value of a policy enters."""
    rounds, seeds = setting.scope.pick((20_000, 2), (1_000_000, 5))
    points = log_points(rounds)
    models = {"random 0": random_conservative(seed=0), "hazard p=.3": hazard(p=0.3, kappa=0.1)}
    figure, axes = panels(1, 2, width=4.8)
    rows, numbers = [], dict[str, Any]()
    for ax, (name, model) in zip(axes, models.items(), strict=True):
        for who, learner in list(contenders(model).items())[:2]:
            runs = setting.map(audited_run, [(model, learner, rounds, seed, name) for seed in range(seeds)])
            regret = np.array([run.cumulative(run.loss, points) for run in runs])
            bound = np.array([run.cumulative(run.certificate, points) for run in runs])
            band(ax, points, regret, who, f"{who}: regret")
            ax.plot(
                points, bound.mean(axis=0), color=STYLE[who][0], linewidth=0.8, label=f"{who}: certificate"
            )
            bites = [_bites(run) for run in runs]
            rows.append(
                [f"{name}, {who}", mean_sd(regret[:, -1]), mean_sd(bound[:, -1]), f"{np.mean(bites):,.0f}"]
            )
            numbers[f"{name}, {who}"] = {
                "K": rounds,
                "regret": regret[:, -1].tolist(),
                "certificate": bound[:, -1].tolist(),
                "bites at": bites,
            }
        trivial = points * runs[0].problem.benchmark
        ax.plot(points, trivial, color="grey", linestyle=":", linewidth=0.8, label="trivial bound K V*")
        ax.set(title=name, xlabel="episode", xscale="log", yscale="log")
    axes[0].set_ylabel("cumulative")
    outside_legend(figure, axes[0], 3)
    header = [f"K = {rounds:,}", "regret", "certificate", "certificate below K V* from episode"]
    return Part(figure, header, rows, numbers)


def _bites(run: ConservativeRun) -> int:
    points = np.arange(1, run.trace.rounds + 1)
    better = run.cumulative(run.certificate, points) < run.problem.benchmark * points
    return int(np.argmax(better)) + 1 if better.any() else run.trace.rounds


# The price of safety over the margin.


def margins(setting: Setting) -> Part:
    """N on `coin` over 1 / kappa: the rate 1 / kappa^2 is attained."""
    rounds, seeds = setting.scope.pick((50_000, 2), (400_000, 10))
    kappas = 0.2 / 2.0 ** np.arange(setting.scope.pick(3, 5))
    figure, (ax,) = panels(1, 1, width=5.2)
    rows, numbers = [], dict[str, Any]()
    for who in LEADING[:2]:
        jobs = [
            (model, contenders(model)[who], rounds, seed)
            for model in (coin(kappa=float(kappa)) for kappa in kappas)
            for seed in range(seeds)
        ]
        counts = np.array([caution(t) for t in setting.map(play, jobs)]).reshape(len(kappas), seeds)
        slope = slope_interval(1 / kappas, counts, paired=True)  # the same seeds at every margin
        text = f"{slope.estimate:.2f} [{slope.low:.2f}, {slope.high:.2f}]"
        band(ax, 1 / kappas, counts.T, who, f"{who}: slope {text}")
        ax.plot(1 / kappas, counts.mean(axis=1), "o", color=STYLE[who][0], markersize=4)
        rows.append([who, *(f"{mean:,.0f}" for mean in counts.mean(axis=1)), text])
        numbers[who] = {"kappa": kappas.tolist(), "N": counts.tolist(), "slope": list(slope)}
    ax.set(xlabel="1 / κ", ylabel="non-optimistic episodes N", xscale="log", yscale="log", title="coin")
    ax.set_xticks(1 / kappas, [f"{1 / kappa:g}" for kappa in kappas])
    ax.minorticks_off()
    ax.legend(frameon=False)
    header = [f"coin, K = {rounds:,}", *(f"κ = {kappa:g}" for kappa in kappas), "slope [99 %]"]
    return Part(figure, header, rows, numbers)


# The three bound modes.


def modes(setting: Setting) -> Part:
    """StepMix and EpsMix with each bound mode on `random 0`, theory constants."""
    rounds = setting.scope.pick(100_000, 1_000_000)
    model, points = random_conservative(seed=0), log_points(rounds)
    makers = {"StepMix": StepMix, "EpsMix": EpsMix}
    cells = [(who, bounds) for who in makers for bounds in ("kl", "bernstein", "bpi-ucbvi")]
    jobs = [(model, makers[who](bounds=bounds, refresh_growth=LAZY), rounds, 0) for who, bounds in cells]
    figure, axes = panels(1, 2, width=4.4, sharey=True)
    rows, numbers = [], dict[str, Any]()
    for (who, bounds), trace in zip(cells, setting.map(play, jobs), strict=True):
        ax = axes[list(makers).index(who)]
        colour = {"kl": "#0072B2", "bernstein": "#D55E00", "bpi-ucbvi": "#009E73"}[bounds]
        ax.plot(points, trace.regret_at(points), color=colour, label=bounds)
        count, below = caution(trace), violations(trace, model.threshold)
        last = float(trace.stretch_diagnostics["width"][-1])
        rows.append(
            [f"{who}, `{bounds}`", f"{trace.final_regret:,.1f}", f"{count:,.0f}", f"{last:.3f}", str(below)]
        )
        numbers[f"{who}, {bounds}"] = {
            "K": rounds, "regret": trace.final_regret, "N": count, "last width": last, "violations": below,
        }  # fmt: skip
    for ax, who in zip(axes, makers, strict=True):
        ax.set(title=who, xlabel="episode", xscale="log", yscale="log")
    axes[0].set_ylabel("regret")
    outside_legend(figure, axes[0], 3)
    header = [f"random 0, K = {rounds:,}, one seed", "regret", "N", "last width D_K", "violations"]
    return Part(figure, header, rows, numbers)


# Methods for constrained MDPs, and simple baselines.


def baselines(setting: Setting) -> Part:
    """Every other learner of the library on a small `hazard`, where linear programs are affordable."""
    rounds, seeds = setting.scope.pick((5000, 2), (200_000, 5))
    model = hazard(horizon=4, p=0.5, kappa=0.2)
    lazy: dict[str, Any] = {"refresh_growth": LAZY}
    with warnings.catch_warnings(action="ignore"):  # an oracle that knows the values needs no guarantee
        thin = UCBVI(bonus_scale=0.01, **lazy)
    learners = contenders(model) | {
        "always baseline": AlwaysBaseline(),
        "fixed mixture": FixedMixture(epsilon=0.1, optimist=UCBVI(**lazy)),
        "oracle mixture": OracleMixture(mdp=model.mdp, optimist=thin),
        "UCBVI": UCBVI(**lazy),
        "PSRL": PSRL(**lazy),
        "OptCMDP": OptCMDP(**lazy),
        "OptPess-LP": OptPessLP(**lazy),
        "DOPE": DOPE(**lazy),
    }
    runs = Study({"hazard": model}, learners, rounds, seeds).run(setting.executor, progress=False)
    runs = runs.isel(instance=0)
    figure, axes = panels(1, 2, width=5.0, height=3.8)
    rows, numbers = [], dict[str, Any]()
    for who in learners:
        own = runs.sel(learner=who)
        regret, below = own["final_regret"].values, own["violations"].values
        band(axes[0], runs["round"].values, own["regret"].transpose("seed", "round").values, who)
        axes[1].plot(below.mean(), regret.mean(), "o", color=STYLE[who][0])
        knows = "the true model" if who == "oracle mixture" else "V^b" if who == "budget" else ""
        rows.append([who, mean_sd(regret), f"{below.mean():,.1f}", knows or "—"])
        numbers[who] = {"regret": regret.tolist(), "violations": below.tolist()}
    axes[0].set(xlabel="episode", ylabel="regret", xscale="log", yscale="log", ylim=(0.1, None))
    axes[1].set(xlabel="episodes below the threshold, per run", ylabel="regret after the last episode",
                xscale="symlog", yscale="log", xlim=(-0.5, None), ylim=(10, 1e6))  # fmt: skip
    _label_points(axes[1], {w: (np.mean(n["violations"]), np.mean(n["regret"])) for w, n in numbers.items()})
    outside_legend(figure, axes[0], 4)
    header = [f"hazard H=4 p=.5 κ=.2, K = {rounds:,}", "regret", "violations per run", "told besides"]
    return Part(figure, header, rows, {"K": rounds, **numbers})


def _label_points(ax: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write each name beside its point, moved upwards where two points are close."""
    last = {0: -math.inf, 1: -math.inf}
    for who, (x, y) in sorted(points.items(), key=lambda item: item[1][1]):
        side = int(x > 0)
        height = max(math.log10(y), last[side] + 0.3)
        last[side] = height
        ax.annotate(
            who, (x, y), xytext=(1.5 * x + 0.4, 10**height), fontsize="small", va="center",
            color=STYLE[who][0], arrowprops={"arrowstyle": "-", "lw": 0.4, "color": "grey"},
        )  # fmt: skip


# A baseline learned offline.

LOSS = 0.2
"""gamma is this much below the value of the behaviour policy."""


def offline(setting: Setting) -> Part:
    """Certificates over the number of episodes, and what a learned baseline is worth online."""
    pick = setting.scope.pick
    model = hazard(p=0.3)
    behaviour = 0.8 * model.baseline.stages(5) + 0.2 * model.baseline.stages(5)[..., ::-1]
    gamma = policy_value(model.mdp, Policy(behaviour)) - LOSS
    sizes = np.array([30, 100, 300, 1000, 3000, 10_000])
    figure, axes = panels(1, 2, width=4.8)
    rows: list[list[str]] = []
    numbers: dict[str, Any] = {"gamma": gamma, "behaviour": gamma + LOSS}
    colours = {"kl": "#0072B2", "fold-hoeffding": "#D55E00", "fold-bernstein": "#009E73"}
    for method, colour in colours.items():
        jobs = [(model, behaviour, int(n), method, seed) for n in sizes for seed in range(pick(3, 10))]
        pairs = np.array(setting.map(certified, jobs)).reshape(len(sizes), -1, 2)
        certificates, values = pairs[..., 0], pairs[..., 1]
        axes[0].plot(sizes, certificates.mean(axis=1), "o-", color=colour, label=method, markersize=4)
        axes[0].fill_between(
            sizes, certificates.min(axis=1), certificates.max(axis=1), color=colour, alpha=0.15
        )
        accepted = (certificates >= gamma).sum(axis=1)
        rows.append(
            [
                f"`{method}`",
                *(f"{c:.2f} ({a})" for c, a in zip(certificates.mean(axis=1), accepted, strict=True)),
            ]
        )
        numbers[method] = {
            "n": sizes.tolist(),
            "certificate": certificates.tolist(),
            "value": values.tolist(),
            "valid": bool((certificates <= values).all()),
        }
    axes[0].axhline(gamma, color="black", linewidth=0.8, label="γ (the gate)")
    axes[0].axhline(gamma + LOSS, color="grey", linestyle=":", label="behaviour")
    axes[0].set(xlabel="offline episodes", ylabel="certified value", xscale="log", ylim=(0, None))
    axes[0].legend(frameon=False, fontsize="small")
    numbers["online"] = _online(axes[1], setting, model, behaviour, gamma)
    header = ["certificate (accepted data sets)", *(f"n = {n:,}" for n in sizes)]
    return Part(figure, header, rows, numbers)


def certified(
    model: ConservativeMDP, behaviour: np.ndarray, episodes: int, method: str, seed: int
) -> tuple[float, float]:
    """Return the certificate of one data set at delta = 0.025, and the learned policy's exact value."""
    mdp = model.mdp
    data = simulate_episodes(mdp, Policy(behaviour), episodes, np.random.default_rng([seed, episodes]))
    learned = learn_baseline(data, mdp.r, mdp.rho, 0.025, method)
    return learned.certificate, policy_value(mdp, learned.policy)


def _online(
    ax: Axes, setting: Setting, model: ConservativeMDP, behaviour: np.ndarray, gamma: float
) -> dict[str, Any]:
    """Play 2e4 episodes with a baseline learned from 1000, counts warm or cold; return the numbers."""
    rounds, seeds = setting.scope.pick((5000, 2), (20_000, 5))
    points, numbers = log_points(rounds), dict[str, Any]()
    problems = []
    for seed in range(seeds):
        data = simulate_episodes(model.mdp, Policy(behaviour), 1000, np.random.default_rng([seed, 1000]))
        problems.append(EpisodicProblem(model.mdp, "hazard offline", threshold=gamma, offline=data))
    for who, make in (("StepMix", StepMix), ("EpsMix", EpsMix)):
        for warm in (True, False):
            learner = make(refresh_growth=LAZY, offline="kl", warm_start=warm)
            traces = setting.map(play, [(p, learner, rounds, s) for s, p in enumerate(problems)])
            curves = np.array([trace.regret_at(points) for trace in traces])
            label = f"{who}, {'warm' if warm else 'cold'}"
            ax.plot(
                points, curves.mean(axis=0), color=STYLE[who][0], linestyle="-" if warm else "--", label=label
            )
            numbers[label] = {
                "K": rounds, "regret": curves[:, -1].tolist(), "N": [caution(t) for t in traces],
                "violations": [violations(t, gamma) for t in traces],
            }  # fmt: skip
    ax.set(
        xlabel="episode",
        ylabel="regret",
        title="baseline learned from 1,000 episodes",
        xscale="log",
        yscale="log",
    )
    ax.legend(frameon=False, fontsize="small")
    return numbers


PARTS: dict[str, Callable[[Setting], Part]] = {
    "comparison": comparison,
    "safety": safety,
    "certificate": certificate,
    "coin": margins,
    "modes": modes,
    "baselines": baselines,
    "offline": offline,
}

if __name__ == "__main__":
    run("stepmix", PARTS, __doc__)
