"""What tabular data say: how often each transition was seen, and the sums of the rewards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import LARGEST_COUNT, at, check_memory, first_index, real_array
from theoryrl.models.offline import OfflineDataset


@dataclass(frozen=True, eq=False)
class TransitionCounts(Frozen):
    """Counts of tuples (h, s, a, r, s') with rewards in [0, 1].

    The data may have been collected and stopped adaptively, but every reward and next state must have
    its right law given all earlier tuples and (s, a): data kept *because of their outcome* (episodes
    with high rewards, say) are outside every guarantee that is computed from the counts.

    Parameters
    ----------
    transitions
        n[h, s, a, s'], non-negative integers: shape [H, S, A, S].
    reward_sums
        Sum of the observed rewards of each (h, s, a), between 0 and the visits: shape [H, S, A].

    Raises
    ------
    ValueError
        On disagreeing shapes, a count that is negative or not an integer, or a sum of rewards in [0, 1]
        that the number of visits does not allow.
    """

    transitions: Int[np.ndarray, "H S A S"]
    reward_sums: Float[np.ndarray, "H S A"]

    def __post_init__(self) -> None:
        counts = real_array("transitions", self.transitions, ("H", "S", "A", "S"))
        wrong = (counts < 0) | (counts != np.floor(counts)) | (counts > LARGEST_COUNT)
        if wrong.any():
            index = first_index(wrong)
            raise ValueError(
                f"{at('transitions', index)} must be a count (0, 1, 2, ...); got {float(counts[index])!r}"
            )
        sums = real_array("reward_sums", self.reward_sums, counts.shape[:3])
        visits = counts.sum(axis=3)
        outside = (sums < 0) | (sums > visits * (1 + 1e-12))
        if outside.any():
            index = first_index(outside)
            raise ValueError(
                f"{at('reward_sums', index)} must be in [0, {visits[index]:g}], the visits of that pair; "
                f"got {float(sums[index])!r}"
            )
        integers = counts.astype(np.int64)
        integers.setflags(write=False)
        for name, value in (("transitions", integers), ("reward_sums", sums)):
            object.__setattr__(self, name, value)

    @classmethod
    def empty(cls, shape: tuple[int, int, int]) -> TransitionCounts:
        """Return no data at all, for (H, S, A)."""
        H, S, A = shape
        check_memory("transitions", H, S, A, S)
        return cls(np.zeros((H, S, A, S), dtype=np.int64), np.zeros((H, S, A)))

    @classmethod
    def from_dataset(cls, data: OfflineDataset) -> TransitionCounts:
        """Return the counts of complete episodes."""
        sums = np.zeros((data.horizon, data.n_states, data.n_actions))
        stage = np.broadcast_to(np.arange(data.horizon), data.actions.shape)
        np.add.at(sums, (stage, data.states[:, :-1], data.actions), data.rewards)
        return cls(data.transition_counts, sums)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, S, A)."""
        H, S, A = self.reward_sums.shape
        return H, S, A

    @cached_property
    def visits(self) -> Int[np.ndarray, "H S A"]:
        """n[h, s, a], visits of each pair."""
        visits: np.ndarray = self.transitions.sum(axis=3)
        visits.setflags(write=False)
        return visits

    def __add__(self, other: Any) -> TransitionCounts:
        if not isinstance(other, TransitionCounts):
            return NotImplemented
        return TransitionCounts(self.transitions + other.transitions, self.reward_sums + other.reward_sums)

    def __repr__(self) -> str:
        H, S, A = self.shape
        return f"TransitionCounts(H={H}, S={S}, A={A}, tuples={int(self.transitions.sum())})"
