"""Learning to relax: every theorem holds in the quick profile, and every check can fail.

Mutants are deliberate errors in a solver, a bound, a learner or a constant. Each is run through the very
theorem that must catch it. The regret bounds are loose (by a factor of five to ten), so small errors of a
learner are caught by the inequality that holds on every run and by the slope, not by them.

Statistical verdicts report a violation of a true statement with probability at most 1e-6
(`theoryrl.theory.statistics.FALSE_ALARM`), per theorem.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from theoryrl import LossTable
from theoryrl.instances.linear_systems import laplacian
from theoryrl.learners import BinnedTsallisINF, ChebCB, TsallisINF
from theoryrl.learners.baselines.bandits.family import BanditState
from theoryrl.models import SPDMatrix
from theoryrl.solvers import SSORCondition, defect_matrix, iteration_bound, sor, young_omega
from theoryrl.theory import PAPERS, THEOREMS, Scope, Verdict, check, verify
from theoryrl.theory.evidence import relaxation, relaxation_bandits
from theoryrl.theory.evidence.relaxation_bandits import Gaps, LeaderStep, gap_sides

SCOPE = Scope()


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    return {report.theorem.key: report for report in verify(["sor"])}


@pytest.mark.parametrize("key", [theorem.key for theorem in PAPERS["sor"].theorems])
def test_theorem_holds_on_exact_counts(reports: dict[str, Any], key: str) -> None:
    report = reports[key]
    assert report.verdict is Verdict.HOLDS, f"{report.verdict.value}: {report.detail}"
    assert report.instances > 0


def test_no_bound_is_vacuous_at_these_sizes(reports: dict[str, Any]) -> None:
    assert not {key for key, report in reports.items() if report.vacuous}


def caught(key: str, evidence: Any, **changes: Any) -> bool:
    return check(replace(THEOREMS[key], **changes), evidence).verdict is Verdict.VIOLATED


# The iteration.


def dense_sweep(A: np.ndarray, omega: float, mutant: str) -> np.ndarray:
    """Return the map of residuals of a wrong sweep."""
    D, L = np.diag(np.diag(A)), np.tril(A, -1)
    W = {
        "L and its transpose exchanged": D / omega + L.T,
        "omega applied to L": D + omega * L,
        "no relaxation": D + L,
    }[mutant]
    return np.eye(len(A)) - A @ np.linalg.inv(W)


@pytest.mark.parametrize("mutant", ["L and its transpose exchanged", "omega applied to L", "no relaxation"])
def test_a_wrong_sweep_has_other_residuals(mutant: str) -> None:
    A, b = laplacian(5).toarray(), np.random.default_rng(0).standard_normal(25)
    found = sor(A, b, 1.5)
    C, r, norms = dense_sweep(A, 1.5, mutant), b, [np.linalg.norm(b)]
    for _ in range(found.iterations):
        r = C @ r
        norms.append(np.linalg.norm(r))
    case = relaxation.Residuals("mutant", found.residuals / norms[0], np.array(norms) / norms[0])
    assert caught("sor.residual-recurrence", [case])


def test_a_count_that_is_off_by_one_has_another_history() -> None:
    cases = list(relaxation.residual_histories(SCOPE))
    late = [replace(case, measured=np.r_[case.measured[0], case.measured[:-1]]) for case in cases]
    assert caught("sor.residual-recurrence", late)


# Young's formula.


def test_young_without_the_quarter_or_with_the_wrong_beta_is_caught() -> None:
    cases = list(relaxation.radii(SCOPE))
    assert caught("sor.young", cases, measured=lambda case: 4 * case.young)
    # The radius of Jacobi's matrix squared is that of Gauss-Seidel's: a beta squared once too often.
    assert caught("sor.young", cases, measured=lambda case: case.young**2)
    near = list(relaxation.radii_near_the_optimum(SCOPE))
    assert caught("sor.young-near", near, measured=lambda case: case.omegas - 1)
    assert caught("sor.young-optimal", near, measured=lambda case: np.full(case.dense.shape, case.beta**2))


# The near-asymptotic bound.


@pytest.fixture(scope="module")
def surrogates() -> list[relaxation.Surrogate]:
    return list(relaxation.surrogates(SCOPE))


def test_without_tau_the_surrogate_is_no_bound(surrogates: list[Any]) -> None:
    asymptotic = [replace(case, near=case.near._replace(tau=0.0)) for case in surrogates]
    report = check(THEOREMS["sor.surrogate"], asymptotic)
    assert (report.verdict, report.violations) == (Verdict.VIOLATED, len(surrogates))


def test_the_surrogate_cannot_be_five_per_cent_smaller(surrogates: list[Any]) -> None:
    assert caught("sor.surrogate", surrogates, bound=lambda case: 0.95 * case.near.bounds)


def test_a_tau_from_random_targets_only_is_no_proof(surrogates: list[Any]) -> None:
    """Half of the tau that the norms need fails for the singular vectors."""
    half = [replace(case, near=case.near._replace(tau=case.near.tau / 2)) for case in surrogates]
    assert caught("sor.surrogate", half)


def test_errors_in_alpha_and_in_the_lipschitz_constants_are_caught(surrogates: list[Any]) -> None:
    assert caught(
        "sor.surrogate-cap",
        surrogates,
        bound=lambda case: iteration_bound(max(case.beta**2, relaxation.LARGEST - 1), 0.0, 1e-8)[0],
    )
    assert caught("sor.surrogate-lipschitz", surrogates, bound=lambda case: 0.9 * case.lipschitz)
    beyond = [case for case in surrogates if case.best < relaxation.LARGEST]
    assert caught("sor.surrogate-decreasing", beyond, measured=lambda c: c.right()[1][1:],
                  bound=lambda c: c.right()[1][:-1])  # fmt: skip


@pytest.mark.parametrize("end", [lambda beta, largest: beta**2, lambda beta, largest: largest - 1])
def test_alpha_needs_both_ends_of_the_interval(surrogates: list[Any], end: Any) -> None:
    def cap(case: relaxation.Surrogate) -> float:
        tau = case.near.tau
        alpha = tau + (1 - tau) * end(case.beta, relaxation.LARGEST)
        return 1 + math.log(relaxation.EPS) / math.log(alpha)

    assert caught("sor.surrogate-cap", surrogates, bound=cap)


def test_rounding_down_has_no_such_price(surrogates: list[Any]) -> None:
    """Left of omega* the slope is unbounded: U(y) - U(x) for y < x."""

    def lost(case: relaxation.Surrogate) -> np.ndarray:
        points, values = case.mesh()
        i, j = np.triu_indices(len(points), 1)
        return values[i] - values[j]

    assert caught("sor.semi-lipschitz", surrogates, measured=lost)


def test_the_condition_of_the_lipschitz_lemma_is_needed() -> None:
    """Without it some case (beta and tau small) exceeds the constant, which is why others are set aside."""
    near = relaxation.near_asymptotic(np.eye(2), [1.0])._replace(tau=0.01)
    case = relaxation.Surrogate("beta = .3", near, 0.3, np.array([1]))
    narrow = replace(case)
    assert not narrow.steep_enough
    assert check(THEOREMS["sor.surrogate-lipschitz"], [narrow]).instances == 0
    w_max = young_omega(0.3) + 0.05
    v = 0.01 + 0.99 * (np.linspace(young_omega(0.3), w_max, 50) - 1)
    slopes = 0.99 * -math.log(1e-8) / (v * np.log(v) ** 2)
    alpha = 0.01 + 0.99 * max(0.3**2, w_max - 1)
    assert slopes.max() > 0.99 * -math.log(1e-8) / (alpha * math.log(alpha) ** 2)


# Tsallis-INF.


def test_wrong_probabilities_do_not_minimise() -> None:
    steps = list(relaxation_bandits.leader_steps(SCOPE))

    def exponential(step: LeaderStep) -> np.ndarray:
        p = np.exp(-np.minimum(step.eta * (step.L - step.L.min()), 600))
        return p / p.sum()

    assert caught("sor.tsallis-step", [replace(step, p=exponential(step)) for step in steps])
    assert caught("sor.tsallis-step", [replace(step, eta=2 * step.eta) for step in steps])
    assert caught("sor.tsallis-simplex", [replace(step, p=step.p / 2) for step in steps])


@dataclass
class Unweighted(BanditState):
    """Adds the losses as they are, not divided by their probabilities."""

    def play(self, rewards: np.ndarray, contexts: np.ndarray) -> Any:
        arms, chances = np.zeros(len(rewards), dtype=np.int64), np.zeros(len(rewards))
        for t, row in enumerate(rewards):
            arms[t], shown = self.choose()
            chances[t] = shown["probability"]
            self.p[arms[t]] = 1.0
            self.learn(int(arms[t]), float(row[arms[t]]), None)
        return arms, {"arm": arms.astype(float), "probability": chances}


@dataclass
class WrongSign(BanditState):
    """Takes the losses for rewards."""

    def play(self, rewards: np.ndarray, contexts: np.ndarray) -> Any:
        low, width, _ = self.scale
        return super().play(2 * low + width - rewards, contexts)


@dataclass
class Uniform(BanditState):
    """Plays at a rate of nothing."""

    def play(self, rewards: np.ndarray, contexts: np.ndarray) -> Any:
        self.parameters[0] = 1e-12
        return super().play(rewards, contexts)


@dataclass(frozen=True)
class MutantTsallis(TsallisINF):
    mutant: type[BanditState] = BanditState

    def init(self, spec: Any, rng: np.random.Generator) -> Any:
        return self.mutant(**vars(super().init(spec, rng)))


@pytest.mark.parametrize("mutant", [Uniform, WrongSign])
def test_the_inequality_of_every_run_catches_a_bandit_that_does_not_learn(mutant: Any) -> None:
    runs = relaxation_bandits.tsallis_runs(SCOPE, lambda rate: MutantTsallis(rate=rate, mutant=mutant))
    assert caught("sor.tsallis-pathwise", list(runs))


def test_the_inequality_of_every_run_cannot_be_a_tenth_smaller() -> None:
    runs = list(relaxation_bandits.tsallis_runs(SCOPE))
    assert caught("sor.tsallis-pathwise", runs, bound=lambda run: 0.9 * run.pathwise()[1])


@dataclass(frozen=True)
class OtherRate(TsallisINF):
    """Plays at another rate than it says."""

    factor: float = 1.0

    def rule(self, spec: Any) -> tuple[int, list[float]]:
        number, (eta, *options) = super().rule(spec)
        return number, [self.factor * eta, *options]


@pytest.mark.parametrize("factor", [0.7, 8.0])
def test_the_inequality_of_every_run_is_about_the_rate_that_is_played(factor: float) -> None:
    """Rates between these two are not caught: on no table that we know does the regret leave the bound."""
    runs = relaxation_bandits.tsallis_runs(SCOPE, lambda rate: OtherRate(rate=rate, factor=factor))
    assert caught("sor.tsallis-pathwise", list(runs))


@pytest.mark.parametrize("mutant", [Unweighted, Uniform, WrongSign])
def test_the_slope_catches_a_bandit_that_does_not_learn(mutant: Any) -> None:
    curves = relaxation_bandits.regret_curves(SCOPE, lambda: MutantTsallis(rate="horizon", mutant=mutant))
    report = check(THEOREMS["sor.tsallis-rate"], list(curves))
    assert report.verdict is Verdict.VIOLATED, report.detail


@pytest.mark.parametrize(
    ("key", "rate"), [("sor.tsallis-regret", "horizon"), ("sor.tsallis-regret-anytime", "anytime")]
)
def test_the_bound_on_the_mean_catches_the_wrong_sign(key: str, rate: str) -> None:
    runs = relaxation_bandits.expectation_runs(
        SCOPE, rate, lambda rate: MutantTsallis(rate=rate, mutant=WrongSign)
    )
    assert caught(key, list(runs))


def test_the_bound_on_the_mean_does_not_catch_uniform_play_at_this_horizon() -> None:
    """Why the slope and the inequality of every run are theorems of their own."""
    runs = relaxation_bandits.expectation_runs(
        SCOPE, "anytime", lambda rate: MutantTsallis(rate=rate, mutant=Uniform)
    )
    assert not caught("sor.tsallis-regret-anytime", list(runs))


def test_a_range_that_is_too_small_is_refused_before_a_bound_could_miss_it() -> None:
    counts = relaxation_bandits.counts_of(300, 10)
    with pytest.raises(ValueError, match=r"losses\[\d+, \d+\] must be in \[1, 51\]"):
        LossTable(counts.losses, (1.0, 51.0))


# Theorem 2.1, and its contextual form.


def test_theorem_2_1_does_not_hold_for_the_wrong_sign() -> None:
    """Its mean share is 0.084 above the bound; 480 runs make an excess of 0.077 certain."""
    runs = relaxation_bandits.fixed_runs(SCOPE, lambda: MutantTsallis(rate="horizon", mutant=WrongSign))
    cases = list(runs)
    assert all(case.total > case.bound for case in cases)
    assert check(THEOREMS["sor.regret"], cases).verdict is Verdict.VIOLATED


def test_the_comparator_of_theorem_2_1_is_the_least_sum_off_the_mesh_too() -> None:
    run = next(iter(relaxation_bandits.fixed_runs(SCOPE)))
    fine = np.linspace(1, 1.95, 5000)
    pairs = zip(run.surrogates, run.betas, strict=True)
    sums = run.frequencies @ np.array([near.at(beta, fine) for near, beta in pairs])
    assert run.comparator <= sums.min() * (1 + 1e-6)  # the spacing squared, at most
    assert run.comparator < (run.frequencies @ run.values).min()


def test_theorem_2_1_needs_its_regret_term() -> None:
    runs = list(relaxation_bandits.fixed_runs(SCOPE))
    without = {"bound": lambda run: (run.comparator - run.run.T) / (run.run.K * run.run.T)}
    # The width of an expectation is that of the samples: here their excess is known to be far smaller.
    assert caught("sor.regret", runs, **without, width=0.05)


@dataclass(frozen=True)
class MutantBinned(BinnedTsallisINF):
    mutant: type[BanditState] = BanditState

    def init(self, spec: Any, rng: np.random.Generator) -> Any:
        return self.mutant(**vars(super().init(spec, rng)))


def test_the_contextual_theorem_needs_its_regret_term_where_nothing_is_learnt() -> None:
    """The comparator alone, for a learner that takes losses for rewards.

    Whatever is chosen, the share lies between the means of the smallest and of the largest loss of each
    round: that is the width of the samples. With the whole bound, four times the share, no learner is caught.
    """
    runs = list(relaxation_bandits.binned_runs(SCOPE, lambda m: MutantBinned(bins=m, mutant=WrongSign)))
    losses, K = runs[0].run.table.losses, runs[0].run.K
    width = float((losses.max(axis=1) - losses.min(axis=1)).mean()) / K
    comparator = {"bound": lambda run: (run.comparator - run.run.T) / (run.run.K * run.run.T)}
    assert caught("sor.regret-contextual", runs, **comparator, width=width)
    assert not caught("sor.regret-contextual", runs, width=width)


def test_the_slope_of_the_policy_cannot_be_a_tenth_smaller() -> None:
    cases = list(relaxation_bandits.policy_slopes(SCOPE))
    assert caught("sor.policy-lipschitz", cases, bound=lambda case: 0.9 * case.bound)


# ChebCB.


def test_the_lemma_on_gaps_is_sharp() -> None:
    cases = list(relaxation_bandits.worst_gaps(SCOPE))
    assert caught("sor.inverse-gaps", cases, bound=lambda case: 1.8 * case.scale + case.squares)
    assert caught("sor.inverse-gaps", cases, bound=lambda case: case.bound - case.squares)


def softmin(y: np.ndarray, eta: float, p: np.ndarray) -> None:
    p[:] = np.exp(-np.minimum(eta * (y - y.min()), 30))
    p /= p.sum()


def most_to_the_worst(y: np.ndarray, eta: float, p: np.ndarray) -> None:
    relaxation_bandits.inverse_gaps(-y, eta, p)


@pytest.mark.parametrize("weigh", [softmin, most_to_the_worst])
def test_other_probabilities_break_the_lemma(weigh: Any) -> None:
    assert caught("sor.inverse-gaps", list(relaxation_bandits.worst_gaps(SCOPE, weigh)))


@dataclass(frozen=True)
class WrongRate(ChebCB):
    """Claims a rate a hundred times larger than the one that it plays."""

    def plan(self, state: Any) -> Any:
        claimed = state.eta
        state.eta = claimed / 100
        decision = super().plan(state)
        state.eta = claimed
        return decision


def test_a_run_at_another_rate_than_it_claims_breaks_the_lemma() -> None:
    assert caught("sor.inverse-gaps-run", list(relaxation_bandits.cheb_runs(SCOPE, WrongRate)))


@dataclass(frozen=True)
class NoScale(ChebCB):
    """Forgets N in the scale of the targets."""

    def box(self, state: Any) -> Any:
        box, slope = super().box(state)
        state.scale = max(state.largest, 1.0)
        return 10 * box, slope


@dataclass(frozen=True)
class LargeBox(ChebCB):
    """Takes the coefficients' box for three times as large."""

    def box(self, state: Any) -> Any:
        box, slope = super().box(state)
        return 3 * box, slope


