"""R-BOCPD and R-BOCPD-UCRL2: every figure and table of the docs page.

    python experiments/rbocpd_ucrl2.py                    # all parts, some minutes on two cores
    python experiments/rbocpd_ucrl2.py --quick            # fewer seeds and steps
    python experiments/rbocpd_ucrl2.py --only regret      # some parts
    python experiments/rbocpd_ucrl2.py --docs             # all parts, into docs/papers/figures/rbocpd-ucrl2/

Regret is sum_t (rho*_t - r(s_t, a_t)) with exact gains and mean rewards. "c" is the factor on UCRL2's radii:
c = 1 is the theory; c = 0.2 is for illustration, and said so in every figure. Writes a figure (PNG) and a
table (Markdown) for each part, and all numbers in `numbers.json`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from _parts import Part, Setting, run
from _plots import mean_sd, outside_legend, panels

from theoryrl import PiecewiseStationaryMDP, play
from theoryrl.instances import (
    flipping_riverswim,
    harmless_change,
    one_pair_change,
    switching_random,
    unseen_change,
)
from theoryrl.learners import (
    BORL,
    KLUCRL,
    RBOCPDUCRL2,
    SWUCRL,
    SWUCRL2CW,
    UCRL2,
    UCRL2B,
    AveragePSRL,
    OracleRestarts,
    UCRL2Restarts,
)
from theoryrl.learners.rbocpd_ucrl2 import alarm_steps
from theoryrl.protocol import as_problem
from theoryrl.solvers import diameter
from theoryrl.solvers.detection import (
    RestartedBOCPD,
    RestartRule,
    bocpd_alarm,
    detection_delay_bound,
    glr_alarm,
    plugin_delay,
    survival_bound,
)
from theoryrl.theory import slope_interval
from theoryrl.theory.evidence.audited_average import bite_horizon, regret_bound

COLOURS = {
    "R-BOCPD-UCRL2": "#0072B2",
    "R-BOCPD-UCRL2, universal": "#56B4E9",
    "R-BOCPD-UCRL2, 1/n": "#CC79A7",
    "UCRL2": "#D55E00",
    "oracle restarts": "#000000",
    "restarts at cubes": "#E69F00",
    "SW-UCRL": "#009E73",
    "SWUCRL2-CW": "#999933",
    "BORL": "#882255",
    "PSRL": "#666666",
    "UCRL2B": "#AA4499",
    "KL-UCRL": "#117733",
}
DELTA = 0.05


# The detector.

DEMO = ((0.8, 300), (0.4, 400), (0.9, 350), (0.5, 200))
"""Means and lengths of the segments of the demonstration that accompanies the parent paper."""


def rules(horizon: int) -> dict[str, RestartRule]:
    """Return the restart rules that are compared."""
    return {
        "safe": RestartRule("safe", DELTA),
        "universal": RestartRule("universal", DELTA),
        "icml2020": RestartRule("icml2020", DELTA),
        "1/T": RestartRule("constant", horizon=horizon),
        "1/n": RestartRule("inverse_n"),
    }


def demo_delays(rule: RestartRule, streams: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the delays at the three changes (NaN if missed), and other restarts per stream."""
    ends = np.cumsum([length for _, length in DEMO])
    delays, extra = np.full((len(streams), 3), np.nan), 0
    for i, x in enumerate(streams):
        times = np.array([d.time for d in RestartedBOCPD(2, eta=rule).run(x)])
        for k in range(3):
            inside = times[(times >= ends[k]) & (times < ends[k + 1])]
            if inside.size:
                delays[i, k] = inside[0] - ends[k] + 1
        extra += len(times) - int(np.isfinite(delays[i]).sum())
    return delays, extra / len(streams)


def false_alarm_rate(rule: RestartRule, streams: np.ndarray, size: int) -> float:
    """Return the share of streams without a change that alarm."""
    return float(np.mean([bool(RestartedBOCPD(size, eta=rule).run(x)) for x in streams]))


