"""Nash-MP and Nash-Prox: the equilibrium of a regularised preference game by Mirror Prox.

Nash-MP improves the opponent before it answers it. From pi_k, two proximal steps with the same centre::

    pi_{k+1/2} = prox(A pi_k),    pi_{k+1} = prox(A pi_{k+1/2}),
    prox(field) = argmax_pi <field, pi> - beta KL(pi || ref) - KL(pi || pi_k) / gamma,

so that two queries are one iteration. The step gamma = 2 is allowed in every game, because the field
is 1/2-Lipschitz; the last iterate converges with ``KL(pi* || pi_K) <= (1 + 2 beta)^{-K} KL(pi* || pi_0)``.

Source: Tiapkin et al. (2025), arXiv 2505.19731 version 1, from its abstract; the algorithm's constants
and everything that goes with them are derived on the Nash-MP page. Nash-Prox is named in version 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.learners._guarantee import warn_if_void
from theoryrl.learners._preference import (
    FieldMethod,
    Iterate,
    check_positive,
    constant_steps,
    require_regularized,
)
from theoryrl.models._validation import check_choice, check_count
from theoryrl.protocol import PreferenceDecision, PreferenceSpec
from theoryrl.solvers.preference import largest_mirror_prox_step
from theoryrl.solvers.preference.fields import LogPolicy
from theoryrl.solvers.preference.steps import WORST_LIPSCHITZ
from theoryrl.solvers.simplex import log_normalize, proximal_step, span

STEPS = ("worst-case", "lipschitz", "max")


@dataclass(frozen=True)
class NashMP(FieldMethod):
    """Mirror Prox in self-play, with exact fields.

    Parameters
    ----------
    step
        gamma, or how to choose it: ``"worst-case"``, the 2 that every game allows; ``"lipschitz"``,
        1 / L(P) in each context; ``"max"``, the largest that the proof covers, in each context. Where
        L(P) = 0 the last two are infinite, and the first answer already gives the equilibrium.
    allow_unsafe_step
        Accept a number above the largest covered step, for illustration.
    """

    step: float | str = "worst-case"
    allow_unsafe_step: bool = False

    key: ClassVar[str] = "nash-mp"

    def __post_init__(self) -> None:
        if isinstance(self.step, str):
            check_choice("step", self.step, STEPS)
        else:
            check_positive("step", self.step)

    @property
    def guaranteed(self) -> bool:
        """Whether the step is certain to be one that the theorem covers."""
        return not self.allow_unsafe_step

    def steps(self, spec: PreferenceSpec) -> Float[np.ndarray, "X 1"]:
        """Return gamma of each context.

        Raises
        ------
        ValueError
            If a given step is larger than the game allows.
        """
        if self.step == "worst-case":
            return constant_steps(spec, 1 / WORST_LIPSCHITZ)
        if self.step == "lipschitz":
            L = spec.lipschitz()
            return np.divide(1, L, out=np.full(L.shape, np.inf), where=L > 0)[:, None]
        if self.step == "max":
            return largest_mirror_prox_step(spec.lipschitz(), spec.beta)[:, None]
        gamma = float(self.step)
        if gamma > largest_mirror_prox_step(WORST_LIPSCHITZ, spec.beta):
            limit = float(largest_mirror_prox_step(spec.lipschitz(), spec.beta).min())
            self._check_limit(gamma, limit)
        return constant_steps(spec, gamma)

    def _check_limit(self, gamma: float, limit: float) -> None:
        if gamma <= limit:
            return
        if not self.allow_unsafe_step:
            raise ValueError(
                f"step must be at most {limit:.6g} for this game; got {gamma!r} "
                "(allow_unsafe_step runs it without a guarantee)"
            )
        warn_if_void(self, 1.0, f"step = {gamma:g} is above {limit:.6g}")

    def move(self, state: Iterate, field: LogPolicy) -> None:
        """Take the half step, or the whole step with the field at the half step."""
        spec = state.spec
        moved = proximal_step(field, state.log_policy, spec.log_reference, state.step, spec.beta)
        if state.answered % 2:
            state.log_policy = moved
        state.query = moved


@dataclass(slots=True, eq=False)
class ProximalPoint:
    """Where a proximal-point method stands: at a centre, and inside the problem around it.

    Attributes
    ----------
    spec
        What the method was told.
    log_policy
        The centre pi_k: shape [X, n].
    inner
        Iterate of the inner Mirror Prox: shape [X, n].
    query
        The policy that it asks about next: shape [X, n].
    log_reference
        Reference of the inner problem: shape [X, n].
    answered
        Answers received since the last move of the centre.
    """

    spec: PreferenceSpec
    log_policy: LogPolicy
    inner: LogPolicy
    query: LogPolicy
    log_reference: LogPolicy
    answered: int = 0


@dataclass(frozen=True)
class ProximalPointMethod:
    """What Nash-Prox and the iterated reference share; use one of these two.

    The centre moves to the equilibrium of the game with weight ``beta + 1 / gamma`` and reference
    ``(ref^beta pi_k^(1 / gamma))^(1 / (beta + 1 / gamma))``, which an inner Mirror Prox finds. Every other
    field shows how far it is: the centre moves when the certificate of the inner iterate is small enough.
    If it moves because `max_inner` is reached, which no theorem covers, a warning says so.
    """

    key: ClassVar[str]

    inner_tolerance: float = 1e-26
    max_inner: int = 10_000

    def __post_init__(self) -> None:
        check_positive("inner_tolerance", self.inner_tolerance)
        check_count("max_inner", self.max_inner, low=2)

    @property
    def guaranteed(self) -> bool:
        """Every step is covered, up to the inner tolerance, unless a warning says otherwise."""
        return True

    def weights(self, spec: PreferenceSpec) -> tuple[float, float]:
        """Return the weights of the divergences from the reference and from the centre."""
        raise NotImplementedError

    def init(self, spec: PreferenceSpec, rng: np.random.Generator) -> ProximalPoint:
        """Return the state before the first query."""
        start = spec.start
        return ProximalPoint(spec, start, start, start, self._reference(spec, start))

    def plan(self, state: ProximalPoint) -> PreferenceDecision:
        """Ask about the policy that the state names."""
        return PreferenceDecision(state.log_policy, state.query)

    def update(self, state: ProximalPoint, decision: PreferenceDecision, field: LogPolicy) -> ProximalPoint:
        """Take one proximal step of the inner problem; move the centre when that is solved."""
        weight = sum(self.weights(state.spec))
        if state.answered % 2 == 0 and self._solved(state, field, weight):
            state.log_policy, state.answered = state.inner, 0
            state.log_reference = self._reference(state.spec, state.log_policy)
        gamma = float(largest_mirror_prox_step(WORST_LIPSCHITZ, weight))
        moved = proximal_step(field, state.inner, state.log_reference, gamma, weight)
        if state.answered % 2:
            state.inner = moved
        state.query = moved
        state.answered += 1
        return state

    def _solved(self, state: ProximalPoint, field: LogPolicy, weight: float) -> bool:
        """Whether the inner iterate, whose field is known, is certified; never before it has moved."""
        if state.answered == 0:
            return False
        r = weight * (state.inner - state.log_reference) - field
        certificate = float(((span(r) / (2 * weight)) ** 2).max())
        if certificate <= self.inner_tolerance:
            return True
        if state.answered < self.max_inner:
            return False
        warn_if_void(
            self, 1.0, f"{self.max_inner} queries left a certificate of {certificate:.2g} in an inner problem"
        )
        return True

    def _reference(self, spec: PreferenceSpec, log_centre: LogPolicy) -> LogPolicy:
        beta, pull = self.weights(spec)
        return log_normalize((beta * spec.log_reference + pull * log_centre) / (beta + pull))


@dataclass(frozen=True)
class NashProx(ProximalPointMethod):
    """The proximal-point method: each step solves the game with an extra pull towards the last iterate.

    Parameters
    ----------
    inner_tolerance
        Certificate at which an inner problem counts as solved.
    max_inner
        Queries after which the centre moves in any case.
    step
        gamma; any positive number is covered.
    """

    step: float = 10.0

    key: ClassVar[str] = "nash-prox"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("step", self.step)

    def weights(self, spec: PreferenceSpec) -> tuple[float, float]:
        """Return (beta, 1 / gamma)."""
        require_regularized(spec, self.key)
        return spec.beta, 1 / self.step
