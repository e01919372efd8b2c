"""Seconds for the structure coefficients of one random MDP, and for the straightforward way to coverability.

The straightforward way is one backward induction for each stage and state, with our compiled kernel; it
must agree within the certificate.

    OMP_NUM_THREADS=1 python experiments/benchmarks/coefficients.py
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import theoryrl
from theoryrl.models import EpisodicMDP, Policy
from theoryrl.solvers import (
    action_gaps,
    clipped_concentrability,
    concentrability,
    coverability,
    minimum_visitation,
    reachability,
    smallest_positive_occupancy,
)
from theoryrl.solvers.episodic import _kernels

REPORT = Path(__file__).parents[2] / "docs" / "benchmarks" / "coefficients.md"
SIZES = {"large": (200, 5, 20), "small": (20, 4, 10)}


def model(S: int, A: int, H: int, seed: int) -> EpisodicMDP:
    """Return a random MDP with dense, stage-dependent rows."""
    rng = np.random.default_rng(seed)
    P = rng.random((H, S, A, S))
    return EpisodicMDP(P / P.sum(axis=-1, keepdims=True), rng.random((H, S, A)), np.full(S, 1 / S))


def target_by_target(mdp: EpisodicMDP) -> float:
    """Return the coverability by one backward induction for each (h, s)."""
    H, S, A = mdp.r.shape
    total = np.zeros(H)
    Q, actions = np.empty((H, S, A)), np.empty((H, S), dtype=np.int64)
    for h, s in np.ndindex(H, S):
        reward, V = np.zeros((h + 1, S, A)), np.zeros((h + 2, S))
        reward[h, s] = 1.0
        reward.setflags(write=False)
        _kernels.optimal_values(mdp.P[: h + 1], reward, 0.0, Q, V, actions)
        total[h] += A * (mdp.rho @ V[0])
    return float(total.max())


def contestants(mdp: EpisodicMDP, small: bool) -> dict[str, Callable[[], Any]]:
    """Return what is timed."""
    rng = np.random.default_rng(0)
    policies = [Policy(rng.dirichlet(np.ones(mdp.n_actions), size=mdp.r.shape[:2])) for _ in range(100)]
    mu = coverability(mdp).distribution
    runs: dict[str, Callable[[], Any]] = {
        "`coverability`, all policies": lambda: coverability(mdp),
        "one backward induction per target": lambda: target_by_target(mdp),
        "`coverability`, 100 policies": lambda: coverability(mdp, policies),
        "`reachability`": lambda: reachability(mdp),
        "`concentrability`": lambda: concentrability(mdp, mu),
        "`clipped_concentrability`, all policies": lambda: clipped_concentrability(mdp, mu, 2.0),
        "`action_gaps`": lambda: action_gaps(mdp),
    }
    if small:
        runs["`minimum_visitation`"] = lambda: minimum_visitation(mdp)
        runs["`smallest_positive_occupancy`"] = lambda: smallest_positive_occupancy(mdp)
    return runs


def measure(size: str, repetitions: int) -> list[str]:
    """Return the rows of one size; the first call of each, which may compile, is not counted."""
    mdp = model(*SIZES[size], seed=0)
    runs = contestants(mdp, size == "small")
    difference = abs(target_by_target(mdp) - coverability(mdp).value)
    if difference > coverability(mdp).gap:
        raise AssertionError(f"the two ways to coverability differ by {difference}")
    seconds = np.empty((repetitions + 1, len(runs)))
    for i in range(repetitions + 1):
        for j, run in enumerate(runs.values()):
            start = time.perf_counter()
            run()
            seconds[i, j] = time.perf_counter() - start
    sizes = ", ".join(f"{name} = {n}" for name, n in zip("SAH", SIZES[size], strict=True))
    return [
        f"| {sizes} | {name} | {np.median(column):.4f} | {column.min():.4f} | {column.max():.4f} |"
        for name, column in zip(runs, seconds[1:].T, strict=True)
    ]


def main() -> None:
    """Measure, print, and write the page of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    rows = [row for size in SIZES for row in measure(size, repetitions)]
    table = "\n".join(["| model | what | seconds, median | min | max |", "|---|---|---:|---:|---:|", *rows])
    print(table)
    versions = f"Python {platform.python_version()}, theoryrl {theoryrl.__version__}, numpy {np.__version__}"
    REPORT.write_text(f"""# Structure coefficients: speed

Random dense models with stage-dependent transitions, one thread, {repetitions} repetitions in turn after one
that is not counted. The second row of each model is the straightforward way to the first, and agrees with it.

{table}

Coverability of all policies multiplies H (H - 1) / 2 times an (S A) x S matrix with an S x S one.

Made by `OMP_NUM_THREADS=1 python experiments/benchmarks/coefficients.py --repetitions {repetitions}` with
{versions}, on {os.cpu_count()} cores.
""")


if __name__ == "__main__":
    main()
