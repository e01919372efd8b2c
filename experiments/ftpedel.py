"""FTPedel beside no design, no data and no certificate: every figure and table of the docs page.

    python experiments/ftpedel.py                    # all parts, about a minute on two cores
    python experiments/ftpedel.py --quick            # fewer seeds and sizes, some seconds
    python experiments/ftpedel.py --only fork locks  # some parts
    python experiments/ftpedel.py --docs             # all parts, into docs/papers/figures/ftpedel/

All constants are the proven ones (conf_scale = 1, delta = .1). Episodes are those until the certificate,
every certified policy is judged by its exact value, and runs without a certificate are counted as such.
Writes a figure (PNG) and a table (Markdown) for each part, and all numbers in `numbers.json`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from _parts import Part, Setting, run
from _plots import outside_legend, panels
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from theoryrl.instances import fork_episodes, offline_fork, paying_lock, twin_lock, two_arms
from theoryrl.learners import (
    VILCB,
    ActionElimination,
    FTPedel,
    GapUCBVI,
    Pedel,
    TwoPhaseFTPedel,
)
from theoryrl.protocol import identify
from theoryrl.solvers import minimal_online_episodes, occupancy_measure
from theoryrl.theory.evidence.identification import kl

COLOURS = {
    "FTPedel": "#0072B2",
    "FTPedel, 2 eps": "#003B5C",
    "Pedel (no data)": "#D55E00",
    "uniform + data": "#999999",
    "class + data": "#E69F00",
    "two certificates": "#56B4E9",
    "gap UCBVI": "#009E73",
    "action elimination": "#CC79A7",
    "two phases": "#000000",
}
SIZE = {"width": 4.6, "height": 3.6}
GRID = {"growth": 0.1, "stop": "paper"}
"""Batches grow by a tenth, so episodes lie on a grid of factor 1.1; every survivor is eps-optimal."""


def episodes_of(
    instance: str, options: Mapping[str, Any], learner: Any, budget: int, seed: int
) -> list[float]:
    """Return online episodes, whether certified, and the exact gap."""
    task = {"fork": offline_fork, "twin": twin_lock, "paying": paying_lock, "arms": two_arms}[instance](
        **options
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no certificate")  # counted instead
        found = identify(task, learner, budget, seed)
    return [float(found.episodes), float(found.certified), found.gap]


def summary(cells: np.ndarray) -> str:
    """Write the mean number of episodes, and how many runs had no certificate."""
    missing = int((cells[:, 1] == 0).sum())
    return f"{cells[:, 0].mean():,.0f}" + (f" ({missing} of {len(cells)} uncertified)" if missing else "")


def slope_of(x: Sequence[float], y: np.ndarray) -> float:
    """Return the slope in log-log coordinates."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def plain_ticks(ax: Axes, values: Sequence[float]) -> None:
    """Label a logarithmic axis with its own few values."""
    ax.set_xticks(values, [f"{v:g}" for v in values])
    ax.xaxis.set_minor_locator(NullLocator())


# The forks.


