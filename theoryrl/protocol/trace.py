"""What a run did: exact values, benchmarks and diagnostics of every round."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Trace:
    """What a run did, run-length encoded: in stretch i nothing changed for `lengths[i]` rounds.

    Attributes
    ----------
    learner, problem, seed
        Who played what, with which seed.
    guaranteed
        Whether the learner ran with the constants of its theory.
    lengths
        Rounds per stretch: shape [E].
    stretch_values
        Exact value per round of the decision of each stretch: shape [E].
    stretch_benchmarks
        Exact value per round of the best decision in each stretch: shape [E].
    stretch_diagnostics
        Name to an array of shape [E].
    delta
        The failure probability that the learner was allowed; None for learners without one.
    """

    learner: str
    problem: str
    seed: int
    guaranteed: bool
    lengths: Int[np.ndarray, " E"]
    stretch_values: Float[np.ndarray, " E"]
    stretch_benchmarks: Float[np.ndarray, " E"]
    stretch_diagnostics: Mapping[str, Float[np.ndarray, " E"]] = field(default_factory=dict)
    delta: float | None = None

    @property
    def rounds(self) -> int:
        """Number of rounds played."""
        return int(self.lengths.sum())

    @property
    def values(self) -> Float[np.ndarray, " K"]:
        """Exact value of each round's decision: shape [rounds]."""
        return np.repeat(self.stretch_values, self.lengths)

    @property
    def benchmarks(self) -> Float[np.ndarray, " K"]:
        """Exact value of the best decision in each round: shape [rounds]."""
        return np.repeat(self.stretch_benchmarks, self.lengths)

    @property
    def benchmark(self) -> float:
        """Exact value per round of the best decision; its mean where it changes, NaN without rounds."""
        if self.rounds == 0:
            return math.nan
        first = self.stretch_benchmarks[0]
        if (self.stretch_benchmarks == first).all():
            return float(first)
        return float(self.stretch_benchmarks @ self.lengths) / self.rounds

    @property
    def diagnostics(self) -> Mapping[str, Float[np.ndarray, " K"]]:
        """The learner's and the audit's numbers, each of shape [rounds]."""
        return {name: np.repeat(array, self.lengths) for name, array in self.stretch_diagnostics.items()}

    @property
    def regret(self) -> Float[np.ndarray, " K"]:
        """Cumulative regret after each round: shape [rounds]."""
        return np.cumsum(self.benchmarks - self.values)

    @cached_property
    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        losses = (self.stretch_benchmarks - self.stretch_values) * self.lengths
        return np.concatenate([[0], np.cumsum(self.lengths)]), np.concatenate([[0.0], np.cumsum(losses)])

    @property
    def final_regret(self) -> float:
        """Regret after the last round."""
        return float(self._ends[1][-1])

    def regret_at(self, rounds: Int[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """Return the cumulative regret after the given numbers of rounds (exact, without expanding).

        Raises
        ------
        ValueError
            If one of them is negative, or more than were played.
        """
        wrong = (rounds < 0) | (rounds > self.rounds)
        if wrong.any():
            index = int(np.argmax(wrong))
            raise ValueError(f"rounds[{index}] must be in [0, {self.rounds}]; got {rounds[index]}")
        return np.interp(rounds, *self._ends)

    def count(self, condition: np.ndarray) -> int:
        """Return the number of rounds in the stretches where `condition` (shape [E]) is true."""
        return int(self.lengths[condition].sum())

    def same_as(self, other: Trace) -> bool:
        """Whether two traces agree bit for bit, round by round, seed and names aside."""
        mine, theirs = self.diagnostics, other.diagnostics
        return (
            np.array_equal(self.values, other.values)
            and np.array_equal(self.benchmarks, other.benchmarks)
            and mine.keys() == theirs.keys()
            and all(np.array_equal(mine[name], theirs[name], equal_nan=True) for name in mine)
        )


class Ledger:
    """Where a run enters what it plays, and from which its trace is made.

    A decision whose value is constant has one entry, however often it is continued; where values differ
    from round to round, each round is a stretch of its own.
    """

    def __init__(self) -> None:
        self._diagnostics: list[Mapping[str, float]] = []
        self._constant: tuple[float | None, float | None] = (None, None)
        self._rows: list[int] = []
        self._lengths: list[Int[np.ndarray, " N"] | int] = []
        self._values: list[Float[np.ndarray, " N"] | float] = []
        self._benchmarks: list[Float[np.ndarray, " N"] | float] = []
        self._shown: list[Mapping[str, np.ndarray]] = []

    def open(self, diagnostics: Mapping[str, float], value: float | None, benchmark: float | None) -> None:
        """Begin a decision; its value and benchmark are None where they change with the round."""
        self._diagnostics.append(diagnostics)
        self._constant = value, benchmark

    def enter(
        self,
        rounds: int,
        values: Float[np.ndarray, " N"] | None = None,
        benchmarks: Float[np.ndarray, " N"] | None = None,
        diagnostics: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Enter rounds of the decision that was opened last; `diagnostics` are numbers of single rounds.

        Raises
        ------
        ValueError
            If neither the decision nor the rounds have a value, or a benchmark; or if there are not as
            many of them as rounds.
        """
        for name, array in (("values", values), ("benchmarks", benchmarks)):
            if array is not None and array.shape != (rounds,):
                raise ValueError(f"{name} must have shape ({rounds},), one for each round; got {array.shape}")
        row = len(self._diagnostics) - 1
        value, benchmark = self._constant
        if values is None and benchmarks is None:
            if self._rows and self._rows[-1] == row and not isinstance(self._lengths[-1], np.ndarray):
                self._lengths[-1] += rounds
            else:
                self._append(row, rounds, _told("value", value), _told("benchmark", benchmark))
            return
        if values is None:
            values = np.broadcast_to(_told("value", value), rounds)
        if benchmarks is None:
            benchmarks = np.broadcast_to(_told("benchmark", benchmark), rounds)
        self._append(row, np.broadcast_to(np.int64(1), rounds), values, benchmarks)
        if diagnostics:
            self._shown.append(diagnostics)

    def _append(self, row: int, lengths: Any, values: Any, benchmarks: Any) -> None:
        self._rows.append(row)
        self._lengths.append(lengths)
        self._values.append(values)
        self._benchmarks.append(benchmarks)

    def trace(self, **who: Any) -> Trace:
        """Return what has been entered so far; `who` are the first fields of the trace, and delta."""
        names = self._diagnostics[0].keys() if self._diagnostics else ()
        rows = np.repeat(np.array(self._rows, dtype=np.int64), [np.size(entry) for entry in self._lengths])
        columns = {
            name: np.array([row[name] for row in self._diagnostics], dtype=np.float64) for name in names
        }
        return Trace(
            lengths=_joined(self._lengths, np.int64),
            stretch_values=_joined(self._values, np.float64),
            stretch_benchmarks=_joined(self._benchmarks, np.float64),
            stretch_diagnostics={name: column[rows] for name, column in columns.items()} | self._of_rounds(),
            **who,
        )

    def _of_rounds(self) -> dict[str, Float[np.ndarray, " E"]]:
        """Return the diagnostics of single rounds; either all rounds have them or none."""
        names = self._shown[0] if self._shown else ()
        return {name: _joined([shown[name] for shown in self._shown], np.float64) for name in names}


def _told(name: str, number: float | None) -> float:
    if number is None:
        raise ValueError(f"the {name} of a round is missing: neither the problem nor its outcome tells it")
    return number


def _joined(entries: list[Any], dtype: type) -> np.ndarray:
    if any(isinstance(entry, np.ndarray) for entry in entries):
        return np.concatenate([np.atleast_1d(entry) for entry in entries]).astype(dtype, copy=False)
    return np.array(entries, dtype=dtype)
