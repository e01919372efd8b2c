"""GLOW: every theorem holds in the quick profile, and every check can fail.

Mutants are deliberate errors in the algorithm, a class or a constant, each run through the theorem that must
catch it. Statistical verdicts report a violation of a true statement with probability at most 1e-6
(`theoryrl.theory.statistics.FALSE_ALARM`), per theorem; six runs that all fail are enough to show a rate
above .05 (.05^6 < 1e-6).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from theoryrl.instances import incomplete_class, rich_lock
from theoryrl.learners import GLOW
from theoryrl.learners.glow_constants import GlowConstants
from theoryrl.learners.population import Expectations, PopulationRun, optimistic_order, play_glow
from theoryrl.models import FiniteFunctionClass
from theoryrl.solvers import backward_induction, coverability, occupancy_measures, optimistic_program
from theoryrl.solvers.tabular_class.program import _greedy_rows, _survival
from theoryrl.theory import PAPERS, THEOREMS, Scope, UnguaranteedEvidenceError, Verdict, check, verify
from theoryrl.theory.evidence import density_ratios as ratios
from theoryrl.theory.evidence import tabular_optimism as tabular
from theoryrl.theory.evidence import version_spaces as spaces
from theoryrl.theory.evidence.robust_planning import Sides

pytestmark = pytest.mark.filterwarnings("ignore:.*the guarantee is void:UserWarning")

RUNS = 6


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    return {report.theorem.key: report for report in verify(["glow"])}


@pytest.mark.parametrize("key", [theorem.key for theorem in PAPERS["glow"].theorems])
def test_theorem_holds_on_exact_models(reports: dict[str, Any], key: str) -> None:
    report = reports[key]
    assert report.verdict is Verdict.HOLDS, f"{report.verdict.value}: {report.detail}"
    assert report.instances > 0


def caught(key: str, pieces: Any, **options: Any) -> bool:
    """Whether the theorem refutes the evidence of a mutant."""
    report = check(THEOREMS[key], pieces, **options)
    assert report.instances > 0
    return report.verdict is Verdict.VIOLATED


def refuted(key: str, pieces: Any = None, **changes: Any) -> bool:
    """Whether a theorem with a wrong side is refuted by true evidence."""
    return check(replace(THEOREMS[key], **changes), pieces).verdict is Verdict.VIOLATED


# Coverability.


def largest_marginals(mdp: Any) -> np.ndarray:
    """Takes the best action in every state at each stage for itself: no policy does all that."""
    reach, stages = mdp.rho, []
    for h in range(mdp.horizon):
        stages.append(mdp.n_actions * reach.sum())
        reach = np.minimum(np.einsum("s,sat->sat", reach, mdp.P[h]).max(axis=1).sum(axis=0), 1)
    return np.array(stages)


def sum_over_stages(mdp: Any) -> np.ndarray:
    """Adds the stages where the largest counts."""
    return np.full(mdp.horizon, coverability(mdp).stages.sum())


@pytest.mark.parametrize("mutant", [largest_marginals, sum_over_stages])
def test_a_wrong_coverability_is_caught(mutant: Callable[..., np.ndarray]) -> None:
    pieces = [
        Sides(name, mutant(mdp), ratios.enumerated_reach(mdp).sum(axis=(1, 2)))
        for name, mdp in ratios.small_models(Scope())
    ]
    assert caught("glow.coverability", pieces)


def test_a_uniform_law_does_not_cover_best() -> None:
    rng, pieces = np.random.default_rng(0), []
    for index in range(10):
        mdp = ratios.random_model(rng)
        policies = ratios.random_policies(rng, mdp, 3)
        d = occupancy_measures(mdp, policies)
        uniform = np.full(mdp.r.shape, 1 / mdp.r[0].size)
        pieces.append(
            Sides(f"{index}", (d / uniform).max(axis=(0, 2, 3)), coverability(mdp, policies).stages)
        )
    assert caught("glow.covering-law", pieces)


def test_the_supremum_outside_the_sum_is_caught() -> None:
    mdp = rich_lock(10, decoders=1).mdp
    policies = ratios.random_policies(np.random.default_rng(0), mdp, 20)
    outside = occupancy_measures(mdp, policies).sum(axis=(2, 3)).max()
    assert caught("glow.rich-observations", [Sides("outside", np.array(outside), np.array(4.0))])


# Potentials.


class PlaysBefore(ratios.Plays):
    """Divides by the rounds before instead of those up to now."""

    @property
    def potential(self) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(self.d > 0, self.d**2 / self.before, 0.0)
        return np.cumsum(terms.sum(axis=1))


def test_dividing_by_the_rounds_before_is_caught() -> None:
    pieces = [PlaysBefore(p.instance, p.d, p.nu, p.gamma) for p in ratios.plays(Scope())]
    assert caught("glow.potential", pieces)
    assert caught("glow.potential-attained", [p for p in pieces if (p.d == p.d[0]).all()])


def test_the_potential_needs_the_whole_harmonic_number() -> None:
    assert refuted("glow.potential", bound=lambda p: 0.99 * p.harmonics * p.coverability)
    assert refuted("glow.potential-attained", bound=lambda p: np.log(1 + np.arange(1, len(p.d) + 1)))


def test_the_printed_potential_fails_in_the_first_round() -> None:
    assert refuted(
        "glow.printed-potential",
        measured=lambda p: p.potential,
        bound=lambda p: 5 * p.coverability * np.log(np.arange(1, len(p.d) + 1)),
    )


def test_half_the_elliptic_potential_is_caught() -> None:
    assert refuted("glow.elliptic-potential", bound=lambda p: np.log(1 + np.arange(1, len(p.d) + 1)))


# Decompositions and counting.


def residuals_at_the_same_stage(mdp: Any, functions: Any) -> np.ndarray:
    """Backs up V_h where V_{h+1} is meant."""
    Q = functions.Q
    return np.asarray(Q - mdp.r - np.einsum("hsat,fht->fhsa", mdp.P, Q.max(axis=3)))


def test_the_values_of_the_same_stage_are_caught() -> None:
    pieces = ratios.decompositions(Scope(), residuals_at_the_same_stage)
    assert caught("glow.value-decomposition", pieces)


def test_counting_policies_instead_of_weights_is_caught() -> None:
    pieces = [
        replace(p, left=np.array(math.log(int(p.instance[2]))))
        for p in ratios.weight_counts(Scope())
        if "T=1" not in p.instance
    ]
    assert caught("glow.weight-count", pieces)


def test_the_average_of_the_inverse_ratios_is_caught() -> None:
    pieces = ratios.tuple_mixtures(Scope(), lambda single: (1 / single).mean(axis=0))
    assert caught("glow.tuples", pieces)


def test_multiples_of_at_most_one_are_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unscaled(GLOW):
        def clipped(self, state: Any, t: int) -> Any:
            return np.minimum(super().clipped(state, t), 1.0)

    monkeypatch.setattr(ratios, "GLOW", Unscaled)
    assert caught("glow.scaled-weights", ratios.scaled_weights(Scope()))


# Runs without noise.


def mutant_run(
    clip: Callable[..., Any] = lambda gamma, t: gamma * t,
    alpha: Callable[..., Any] = lambda gamma, a, t: a / (gamma * t),
    tolerance: float = 1e-12,
    sign: int = 1,
) -> Callable[..., PopulationRun]:
    """Return `population_glow` with another clipping, quadratic factor, test, or preference."""

    def run(model: Any, rounds: int, gamma: float, a: float, weights: str = "mixture") -> PopulationRun:
        exact = Expectations.of(model.mdp, model.hypotheses.functions)
        t = np.arange(1, rounds + 1)
        order = optimistic_order(sign * exact.start, "last")
        levels, factors = np.broadcast_arrays(clip(gamma, t), alpha(gamma, a, t) + 0 * t)
        parts = (np.ascontiguousarray(part, dtype=np.float64) for part in (levels + 0 * t, factors))
        return play_glow(exact, order, *parts, weights == "self", tolerance)

    return run


MUTANTS = {
    "nothing is eliminated": mutant_run(tolerance=math.inf),
    "the clipping does not grow": mutant_run(
        clip=lambda gamma, t: gamma, alpha=lambda gamma, a, t: a / gamma
    ),
    "pessimism": mutant_run(sign=-1),
}


def test_the_unchanged_run_passes_through_the_mutants_door() -> None:
    assert not caught("glow.population-log-regret", spaces.population_regrets(Scope(), mutant_run()))


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_algorithm_exceeds_the_logarithmic_bound(mutant: str) -> None:
    assert caught("glow.population-log-regret", spaces.population_regrets(Scope(), MUTANTS[mutant]))


@pytest.mark.parametrize("mutant", ["nothing is eliminated", "the clipping does not grow"])
def test_a_wrong_algorithm_exceeds_the_first_bound(mutant: str) -> None:
    assert caught("glow.population-regret", spaces.population_regrets(Scope(), MUTANTS[mutant]))


def test_never_eliminating_is_caught_from_round_108() -> None:
    model = incomplete_class(oracle=True)
    run = spaces.population_regret("", model, 3000, 1.0, 1.0, MUTANTS["nothing is eliminated"])
    assert int(np.argmax(run.regret > run.bounds[1])) + 1 == 108


@pytest.mark.parametrize(
    "mutant",
    [
        MUTANTS["the clipping does not grow"],
        mutant_run(alpha=lambda gamma, a, t: a / gamma),
        mutant_run(alpha=lambda gamma, a, t: 2 * a / (gamma * t)),
    ],
)
def test_another_schedule_eliminates_in_another_round(mutant: Callable[..., PopulationRun]) -> None:
    assert caught("glow.elimination", spaces.eliminations(Scope(), mutant))


# Sampled runs.


@dataclass(frozen=True)
class Flipped(GLOW):
    """Adds the quadratic term where it is subtracted, or subtracts the radius."""

    alpha_sign: float = 1.0
    beta_sign: float = 1.0

    def excess(self, state: Any, t: int) -> Any:
        found = super().excess(state, t)
        if self.alpha_sign > 0:
            return found
        w = self.clipped(state, t)
        N, alpha = state.sums.N / state.sums.episodes, self.pair.c_alpha / (state.gamma * t)
        return found + 2 * alpha * np.einsum("hc,whc->hw", N, w**2)[..., None]

    def radius(self, state: Any, t: int) -> float:
        return self.beta_sign * super().radius(state, t)


def audited(learner: GLOW, rounds: int, audit: Any = spaces.GlowAudit) -> list[spaces.GlowRun]:
    model = incomplete_class()
    return [
        spaces.audited_glow(model, learner, rounds, seed, "mutant", audit) for seed in range(900, 900 + RUNS)
    ]


class OptimumAudit(spaces.GlowAudit):
    """Whether Q* fails a test, as 2 or 0, whatever the sign of the radius."""

    def __call__(self, problem: Any, state: Any, decision: Any) -> dict[str, float]:
        lost = state.round > 1 and not state.alive[self.exact.best]
        return {"optimum": 2.0 * lost, "slack": 0.0}


@dataclass(frozen=True)
class Lenient(Flipped):
    """Goes on with everything where nothing survives, so that its run has an end."""

    def _survivors(self, state: Any, t: int) -> Any:
        alive = (self.excess(state, t) <= self.radius(state, t)).all(axis=(0, 1))
        return alive if alive.any() else np.arange(len(alive)) == len(alive) - 1


def test_a_wrong_sign_of_the_quadratic_term_loses_the_optimum() -> None:
    learner = Lenient(episodes=2000, gamma=1.0, alpha_sign=-1.0, ties="last")
    assert caught("glow.realizability", audited(learner, 10, OptimumAudit))


def test_a_wrong_sign_of_the_radius_loses_the_optimum() -> None:
    learner = Lenient(episodes=50, gamma=1.0, beta_sign=-1.0, constants="sharp", ties="last")
    assert caught("glow.sharp-realizability", audited(learner, 10, OptimumAudit))


@dataclass(frozen=True)
class NoBernsteinTerm(Lenient):
    """Drops the quadratic term, which pays for the variance of large weights, and keeps the radius."""

    @property
    def pair(self) -> GlowConstants:
        return GlowConstants(1e-12, 10.0)


def test_without_the_quadratic_term_the_optimum_is_lost() -> None:
    learner = NoBernsteinTerm(episodes=20_000, gamma=0.01, ties="last")
    pieces = audited(learner, 60, OptimumAudit)
    assert caught("glow.sharp-realizability", pieces, allow_unguaranteed=True)


def test_signed_weights_keep_the_optimum_and_obey_the_slack_for_k_of_at_least_four() -> None:
    """No regret theorem covers them, so their runs are no evidence by themselves."""
    learner = GLOW(weights="signed", episodes=1000, gamma=1.0, constants="sharp", ties="last")
    pieces = audited(learner, 30)
    for key in ("glow.sharp-realizability", "glow.slack"):
        assert not caught(key, pieces, allow_unguaranteed=True)
        with pytest.raises(UnguaranteedEvidenceError):
            check(THEOREMS[key], pieces)


@dataclass(frozen=True)
class NeverDrops(GLOW):
    """Keeps every function."""

    def _survivors(self, state: Any, t: int) -> Any:
        return np.ones(len(state.candidates), dtype=bool)


def test_functions_that_should_be_dropped_break_the_slack() -> None:
    learner = NeverDrops(episodes=1000, gamma=1.0, constants="sharp", ties="last")
    assert caught("glow.slack", audited(learner, 30))


class PresentLaw(spaces.GlowAudit):
    """Takes expectations under the policy of this round instead of the data's law."""

    def law(self, state: Any, t: int) -> np.ndarray:
        return np.asarray(self.exact.d[self.exact.policy_of[state.chosen]])


