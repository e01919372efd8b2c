"""Pessimistic value iteration from offline data: what DR-RPO's regressions give without interaction.

The data are episodes of some behaviour policy in the nominal model. One plan is made from them, with the
bonus subtracted instead of added, and played in every round::

    u_i = theta_{h,i} + clip(nu_{h,i}(V_{h+1}) - g_i, 0, R_h),     Q_h = clip(<phi, u>, 0, H - h)

where the errors are covered by the bonus, V is a lower bound on the robust value of the policy that is
greedy for it. Known from public code of Tang, Liu and Xu (2025); their papers have not been read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from theoryrl.learners.baselines.off_dynamics.relatives import variance_weights
from theoryrl.learners.dr_rpo import DRRPO, DRRPOState
from theoryrl.models import OfflineDataset
from theoryrl.protocol import EpisodicDecision, OffDynamicsSpec
from theoryrl.solvers.episodic import Trajectories


@dataclass(frozen=True)
class DRPVI(DRRPO):
    """Distributionally robust pessimistic value iteration, for total variation balls.

    Parameters as for `DRRPO`; the number of episodes in the bonus factor is that of the data, and `delta`
    the probability that the lower bound fails.
    """

    temperature: float | None = 0.0

    key: ClassVar[str] = "drpvi"
    sign: ClassVar[float] = -1.0
    sets: ClassVar[tuple[str, ...]] = ("tv",)

    def init(self, spec: OffDynamicsSpec, rng: np.random.Generator) -> DRRPOState:
        """Return the state with the regressions of the data; raise `ValueError` if there are none."""
        data = spec.offline
        if data is None or len(data) == 0:
            raise ValueError(f"{self.key} needs a problem with offline data; got {data!r}")
        state = super().init(replace(spec, rounds=len(data)), rng)
        self._fit(state, data)
        return state

    def _fit(self, state: DRRPOState, data: OfflineDataset) -> None:
        state.regression.record(state.spec.phi, data.states, data.actions)

    def _must_plan(self, state: DRRPOState) -> bool:
        return state.policy is None

    def update(self, state: DRRPOState, decision: EpisodicDecision, observation: Trajectories) -> DRRPOState:
        """Return the state as it is: nothing is learned from interaction."""
        return state


@dataclass(frozen=True)
class R2PVI(DRPVI):
    """The same for penalties on the dynamics: total variation, KL or chi-square (R2PVI).

    ``two_regressions=True`` is the public code's chi-square, with the two repairs of the DR-RPO page.
    """

    key: ClassVar[str] = "r2pvi"
    sets: ClassVar[tuple[str, ...]] = ("tv-penalty", "kl-penalty", "chi2-penalty")


@dataclass(frozen=True)
class PEVI(DRPVI):
    """Pessimistic value iteration for the nominal model, with the elliptic bonus."""

    bonus: str = "elliptic"

    key: ClassVar[str] = "pevi"
    robust: ClassVar[bool] = False


@dataclass(frozen=True)
class VADRPVI(DRPVI):
    """`DRPVI` with regressions weighted by the variance of the next value.

    Every other episode makes a plan by `DRPVI`, and from it the variances; the remaining ones enter the
    regressions with weights 1 / max(1, variance). No theorem of this library covers the weights.
    """

    key: ClassVar[str] = "va-drpvi"

    @property
    def guaranteed(self) -> bool:
        """No theorem covers the weights."""
        return False

    def _fit(self, state: DRRPOState, data: OfflineDataset) -> None:
        if len(data) < 2:
            raise ValueError(f"{self.key} needs at least 2 offline episodes; got {len(data)}")
        first, second = data.folds(2)
        state.regression.record(state.spec.phi, first.states, first.actions)
        self.optimistic_plan(state)
        weights = variance_weights(state, second.states, second.actions)
        state.regression = fresh(state)
        state.regression.record(state.spec.phi, second.states, second.actions, weights)


def fresh(state: DRRPOState) -> Any:
    """Return regressions of the same sizes without data."""
    regression = state.regression
    H, d, S = regression.G.shape
    return type(regression).start(H, d, S, regression.ridge)
