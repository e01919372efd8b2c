"""What the bandit learners share: their state, and how they play one round or a block of rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners.baselines.bandits import _kernels
from theoryrl.protocol import ArmDecision, BanditObservation, BanditSpec, BlockDecision


@dataclass
class BanditState:
    """What a bandit learner remembers; one row per context bin.

    Attributes
    ----------
    rule, parameters
        Which algorithm of the kernels, with its numbers: shape [4].
    scale
        Smallest reward, width of the range (0 and 1 without a range), and whether there is a range.
    bins
        Left end of the contexts, and width of a bin.
    n, s, p
        Pulls, what the rule sums up, and probabilities of the latest draw: shapes [m, K], [m, K], [K].
    memo
        Functions of n and s that are worth keeping, and room to work in: shape [m, 3, K].
    clock
        Of each bin the rounds, the summed losses, and what a rule keeps besides (`_clock`): shape [m, 9].
    context
        Of the coming round.
    blocks
        Whether to play in blocks.
    """

    rule: int
    parameters: Float[np.ndarray, " P"]
    scale: tuple[float, float, bool]
    bins: tuple[float, float]
    n: Float[np.ndarray, "m K"]
    s: Float[np.ndarray, "m K"]
    p: Float[np.ndarray, " K"]
    memo: Float[np.ndarray, "m three K"]
    clock: Float[np.ndarray, "m nine"]
    rng: np.random.Generator
    context: float
    blocks: bool

    def play(
        self, rewards: Float[np.ndarray, "B K"], contexts: Float[np.ndarray, " B"]
    ) -> tuple[Int[np.ndarray, " B"], Mapping[str, Float[np.ndarray, " B"]]]:
        """Play a block; see `theoryrl.protocol.BlockPolicy`."""
        arms, chances = np.empty(len(rewards), dtype=np.int64), np.empty(len(rewards))
        failed = _kernels.play_block(
            self.rule, self.parameters, self.scale, self.bins, self.n, self.s, self.memo, self.clock,
            self.p, rewards, contexts, self.rng, arms, chances,
        )  # fmt: skip
        if failed >= 0:
            _refuse(rewards[failed, arms[failed]], self.scale)
        return arms, {"arm": arms.astype(np.float64), "probability": chances}

    @property
    def row(self) -> int:
        """Bin of the coming round's context."""
        return int(_kernels.bin_of(self.context, *self.bins, len(self.n)))

    def choose(self) -> ArmDecision:
        """Choose the arm of the coming round."""
        arm, chance = _kernels.choose_arm(
            self.rule, self.parameters, self.row, self.n, self.s, self.memo, self.clock, self.p, self.rng
        )
        return ArmDecision(int(arm), {"arm": arm, "probability": float(chance)})

    def learn(self, arm: int, reward: float, context: float | None) -> None:
        """Take in the reward of the arm chosen last, and the next context."""
        low, width, bounded = self.scale
        x = (reward - low) / width
        if bounded and not 0 <= x <= 1:
            _refuse(reward, self.scale)
        _kernels.learn_reward(
            self.rule, self.parameters, self.row, self.n, self.s, self.memo, self.clock, self.p, arm, x,
            self.rng,
        )  # fmt: skip
        if context is not None:
            self.context = context


class BanditLearner:
    """Base of the bandit learners: each says which rule it follows, with which numbers."""

    key: ClassVar[str]
    bounded: ClassVar[bool] = True
    """Whether the rule needs rewards with known limits."""

    @property
    def guaranteed(self) -> bool:
        """Whether the constants are those of the theory."""
        return True

    def rule(self, spec: BanditSpec) -> tuple[int, list[float]]:
        """Return the rule's number in the kernels, and up to four parameters."""
        raise NotImplementedError

    def context_bins(self, spec: BanditSpec) -> tuple[int, tuple[float, float]]:
        """Return the number of context bins, and where they begin and how wide they are."""
        return 1, (0.0, 1.0)

    def init(self, spec: BanditSpec, rng: np.random.Generator) -> BanditState:
        """Return the state before the first round.

        Raises
        ------
        ValueError
            If the rule needs what the spec does not tell.
        """
        if self.bounded and spec.reward_range is None:
            raise ValueError(f"{self.key} needs rewards with known limits; spec.reward_range is None")
        low, high = spec.reward_range if self.bounded and spec.reward_range else (0.0, 1.0)
        rule, numbers = self.rule(spec)
        m, bins = self.context_bins(spec)
        K = spec.n_arms
        memo = np.zeros((m, 3, K))
        if rule == _kernels.UCB1:
            memo[:, 0] = np.inf  # of an arm before its first pull
        return BanditState(
            rule=rule,
            parameters=np.array([*numbers, 0.0, 0.0, 0.0, 0.0][:4]),
            scale=(float(low), float(high - low), self.bounded),
            bins=bins,
            n=np.zeros((m, K)),
            s=np.zeros((m, K)),
            p=np.zeros(K),
            memo=memo,
            clock=np.zeros((m, 9)),
            rng=rng,
            context=0.0 if spec.context is None else spec.context,
            blocks=spec.blocks,
        )

    def plan(self, state: BanditState) -> ArmDecision | BlockDecision:
        """Play blocks where the problem allows it, else choose an arm."""
        return BlockDecision(state) if state.blocks else state.choose()

    def update(
        self, state: BanditState, decision: ArmDecision | BlockDecision, observation: BanditObservation
    ) -> BanditState:
        """Learn the reward of a round; a block has been learnt while it was played."""
        if isinstance(decision, ArmDecision):
            state.learn(decision.arm, float(observation.rewards[0]), observation.context)
        return state


def _refuse(reward: float, scale: tuple[float, float, bool]) -> None:
    low, width, _ = scale
    raise ValueError(f"reward must be in [{low:g}, {low + width:g}]; got {float(reward)!r}")
