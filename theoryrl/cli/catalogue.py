"""``theoryrl papers`` and ``theoryrl theorems``: what there is."""

from __future__ import annotations

import click

from theoryrl.cli._output import EXAMPLE, add_row, complaints_about, new_table, print_table


@click.command(epilog=EXAMPLE + "  theoryrl papers")
def papers() -> None:
    """List the papers and their algorithms."""
    from theoryrl.theory import PAPERS

    for paper in PAPERS.values():
        click.echo(f"{click.style(paper.key, bold=True)}  {paper.title}")
        click.echo(f"    {paper.authors}; {paper.venue}; arXiv {paper.arxiv}")
        click.echo(f"    {paper.summary}")
        click.echo(f"    learners: {', '.join(paper.learners)}; theorems: {len(paper.theorems)}")


@click.command(
    epilog=EXAMPLE + "  theoryrl theorems stepmix\n  theoryrl theorems --statements stepmix.safety"
)
@click.argument("keys", nargs=-1, metavar="[PAPER or THEOREM]...")
@click.option("--statements", is_flag=True, help="Print statement, assumptions and source too.")
def theorems(keys: tuple[str, ...], statements: bool) -> None:
    """List theorems: all, or those of papers, or single ones.

    The mark says where a statement comes from: the paper's text, memory of the literature (recalled), or
    a proof of ours.
    """
    from theoryrl.theory import select

    with complaints_about("PAPER or THEOREM"):
        chosen = select(keys)
    if not statements:
        wide = new_table(("theorem", "mark", "kind", "source"))
        narrow = new_table(("theorem", "source"), whole=("theorem",))
        for theorem in chosen:
            mark, kind = theorem.mark.value, theorem.kind.value
            add_row(wide, theorem.key, mark, kind, theorem.source)
            add_row(narrow, f"{theorem.key}\n  {mark}, {kind}", theorem.source)
        print_table(wide, narrow)
        return
    for theorem in chosen:
        click.echo(f"{click.style(theorem.key, bold=True)}  ({theorem.mark.value}, {theorem.kind.value})")
        click.echo(click.wrap_text(theorem.statement, 100, "    ", "    "))
        for assumption in theorem.assumptions:
            click.echo(click.wrap_text(assumption, 100, "    assumes: ", "      "))
        click.echo(click.wrap_text(theorem.source, 100, "    source: ", "      "))
