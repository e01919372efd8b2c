"""Nash-MP and its baselines: every theorem holds in the quick profile, and every check can fail.

All evidence is exact and nothing here is random but the choice of instances, so verdicts have no false
alarms. A mutant of the algorithm is a learner with a deliberate error, run through the very theorem
that must catch it; a mutant of a constant is a theorem with a bound that is too good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from theoryrl.instances import rock_paper_scissors
from theoryrl.learners import EGPO, MMD, OMWU, IteratedReference, NashMD, NashMP, NashProx
from theoryrl.learners._preference import Iterate
from theoryrl.learners.nash_mp_pg import policy_gradient
from theoryrl.models import RegularizedGame
from theoryrl.solvers import self_play_threshold
from theoryrl.solvers.simplex import kl_divergence, log_normalize, mirror_step, proximal_step
from theoryrl.theory import PAPERS, THEOREMS, Scope, UnguaranteedEvidenceError, Verdict, check, verify
from theoryrl.theory import nash_mp as sides
from theoryrl.theory.evidence import mirror_methods as methods
from theoryrl.theory.evidence import preference
from theoryrl.theory.evidence.preference import mirror_run, random_instance, random_policy

pytestmark = pytest.mark.filterwarnings("ignore:.*the guarantee is void:UserWarning")
QUICK = Scope()


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    return {report.theorem.key: report for report in verify(["nash-mp"])}


@pytest.mark.parametrize("key", [theorem.key for theorem in PAPERS["nash-mp"].theorems])
def test_theorem_holds_on_exact_games(reports: dict[str, Any], key: str) -> None:
    report = reports[key]
    assert report.verdict is Verdict.HOLDS, f"{report.verdict.value}: {report.detail}"
    assert report.instances > 0


def verdict(key: str, evidence: Iterable[Any], **changes: Any) -> Verdict:
    """The verdict on evidence that may come from mutants, of the theorem or of a changed one."""
    theorem = replace(THEOREMS[f"nash-mp.{key}"], **changes)
    return check(theorem, evidence, allow_unguaranteed=True).verdict


# Mutants of the algorithm.


class Transposed(NashMP):
    """Reads the preferences the wrong way round."""

    def move(self, state: Iterate, field: np.ndarray) -> None:
        super().move(state, -field)


class UniformReference(NashMP):
    """Is pulled to the uniform policy instead of the reference."""

    def move(self, state: Iterate, field: np.ndarray) -> None:
        uniform = log_normalize(np.zeros_like(field))
        moved = proximal_step(field, state.log_policy, uniform, state.step, state.spec.beta)
        if state.answered % 2:
            state.log_policy = moved
        state.query = moved


class NoHalfStep(NashMP):
    """Answers the current opponent twice."""

    def move(self, state: Iterate, field: np.ndarray) -> None:
        if state.answered % 2:
            super().move(state, field)


class SecondCentre(NashMP):
    """Takes the second step from the half step."""

    def move(self, state: Iterate, field: np.ndarray) -> None:
        spec, centre = state.spec, state.query if state.answered % 2 else state.log_policy
        moved = proximal_step(field, centre, spec.log_reference, state.step, spec.beta)
        if state.answered % 2:
            state.log_policy = moved
        state.query = moved


class AveragedField(NashMP):
    """Takes the second step with the mean of both fields; remembers the first in the step array's place."""

    def move(self, state: Iterate, field: np.ndarray) -> None:
        if state.answered % 2:
            first = FIRST_FIELD.pop()
            super().move(state, (field + first) / 2)
        else:
            FIRST_FIELD.append(field)
            super().move(state, field)


FIRST_FIELD: list[np.ndarray] = []


def too_long(step: float) -> NashMP:
    return NashMP(step, allow_unsafe_step=True)


MUTANTS: dict[str, Callable[[], NashMP]] = {
    "transposed": Transposed,
    "uniform reference": UniformReference,
    "no half step": NoHalfStep,
    "second centre": SecondCentre,
    "averaged field": AveragedField,
    "gamma = 8": lambda: too_long(8.0),
    "gamma = 2.2 passed off as 2": lambda: too_long(2.2),
}