def detector(setting: Setting) -> Part:
    """False alarms without a change, and delays on the demonstration, for every rule."""
    rng = np.random.default_rng([setting.scope.seed, 1])
    count = setting.scope.pick(60, 1000)
    calm = {size: rng.choice(size, (count, 400), p=p) for size, p in ((2, [0.5, 0.5]), (3, [0.2, 0.3, 0.5]))}
    demo = np.concatenate([rng.random((setting.scope.pick(20, 300), n)) < p for p, n in DEMO], axis=1).astype(
        np.int64
    )
    numbers: dict[str, Any] = {}
    for name, rule in rules(400).items():
        rates = {
            size: None if name == "icml2020" and size > 2 else false_alarm_rate(rule, x, size)
            for size, x in calm.items()
        }
        delays, extra = demo_delays(rules(1250)[name], demo)
        numbers[name] = {
            "false alarms, O = 2": rates[2],
            "false alarms, O = 3": rates[3],
            "delays": np.nanmean(delays, axis=0).tolist(),
            "missed": float(np.isnan(delays).mean()),
            "extra": extra,
        }
    others = {"GLR": lambda x: glr_alarm(x, DELTA), "BOCPD, hazard 1/T": lambda x: bocpd_alarm(x, 2, 1 / 400)}
    for name, alarm in others.items():
        few = calm[2][: setting.scope.pick(20, 300)]
        rate = float(np.mean([alarm(x) >= 0 for x in few]))
        first = np.array([alarm(x[:700]) for x in demo[: setting.scope.pick(10, 60)]])
        late = first[first >= 300] - 299.0
        numbers[name] = {"false alarms, O = 2": rate, "delays": [float(late.mean()) if late.size else None]}
    figure, (left, right) = panels(1, 2, width=5)
    names = [*rules(400), *others]
    left.bar(range(len(names)), [numbers[n]["false alarms, O = 2"] for n in names], color="#0072B2")
    left.axhline(DELTA, color="black", linestyle=":", label="delta of the proven rules")
    left.set_xticks(range(len(names)), [n.replace(", ", ",\n") for n in names], rotation=30, fontsize="small")
    left.set(ylabel="share of streams with a false alarm", title="no change, 400 samples of a fair coin")
    left.legend(frameon=False)
    for k, colour in enumerate(("#0072B2", "#D55E00", "#009E73")):
        values = [numbers[n]["delays"][k] for n in rules(400)]
        right.bar(np.arange(5) + 0.27 * (k - 1), values, 0.25, color=colour, label=f"change {k + 1}")
    right.set_xticks(range(5), list(rules(400)))
    right.set(ylabel="mean delay (samples)", title="means .8, .4, .9, .5: delay of each change")
    right.legend(frameon=False)
    rows = [
        [
            name,
            *(_share(cell.get(key)) for key in ("false alarms, O = 2", "false alarms, O = 3")),
            " / ".join(f"{d:.1f}" for d in cell["delays"] if d is not None),
            _share(cell.get("extra"), 2),
        ]
        for name, cell in numbers.items()
    ]
    header = [
        "rule",
        "false alarms, O = 2",
        "false alarms, O = 3",
        "mean delays",
        "extra per stream",
    ]
    return Part(figure, header, rows, numbers)


