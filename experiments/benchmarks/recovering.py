"""Seconds of the exact optimum of recovering bandits, and periods per second of PeriodicUCB.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/recovering.py

There is no peer: no other implementation of the paper is known. The generic way to the optimum, a linear
program over the edges of the idle-time graph solved by HiGHS, is timed beside ours in the same run. Writes
docs/benchmarks/recovering.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
from _report import seconds_of, table, write_page
from scipy.optimize import linprog
from scipy.sparse import coo_array, vstack

from theoryrl import RecoveringBandit, play
from theoryrl.instances import recovering
from theoryrl.learners import PeriodicUCB, UCBGreedy
from theoryrl.protocol import RecoveringProblem
from theoryrl.solvers import fluid_bound, idle_time_graph, optimal_cycle, purely_periodic

COMMAND = "OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/recovering.py"


def optimum_by_linear_program(bandit: RecoveringBandit) -> float:
    """Maximise the mean reward of a circulation of total mass one on the idle-time graph."""
    graph = idle_time_graph(bandit)
    S, A = graph.successors.shape
    edges = np.arange(S * A)
    sources, targets = np.repeat(np.arange(S), A), graph.successors.ravel()
    ones = np.ones(S * A)
    balance = coo_array((ones, (targets, edges)), shape=(S, S * A)).tocsr()
    balance = balance - coo_array((ones, (sources, edges)), shape=(S, S * A)).tocsr()
    A_eq = vstack([balance, coo_array(np.ones((1, S * A)))])
    b_eq = np.append(np.zeros(S), 1.0)
    return -float(linprog(-graph.rewards.ravel(), A_eq=A_eq, b_eq=b_eq, method="highs").fun)


def row(name: str, seconds: np.ndarray, unit: float = 1.0) -> list[str]:
    """Return a row of the table, in seconds or in `unit` per second."""
    if unit == 1.0:
        return [name, *(f"{value:.3g}" for value in (np.median(seconds), seconds.min(), seconds.max()))]
    rates = unit / seconds
    return [name, *(f"{value:,.0f}" for value in (np.median(rates), rates.min(), rates.max()))]


def optimum_rows(repetitions: int) -> tuple[list[list[str]], float, float]:
    """Return the rows on exact planning, the ratio to the linear program, and their disagreement."""
    rows = []
    small = recovering("monotone", n_arms=4, memory=8, seed=0)
    ours = seconds_of(partial(optimal_cycle, small), repetitions)
    rows.append(row("optimum, N = 4, memory 8, K = 2 (4,096 states, 11 sets)", ours))
    generic = seconds_of(partial(optimum_by_linear_program, small), 1, warm_up=0)
    rows.append(row("the same by SciPy's HiGHS on the idle-time graph", generic))
    error = abs(optimum_by_linear_program(small) - float(optimal_cycle(small).value))
    large = recovering("monotone", n_arms=6, memory=8, seed=0)
    taken = seconds_of(partial(optimal_cycle, large), min(repetitions, 3))
    rows.append(row("optimum, N = 6, memory 8, K = 2 (262,144 states, 22 sets)", taken))
    wide = recovering("monotone", n_arms=400, max_pulls=100, memory=40, seed=0)
    rows.append(
        row("relaxation, N = 400, memory 40, K = 100", seconds_of(partial(fluid_bound, wide), repetitions))
    )
    plan: Callable[[], object] = partial(purely_periodic, wide, 10, "grid")
    rows.append(row("periodic plan of the same, a = 10", seconds_of(plan, repetitions)))
    return rows, float(np.median(generic) / np.median(ours)), error


def learning_rows(periods: int, repetitions: int) -> list[list[str]]:
    """Return the rows on whole runs, the exact mean reward of every period included."""
    rows = []
    for name, learner, rounds in (
        ("PeriodicUCB", PeriodicUCB(), periods),
        ("PeriodicUCB, first pulls reused", PeriodicUCB(reuse_first=True), periods),
        ("UCB-greedy, lazy (growth 0.1)", UCBGreedy(refresh_growth=0.1), periods // 10),
    ):
        for N in (10, 50):
            bandit = recovering("concave", n_arms=N, max_pulls=N // 5, memory=16, seed=0)
            problem = RecoveringProblem(bandit, reference="bound")
            taken = seconds_of(partial(play, problem, learner, rounds), repetitions)
            rows.append(row(f"{name}, N = {N}, K = {N // 5}, T = {rounds:,}", taken, rounds))
    return rows


def main() -> None:
    """Measure, print, and write the page of the documentation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--periods", type=int, default=1_000_000)
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    planning, ratio, error = optimum_rows(arguments.repetitions)
    learning = learning_rows(arguments.periods, arguments.repetitions)
    body = f"""One thread; {arguments.repetitions} repetitions after one that is not counted (linear program
and the largest graph: fewer). The machine was shared with other work while this was measured, so single
figures can be off by a factor of two; ratios are of one run.

## Planning

{table(["", "seconds, median", "min", "max"], planning)}
Policy iteration on the graph takes 1/{ratio:,.0f} of the time of the linear program; their optima differ by
{error:.1g}.

## Learning

Whole runs from the first period to the last: plans, play, bookkeeping, and the exact mean reward of every
period in the trace.

{table(["", "periods / s, median", "min", "max"], learning)}"""
    write_page("recovering", "Recovering bandits: speed", body, COMMAND, ("scipy",))


if __name__ == "__main__":
    main()
