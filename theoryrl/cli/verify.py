"""``theoryrl verify``: check theorems and print their verdicts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from theoryrl.cli._output import (
    EXAMPLE,
    add_row,
    checked_file,
    complaints_about,
    make_directory,
    new_table,
    number,
    print_table,
    write_json,
)

if TYPE_CHECKING:
    from theoryrl.theory import Report

WIDE = (
    "theorem",
    "mark",
    "kind",
    "verdict",
    "measured",
    "bound",
    "tightness",
    "instances",
    "violations",
    "seconds",
)
NARROW = (
    "theorem\n  mark, kind",
    "verdict\nseconds",
    "measured\nbound",
    "tightness",
    "instances\nviolations",
)
COLOURS = {"holds": "green", "violated": "bold red", "inconclusive": "yellow"}
FIGURE = "verification.png"

VIOLATED, INCONCLUSIVE = 1, 3


@click.command(
    epilog=EXAMPLE
    + "  theoryrl verify stepmix --figures figures/\n"
    + "  theoryrl verify stepmix.safety stepmix.width --profile full --seed 1 --json verdicts.json"
)
@click.argument("keys", nargs=-1, metavar="[PAPER or THEOREM]...")
@click.option(
    "--profile",
    type=click.Choice(["quick", "full"]),
    default="quick",
    show_default=True,
    help="How much evidence.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all evidence."
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=checked_file,
    help="Write the verdicts to a file.",
)
@click.option(
    "--figures",
    type=click.Path(file_okay=False, path_type=Path),
    help="Draw the figure into this directory.",
)
@click.pass_context
def verify(
    context: click.Context,
    keys: tuple[str, ...],
    profile: str,
    seed: int,
    json_file: Path | None,
    figures: Path | None,
) -> None:
    """Check theorems: all, or those of papers, or single ones.

    Exits with 0 if all hold, 1 if one is violated, 3 if none is violated but one is inconclusive.
    """
    from theoryrl import theory

    with complaints_about("PAPER or THEOREM"):
        chosen = theory.select(keys)
    directory = None if figures is None else make_directory("--figures", figures)
    with _progress(len(chosen)) as on_report:
        reports = theory.verify(keys, profile=profile, seed=seed, on_report=on_report)
    print_reports(reports)
    if json_file is not None:
        write_json("--json", json_file, {"theorems": [report.to_json() for report in reports]})
    if directory is not None:
        from theoryrl.study import plot_verification

        plot_verification(reports).savefig(directory / FIGURE)
        click.echo(f"figure: {directory / FIGURE}")
    context.exit(exit_code(reports))


def print_reports(reports: Sequence[Report]) -> None:
    """Print the table of verdicts, the details of those that do not hold, and a summary."""
    from rich.text import Text

    wide = new_table(WIDE, WIDE[4:], WIDE)
    narrow = new_table(NARROW, NARROW[2:], NARROW)
    for report in reports:
        key, mark, kind = report.theorem.key, report.theorem.mark.value, report.theorem.kind.value
        verdict = Text(report.verdict.value, style=COLOURS[report.verdict.value])
        measured, tightness = number(report.measured), number(report.tightness)
        bound = number(report.bound) + (" vacuous" if report.vacuous else "")
        counts = str(report.instances), str(report.violations)
        seconds = f"{report.seconds:.1f}"
        add_row(wide, key, mark, kind, verdict, measured, bound, tightness, *counts, seconds)
        below = verdict.copy().append(f"\n{seconds} s", style="default")
        add_row(
            narrow, f"{key}\n  {mark}, {kind}", below, f"{measured}\n{bound}", tightness, "\n".join(counts)
        )
    print_table(wide, narrow)
    for report in reports:
        if report.verdict.value != "holds":
            click.echo(f"{report.theorem.key} {report.verdict.value}: {report.detail}")
            click.echo(click.wrap_text(report.theorem.statement, 100, "    ", "    "))
    verdicts = [report.verdict.value for report in reports]
    totals = ", ".join(f"{verdicts.count(name)} {name}" for name in COLOURS if name in verdicts)
    noun = "theorem" if len(reports) == 1 else "theorems"
    click.echo(f"{len(reports)} {noun}: {totals}; {sum(report.seconds for report in reports):.1f} s")


def exit_code(reports: Sequence[Report]) -> int:
    """Return the exit code of a verification."""
    verdicts = {report.verdict.value for report in reports}
    if "violated" in verdicts:
        return VIOLATED
    return INCONCLUSIVE if "inconclusive" in verdicts else 0


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[Report], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda report: bar.update(task, advance=1, description=f"{report.theorem.key} is done")