def _share(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


# Delays against theory.

LAW = (np.array([0.2, 0.3, 0.5]), np.array([0.5, 0.3, 0.2]))


def first_delays(
    rule: RestartRule, laws: Any, m: int, k: int, count: int, seed: Any, prune: float = 0.0
) -> np.ndarray:
    """Return delays of the first alarm of streams that change after m samples; NaN if early, inf if none."""
    rng = np.random.default_rng(seed)
    delays = np.full(count, np.inf)
    for i in range(count):
        x = np.concatenate([rng.choice(len(p), n, p=p) for p, n in zip(laws, (m, k), strict=True)])
        found = RestartedBOCPD(len(laws[0]), eta=rule, prune=prune).run(x)
        if found:
            delays[i] = found[0].time - m + 1 if found[0].time >= m else np.nan
    return delays


def delays(setting: Setting) -> Part:
    """Survival after a change against its exact bound, and mean delays against log(1 / delta)."""
    count = setting.scope.pick(60, 400)
    before, after = np.array([0.8, 0.2]), np.array([0.4, 0.6])
    d = np.arange(5, 181, 5)
    rule = RestartRule("safe", DELTA)
    bound = survival_bound(300, d, before, after, rule)
    found = first_delays(rule, (before, after), 300, 180, count, [setting.scope.seed, 2])
    survived = np.array([(found > n).mean() for n in d])
    figure, (left, right) = panels(1, 2, width=5)
    left.plot(d, survived, "o", color="#0072B2", markersize=3, label=f"{count} streams")
    left.plot(d, bound, color="black", label="exact bound T2'")
    left.set(xlabel="samples after the change", ylabel="share without an alarm", ylim=(0, 1.03))
    left.set_title("Bernoulli .2 to .6 after 300 samples, safe, delta = .05", fontsize="medium")
    left.legend(frameon=False)
    rows, points = [], []
    for delta in (0.1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-9):
        safe = RestartRule("safe", delta)
        exact = first_delays(safe, LAW, 800, 400, count // 2, [setting.scope.seed, 3])
        thin = first_delays(safe, LAW, 800, 400, count // 2, [setting.scope.seed, 3], prune=0.1)
        hit = exact[np.isfinite(exact)]
        plug, proven = plugin_delay(800, *LAW, safe), detection_delay_bound(800, *LAW, safe)
        points.append((np.log(1 / delta), hit.mean(), plug))
        late = np.where(np.isfinite(thin) & np.isfinite(exact), thin - exact, np.nan)
        rows.append(
            [f"{delta:g}", mean_sd(hit), f"{plug:.0f}", f"{proven:,.0f}", f"{np.isfinite(exact).mean():.3f}",
             f"{np.nanmean(late):.1f} / {np.nanmax(late):.0f}"]
        )  # fmt: skip
    x, measured, expected = np.array(points).T
    KL = float(np.sum(LAW[1] * np.log(LAW[1] / LAW[0])))
    right.plot(x, measured, "o", color="#0072B2", label="measured mean")
    right.plot(x, expected, color="#D55E00", label="plug-in estimate")
    right.plot(x, x / KL, color="black", linestyle=":", label="log(1/delta) / KL: asymptotic optimum")
    right.set(xlabel="log(1 / delta)", ylabel="delay (samples)", ylim=(0, None))
    right.set_title("(.2, .3, .5) to (.5, .3, .2) after 800 samples", fontsize="medium")
    right.legend(frameon=False, fontsize="small")
    numbers = {
        "survival": {int(n): [float(s), float(b)] for n, s, b in zip(d, survived, bound, strict=True)},
        "log_inverse_delta": x.tolist(),
        "measured": measured.tolist(),
        "plug_in": expected.tolist(),
        "KL": KL,
    }
    header = [
        "delta",
        "mean delay ± sd",
        "plug-in",
        "bound T2",
        "detected",
        "pruned: later by mean / most",
    ]
    return Part(figure, header, rows, numbers)


# Agents.


def contenders(model: PiecewiseStationaryMDP, scale: float) -> dict[str, Any]:
    """Return the learners of the main comparison; those without a guarantee say so in the table."""
    with warnings.catch_warnings(action="ignore"):
        return _contenders(model, scale)


def _contenders(model: PiecewiseStationaryMDP, scale: float) -> dict[str, Any]:
    changes = as_problem(model).change_points
    c: dict[str, Any] = {"bonus_scale": scale}
    return {
        "R-BOCPD-UCRL2": RBOCPDUCRL2(**c),
        "R-BOCPD-UCRL2, universal": RBOCPDUCRL2(eta="universal", **c),
        "R-BOCPD-UCRL2, 1/n": RBOCPDUCRL2(eta="inverse_n", **c),
        "oracle restarts": OracleRestarts(change_points=changes, **c),
        "UCRL2": UCRL2(**c),
        "restarts at cubes": UCRL2Restarts(changes=len(changes) + 1, **c),
        "SW-UCRL": SWUCRL(window=10_000, **c),
        "SWUCRL2-CW": SWUCRL2CW(**c),
        "BORL": BORL(**c),
        "UCRL2B": UCRL2B(**c),
        "KL-UCRL": KLUCRL(**c),
        "PSRL": AveragePSRL(),
    }


def curve(model: PiecewiseStationaryMDP, name: str, scale: float, rounds: int, seed: int) -> Any:
    """Return regret at 101 times, the number of restarts, and the delays of the changes."""
    with warnings.catch_warnings(action="ignore"):
        trace = play(model, contenders(model, scale)[name], rounds, seed)
    times = np.linspace(0, rounds, 101).astype(np.int64)
    restarts = trace.diagnostics["restarts"]
    alarms = alarm_steps(restarts)
    segments = model.segment_of(alarms)
    seen = [(c, alarms[segments == k]) for k, c in enumerate(model.change_points, start=1)]
    return trace.regret_at(times), float(restarts[-1]), [int(a[0]) - int(c) + 1 for c, a in seen if a.size]


def regret(setting: Setting) -> Part:
    """Regret of every learner on two models that change three times."""
    T, seeds = setting.scope.pick(3000, 100_000), setting.scope.pick(1, 5)
    models = {
        "RiverSwim(4), actions flip": flipping_riverswim(4, T, 3),
        "random models, S = 5, A = 3": switching_random(5, 3, rounds=T, changes=3),
    }
    figure, axes = panels(2, 2, width=3.9, height=2.7)
    numbers: dict[str, Any] = {}
    times = np.linspace(0, T, 101)
    for row, (title, model) in enumerate(models.items()):
        for column, scale in enumerate((0.2, 1.0)):
            ax = axes[2 * row + column]
            names = list(contenders(model, 1.0))
            jobs = [(model, name, scale, T, seed) for name in names for seed in range(seeds)]
            found = setting.map(curve, jobs)
            for k, name in enumerate(names):
                cell = found[k * seeds : (k + 1) * seeds]
                mean = np.mean([regrets for regrets, _, _ in cell], axis=0)
                ax.plot(times, mean, color=COLOURS[name], label=name, linewidth=1.3)
                finals = np.array([regrets[-1] for regrets, _, _ in cell])
                numbers.setdefault(name, {})[f"{title}, c = {scale:g}"] = {
                    "final": finals.tolist(),
                    "restarts": float(np.mean([r for _, r, _ in cell])),
                }
            for point in model.change_points:
                ax.axvline(point, color="grey", linestyle=":", linewidth=0.8)
            ax.set(xlabel="step", ylabel="regret", xlim=(0, T), xticks=[0, T // 2, T])
            ax.set_title(f"{title}, c = {scale:g}", fontsize="medium")
    outside_legend(figure, axes[0], 4)
    keys = list(numbers["UCRL2"])
    rows = [
        [name, *(mean_sd(cells[key]["final"]) for key in keys), f"{cells[keys[0]]['restarts']:.1f}",
         f"{cells[keys[2]]['restarts']:.1f}"]
        for name, cells in numbers.items()
    ]  # fmt: skip
    header = ["learner", *(f"{k} (mean ± sd)" for k in keys), "restarts, first", "restarts, third"]
    return Part(figure, header, rows, numbers)


def final(model: PiecewiseStationaryMDP, learner: Callable[[], Any], rounds: int, seed: int) -> float:
    """Return the regret of a run."""
    with warnings.catch_warnings(action="ignore"):
        return play(model, learner(), rounds, seed).final_regret


def river_run(name: str, rounds: int, changes: int, seed: int) -> float:
    """Return the final regret of a learner on a flipping river, with c = 0.2."""
    model = flipping_riverswim(4, rounds, changes)
    return float(curve(model, name, 0.2, rounds, seed)[0][-1])


def slope(setting: Setting) -> Part:
    """How regret grows with the number of steps, and of changes."""
    seeds = setting.scope.pick(2, 6)
    sizes = setting.scope.pick([2000, 4000, 8000], [12_000, 24_000, 48_000, 96_000, 192_000])
    changes = setting.scope.pick([1, 3], [1, 3, 7, 15])
    names = ("R-BOCPD-UCRL2", "oracle restarts", "UCRL2")
    figure, (left, right) = panels(1, 2, width=5)
    numbers: dict[str, Any] = {}
    rows = []
    for name in names:
        found = setting.map(river_run, [(name, T, 3, s) for T in sizes for s in range(seeds)])
        samples = np.array(found).reshape(len(sizes), seeds)
        fit = slope_interval(np.array(sizes, dtype=np.float64), samples, 0.95)
        left.loglog(
            sizes, samples.mean(axis=1), "o-", color=COLOURS[name], label=f"{name}: slope {fit.estimate:.2f}"
        )
        fixed = sizes[-3]
        over = setting.map(river_run, [(name, fixed, K, s) for K in changes for s in range(seeds)])
        grid = np.array(over).reshape(len(changes), seeds)
        K1 = np.array(changes) + 1.0
        growth = slope_interval(K1, grid, 0.95)
        right.loglog(
            K1, grid.mean(axis=1), "o-", color=COLOURS[name], label=f"{name}: slope {growth.estimate:.2f}"
        )
        numbers[name] = {
            "slope in T": list(fit),
            "slope in K + 1": list(growth),
            "regret": samples.mean(axis=1).tolist(),
            "over K": grid.mean(axis=1).tolist(),
        }
        rows.append([name, *(f"{v:,.0f}" for v in samples.mean(axis=1)), _interval(fit), _interval(growth)])
    left.set(xlabel="T", ylabel="regret", title="three changes, c = 0.2")
    right.set(xlabel="K + 1", ylabel="regret", title=f"T = {fixed:,}, c = 0.2")
    left.set_xticks(sizes, [f"{T // 1000}k" for T in sizes])
    right.set_xticks(K1, [f"{k:.0f}" for k in K1])
    for ax in (left, right):
        ax.set_yticks([1000, 2000, 5000, 10_000, 20_000, 50_000], ["1k", "2k", "5k", "10k", "20k", "50k"])
        ax.minorticks_off()
        ax.legend(frameon=False, fontsize="small")
    header = ["learner", *(f"T = {T:,}" for T in sizes), "slope in T", "slope in K + 1"]
    return Part(figure, header, rows, numbers)


def _interval(fit: Any) -> str:
    return f"{fit.estimate:.2f} [{fit.low:.2f}, {fit.high:.2f}]"


def unseen_run(exploration: float, rounds: int, seed: int) -> tuple[np.ndarray, float]:
    """Return regret over time where the better arm is not seen, and the delay (infinite if missed); c = 1."""
    with warnings.catch_warnings(action="ignore"):
        trace = play(unseen_change(rounds), RBOCPDUCRL2(exploration=exploration), rounds, seed)
    alarms = alarm_steps(trace.diagnostics["restarts"])
    after = alarms[alarms >= rounds // 2]
    delay = float(after[0] - rounds // 2 + 1) if after.size else np.inf
    return trace.regret_at(np.linspace(0, rounds, 101).astype(np.int64)), delay


def visibility(setting: Setting) -> Part:
    """A change that the policy does not see: the abandoned arm becomes the best one."""
    T, seeds = setting.scope.pick(8000, 40_000), setting.scope.pick(2, 20)
    levels = (0.0, 0.005, 0.02, 0.1)
    found = setting.map(unseen_run, [(a, T, s) for a in levels for s in range(seeds)])
    figure, (ax,) = panels(1, 1, width=6)
    rows, numbers = [], {}
    for k, (alpha, colour) in enumerate(
        zip(levels, ("#D55E00", "#E69F00", "#0072B2", "#009E73"), strict=True)
    ):
        cell = found[k * seeds : (k + 1) * seeds]
        curves = np.array([c for c, _ in cell])
        delays = np.array([d for _, d in cell])
        hit = np.isfinite(delays)
        label = f"exploration {alpha:g}: seen in {hit.mean():.0%} of runs"
        ax.plot(np.linspace(0, T, 101), curves.mean(axis=0), color=colour, label=label)
        ax.plot(np.linspace(0, T, 101), curves.T, color=colour, linewidth=0.3, alpha=0.4)
        delay = f"{delays[hit].mean():,.0f}" if hit.any() else "-"
        rows.append([f"{alpha:g}", f"{hit.mean():.2f}", delay, mean_sd(curves[:, -1])])
        numbers[f"{alpha:g}"] = {"seen": float(hit.mean()), "regret": float(curves[:, -1].mean())}
    ax.axvline(T // 2, color="grey", linestyle=":")
    ax.set(xlabel="step", ylabel="regret", title="means (.6, .2), then (.6, .95); c = 1")
    ax.legend(frameon=False, fontsize="small")
    return Part(figure, ["exploration", "runs that detect", "mean delay", "regret ± sd"], rows, numbers)


def reset_learners(model: PiecewiseStationaryMDP) -> dict[str, Callable[[], Any]]:
    """Return what is compared where one pair changes; c = 0.2."""
    c: dict[str, Any] = {"bonus_scale": 0.2}
    changes = as_problem(model).change_points
    return {
        "no restart": lambda: UCRL2(**c),
        "global reset": lambda: RBOCPDUCRL2(**c),
        "local reset": lambda: RBOCPDUCRL2(reset="local", **c),
        "oracle restarts": lambda: OracleRestarts(change_points=changes, **c),
    }


def reset_run(which: str, name: str, rounds: int, seed: int) -> float:
    """Return the regret of one way to restart where one pair changes."""
    model = one_pair_change(rounds) if which == "turns" else harmless_change(rounds)
    return final(model, reset_learners(model)[name], rounds, seed)


def forgetting(setting: Setting) -> Part:
    """One pair changes: the optimal policy turns round, or stays the same and forgetting only costs."""
    T, seeds = setting.scope.pick(6000, 60_000), setting.scope.pick(2, 10)
    names = list(reset_learners(one_pair_change(T)))
    titles = {"turns": "the optimal policy turns round", "stays": "the optimal policy stays the same"}
    figure, axes = panels(1, 2, width=4.6)
    numbers: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    for ax, (which, title) in zip(axes, titles.items(), strict=True):
        found = setting.map(reset_run, [(which, name, T, s) for name in names for s in range(seeds)])
        for k, name in enumerate(names):
            numbers[name][title] = found[k * seeds : (k + 1) * seeds]
        means = [float(np.mean(numbers[name][title])) for name in names]
        ax.bar(range(4), means, color=("#D55E00", "#0072B2", "#56B4E9", "#000000"))
        ax.set_xticks(range(4), [name.replace(" ", "\n") for name in names])
        ax.set(title=f"{title}, c = 0.2", ylabel="regret")
    rows = [[name, *(mean_sd(cells[title]) for title in titles.values())] for name, cells in numbers.items()]
    return Part(figure, ["", *(f"{title} (regret ± sd)" for title in titles.values())], rows, numbers)


def bounds(setting: Setting) -> Part:
    """The proven bounds per step, and from which number of steps on they say something."""
    T = np.geomspace(1e3, 1e11, 200)
    rows, numbers = [], {}
    figure, (ax,) = panels(1, 1, width=6)
    cases = {
        "two arms": (1.0, 1, 2),
        "RiverSwim(4)": (diameter(flipping_riverswim(4).segments[0]).upper, 4, 2),
        "RiverSwim(6)": (diameter(flipping_riverswim(6).segments[0]).upper, 6, 2),
    }
    for (name, (D, S, A)), colour in zip(cases.items(), ("#009E73", "#0072B2", "#D55E00"), strict=True):
        bite = {K: bite_horizon(D, S, A, DELTA, K) for K in (0, 3)}
        ax.loglog(T, regret_bound(D, S, A, T, DELTA) / T, color=colour, label=f"{name}, UCRL2")
        ax.loglog(
            T,
            regret_bound(D, S, A, T, DELTA, 3) / T,
            color=colour,
            linestyle="--",
            label=f"{name}, 3 changes",
        )
        rows.append([name, f"{D:.2f}", f"{bite[0]:.2g}", f"{bite[3]:.2g}"])
        numbers[name] = {"D": D, "UCRL2": bite[0], "three changes": bite[3]}
    ax.axhline(1.0, color="black", linewidth=0.8)
    ax.set(xlabel="T", ylabel="bound / T", title="below 1 the bound says something")
    ax.legend(frameon=False, fontsize="small")
    return Part(figure, ["model", "D", "UCRL2: bites from T", "three changes: from T"], rows, numbers)


PARTS: dict[str, Callable[[Setting], Part]] = {
    "detector": detector,
    "delays": delays,
    "regret": regret,
    "slope": slope,
    "visibility": visibility,
    "forgetting": forgetting,
    "bounds": bounds,
}

if __name__ == "__main__":
    run("rbocpd-ucrl2", PARTS, __doc__)