def test_the_slack_is_about_the_law_of_the_data() -> None:
    """On two arms: the second one's error is invisible before it is played, and bounded by no test."""
    functions, weights = (
        np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.99]]),
        np.array([[1.0, 0.0], [0.0, 0.1125]]),
    )
    model, learner = spaces._glow_for(functions, weights, 14, 10**5)
    wrong, right = (
        [spaces.audited_glow(model, learner, 14, seed, "arms", audit) for seed in range(RUNS)]
        for audit in (PresentLaw, spaces.GlowAudit)
    )
    assert caught("glow.slack", wrong, allow_unguaranteed=True)
    assert not caught("glow.slack", right, allow_unguaranteed=True)


def test_never_dropping_exceeds_the_bound_on_regret() -> None:
    """With 10000 episodes in each round the bound is not vacuous."""
    learner = NeverDrops(weights="self", episodes=10_000, gamma=1.0, constants="sharp", ties="last")
    assert caught("glow.regret", audited(learner, 240))


def test_runs_with_other_constants_are_no_evidence() -> None:
    learner = GLOW(constants="practical", c_alpha=0.1, c_beta=0.1, gamma=0.3, ties="last")
    piece = spaces.audited_glow(incomplete_class(), learner, 3, 0, "practical")
    with pytest.raises(UnguaranteedEvidenceError, match="constants other than the theory's"):
        check(THEOREMS["glow.regret"], [piece])


