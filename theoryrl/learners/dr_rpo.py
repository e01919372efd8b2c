"""DR-RPO: policy-regularised, distributionally robust policy optimisation in linear MDPs.

Source: Gu, He, Liu and Xu (2025), of whose paper we know the abstract. What it fixes is kept: online
interaction with the nominal model, d-rectangular uncertainty, a reference policy that regularises a
softmax class, linear features, ridge regression and optimism by a bonus. The closed form below and its
constants are ours; proofs are on the DR-RPO page.

In each episode, from the last stage to the first, the least expectation of the next value over the set
around each factor is estimated by ridge regression of its dual, raised by a bonus, and truncated to its
range; the policy is the best response in closed form::

    g_i   = beta_h sqrt((Lambda_h^{-1})_{ii})
    u_i   = theta_{h,i} + clip(nu_{h,i}(V_{h+1}) + g_i, 0, R_h)      R_h = H - 1 - h (stages from 0)
    Q_h   = clip(<phi, u>, 0, H - h),   Q_h(fail, .) = 0
    pi_h  proportional to reference exp(Q_h / eta),   V_h = eta log sum_a reference exp(Q_h / eta)

(eta = 0: the greedy policy and the maximum).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.learners import _dr_rpo_kernels as kernels
from theoryrl.learners._guarantee import check_bonus_scale, warn_if_void
from theoryrl.learners.bonus_radius import TWO_REGRESSIONS, Regression, theory_beta
from theoryrl.learners.ridge import Ridge
from theoryrl.models import Policy, Uncertainty
from theoryrl.models._validation import (
    check_choice,
    check_distribution,
    check_fraction,
    check_real,
    check_type,
)
from theoryrl.protocol import EpisodicDecision, OffDynamicsSpec
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.robust._factors import SETS

BONUSES = ("factor", "factor-l2", "elliptic")
SWITCHING = ("always", "doubling")


@dataclass(slots=True, eq=False)
class DRRPOState:
    """Regressions, and the plan that was made from them; the arrays are updated in place.

    Attributes
    ----------
    spec
        What the learner was told.
    regression
        Ridge regressions of all stages.
    radii
        Radius (or price) of each factor that the plan uses: shape [H, d].
    caps
        Largest value from each stage on: shape [H+1].
    eta
        Temperature of the plan.
    log_reference, log_previous
        Logarithms of the reference policy and of the last policy: shape [H, S, A].
    beta
        Bonus factors of the last plan: shape [H].
    M, nu, g
        Estimated factors [H, d, S], least expectations [H, d] and bonuses [H, d] of the last plan.
    Q, V
        Optimistic values of the last plan: shapes [H, S, A] and [H+1, S].
    policy
        The last policy, or None before the first plan.
    planned_log_det
        log det(Lambda_h / lambda) at the last plan.
    plans
        How many plans were made.
    """

    spec: OffDynamicsSpec
    regression: Ridge
    radii: Float[np.ndarray, "H d"]
    caps: Float[np.ndarray, " K"]
    eta: float
    log_reference: Float[np.ndarray, "H S A"]
    log_previous: Float[np.ndarray, "H S A"]
    beta: Float[np.ndarray, " H"]
    M: Float[np.ndarray, "H d S"]
    nu: Float[np.ndarray, "H d"]
    g: Float[np.ndarray, "H d"]
    Q: Float[np.ndarray, "H S A"]
    V: Float[np.ndarray, "K S"]
    policy: Policy | None
    planned_log_det: Float[np.ndarray, " H"]
    plans: int = 0


@dataclass(frozen=True)
class DRRPO:
    """Distributionally robust regularised policy optimisation.

    Parameters
    ----------
    temperature
        eta >= 0 of the plan; None: the problem's.
    bonus
        ``"factor"``: sum_i phi_i g_i, the one with a proof. ``"factor-l2"``: the root of the sum of
        squares, as in public code, and ``"elliptic"``: beta times the norm of phi in Lambda^{-1}; both
        are smaller and can fail (shown on the DR-RPO page). They truncate the sum instead of each
        coordinate.
    beta
        One bonus factor for all stages but the last; None: that of the theory.
    data_dependent
        Whether the theory's factor uses log det(Lambda_h / lambda) instead of its bound; as valid.
    bonus_scale
        Factor on every bonus; below 1 the guarantee is void.
    ridge
        lambda > 0.
    delta
        Probability that some bonus fails at some time.
    step
        Size t of a proximal step from the last policy, in units of 1 / value: the policy is then
        proportional to reference^(eta t / (1 + eta t)) last^(1 / (1 + eta t)) exp(t Q / (1 + eta t)).
        Infinity: the closed form. Finite steps are experimental and have no guarantee.
    switching
        ``"always"``: plan before every episode. ``"doubling"``: when det Lambda_h has doubled for some h.
    tie_break
        For eta = 0: among equal truncated values take the largest untruncated one.
    two_regressions
        For the chi-square penalty: estimate E min(V, a) - Var min(V, a) / (4 price) by one regression for
        each moment, as public code does, instead of one for a dual that is linear in the factor.
    """

    temperature: float | None = None
    bonus: str = "factor"
    beta: float | None = None
    data_dependent: bool = False
    bonus_scale: float = 1.0
    ridge: float = 1.0
    delta: float = 0.05
    step: float = math.inf
    switching: str = "always"
    tie_break: bool = True
    two_regressions: bool = False

    key: ClassVar[str] = "dr-rpo"
    robust: ClassVar[bool] = True
    sign: ClassVar[float] = 1.0
    sets: ClassVar[tuple[str, ...]] = SETS

    def __post_init__(self) -> None:
        if self.temperature is not None:
            check_real("temperature", self.temperature, low=0.0)
        if self.beta is not None:
            check_real("beta", self.beta, low=0.0)
        check_choice("bonus", self.bonus, BONUSES)
        check_choice("switching", self.switching, SWITCHING)
        check_type("data_dependent", self.data_dependent, bool, np.bool_)
        check_type("tie_break", self.tie_break, bool, np.bool_)
        check_type("two_regressions", self.two_regressions, bool, np.bool_)
        check_fraction("delta", self.delta)
        check_bonus_scale(self.bonus_scale)
        warn_if_void(self, self.bonus_scale)
        if check_real("ridge", self.ridge, low=0.0) == 0.0:
            raise ValueError("ridge must be positive; got 0")
        if self.step != math.inf and check_real("step", self.step, low=0.0) == 0.0:
            raise ValueError("step must be positive; got 0")

    @property
    def guaranteed(self) -> bool:
        """Whether the optimism of the plan is proven."""
        theory = self.beta is None and self.bonus == "factor" and self.bonus_scale >= 1.0
        return theory and self.robust and self.step == math.inf

    def covers(self, spec: OffDynamicsSpec) -> bool:
        """Whether the theorems are about this problem: exact features, and the problem's temperature."""
        return spec.linear and self.temperature in (None, spec.temperature)

    def init(self, spec: OffDynamicsSpec, rng: np.random.Generator) -> DRRPOState:
        """Return the state without data.

        Raises
        ------
        ValueError
            If the set is not one that can be learned by ridge regression, or total variation comes
            without a fail state, whose value is the minimum that the dual must know.
        """
        H, S, A, d = spec.shape
        self._check_set(spec)
        check_distribution("phi", spec.phi)
        eta = spec.temperature if self.temperature is None else self.temperature
        if eta > 0 and not (spec.reference > 0).all():
            raise ValueError("reference must give each action a positive probability for temperature > 0")
        with np.errstate(divide="ignore"):
            log_reference = np.ascontiguousarray(np.log(spec.reference))
        radii = self._set(spec).radii((H, d))
        return DRRPOState(
            spec=spec,
            regression=Ridge.start(H, d, S, self.ridge),
            radii=radii,
            caps=spec.caps,
            eta=eta,
            log_reference=log_reference,
            log_previous=log_reference.copy(),
            beta=np.zeros(H),
            M=np.zeros((H, d, S)),
            nu=np.zeros((H, d)),
            g=np.zeros((H, d)),
            Q=np.zeros((H, S, A)),
            V=np.zeros((H + 1, S)),
            policy=None,
            planned_log_det=np.zeros(H),
        )

    def _set(self, spec: OffDynamicsSpec) -> Uncertainty:
        return spec.uncertainty if self.robust else Uncertainty("tv", 0.0)

    def _check_set(self, spec: OffDynamicsSpec) -> None:
        name = self._set(spec).name
        if name not in self.sets:
            raise ValueError(f"{self.key} learns with {', '.join(self.sets)}; the problem's set is {name!r}")
        if self.two_regressions and name != "chi2-penalty":
            raise ValueError(f"two_regressions is for the set 'chi2-penalty'; the problem's is {name!r}")
        if self.robust and name in ("tv", "tv-penalty") and spec.fail_state is None:
            raise ValueError(f"{self.key} needs a problem with a fail state for {name!r}; fail_state is None")

    def _dual(self, spec: OffDynamicsSpec) -> str:
        """Return which dual is estimated, by its name in `kernels.DUALS`."""
        return TWO_REGRESSIONS if self.two_regressions else self._set(spec).name

    def betas(self, state: DRRPOState) -> Float[np.ndarray, " H"]:
        """Return the bonus factor of each stage; zero at the last one, where rewards are known."""
        spec = state.spec
        H, _, _, d = spec.shape
        if self.beta is not None:
            flat = np.full(H, self.beta * self.bonus_scale)
            flat[-1] = 0.0
            return flat
        regression = Regression(d, H, spec.rounds, self.ridge, self.delta)
        log_det = state.regression.log_det.tolist() if self.data_dependent else None
        beta = theory_beta(self._dual(spec), regression, state.radii, log_det, state.caps[1:])
        return self.bonus_scale * beta

    def plan(self, state: DRRPOState) -> EpisodicDecision:
        """Return the policy of the optimistic plan."""
        if self._must_plan(state):
            state.policy = Policy.trusted(self.optimistic_plan(state))
            state.planned_log_det[:] = state.regression.log_det
            state.plans += 1
        assert state.policy is not None
        upper = float(state.spec.rho @ state.V[0])
        return EpisodicDecision(state.policy, None, {"upper": upper, "plans": float(state.plans)})

    def _must_plan(self, state: DRRPOState) -> bool:
        if state.policy is None or self.switching == "always":
            return True
        grown = state.regression.log_det - state.planned_log_det
        return bool((grown >= math.log(2.0)).any())

    def optimistic_plan(self, state: DRRPOState) -> Float[np.ndarray, "H S A"]:
        """Fill the plan of `state` from its regressions and return the policy's probabilities."""
        if self.data_dependent or state.plans == 0:
            state.beta[:] = self.betas(state)
        spec, regression = state.spec, state.regression
        np.matmul(regression.inverse, regression.G, out=state.M)
        pi = np.empty(state.Q.shape)
        keep, gain = self._weights(state.eta)
        kernels.plan(
            kernels.DUALS.index(self._dual(spec)),
            BONUSES.index(self.bonus),
            spec.phi,
            spec.theta,
            state.radii,
            regression.inverse,
            state.M,
            self.sign * state.beta,
            state.caps,
            -1 if spec.fail_state is None else spec.fail_state,
            state.eta,
            state.log_reference,
            keep,
            gain,
            state.log_previous,
            self.tie_break,
            state.nu,
            state.g,
            state.Q,
            state.V,
            pi,
        )
        return pi

    def _weights(self, eta: float) -> tuple[float, float]:
        """Return (weight of the last policy's logarithm, factor on Q) of a proximal step."""
        if self.step == math.inf:
            return 0.0, 0.0
        keep = 1.0 / (1.0 + eta * self.step)
        return keep, self.step * keep

    def update(self, state: DRRPOState, decision: EpisodicDecision, observation: Trajectories) -> DRRPOState:
        """Add the episode to the regressions of its stages."""
        state.regression.record(state.spec.phi, observation.states, observation.actions)
        return state
