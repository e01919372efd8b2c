"""Successive halving: try all arms equally often, keep the better half, and so on; stay with the last."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from numpy.random import Generator

from theoryrl.models._validation import check_real
from theoryrl.protocol import ArmDecision, BanditObservation, BanditSpec


@dataclass
class HalvingState:
    """What is left, and what it paid.

    Attributes
    ----------
    arms
        The arms that are left, in order.
    pulls
        How often each of them is pulled in this phase.
    sums
        Rewards of each of them in this phase.
    played
        Pulls in this phase.
    budget
        Pulls of a phase.
    """

    arms: list[int]
    pulls: int
    sums: list[float]
    budget: float
    played: int = 0


@dataclass(frozen=True)
class SuccessiveHalving:
    """Spend a share of the horizon on halving the arms, and the rest on the arm that is left.

    With d arms there are ``ceil(log2 d)`` phases of equal length, in each of which the arms that are left are
    pulled equally often; the better half (rounded up) stays. Only rewards of the present phase count.

    Parameters
    ----------
    share
        Of the horizon, in (0, 1], that is spent on the search; every arm is pulled at least once in a phase.

    Notes
    -----
    A rule for finding the best arm of a stochastic bandit; it promises nothing on the regret, and nothing at
    all where losses change in time.

    Source: Karnin, Koren and Somekh (2013), Algorithm 1.
    """

    share: float = 0.25
    key: ClassVar[str] = "successive-halving"

    def __post_init__(self) -> None:
        if not 0 < check_real("share", self.share) <= 1:
            raise ValueError(f"share must be in (0, 1]; got {self.share!r}")

    @property
    def guaranteed(self) -> bool:
        """No bound on the regret is claimed."""
        return False

    def init(self, spec: BanditSpec, rng: Generator) -> HalvingState:
        """Return the state before the first round."""
        d = spec.n_arms
        phases = max(1, math.ceil(math.log2(d)))
        budget = self.share * spec.rounds / phases
        return HalvingState(list(range(d)), max(1, int(budget / d)), [0.0] * d, budget)

    def plan(self, state: HalvingState) -> ArmDecision:
        """Pull the arms that are left in turn."""
        arm = state.arms[state.played % len(state.arms)]
        return ArmDecision(arm, {"arm": arm, "probability": 1.0, "left": float(len(state.arms))})

    def update(
        self, state: HalvingState, decision: ArmDecision, observation: BanditObservation
    ) -> HalvingState:
        """Add the reward; at the end of a phase keep the better half, the first ones of equals."""
        state.sums[state.played % len(state.arms)] += float(observation.rewards[0])
        state.played += 1
        if len(state.arms) > 1 and state.played == state.pulls * len(state.arms):
            ranked = sorted(range(len(state.arms)), key=lambda k: (-state.sums[k], k))
            state.arms = sorted(state.arms[k] for k in ranked[: math.ceil(len(ranked) / 2)])
            state.sums = [0.0] * len(state.arms)
            state.pulls, state.played = max(1, int(state.budget / len(state.arms))), 0
        return state
