"""Mirror methods for regularised preference games: plain, with prediction, and as a loss.

All are written with the mirror step ``M(field) = pi_t^(1 - eta beta) ref^(eta beta) exp(eta field)``.

* Online IPO with uniform sampling, MTPO and INPO: ``pi_{t+1} = M(A pi_t)``, online mirror descent in
  self-play. Its average has small regret; its last iterate is attracted only for
  ``eta < 2 beta / (beta^2 + lam_max^2)`` (`theoryrl.solvers.self_play_threshold`), and cycles beyond.
* MMD (magnetic mirror descent): the same as a proximal step, with gamma <= beta / L^2, small enough to
  converge: ``eta = gamma / (1 + gamma beta)``.
* EGPO (extragradient): a half step ``M(A pi_t)`` and a whole step with the field there. The map is that of
  Nash-MP with ``gamma = eta / (1 - eta beta)``; what differs is the step that the theory allows.
* OMWU (optimistic multiplicative weights): like EGPO, with the field of the last half step in place of a
  new one, so that an iteration takes one query.

Sources: Calandriello et al. (2024) for Online IPO, Zhang et al. (2025) for INPO, Sokota et al. (2023)
for MMD, Zhou et al. (2025) and its published code for EGPO, Cen, Wei and Chi (2021) for OMWU and for
EGPO's step. Rates and steps are recalled, except where the Nash-MP page proves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.learners._preference import FieldMethod, Iterate, check_positive, constant_steps
from theoryrl.models._validation import check_choice
from theoryrl.protocol import PreferenceSpec
from theoryrl.solvers.preference.fields import LogPolicy
from theoryrl.solvers.preference.steps import WORST_LIPSCHITZ
from theoryrl.solvers.simplex import log_normalize, mirror_step, proximal_step

SAMPLINGS = ("uniform", "policy")


def checked_eta(eta: float, spec: PreferenceSpec, name: str = "step") -> float:
    """Return eta if ``eta beta <= 1``, beyond which the mirror step would leave the policy behind itself."""
    if eta * spec.beta > 1:
        raise ValueError(f"{name} must be at most 1 / beta = {1 / spec.beta:.6g}; got {eta!r}")
    return eta


@dataclass(frozen=True)
class OnlineIPO(FieldMethod):
    """Online IPO, as the exact gradient flow of its loss.

    Parameters
    ----------
    step
        With uniform sampling eta, the step of the mirror descent that the loss's gradient makes (a
        learning rate lr of the loss is ``eta = 4 lr / (n beta)``); with policy sampling the learning rate.
    sampling
        Who is compared in the loss: ``"uniform"``, pairs of uniform actions, against the field of pi; or
        ``"policy"``, pairs drawn from pi, which is the policy gradient in self-play.
    """

    step: float = 0.5
    sampling: str = "uniform"

    key: ClassVar[str] = "online-ipo"

    def __post_init__(self) -> None:
        check_positive("step", self.step)
        check_choice("sampling", self.sampling, SAMPLINGS)

    @property
    def guaranteed(self) -> bool:
        """False: no theorem promises that the last iterate converges."""
        return False

    def steps(self, spec: PreferenceSpec) -> Float[np.ndarray, "X 1"]:
        """Return the step."""
        step = self.step if self.sampling == "policy" else checked_eta(self.step, spec)
        return constant_steps(spec, step)

    def move(self, state: Iterate, field: LogPolicy) -> None:
        """Take one step down the loss."""
        spec, log_policy = state.spec, state.log_policy
        if self.sampling == "uniform":
            moved = mirror_step(field, log_policy, spec.log_reference, state.step, spec.beta)
        else:
            gain = field - spec.beta * (log_policy - spec.log_reference)
            pi = np.exp(log_policy)
            centred = gain - (pi * gain).sum(axis=1, keepdims=True)
            moved = log_normalize(log_policy + state.step * 4 / spec.beta * pi * centred)
        state.log_policy = state.query = moved


@dataclass(frozen=True)
class INPO(FieldMethod):
    """Iterative Nash policy optimisation: Online IPO with uniform sampling, in its own parameter.

    Parameters
    ----------
    weight
        INPO's eta, the weight of the divergence from the last policy: the mirror step is 1 / weight.
    """

    weight: float = 2.0

    key: ClassVar[str] = "inpo"

    def __post_init__(self) -> None:
        check_positive("weight", self.weight)

    @property
    def guaranteed(self) -> bool:
        """False: no theorem promises that the last iterate converges."""
        return False

    def steps(self, spec: PreferenceSpec) -> Float[np.ndarray, "X 1"]:
        """Return 1 / weight."""
        if self.weight < spec.beta:
            raise ValueError(f"weight must be at least beta = {spec.beta!r}; got {self.weight!r}")
        return constant_steps(spec, 1 / self.weight)

    def move(self, state: Iterate, field: LogPolicy) -> None:
        """Take one mirror step."""
        spec = state.spec
        moved = mirror_step(field, state.log_policy, spec.log_reference, state.step, spec.beta)
        state.log_policy = state.query = moved


@dataclass(frozen=True)
class MMD(FieldMethod):
    """Magnetic mirror descent: the proximal step at the current field, without a half step.

    Parameters
    ----------
    step
        gamma; ``"theory"``: beta / L^2 with L = 1/2, which is 4 beta. ``"lipschitz"``: with L(P) of each
        context. A number above the first is run without a guarantee.
    """

    step: float | str = "theory"

    key: ClassVar[str] = "mmd"

    def __post_init__(self) -> None:
        if isinstance(self.step, str):
            check_choice("step", self.step, ("theory", "lipschitz"))
        else:
            check_positive("step", self.step)

    @property
    def guaranteed(self) -> bool:
        """Whether the step is the theory's."""
        return isinstance(self.step, str)

    def steps(self, spec: PreferenceSpec) -> Float[np.ndarray, "X 1"]:
        """Return gamma of each context."""
        if self.step == "theory":
            return constant_steps(spec, spec.beta / WORST_LIPSCHITZ**2)
        if self.step == "lipschitz":
            L = spec.lipschitz()
            return np.divide(spec.beta, L**2, out=np.full(L.shape, np.inf), where=L > 0)[:, None]
        return constant_steps(spec, float(self.step))

    def move(self, state: Iterate, field: LogPolicy) -> None:
        """Take one proximal step."""
        spec = state.spec
        moved = proximal_step(field, state.log_policy, spec.log_reference, state.step, spec.beta)
        state.log_policy = state.query = moved