def fork(setting: Setting) -> Part:
    """Episodes over eps where the data know the best branch (M-), and where they miss it (M+)."""
    eps = (0.4, 0.2, 0.1)
    seeds = setting.scope.pick(1, 5)
    figure, axes = panels(1, 2, **SIZE)
    rows, numbers = [], dict[str, Any]()
    for ax, covered, name in zip(axes, (True, False), ("M−", "M+"), strict=True):
        learners = {
            "FTPedel": lambda e: FTPedel(eps=e, **GRID),
            "FTPedel, 2 eps": lambda e: FTPedel(eps=e, growth=0.1),
            "Pedel (no data)": lambda e: Pedel(eps=e, **GRID),
            "uniform + data": lambda e: FTPedel(eps=e, collect="uniform", **GRID),
            "class + data": lambda e: FTPedel(eps=e, collect="class", **GRID),
            "two certificates": lambda e: FTPedel(eps=e, hedge_offline=True, **GRID),
            "gap UCBVI": lambda e: GapUCBVI(eps=e, growth=0.1),
            "action elimination": lambda e: ActionElimination(eps=e, growth=0.1),
        }
        for label, make in learners.items():
            jobs = [
                ("fork", {"covered": covered, "offline_episodes": int(8e4 / e**2), "seed": seed},
                 make(e), 100_000_000, seed)
                for e in eps for seed in range(seeds)
            ]  # fmt: skip
            cells = np.array(setting.map(episodes_of, jobs)).reshape(len(eps), seeds, 3)
            means = cells[:, :, 0].mean(axis=1)
            slope = slope_of(eps, means)
            ax.loglog(eps, means, "o-", color=COLOURS[label], label=label, markersize=4)
            row = [
                f"{name}, {label}",
                *(summary(c) for c in cells),
                f"{slope:.2f}",
                f"{cells[:, :, 2].max():.3f}",
            ]
            rows.append(row)
            numbers[f"{name}, {label}"] = {
                "episodes": cells[:, :, 0].tolist(), "slope": slope,
                "certified": bool(cells[:, :, 1].all()), "gap": cells[:, :, 2].max(),
            }  # fmt: skip
        ax.set(
            xlabel="eps",
            ylabel="online episodes",
            title=f"{name}: data {'cover' if covered else 'miss'} the best",
        )
        plain_ticks(ax, eps)
    vi_lcb = setting.map(
        episodes_of,
        [("fork", {"covered": c, "offline_episodes": 8_000_000}, VILCB(), 1, 0) for c in (True, False)],
    )
    numbers["VI-LCB"] = {name: cell[2] for name, cell in zip(("M−", "M+"), vi_lcb, strict=True)}
    rows.append(["VI-LCB: gap on M−, M+", *(f"{cell[2]:.3f}" for cell in vi_lcb), "", "", ""])
    outside_legend(figure, axes[0], 4)
    return Part(figure, ["", *(f"eps = {e}" for e in eps), "slope", "largest gap"], rows, numbers)


def exact_episodes(covered: bool, eps: float, offline: float, beta: float) -> float:
    """Return T_o2o of a fork with that many offline episodes in expectation."""
    task = offline_fork(covered)
    assert task.behaviour is not None
    N = offline * occupancy_measure(task.mdp, task.behaviour)
    return minimal_online_episodes(task.mdp, task.policies, eps, beta, N).value


def exact(setting: Setting) -> Part:
    """T_o2o of M- against its closed form, and of M+; beta = 100."""
    beta, eps = 100.0, [0.2, 0.1, 0.05, 0.025, 0.0125]
    figure, axes = panels(1, 1, **SIZE)
    rows, numbers = [], dict[str, Any]()
    for name, covered, factor, colour in (
        ("M−, covering data", True, 40.0, "#0072B2"),
        ("M−, no data", True, 0.0, "#D55E00"),
        ("M+, the same data", False, 40.0, "#009E73"),
        ("M+, no data", False, 0.0, "#E69F00"),
    ):
        T = np.array(setting.map(exact_episodes, [(covered, e, factor * beta / e**2, beta) for e in eps]))
        axes[0].loglog(eps, T, "o-", color=colour, label=name, markersize=4)
        closed = [fork_episodes(beta, e, factor > 0) for e in eps] if covered else []
        error = float(np.max(np.abs(T / closed - 1))) if covered else math.nan
        rows.append([name, *(f"{t:,.2f}" for t in T), f"{slope_of(eps[:3], T[:3]):.3f}",
                     f"{error:.1g}" if covered else "–"])  # fmt: skip
        numbers[name] = {"T": T.tolist(), "closed": closed}
    axes[0].set(xlabel="eps", ylabel="T_o2o, beta = 100", title="what any design of this class needs")
    plain_ticks(axes[0], eps)
    axes[0].legend(frameon=False, fontsize="small")
    header = ["", *(f"eps = {e}" for e in eps), "slope, eps ≥ .05", "error against closed form"]
    return Part(figure, header, rows, numbers)


