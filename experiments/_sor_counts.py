"""Counts over omega, and the bounds on them: U, the preconditioner's, and a target without any."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from _parts import Part, Setting
from _plots import outside_legend, panels
from _sor_shared import EPS

from theoryrl.instances.linear_systems import (
    domain_laplacian,
    l_shape,
    laplacian,
    shifted_sequence,
    truncated_gaussian,
)
from theoryrl.models import RelaxationTuning, SPDMatrix
from theoryrl.solvers import (
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
