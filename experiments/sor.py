"""Learning to relax: every figure and table of the docs page.

    python experiments/sor.py                      # all parts, some minutes on two cores
    python experiments/sor.py --quick              # smaller, under a minute
    python experiments/sor.py --only heat tuner    # some parts
    python experiments/sor.py --docs               # all parts, into docs/papers/figures/sor/

Counts are those of real solves; the best fixed parameter and the best one of each system are found by
solving every system at every parameter. The part `gallery` takes matrices of PyAMG, and is there if PyAMG is
installed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from _parts import Part, Setting, run
from _plots import log_points, mean_sd, outside_legend, panels
from scipy import sparse

from theoryrl import LossTable, RelaxationTuner, Study, play
from theoryrl.instances import (
    alternating_laplacian,
    bernoulli_bandit,
    heat_equation,
    shifted_laplacian,
    shifting_levels,
)
from theoryrl.instances.linear_systems import (
    diffusion,
    domain_laplacian,
    l_shape,
    laplacian,
    shifted_sequence,
    truncated_gaussian,
)
from theoryrl.learners import (
    KLUCB,
    UCB1,
    BinnedTsallisINF,
    ChebCB,
    Exp3,
    ThompsonSampling,
    TsallisINF,
)
from theoryrl.models import RelaxationTuning, SPDMatrix
from theoryrl.protocol import BanditProblem, relaxation_table
from theoryrl.solvers import (
    conjugate_gradients,
    counts_at,
    defect_matrix,
    energy_norm,
    iteration_table,
    jacobi_radius,
    near_asymptotic,
    sor,
    ssor_condition,
    ssor_pcg,
    young_omega,
)
from theoryrl.theory import slope_interval
from theoryrl.theory.evidence.relaxation_bandits import (
    betas_of,
    largest_count,
    normalised_bound,
    surrogates_of,
)

EPS = 1e-8
RELEASED: dict[str, Any] = {"scale": "running-mean"}
"""How the released code scales losses; no theorem covers it."""

STYLE = {
    "best per system": ("#000000", ":"),
    "Tsallis-INF": ("#0072B2", "-"),
    "Tsallis-INF, theory's scale": ("#56B4E9", "-."),
    "binned": ("#009E73", "--"),
    "ChebCB": ("#D55E00", "-"),
    "UCB1": ("#CC79A7", "--"),
    "KL-UCB": ("#882255", "-"),
    "Thompson": ("#999933", "-."),
    "Exp3": ("#E69F00", "--"),
}


def contenders(bins: int) -> dict[str, Any]:
    """Return the learners of the paper's comparison."""
    return {
        "Tsallis-INF": TsallisINF(**RELEASED),
        "Tsallis-INF, theory's scale": TsallisINF(),
        "binned": BinnedTsallisINF(bins=bins, **RELEASED),
        "ChebCB": ChebCB(),
    }


def running_mean(counts: np.ndarray) -> np.ndarray:
    """Return the mean of the counts so far, along the last axis."""
    return np.cumsum(counts, axis=-1) / np.arange(1, counts.shape[-1] + 1)


# The paper's comparison on random shifts.

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
    rounds, seeds, side = setting.scope.pick((300, 2, 6), (5000, 12, 10))
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


# The near-asymptotic surrogate.


