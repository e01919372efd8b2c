"""The command line: ``theoryrl papers | theorems | verify | run | plot | solve``.

Each command imports what it needs when it is called, so that ``--help`` answers at once. Exit codes: 0
all is well; 1 a theorem is violated or a run failed; 2 wrong usage; 3 a verdict is inconclusive; 130
interrupted.
"""

from __future__ import annotations

import warnings
from typing import Any

import click

import theoryrl
from theoryrl.cli._output import show_warning
from theoryrl.cli.catalogue import papers, theorems
from theoryrl.cli.run import plot, run
from theoryrl.cli.solve import solve
from theoryrl.cli.verify import verify

INTERRUPTED = 130


class _Group(click.Group):
    """Gives Ctrl-C an exit code of its own: click's is that of a violated theorem."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: theoryrl verify stepmix --figures figures/",
)
@click.version_option(theoryrl.__version__, prog_name="theoryrl")
@click.pass_context
def main(context: click.Context) -> None:
    """Provable reinforcement learning on exactly solved models.

    Check the theorems of a paper, run its algorithms on models whose true values are known, and solve
    models exactly.
    """
    context.with_resource(warnings.catch_warnings())
    warnings.showwarning = show_warning


for command in (papers, theorems, verify, run, plot, solve):
    main.add_command(command)

__all__ = ["main"]