def mutant_runs(make: Callable[[], NashMP], start: bool, count: int = 60, iterations: int = 40) -> list[Any]:
    rng = np.random.default_rng(11)
    runs = []
    for index in range(count):
        game = random_instance(rng, index)
        gamma = np.full(1, 8.0 if make is MUTANTS["gamma = 8"] else 2.0)
        policy = random_policy(rng, game, 8.0) if start else None
        FIRST_FIELD.clear()
        runs.append(mirror_run(game, make(), iterations, f"mutant {index}", gamma, policy))
    return runs


@pytest.fixture(scope="module")
def mutants() -> dict[str, list[Any]]:
    return {
        name: mutant_runs(make, start=index % 2 == 0) for index, (name, make) in enumerate(MUTANTS.items())
    }


def caught(mutants: dict[str, list[Any]], name: str, key: str, rounding: float = 1e-7) -> int:
    theorem = THEOREMS[f"nash-mp.{key}"]
    return check(replace(theorem, tolerance=rounding), mutants[name], allow_unguaranteed=True).violations


@pytest.mark.parametrize("name", [name for name in MUTANTS if name != "gamma = 8"])
def test_the_identity_of_a_step_catches_every_error_on_nearly_every_game(
    mutants: dict[str, list[Any]], name: str
) -> None:
    """Where L(P) = 0 the averaged field is the same map; a reference may be close to uniform."""
    assert caught(mutants, name, "one-step-identity") >= 54


@pytest.mark.parametrize(
    "name",
    ["transposed", "uniform reference", "no half step", "second centre", "averaged field", "gamma = 8"],
)
def test_the_inequality_of_a_step_catches_every_gross_error(mutants: dict[str, list[Any]], name: str) -> None:
    assert caught(mutants, name, "one-step", 1e-9) >= 5


@pytest.mark.parametrize("name", ["transposed", "uniform reference"])
@pytest.mark.parametrize("key", ["last-iterate", "adaptive-steps", "span"])
def test_a_method_that_goes_elsewhere_breaks_the_rates(
    mutants: dict[str, list[Any]], name: str, key: str
) -> None:
    assert caught(mutants, name, key, 1e-9) > 10


def test_without_the_half_step_self_play_cycles_and_misses_its_rate() -> None:
    run = mirror_run(rock_paper_scissors(), NoHalfStep(), 200, "cycle", np.full(1, 2.0))
    for key in ("last-iterate", "adaptive-steps", "one-step"):
        assert verdict(key, [run]) is Verdict.VIOLATED
    assert float(run.kl[-1, 0]) == pytest.approx(1.87, abs=0.01)


def test_a_step_of_8_misses_its_rate_by_orders_of_magnitude() -> None:
    run = mirror_run(rock_paper_scissors(), too_long(8.0), 200, "too long", np.full(1, 8.0))
    assert verdict("adaptive-steps", [run]) is Verdict.VIOLATED
    assert check(THEOREMS["nash-mp.adaptive-steps"], [run], allow_unguaranteed=True).tightness > 1e5


def test_evidence_of_an_uncovered_step_is_refused_unless_asked_for() -> None:
    runs = mutant_runs(lambda: too_long(2.2), start=False, count=2)
    with pytest.raises(UnguaranteedEvidenceError, match="constants other than the theory"):
        check(THEOREMS["nash-mp.one-step"], runs)


def test_a_wrong_linearisation_misses_the_local_rate() -> None:
    for make in (SecondCentre, lambda: too_long(2.2), lambda: too_long(1.9)):
        assert verdict("local-rate", methods.local_runs(QUICK, make)) is Verdict.VIOLATED
    assert verdict("local-faster", methods.local_runs(QUICK, lambda: NashMP(1.0))) is Verdict.VIOLATED


# Mutants of constants: each bound cannot be claimed better by the factor that is missing.


def scaled(key: str, factor: float) -> Any:
    theorem = THEOREMS[f"nash-mp.{key}"]
    return lambda piece: factor * np.asarray(theorem.measured(piece))


