"""Playing a bandit: one round is one pull.

A learner decides in one of two ways. An `ArmDecision` is one arm for one round, whose reward comes
back in the observation. A `BlockDecision` hands over a compiled policy that plays many rounds in one
call: it is given the rewards of all arms, and may read that of an arm only after pulling it. Both draw the
same random numbers, so that the same learner leaves the identical trace either way.

With the same seed all learners face the same rewards: those of all arms in a round, pulled or not, are made
from one random number. A learner sees one of them, so that their dependence is nothing it could see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models._validation import check_count
from theoryrl.models.bandit import LossTable, StochasticBandit
from theoryrl.protocol.core import NOTHING, Outcome, Streams

MAX_ENTRIES = 1 << 17
"""Most rewards (rounds times arms) that are drawn at once: a block stays in the cache."""


@dataclass(frozen=True)
class BanditSpec:
    """What a learner may know of a bandit.

    Attributes
    ----------
    n_arms, rounds
        K and T.
    reward_range
        Limits of every reward; None if there are none.
    sub_gaussian
        A constant s with E exp(u (reward - mean)) <= exp(u^2 s^2 / 2); None where rewards have no law.
    context, context_range
        The context of the first round, and the limits of all; None without contexts. The contexts of
        later rounds come with the observations.
    blocks
        Whether a block of rounds can be played in one call.
    """

    n_arms: int
    rounds: int
    reward_range: tuple[float, float] | None = (0.0, 1.0)
    sub_gaussian: float | None = 0.5
    context: float | None = None
    context_range: tuple[float, float] | None = None
    blocks: bool = False


class ArmDecision(NamedTuple):
    """One arm, for one round; `diagnostics` are numbers for the trace."""

    arm: int
    diagnostics: Mapping[str, float] = NOTHING


class BlockPolicy(Protocol):
    """Plays many rounds in one call, and remembers what it saw."""

    def play(
        self, rewards: Float[np.ndarray, "B K"], contexts: Float[np.ndarray, " B"]
    ) -> tuple[Int[np.ndarray, " B"], Mapping[str, Float[np.ndarray, " B"]]]:
        """Return the arm of each round, chosen before its reward is read, and numbers for the trace."""


class BlockDecision(NamedTuple):
    """A policy that plays to the end; its own state advances as it plays."""

    policy: BlockPolicy
    diagnostics: Mapping[str, float] = NOTHING


class BanditObservation(NamedTuple):
    """What a learner sees after a round, or after a block of rounds.

    Attributes
    ----------
    arms, rewards
        What was pulled, and what it paid: shapes [B].
    context
        Of the next round; None without contexts.
    """

    arms: Int[np.ndarray, " B"]
    rewards: Float[np.ndarray, " B"]
    context: float | None = None


Model = StochasticBandit | LossTable


class BanditEnvironment:
    """The rewards of one run: rows of a table, drawn block by block or given beforehand."""

    def __init__(self, model: Model, best_arm: int, rng: np.random.Generator) -> None:
        self._model = model
        self._best_arm = best_arm
        self._rng = rng
        self._played = 0

    def begin(self, decision: ArmDecision | BlockDecision) -> None:
        """Nothing has to be prepared."""

    def interact(self, decision: ArmDecision | BlockDecision, rounds: int) -> Outcome:
        """Play one round of an arm, or at most `rounds` rounds of a policy."""
        if isinstance(decision, ArmDecision):
            return self._pull(decision)
        count = min(rounds, max(1, MAX_ENTRIES // self._model.n_arms))
        rewards, contexts = self._rows(count)
        arms, diagnostics = decision.policy.play(rewards, contexts)
        wrong = (arms < 0) | (arms >= self._model.n_arms)
        if len(arms) != count or wrong.any():
            first = int(wrong.argmax())
            raise ValueError(
                f"arms must be {len(rewards)} in [0, {self._model.n_arms}); got {len(arms)}, "
                f"arms[{first}] = {arms[first]}"
            )
        return self._outcome(arms, rewards, diagnostics, finished=False)

    def _pull(self, decision: ArmDecision) -> Outcome:
        arm = decision.arm
        if not 0 <= arm < self._model.n_arms:
            raise ValueError(f"arm must be in [0, {self._model.n_arms}); got {arm}")
        rewards, _ = self._rows(1)
        return self._outcome(np.array([arm]), rewards, NOTHING, finished=True)

    def _rows(self, count: int) -> tuple[Float[np.ndarray, "B K"], Float[np.ndarray, " B"]]:
        model, first = self._model, self._played
        if isinstance(model, StochasticBandit):
            return draw_rewards(model, count, self._rng), np.zeros(count)
        last = first + count
        contexts = np.zeros(count) if model.contexts is None else model.contexts[first:last].copy()
        return -model.losses[first:last], contexts

    def _outcome(self, arms: np.ndarray, rewards: np.ndarray, diagnostics: Any, finished: bool) -> Outcome:
        observed = np.take_along_axis(rewards, arms[:, None], axis=1)[:, 0]
        self._played += len(arms)
        model, context = self._model, None
        if isinstance(model, StochasticBandit):
            return Outcome(
                BanditObservation(arms, observed), len(arms), finished, model.means[arms], None, diagnostics
            )
        if model.contexts is not None and self._played < model.rounds:
            context = float(model.contexts[self._played])
        observation = BanditObservation(arms, observed, context)
        best = rewards[:, self._best_arm].copy()
        return Outcome(observation, len(arms), finished, observed, best, diagnostics)


def draw_rewards(model: StochasticBandit, rounds: int, rng: np.random.Generator) -> Float[np.ndarray, "B K"]:
    """Return rewards of every arm, the same ones whether drawn in one call or in many."""
    noise, means = model.noise, model.means
    if noise.kind == "bernoulli":
        return (rng.random((rounds, 1)) < means).astype(np.float64)
    if noise.kind == "gaussian":
        return means + noise.scale * rng.standard_normal((rounds, 1))
    if noise.kind == "uniform":
        return means + noise.scale * (2 * rng.random((rounds, 1)) - 1)
    return np.broadcast_to(means, (rounds, model.n_arms)).copy()


@dataclass(frozen=True, eq=False)
class BanditProblem:
    """A bandit to be played.

    Values are expected rewards, or losses with the sign changed. The benchmark is the best arm: the one
    with the largest mean, or with the smallest total loss over the whole table (in hindsight).

    Parameters
    ----------
    model
        The true model.
    key
        Name of the instance.
    blocks
        Whether learners may play many rounds in one call; the trace is the same.
    """

    model: Model
    key: str = "bandit"
    blocks: bool = True

    @cached_property
    def best_arm(self) -> int:
        """The best arm; the first one of equals."""
        if isinstance(self.model, StochasticBandit):
            return int(self.model.means.argmax())
        return int(self.model.losses.sum(axis=0).argmin())

    @property
    def benchmark(self) -> float | None:
        """Value per round of the best arm; None for a table, where it changes with the round."""
        return float(self.model.means.max()) if isinstance(self.model, StochasticBandit) else None

    def spec(self, rounds: int) -> BanditSpec:
        """Return what a learner may know.

        Raises
        ------
        ValueError
            If a loss table has another number of rounds: its best arm is that of the whole table.
        """
        model = self.model
        check_count("rounds", rounds)
        if isinstance(model, StochasticBandit):
            return BanditSpec(
                model.n_arms, rounds, model.reward_range, model.sub_gaussian, blocks=self.blocks
            )
        if rounds != model.rounds:
            raise ValueError(f"rounds must be {model.rounds}, the length of the loss table; got {rounds}")
        low, high = model.loss_range
        context = None if model.contexts is None else float(model.contexts[0])
        return BanditSpec(
            model.n_arms, rounds, (-high, -low), None, context, model.context_range, self.blocks
        )

    def value(self, decision: ArmDecision | BlockDecision) -> None:
        """Values belong to rounds, and come with the outcome."""

    def environment(self, streams: Streams) -> BanditEnvironment:
        """Return a fresh source of rewards."""
        return BanditEnvironment(self.model, self.best_arm, streams.environment)
