"""Episodes per second of StepMix and EpsMix, and seconds of `theoryrl verify stepmix`, cold and warm.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/stepmix.py

There is no peer: no other implementation of the paper is known. Writes docs/benchmarks/stepmix.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial

import numpy as np
from _report import seconds_of, table, write_page

from theoryrl.instances import random_conservative
from theoryrl.learners import EpsMix, StepMix
from theoryrl.protocol import play

COMMAND = "OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/stepmix.py"
GROWTH = 0.1


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
    model, rows = random_conservative(seed=0), []
    for make in (StepMix, EpsMix):
        for bounds in ("kl", "bernstein", "bpi-ucbvi"):
            learner = make(bounds=bounds, refresh_growth=GROWTH)
            taken = seconds_of(partial(play, model, learner, arguments.episodes), arguments.repetitions)
            rows.append(row(f"{make.__name__}, {bounds}, {arguments.episodes:,} episodes", taken))
    cold, warm = verify_seconds(3)
    rows.append(["`theoryrl verify stepmix`, nothing compiled", f"{cold:.1f}", "", ""])
    rows.append(row("`theoryrl verify stepmix`, compiled", warm))
    body = f"""Whole runs on `random-conservative` (S = A = 5, H = 3), lazy refresh with g = {GROWTH},
one thread, exact value of every executed policy included; {arguments.repetitions} repetitions after
one that is not counted.

{table(["run", "seconds, median", "min", "max"], rows)}"""
    write_page("stepmix", "StepMix: speed", body, COMMAND)


def row(name: str, seconds: np.ndarray) -> list[str]:
    """Return one line of the table."""
    return [name, *(f"{number:.3f}" for number in (np.median(seconds), seconds.min(), seconds.max()))]


if __name__ == "__main__":
    main()