@dataclass(frozen=True)
class OtherPowers(GLOW):
    """Has a radius, or a quadratic factor, that goes with another power of the scale of the clipping."""

    radius_power: float = 1.0
    alpha_power: float = 1.0

    def radius(self, state: Any, t: int) -> float:
        return super().radius(state, t) * state.gamma ** (self.radius_power - 1)

    def excess(self, state: Any, t: int) -> Any:
        w, gamma_t = self.clipped(state, t), state.gamma * t
        N = state.sums.N / state.sums.episodes
        extra = self.pair.c_alpha * (gamma_t**-self.alpha_power - 1 / gamma_t)
        return super().excess(state, t) - extra * np.einsum("hc,whc->hw", N, w**2)[..., None]


def test_the_same_powers_pass_through_the_mutants_door() -> None:
    assert not caught("glow.elimination-rate", spaces.elimination_curves(Scope(), OtherPowers))


@pytest.mark.parametrize(
    "powers", [{"radius_power": 1.5}, {"radius_power": 2.0}, {"alpha_power": 0.5}, {"alpha_power": 2.0}]
)
def test_another_exponent_of_alpha_or_beta_has_another_rate(powers: dict[str, float]) -> None:
    """With alpha = c / gamma_t^p a defect survives about epsilon^-(1 + 1/p) episodes, not epsilon^-2."""
    curves = spaces.elimination_curves(Scope(), lambda **options: OtherPowers(**powers, **options))
    assert caught("glow.elimination-rate", curves)