def offline_size(setting: Setting) -> Part:
    """Episodes over the size of the offline data, eps = .1."""
    eps, seeds = 0.1, setting.scope.pick(1, 5)
    sizes = [0, *(10**k for k in range(3, setting.scope.pick(8, 10)))]
    figure, axes = panels(1, 2, **SIZE)
    rows, numbers = [], dict[str, Any]()
    for ax, covered, name in zip(axes, (True, False), ("M−", "M+"), strict=True):
        for label, options in (
            ("FTPedel", {}),
            ("uniform + data", {"collect": "uniform"}),
            ("two certificates", {"hedge_offline": True}),
        ):  # fmt: skip
            learner = FTPedel(eps=eps, **GRID, **options)
            jobs = [
                ("fork", {"covered": covered, "offline_episodes": n, "seed": seed}, learner, 10**8, seed)
                for n in sizes for seed in range(seeds)
            ]  # fmt: skip
            cells = np.array(setting.map(episodes_of, jobs)).reshape(len(sizes), seeds, 3)
            ax.loglog([max(n, 100) for n in sizes], cells[:, :, 0].mean(axis=1), "o-", markersize=4,
                      color=COLOURS[label], label=label)  # fmt: skip
            rows.append([f"{name}, {label}", *(summary(c) for c in cells)])
            numbers[f"{name}, {label}"] = {"sizes": sizes, "episodes": cells[:, :, 0].tolist(),
                                           "certified": bool(cells[:, :, 1].all())}  # fmt: skip
        ax.set(
            xlabel="offline episodes (leftmost: none)", ylabel="online episodes", title=f"{name}, eps = {eps}"
        )
    outside_legend(figure, axes[0], 3)
    return Part(figure, ["", *(f"{n:,}" for n in sizes)], rows, numbers)


# What a certificate costs.


def verifiability(setting: Setting) -> Part:
    """Two arms of which the data know the better one: pulls of the other, over its gap; eps = gap / 2."""
    gaps, seeds = (0.4, 0.2, 0.1, 0.05), setting.scope.pick(3, 20)
    figure, axes = panels(1, 1, **SIZE)
    rows, numbers = [], dict[str, Any]()
    curves = {
        "verifiable: FTPedel": (lambda e: FTPedel(eps=e, **GRID), "#0072B2"),
        "verifiable: gap UCBVI": (lambda e: GapUCBVI(eps=e, growth=0.1), "#009E73"),
        "unverifiable: VI-LCB": (lambda e: VILCB(), "#999999"),
        "unverifiable: FTPedel, no episode": (lambda e: FTPedel(eps=e, stopping="unverifiable"), "#56B4E9"),
    }
    for label, (make, colour) in curves.items():
        jobs = [
            ("arms", {"gap": g, "offline_pulls": int(4000 / g**2), "seed": seed}, make(g / 2), 10**7, seed)
            for g in gaps for seed in range(seeds)
        ]  # fmt: skip
        cells = np.array(setting.map(episodes_of, jobs)).reshape(len(gaps), seeds, 3)
        means = cells[:, :, 0].mean(axis=1)
        if means.any():
            axes[0].loglog(gaps, means, "o-", color=colour, label=label, markersize=4)
        rows.append(
            [
                label,
                *(f"{m:,.1f}" for m in means),
                f"{cells[:, :, 1].mean():.2f}",
                f"{cells[:, :, 2].max():.3f}",
            ]
        )
        numbers[label] = {
            "episodes": means.tolist(),
            "certified": cells[:, :, 1].mean(),
            "gap": cells[:, :, 2].max(),
        }
    needed = [kl(0.1, 0.9) / kl(0.5 - g, 0.5 + g / 2) for g in gaps]
    axes[0].loglog(gaps, needed, "k:", label="lower bound for every verifiable learner")
    axes[0].set(xlabel="gap of the arm that is not in the data", ylabel="online episodes",
                title="VI-LCB is right with no episode at all")  # fmt: skip
    plain_ticks(axes[0], gaps)
    axes[0].legend(frameon=False, fontsize="small", loc="lower left")
    axes[0].set_ylim(0.5, None)
    rows.append(["lower bound, verifiable", *(f"{n:,.1f}" for n in needed), "", ""])
    numbers["lower bound"] = needed
    return Part(figure, ["", *(f"gap {g}" for g in gaps), "certified", "largest gap"], rows, numbers)


# Locks.


