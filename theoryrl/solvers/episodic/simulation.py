"""Exact simulation of an episodic MDP by inversion of cumulative distributions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models import DeterministicPolicy, EpisodicMDP, MarkovPolicy, MixturePolicy, OfflineDataset
from theoryrl.models._validation import check_count
from theoryrl.solvers.episodic import _kernels
from theoryrl.solvers.episodic.planning import check_sizes

NO_BUDGET = np.empty((0, 0, 0), dtype=np.int64)
_ONE = np.array([2.0])


class Trajectories(NamedTuple):
    """Episodes as they were observed.

    Attributes
    ----------
    states
        s[i, h], h = 0, ..., H: shape [N, H+1].
    actions
        a[i, h]: shape [N, H].
    rewards
        Observed rewards: shape [N, H].
    """

    states: Int[np.ndarray, "N H1"]
    actions: Int[np.ndarray, "N H"]
    rewards: Float[np.ndarray, "N H"]


def cumulative(probabilities: np.ndarray) -> np.ndarray:
    """Return cumulative sums along the last axis, made safe against rounding.

    From the last positive entry on they exceed every uniform number, so a value of probability zero
    is never drawn.
    """
    sums = np.cumsum(probabilities, axis=-1)
    size = probabilities.shape[-1]
    last = size - 1 - np.argmax(probabilities[..., ::-1] > 0, axis=-1)
    sums[np.arange(size) >= last[..., None]] = 2.0
    return sums


@dataclass(frozen=True, eq=False)
class Simulator:
    """Draws episodes of one model; the model's tables are prepared once.

    Parameters
    ----------
    mdp
        The model to draw from.
    """

    mdp: EpisodicMDP
    _cum_rho: np.ndarray = field(init=False, repr=False)
    _cum_P: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cum_rho", cumulative(self.mdp.rho))
        object.__setattr__(self, "_cum_P", cumulative(self.mdp.P))

    def run(
        self,
        policy: MarkovPolicy | MixturePolicy,
        episodes: int,
        rng: np.random.Generator,
        coin: np.random.Generator,
        budget: Int[np.ndarray, "H S A"] = NO_BUDGET,
    ) -> tuple[Trajectories, bool]:
        """Draw at most `episodes` episodes, fewer if the visit budget runs out.

        Parameters
        ----------
        policy
            The policy to play; a mixture draws its component at the start of each episode.
        episodes
            Upper limit on the number of episodes.
        rng, coin
            Streams for the trajectories and for the component of a mixture.
        budget
            Visits left per (h, s, a), counted down in place; simulation stops after the episode in
            which an entry reaches zero. Without entries: no budget.

        Returns
        -------
        tuple
            The trajectories, and whether the budget ran out.
        """
        mdp = self.mdp
        H = mdp.horizon
        states = np.empty((episodes, H + 1), dtype=np.int64)
        actions = np.empty((episodes, H), dtype=np.int64)
        rewards = np.empty((episodes, H))
        noise, scale = mdp.noise.code, mdp.noise.scale
        single = episodes == 1 and budget is NO_BUDGET and mdp.noise.kind != "gaussian"
        if (
            single
            and isinstance(policy, DeterministicPolicy)
            and policy.actions.shape == (H, mdp.n_states)
            and policy.n_actions == mdp.n_actions
        ):
            uniforms = rng.random(1 + (2 if mdp.noise.kind == "none" else 3) * H)
            _kernels.simulate_one(
                self._cum_rho,
                self._cum_P,
                mdp.r,
                noise,
                scale,
                policy.actions,
                uniforms,
                states,
                actions,
                rewards,
            )
            return Trajectories(states, actions, rewards), False
        check_sizes(mdp, policy)
        if budget.size and budget.shape != mdp.r.shape:
            raise ValueError(f"budget must have shape {mdp.r.shape}; got shape {budget.shape}")
        cum_pi, cum_weights = _cumulative_policy(policy, H)
        played, spent = _kernels.simulate(
            self._cum_rho,
            self._cum_P,
            mdp.r,
            noise,
            scale,
            cum_pi,
            cum_weights,
            rng,
            coin,
            budget,
            states,
            actions,
            rewards,
        )
        return Trajectories(states[:played], actions[:played], rewards[:played]), spent


def simulate_episodes(
    mdp: EpisodicMDP, policy: MarkovPolicy | MixturePolicy, n_episodes: int, rng: np.random.Generator
) -> OfflineDataset:
    """Draw `n_episodes` independent episodes of a policy.

    Returns
    -------
    OfflineDataset
        The episodes, marked as independent.
    """
    check_count("n_episodes", n_episodes)
    trajectories, _ = Simulator(mdp).run(policy, n_episodes, rng, rng)
    return OfflineDataset(*trajectories, n_states=mdp.n_states, n_actions=mdp.n_actions)


def _cumulative_policy(policy: MarkovPolicy | MixturePolicy, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(policy, MixturePolicy):
        tables = np.stack([cumulative(component.stages(horizon)) for component in policy.policies])
        return tables, cumulative(policy.weights)
    if isinstance(policy, DeterministicPolicy) and policy.horizon == horizon:
        # What `cumulative` makes of a row with a single one.
        reached = np.arange(policy.n_actions) >= policy.actions[..., None]
        return np.where(reached, 2.0, 0.0)[None], _ONE
    return cumulative(policy.stages(horizon))[None], _ONE
