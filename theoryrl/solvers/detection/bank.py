"""Storage of many detectors, which grows as they run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models._validation import check_memory
from theoryrl.solvers.detection import _kernels
from theoryrl.solvers.detection.rules import RestartRule

FIRST_ROOM = 32


class DetectorBank:
    """Detectors that follow one rule, each with its own alphabet and level.

    Parameters
    ----------
    rule
        The restart rule; its delta is replaced by each detector's own.
    n_symbols
        Size of the alphabet of each detector.
    deltas
        Level of each detector: shape [D].
    prune
        epsilon of the pruning; 0 keeps every forecaster.
    track
        Whether a pruned run finds out by how much it may be late, which costs about as much again.

    Attributes
    ----------
    number
        The rule's number for the kernels.
    odds
        Of the last test: log odds, estimate of m, and the earliest local index at which the exact run
        could have alarmed.
    """

    def __init__(
        self,
        rule: RestartRule,
        n_symbols: Sequence[int],
        deltas: Float[np.ndarray, " D"],
        prune: float,
        track: bool = True,
    ) -> None:
        D, size = len(n_symbols), max(n_symbols, default=2)
        self.rule, self.prune, self.track = rule, float(prune), track
        self.number = rule.number
        self.levels = np.log(deltas)
        self.odds = np.zeros(3)
        self.whole = np.zeros((D, 4), dtype=np.int64)
        self.whole[:, _kernels.SYMBOLS] = n_symbols
        self.whole[:, _kernels.EARLIEST] = -1
        self.redundancy = np.zeros(D)
        self.starts = np.zeros((D, FIRST_ROOM), dtype=np.int64)
        self.head = np.zeros((D, FIRST_ROOM))
        self.tail = np.zeros((D, FIRST_ROOM))
        self.counts = np.zeros((D, size, FIRST_ROOM), dtype=np.int64)
        self.logs = log_table(4 * FIRST_ROOM + size)

    def feed(self, which: Int[np.ndarray, " N"], symbols: Int[np.ndarray, " N"], begin: int = 0) -> int:
        """Feed samples from `begin` on; return the index of the sample of the first alarm, or -1.

        The detector that alarmed has been cleared; later samples are not consumed.
        """
        while True:
            begin, why = _kernels.feed(
                self.rule.code, self.number, self.prune, self.track, self.logs, self.levels, self.whole,
                self.redundancy, self.starts, self.head, self.tail, self.counts,
                which, symbols, begin, self.odds,
            )  # fmt: skip
            if why != _kernels.FULL:
                return int(begin) - 1 if why == _kernels.ALARM else -1
            self._grow()

    def clear(self, d: int) -> None:
        """Restart a detector."""
        _kernels.clear(d, self.whole, self.redundancy)

    def clear_all(self) -> None:
        """Restart all detectors."""
        for d in range(len(self.whole)):
            self.clear(d)

    def live(self, d: int) -> int:
        """Return the number of forecasters of a detector."""
        return int(self.whole[d, _kernels.LIVE])

    def length(self, d: int) -> int:
        """Return the number of samples of a detector since its restart."""
        return int(self.whole[d, _kernels.LENGTH])

    def _grow(self) -> None:
        """Double what has become too small: room for forecasters, or the table of logarithms."""
        if int(self.whole[:, _kernels.LIVE].max()) == self.starts.shape[1]:
            D, size, room = self.counts.shape
            check_memory("forecasters", D, size + 3, 2 * room)
            for name in ("starts", "head", "tail", "counts"):
                old = getattr(self, name)
                new = np.zeros((*old.shape[:-1], 2 * room), dtype=old.dtype)
                new[..., :room] = old
                setattr(self, name, new)
        longest = int(self.whole[:, _kernels.LENGTH].max()) + int(self.whole[:, _kernels.SYMBOLS].max())
        if longest + 2 >= len(self.logs):
            self.logs = log_table(2 * len(self.logs))


def log_table(size: int) -> Float[np.ndarray, " N"]:
    """Return log 0 = -inf, log 1, ..., log(size - 1)."""
    table = np.empty(size)
    table[0] = -math.inf
    table[1:] = np.log(np.arange(1, size))
    return table
