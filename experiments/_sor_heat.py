"""The heat equation: learners along one trajectory, and the tuner in time loops of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _parts import Part, Setting
from _plots import log_points, outside_legend, panels
from _sor_shared import STYLE, contenders, running_mean
from scipy import sparse

from theoryrl import LossTable, RelaxationTuner, play
from theoryrl.instances import heat_equation
from theoryrl.instances.linear_systems import diffusion
from theoryrl.learners import ChebCB
from theoryrl.models import RelaxationTuning, SPDMatrix
from theoryrl.protocol import BanditProblem, relaxation_table
from theoryrl.solvers import conjugate_gradients

THREE = (1.0, 1.5, 1.95)


def heat_trial(side: int, rounds: int, dt: float, seeds: int) -> dict[str, Any]:
    """Return mean iterations of each reference and the counts of each learner on one trajectory."""
    tuning = heat_equation(side=side, rounds=rounds, dt=dt, n_omegas=20)
    table = relaxation_table(tuning)
    problem, systems = BanditProblem(table, f"{side}"), tuning.systems
    plain = [
        conjugate_gradients(
            systems.matrices[0],
            systems.targets[t],
            systems.starts[t],
            scale=float(systems.scale[t]),
            shift=1.0,
        ).iterations
        for t in range(rounds)
    ]
    best = int(table.losses.sum(axis=0).argmin())
    means = {
        "CG": float(np.mean(plain)),
        **{f"ω = {w:g}": float(table.losses[:, np.argmin(np.abs(tuning.omegas - w))].mean()) for w in THREE},
        "best fixed": float(table.losses[:, best].mean()),
        "best per step": float(table.losses.min(axis=1).mean()),
    }
    played = {
        who: np.array([-play(problem, learner, rounds, seed).values for seed in range(seeds)])
        for who, learner in contenders(6).items()
        if who != "Tsallis-INF, theory's scale"
    }
    return {
        "means": means,
        "omega": float(tuning.omegas[best]),
        "counts": played,
        "losses": table.losses,
        "omegas": np.array(tuning.omegas),
    }


def heat(setting: Setting) -> Part:
    """SSOR-CG along the heat equation: references, and learners with and without the context."""
    sizes = setting.scope.pick(((12, 200, 0.005),), ((24, 5000, 0.001), (49, 1000, 0.005), (99, 1000, 0.005)))
    seeds = setting.scope.pick(1, 3)
    trials = setting.map(heat_trial, [(*size, seeds) for size in sizes])
    figure, axes = panels(2, len(sizes), width=4.2, height=2.6)
    rows, numbers = [], dict[str, Any]()
    for column, ((side, rounds, dt), found) in enumerate(zip(sizes, trials, strict=True)):
        above, below = axes[column], axes[len(sizes) + column]
        t = dt * np.arange(rounds)
        steps = slice(0, min(rounds, round(1 / dt)))
        for omega, shade in zip(THREE, ("0.7", "0.5", "0.3"), strict=True):
            index = int(np.argmin(np.abs(found["omegas"] - omega)))
            above.plot(
                t[steps], found["losses"][steps, index], color=shade, linewidth=0.8, label=f"ω = {omega:g}"
            )
        above.plot(
            t[steps],
            found["losses"][steps].min(axis=1),
            color="#D55E00",
            linewidth=1.0,
            label="best per step",
        )
        scaled = [diffusion(float(x)) for x in t[steps]]
        twin = above.twinx()
        twin.fill_between(t[steps], scaled, color="#56B4E9", alpha=0.15, linewidth=0)
        twin.set(ylabel="κ(t)", ylim=(0, 30))
        above.set(title=f"{side + 1} x {side + 1} cells", xlabel="time", ylabel="iterations of a step")
        points = log_points(rounds)
        means = dict(found["means"])
        for who, counts in found["counts"].items():
            curves = running_mean(counts)[:, points - 1]
            below.plot(points, curves.mean(axis=0), color=STYLE[who][0], linestyle=STYLE[who][1], label=who)
            means[who] = float(counts.mean())
        for name, dash in (("best per step", ":"), ("best fixed", "--"), ("ω = 1", "-.")):
            below.axhline(means[name], color="black", linestyle=dash, linewidth=0.8, label=name)
        below.set(xlabel="step", ylabel="iterations, so far", xscale="log")
        label = f"nx = {side + 1}, dt = {dt:g}, T = {rounds:,}"
        rows.append([label, *(f"{x:.2f}" for x in means.values()), f"{found['omega']:.2f}"])
        numbers[label] = {**means, "best omega": found["omega"]}
    axes[0].legend(frameon=False, fontsize="small")
    outside_legend(figure, axes[len(sizes)], 3)
    return Part(figure, ["iterations per step", *means, "best fixed ω"], rows, numbers)


def tuner(setting: Setting) -> Part:
    """The tuner in a time loop of its own: iterations and seconds, learning included."""
    side, rounds, dt = setting.scope.pick((12, 150, 0.005), (99, 1000, 0.005))
    problem = heat_equation(side=side, rounds=1, dt=dt)
    stiff = problem.systems.matrices[0]
    omegas = np.linspace(1.0, 1.95, 20)
    ways: dict[str, Callable[[], RelaxationTuner]] = {
        "ω = 1 (no tuning)": lambda: RelaxationTuner("ssor-pcg", omegas=[1.0]),
        "tuner": lambda: RelaxationTuner("ssor-pcg", omegas=omegas),
        "tuner with context": lambda: RelaxationTuner(
            "ssor-pcg", ChebCB(), omegas, context_range=(0.0, 10.0), horizon=rounds
        ),
    }
    found = {name: time_loop(stiff, problem, make(), rounds, dt) for name, make in ways.items()}
    fixed = setting.map(fixed_loop, [(side, rounds, dt, float(w)) for w in omegas])
    best = min(zip(fixed, omegas.tolist(), strict=True))
    figure, (ax,) = panels(1, 1, width=5.4)
    colours = ("#000000", "#0072B2", "#D55E00")
    rows, numbers = [], dict[str, Any]()
    for (name, loop), colour in zip(found.items(), colours, strict=True):
        ax.plot(np.cumsum(loop["counts"]), color=colour, label=name)
        total = int(loop["counts"].sum())
        saved = 1 - total / found["ω = 1 (no tuning)"]["counts"].sum()
        rows.append(
            [
                name,
                f"{total:,}",
                f"{100 * saved:+.1f} %",
                f"{100 * (total / best[0] - 1):+.1f} %",
                f"{loop['seconds']:.1f}",
                f"{1e6 * loop['learning'] / rounds:.0f}",
            ]
        )
        numbers[name] = {
            "iterations": total,
            "saved over omega = 1": float(saved),
            "above best fixed": float(total / best[0] - 1),
        }
    rows.append(
        [
            f"best fixed in hindsight, ω = {best[1]:.2f}",
            f"{best[0]:,}",
            f"{100 * (1 - best[0] / found['ω = 1 (no tuning)']['counts'].sum()):+.1f} %",
            "",
            "",
            "",
        ]
    )
    numbers["best fixed"] = {"iterations": best[0], "omega": best[1]}
    ax.axline((0, 0), slope=best[0] / rounds, color="grey", linestyle=":", label="best fixed (mean)")
    ax.set(xlabel="time step", ylabel="iterations in total", title=f"n = {stiff.n:,}")
    ax.legend(frameon=False)
    header = [
        f"heat equation, n = {stiff.n:,}, T = {rounds:,}",
        "iterations",
        "saved over ω = 1",
        "above best fixed",
        "seconds",
        "learning, µs per solve",
    ]
    return Part(figure, header, rows, numbers)


def time_loop(
    stiff: SPDMatrix, first: RelaxationTuning, tuner: RelaxationTuner, rounds: int, dt: float
) -> dict[str, Any]:
    """Run the heat equation without source; matrices are assembled and passed on as a user would."""
    K, one = stiff.sparse(), sparse.eye_array(stiff.n)
    u = first.systems.starts[0]
    began = time.perf_counter()
    for step in range(rounds):
        scale = 0.5 * dt * diffusion((step + 0.5) * dt)
        b = u - scale * (K @ u)
        A = sparse.csr_array(one + scale * K)
        context = None if tuner.context_range is None else diffusion(step * dt)
        u = tuner.solve(A, b, x0=u, context=context)
    seconds = time.perf_counter() - began
    return {
        "counts": tuner.counts,
        "seconds": seconds,
        "learning": learning_seconds(tuner, rounds),
    }


def learning_seconds(tuner: RelaxationTuner, rounds: int) -> float:
    """Return what so many choices and updates of the tuner's learner take, without any solve."""
    table = LossTable(
        np.ones((rounds, len(tuner.grid))) * 5,
        (0.0, 10.0),
        *(
            (None, None)
            if tuner.context_range is None
            else (np.full(rounds, tuner.context_range[0]), tuner.context_range)
        ),
    )
    problem = BanditProblem(table, blocks=False)
    play(problem, tuner.learner, rounds, 0)
    start = time.perf_counter()
    play(problem, tuner.learner, rounds, 0)
    return time.perf_counter() - start


def fixed_loop(side: int, rounds: int, dt: float, omega: float) -> int:
    """Return the iterations of one parameter in a loop of its own.

    Along another's trajectory it would take more: the errors that its own solves leave in the states, below
    the tolerance, suit its next solve.
    """
    problem = heat_equation(side=side, rounds=1, dt=dt)
    tuner = RelaxationTuner("ssor-pcg", omegas=[omega])
    return int(time_loop(problem.systems.matrices[0], problem, tuner, rounds, dt)["counts"].sum())
