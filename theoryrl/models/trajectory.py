"""Preferences between whole trajectories of a known tabular MDP, and policies that remember everything.

A trajectory xi = (s_0, a_0, ..., s_{H-1}, a_{H-1}) is one of ``N = (S A)^H``; it has the number whose digits
are the pairs (s, a), the first pair first: ``number = ((s_0 A + a_0) S + s_1) A + a_1 ...``. The law of a
policy is a distribution over trajectories. What is compared may be non-Markovian: the preference
between two trajectories is any entry of a preference game with N actions.

Source: Swamy et al. (2024), "A Minimaximalist Approach to Reinforcement Learning from Human Feedback".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import (
    check_count,
    check_distribution,
    check_memory,
    check_type,
    count_axes,
    real_array,
)
from theoryrl.models.preference import PreferenceGame

Leaves = Float[np.ndarray, " N"]


@dataclass(frozen=True, eq=False)
class TrajectoryGame(Frozen):
    """A known MDP whose trajectories are compared with each other.

    Parameters
    ----------
    P
        Transition probabilities P[s, a, s']: shape [S, A, S].
    rho
        Distribution of the first state: shape [S].
    horizon
        Number of decisions H.
    preferences
        A preference game of one context whose actions are the ``N = (S A)^H`` trajectories.

    Raises
    ------
    ValueError
        On a row that is not a distribution, or if the numbers of trajectories do not agree.
    """

    P: Float[np.ndarray, "S A S"]
    rho: Float[np.ndarray, " S"]
    horizon: int
    preferences: PreferenceGame

    def __post_init__(self) -> None:
        P = real_array("P", self.P, ("S", "A", "S"))
        check_distribution("P", P)
        rho = real_array("rho", self.rho, (P.shape[0],))
        check_distribution("rho", rho)
        H = check_count("horizon", self.horizon)
        check_type("preferences", self.preferences, PreferenceGame)
        leaves = (P.shape[0] * P.shape[1]) ** H
        if self.preferences.shape != (1, leaves):
            raise ValueError(
                f"preferences must have 1 context and (S A)^H = {leaves} actions; "
                f"got (X, n) = {self.preferences.shape}"
            )
        object.__setattr__(self, "P", P)
        object.__setattr__(self, "rho", rho)
        object.__setattr__(self, "horizon", H)

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.P.shape[0])

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return int(self.P.shape[1])

    @property
    def n_trajectories(self) -> int:
        """``N = (S A)^H``, trajectories of probability zero included."""
        return self.preferences.n_actions

    @cached_property
    def chances(self) -> Leaves:
        """The product of the transition probabilities along each trajectory: shape [N]."""
        states, actions = list_trajectories(self.n_states, self.n_actions, self.horizon)
        c: np.ndarray = self.rho[states[:, 0]].copy()
        for h in range(1, self.horizon):
            c *= self.P[states[:, h - 1], actions[:, h - 1], states[:, h]]
        c.setflags(write=False)
        return c

    def __repr__(self) -> str:
        return f"TrajectoryGame(S={self.n_states}, A={self.n_actions}, H={self.horizon})"


@dataclass(frozen=True, eq=False)
class HistoryPolicy(Frozen):
    """A policy that may depend on all that happened.

    Parameters
    ----------
    stages
        pi(a | history, s) for each stage: shape [(S A)^h, S, A] at stage h; the first axis counts the
        histories (s_0, a_0, ..., s_{h-1}, a_{h-1}).
    """

    stages: Sequence[Float[np.ndarray, "_ S A"]]

    def __post_init__(self) -> None:
        check_type("stages", self.stages, Sequence)
        if not self.stages:
            raise ValueError("stages must not be empty")
        shape = np.shape(self.stages[0])
        checked = []
        for h, stage in enumerate(self.stages):
            name = f"stages[{h}]"
            if count_axes(name, stage) != 3:
                raise ValueError(f"{name} must have 3 axes; got shape {np.shape(stage)}")
            S, A = shape[-2:]
            array = real_array(name, stage, ((S * A) ** h, S, A))
            check_distribution(name, array)
            checked.append(array)
        object.__setattr__(self, "stages", tuple(checked))

    def __setstate__(self, state: tuple[dict[str, Any], list[str]]) -> None:
        super().__setstate__(state)
        for stage in self.stages:
            stage.setflags(write=False)

    @property
    def horizon(self) -> int:
        """Number of decisions H."""
        return len(self.stages)

    @property
    def probabilities(self) -> Float[np.ndarray, "1 S A"]:
        """Action probabilities of the first stage, where there is one history, the empty one."""
        return self.stages[0]

    def __repr__(self) -> str:
        S, A = self.stages[0].shape[1:]
        return f"HistoryPolicy(S={S}, A={A}, H={self.horizon})"


def list_trajectories(
    n_states: int, n_actions: int, horizon: int
) -> tuple[Int[np.ndarray, "N H"], Int[np.ndarray, "N H"]]:
    """Return the states and the actions of every trajectory, in the order of their numbers."""
    S, A, H = (
        check_count("n_states", n_states),
        check_count("n_actions", n_actions),
        check_count("horizon", horizon),
    )
    check_memory("trajectories", (S * A) ** H, H)
    pairs = np.stack(np.unravel_index(np.arange((S * A) ** H), (S * A,) * H), axis=1)
    return pairs // A, pairs % A