def surrogate(setting: Setting) -> Part:
    """Counts over omega with U, the asymptotic rate, and the energy-norm expressions, for three shifts."""
    shifts = (-0.1, 0.0, 0.3)
    side, targets = setting.scope.pick((5, 8), (10, 40))
    A, omegas = SPDMatrix.of(laplacian(side)), np.arange(1.0, 1.991, setting.scope.pick(0.05, 0.01))
    drawn = truncated_gaussian(targets, A.n, np.random.default_rng(0))
    figure, axes = panels(1, 3, width=3.6, sharey=True)
    rows, numbers = [], dict[str, Any]()
    for ax, shift in zip(axes, shifts, strict=True):
        beta = jacobi_radius(A, shift=shift).value
        systems = shifted_sequence(A, np.full(targets, shift), drawn, np.arange(targets), (-0.2, 0.5))
        counts = iteration_table(RelaxationTuning(systems, omegas))
        near = near_asymptotic(A, omegas, EPS, shift=shift)
        ax.fill_between(
            omegas, counts.min(axis=0), counts.max(axis=0), color="#0072B2", alpha=0.3, linewidth=0
        )
        ax.plot(omegas, counts.mean(axis=0), color="#0072B2", label="iterations")
        ax.plot(omegas, near.bounds, color="#D55E00", label="U(ω)")
        ax.plot(omegas, 1 + math.log(EPS) / np.log(near.radii), color="#999999", linestyle=":", label="τ = 0")
        energy, root = energy_norm(A, shift=shift), math.sqrt(np.linalg.cond(A.dense() + shift * np.eye(A.n)))
        norms = np.array([energy.bound(float(w)) for w in omegas])
        ax.plot(
            omegas,
            np.log(EPS / (2 * root)) / np.log(norms),
            color="#009E73",
            linestyle="--",
            label="from the energy norm",
        )
        ax.axvline(young_omega(beta), color="black", linewidth=0.8, linestyle=":")
        ax.set(title=f"shift {shift:g}", xlabel="ω", yscale="log")
        coarse = near_asymptotic(A, np.linspace(1, 1.95, 20), EPS, shift=shift)
        ratio = float((counts.max(axis=0) / near.bounds).max())
        rows.append(
            [
                f"{shift:g}",
                f"{beta:.4f}",
                f"{young_omega(beta):.4f}",
                f"{coarse.tau:.3f}",
                f"{near.tau:.3f}",
                f"{ratio:.3f}",
            ]
        )
        numbers[f"{shift:g}"] = {
            "beta": beta,
            "omega*": young_omega(beta),
            "tau": coarse.tau,
            "tau, fine grid": near.tau,
            "largest count / U": ratio,
        }
    axes[0].set_ylabel("iterations")
    outside_legend(figure, axes[0], 4)
    header = ["shift c", "β", "ω*", "τ (20 ω)", f"τ ({len(omegas)} ω)", "largest count / U"]
    return Part(figure, header, rows, numbers)


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


# SSOR-preconditioned conjugate gradients.


def preconditioner(setting: Setting) -> Part:
    """Counts of SSOR-CG over omega on a square and an L, with Axelsson's bound and the scaled one."""
    sides = setting.scope.pick((6,), (10, 30))
    omegas = np.linspace(2 * math.sqrt(2) - 2, 1.9, setting.scope.pick(12, 100))
    cells = [(shape, side, shift) for shape in ("square", "L") for side in sides for shift in (0.0, 0.5)]
    figure, axes = panels(2, len(sides), width=4.4, height=3.0, sharex=True)
    rows, numbers = [], dict[str, Any]()
    rng = np.random.default_rng(0)
    for shape, side, shift in cells:
        inside = np.ones((side, side), dtype=bool) if shape == "square" else l_shape(side)
        A = SPDMatrix.of(domain_laplacian(inside))
        condition = ssor_condition(A, shift=shift)
        targets = truncated_gaussian(setting.scope.pick(3, 10), A.n, rng)
        counts = np.array(
            [[ssor_pcg(A, b, float(w), shift=shift).iterations for w in omegas] for b in targets]
        )
        bounds = np.array([condition.count_bound(float(w), EPS) for w in omegas])
        mu = float(((counts.max(axis=0) - 1) / (bounds - 1)).max())
        ax = axes[("square", "L").index(shape) * len(sides) + sides.index(side)]
        colour = "#0072B2" if shift == 0 else "#D55E00"
        ax.plot(omegas, counts.mean(axis=0), color=colour, label=f"iterations, c = {shift:g}")
        ax.plot(
            omegas,
            1 + mu * (bounds - 1),
            color=colour,
            linestyle="--",
            label=f"1 + μ (bound − 1), c = {shift:g}",
        )
        ax.axvline(condition.best_omega, color=colour, linewidth=0.8, linestyle=":")
        ax.set(title=f"{shape}, n = {A.n}", xlabel="ω", ylabel="iterations")
        means = counts.mean(axis=0)
        best = float(omegas[means.argmin()])
        columns = (condition.best_omega, best, mu)
        rows.append(
            [
                f"{shape}, n = {A.n}, c = {shift:g}",
                *(f"{x:.3f}" for x in columns),
                *(f"{x:.1f}" for x in (means.min(), means[0])),
            ]
        )
        numbers[f"{shape}, side {side}, c = {shift:g}"] = {
            "minimiser of the bound": condition.best_omega,
            "best omega": best,
            "mu": mu,
            "counts": counts.mean(axis=0).tolist(),
            "a1": condition.a1,
            "b1": condition.b1,
        }
    outside_legend(figure, axes[0], 2)
    header = ["domain", "ω of the bound", "best ω", "μ", "iterations there", "at ω = 0.83"]
    return Part(figure, header, rows, numbers)


# The heat equation.

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


# Regret, Theorem 2.1, and the classic bandits.