def locks(setting: Setting) -> Part:
    """Twin lock, A = 4, v = .8, eps = .4: design, uniform actions and class mixture over H."""
    horizons, seeds = range(3, setting.scope.pick(6, 9)), setting.scope.pick(1, 2)
    figure, axes = panels(1, 2, **SIZE)
    rows, numbers = [], dict[str, Any]()
    for ax, data in zip(axes, (False, True), strict=True):
        found = {}
        for label, collect in (("design", "design"), ("uniform", "uniform"), ("class", "class")):
            learner = FTPedel(eps=0.4, collect=collect, use_offline=data, **GRID)
            jobs = [
                ("twin", {"horizon": H, "offline_episodes": int(1.25e7 * (H / 3) ** 4), "seed": seed},
                 learner, 10**12, seed)
                for H in horizons for seed in range(seeds)
            ]  # fmt: skip
            cells = np.array(setting.map(episodes_of, jobs)).reshape(len(horizons), seeds, 3)
            assert cells[:, :, 1].all()
            found[label] = cells[:, :, 0].mean(axis=1)
            colour = {"design": "#0072B2", "uniform": "#999999", "class": "#E69F00"}[label]
            ax.semilogy(horizons, found[label], "o-", color=colour, label=label, markersize=4)
            name = f"{'twins offline' if data else 'no data'}, {label}"
            rows.append([name, *(f"{T:.3g}" for T in found[label])])
            numbers[name] = {
                "H": list(horizons),
                "episodes": found[label].tolist(),
                "gap": cells[:, :, 2].max(),
            }
        ratio = found["uniform"] / found["design"]
        name = f"{'twins offline' if data else 'no data'}, uniform : design"
        rows.append([name, *(f"{r:.3g}" for r in ratio)])
        numbers[name] = ratio.tolist()
        ax.set(xlabel="H", ylabel="online episodes", title="twins offline" if data else "no offline data",
               xticks=list(horizons))  # fmt: skip
    axes[0].legend(frameon=False, fontsize="small")
    return Part(figure, ["", *(f"H = {H}" for H in horizons)], rows, numbers)


def separation(setting: Setting) -> Part:
    """Twin lock over eps: only design and data together are flat and small."""
    eps, horizons = (0.4, 0.2, 0.1), setting.scope.pick((3,), (3, 5))
    seeds = setting.scope.pick(1, 2)
    figure, axes = panels(1, len(horizons), **SIZE)
    rows, numbers = [], dict[str, Any]()
    for ax, H in zip(axes, horizons, strict=True):
        for label, make in (
            ("FTPedel", lambda e: FTPedel(eps=e, **GRID)),
            ("Pedel (no data)", lambda e: Pedel(eps=e, **GRID)),
            ("uniform + data", lambda e: FTPedel(eps=e, collect="uniform", **GRID)),
        ):
            jobs = [
                ("twin", {"horizon": H, "offline_episodes": int(2e6 * (H / 3) ** 4 / e**2), "seed": seed},
                 make(e), 10**12, seed)
                for e in eps for seed in range(seeds)
            ]  # fmt: skip
            cells = np.array(setting.map(episodes_of, jobs)).reshape(len(eps), seeds, 3)
            means = cells[:, :, 0].mean(axis=1)
            slope = slope_of(eps, means)
            ax.loglog(eps, means, "o-", color=COLOURS[label], label=label, markersize=4)
            rows.append([f"H = {H}, {label}", *(f"{m:.3g}" for m in means), f"{slope:.2f}"])
            numbers[f"H = {H}, {label}"] = {"episodes": means.tolist(), "slope": slope,
                                            "certified": bool(cells[:, :, 1].all())}  # fmt: skip
        ax.set(xlabel="eps", ylabel="online episodes", title=f"twin lock, H = {H}, A = 4")
        plain_ticks(ax, eps)
    axes[0].legend(frameon=False, fontsize="small")
    return Part(figure, ["", *(f"eps = {e}" for e in eps), "slope"], rows, numbers)