@dataclass(frozen=True)
class EGPO(FieldMethod):
    """Extragradient preference optimisation.

    Parameters
    ----------
    step
        eta; None: ``1 / (beta + 2)``. By the proof for Nash-MP any ``eta <= 2 / (1 + 2 beta)`` converges with
        factor ``1 - eta beta``.
    """

    step: float | None = None

    key: ClassVar[str] = "egpo"

    def __post_init__(self) -> None:
        if self.step is not None:
            check_positive("step", self.step)

    @property
    def guaranteed(self) -> bool:
        """Whether the step is the theory's."""
        return self.step is None

    def steps(self, spec: PreferenceSpec) -> Float[np.ndarray, "X 1"]:
        """Return eta."""
        eta = 1 / (spec.beta + 2) if self.step is None else checked_eta(self.step, spec)
        return constant_steps(spec, eta)

    def move(self, state: Iterate, field: LogPolicy) -> None:
        """Take the half step, or the whole step."""
        spec = state.spec
        moved = mirror_step(field, state.log_policy, spec.log_reference, state.step, spec.beta)
        if state.answered % 2:
            state.log_policy = moved
        state.query = moved


@dataclass(frozen=True)
class OMWU(FieldMethod):
    """Optimistic multiplicative weights for the regularised game.

    Parameters
    ----------
    step
        eta; None: ``1 / (2 (beta + 1))``.
    """

    step: float | None = None

    key: ClassVar[str] = "omwu"

    def __post_init__(self) -> None:
        if self.step is not None:
            check_positive("step", self.step)

    @property
    def guaranteed(self) -> bool:
        """Whether the step is the theory's."""
        return self.step is None

    def steps(self, spec: PreferenceSpec) -> Float[np.ndarray, "X 1"]:
        """Return eta."""
        eta = 1 / (2 * (spec.beta + 1)) if self.step is None else checked_eta(self.step, spec)
        return constant_steps(spec, eta)

    def move(self, state: Iterate, field: LogPolicy) -> None:
        """Take the whole step with the field of the prediction, and predict the next from there."""
        spec = state.spec
        options = (spec.log_reference, state.step, spec.beta)
        if state.answered:
            state.log_policy = mirror_step(field, state.log_policy, *options)
        state.query = mirror_step(field, state.log_policy, *options)
