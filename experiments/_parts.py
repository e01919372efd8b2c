"""What the experiments share: parts, each of which makes a figure, a table and numbers.

An experiment is a script `experiments/<paper>.py` with a dictionary `PARTS` of functions from a `Setting`
to a `Part`, and ends with ``run("<paper>", PARTS, __doc__)``, which gives it these options::

    python experiments/<paper>.py                    # all parts, full size
    python experiments/<paper>.py --quick            # fewer seeds and rounds
    python experiments/<paper>.py --only one another # some parts
    python experiments/<paper>.py --docs             # all parts, into docs/papers/figures/<paper>/

Each part writes a figure (PNG) and a table (Markdown); all numbers go into `numbers.json`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from theoryrl.study.execution import process_pool
from theoryrl.theory import Scope

FIGURES = Path(__file__).parents[1] / "docs" / "papers" / "figures"


class Part(NamedTuple):
    """What one part of an experiment found: a figure, a table, and the numbers behind both."""

    figure: Figure
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Any


class Setting(NamedTuple):
    """How much to run, and where."""

    scope: Scope
    executor: Executor | None

    def map(self, function: Callable[..., Any], jobs: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Return function(*job) for each job, in order."""
        columns = list(zip(*jobs, strict=True))
        return list((map if self.executor is None else self.executor.map)(function, *columns))


Parts = Mapping[str, Callable[[Setting], Part]]


def run(paper: str, parts: Parts, description: str | None) -> None:
    """Run the parts that the command line asks for, and write what they found."""
    docs = FIGURES / paper
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("results") / paper, help="directory to write to")
    parser.add_argument("--docs", action="store_true", help=f"write to docs/papers/figures/{paper}")
    parser.add_argument("--quick", action="store_true", help="fewer seeds and rounds")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts), metavar="PART",
                        help=", ".join(parts))  # fmt: skip
    options = parser.parse_args()
    out = docs if options.docs else options.out
    scope = Scope("quick" if options.quick else "full")
    with process_pool(options.workers) if options.workers > 1 else nullcontext() as executor:
        for name in options.only:
            started = time.perf_counter()
            write(name, parts[name](Setting(scope, executor)), out)
            print(f"{name}: {time.perf_counter() - started:.1f} s")
    print(f"written to {out}")


def write(name: str, part: Part, out: Path) -> None:
    """Write one part's figure and table, and put its numbers into the file that all parts share."""
    out.mkdir(parents=True, exist_ok=True)
    part.figure.savefig(out / f"{name}.png", dpi=100)
    lines = [part.header, ["---"] + ["---:"] * (len(part.header) - 1), *part.rows]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    (out / f"{name}.md").write_text(table)
    print(f"\n{table}")
    file = out / "numbers.json"
    numbers = json.loads(file.read_text()) if file.exists() else {}
    numbers[name] = part.numbers
    file.write_text(json.dumps(numbers, indent=1, sort_keys=True) + "\n")
