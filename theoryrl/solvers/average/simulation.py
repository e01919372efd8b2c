"""Walking through a model that changes, many steps in one compiled call."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from theoryrl._numba import strict_kernel
from theoryrl.models import PiecewiseStationaryMDP

NEVER = 1 << 62
BERNOULLI, UNIFORM = 1, 3
"""Codes of `RewardNoise` that the kernel knows; without noise the mean is observed."""


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
    ) -> tuple[Steps, Float[np.ndarray, " B"], bool]:
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
        count, spent = _walk(
            self.sums, self.successors, self.r, self.noise.code, self.noise.scale, self.ends, step,
            policy, exploration, budget, uniforms, states, actions, rewards, means,
        )  # fmt: skip
        return Steps(states, actions, rewards).first(count), means[:count], spent


@strict_kernel
def _walk(sums, successors, r, noise, scale, ends, step, policy, exploration, budget, uniforms,
          states, actions, rewards, means):  # fmt: skip
    A = r.shape[2]
    segment = 0
    s = states[0]
    for i in range(uniforms.shape[0]):
        while step + i >= ends[segment]:
            segment += 1
        a = policy[s]
        if uniforms[i, 2] < exploration:
            a = min(int(uniforms[i, 2] / exploration * A), A - 1)
        k = 0
        while uniforms[i, 0] >= sums[segment, s, a, k]:
            k += 1
        mean = r[segment, s, a]
        reward = mean
        if noise == BERNOULLI:
            reward = 1.0 if uniforms[i, 1] < mean else 0.0
        elif noise == UNIFORM:
            reward = mean + scale * (2.0 * uniforms[i, 1] - 1.0)
        budget[s, a] -= 1
        actions[i], rewards[i], means[i] = a, reward, mean
        s = successors[segment, s, a, k]
        states[i + 1] = s
        if budget[s, policy[s]] <= 0:
            return i + 1, True
    return uniforms.shape[0], False
