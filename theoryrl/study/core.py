"""A study: every learner on every instance with every seed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from itertools import product
from pathlib import Path
from typing import Any

import xarray as xr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import theoryrl
from theoryrl.models._validation import check_count
from theoryrl.protocol import Audit, Streams, as_problem
from theoryrl.protocol.core import check_learner, check_rounds
from theoryrl.study.dataset import DATASET, assemble, save_dataset
from theoryrl.study.execution import pack, process_pool, run_cell, run_packed_cell
from theoryrl.study.fingerprint import fingerprint
from theoryrl.study.keys import bind, build_instance, build_learner
from theoryrl.study.store import FORMAT, Cell, Result, Store

Advance = Callable[[], None]

MOST_SEEDS = 1_000_000
"""Every run is a file of the store and a row of the dataset: more is a slip of the pen."""


class CellError(RuntimeError):
    """Some cells of a study failed; all others are finished, and stored if there is a store.

    Attributes
    ----------
    failures
        The failed cells and their exceptions.
    """

    def __init__(self, failures: Sequence[tuple[Cell, Exception]]) -> None:
        self.failures = tuple(failures)
        cell, error = self.failures[0]
        more = f" (and {len(failures) - 1} more cells failed)" if len(failures) > 1 else ""
        super().__init__(f"{cell} failed: {type(error).__name__}: {error}{more}")


class Study:
    """A grid of runs.

    Parameters
    ----------
    problems
        Name to model or problem, or a list of registry texts such as ``"hazard:p=0.5,kappa=0.1"``.
    learners
        Name to learner, or a list of registry texts such as ``"stepmix:delta=0.1"``. A text that
        names an oracle, which has to see the true model, is completed with each problem's model.
    rounds
        Horizon K of every run.
    seeds
        How many seeds (0, 1, ...), or the seeds themselves.
    audit
        `audit(problem, state, decision)`: further numbers for the dataset, computed with the true model.

    Raises
    ------
    ValueError
        On an unknown key, a wrong parameter, a repeated or negative seed, an empty grid.
    TypeError
        On an object that is neither a model nor a problem, or no learner.

    Examples
    --------
    >>> study = Study(["hazard:kappa=0.2"], ["stepmix", "budget"], rounds=100, seeds=2)
    >>> study
    Study(2 learners x 1 instances x 2 seeds, 100 rounds)
    """

    def __init__(
        self,
        problems: Mapping[str, Any] | Sequence[str],
        learners: Mapping[str, Any] | Sequence[str],
        rounds: int,
        seeds: int | Sequence[int],
        audit: Audit | None = None,
    ) -> None:
        named = _named("problems", problems, build_instance)
        self.problems = {name: as_problem(model, name) for name, model in named.items()}
        self.learners = _named("learners", learners, build_learner)
        for name, learner in self.learners.items():
            check_learner(f"learners[{name!r}]", bind(learner, next(iter(self.problems.values()))))
        self.rounds = check_rounds(rounds)
        self.seeds = check_seeds(seeds)
        self.audit = audit

    @property
    def specification(self) -> dict[str, Any]:
        """All that determines the results, as JSON data."""
        return {
            "format": FORMAT,
            "theoryrl": theoryrl.__version__,
            "rounds": self.rounds,
            "seeds": list(self.seeds),
            "audit": None if self.audit is None else fingerprint(self.audit),
            "learners": _described(self.learners),
            "instances": _described(self.problems),
        }

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every run of the grid."""
        specification = self.specification
        grid = product(self.learners, self.problems, self.seeds)
        return tuple(Cell.of(learner, instance, seed, specification) for learner, instance, seed in grid)

    def check(self) -> None:
        """Raise unless every learner can begin on every problem, before anything is run or stored.

        Raises
        ------
        ValueError
            Naming the learner and the problem that do not fit, and why.
        """
        for (name, learner), (key, problem) in product(self.learners.items(), self.problems.items()):
            try:
                bind(learner, problem).init(problem.spec(self.rounds), Streams.from_seed(0).learner)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{name} cannot play {key}: {error}") from error

    def run(
        self,
        executor: Executor | None = None,
        store: str | Path | None = None,
        progress: bool = True,
        workers: int = 1,
    ) -> xr.Dataset:
        """Run every cell that the store does not have yet, and collect all of them.

        The result does not depend on the executor, on the number of workers, or on how often the
        study was interrupted, `seconds` apart.

        Parameters
        ----------
        executor
            Any `concurrent.futures.Executor`. Default: this process for one worker, else a pool of
            `workers` freshly started processes with one thread each. (A script that uses more than
            one worker needs the usual ``if __name__ == "__main__":``.)
        store
            A directory that keeps finished cells, so that an interrupted study can go on. Default:
            none are kept.
        progress
            Show a progress bar, if there is a terminal.
        workers
            Number of processes, where no executor is given.

        Returns
        -------
        xarray.Dataset
            Over (learner, instance, seed, round): ``regret`` (cumulative), ``value`` (exact, of that
            round's decision) and each diagnostic (NaN where a learner does not have it; with the
            prefix ``diagnostic_`` where its name is taken). Over (learner, instance, seed):
            ``benchmark``, ``final_regret``, ``guaranteed``, ``violations`` (rounds below the
            threshold; NaN without one) and ``seconds``. Over (instance): ``threshold``. The rounds
            are those of `theoryrl.study.round_grid`; scalars are exact over all rounds.

        Raises
        ------
        StoreError
            If the store holds another study.
        CellError
            If some cells failed; all others have been finished and stored.
        """
        check_count("workers", workers)
        with contextlib.ExitStack() as stack:
            keep = store is not None
            directory = store if store is not None else stack.enter_context(tempfile.TemporaryDirectory())
            shelf = Store(directory, self.specification)
            cells = self.cells
            missing = [cell for cell in cells if shelf.read(cell) is None]
            with _progress(len(cells), len(cells) - len(missing), progress) as advance:
                self._run_missing(missing, shelf, executor, workers, advance)
            dataset = self._collect(cells, shelf)
            if keep:
                save_dataset(dataset, shelf.directory / DATASET)
            return dataset

    def _run_missing(
        self, cells: Sequence[Cell], shelf: Store, executor: Executor | None, workers: int, advance: Advance
    ) -> None:
        if executor is None and workers > 1 and len(cells) > 1:
            with process_pool(min(workers, len(cells))) as pool:
                failures = self._submit(cells, shelf, pool, advance, borrowed=False)
        elif executor is not None:
            failures = self._submit(cells, shelf, executor, advance, borrowed=True)
        else:
            failures = self._run_here(cells, shelf, advance)
        if failures:
            failures.sort(key=lambda failure: cells.index(failure[0]))
            raise CellError(failures) from failures[0][1]

    def _run_here(
        self, cells: Sequence[Cell], shelf: Store, advance: Advance
    ) -> list[tuple[Cell, Exception]]:
        failures: list[tuple[Cell, Exception]] = []
        for cell in cells:
            problem = self.problems[cell.instance]
            try:
                learner = bind(self.learners[cell.learner], problem)
                result = run_cell(problem, learner, self.rounds, cell.seed, self.audit)
            except Exception as error:
                failures.append((cell, error))
            else:
                shelf.write(cell, result)
            advance()
        return failures

    def _submit(
        self, cells: Sequence[Cell], shelf: Store, executor: Executor, advance: Advance, *, borrowed: bool
    ) -> list[tuple[Cell, Exception]]:
        jobs = {
            (name, key): pack(problem, bind(learner, problem), self.audit)
            for name, learner in self.learners.items()
            for key, problem in self.problems.items()
        }
        futures: dict[Future[Result], Cell] = {}
        failures: list[tuple[Cell, Exception]] = []
        try:
            for cell in cells:
                job = jobs[cell.learner, cell.instance]
                try:
                    futures[executor.submit(run_packed_cell, job, self.rounds, cell.seed)] = cell
                except BrokenExecutor as error:
                    failures.append((cell, error))
            for future in as_completed(list(futures)):
                cell = futures.pop(future)
                try:
                    result = future.result()
                except Exception as error:
                    failures.append((cell, error))
                else:
                    shelf.write(cell, result)
                advance()
        except BaseException:
            # A pool of our own is about to die, and CPython fails to break a pool with cancelled futures.
            if borrowed:
                for future in futures:
                    future.cancel()
            raise
        return failures

    def _collect(self, cells: Sequence[Cell], shelf: Store) -> xr.Dataset:
        by_name = {(cell.learner, cell.instance, cell.seed): cell for cell in cells}

        def read(learner: str, instance: str, seed: int) -> Result:
            result = shelf.read(by_name[learner, instance, seed])
            if result is None:
                raise OSError(f"{by_name[learner, instance, seed]} was stored, and cannot be read back")
            return result

        thresholds = {name: getattr(problem, "threshold", None) for name, problem in self.problems.items()}
        return assemble(list(self.learners), thresholds, self.seeds, self.rounds, read)

    def __repr__(self) -> str:
        return (
            f"Study({len(self.learners)} learners x {len(self.problems)} instances x "
            f"{len(self.seeds)} seeds, {self.rounds} rounds)"
        )


