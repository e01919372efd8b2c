r"""What OptCMDP, OptPess-LP and DOPE share: counts, confidence sets, the safety gate, the fallback.

The constrained problem here is V^pi(r) >= gamma with known rewards r: objective and constraint are the
same reward, which the papers do not assume.

**The box** (OptCMDP, DOPE). beta = sqrt(4 phat (1 - phat) L / n) + 14 L / (3 n), at most 1. The form
and its numbers 4 and 14/3 are recalled from Bura et al. (2022); that they are valid with
L = ln(4 H S^2 A K / delta) is proved here: for one entry and one count 2 <= n <= K, the empirical
Bernstein inequality (Maurer and Pontil 2009, Theorem 4, both sides) says
|phat - P| <= sqrt(2 n phat (1 - phat) l / (n - 1) / n) + 7 l / (3 (n - 1)) with probability 1 - 4 e^-l
at most failing, and n - 1 >= n/2; for n = 1 beta = 1. A union over H S^2 A entries and K counts,
l = L, gives P in the box in every episode with probability at least 1 - delta.

**Pessimism.** Let b_h(s, a) bound |(P' - P)_h V (s, a)| for every function V with values in
[0, H-h-1]. By the simulation lemma (value difference under P'), for every policy pi

    V^pi_{r-b}(P') <= V^pi_r(P) <= V^pi_{r+b}(P'):

a policy whose pessimistic value is at least gamma is safe. If |P' - P| <= 2 beta entrywise then
b_h = (H-h-1) min(1, sum_y beta) will do, because |(P' - P) V| <= |P' - P|_1 (max V - min V) / 2.

**Optimism under the pessimistic constraint** (OptPess-LP, DOPE; ours, after Liu et al. 2021). Suppose
the baseline has pessimistic value gamma + kappa in phat, kappa > 0. Mix, in occupancy, the baseline
and an optimal policy with weights 1 - w and w. With e = E[sum b] of the optimal policy in phat, its
pessimistic value is at least V* - 2 e >= gamma - 2 e, so w = kappa / (kappa + 2 e) is feasible. Under the
rewards r + c b the mixture is worth at least (1 - w) V^base + w (V* + (c - 1) e), which is at least V*
for c = 1 + 2 (H - gamma) / kappa. So the program's value bounds V* from above, with kappa as measured:
no margin needs to be known in advance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners._counts import (
    require_baseline,
    require_threshold,
    require_unit_rewards,
    visit_budget,
)
from theoryrl.learners._guarantee import check_bonus_scale, warn_if_void
from theoryrl.learners.baselines._programs import FEASIBILITY_TOLERANCE, SOLVED, Plan
from theoryrl.models import MarkovPolicy
from theoryrl.models._validation import check_fraction, check_real
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.episodic._kernels import count_transitions, start_value

GATED = -1
"""Diagnostic `lp_status` of an episode in which no program was tried."""

UNCERTIFIED = -2
"""Diagnostic `lp_status`: solved, but the policy's own certificate is below the threshold."""


@dataclass(slots=True, eq=False)
class ConstrainedState:
    """Counts, and what the spec tells.

    Attributes
    ----------
    n, n_next
        Visits and transitions: shapes [H, S, A] and [H, S, A, S].
    rewards
        r[h, s, a].
    rho
        Distribution of the first state.
    baseline, threshold
        The safe policy and gamma.
    rounds, played
        Episodes in all and so far.
    """

    n: Int[np.ndarray, "H S A"]
    n_next: Int[np.ndarray, "H S A S"]
    rewards: Float[np.ndarray, "H S A"]
    rho: Float[np.ndarray, " S"]
    baseline: MarkovPolicy
    threshold: float
    rounds: int
    played: int = 0

    @property
    def kernel(self) -> Float[np.ndarray, "H S A S"]:
        """The empirical kernel; uniform where nothing was seen."""
        seen = self.n[..., None] > 0
        rows = np.full(self.n_next.shape, 1 / self.n_next.shape[-1])
        np.divide(self.n_next, self.n[..., None], out=rows, where=seen)
        return rows

    @property
    def ranges(self) -> Float[np.ndarray, "H 1 1"]:
        """H - h - 1, the range of V_{h+1}."""
        return np.arange(len(self.n) - 1.0, -1.0, -1.0)[:, None, None]

    @property
    def solver_slack(self) -> float:
        """What to add to the threshold so that rows met up to HiGHS's tolerance still meet gamma."""
        return 10 * FEASIBILITY_TOLERANCE * len(self.n)

    def value(self, P: np.ndarray, reward: np.ndarray, policy: MarkovPolicy) -> float:
        """Return the exact value of a policy under a given kernel and reward."""
        return float(start_value(P, reward, self.rho, policy.stages(len(self.n))))