def other_locks(setting: Setting) -> Part:
    """Against the class mixture as eps shrinks, on three shapes; and a lock that pays a consolation."""
    eps = setting.scope.pick((0.4, 0.1), (0.4, 0.1, 0.025, 0.00625))
    figure, axes = panels(1, 2, **SIZE)
    rows, numbers = [], dict[str, Any]()
    for (H, A), colour in (((3, 4), "#0072B2"), ((4, 8), "#009E73"), ((3, 16), "#D55E00")):
        T = np.array([
            cell[0] for cell in setting.map(episodes_of, [
                ("twin", {"horizon": H, "n_actions": A}, Pedel(eps=e, growth=0.1, collect=collect), 10**12, 0)
                for collect in ("design", "class") for e in eps
            ])
        ]).reshape(2, len(eps))  # fmt: skip
        ratio, limit = T[1] / T[0], (1 + H * (A - 1)) / 2
        axes[0].semilogx(
            eps, ratio, "o-", color=colour, label=f"H = {H}, A = {A}: limit {limit}", markersize=4
        )
        rows.append([f"class : design, H = {H}, A = {A}", *(f"{r:.1f}" for r in ratio)])
        numbers[f"class : design, {H}, {A}"] = ratio.tolist()
    axes[0].set(xlabel="eps", ylabel="class mixture : design", title="twin lock, no offline data")
    plain_ticks(axes[0], eps)
    axes[0].legend(frameon=False, fontsize="small")
    horizons = (3, 4, 5)
    for collect, colour in (("design", "#0072B2"), ("uniform", "#999999")):
        found = setting.map(episodes_of, [
            ("paying", {"horizon": H}, Pedel(eps=0.4, collect=collect, **GRID), 10**12, 0) for H in horizons
        ])  # fmt: skip
        T = np.array([cell[0] for cell in found])
        axes[1].semilogy(horizons, T, "o-", color=colour, label=collect, markersize=4)
        padding = [""] * (len(eps) - 3) if len(eps) > 3 else []
        cells = [f"H = {H}: {t:,.0f}" for H, t in zip(horizons, T, strict=True)][: len(eps)]
        rows.append([f"paying lock, {collect}", *cells, *padding])
        numbers[f"paying, {collect}"] = T.tolist()
    axes[1].set(xlabel="H", ylabel="online episodes", title="paying lock, eps = .4", xticks=list(horizons))
    axes[1].legend(frameon=False, fontsize="small")
    return Part(figure, ["", *(f"eps = {e}" for e in eps)], rows, numbers)


def two_phases(setting: Setting) -> Part:
    """What the bound of the two-phase variant costs: twin lock, with and without offline data."""
    horizons, eps = range(2, setting.scope.pick(4, 6)), 0.4
    figure, axes = panels(1, 1, **SIZE)
    rows, numbers = [], dict[str, Any]()
    for label, learner, colour in (
        ("two phases", TwoPhaseFTPedel(eps=eps), "#000000"), ("FTPedel", FTPedel(eps=eps, **GRID), "#0072B2")
    ):  # fmt: skip
        for data, style in ((False, "o-"), (True, "o:")):
            jobs = [
                ("twin", {"horizon": H, "offline_episodes": int(1.25e7 * (H / 3) ** 4) * data},
                 learner, 1_000_000_000, 0)
                for H in horizons
            ]  # fmt: skip
            cells = np.array(setting.map(episodes_of, jobs))
            name = f"{label}, {'twins offline' if data else 'no data'}"
            axes[0].semilogy(horizons, cells[:, 0], style, color=colour, label=name, markersize=4)
            rows.append([name, *(summary(cell[None]) for cell in cells)])
            numbers[name] = {
                "H": list(horizons),
                "episodes": cells[:, 0].tolist(),
                "certified": cells[:, 1].tolist(),
            }
    axes[0].set(
        xlabel="H", ylabel="online episodes", title=f"twin lock, A = 4, eps = {eps}", xticks=list(horizons)
    )
    axes[0].legend(frameon=False, fontsize="small")
    return Part(figure, ["", *(f"H = {H}" for H in horizons)], rows, numbers)


PARTS = {
    "fork": fork,
    "exact": exact,
    "offline_size": offline_size,
    "verifiability": verifiability,
    "locks": locks,
    "separation": separation,
    "other_locks": other_locks,
    "two_phases": two_phases,
}

if __name__ == "__main__":
    run("ftpedel", PARTS, __doc__)