# Two displays, and all tabular functions.


def test_the_printed_displays_are_not_bounds() -> None:
    """The mutant is the paper's display itself."""
    assert refuted("glow.corrected-displays", bound=lambda case: case.printed)
    assert refuted("glow.printed-displays", measured=lambda case: case.corrected)


def program(flip: bool, greedy: bool) -> Callable[..., float]:
    """Return the mixed-integer program's relaxation with reversed tests, or with v above the greedy value."""

    def value(mdp: Any, mu: Any, weights: Any, alpha: float, beta: float) -> float:
        matrix, right = _survival(mdp, mu, weights, alpha, beta)
        H, S, A = mdp.r.shape
        equal, below = _greedy_rows((H, S, A), np.zeros((H, S), dtype=np.int64))
        sign = -1 if flip else 1
        tests = LinearConstraint(sign * matrix, ub=sign * right)
        rows = [tests, LinearConstraint(sparse.csr_array(below), ub=0.0)]
        if greedy:
            rows.append(LinearConstraint(sparse.csr_array(equal), lb=0.0, ub=0.0))
        gain = np.zeros(H * S * (A + 1))
        gain[H * S * A : H * S * A + S] = mdp.rho
        found = milp(-gain, bounds=Bounds(0, 1), constraints=rows)
        return -found.fun if found.status == 0 else 0.0

    return value