@pytest.mark.parametrize(
    ("key", "factor"),
    [
        ("one-step", 1.001),
        ("last-iterate", 1.05),
        ("adaptive-steps", 1.05),
        ("span", 1.25),
        ("gap", 4.0),
        ("start", 1.02),
        ("certificate", 1.02),
        ("certificate-gap", 1.02),
        ("gap-above-divergence", 1.02),
        ("lipschitz", 1.001),
        ("local-spectrum", 1.001),
        ("local-faster", 1.01),
        ("inexact-linear", 1.1),
        ("inexact-quadratic", 1.2),
        ("inexact-limit", 1.25),
        ("iterated-reference", 1.1),
        ("nash-md-step", 1.25),
        ("nash-md-rate", 16.0),
        ("egpo", 1.05),
        ("mmd", 1.01),
        ("omwu", 1.05),
        ("unregularised", 1.01),
    ],
)
def test_a_bound_cannot_be_claimed_better(reports: dict[str, Any], key: str, factor: float) -> None:
    """Some instance of the theorem's own evidence comes within the factor, so the better bound is refuted."""
    assert reports[f"nash-mp.{key}"].tightness * factor > 1


def test_nash_md_has_a_constant_far_below_the_published_one(reports: dict[str, Any]) -> None:
    """The paper's 8 / beta^2 is correct and loose: the largest ratio is below a hundredth."""
    assert reports["nash-mp.nash-md-paper"].tightness < 0.01


def test_the_rate_without_the_factor_two_in_the_exponent_fails() -> None:
    runs = list(preference.paper_runs(QUICK))
    faster = [replace(run, gamma=2 * run.gamma) for run in runs]
    assert verdict("last-iterate", faster) is Verdict.VIOLATED


def test_the_certificate_without_its_halves_fails() -> None:
    cases = list(preference.tight_policy_cases(QUICK))
    for key in ("certificate", "certificate-gap"):
        assert verdict(key, cases, measured=scaled(key, 4.0)) is Verdict.VIOLATED
    transposed = [
        replace(case, best=replace(case.best, log_policy=case.log_policy + 1.0 * np.array([[1.0, -1.0]])))
        for case in cases
    ]
    assert verdict("certificate", transposed) is Verdict.VIOLATED


def test_the_gap_by_a_wrong_formula_fails() -> None:
    cases = list(preference.policy_cases(QUICK))[:50]
    doubled = lambda case: np.concatenate([2 * sides.gap_as_printed(case)] * 2)  # noqa: E731
    assert verdict("gap-forms", cases, bound=doubled) is Verdict.VIOLATED
    other_way = lambda case: case.game.beta * kl_divergence(case.best.log_policy, case.log_policy)  # noqa: E731
    assert verdict("divergence-form", cases, measured=other_way) is Verdict.VIOLATED
    twice = scaled("gap-above-divergence", 2)
    assert verdict("gap-above-divergence", cases, measured=twice) is Verdict.VIOLATED


def test_half_the_lipschitz_constant_is_too_small() -> None:
    cases = [replace(case, allowed=case.allowed / 2) for case in methods.field_cases(QUICK)]
    assert verdict("lipschitz", cases) is Verdict.VIOLATED
    small = [replace(case, lipschitz=case.lipschitz / 2) for case in methods.spectral_cases(QUICK)]
    assert verdict("local-spectrum", small) is Verdict.VIOLATED


def test_two_actions_with_another_step_do_not_contract_by_q() -> None:
    runs = [replace(run, powers=run.powers**1.01) for run in methods.two_action_runs(QUICK)]
    assert verdict("two-actions", runs) is Verdict.VIOLATED


def test_extragradient_with_the_same_number_as_step_is_another_map() -> None:
    pairs = methods.map_pairs(QUICK, eta=lambda gamma, beta: min(gamma, 1 / beta))
    assert verdict("extragradient", pairs) is Verdict.VIOLATED


# Inexact steps.


def test_errors_larger_than_reported_break_every_bound() -> None:
    rng = np.random.default_rng(3)
    runs = []
    for index in range(6):
        game = random_instance(rng, index, largest=6)
        runs.append(methods.inexact_run(game, (0.01, 0.01), 60, rng, f"game {index}", scale=30.0))
    for key in ("inexact-linear", "inexact-quadratic", "inexact-limit"):
        assert verdict(key, runs) is Verdict.VIOLATED