def regret(setting: Setting) -> Part:
    """Regret of several bandits on one family of count tables over T, with the bounds of Tsallis-INF."""
    sizes = np.array(setting.scope.pick((200, 800), (500, 2000, 8000)))
    seeds = setting.scope.pick(4, 20)
    learners = {
        "Tsallis-INF": TsallisINF(rate="horizon"),
        "Exp3": Exp3(),
        "UCB1": UCB1(),
        "Thompson": ThompsonSampling(),
    }
    K = 400.0
    figure, (ax,) = panels(1, 1, width=5.2)
    found: dict[str, np.ndarray] = {who: np.zeros((len(sizes), seeds)) for who in learners}
    for row, T in enumerate(sizes):
        counts = relaxation_table(alternating_laplacian(rounds=int(T), block=100, n_omegas=10)).losses
        problem = BanditProblem(LossTable(counts, (1.0, 1.0 + K)))
        for who, learner in learners.items():
            found[who][row] = [play(problem, learner, int(T), seed).final_regret for seed in range(seeds)]
    rows, numbers = [], dict[str, Any]()
    for who, samples in found.items():
        positive = (samples.mean(axis=1) > 0).all()
        slope = slope_interval(sizes * 1.0, samples) if positive else None
        text = "—" if slope is None else f"{slope.estimate:.2f} [{slope.low:.2f}, {slope.high:.2f}]"
        ax.errorbar(
            sizes,
            samples.mean(axis=1),
            samples.std(axis=1),
            color=STYLE[who][0],
            marker="o",
            label=f"{who}: slope {text}",
        )
        rows.append([who, *(mean_sd(s) for s in samples), text])
        numbers[who] = {
            "T": sizes.tolist(),
            "regret": samples.tolist(),
            "slope": None if slope is None else list(slope),
        }
    bounds = [K * normalised_bound(10, int(T), "horizon") for T in sizes]
    ax.plot(sizes, bounds, color="black", linestyle=":", label="2K √(2dT)")
    rows.append(["bound of Tsallis-INF", *(f"{b:,.0f}" for b in bounds), ""])
    ax.set(xlabel="T", ylabel="regret against the best fixed ω", xscale="log", yscale="log")
    ax.legend(frameon=False, fontsize="small")
    return Part(figure, ["d = 10, K = 400", *(f"T = {T:,}" for T in sizes), "slope [99 %]"], rows, numbers)


def theorem(setting: Setting) -> Part:
    """Both sides of Theorem 2.1 end to end, term by term, at the size of grid that it asks for."""
    sizes = setting.scope.pick((200,), (200, 800, 3200, 12_800))
    side, seeds = setting.scope.pick(5, 10), setting.scope.pick(3, 20)
    figure, (ax,) = panels(1, 1, width=5.2)
    rows, numbers = [], dict[str, Any]()
    columns = []
    for T in sizes:
        coarse = alternating_laplacian(side=side, rounds=100, n_omegas=20)
        logs = np.array(
            [
                math.log(near.alpha(beta, 1.95)) ** 2
                for near, beta in zip(surrogates_of(coarse), betas_of(coarse), strict=True)
            ]
        )
        d = round(((1 / logs).mean() ** 2 * logs.min() * T / 2) ** (1 / 3))
        tuning = alternating_laplacian(side=side, rounds=T, block=50, n_omegas=d)
        near = surrogates_of(tuning)
        largest = largest_count(tuning, near)
        counts = relaxation_table(tuning).losses
        problem = BanditProblem(LossTable(counts, (1.0, largest)))
        learner = TsallisINF(rate="horizon")
        totals = [-play(problem, learner, T, seed).values.sum() for seed in range(seeds)]
        which = np.bincount((tuning.systems.shift[tuning.systems.order] > 0).astype(int), minlength=2)
        comparator = float((which @ np.array([found.bounds for found in near])).min())
        rounding = math.log(1 / EPS) / d * float(which @ (1 / logs))
        bandit = (largest - 1) * normalised_bound(d, T, "horizon")
        trivial, best = T * largest, float(counts.sum(axis=0).min())
        whole = bandit + rounding + comparator
        columns.append((T, np.mean(totals), best, comparator, whole, trivial))
        terms = (best, comparator, bandit, rounding, whole, trivial)
        rows.append([f"{T:,}", str(d), mean_sd(totals), *(f"{x:,.0f}" for x in terms)])
        numbers[str(T)] = {
            "d": d,
            "K": largest - 1,
            "total": [float(x) for x in totals],
            "best fixed": best,
            "comparator": comparator,
            "bandit": bandit,
            "rounding": rounding,
        }
    names = ("Tsallis-INF", "best fixed ω", "min Σ U", "Theorem 2.1", "trivial bound")
    styles = ("o-", "s--", "^:", "-", ":")
    x, *curves = np.array(columns).T
    for name, curve, style in zip(names, curves, styles, strict=True):
        ax.plot(x, curve / x, style, label=name)
    ax.set(xlabel="T", ylabel="iterations per system", xscale="log", yscale="log")
    ax.legend(frameon=False, fontsize="small")
    header = ["T", "d", "total", "best fixed", "min Σ U", "2K √(2dT)", "rounding", "Theorem 2.1", "T (K + 1)"]
    return Part(figure, header, rows, numbers)


