"""Posterior sampling: play the optimal policy of a model drawn from the posterior.

Source: Osband, Russo and Van Roy (2013), "(More) efficient reinforcement learning via posterior
sampling". Rows of the kernel have independent Dirichlet(prior, ..., prior) priors, so that
P_h(. | s, a) given the data is Dirichlet(prior + n_h(s, a, .)). Unknown rewards in [0, 1] have
Beta(reward_prior, reward_prior) priors; an observed reward x counts as a success with probability x,
drawn anew (the Bernoulli trick of Agrawal and Goyal, 2012), which leaves its mean unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners._counts import refuse_reward, require_unit_rewards, visit_budget
from theoryrl.learners.baselines import _kernels
from theoryrl.models import DeterministicPolicy
from theoryrl.models._validation import check_real
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.episodic._kernels import count_transitions, optimal_values


@dataclass(slots=True, eq=False)
class PSRLState:
    """The posterior's parameters, and the stream that samples from it.

    Attributes
    ----------
    n, n_next
        Visits and transitions: shapes [H, S, A] and [H, S, A, S].
    successes
        Successes among the visits, where rewards are unknown: shape [H, S, A].
    rewards
        The known rewards, or None.
    rho
        Distribution of the first state.
    rng
        The learner's random stream.
    """

    n: Int[np.ndarray, "H S A"]
    n_next: Int[np.ndarray, "H S A S"]
    successes: Int[np.ndarray, "H S A"]
    rewards: Float[np.ndarray, "H S A"] | None
    rho: Float[np.ndarray, " S"]
    rng: np.random.Generator


@dataclass(frozen=True)
class PSRL:
    """Posterior sampling for reinforcement learning.

    Parameters
    ----------
    prior
        Parameter of the Dirichlet prior of each row, positive; 1 is the uniform prior.
    reward_prior
        Parameter of the Beta prior of each unknown reward, positive.
    refresh_growth
        Sample anew when some visit count has grown by this factor; 0: after every episode.

    Notes
    -----
    Its theorem bounds the regret averaged over the prior, so `guaranteed` (which is always true) says
    nothing about one fixed model. Diagnostics: ``sampled_value``, the optimal value of the sample.
    """

    prior: float = 1.0
    reward_prior: float = 1.0
    refresh_growth: float = 0.0

    key: ClassVar[str] = "psrl"

    def __post_init__(self) -> None:
        for name in ("prior", "reward_prior"):
            if check_real(name, getattr(self, name), low=0.0) == 0.0:
                raise ValueError(f"{name} must be positive; got 0")
        check_real("refresh_growth", self.refresh_growth, low=0.0)

    @property
    def guaranteed(self) -> bool:
        """Whether the theory covers the run: it covers every prior, on average over that prior."""
        return True

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> PSRLState:
        """Return the prior."""
        require_unit_rewards(spec)
        H, S, A = spec.shape
        return PSRLState(
            n=np.zeros((H, S, A), dtype=np.int64),
            n_next=np.zeros((H, S, A, S), dtype=np.int64),
            successes=np.zeros((H, S, A), dtype=np.int64),
            rewards=None if spec.rewards is None else np.array(spec.rewards),
            rho=np.array(spec.rho),
            rng=rng,
        )

    def plan(self, state: PSRLState) -> EpisodicDecision:
        """Draw a model from the posterior and return its optimal policy."""
        P, r = self.sample(state)
        H, S, A = r.shape
        Q, V, actions = np.empty((H, S, A)), np.zeros((H + 1, S)), np.empty((H, S), dtype=np.int64)
        optimal_values(P, r, 0.0, Q, V, actions)
        policy = DeterministicPolicy.trusted(actions, A)
        budget = visit_budget(state.n, self.refresh_growth)
        return EpisodicDecision(policy, budget, {"sampled_value": float(state.rho @ V[0])})

    def sample(self, state: PSRLState) -> tuple[Float[np.ndarray, "H S A S"], Float[np.ndarray, "H S A"]]:
        """Return one draw (P, r) from the posterior."""
        P = np.empty(state.n_next.shape)
        _kernels.sample_kernel(state.n_next, self.prior, state.rng, P)
        if state.rewards is not None:
            return P, state.rewards
        r = np.empty(state.n.shape)
        _kernels.sample_rewards(state.n, state.successes, self.reward_prior, state.rng, r)
        return P, r

    def update(self, state: PSRLState, decision: EpisodicDecision, observation: Trajectories) -> PSRLState:
        """Condition on the episodes.

        Raises
        ------
        ValueError
            If the rewards are unknown and one is observed outside [0, 1].
        """
        states, actions, rewards = observation
        count_transitions(states, actions, state.n, state.n_next)
        if state.rewards is None:
            refuse_reward(
                rewards, _kernels.count_successes(states, actions, rewards, state.rng, state.successes)
            )
        return state
