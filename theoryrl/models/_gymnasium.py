"""The Gymnasium environment of an episodic MDP; imported only by those who ask for it."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete

from theoryrl.models.episodic import EpisodicMDP, RewardNoise


class EpisodicEnv(gymnasium.Env[Any, Any]):
    """Draws episodes of an `EpisodicMDP`; an observation h * S + s numbers (stage, state).

    Parameters
    ----------
    mdp
        The model to draw from.
    """

    def __init__(self, mdp: EpisodicMDP) -> None:
        self.mdp = mdp
        self.observation_space = Discrete((mdp.horizon + 1) * mdp.n_states)
        self.action_space = Discrete(mdp.n_actions)
        self._stage = mdp.horizon
        self._state = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Draw the first state from rho."""
        super().reset(seed=seed)
        self._stage, self._state = 0, _draw(self.mdp.rho, self.np_random)
        return self._observation, self._info

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Earn a reward and move; the H-th step terminates the episode."""
        mdp, h, s = self.mdp, self._stage, self._state
        if h == mdp.horizon:
            raise gymnasium.error.ResetNeeded("the episode is over (or has not begun): call reset()")
        if not self.action_space.contains(action):
            raise ValueError(f"action must be in [0, {mdp.n_actions}); got {action!r}")
        a = int(action)
        mean = float(mdp.r[h, s, a])
        reward = _observed(mean, mdp.noise, self.np_random)
        self._stage, self._state = h + 1, _draw(mdp.P[h, s, a], self.np_random)
        done = self._stage == mdp.horizon
        return self._observation, reward, done, False, {**self._info, "expected_reward": mean}

    @property
    def _observation(self) -> int:
        return self._stage * self.mdp.n_states + self._state

    @property
    def _info(self) -> dict[str, Any]:
        return {"stage": self._stage, "state": self._state}


def _draw(probabilities: np.ndarray, rng: np.random.Generator) -> int:
    return int(rng.choice(len(probabilities), p=probabilities))


def _observed(mean: float, noise: RewardNoise, rng: np.random.Generator) -> float:
    if noise.kind == "bernoulli":
        return float(rng.random() < mean)
    if noise.kind == "gaussian":
        return float(rng.normal(mean, noise.scale))
    if noise.kind == "uniform":
        return float(rng.uniform(mean - noise.scale, mean + noise.scale))
    return mean