@pytest.mark.parametrize("mutant", [NoScale, LargeBox])
def test_targets_without_their_scale_or_in_too_large_a_box_leave_the_range(mutant: Any) -> None:
    assert caught("sor.prediction-range", list(relaxation_bandits.cheb_runs(SCOPE, mutant)))


def test_the_box_and_the_error_bound_cannot_be_arbitrarily_tight() -> None:
    cases = list(relaxation_bandits.expansions(SCOPE))
    assert caught("sor.chebyshev-box", cases, bound=lambda case: 0.75 * case.box)
    assert caught("sor.chebyshev-box", cases, bound=lambda case: case.box / np.arange(1, 31))
    assert caught("sor.chebyshev-error", cases, bound=lambda case: case.alphas / 3)


# SSOR and energy norms.


@pytest.fixture(scope="module")
def preconditioned() -> list[relaxation.Preconditioned]:
    return list(relaxation.preconditioned(SCOPE))


class NoA1(SSORCondition):
    def bound(self, omega: float) -> float:
        return (1 + omega * self.b1) / (2 - omega)


class NoB1(SSORCondition):
    def bound(self, omega: float) -> float:
        return (1 + (2 - omega) ** 2 * self.a1 / (4 * omega)) / (2 - omega)


class NotSquared(SSORCondition):
    def bound(self, omega: float) -> float:
        return (1 + (2 - omega) * self.a1 / (4 * omega) + omega * self.b1) / (2 - omega)


