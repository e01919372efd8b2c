r"""UCBVI: optimistic value iteration with exploration bonuses.

Source: Azar, Osband and Munos (2017), arXiv:1703.05449v2, Algorithms 1 and 2 (value iteration), 3
(bonus of UCBVI-CH) and 4 (bonus of UCBVI-BF), Theorems 1 and 2 (regret). Per episode, backwards::

    Q_h(s, a) <- min( Q_h(s, a) of the episode before, r + phat V_{h+1} + b )   once visited
    b = 7 H L / sqrt(N)                                                         (hoeffding, CH)
    b = sqrt(8 L Var_phat(V_{h+1}) / N) + 14 H L / (3 N)                        (bernstein, BF)
        + sqrt(8 / N sum_y phat(y) min(100^2 H^3 S^2 A L^2 / N_{h+1}(y), H^2))

with L = ln(5 S A T / delta), T = H K. The paper's kernel is the same at every stage.

**Stage-dependent kernels.** A stage-dependent MDP is a stage-independent one on the H S pairs
(stage, state), on which the paper's counts become N_h(s, a). Its algorithm and theorems apply to that
MDP as they stand, with H S in place of S: that is what runs here, L = ln(5 H S A T / delta) and
100^2 H^3 (H S)^2 A L^2. Unvisited cells are worth H - h instead of H, which is still no less than Q*.

**Optimism of `hoeffding`, proved here.** Fix a cell (h, s, a) and a count n <= K. V*_{h+1} is a fixed
function with values in [0, H], and the successive next states of a cell are independent draws, so by
Hoeffding's inequality (P - phat) V*_{h+1} > H sqrt(L / (2 n)) has probability at most
e^-L = delta / (5 H S A T). Summed over H S A cells and K counts this is delta / (5 H); outside that
event Q_h >= Q*_h follows by induction over h, since L >= ln 5 > 1 makes H sqrt(L / 2) <= 7 H L.
Unknown rewards in [0, 1] add sqrt(L / (2 n)), for the same reason and another delta / (5 H).
For `bernstein` optimism is a step of the paper's proof of Theorem 2 (appendix C), not proved again here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners._counts import refuse_reward, require_unit_rewards, visit_budget
from theoryrl.learners._guarantee import check_bonus_scale, warn_if_void
from theoryrl.learners.baselines import _kernels
from theoryrl.models import DeterministicPolicy
from theoryrl.models._validation import check_choice, check_fraction, check_real
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories


@dataclass(slots=True, eq=False)
class UCBVIState:
    """What UCBVI has seen, and its optimistic values.

    Attributes
    ----------
    n
        Visits n[h, s, a].
    n_next
        Transitions n_next[h, s', s A + a], stored as floats in the order that planning reads.
    means
        Known or empirical rewards: shape [H, S, A].
    inverse, base
        1 / n (0 if unvisited), and the part of Q that no other cell affects (infinite if unvisited).
    Q, V
        Optimistic values, non-increasing over episodes: shapes [H, S, A] and [H+1, S].
    actions
        Greedy actions of the last plan: shape [H, S]; -1 before the first.
    policy
        A frozen copy of `actions`, replaced when they change.
    rho
        Distribution of the first state.
    L
        The logarithm of the paper.
    known_rewards
        Whether `means` are given.
    """

    n: Int[np.ndarray, "H S A"]
    n_next: Float[np.ndarray, "H S C"]
    means: Float[np.ndarray, "H S A"]
    inverse: Float[np.ndarray, "H S A"]
    base: Float[np.ndarray, "H S A"]
    Q: Float[np.ndarray, "H S A"]
    V: Float[np.ndarray, "H1 S"]
    actions: Int[np.ndarray, "H S"]
    policy: DeterministicPolicy | None
    rho: Float[np.ndarray, " S"]
    L: float
    known_rewards: bool


@dataclass(frozen=True)
class UCBVI:
    """Optimism with bonuses on the optimal value (UCBVI-CH and UCBVI-BF).

    Parameters
    ----------
    delta
        Probability with which the bounds may fail, in (0, 1).
    bonus
        ``"bernstein"`` (UCBVI-BF) or ``"hoeffding"`` (UCBVI-CH), with the constants of the paper's
        theorems; see the module for what stage-dependent kernels change.
    bonus_scale
        Factor on every bonus. Below 1 it voids the theorems: a warning and `guaranteed` say so.
    refresh_growth
        Plan anew when some visit count has grown by this factor; 0: after every episode.

    Notes
    -----
    Diagnostics: ``upper``, the optimistic value of the first state's distribution.
    """

    delta: float = 0.05
    bonus: str = "bernstein"
    bonus_scale: float = 1.0
    refresh_growth: float = 0.0

    key: ClassVar[str] = "ucbvi"
    BONUSES: ClassVar[tuple[str, ...]] = ("hoeffding", "bernstein")

    def __post_init__(self) -> None:
        check_fraction("delta", self.delta)
        check_choice("bonus", self.bonus, self.BONUSES)
        check_real("refresh_growth", self.refresh_growth, low=0.0)
        check_bonus_scale(self.bonus_scale)
        warn_if_void(self, self.bonus_scale)

    @property
    def guaranteed(self) -> bool:
        """Whether the bonuses are at least those of the theorems."""
        return self.bonus_scale >= 1.0

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> UCBVIState:
        """Return the state without data: every cell is worth all that can be earned from it."""
        require_unit_rewards(spec)
        H, S, A = spec.shape
        remaining = np.arange(H, -1.0, -1.0)
        known = spec.rewards is not None
        return UCBVIState(
            n=np.zeros((H, S, A), dtype=np.int64),
            n_next=np.zeros((H, S, S * A)),
            means=np.array(spec.rewards) if known else np.zeros((H, S, A)),
            inverse=np.zeros((H, S, A)),
            base=np.full((H, S, A), np.inf),
            Q=np.repeat(remaining[:-1], S * A).reshape(H, S, A),
            V=np.repeat(remaining, S).reshape(H + 1, S),
            actions=np.full((H, S), -1, dtype=np.int64),
            policy=None,
            rho=np.array(spec.rho),
            L=math.log(5 * (H * S) * A * (H * spec.rounds) / self.delta),
            known_rewards=known,
        )

    def plan(self, state: UCBVIState) -> EpisodicDecision:
        """Return the policy that is greedy for the optimistic values."""
        policy, upper = self.optimistic_policy(state)
        budget = visit_budget(state.n, self.refresh_growth)
        return EpisodicDecision(policy, budget, {"upper": upper})

    def optimistic_policy(self, state: UCBVIState) -> tuple[DeterministicPolicy, float]:
        """Plan with the counts of `state`; return the greedy policy and the bound on V*."""
        model = (state.rho, state.n_next, state.inverse, state.base)
        values = (state.Q, state.V, state.actions)
        if self.bonus == "hoeffding":
            upper, changed = _kernels.plan_hoeffding(*model, *values)
        else:
            H, S, A = state.Q.shape
            spread = self.bonus_scale * math.sqrt(8 * state.L)
            carry = self.bonus_scale * math.sqrt(8)
            slack = 100**2 * H**3 * (H * S) ** 2 * A * state.L**2
            upper, changed = _kernels.plan_bernstein(*model, spread, carry, slack, *values)
        if changed or state.policy is None:
            state.policy = DeterministicPolicy.trusted(state.actions.copy(), state.Q.shape[2])
        return state.policy, upper

    def update(self, state: UCBVIState, decision: EpisodicDecision, observation: Trajectories) -> UCBVIState:
        """Count the episodes.

        Raises
        ------
        ValueError
            If the rewards are unknown and one is observed outside [0, 1].
        """
        root = linear = 0.0
        if self.bonus == "hoeffding":
            root = 7 * len(state.n) * state.L
        else:
            linear = 14 * len(state.n) * state.L / 3
        if not state.known_rewards:
            root += math.sqrt(state.L / 2)
        outside = _kernels.record(
            *observation,
            state.known_rewards,
            self.bonus_scale * root,
            self.bonus_scale * linear,
            state.n,
            state.n_next,
            state.means,
            state.inverse,
            state.base,
        )
        refuse_reward(observation.rewards, outside)
        return state
