"""Episodes of a Markov game, drawn from its joint model by inversion of cumulative distributions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models import FiniteMemoryPolicy, Policy, ZeroSumMarkovGame
from theoryrl.solvers.episodic.simulation import cumulative
from theoryrl.solvers.markov_game import _kernels
from theoryrl.solvers.markov_game.evaluation import joint_model


class GameTrajectory(NamedTuple):
    """One episode as both players saw it.

    Attributes
    ----------
    states
        s[h], h = 0, ..., H: shape [H + 1].
    actions, opponent_actions
        a[h] and b[h]: shape [H] each.
    """

    states: Int[np.ndarray, " H1"]
    actions: Int[np.ndarray, " H"]
    opponent_actions: Int[np.ndarray, " H"]


@dataclass(frozen=True, eq=False)
class GameSimulator:
    """Draws episodes of one game; its tables are prepared once.

    Parameters
    ----------
    game
        The model to draw from.
    memory
        A min player with a memory, whose states the joint policies then have too.
    """

    game: ZeroSumMarkovGame
    memory: FiniteMemoryPolicy | None = None
    _cum_rho: Float[np.ndarray, " N"] = field(init=False, repr=False)
    _cum_P: Float[np.ndarray, "H N C N"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        model = joint_model(self.game, self.memory)
        object.__setattr__(self, "_cum_rho", cumulative(model.rho))
        object.__setattr__(self, "_cum_P", cumulative(model.P))

    @cached_property
    def n_memories(self) -> int:
        """W, or 1 without a memory."""
        return 1 if self.memory is None else self.memory.n_memories

    def prepare(self, policy: Policy) -> Float[np.ndarray, "H N C"]:
        """Return a joint policy as `run` wants it."""
        return cumulative(policy.stages(self.game.horizon))

    def run(self, prepared: Float[np.ndarray, "H N C"], rng: np.random.Generator) -> GameTrajectory:
        """Draw one episode."""
        H = self.game.horizon
        states, pairs = np.empty(H + 1, dtype=np.int64), np.empty(H, dtype=np.int64)
        _kernels.one_episode(self._cum_rho, self._cum_P, prepared, rng.random(1 + 2 * H), states, pairs)
        a, b = np.divmod(pairs, self.game.n_opponent_actions)
        return GameTrajectory(states if self.memory is None else states // self.n_memories, a, b)