def test_errors_that_do_not_shrink_with_d_miss_the_quadratic_rate() -> None:
    curves = methods.noise_curves(QUICK, scale=lambda d: (0.1 / d) ** 0.5)
    assert verdict("inexact-rate", curves) is Verdict.VIOLATED


@pytest.mark.parametrize("wrong", ["weight of the centre", "sign of the field"])
def test_a_wrong_proximal_step_loses_more_than_its_divergence(wrong: str) -> None:
    def prox(field: Any, centre: Any, reference: Any, gamma: float, beta: float) -> Any:
        if wrong == "weight of the centre":
            return mirror_step(field, centre, reference, min(gamma, 0.9 / beta), beta)
        return proximal_step(-field, centre, reference, gamma, beta)

    rng = np.random.default_rng(0)
    cases = [methods.prox_case(f"step {index}", rng, prox) for index in range(20)]
    assert verdict("prox-objective", cases) is Verdict.VIOLATED


# Proximal points.


class WrongPull(NashProx):
    """Solves its problems with half the pull to the centre."""

    def weights(self, spec: Any) -> tuple[float, float]:
        beta, pull = super().weights(spec)
        return beta, pull / 2


class Impatient(NashProx):
    """Moves the centre before the inner problem is solved."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, max_inner=2)


class ArithmeticMixture(NashProx):
    """Takes the mean of probabilities for the reference, as if the divergences went the other way."""

    def _reference(self, spec: Any, log_centre: np.ndarray) -> np.ndarray:
        beta, pull = self.weights(spec)
        mixed = beta * np.exp(spec.log_reference) + pull * np.exp(log_centre)
        return np.asarray(np.log(mixed / (beta + pull)))


@pytest.mark.parametrize("mutant", [WrongPull, Impatient, ArithmeticMixture])
def test_proximal_points_that_are_not_solved_break_the_identity(mutant: Any) -> None:
    assert verdict("nash-prox", methods.prox_runs(QUICK, mutant)) is Verdict.VIOLATED


class Overshoots(IteratedReference):
    """Moves the reference three times as far as the solution of its problem."""

    def update(self, state: Any, decision: Any, field: np.ndarray) -> Any:
        before = state.log_policy
        state = super().update(state, decision, field)
        if state.log_policy is not before:
            state.log_policy = log_normalize(before + 3 * (state.log_policy - before))
            state.inner, state.log_reference = state.log_policy, state.log_policy
        return state


class OldReference(IteratedReference):
    """Is still pulled to the game's own reference."""

    def weights(self, spec: Any) -> tuple[float, float]:
        return 0.2 * self.beta, 0.8 * self.beta


@pytest.mark.parametrize("mutant", [Overshoots, OldReference])
def test_a_reference_that_overshoots_or_stays_behind_breaks_monotonicity(mutant: Any) -> None:
    assert verdict("iterated-reference", methods.iterated_runs(QUICK, mutant)) is Verdict.VIOLATED


# Stochastic gradients.


def test_a_baseline_that_includes_the_sample_itself_biases_the_gradient() -> None:
    rng = np.random.default_rng(0)
    estimate = lambda duels, pi, charge: policy_gradient(duels, pi, charge) / 2  # noqa: E731 # (B - 1) / B at B = 2
    assert verdict("gradient", [methods.gradient_case("two duels", rng, estimate)]) is Verdict.VIOLATED


# The baselines.


class NoMixture(NashMD):
    """Plays against itself instead of the mixture."""

    @staticmethod
    def _mixture(state: Iterate) -> np.ndarray:
        return state.log_policy


class FullSteps(NashMD):
    """Does not lower its steps."""

    def move(self, state: Iterate, field: np.ndarray) -> None:
        super().move(state, field)
        state.step = np.full_like(state.step, 1 / state.spec.beta)


@pytest.mark.parametrize("key", ["nash-md-step", "nash-md-rate"])
def test_mirror_descent_without_the_mixture_breaks_the_bounds(key: str) -> None:
    assert verdict(key, methods.nash_md_runs(QUICK, NoMixture)) is Verdict.VIOLATED


