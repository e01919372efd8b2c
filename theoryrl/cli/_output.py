"""What the commands print: tables, numbers, files and complaints."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

EXAMPLE = "\b\nExample:\n"
"""Opens the worked example at the end of a help text; click leaves the lines after it as they are."""

WIDEST = 100_000


def new_table(columns: Sequence[str], numeric: Sequence[str] = ()) -> Table:
    """Return an empty table; numeric columns are aligned to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in numeric else "left", overflow="fold")
    return table


def add_row(table: Table, *cells: str | Text) -> None:
    """Add a row; a plain text is shown as it is, brackets included."""
    from rich.text import Text

    table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))


def print_table(table: Table) -> None:
    """Print a table: within the width of a terminal, and in full width, on one line a row, elsewhere.

    A terminal that is too narrow gets folded cells; no content is ever cut off.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    natural = console.measure(table, options=console.options.update(max_width=WIDEST)).maximum
    plain = Console(width=max(80, natural), highlight=False, color_system=None, force_terminal=False)
    with plain.capture() as captured:
        plain.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def number(value: float | None, digits: int = 3) -> str:
    """Return a number in few characters, and a dash for none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}g}"


def interval(estimate: float, low: float, high: float, digits: int = 3) -> str:
    """Return ``estimate [low, high]``, or only the estimate where there is no interval."""
    if math.isnan(low):
        return number(estimate, digits)
    return f"{number(estimate, digits)} [{number(low, digits)}, {number(high, digits)}]"


def write_json(option: str, path: Path, content: Any) -> None:
    """Write JSON to a file; NaN, which JSON does not have, must have become None before."""
    try:
        path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise bad_option(option, f"cannot write {path}: {error.strerror}") from error


def checked_file(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file in a directory that does not exist, before the work and not after it."""
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter(f"{path.parent} is not a directory", context, parameter)
    return path


def make_directory(option: str, path: Path) -> Path:
    """Make a directory for results."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise bad_option(option, f"cannot make the directory {path}: {error.strerror}") from error
    return path


def finite(value: float) -> float | None:
    """Return the number, or None where it is not finite."""
    return value if math.isfinite(value) else None


def bad_option(option: str, message: str) -> click.BadParameter:
    """Return the error of a wrong option: exit code 2, and a message that names it."""
    return click.BadParameter(message, param_hint=f"'{option}'")


@contextlib.contextmanager
def complaints_about(option: str) -> Iterator[None]:
    """Turn a refused value into the error of the option that it came from."""
    try:
        yield
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise bad_option(option, str(error)) from error


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning for people who did not write the line that it comes from."""
    click.echo(f"warning: {message}", err=True)