def bandits(setting: Setting) -> Part:
    """The classic bandits on independent rewards, and on losses whose level shifts."""
    rounds, seeds = setting.scope.pick((2000, 2), (100_000, 10))
    learners = {
        "UCB1": UCB1(),
        "KL-UCB": KLUCB(),
        "Thompson": ThompsonSampling(),
        "Exp3": Exp3(),
        "Tsallis-INF": TsallisINF(),
        "Tsallis-INF, reduced variance": TsallisINF(estimator="reduced-variance"),
    }
    problems = {
        "Bernoulli, means .1 to .9": bernoulli_bandit(),
        "losses whose level shifts": shifting_levels(rounds=rounds),
    }
    runs = Study(problems, learners, rounds, seeds).run(setting.executor, progress=False)
    figure, axes = panels(1, 2, width=4.8)
    for ax, name in zip(axes, problems, strict=True):
        for who in learners:
            colour, dash = STYLE.get(who, ("#56B4E9", "-"))
            curve = runs["regret"].sel(learner=who, instance=name).mean("seed")
            ax.plot(runs["round"], curve, color=colour, linestyle=dash, label=who)
        ax.set(title=name, xlabel="round", ylabel="regret", xscale="log")
    outside_legend(figure, axes[0], 3)
    rows, numbers = [], dict[str, Any]()
    for who in learners:
        final = {n: runs["final_regret"].sel(learner=who, instance=n).values for n in problems}
        rows.append([who, *(mean_sd(x) for x in final.values())])
        numbers[who] = {n: x.tolist() for n, x in final.items()}
    return Part(figure, [f"regret after T = {rounds:,}", *problems], rows, numbers)


# Where the count jumps.


def degenerate(setting: Setting) -> Part:
    """The count over omega for a random target, and for an eigenvector of ``C_1.4``."""
    A = SPDMatrix.of(laplacian(10))
    values, vectors = np.linalg.eig(defect_matrix(A, 1.4))
    special = np.real(vectors[:, np.argmin(np.abs(values))])
    mesh = np.arange(1.3, 1.5, setting.scope.pick(0.01, 0.002))
    drawn = truncated_gaussian(setting.scope.pick(4, 40), A.n, np.random.default_rng(0))
    typical = np.mean([[sor(A, b, float(w)).iterations for w in mesh] for b in drawn], axis=0)
    jumping = np.array([sor(A, special, float(w)).iterations for w in mesh])
    figure, (ax,) = panels(1, 1, width=5.2)
    ax.plot(mesh, typical, color="#0072B2", label="random targets (mean)")
    ax.plot(mesh, jumping, color="#D55E00", drawstyle="steps-mid", label="eigenvector of C at ω = 1.4")
    ax.set(xlabel="ω", ylabel="iterations", ylim=(0, None))
    ax.legend(frameon=False)
    at, jump = sor(A, special, 1.4).iterations, int(np.abs(np.diff(jumping)).max())
    rows = [
        ["eigenvector", str(at), str(jump)],
        [
            "random, mean",
            f"{np.mean([sor(A, b, 1.4).iterations for b in drawn]):.1f}",
            f"{np.abs(np.diff(typical)).max():.1f}",
        ],
    ]
    numbers = {"at 1.4": at, "jump": jump, "typical jump": float(np.abs(np.diff(typical)).max())}
    return Part(figure, ["target", "iterations at ω = 1.4", "largest jump"], rows, numbers)


# A matrix of a peer.


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


PARTS: dict[str, Callable[[Setting], Part]] = {
    "comparison": comparison,
    "surrogate": surrogate,
    "contexts": contexts,
    "preconditioner": preconditioner,
    "heat": heat,
    "tuner": tuner,
    "regret": regret,
    "theorem": theorem,
    "bandits": bandits,
    "degenerate": degenerate,
}
if find_spec("pyamg"):
    PARTS["gallery"] = gallery

if __name__ == "__main__":
    run("sor", PARTS, __doc__)
