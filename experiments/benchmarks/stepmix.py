"""Episodes per second of StepMix and EpsMix, and seconds of `theoryrl verify stepmix`, cold and warm.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/stepmix.py

There is no peer: no other implementation of the paper is known. Writes docs/benchmarks/stepmix.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from theoryrl.instances import random_conservative
from theoryrl.learners import EpsMix, StepMix
from theoryrl.protocol import play

REPORT = Path(__file__).parents[2] / "docs" / "benchmarks" / "stepmix.md"
GROWTH = 0.1


def run_seconds(make: Callable[..., object], bounds: str, episodes: int, repetitions: int) -> np.ndarray:
    """Return the seconds of whole runs, exact values included, after one that is not counted."""
    model = random_conservative(seed=0)
    seconds = []
    for seed in range(repetitions + 1):
        start = time.perf_counter()
        play(model, make(bounds=bounds, refresh_growth=GROWTH), episodes, seed)
        seconds.append(time.perf_counter() - start)
    return np.array(seconds[1:])


def verify_seconds(repetitions: int) -> tuple[float, np.ndarray]:
    """Return the seconds of the command with an empty compilation cache, and with a filled one."""
    command = [sys.executable, "-m", "theoryrl", "verify", "stepmix", "--profile", "quick"]
    with tempfile.TemporaryDirectory() as cache:
        seconds = []
        for _ in range(repetitions + 1):
            start = time.perf_counter()
            subprocess.run(
                command, check=True, capture_output=True, env=os.environ | {"NUMBA_CACHE_DIR": cache}
            )
            seconds.append(time.perf_counter() - start)
    return seconds[0], np.array(seconds[1:])


def main() -> None:
    """Measure, print, and write the page of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=1_000_000)
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    lines = ["| run | seconds, median | min | max |", "|---|---:|---:|---:|"]
    for make in (StepMix, EpsMix):
        for bounds in ("kl", "bernstein", "bpi-ucbvi"):
            taken = run_seconds(make, bounds, arguments.episodes, arguments.repetitions)
            lines.append(
                f"| {make.__name__}, {bounds}, {arguments.episodes:,} episodes "
                f"| {np.median(taken):.3f} | {taken.min():.3f} | {taken.max():.3f} |"
            )
    cold, warm = verify_seconds(3)
    lines.append(f"| `theoryrl verify stepmix`, nothing compiled | {cold:.1f} | | |")
    middle, low, high = np.median(warm), warm.min(), warm.max()
    lines.append(f"| `theoryrl verify stepmix`, compiled | {middle:.1f} | {low:.1f} | {high:.1f} |")
    rows = "\n".join(lines)
    print(rows)
    REPORT.write_text(f"""# StepMix: speed

Whole runs on `random-conservative` (S = A = 5, H = 3), lazy refresh with g = {GROWTH}, one thread, exact
value of every executed policy included; {arguments.repetitions} repetitions after one that is not counted.

{rows}

Made by `OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/stepmix.py` with Python
{platform.python_version()}, theoryrl {version("theoryrl")}, numba {version("numba")}, numpy
{version("numpy")}, on {os.cpu_count()} cores.
""")


if __name__ == "__main__":
    main()
