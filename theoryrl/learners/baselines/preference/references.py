"""Towards the unregularised game: regularise, and let the reference follow.

* MPO: magnetic mirror descent whose reference is reset to the current policy every `period` queries.
* Iterated reference (as in COMAL): the reference is reset to the equilibrium of the regularised game;
  each divergence from any von Neumann winner of the game itself is non-increasing.

Both take their own weight beta, and so play regularised and unregularised games alike; on the latter
what is scored is the exploitability itself.

Sources: Wang et al. (2025) for MPO and Liu et al. (2025) for COMAL, both recalled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners._preference import Iterate, check_positive, constant_steps
from theoryrl.learners.nash_mp import ProximalPointMethod
from theoryrl.models._validation import check_count
from theoryrl.protocol import PreferenceDecision, PreferenceSpec
from theoryrl.solvers.preference.fields import LogPolicy
from theoryrl.solvers.preference.steps import WORST_LIPSCHITZ
from theoryrl.solvers.simplex import proximal_step


@dataclass(slots=True, eq=False)
class MagnetState(Iterate):
    """Where MPO stands.

    Attributes
    ----------
    log_magnet
        The current reference: shape [X, n].
    """

    log_magnet: LogPolicy | None = None


@dataclass(frozen=True)
class MPO:
    """Magnetic preference optimisation.

    Parameters
    ----------
    beta
        Weight of the divergence from the current reference.
    period
        Queries between two resets of the reference.
    step
        gamma; None: beta / L^2 with L = 1/2, the step with which each stretch converges.
    """

    beta: float = 0.1
    period: int = 100
    step: float | None = None

    key: ClassVar[str] = "mpo"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_count("period", self.period)
        if self.step is not None:
            check_positive("step", self.step)

    @property
    def guaranteed(self) -> bool:
        """False: each stretch converges if `step` is None, but no theorem here covers stretches cut short."""
        return False

    def init(self, spec: PreferenceSpec, rng: np.random.Generator) -> MagnetState:
        """Return the state before the first query."""
        gamma = self.beta / WORST_LIPSCHITZ**2 if self.step is None else self.step
        steps = constant_steps(spec, gamma)
        return MagnetState(spec, spec.start, spec.start, steps, 0, spec.log_reference)

    def plan(self, state: MagnetState) -> PreferenceDecision:
        """Ask about the current policy."""
        return PreferenceDecision(state.log_policy, state.query)

    def update(self, state: MagnetState, decision: PreferenceDecision, field: LogPolicy) -> MagnetState:
        """Take one proximal step; reset the reference at the end of a period."""
        assert state.log_magnet is not None
        moved = proximal_step(field, state.log_policy, state.log_magnet, state.step, self.beta)
        state.log_policy = state.query = moved
        state.answered += 1
        if state.answered % self.period == 0:
            state.log_magnet = moved
        return state


@dataclass(frozen=True)
class IteratedReference(ProximalPointMethod):
    """Solve the regularised game, make its equilibrium the reference, repeat.

    Parameters
    ----------
    inner_tolerance
        Certificate at which a regularised game counts as solved.
    max_inner
        Queries after which the reference moves in any case.
    beta
        Weight of the divergence from the current reference.
    """

    beta: float = 0.1

    key: ClassVar[str] = "iterated-reference"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("beta", self.beta)

    def weights(self, spec: PreferenceSpec) -> tuple[float, float]:
        """Return no weight for the game's own reference, all for the last equilibrium."""
        return 0.0, self.beta
