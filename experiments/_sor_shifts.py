"""Learners on systems with random shifts: the paper's comparison, why contexts help, matrices of a peer."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy as np
from _parts import Part, Setting
from _plots import log_points, mean_sd, outside_legend, panels
from _sor_shared import STYLE, contenders, running_mean

from theoryrl import play
from theoryrl.instances import shifted_laplacian
from theoryrl.instances.linear_systems import laplacian, shifted_sequence, truncated_gaussian
from theoryrl.models import RelaxationTuning, SPDMatrix
from theoryrl.protocol import BanditProblem, relaxation_table
from theoryrl.solvers import counts_at, iteration_table, young_omega

FIXED = (1.0, 1.2, 1.4, 1.6, 1.8)


def trial(spread: str, rounds: int, side: int, seed: int) -> dict[str, Any]:
    """Return the mean count of each reference, and the counts of each learner, on one drawn sequence."""
    tuning = shifted_laplacian(side=side, rounds=rounds, spread=spread, seed=seed)
    table = relaxation_table(tuning)
    radius = 4 * math.cos(math.pi / (side + 1))
    young = np.array([young_omega(radius / (4 + c)) for c in tuning.systems.shift])
    fixed = {f"ω = {w:g}": table.losses[:, np.argmin(np.abs(tuning.omegas - w))].mean() for w in FIXED}
    means = {"best per system": counts_at(tuning, young).mean(), **fixed}
    means["best fixed"] = table.losses.mean(axis=0).min()
    problem = BanditProblem(table, spread)
    played = {who: -play(problem, x, rounds, seed).values for who, x in contenders(5).items()}
    return {"means": means, "counts": played}


def comparison(setting: Setting) -> Part:
    """Mean iterations per system for each learner and each reference, high and low spread of the shifts."""
    rounds, seeds, side = setting.scope.pick((300, 2, 6), (5000, 40, 10))
    spreads = ("high", "low")
    jobs = [(spread, rounds, side, seed) for spread in spreads for seed in range(seeds)]
    trials = setting.map(trial, jobs)
    figure, axes = panels(1, 2, width=4.8)
    rows, numbers = [], dict[str, Any]()
    points = log_points(rounds)
    for ax, spread in zip(axes, spreads, strict=True):
        mine = [found for found, job in zip(trials, jobs, strict=True) if job[0] == spread]
        means = {name: [found["means"][name] for found in mine] for name in mine[0]["means"]}
        for who in contenders(5):
            curves = running_mean(np.array([found["counts"][who] for found in mine]))[:, points - 1]
            colour, dash = STYLE[who]
            ax.plot(points, curves.mean(axis=0), color=colour, linestyle=dash, label=who)
            ax.fill_between(
                points, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, linewidth=0
            )
            means[who] = [float(found["counts"][who].mean()) for found in mine]
        for name, dash in (("best per system", ":"), ("best fixed", "--"), ("ω = 1", "-.")):
            ax.axhline(np.mean(means[name]), color="black", linestyle=dash, linewidth=0.8, label=name)
        ax.set(title=f"{spread} spread", xlabel="system", xscale="log", yscale="log")
        rows.append([f"{spread} spread", *(mean_sd(samples) for samples in means.values())])
        numbers[spread] = {name: [float(x) for x in samples] for name, samples in means.items()}
    axes[0].set_ylabel("iterations per system, so far")
    outside_legend(figure, axes[0], 4)
    header = [f"iterations per system, T = {rounds:,}", *means]
    return Part(figure, header, rows, {"T": rounds, **numbers})


def contexts(setting: Setting) -> Part:
    """Mean counts over the shift for fixed parameters and for omega*(c): why the context is worth knowing."""
    side, n_shifts, targets = setting.scope.pick((5, 9, 4), (10, 97, 40))
    A = SPDMatrix.of(laplacian(side))
    shifts = np.linspace(-0.15, 0.45, n_shifts)
    drawn = truncated_gaussian(targets, A.n, np.random.default_rng(0))
    repeated = np.repeat(shifts, targets)
    systems = shifted_sequence(
        A, repeated, np.tile(drawn, (n_shifts, 1)), np.arange(len(repeated)), (-0.15, 0.45)
    )
    tuning = RelaxationTuning(systems, np.array(FIXED))
    counts = iteration_table(tuning).reshape(n_shifts, targets, -1).mean(axis=1)
    radius = 4 * math.cos(math.pi / (side + 1))
    best = np.array([young_omega(radius / (4 + c)) for c in shifts])
    optimal = counts_at(tuning, np.repeat(best, targets)).reshape(n_shifts, targets).mean(axis=1)
    figure, axes = panels(1, 2, width=4.4)
    for index, omega in enumerate(FIXED):
        axes[0].plot(shifts, counts[:, index], color=str(0.75 - 0.15 * index), label=f"ω = {omega:g}")
    axes[0].plot(shifts, optimal, color="#D55E00", label="ω*(c)")
    axes[0].set(xlabel="shift c", ylabel="mean iterations", yscale="log")
    axes[0].legend(frameon=False, fontsize="small", ncols=2)
    axes[1].plot(shifts, best, color="#D55E00")
    axes[1].set(xlabel="shift c", ylabel="ω*(c)")
    chosen = np.linspace(0, n_shifts - 1, 5).astype(int)
    rows = [
        [f"{shifts[i]:.3g}", f"{best[i]:.3f}", *(f"{x:.1f}" for x in (optimal[i], *counts[i]))]
        for i in chosen
    ]
    numbers = {
        "shift": shifts.tolist(),
        "omega*": best.tolist(),
        "optimal": optimal.tolist(),
        "fixed": counts.T.tolist(),
    }
    return Part(figure, ["shift c", "ω*(c)", "at ω*(c)", *(f"ω = {w:g}" for w in FIXED)], rows, numbers)


def gallery(setting: Setting) -> Part:
    """Random shifts of matrices that PyAMG ships: finite elements on unstructured meshes."""
    load = import_module("pyamg.gallery").load_example
    rounds = setting.scope.pick(200, 2000)
    figure, axes = panels(1, 2, width=4.6)
    rows, numbers = [], dict[str, Any]()
    for ax, name in zip(axes, ("airfoil", "knot"), strict=True):
        A = SPDMatrix.of(load(name)["A"])
        rng = np.random.default_rng(0)
        U = setting.scope.pick(20, 200)
        shifts = 0.05 * A.diagonal.mean() * rng.beta(0.5, 1.5, U)
        top = float(0.05 * A.diagonal.mean())
        systems = shifted_sequence(
            A, shifts, truncated_gaussian(U, A.n, rng), rng.integers(U, size=rounds), (0.0, top)
        )
        for method in ("sor", "ssor-pcg"):
            tuning = RelaxationTuning(systems, np.linspace(1, 1.95, 20), method)
            table = relaxation_table(tuning)
            problem = BanditProblem(table)
            runs = {
                who: -play(problem, learner, rounds, 0).values
                for who, learner in contenders(6).items()
                if who != "Tsallis-INF, theory's scale"
            }
            fixed = table.losses.mean(axis=0)
            means = {
                "ω = 1": fixed[0],
                "best fixed": fixed.min(),
                "best per system": table.losses.min(axis=1).mean(),
                **{who: float(x.mean()) for who, x in runs.items()},
            }
            rows.append(
                [
                    f"{name}, n = {A.n}, {method}",
                    *(f"{x:.1f}" for x in means.values()),
                    f"{tuning.omegas[fixed.argmin()]:.2f}",
                ]
            )
            numbers[f"{name}, {method}"] = {k: float(x) for k, x in means.items()}
            if method == "sor":
                for who, counts in runs.items():
                    ax.plot(running_mean(counts), color=STYLE[who][0], linestyle=STYLE[who][1], label=who)
                ax.axhline(fixed.min(), color="black", linestyle="--", linewidth=0.8, label="best fixed")
                ax.axhline(
                    means["best per system"],
                    color="black",
                    linestyle=":",
                    linewidth=0.8,
                    label="best per system",
                )
        ax.set(
            title=f"{name}, n = {A.n}, SOR",
            xlabel="system",
            ylabel="iterations, so far",
            xscale="log",
            yscale="log",
        )
    outside_legend(figure, axes[0], 3)
    return Part(figure, [f"iterations per system, T = {rounds:,}", *means, "best fixed ω"], rows, numbers)
