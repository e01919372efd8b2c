"""Offline data: complete trajectories of an episodic MDP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import check_count, check_memory, check_type, index_array, real_array


@dataclass(frozen=True, eq=False)
class OfflineDataset(Frozen):
    """N complete episodes of one tabular episodic MDP.

    Parameters
    ----------
    states
        s[i, h] for h = 0, ..., H: shape [N, H+1], entries in [0, S).
    actions
        a[i, h]: shape [N, H], entries in [0, A).
    rewards
        Observed rewards: shape [N, H].
    n_states, n_actions
        S and A.
    independent
        Whether the episodes are independent draws of one fixed behaviour policy. Certificates that
        split the data into folds need this and refuse the data otherwise.

    Raises
    ------
    ValueError
        On disagreeing shapes, or an index outside its range.
    """

    states: Int[np.ndarray, "N H1"]
    actions: Int[np.ndarray, "N H"]
    rewards: Float[np.ndarray, "N H"]
    n_states: int
    n_actions: int
    independent: bool = True

    def __post_init__(self) -> None:
        S = check_count("n_states", self.n_states)
        A = check_count("n_actions", self.n_actions)
        check_type("independent", self.independent, bool, np.bool_)
        actions = index_array("actions", self.actions, ("N", "H"), A, allow_empty=True)
        if actions.shape[1] == 0:
            raise ValueError("actions must have at least one stage; got shape " + str(actions.shape))
        states = index_array(
            "states", self.states, (actions.shape[0], actions.shape[1] + 1), S, allow_empty=True
        )
        rewards = real_array("rewards", self.rewards, actions.shape, allow_empty=True)
        for name, value in (("states", states), ("actions", actions), ("rewards", rewards)):
            object.__setattr__(self, name, value)

    @property
    def horizon(self) -> int:
        """Number of stages H."""
        return int(self.actions.shape[1])

    def __len__(self) -> int:
        return int(self.actions.shape[0])

    @cached_property
    def transition_counts(self) -> Int[np.ndarray, "H S A S"]:
        """n[h, s, a, s'], the number of observed transitions."""
        shape = self.horizon, self.n_states, self.n_actions, self.n_states
        check_memory("transition_counts", *shape)
        counts = np.zeros(shape, dtype=np.int64)
        stage = np.broadcast_to(np.arange(self.horizon), self.actions.shape)
        np.add.at(counts, (stage, self.states[:, :-1], self.actions, self.states[:, 1:]), 1)
        counts.setflags(write=False)
        return counts

    def subset(self, episodes: Sequence[int] | np.ndarray | slice) -> OfflineDataset:
        """Return the data set of the chosen episodes."""
        return OfflineDataset(
            self.states[episodes],
            self.actions[episodes],
            self.rewards[episodes],
            self.n_states,
            self.n_actions,
            self.independent,
        )

    def folds(self, n_folds: int) -> list[OfflineDataset]:
        """Split into `n_folds` disjoint sets; fold i takes episodes i, i + n_folds, ..."""
        check_count("n_folds", n_folds)
        return [self.subset(slice(start, None, n_folds)) for start in range(n_folds)]

    def __repr__(self) -> str:
        return (
            f"OfflineDataset(episodes={len(self)}, H={self.horizon}, S={self.n_states}, A={self.n_actions})"
        )
