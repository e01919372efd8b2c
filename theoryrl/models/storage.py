"""Models in `.npz` files: exact to the last bit, written atomically, read without pickle.

A file is an archive of arrays, which `numpy.load` opens too, and one text entry ``theoryrl``: a JSON
header that names the format, its version, and the tree of the model's fields. In that tree an array
is ``{"array": entry}``, a model within a model ``{"kind": name, "fields": {...}}``, a sequence a
list, and a number or a text itself. JSON prints a float64 with as many digits as identify it.

A further model needs one line here: its class in `KINDS`. Its fields may be arrays, numbers, texts,
other models, and sequences of these.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from theoryrl._files import write_atomically
from theoryrl.models.bandit import LossTable, StochasticBandit
from theoryrl.models.conservative import ConservativeMDP
from theoryrl.models.constrained import ConstrainedMDP
from theoryrl.models.counts import TransitionCounts
from theoryrl.models.episodic import EpisodicMDP, RewardNoise
from theoryrl.models.fine_tuning import FineTuningTask
from theoryrl.models.hypotheses import CandidateMDP, FiniteFunctionClass, FiniteModelClass, Hypotheses
from theoryrl.models.linear import LinearMDP, RobustLinearMDP
from theoryrl.models.linear_systems import LinearSystems, RelaxationTuning, SPDMatrix
from theoryrl.models.markov_game import (
    CandidateGame,
    FiniteGameClass,
    FiniteMemoryPolicy,
    PolicyPair,
    ZeroSumMarkovGame,
)
from theoryrl.models.offline import OfflineDataset
from theoryrl.models.parametric_classes import LinearMixtureClass
from theoryrl.models.piecewise import PiecewiseStationaryMDP
from theoryrl.models.policy import DeterministicPolicy, MixturePolicy, Policy
from theoryrl.models.policy_class import PolicyClass
from theoryrl.models.preference import MatrixGame, PreferenceGame, RegularizedGame
from theoryrl.models.product_class import ProductQClass
from theoryrl.models.recovering import RecoveringBandit
from theoryrl.models.robust import RobustMDP
from theoryrl.models.schedules import IndexRule, OffsetSchedule, PeriodicSchedule, PullSequence
from theoryrl.models.stationary import AverageRewardMDP, DiscountedMDP
from theoryrl.models.total import TotalRewardMDP
from theoryrl.models.trajectory import HistoryPolicy, TrajectoryGame
from theoryrl.models.transitions import SparseTransitions
from theoryrl.models.uncertainty import Uncertainty

FORMAT = "theoryrl model"
VERSION = 1
HEADER = "theoryrl"

KINDS: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        AverageRewardMDP,
        CandidateGame,
        CandidateMDP,
        ConservativeMDP,
        ConstrainedMDP,
        DeterministicPolicy,
        DiscountedMDP,
        EpisodicMDP,
        FineTuningTask,
        FiniteFunctionClass,
        FiniteGameClass,
        FiniteMemoryPolicy,
        FiniteModelClass,
        HistoryPolicy,
        Hypotheses,
        IndexRule,
        LinearMDP,
        LinearMixtureClass,
        LinearSystems,
        LossTable,
        MatrixGame,
        MixturePolicy,
        OfflineDataset,
        OffsetSchedule,
        PeriodicSchedule,
        PiecewiseStationaryMDP,
        Policy,
        PolicyClass,
        PolicyPair,
        PreferenceGame,
        ProductQClass,
        PullSequence,
        RecoveringBandit,
        RegularizedGame,
        RelaxationTuning,
        RewardNoise,
        RobustLinearMDP,
        RobustMDP,
        SPDMatrix,
        SparseTransitions,
        StochasticBandit,
        TotalRewardMDP,
        TrajectoryGame,
        TransitionCounts,
        Uncertainty,
        ZeroSumMarkovGame,
    )
}


def save(model: Any, path: str | Path) -> None:
    """Write a model to a file, which `load` reads back bit for bit.

    The file appears under its name only when it is complete, so that a failure in between leaves
    what was there before.

    Parameters
    ----------
    model
        Any model of `theoryrl.models`: an MDP, a policy, a data set.
    path
        The file, by custom ending in ``.npz``; the name is taken as it is.

    Raises
    ------
    ValueError
        If `model`, or a part of it, is not something that the format holds.
    OSError
        If the file cannot be written.
    """
    if not _is_model(model):
        raise ValueError(f"model must be one of {', '.join(KINDS)}; got {type(model).__name__}")
    arrays: dict[str, np.ndarray] = {}
    tree = _encode(model, "", arrays)
    header = json.dumps({"format": FORMAT, "version": VERSION, "model": tree})
    content = io.BytesIO()
    entries: dict[str, Any] = {HEADER: np.array(header), **arrays}
    np.savez_compressed(content, **entries)
    write_atomically(Path(path), content.getvalue())


def load(path: str | Path) -> Any:
    """Read the model that `save` wrote.

    Nothing in the file is executed, and the model is validated anew.

    Raises
    ------
    ValueError
        If the file is damaged, is not a model's, or holds a model that is not valid; the text names
        the file.
    OSError
        If the file cannot be read.
    """
    content = Path(path).read_bytes()
    header, arrays = _read_archive(path, content)
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} is not a model file of theoryrl")
    if header.get("version") != VERSION:
        raise ValueError(
            f"{path} has format version {header.get('version')!r}; this theoryrl reads version {VERSION}"
        )
    try:
        return _decode(header["model"], arrays)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"{path} does not hold a valid model: {error}") from error


def _encode(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return the header's entry for `value`, and put its arrays into `arrays`."""
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if _is_model(value):
        fields = {
            field.name: _encode(getattr(value, field.name), _join(name, field.name), arrays)
            for field in dataclasses.fields(value)
            if field.init
        }
        return {"kind": type(value).__name__, "fields": fields}
    if isinstance(value, tuple | list):
        return [_encode(item, _join(name, str(index)), arrays) for index, item in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"{name} cannot be saved: a {type(value).__name__}")


def _decode(entry: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(entry, list):
        return tuple(_decode(item, arrays) for item in entry)
    if not isinstance(entry, dict):
        return entry
    if "array" in entry:
        return arrays[entry["array"]]
    kind = KINDS.get(entry["kind"])
    if kind is None:
        raise ValueError(f"unknown kind {entry['kind']!r}")
    return kind(**{name: _decode(item, arrays) for name, item in entry["fields"].items()})


def _read_archive(path: str | Path, content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as entries:
            arrays = {name: entries[name] for name in entries.files}
        header = json.loads(str(arrays[HEADER]))
    except Exception as error:  # bytes at random can make the readers of zip, npy and JSON raise anything
        raise ValueError(f"{path} is damaged or not a model file of theoryrl: {error!r}") from error
    return (header if isinstance(header, dict) else {}), arrays


def _is_model(value: Any) -> bool:
    return KINDS.get(type(value).__name__) is type(value)


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
