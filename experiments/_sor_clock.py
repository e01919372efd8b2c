"""Seconds of a time step on fine grids: a direct solver beside conjugate gradients, tuned and not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _parts import Part, Setting
from _plots import panels
from scipy import sparse
from scipy.sparse.linalg import splu

from theoryrl import RelaxationTuner
from theoryrl.instances import heat_equation
from theoryrl.instances.linear_systems import diffusion
from theoryrl.learners import ChebCB
from theoryrl.solvers import conjugate_gradients

Solve = Callable[[Any, np.ndarray, np.ndarray, float], tuple[np.ndarray, int]]
DIRECT_STEPS = 10
"""A factorisation takes as long in every step, so a few of them are enough."""


def direct(A: Any, b: np.ndarray, u: np.ndarray, context: float) -> tuple[np.ndarray, int]:
    """Factorise, symmetrically and with a symmetric ordering, and solve."""
    factors = splu(
        sparse.csc_array(A),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    return factors.solve(b), 0


def plain(A: Any, b: np.ndarray, u: np.ndarray, context: float) -> tuple[np.ndarray, int]:
    """Conjugate gradients without a preconditioner."""
    found = conjugate_gradients(A, b, u)
    return found.x, found.iterations


def tuned(omegas: np.ndarray, rounds: int) -> Solve:
    """Return a tuner's step: SSOR-CG, with ChebCB where there is a choice."""
    choice = {"learner": ChebCB(), "context_range": (0.0, 10.0), "horizon": rounds} if len(omegas) > 1 else {}
    tuner = RelaxationTuner("ssor-pcg", omegas=omegas, **choice)

    def solve(A: Any, b: np.ndarray, u: np.ndarray, context: float) -> tuple[np.ndarray, int]:
        x = tuner.solve(A, b, x0=u, context=context if choice else None)
        return x, int(tuner.counts[-1])

    return solve


def steps_of(solve: Solve, side: int, rounds: int, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """Return processor seconds and iterations of each step of the heat equation without source."""
    first = heat_equation(side=side, rounds=1, dt=dt)
    stiff, one = first.systems.matrices[0].sparse(), sparse.eye_array(side * side)
    u, seconds, counts = first.systems.starts[0], np.empty(rounds), np.empty(rounds)
    for step in range(rounds):
        scale = 0.5 * dt * diffusion((step + 0.5) * dt)
        A, b = sparse.csr_array(one + scale * stiff), u - scale * (stiff @ u)
        start = time.process_time()
        u, counts[step] = solve(A, b, u, diffusion(step * dt))
        seconds[step] = time.process_time() - start
    return seconds, counts


def clock(setting: Setting) -> Part:
    """Processor time per step over the size of the grid, for one period of the diffusion coefficient."""
    sizes = setting.scope.pick(((12, 40), (16, 40)), ((49, 200), (99, 200), (199, 200), (399, 100)))
    found = [timings(*size) for size in sizes]
    figure, (ax,) = panels(1, 1, width=5.4)
    rows, numbers = [], dict[str, Any]()
    for name in found[0]:
        seconds = [each[name][0] for each in found]
        ax.plot([side + 1 for side, _ in sizes], seconds, marker="o", label=name)
        cells = [f"{1e3 * s:,.1f}" + (f" ({k:.1f})" if k else "") for s, k in (each[name] for each in found)]
        rows.append([name, *cells])
        numbers[name] = [list(each[name]) for each in found]
    ax.set(xlabel="cells along a side", ylabel="seconds per step", xscale="log", yscale="log")
    ax.legend(frameon=False, fontsize="small")
    header = ["ms per step (iterations)", *(f"nx = {side + 1}" for side, _ in sizes)]
    return Part(figure, header, rows, numbers)


def timings(side: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Return seconds and iterations per step of each way; the first step of each is not timed."""
    dt = 1 / rounds
    ways: dict[str, tuple[Solve, int]] = {
        "direct (SuperLU)": (direct, min(rounds, DIRECT_STEPS)),
        "conjugate gradients": (plain, rounds),
        "SSOR-CG, ω = 1": (tuned(np.array([1.0]), rounds), rounds),
        "SSOR-CG, tuner with context": (tuned(np.linspace(1.0, 1.95, 20), rounds), rounds),
    }
    means = {}
    for name, (solve, steps) in ways.items():
        seconds, counts = steps_of(solve, side, steps, dt)
        means[name] = float(seconds[1:].mean()), float(counts.mean())
    return means
