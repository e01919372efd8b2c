"""From finished runs to a labelled table, and the file it is kept in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from theoryrl._files import seal, unseal, write_atomically
from theoryrl.protocol import Trace
from theoryrl.study.store import Result

RUN = ("learner", "instance", "seed")
EVERY_ROUND = 2000
"""Up to this horizon the dataset has every round."""

VALUE_TOLERANCE = 1e-9
"""Rounding allowed below a threshold, relative to ``max(1, abs(threshold))``; as in theorem checks."""

DATASET = "dataset.npz"


def round_grid(rounds: int) -> Int[np.ndarray, " G"]:
    """Return the rounds at which curves are kept: the first and the last are always among them.

    All of them up to `EVERY_ROUND`; beyond, the union of 500 evenly and 500 geometrically spaced
    rounds, which serves plots on either scale.
    """
    if rounds <= EVERY_ROUND:
        return np.arange(1, rounds + 1)
    half = EVERY_ROUND // 4
    points = np.concatenate([np.linspace(1, rounds, half), np.geomspace(1, rounds, half)])
    return np.unique(np.clip(np.rint(points), 1, rounds).astype(np.int64))


def assemble(
    learners: Sequence[str],
    thresholds: Mapping[str, float | None],
    seeds: Sequence[int],
    rounds: int,
    read: Callable[[str, str, int], Result],
) -> xr.Dataset:
    """Collect the runs of a grid.

    Parameters
    ----------
    learners, seeds
        Coordinates.
    thresholds
        Instance to the value that no round may fall below, or None.
    rounds
        Horizon K of every run.
    read
        `read(learner, instance, seed)` returns a finished run.

    Returns
    -------
    xarray.Dataset
        With dimensions (learner, instance, seed, round); see `theoryrl.study.Study.run`.
    """
    grid = round_grid(rounds)
    instances = list(thresholds)
    shape = (len(learners), len(instances), len(seeds))
    scalars: dict[str, np.ndarray] = {
        name: np.full(shape, np.nan) for name in ("benchmark", "final_regret", "violations", "seconds")
    }
    scalars["guaranteed"] = np.zeros(shape, dtype=bool)
    taken = {"regret", "value", "threshold", *RUN, "round", *scalars}
    curves: dict[str, np.ndarray] = {}
    for index in product(*map(range, shape)):
        instance = instances[index[1]]
        trace, seconds = read(learners[index[0]], instance, seeds[index[2]])
        for name, array in _curves(trace, grid, taken).items():
            curves.setdefault(name, np.full((*shape, len(grid)), np.nan))[index] = array
        for name, number in _scalars(trace, thresholds[instance]).items():
            scalars[name][index] = number
        scalars["seconds"][index] = seconds
    limits = [np.nan if limit is None else float(limit) for limit in thresholds.values()]
    return xr.Dataset(
        {
            **{name: ((*RUN, "round"), array) for name, array in curves.items()},
            **{name: (RUN, array) for name, array in scalars.items()},
            "threshold": ("instance", np.array(limits)),
        },
        coords={
            "learner": np.array(learners, dtype=np.str_),
            "instance": np.array(instances, dtype=np.str_),
            "seed": np.array(seeds, dtype=np.int64),
            "round": grid,
        },
        attrs={"rounds": rounds},
    )


def count_violations(trace: Trace, threshold: float) -> int:
    """Return the number of rounds whose exact value is below the threshold by more than rounding."""
    limit = threshold - VALUE_TOLERANCE * max(1.0, abs(threshold))
    return trace.count(trace.stretch_values < limit)


def _scalars(trace: Trace, threshold: float | None) -> dict[str, float]:
    return {
        "benchmark": trace.benchmark,
        "final_regret": trace.final_regret,
        "guaranteed": trace.guaranteed,
        "violations": np.nan if threshold is None else count_violations(trace, threshold),
    }


def _curves(trace: Trace, grid: np.ndarray, taken: set[str]) -> dict[str, Float[np.ndarray, " G"]]:
    """Return each curve at the grid's rounds; stretch i has the rounds ends[i-1] < k <= ends[i]."""
    stretch = np.searchsorted(np.cumsum(trace.lengths), grid)
    diagnostics = {
        f"diagnostic_{name}" if name in taken else name: array[stretch]
        for name, array in trace.stretch_diagnostics.items()
    }
    return {"regret": trace.regret_at(grid), "value": trace.stretch_values[stretch], **diagnostics}


def save_dataset(dataset: xr.Dataset, path: str | Path) -> None:
    """Write a dataset to one ``.npz`` file with a checksum; no netCDF library is needed.

    Parameters
    ----------
    dataset
        Arrays of numbers, booleans or strings; attributes that JSON can hold.
    path
        The file, which is replaced atomically.
    """
    variables = {**dataset.coords, **dataset.data_vars}
    header = {
        "coords": list(dataset.coords),
        "dims": {str(name): list(variable.dims) for name, variable in variables.items()},
        "attrs": dataset.attrs,
    }
    arrays = {f"variable:{name}": variable.values for name, variable in variables.items()}
    write_atomically(Path(path), seal(header, arrays))


def load_dataset(path: str | Path) -> xr.Dataset:
    """Read what `save_dataset` wrote; `path` is the file or a study's store.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If the file is damaged.
    """
    file = Path(path) / DATASET if Path(path).is_dir() else Path(path)
    header, arrays = unseal(file)
    variables: dict[str, Any] = {
        name: (dims, arrays[f"variable:{name}"]) for name, dims in header["dims"].items()
    }
    coords = {name: variables.pop(name) for name in header["coords"]}
    return xr.Dataset(variables, coords=coords, attrs=header["attrs"])
