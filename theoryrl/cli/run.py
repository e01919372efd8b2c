"""``theoryrl run`` and ``theoryrl plot``: a study, its table and its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from theoryrl.cli._output import (
    EXAMPLE,
    add_row,
    bad_option,
    checked_file,
    complaints_about,
    finite,
    interval,
    new_table,
    number,
    print_table,
    write_json,
)

if TYPE_CHECKING:
    import xarray as xr

    from theoryrl.study import Summary

WIDE = ("instance", "learner", "final regret", "log-log slope", "violations", "s / run")
NARROW = ("instance\n  learner", "final regret\nlog-log slope", "violations\ns / run")
SPECIFICATION = "NAME[:key=value,...]"


@click.command(
    epilog=EXAMPLE
    + "  theoryrl run --instance hazard:p=0.5,kappa=0.1 --learner stepmix --learner epsmix \\\n"
    + "      --rounds 2000 --seeds 10 --workers 2 --store results/hazard"
)
@click.option(
    "--instance",
    "instances",
    required=True,
    multiple=True,
    metavar=SPECIFICATION,
    help="A problem; repeatable.",
)
@click.option(
    "--learner",
    "learners",
    required=True,
    multiple=True,
    metavar=SPECIFICATION,
    help="An algorithm; repeatable.",
)
@click.option("--rounds", required=True, type=click.IntRange(min=1), help="Horizon K of each run.")
@click.option("--seeds", required=True, type=click.IntRange(min=1), help="Number N of seeds: 0, ..., N-1.")
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Number of processes."
)
@click.option(
    "--store",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the results; the same command resumes an interrupted study.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=checked_file,
    help="Write the table to a file.",
)
def run(
    instances: tuple[str, ...],
    learners: tuple[str, ...],
    rounds: int,
    seeds: int,
    workers: int,
    store: Path,
    json_file: Path | None,
) -> None:
    """Run every learner on every instance with every seed.

    Prints the final regret and the log-log slope of the regret over the last decade of rounds, each with a
    95% interval over the seeds, and the number of rounds whose value is below the threshold. Writes the
    dataset and the figures into the store.
    """
    from theoryrl.protocol import as_problem
    from theoryrl.protocol.core import check_rounds
    from theoryrl.study import CellError, StoreError, Study, summarise
    from theoryrl.study.core import check_seeds
    from theoryrl.study.keys import build_instance, build_learner

    with complaints_about("--rounds"):
        check_rounds(rounds)
    with complaints_about("--seeds"):
        check_seeds(seeds)
    problems = build_all("--instance", instances, lambda text: as_problem(build_instance(text), text))
    algorithms = build_all("--learner", learners, build_learner)
    with complaints_about("--learner"):
        study = Study(problems, algorithms, rounds, seeds)
        study.check()
    try:
        dataset = study.run(store=store, workers=workers)
    except (StoreError, OSError) as error:
        raise bad_option("--store", str(error)) from error
    except CellError as error:
        raise click.ClickException(f"{error}\nFinished runs are kept in {store}.") from error
    except KeyboardInterrupt:
        click.echo(f"the same command goes on with what is in {store}", err=True)
        raise
    summaries = summarise(dataset)
    print_summaries(summaries)
    if json_file is not None:
        write_json("--json", json_file, [record(summary) for summary in summaries])
    draw(dataset, store)


@click.command(epilog=EXAMPLE + "  theoryrl plot results/hazard")
@click.argument("store", type=click.Path(exists=True, file_okay=False, path_type=Path))
def plot(store: Path) -> None:
    """Print the table and draw the figures of a finished study again."""
    from theoryrl.study import load_dataset, summarise

    with complaints_about("STORE"):
        dataset = load_dataset(store)
    print_summaries(summarise(dataset))
    draw(dataset, store)


def build_all(option: str, texts: Sequence[str], build: Callable[[str], Any]) -> dict[str, Any]:
    """Return text to object, for a repeatable option."""
    objects: dict[str, Any] = {}
    for text in texts:
        if text in objects:
            raise bad_option(option, f"{text!r} is given twice")
        with complaints_about(option):
            objects[text] = build(text)
    return objects


def print_summaries(summaries: Sequence[Summary]) -> None:
    """Print one row for each instance and learner, and whether the constants were not the theory's."""
    wide, narrow = new_table(WIDE, WIDE[2:], WIDE), new_table(NARROW, NARROW[1:], NARROW[1:])
    for summary in summaries:
        instance, learner = summary.instance, summary.learner
        void = [] if summary.guaranteed else ["(no guarantee)"]
        regret, slope = interval(*summary.final_regret, digits=4), interval(*summary.slope)
        violations, seconds = _violations(summary), number(summary.seconds)
        add_row(wide, instance, " ".join([learner, *void]), regret, slope, violations, seconds)
        name = "\n  ".join([instance, learner, *void])
        add_row(narrow, name, f"{regret}\n{slope}", f"{violations}\n{seconds}")
    print_table(wide, narrow)


def _violations(summary: Summary) -> str:
    if summary.violations is None:
        return "-"
    if summary.violations == 0:
        return "0"
    return f"{summary.violations} in {summary.violated_seeds} of {summary.seeds} seeds"


def record(summary: Summary) -> dict[str, Any]:
    """Return the JSON record of one learner on one instance."""
    return {
        "instance": summary.instance,
        "learner": summary.learner,
        "rounds": summary.rounds,
        "seeds": summary.seeds,
        "final_regret": summary.final_regret.estimate,
        "final_regret_interval": [finite(limit) for limit in summary.final_regret[1:]],
        "slope": finite(summary.slope.estimate),
        "slope_interval": [finite(limit) for limit in summary.slope[1:]],
        "violations": summary.violations,
        "violated_seeds": summary.violated_seeds,
        "guaranteed": summary.guaranteed,
        "seconds": summary.seconds,
    }


def draw(dataset: xr.Dataset, store: Path) -> None:
    """Draw the figures of a study into its store."""
    from theoryrl.study import plot_regret, plot_values

    for name, draw_figure in (("regret.png", plot_regret), ("values.png", plot_values)):
        draw_figure(dataset).savefig(store / name)
        click.echo(f"figure: {store / name}")
