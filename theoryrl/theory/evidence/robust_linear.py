"""Evidence on robust linear learning: audited runs, which carry what the proofs rest on.

In each episode the plan of the learner is compared with the true model: the errors of its regressions,
its optimism, and both sides of the bounds on the gap, under the kernel that is worst for the policy that
was played. Everything is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.learners._dr_rpo_kernels import FACTOR, bonus
from theoryrl.learners.dr_rpo import BONUSES
from theoryrl.models import Policy, RobustLinearMDP
from theoryrl.protocol import EpisodicDecision, OffDynamicsProblem, Trace, play
from theoryrl.solvers import robust_policy_evaluation, robust_value_iteration
from theoryrl.solvers.episodic import Simulator
from theoryrl.solvers.episodic._kernels import occupancies
from theoryrl.solvers.robust._factors import SETS, least_factors
from theoryrl.solvers.robust._operators import relative_entropy, stage_backup
from theoryrl.solvers.robust.backups import ascending
from theoryrl.theory.core import Evidence, credentials

NEGATIVE = -1e-12
"""A value below this is negative beyond rounding."""


def occupancy(P: np.ndarray, pi: np.ndarray, rho: np.ndarray) -> Float[np.ndarray, "H S A"]:
    """Return how often pi visits each (h, s, a) under the kernel P[h, s, a, s']."""
    d = np.empty(pi.shape)
    occupancies(np.ascontiguousarray(P), np.ascontiguousarray(pi), np.array(rho), d)
    return d


def regression_errors(model: RobustLinearMDP, state: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest error of M f that the dual may meet, and the root of (Lambda^-1)_ii.

    For total variation f = min(V_{h+1}, a) with any level a in the range (the supremum is at a value of
    V_{h+1}, since both sides are piecewise linear in a); for penalties the error of nu itself, which is
    what their beta bounds. The last stage, where no value follows, is left out.
    """
    mu, H = model.nominal.mu, model.horizon
    name = model.uncertainty.name
    radii = model.uncertainty.radii(model.nominal.theta.shape)
    errors = np.zeros((max(H - 1, 0), mu.shape[1]))
    for h in range(H - 1):
        V = state.V[h + 1]
        if name == "tv":
            clipped = np.minimum(V[:, None], V)
            errors[h] = np.abs((state.M[h] - mu[h]) @ clipped).max(axis=1)
        else:
            sigma, scratch = np.empty(mu.shape[1]), np.empty(mu.shape[1])
            code = SETS.index(name)
            least_factors(code, mu[h], V, ascending(V), radii[h], sigma, scratch, np.empty((0, len(V))))
            errors[h] = np.abs(state.nu[h] - sigma)
    roots = np.sqrt(np.einsum("hii->hi", state.regression.inverse[: max(H - 1, 0)]))
    return errors, roots


class RegressionAudit:
    """The largest error of the regressions in units of what the bonus allows (above one: it failed)."""

    def __call__(self, problem: OffDynamicsProblem, state: Any, decision: Any) -> Mapping[str, float]:
        """Return the ratio at this plan."""
        errors, roots = regression_errors(problem.model, state)
        allowed = state.beta[: len(errors), None] * roots
        nothing = np.where(errors > 0, np.inf, 0.0)
        return {"ratio": float(np.divide(errors, allowed, out=nothing, where=allowed > 0).max(initial=0.0))}


class PlanAudit(RegressionAudit):
    """Everything that the proof of the gap bound rests on, at every plan."""

    def __init__(self) -> None:
        self._optimum: Any = None
        self._P: np.ndarray | None = None

    def __call__(self, problem: OffDynamicsProblem, state: Any, decision: Any) -> Mapping[str, float]:
        """Return the two sides of each inequality."""
        model = problem.model
        if self._optimum is None:
            self._optimum = robust_value_iteration(model)
            self._P = model.nominal.to_episodic().P
        assert self._P is not None
        row = dict(super().__call__(problem, state, decision))
        pi = decision.policy.stages(model.horizon)
        best, rho = self._optimum, model.nominal.rho
        played = robust_policy_evaluation(model, decision.policy)
        start = float(rho @ played.value[0])
        Gamma = bonuses(model, state, FACTOR)
        worst = occupancy(played.worst_kernel, pi, rho)
        usual = occupancy(self._P, pi, rho)
        row["value_excess"] = float((best.value - state.V[:-1]).max())
        row["action_excess"] = float((best.action_values - state.Q)[:, alive(model)].max())
        row["overshoot"] = overshoot(model, state, Gamma)
        row["gap"] = float(rho @ best.value[0]) - start
        row["optimistic_gap"] = float(rho @ state.V[0]) - start
        row["worst_bonuses"] = float((worst * 2 * Gamma).sum())
        row["nominal_bonuses"] = float((usual * 2 * Gamma).sum())
        row["lowest_value"] = float(played.value.min())
        visits = (worst - usual).sum(axis=2)
        row["extra_visits"] = float(visits[:, alive(model)].max())
        if model.temperature > 0:
            span = np.ptp(state.Q - best.action_values, axis=2)
            row["second_order"] = float((worst.sum(axis=2) * span**2).sum() / (8 * model.temperature))
        row |= absorb_only(model, pi, self._P, Gamma, float(rho @ best.value[0]))
        return row


class PessimismAudit:
    """Both sides of what a plan from below promises."""

    def __call__(self, problem: OffDynamicsProblem, state: Any, decision: Any) -> Mapping[str, float]:
        """Return how far V exceeds the policy's value, the gap, and the bonuses that the best policy meets.

        It meets them under the kernel that is worst for the plan's own values.
        """
        model = problem.model
        best, rho = robust_value_iteration(model), model.nominal.rho
        played = robust_policy_evaluation(model, decision.policy)
        stages = [stage_backup(model, h, state.V[h + 1], rows=True).rows for h in range(model.horizon)]
        visits = occupancy(np.array(stages), best.policy.stages(model.horizon), rho)
        Gamma = np.abs(bonuses(model, state, FACTOR))
        return {
            "excess": float((state.V[:-1] - played.value).max()),
            "gap": float(rho @ (best.value[0] - played.value[0])),
            "comparator_bonuses": float((visits * 2 * Gamma).sum()),
        }


def alive(model: RobustLinearMDP) -> np.ndarray:
    """Return the states other than the fail state."""
    states = np.arange(model.n_states)
    return states if model.fail_state is None else states[states != model.fail_state]


def bonuses(model: RobustLinearMDP, state: Any, kind: int) -> Float[np.ndarray, "H S A"]:
    """Return Gamma_h(s, a) of the plan: zero at the last stage and in the fail state."""
    H, S, A = state.Q.shape
    Gamma = np.zeros((H, S, A))
    for h, s, a in np.ndindex(max(H - 1, 0), S, A):
        if s != model.fail_state:
            phi = model.nominal.phi[s, a]
            Gamma[h, s, a] = bonus(kind, phi, state.g[h], state.regression.inverse[h], state.beta[h])
    return Gamma


def overshoot(model: RobustLinearMDP, state: Any, Gamma: np.ndarray) -> float:
    """Return max of Q_h - (<phi, theta + sigma(V_{h+1})> + 2 Gamma_h)."""
    nominal, radii = model.nominal, model.uncertainty.radii(model.nominal.theta.shape)
    code, largest = SETS.index(model.uncertainty.name), -np.inf
    for h in range(model.horizon):
        V = state.V[h + 1]
        sigma, scratch = np.empty(nominal.dimension), np.empty(nominal.dimension)
        nothing = np.empty((0, len(V)))
        least_factors(code, nominal.mu[h], V, ascending(V), radii[h], sigma, scratch, nothing)
        exact = nominal.phi @ (nominal.theta[h] + sigma)
        largest = max(largest, float((state.Q[h] - exact - 2 * Gamma[h]).max()))
    return largest


def absorb_only(
    model: RobustLinearMDP, pi: np.ndarray, P: np.ndarray, Gamma: np.ndarray, best: float
) -> dict[str, float]:
    """Score pi against the adversary that may only send mass to the fail state (total variation only).

    It takes mass from the states of the highest positive values; sigma(V) is then that of total variation
    for V^+, less mu V^-. Its optimum is the same, because optimal values are not negative.
    """
    if model.uncertainty.name != "tv" or model.fail_state is None:
        return {}
    nominal, f = model.nominal, model.fail_state
    radii = model.uncertainty.radii(nominal.theta.shape)
    H, S, A = pi.shape
    V, rows = np.zeros(S), np.empty((H, S, A, S))
    for h in range(H - 1, -1, -1):
        mu = np.array(nominal.mu[h])
        order = np.argsort(-V, kind="stable")
        order = order[(V[order] > 0) & (order != f)]
        removable = np.minimum(np.cumsum(mu[:, order], axis=1), radii[h][:, None])
        removed = np.diff(removable, axis=1, prepend=0.0)
        mu[:, order] = np.maximum(mu[:, order] - removed, 0.0)
        mu[:, f] += removed.sum(axis=1)
        rows[h] = nominal.phi @ mu
        V = (pi[h] * (nominal.phi @ (nominal.theta[h] + mu @ V))).sum(axis=1)
        V -= (
            model.temperature * relative_entropy(pi[h], model.reference_policy[h])
            if model.temperature
            else 0.0
        )
    absorbed = occupancy(rows, pi, nominal.rho)
    usual = occupancy(P, pi, nominal.rho)
    return {
        "absorb_gap": best - float(nominal.rho @ V),
        "absorb_extra_visits": float((absorbed - usual).sum(axis=2)[:, alive(model)].max()),
        "absorb_bonuses": float((absorbed * 2 * Gamma).sum()),
    }


@dataclass(frozen=True, eq=False)
class RobustRun(Evidence):
    """An audited run of DR-RPO or a relative."""

    problem: OffDynamicsProblem
    trace: Trace

    def column(self, name: str) -> Float[np.ndarray, " E"]:
        """Return a diagnostic of every plan."""
        return self.trace.stretch_diagnostics[name]

    @property
    def good(self) -> np.ndarray:
        """At which plans the regressions were as accurate as the bonus allows."""
        return self.column("ratio") <= 1.0


def audited_run(
    model: RobustLinearMDP,
    learner: Any,
    rounds: int,
    seed: int,
    name: str,
    group: str = "",
    audit: Any = None,
) -> RobustRun:
    """Play, compare every plan with the true model, and keep both."""
    problem = OffDynamicsProblem(model, name)
    trace = play(problem, learner, rounds, seed, audit=PlanAudit() if audit is None else audit)
    return RobustRun(f"{name}, seed {seed}", problem, trace, group=group, **credentials(trace))


def error_shares(
    model: RobustLinearMDP, state: Any, kind: int
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Return the size of the error of Q, and the bonus that just covers the factors' errors, per cell.

    The bonus factor is the smallest for which each factor's error is within beta sqrt((Lambda^-1)_ii), so
    a bonus of the right form covers the error of <phi, nu> and one of a smaller form need not.
    """
    H, S, A = state.Q.shape
    errors, exact = [], []
    radii = model.uncertainty.radii(model.nominal.theta.shape)
    for h in range(H - 1):
        V, d = state.V[h + 1], model.nominal.dimension
        sigma, scratch, nothing = np.empty(d), np.empty(d), np.empty((0, S))
        code = SETS.index(model.uncertainty.name)
        least_factors(code, model.nominal.mu[h], V, ascending(V), radii[h], sigma, scratch, nothing)
        error = state.nu[h] - sigma
        roots = np.sqrt(np.diag(state.regression.inverse[h]))
        beta = float(np.abs(error / roots).max())
        errors.append(np.abs(model.nominal.phi @ error).ravel())
        cover = [
            bonus(kind, model.nominal.phi[s, a], beta * roots, state.regression.inverse[h], beta)
            for s, a in np.ndindex(S, A)
        ]
        exact.append(np.array(cover))
    return np.concatenate(errors), np.concatenate(exact)


@dataclass(frozen=True, eq=False)
class Plan(Evidence):
    """A plan from random data whose bonus is as small as the proof allows, and both sides at that plan.

    The numbers are those of the audit, by default `PlanAudit`; `errors` and `covers` those of
    `error_shares`.
    """

    model: RobustLinearMDP
    numbers: Mapping[str, float]
    errors: Float[np.ndarray, " N"]
    covers: Float[np.ndarray, " N"]


def tight_plan(
    rng: np.random.Generator, learner: Any, model: RobustLinearMDP, name: str, audit: Any = None
) -> Plan:
    """Plan from a few episodes of random policies, with the least beta_h that covers each stage's errors.

    The estimates at stage h depend on V_{h+1}, and so on the later stages' bonuses: beta is found from the
    last stage backwards.
    """
    problem = OffDynamicsProblem(model, name)
    state = learner.init(problem.spec(1000), rng)
    simulator = Simulator(model.nominal.to_episodic())
    H, S, A = state.Q.shape
    for _ in range(int(rng.integers(1, 4))):
        policy = Policy(rng.dirichlet(np.full(A, 0.5), size=(H, S)))
        data, _ = simulator.run(policy, int(rng.integers(1, 40)), rng, rng)
        state.regression.record(state.spec.phi, data.states, data.actions)
    state.plans = 1  # so that the plan takes the betas that are set here
    pi = learner.optimistic_plan(state)
    for h in range(H - 2, -1, -1):
        errors, roots = regression_errors(model, state)
        # One part in 1e12 more, because a sum of bonuses may be rounded down.
        state.beta[h] = float((errors[h] / roots[h]).max()) * (1 + 1e-12)
        pi = learner.optimistic_plan(state)
    decision = EpisodicDecision(Policy(pi))
    numbers = (PlanAudit() if audit is None else audit)(problem, state, decision)
    errors, covers = error_shares(model, state, BONUSES.index(learner.bonus))
    return Plan(name, model, numbers, errors, covers)
