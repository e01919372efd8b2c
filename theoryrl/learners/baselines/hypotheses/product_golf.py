"""GOLF over a product class, solved exactly by a chain program."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners._counts import require_unit_rewards
from theoryrl.learners.mex_product import ProductFunctions
from theoryrl.models import ProductQClass
from theoryrl.models._validation import check_fraction, check_real, check_type
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.maximize_to_explore import _chain_kernels


@dataclass(frozen=True, kw_only=True)
class ProductGOLF:
    """Global optimism: argmax V_f(s_1) subject to L_h(f) <= beta at every stage (Jin, Liu, Miryoosefi 2021).

    Parameters
    ----------
    hypotheses
        The class.
    beta
        Default ``H^2/2 log(2 H |G_h| / delta)``, which keeps Q* feasible in all episodes with probability
        1 - delta (proved on the MEX page).
    delta
        Failure probability in the default.
    """

    hypotheses: ProductQClass
    beta: float | None = None
    delta: float = 0.05

    key: ClassVar[str] = "product-golf"

    def __post_init__(self) -> None:
        check_type("hypotheses", self.hypotheses, ProductQClass)
        check_fraction("delta", self.delta)
        if self.beta is not None:
            check_real("beta", self.beta, low=0.0)

    @property
    def threshold(self) -> float:
        """Return beta."""
        if self.beta is not None:
            return self.beta
        H, M = self.hypotheses.auxiliary.shape[:2]
        return H**2 / 2 * math.log(2 * H * M / self.delta)

    @property
    def guaranteed(self) -> bool:
        """Whether beta keeps Q* feasible."""
        return self.beta is None

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> ProductFunctions:
        """Return the state without data."""
        require_unit_rewards(spec)
        return ProductFunctions.start_with(self.hypotheses, spec)

    def plan(self, state: ProductFunctions) -> EpisodicDecision:
        """Choose the most optimistic feasible candidate.

        Raises
        ------
        ValueError
            If no candidate is feasible: the class is not realizable, or beta is too small.
        """
        state.refresh()
        H, N = state.members.shape
        chosen = np.zeros(H, dtype=np.int64)
        value = _chain_kernels.chain_feasible_best(
            state.start, state.losses, self.threshold, np.empty((H, N), dtype=np.bool_), chosen
        )
        if value == -np.inf:
            raise ValueError(
                f"beta = {self.threshold:.6g} leaves no candidate: the class is not realizable, or beta is "
                "too small"
            )
        return state.decide(chosen, {"eta": math.nan, "objective": float(value)})

    def update(
        self, state: ProductFunctions, decision: EpisodicDecision, observation: Trajectories
    ) -> ProductFunctions:
        """Add the squares of the episode."""
        state.record(observation)
        return state
