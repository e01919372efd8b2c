"""What the benchmarks share: seconds of whole runs, and the page of the documentation."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

PAGES = Path(__file__).parents[2] / "docs" / "benchmarks"


def seconds_of(run: Callable[[], object], repetitions: int, warm_up: int = 1) -> np.ndarray:
    """Return the seconds of `repetitions` runs, after `warm_up` that are not counted."""
    seconds = []
    for _ in range(warm_up + repetitions):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return np.array(seconds[warm_up:])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose columns after the first are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_page(name: str, title: str, body: str, command: str, packages: Sequence[str] = ()) -> None:
    """Write docs/benchmarks/<name>.md, with the command and the versions at its end, and print its body."""
    print(body)
    names = ("theoryrl", "numba", "numpy", *packages)
    versions = ", ".join(f"{name} {_version(name)}" for name in names)
    made = f"Made by `{command}` with Python {platform.python_version()}, {versions}, on "
    made += f"{os.cpu_count()} cores."
    (PAGES / f"{name}.md").write_text(f"# {title}\n\n{body.strip()}\n\n{made}\n")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
