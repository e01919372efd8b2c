"""Walking through a model that changes, many steps in one compiled call."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models import PiecewiseStationaryMDP
from theoryrl.solvers.average._simulation_kernels import walk

NEVER = 1 << 62


class Steps(NamedTuple):
    """What happened in B consecutive steps.

    Attributes
    ----------
    states
        Where each step began, and at the end where the last one led: shape [B + 1].
    actions, rewards
        Of each step: shapes [B].
    """

    states: Int[np.ndarray, " B1"]
    actions: Int[np.ndarray, " B"]
    rewards: Float[np.ndarray, " B"]

    @property
    def rounds(self) -> int:
        """Number of steps B."""
        return len(self.actions)

    def first(self, count: int) -> Steps:
        """Return the first `count` steps only."""
        return Steps(self.states[: count + 1], self.actions[:count], self.rewards[:count])


class Walker:
    """The model in the form in which it is simulated: likely successors first, cumulated.

    Parameters
    ----------
    model
        The true model.
    """

    def __init__(self, model: PiecewiseStationaryMDP) -> None:
        longest = int((model.P > 0).sum(axis=-1).max())
        order = np.argsort(-model.P, axis=-1, kind="stable")[..., :longest]
        sums = np.cumsum(np.take_along_axis(model.P, order, axis=-1), axis=-1)
        # The last possible successor takes what rounding left of the total.
        last = np.maximum((model.P > 0).sum(axis=-1) - 1, 0)
        np.put_along_axis(sums, last[..., None], 2.0, axis=-1)
        self.successors, self.sums = np.ascontiguousarray(order), sums
        self.r, self.noise = model.r, model.noise
        self.ends = np.append(model.change_points, NEVER)

    def walk(
        self,
        step: int,
        state: int,
        policy: Int[np.ndarray, " S"],
        exploration: float,
        budget: Int[np.ndarray, "S A"],
        uniforms: Float[np.ndarray, "B 3"],
    ) -> tuple[Steps, Float[np.ndarray, " N"], bool]:
        """Play a policy until the numbers run out, or a pair about to be played has no budget left.

        Parameters
        ----------
        step, state
            When and where it begins.
        policy
            Action in each state.
        exploration
            Probability of a uniform action instead.
        budget
            Visits that are left to each pair; counted down.
        uniforms
            Of each step: for the successor, the reward and the exploration.

        Returns
        -------
        tuple
            What happened, the mean reward of each step, and whether the budget ended it.
        """
        B = len(uniforms)
        states, actions = np.empty(B + 1, dtype=np.int64), np.empty(B, dtype=np.int64)
        rewards, means = np.empty(B), np.empty(B)
        states[0] = state
        count, spent = walk(
            self.sums, self.successors, self.r, self.noise.code, self.noise.scale, self.ends, step,
            policy, exploration, budget, uniforms, states, actions, rewards, means,
        )  # fmt: skip
        return Steps(states, actions, rewards).first(count), means[:count], spent