@pytest.mark.parametrize("mutant", [NoA1, NoB1, NotSquared])
def test_a_term_missing_from_axelssons_bound_is_caught(preconditioned: list[Any], mutant: Any) -> None:
    cases = [replace(case, condition=mutant(*case.condition)) for case in preconditioned]
    assert caught("sor.ssor-condition", cases)


def test_errors_about_the_preconditioner_are_caught(preconditioned: list[Any]) -> None:
    assert caught("sor.ssor-orders", preconditioned, measured=lambda case: case.kappas * case.omegas)
    assert caught("sor.ssor-count", preconditioned, bound=lambda case: 0.9 * case.count_bounds)

    def without_root(case: relaxation.Preconditioned) -> np.ndarray:
        a1, b1, _ = case.condition
        blind = SSORCondition(a1, b1, 1.0)
        return np.array([blind.count_bound(float(w), case.eps) for w in case.omegas])

    assert caught("sor.ssor-count", preconditioned, bound=without_root)

    def without_half(case: relaxation.Preconditioned) -> float:
        a1, b1, _ = case.condition
        return case.condition.bound(2 / (1 + 2 * math.sqrt((1 + b1) / a1)))

    assert caught("sor.ssor-minimiser", preconditioned, measured=without_half)


def test_the_energy_bound_with_the_wrong_eigenvalue_is_caught() -> None:
    """The textbook's expression where h < 0, and our bound with g' exchanged."""
    cases = list(relaxation.large_omega_energies(SCOPE))
    assert caught("sor.energy-norm", cases, bound=lambda case: case.textbook)
    everywhere = list(relaxation.energies(SCOPE))
    assert caught("sor.energy-norm-counterexample", everywhere)
    assert caught("sor.energy-norm", everywhere, bound=lambda case: 0.999 * case.bound)
    assert caught("sor.energy-norm-textbook", everywhere, measured=lambda case: case.exact,
                  bound=lambda case: case.textbook)  # fmt: skip


def test_a_random_target_does_not_jump() -> None:
    A = SPDMatrix.of(laplacian(10))
    b = np.random.default_rng(0).standard_normal(100)
    counts = np.array([sor(A, b, float(w)).iterations for w in np.arange(1.38, 1.42, 0.002)])
    jump = int(np.abs(np.diff(counts)).max())
    case = next(iter(relaxation.degenerate_targets(SCOPE)))
    assert caught("sor.degenerate-target", [replace(case, jump=jump)])
    assert case.special < 15 < 70 < case.typical
    assert np.linalg.norm(defect_matrix(A, 1.4)) > 1


def test_gap_sides_of_a_certain_choice_are_zero() -> None:
    f = np.array([1.0, 2.0])
    assert gap_sides(f, f, np.array([1.0, 0.0]), 5.0, 0) == (0.0, 0.0)
    assert Gaps("", f, f, f, f).guaranteed
