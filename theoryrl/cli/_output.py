"""What the commands print: tables, numbers, files and complaints."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import click

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

EXAMPLE = "\b\nExample:\n"
"""Opens the worked example at the end of a help text; click leaves the lines after it as they are."""

WIDEST = 100_000


def new_table(columns: Sequence[str], numeric: Sequence[str] = (), whole: Sequence[str] = ()) -> Table:
    """Return an empty table: numeric columns are aligned to the right, those that stay whole never wrap."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        justify: Literal["left", "right"] = "right" if name in numeric else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name in whole)
    return table


def add_row(table: Table, *cells: str | Text) -> None:
    """Add a row; a plain text is shown as it is, brackets included."""
    from rich.text import Text

    table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))


def print_table(*layouts: Table) -> None:
    """Print a table in the first layout that fits the width; nothing is ever cut off.

    The width is that of the terminal. Without one it is 80, or ``COLUMNS``, or what the last layout needs
    to keep every word whole.
    """
    from rich.console import Console

    console = Console(highlight=False)
    free = console.options.update(max_width=WIDEST)
    needs = [console.measure(layout, options=free) for layout in layouts]
    fitting = [layout for layout, need in zip(layouts, needs, strict=True) if need.maximum <= console.width]
    chosen = fitting[0] if fitting else layouts[-1]
    if console.is_terminal:
        console.print(chosen)
        return
    width = console.width if fitting else max(console.width, needs[-1].minimum)
    plain = Console(width=width, highlight=False, color_system=None, force_terminal=False)
    with plain.capture() as captured:
        plain.print(chosen)
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
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise bad_option(option, f"{where}{error.strerror or error}") from error
    except (ValueError, TypeError, KeyError) as error:
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
