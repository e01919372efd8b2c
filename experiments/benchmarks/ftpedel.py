"""Seconds of whole runs of FTPedel with the proven constants, and of exact designs.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/ftpedel.py

There is no peer for the learner. The exact design is timed beside the same conic program in cvxpy with
Clarabel, and counts of many episodes at once beside the same episodes drawn one by one, each in one run.
Writes docs/benchmarks/ftpedel.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import cvxpy
import numpy as np
from _report import seconds_of, table, write_page

from theoryrl.instances import offline_fork, twin_lock
from theoryrl.learners import FTPedel, Pedel, TwoPhaseFTPedel
from theoryrl.models import FineTuningTask, Policy
from theoryrl.protocol import identify
from theoryrl.solvers import (
    all_policy_certificate,
    class_occupancies,
    class_values,
    flow_constraints,
    frank_wolfe_design,
    minimal_online_episodes,
    simulate_counts,
    simulate_episodes,
)

COMMAND = "OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/ftpedel.py"
EPS, BETA = 0.1, 100.0


def five_runs(tasks: list[FineTuningTask], learner: Any) -> None:
    """Run a learner on five seeds."""
    for seed, task in enumerate(tasks):
        if not identify(task, learner, 10**9, seed).certified:
            raise RuntimeError(f"{learner!r} has not certified its policy on seed {seed}")


def conic(task: FineTuningTask) -> float:
    """Return T_o2o without data by cvxpy with Clarabel, every constraint included, in units of the answer."""
    mdp, policies = task.mdp, task.policies
    values = class_values(mdp, policies)
    d, floor = class_occupancies(mdp.P, mdp.rho, policies), np.maximum(values.max() - values, EPS)
    matrix, right = flow_constraints(mdp.P, mdp.rho)
    unit = 30_266.5
    x, T = cvxpy.Variable(mdp.r.size, nonneg=True), cvxpy.Variable(nonneg=True)
    rows = []
    for m, h in np.ndindex(len(policies), mdp.horizon):
        w = np.zeros(mdp.r.shape)
        w[h, np.arange(mdp.n_states), policies.actions[m, h]] = d[m, h]
        rows.append(w.ravel() ** 2 * BETA / (unit * floor[m] ** 2))
    squares = np.array(rows)
    used = squares.max(axis=0) > 0
    constraints = [matrix @ x == right * T, squares[:, used] @ cvxpy.inv_pos(x[used]) <= 1]
    return float(unit * cvxpy.Problem(cvxpy.Minimize(T), constraints).solve(solver="CLARABEL"))


def row(name: str, run: Callable[[], object], repetitions: int) -> tuple[list[str], float]:
    """Return a row of the table, and its median."""
    seconds = seconds_of(run, repetitions)
    cells = [f"{value:.3g}" for value in (np.median(seconds), seconds.min(), seconds.max())]
    return [name, *cells], float(np.median(seconds))


def main() -> None:
    """Measure, print, and write the page of the documentation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    covered = [offline_fork(True, int(8e4 / EPS**2), seed) for seed in range(5)]
    missed = [offline_fork(False, int(8e4 / EPS**2), seed) for seed in range(5)]
    options = {"eps": EPS, "growth": 0.1, "stop": "paper"}
    runs = [
        row(name, partial(five_runs, tasks, learner), repetitions)[0]
        for name, tasks, learner in (
            ("FTPedel on M−, J = 16, five runs of 6,500 episodes", covered, FTPedel(**options)),
            ("the same with one policy per batch", covered, FTPedel(**options, inner_steps=1)),
            ("uniform exploration with the same certificate", covered, FTPedel(**options, collect="uniform")),
            ("Pedel on M−, five runs of 2.2 million episodes", covered, Pedel(**options)),
            ("FTPedel on M+, five runs of 2.6 million episodes", missed, FTPedel(**options)),
            ("two phases on the twin lock, H = 3, A = 4, eps = .4, five runs",
             [twin_lock(3, 4, 0.8, 0)] * 5, TwoPhaseFTPedel(eps=0.4)),
        )
    ]  # fmt: skip
    few = min(repetitions, 3)
    task, rng = covered[0], np.random.default_rng(0)
    mdp, policies, offline = task.mdp, task.policies, task.offline
    assert offline is not None
    uniform, episodes = Policy.uniform(6, 3), 1_000_000
    design = partial(minimal_online_episodes, mdp, policies, EPS, BETA)
    exact = design()
    error = abs(conic(task) / exact.value - 1)
    ours, taken = row("exact design of the fork without data, 162 policies", design, repetitions)
    theirs, generic = row("the same by cvxpy with Clarabel", partial(conic, task), few)
    draw = partial(simulate_counts, mdp, uniform, episodes, rng)
    at_once, fast = row("counts of 10^6 episodes at once", draw, repetitions)
    play = partial(simulate_episodes, mdp, uniform, episodes, rng)
    single, slow = row("the same episodes one by one", play, few)
    steps = partial(frank_wolfe_design, mdp, policies, EPS, 30_000.0)
    cuts = partial(all_policy_certificate, offline, mdp.rho, 0.1, cuts=1)
    solvers = [
        ours,
        theirs,
        row("Frank and Wolfe's design of the fork, 30,000 episodes", steps, repetitions)[0],
        at_once,
        single,
        row("certificate for all 3^18 policies, one round of cuts", cuts, few)[0],
    ]
    apart, ratio = exact.gap / exact.value, generic / taken
    body = f"""One thread; {repetitions} repetitions after one that is not counted (slow rows: fewer).
The machine was shared with other work while this was measured, so single figures can be off by a factor of
two or more; ratios are of one run.

## Whole runs

Five seeds each, with the proven constants (`conf_scale = 1`), from the offline data to the certificate, the
exact value of every recommendation included.

{table(["", "seconds, median", "min", "max"], runs)}
## Solvers

{table(["", "seconds, median", "min", "max"], solvers)}
The generic conic program takes {ratio:.1f} times as long as the design with its proof (bounds {apart:.0e}
apart, relatively), in units that were chosen with the answer known, and the two differ by {error:.0e}.
Single episodes take {slow / fast:,.0f} times as long as their counts at once."""
    write_page("ftpedel", "Fine-tuning: speed", body, COMMAND, ("cvxpy", "clarabel"))


if __name__ == "__main__":
    main()
