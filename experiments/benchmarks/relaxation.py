"""Seconds per SOR sweep here and in PyAMG's C++, on the same 5-point Laplacian, in the same run.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/relaxation.py

PyAMG is not a dependency. To compare with it, install it beside theoryrl in an environment of its own:
`pip install -e . pyamg`. Without it only our rows are printed, and no file is written.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _report import table, write_page

from theoryrl.instances import alternating_laplacian
from theoryrl.instances.linear_systems import laplacian
from theoryrl.learners import ChebCB, TsallisINF
from theoryrl.models import LossTable, SPDMatrix
from theoryrl.protocol import play, relaxation_table
from theoryrl.solvers import sor

COMMAND = "OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/relaxation.py"
OMEGA = 1.5
SMALL = 300
"""Sweeps per call at n = 100."""

NEVER = 1e-200
"""A tolerance that no run reaches, so that all sweeps are made."""


def sweeps(side: int, count: int) -> dict[str, Callable[[], Any]]:
    """Return what takes `count` sweeps in one call, ours and PyAMG's."""
    A, rng = laplacian(side), np.random.default_rng(0)
    b = rng.standard_normal(A.shape[0])
    matrix = SPDMatrix.of(A)
    runs: dict[str, Callable[[], Any]] = {
        "theoryrl, `sor`": lambda: sor(matrix, b, OMEGA, tol=NEVER, max_iterations=count),
    }
    try:
        from pyamg.relaxation import relaxation
    except ImportError:
        print("PyAMG is not installed: only our rows", file=sys.stderr)
        return runs
    C = A.copy()
    C.indices, C.indptr = C.indices.astype(np.int32), C.indptr.astype(np.int32)

    def theirs(method: Callable[[np.ndarray], None]) -> Callable[[], Any]:
        return lambda: method(np.zeros(len(b)))

    def with_norms(x: np.ndarray) -> None:
        for _ in range(count):
            relaxation.sor(C, x, b, OMEGA, iterations=1)
            np.linalg.norm(b - C @ x)

    runs["PyAMG, `sor`"] = theirs(lambda x: relaxation.sor(C, x, b, OMEGA, iterations=count))
    runs["PyAMG, `gauss_seidel`"] = theirs(lambda x: relaxation.gauss_seidel(C, x, b, iterations=count))
    runs["PyAMG, `sor` and the residual norm of each sweep"] = theirs(with_norms)
    return runs


def sweep_rows(side: int, count: int, repetitions: int) -> list[list[str]]:
    """Return milliseconds per sweep, in turns; one row for each contestant."""
    runs = sweeps(side, count)
    seconds = []
    for _ in range(repetitions + 1):
        taken = []
        for run in runs.values():
            start = time.process_time()
            run()
            taken.append((time.process_time() - start) / count)
        seconds.append(taken)
    times = 1e3 * np.array(seconds[1:])
    rows = []
    for k, name in enumerate(runs):
        ratio = np.median(times[:, k] / times[:, 0])
        rows.append(
            [name, *(f"{x:.3g}" for x in (np.median(times[:, k]), times[:, k].min())), f"{ratio:.2f}"]
        )
    return rows


def learner_rows(rounds: int, repetitions: int) -> list[list[str]]:
    """Return rounds per second of the learners on a table of counts with 20 parameters."""
    tuning = alternating_laplacian(side=10, rounds=rounds, n_omegas=20)
    counts = relaxation_table(tuning)
    seen = np.random.default_rng(0).random(2000)
    contextual = LossTable(counts.losses[:2000], counts.loss_range, seen, (0.0, 1.0))
    rows = []
    for name, learner, losses in (("Tsallis-INF", TsallisINF(), counts), ("ChebCB", ChebCB(), contextual)):
        rates = []
        for seed in range(repetitions + 1):
            start = time.process_time()
            play(losses, learner, losses.rounds, seed)
            rates.append(losses.rounds / (time.process_time() - start))
        rows.append([name, f"{np.median(rates[1:]):,.0f}", f"{min(rates[1:]):,.0f}"])
    return rows


def main() -> None:
    """Measure, print, and write the page of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=1000, help="n is its square")
    parser.add_argument("--sweeps", type=int, default=30)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=200_000)
    arguments = parser.parse_args()
    rows = sweep_rows(arguments.side, arguments.sweeps, arguments.repetitions)
    small = sweep_rows(10, SMALL, arguments.repetitions)
    learners = learner_rows(arguments.rounds, arguments.repetitions)
    header = ["", "ms per sweep, median", "least", "over ours, median of ratios"]
    body = f"""One SOR sweep on the 5-point Laplacian, one thread, {arguments.sweeps} sweeps per call,
{arguments.repetitions} repetitions in turns after one that is not counted, in processor time, because others
used the machine too (memory they still shared: the ratios say more than the times). Ours keeps the residual
norm of every sweep, and includes a residual computed anew with a proven bound at the end of each call.
PyAMG's sweeps compute no residual; the last row adds one, as a stopping rule needs it.

n = {arguments.side**2:,}:

{table(header, rows)}
n = 100, {SMALL} sweeps per call:

{table(header, small)}
Rounds per second of the learners with 20 parameters (the counts known beforehand, one thread):

{table(["", "rounds/s, median", "least"], learners)}
A sweep is bound by the chain of dependent rows, each of which waits for the one before. Ours reads the lower
triangle only, half of the matrix.
"""
    print(body)
    if len(rows) > 1:
        write_page("relaxation", "Relaxation: speed", body, COMMAND, ("pyamg", "scipy"))


if __name__ == "__main__":
    main()
