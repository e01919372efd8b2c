"""A directory of finished runs: a manifest, and one sealed file per cell of the grid."""

from __future__ import annotations

import json
import platform
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import theoryrl
from theoryrl._files import DamagedFileError, seal, unseal, write_atomically
from theoryrl.protocol import Trace

FORMAT = 2
MANIFEST = "manifest.json"
CELLS = "cells"
STRETCHES = ("lengths", "stretch_values", "stretch_benchmarks")
DIAGNOSTIC = "diagnostic:"


class StoreError(ValueError):
    """A directory that cannot hold the results of this study."""


@dataclass(frozen=True)
class Cell:
    """One run of the grid.

    Attributes
    ----------
    learner, instance
        Names in the study.
    seed
        Seed of the run.
    digest
        SHA-256 of all that determines the run.
    """

    learner: str
    instance: str
    seed: int
    digest: str

    @classmethod
    def of(cls, learner: str, instance: str, seed: int, specification: Mapping[str, Any]) -> Cell:
        """Return the cell of a study's specification."""
        own = {
            "learner": [learner, specification["learners"][learner]["fingerprint"]],
            "instance": [instance, specification["instances"][instance]["fingerprint"]],
            "seed": seed,
            **{name: specification[name] for name in ("rounds", "audit", "theoryrl", "format")},
        }
        return cls(learner, instance, seed, sha256(json.dumps(own, sort_keys=True).encode()).hexdigest())

    @property
    def file_name(self) -> str:
        """Readable for people, unique by the digest."""
        names = [re.sub(r"[^\w.=+-]+", "_", name)[:60] for name in (self.learner, self.instance)]
        return f"{names[0]}--{names[1]}--{self.seed}--{self.digest[:16]}.npz"

    def __str__(self) -> str:
        return f"cell (learner {self.learner!r}, instance {self.instance!r}, seed {self.seed})"


class Result(NamedTuple):
    """What a cell holds: the run, and how long it took."""

    trace: Trace
    seconds: float


class Store:
    """The results of one study in one directory.

    Parameters
    ----------
    directory
        Made if it does not exist.
    specification
        All that determines the results, as JSON data.

    Raises
    ------
    StoreError
        If the directory holds another study, or is no directory.
    """

    def __init__(self, directory: str | Path, specification: Mapping[str, Any]) -> None:
        self.directory = Path(directory)
        self.cells = self.directory / CELLS
        try:
            self.cells.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise StoreError(f"store {self.directory} is not a directory") from None
        self._claim(specification)

    def _claim(self, specification: Mapping[str, Any]) -> None:
        """Write the manifest, or check that the one that is there describes the same study."""
        path = self.directory / MANIFEST
        present = _read_manifest(path)
        if present is None:
            content = {"specification": specification, "versions": versions()}
            write_atomically(path, json.dumps(content, indent=2).encode())
            return
        for name, value in specification.items():
            if present["specification"].get(name) != value:
                raise _another_study(self.directory, name, present["specification"].get(name), value)
        for name, number in versions().items():
            if present["versions"].get(name) != number:
                warnings.warn(
                    f"{path} was written with {name} {present['versions'].get(name)}, and this is {number}: "
                    "stored and new runs may differ in rounding",
                    stacklevel=4,
                )

    def read(self, cell: Cell) -> Result | None:
        """Return a stored result; None if there is none that can be trusted.

        A damaged file is reported by a warning that names it.
        """
        path = self.cells / cell.file_name
        if not path.exists():
            return None
        try:
            header, arrays = unseal(path)
        except DamagedFileError as error:
            warnings.warn(f"{error}; the run is repeated", stacklevel=3)
            return None
        if header["digest"] != cell.digest:
            warnings.warn(f"{path} belongs to another study; the run is repeated", stacklevel=3)
            return None
        diagnostics = {name: arrays[DIAGNOSTIC + name] for name in header["diagnostics"]}
        trace = Trace(
            **header["trace"],
            lengths=arrays["lengths"],
            stretch_values=arrays["stretch_values"],
            stretch_benchmarks=arrays["stretch_benchmarks"],
            stretch_diagnostics=diagnostics,
        )
        return Result(trace, header["seconds"])

    def write(self, cell: Cell, result: Result) -> None:
        """Store a result atomically."""
        trace = result.trace
        header = {
            "digest": cell.digest,
            "seconds": result.seconds,
            "diagnostics": list(trace.stretch_diagnostics),
            "trace": {
                "learner": trace.learner,
                "problem": trace.problem,
                "seed": int(trace.seed),
                "guaranteed": bool(trace.guaranteed),
                "delta": None if trace.delta is None else float(trace.delta),
            },
        }
        arrays = {name: getattr(trace, name) for name in STRETCHES}
        for name, array in trace.stretch_diagnostics.items():
            arrays[DIAGNOSTIC + name] = array
        write_atomically(self.cells / cell.file_name, seal(header, arrays))


def versions() -> dict[str, str]:
    """Return the versions that a result may depend on."""
    packages = {name: version(name) for name in ("numpy", "numba", "scipy")}
    return {"python": platform.python_version(), "theoryrl": theoryrl.__version__, **packages}


def _read_manifest(path: Path) -> dict[str, dict[str, Any]] | None:
    """Return a manifest; None (after a warning) if it is damaged, since every cell is checked by itself."""
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content["specification"], dict) and isinstance(content["versions"], dict):
            return dict(content)
    except (ValueError, KeyError, TypeError):
        pass
    warnings.warn(f"{path} is damaged; it is written anew", stacklevel=5)
    return None


def _another_study(directory: Path, name: str, present: Any, wanted: Any) -> StoreError:
    """Say what differs; of learners and instances only the entries that do."""
    if isinstance(present, dict) and isinstance(wanted, dict):
        changed = [key for key in {**present, **wanted} if present.get(key) != wanted.get(key)]
        present, wanted = (
            {key: entry[key]["description"] for key in changed if key in entry} for entry in (present, wanted)
        )
    return StoreError(
        f"store {directory} holds another study: {name} = {present} there, {wanted} here; "
        "use another directory, or delete this one"
    )
