"""Finite classes of deterministic Markov policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import check_count, check_memory, first_index, index_array
from theoryrl.models.policy import DeterministicPolicy

MOST_POLICIES = 200_000
"""Larger classes are not enumerated; their certificates are relaxations."""


@dataclass(frozen=True, eq=False)
class PolicyClass(Frozen):
    """M different deterministic policies, fixed before any data are seen.

    Parameters
    ----------
    actions
        Action of each policy, stage and state: shape [M, H, S]; entries in [0, A).
    n_actions
        Number of actions A.

    Raises
    ------
    ValueError
        If the class is empty, or a policy occurs twice: its size enters every confidence radius.
    """

    actions: Int[np.ndarray, "M H S"]
    n_actions: int

    def __post_init__(self) -> None:
        A = check_count("n_actions", self.n_actions)
        actions = index_array("actions", self.actions, ("M", "H", "S"), A)
        flat = actions.reshape(len(actions), -1)
        _, first, inverse = np.unique(flat, axis=0, return_index=True, return_inverse=True)
        original = first[inverse.ravel()]
        repeated = original != np.arange(len(actions))
        if repeated.any():
            (i,) = first_index(repeated)
            raise ValueError(
                f"actions[{i}, :, :] must differ from every other policy; it repeats policy {original[i]}"
            )
        object.__setattr__(self, "actions", actions)

    @classmethod
    def product(cls, allowed: Any) -> PolicyClass:
        """Return all policies that choose among the allowed actions: a mask of shape [H, S, A].

        Policies come in lexicographic order of their actions, state by state and stage by stage.
        """
        mask = np.asarray(allowed)
        if mask.dtype != np.bool_ or mask.ndim != 3:
            raise ValueError(f"allowed must be an array of truth values [H, S, A]; got {mask.dtype}")
        H, S, A = mask.shape
        choices = [np.flatnonzero(row) for row in mask.reshape(H * S, A)]
        sizes = [len(choice) for choice in choices]
        if 0 in sizes:
            h, s = divmod(sizes.index(0), S)
            raise ValueError(f"allowed[{h}, {s}, :] must allow an action; got none")
        total = float(np.prod(np.array(sizes, dtype=np.float64)))
        if total > MOST_POLICIES:
            raise ValueError(f"allowed must leave at most {MOST_POLICIES} policies; got {total:.3g}")
        check_memory("actions", int(total), H, S)
        picks = _indices(sizes)
        actions = np.stack([choice[picks[:, i]] for i, choice in enumerate(choices)], axis=1)
        return cls(actions.reshape(-1, H, S), A)

    @property
    def horizon(self) -> int:
        """Number of stages H."""
        return int(self.actions.shape[1])

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.actions.shape[2])

    def __len__(self) -> int:
        return int(self.actions.shape[0])

    def __getitem__(self, index: int) -> DeterministicPolicy:
        return DeterministicPolicy(self.actions[index], self.n_actions)

    def __repr__(self) -> str:
        return f"PolicyClass(policies={len(self)}, H={self.horizon}, S={self.n_states}, A={self.n_actions})"


def _indices(sizes: list[int]) -> np.ndarray:
    """Return all tuples of indices in lexicographic order."""
    total = int(np.prod(sizes))
    columns, block = [], total
    for size in sizes:
        block //= size
        columns.append(np.tile(np.repeat(np.arange(size), block), total // (size * block)))
    return np.stack(columns, axis=1)