def test_mirror_descent_with_constant_steps_has_no_rate() -> None:
    assert verdict("nash-md-slope", methods.nash_md_curves(QUICK, FullSteps)) is Verdict.VIOLATED
    assert verdict("nash-md-paper", methods.nash_md_runs(QUICK, Runaway)) is Verdict.VIOLATED


class Runaway(NashMD):
    """Moves against the field, without a mixture."""

    def move(self, state: Iterate, field: np.ndarray) -> None:
        super().move(state, -20 * field)


class LongMMD(MMD):
    """Takes twenty times the step that it reports."""

    def steps(self, spec: Any) -> np.ndarray:
        return 20 * super().steps(spec)


def test_magnetic_descent_with_long_steps_misses_its_factor() -> None:
    assert verdict("mmd", methods.mmd_runs(QUICK, LongMMD)) is Verdict.VIOLATED


class StaleEGPO(EGPO):
    """Goes to its half step and stays there."""

    def move(self, state: Iterate, field: np.ndarray) -> None:
        spec = state.spec
        moved = mirror_step(field, state.log_policy, spec.log_reference, state.step / 2, spec.beta)
        state.query = moved
        if state.answered % 2:
            state.log_policy = moved


class LateEGPO(EGPO):
    """Drops its half step, and answers the current policy every other time."""

    def move(self, state: Iterate, field: np.ndarray) -> None:
        if state.answered % 2:
            super().move(state, field)


class PlainOMWU(OMWU):
    """Predicts nothing."""

    def move(self, state: Iterate, field: np.ndarray) -> None:
        spec = state.spec
        moved = mirror_step(field, state.log_policy, spec.log_reference, state.step, spec.beta)
        state.log_policy = state.query = moved


class NoMagnet(MMD):
    """Is pulled to where it is."""

    def move(self, state: Iterate, field: np.ndarray) -> None:
        spec = state.spec
        moved = proximal_step(field, state.log_policy, state.log_policy, state.step, spec.beta)
        state.log_policy = state.query = moved


class PessimisticOMWU(OMWU):
    """Predicts in the opposite direction."""

    def move(self, state: Iterate, field: np.ndarray) -> None:
        spec = state.spec
        options = (spec.log_reference, state.step, spec.beta)
        if state.answered:
            state.log_policy = mirror_step(field, state.log_policy, *options)
        state.query = mirror_step(-3 * field, state.log_policy, *options)


def test_half_steps_and_wrong_predictions_miss_their_rates() -> None:
    for late in (StaleEGPO, LateEGPO):
        assert verdict("egpo", methods.extragradient_runs(QUICK, late)) is Verdict.VIOLATED
    for wrong in (PessimisticOMWU, PlainOMWU):
        assert verdict("omwu", methods.omwu_runs(QUICK, wrong)) is Verdict.VIOLATED
    assert verdict("mmd", methods.mmd_runs(QUICK, NoMagnet)) is Verdict.VIOLATED


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_another_threshold_of_self_play_is_refuted(factor: float) -> None:
    def wrong(game: RegularizedGame, best: np.ndarray) -> np.ndarray:
        return factor * self_play_threshold(game, best)

    assert verdict("self-play-threshold", methods.self_play_pairs(QUICK, wrong)) is Verdict.VIOLATED


# The unregularised game.


def test_the_loss_without_the_share_of_the_reference_is_not_bounded() -> None:
    cases = [replace(case, allowed=case.allowed / 2) for case in methods.limit_cases(QUICK)]
    assert verdict("unregularised", cases) is Verdict.VIOLATED


def test_the_equilibrium_is_not_closer_than_winners_by_a_factor() -> None:
    cases = [replace(case, winners=0.8 * case.winners) for case in methods.limit_cases(QUICK)]
    assert verdict("limit", cases) is Verdict.VIOLATED


def test_the_start_bound_with_a_smaller_constant_fails() -> None:
    runs = list(preference.reference_runs(QUICK))
    assert verdict("start", runs, measured=lambda run: 1.02 * sides.start_ratios(run)) is Verdict.VIOLATED
    eightfold = lambda run: 8 * sides.over(run.gaps, sides.gap_bound(run), 1e-16)  # noqa: E731
    assert verdict("gap", runs, measured=eightfold) is Verdict.VIOLATED