@pytest.mark.parametrize("mutant", [program(True, True), program(False, False), program(False, True)])
def test_a_wrong_program_over_tabular_functions_is_caught(mutant: Callable[..., float]) -> None:
    """Reversed tests; v above the largest value; the value of one policy only."""
    rng, pieces = np.random.default_rng([0, 102]), []
    for index in range(5):
        mdp, mu, weights = tabular.empirical_problem(rng)
        alpha, beta = float(10 ** rng.uniform(-3, -2)), float(10 ** rng.uniform(-3, -1.5))
        whole = optimistic_program(mdp, mu, weights, alpha, beta, method="enumeration").value
        pieces.append(Sides(f"{index}", np.array(mutant(mdp, mu, weights, alpha, beta)), np.array(whole)))
    assert caught("glow.tabular-optimum", pieces)


def test_half_of_beta_in_the_closed_form_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    original = tabular.chi_square_optimism
    monkeypatch.setattr(
        tabular, "chi_square_optimism", lambda mdp, mu, a, b, pi: original(mdp, mu, a, b / 2, pi)
    )
    assert caught("glow.chi-square", tabular.chi_squares(Scope()))


def test_a_finite_class_that_is_tested_with_half_the_weights_is_caught() -> None:
    def value(mdp: Any, mu: Any, weights: Any, *rest: Any) -> float:
        return tabular.finite_optimum(mdp, mu, weights[:1], *rest)

    assert caught("glow.tabular-inclusion", tabular.inclusions(Scope(), value))


def test_wrong_greedy_rows_are_caught_by_a_finite_class() -> None:
    """The best of one policy only, in place of the largest value in each state."""
    rng, pieces, one_policy = np.random.default_rng([0, 104]), [], program(False, True)
    for index in range(8):
        mdp, mu, weights = tabular.empirical_problem(rng)
        best = backward_induction(mdp).action_values
        functions = FiniteFunctionClass(best + 0.2 * rng.random((200, *best.shape)))
        alpha, beta = float(10 ** rng.uniform(-3, -2)), float(10 ** rng.uniform(-2, -1))
        finite = tabular.finite_optimum(mdp, mu, weights, alpha, beta, functions)
        whole = one_policy(mdp, mu, weights, alpha, beta)
        pieces.append(Sides(f"{index}", np.array(finite), np.array(whole)))
    assert caught("glow.tabular-inclusion", pieces)