@dataclass(frozen=True)
class ConstrainedLearner:
    """Hyper-parameters and bookkeeping of the methods that plan by a constrained program.

    Parameters
    ----------
    delta
        Probability with which the confidence set may fail, in (0, 1).
    bonus_scale
        Factor on every radius and bonus. Below 1 it voids the guarantee: a warning and `guaranteed` say so.
    refresh_growth
        Solve a program anew when some visit count has grown by this factor (1: doubled); 0: after
        every episode, as the papers do.

    Notes
    -----
    Diagnostics: ``lp_status`` (0 solved, 1 to 4 as `scipy.optimize.linprog` reports a failure, 2 being
    infeasible, -1 not tried, -2 solved but not certified; all but 0 play the baseline), ``lp_value``
    (optimal value of the program, NaN unless solved) and ``certificate`` (a lower bound on the value of
    the policy played, NaN if the method has none).
    """

    delta: float = 0.05
    bonus_scale: float = 1.0
    refresh_growth: float = 1.0

    key: ClassVar[str]

    def __post_init__(self) -> None:
        check_fraction("delta", self.delta)
        check_real("refresh_growth", self.refresh_growth, low=0.0)
        check_bonus_scale(self.bonus_scale)
        warn_if_void(self, self.bonus_scale)

    @property
    def guaranteed(self) -> bool:
        """Whether the confidence set is at least as large as its proof asks for."""
        return self.bonus_scale >= 1.0

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> ConstrainedState:
        """Return the state without data.

        Raises
        ------
        ValueError
            If the problem has no baseline or threshold, or does not tell its rewards.
        """
        require_unit_rewards(spec)
        if spec.rewards is None:
            raise ValueError(f"{self.key} needs known rewards; spec.rewards is None")
        H, S, A = spec.shape
        return ConstrainedState(
            n=np.zeros((H, S, A), dtype=np.int64),
            n_next=np.zeros((H, S, A, S), dtype=np.int64),
            rewards=np.array(spec.rewards),
            rho=np.array(spec.rho),
            baseline=require_baseline(spec, self.key),
            threshold=require_threshold(spec, self.key),
            rounds=spec.rounds,
        )

    def update(
        self, state: ConstrainedState, decision: EpisodicDecision, observation: Trajectories
    ) -> ConstrainedState:
        """Count the episodes."""
        states, actions, _ = observation
        count_transitions(states, actions, state.n, state.n_next)
        state.played += len(actions)
        return state

    def box_radius(
        self, state: ConstrainedState, P_hat: Float[np.ndarray, "H S A S"]
    ) -> Float[np.ndarray, "H S A S"]:
        """Return beta[h, s, a, s'], which contains the true kernel with probability 1 - delta."""
        H, S, A = state.n.shape
        L = np.log(4 * H * S**2 * A * state.rounds / self.delta)
        n = np.maximum(state.n, 1)[..., None]
        beta = self.bonus_scale * (np.sqrt(4 * P_hat * (1 - P_hat) * L / n) + 14 * L / (3 * n))
        return np.where(state.n[..., None] > 0, np.minimum(1.0, beta), 1.0)

    def play_baseline(self, state: ConstrainedState, status: int, certificate: float) -> EpisodicDecision:
        """Decide for the baseline, and say why."""
        return self._decide(state, state.baseline, status, np.nan, certificate)

    def play_plan(self, state: ConstrainedState, plan: Plan, certificate: float) -> EpisodicDecision:
        """Decide for the policy of a solved program."""
        assert plan.policy is not None
        return self._decide(state, plan.policy, SOLVED, plan.value, certificate)

    def _decide(
        self, state: ConstrainedState, policy: MarkovPolicy, status: int, value: float, certificate: float
    ) -> EpisodicDecision:
        diagnostics: Mapping[str, float] = {
            "lp_status": float(status),
            "lp_value": value,
            "certificate": certificate,
        }
        return EpisodicDecision(policy, visit_budget(state.n, self.refresh_growth), diagnostics)


def optimism_factor(horizon: int, threshold: float, margin: float) -> float:
    """Return 1 + 2 (H - gamma) / kappa, the factor on b that keeps the safe program optimistic."""
    return 1 + 2 * (horizon - threshold) / margin