def _named(
    argument: str, entries: Mapping[str, Any] | Sequence[str], build: Callable[[str], Any]
) -> dict[str, Any]:
    """Return name to object; objects given as text are built."""
    if isinstance(entries, str):
        raise TypeError(f"{argument} must be a mapping or a list of texts; got the text {entries!r}")
    pairs = list(entries.items()) if isinstance(entries, Mapping) else [(text, text) for text in entries]
    if not pairs:
        raise ValueError(f"{argument} must not be empty")
    named: dict[str, Any] = {}
    for index, (name, entry) in enumerate(pairs):
        if not isinstance(name, str):
            raise TypeError(f"{argument}[{index}] must be a text; got {name!r}")
        if name in named:
            raise ValueError(f"{argument}[{index}] repeats {name!r}")
        named[name] = build(entry) if isinstance(entry, str) else entry
    return named


def check_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Return the seeds of a study, given or counted."""
    if not isinstance(seeds, Sequence):
        return tuple(range(check_count("seeds", seeds, high=MOST_SEEDS)))
    checked = tuple(check_count(f"seeds[{i}]", seed, low=0) for i, seed in enumerate(seeds))
    if not checked:
        raise ValueError("seeds must not be empty")
    for index, seed in enumerate(checked):
        if seed in checked[:index]:
            raise ValueError(f"seeds[{index}] repeats {seed}")
    return checked


def _described(objects: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    return {
        name: {"description": repr(value)[:500], "fingerprint": fingerprint(value)}
        for name, value in objects.items()
    }


@contextlib.contextmanager
def _progress(total: int, done: int, wanted: bool) -> Iterator[Advance]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not (wanted and console.is_terminal)) as bar:
        task = bar.add_task("runs", total=total, completed=done)
        yield lambda: bar.advance(task)
