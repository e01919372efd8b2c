"""StepMix and EpsMix: every theorem holds in the quick profile, and every check can fail.

Mutants are deliberate errors in the algorithm or its constants. Each is run through the very
theorem that must catch it. Division of labour: the run-time checks (safety on the event, width,
certificate, interpolation) catch errors of *decision*; errors in the *bounds* are caught by the
claims when gross, and by the golden constants, the single-row threshold and the induction with
radii that leave no slack when subtle.

Statistical verdicts report a violation of a true statement with probability at most 1e-6
(`theoryrl.theory.statistics.FALSE_ALARM`), per theorem.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoryrl.instances import coupon, fork, hazard, random_conservative
from theoryrl.learners import BPIUCBVI, EpsMix, StepMix, _family, confidence, learn_baseline
from theoryrl.learners._kernels import pessimistic_values
from theoryrl.learners.offline_baseline import METHODS, LearnedBaseline
from theoryrl.learners.stepmix import BASELINE, MIXTURE, OPTIMISTIC, Choice, choose, step_mixture
from theoryrl.models import ConservativeMDP, DeterministicPolicy, MixturePolicy, OfflineDataset, Policy
from theoryrl.protocol import EpisodicProblem, play
from theoryrl.solvers import occupancy_measure, policy_value, simulate_episodes
from theoryrl.solvers.kl_ball import kl_ball
from theoryrl.theory import PAPERS, THEOREMS, Scope, UnguaranteedEvidenceError, Verdict, check, verify
from theoryrl.theory.core import Curve
from theoryrl.theory.evidence import concentration, conservative
from theoryrl.theory.evidence.comparisons import Certificate, NestedPair, trace_pair, violations
from theoryrl.theory.evidence.conservative import ConservativeRun, audited_run

pytestmark = pytest.mark.filterwarnings("ignore:.*the guarantee is void:UserWarning")


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    return {report.theorem.key: report for report in verify(["stepmix"])}


@pytest.mark.parametrize("key", [theorem.key for theorem in PAPERS["stepmix"].theorems])
def test_theorem_holds_on_exact_models(reports: dict[str, Any], key: str) -> None:
    report = reports[key]
    assert report.verdict is Verdict.HOLDS, f"{report.verdict.value}: {report.detail}"
    assert report.instances > 0


@pytest.mark.parametrize("bounds", conservative.LONG_ENOUGH)
def test_runs_behind_the_safety_theorem_leave_the_baseline(bounds: str) -> None:
    """A run that only plays the baseline is safe whatever the bounds are, and would be no evidence."""
    rounds, names = conservative.LONG_ENOUGH[bounds]
    for name in names:
        for make, options in conservative.ALGORITHMS:
            learner = make(delta=0.05, refresh_growth=conservative.GROWTH, bounds=bounds, **options)
            run = audited_run(conservative.named_models()[name], learner, rounds, 0, name)
            assert (run.column("kind") != BASELINE).any()


# Mutants of the decision.


def _swapped(choice: Choice) -> Choice:
    return choice._replace(weight=1 - choice.weight) if choice.kind == MIXTURE else choice


class SwappedWeight(StepMix):
    """Gives the conservative neighbour the weight of the bold one."""

    def select(self, upper: np.ndarray, lower: np.ndarray, threshold: float) -> Choice:
        return _swapped(super().select(upper, lower, threshold))


class SwappedCoin(EpsMix):
    """Tosses the coin the wrong way round."""

    def select(self, upper: np.ndarray, lower: np.ndarray, threshold: float) -> Choice:
        return _swapped(super().select(upper, lower, threshold))


class UpperInSelection(StepMix):
    """Certifies with the upper bounds."""

    def select(self, upper: np.ndarray, lower: np.ndarray, threshold: float) -> Choice:
        return super().select(upper, upper, threshold)


class WrongDenominator(StepMix):
    """Divides by L^(j) instead of by L^(j) - L^(j-1)."""

    def select(self, upper: np.ndarray, lower: np.ndarray, threshold: float) -> Choice:
        choice = super().select(upper, lower, threshold)
        if choice.kind != MIXTURE:
            return choice
        return choice._replace(weight=(threshold - lower[choice.bold]) / lower[choice.switch])


class ReversedNesting(StepMix):
    """Executes the optimistic head with the baseline tail, but certifies the other order."""

    def realise(self, state: Any, choice: Choice) -> Any:
        if choice.kind != MIXTURE:
            return super().realise(state, choice)
        greedy = DeterministicPolicy(state.family.greedy, state.family.n.shape[2]).probabilities
        return Policy(step_mixture(state.family.pi_b, greedy, choice, "optimistic-first"))


class MixesTwoSteps(StepMix):
    """Mixes at the switching stage and at the one before."""

    def realise(self, state: Any, choice: Choice) -> Any:
        policy = super().realise(state, choice)
        if choice.kind != MIXTURE or choice.switch < 2:
            return policy
        mixed, stage, w = policy.probabilities.copy(), choice.switch - 2, choice.weight
        greedy = DeterministicPolicy(state.family.greedy, mixed.shape[2]).probabilities
        mixed[stage] = w * state.family.pi_b[stage] + (1 - w) * greedy[stage]
        return Policy(mixed)


class CoinPerStep(EpsMix):
    """Mixes the actions at each step instead of once per episode."""

    def realise(self, state: Any, choice: Choice) -> Any:
        policy = super().realise(state, choice)
        if not isinstance(policy, MixturePolicy):
            return policy
        H = len(state.family.pi_b)
        return Policy(sum(w * p.stages(H) for w, p in zip(policy.weights, policy.policies, strict=True)))


class OptimisticTooEarly(StepMix):
    """Plays the optimistic policy whenever anything at all is certified."""

    def select(self, upper: np.ndarray, lower: np.ndarray, threshold: float) -> Choice:
        choice = super().select(upper, lower, threshold)
        if choice.kind != MIXTURE:
            return choice
        return Choice(OPTIMISTIC, 0, 0, 1.0, float(lower[0]), float(upper[0]))


class NotMinimal(StepMix):
    """Takes the most conservative certified pair, with its weight clipped to [0, 1]."""

    def select(self, upper: np.ndarray, lower: np.ndarray, threshold: float) -> Choice:
        choice = super().select(upper, lower, threshold)
        if choice.kind != MIXTURE:
            return choice
        j = len(lower) - 1
        gap = lower[j] - lower[j - 1]
        weight = float(np.clip((threshold - lower[j - 1]) / gap, 0, 1)) if gap > 0 else 1.0
        return choice._replace(switch=j, bold=j - 1, weight=weight)


class MixesBelow(StepMix):
    """Aims at nine tenths of the threshold."""

    def select(self, upper: np.ndarray, lower: np.ndarray, threshold: float) -> Choice:
        return super().select(upper, lower, 0.9 * threshold)


class NegatedDifference(StepMix):
    """Divides by L^(j-1) - L^(j), the difference the wrong way round."""

    def select(self, upper: np.ndarray, lower: np.ndarray, threshold: float) -> Choice:
        choice = super().select(upper, lower, threshold)
        return choice._replace(weight=-choice.weight) if choice.kind == MIXTURE else choice

    def realise(self, state: Any, choice: Choice) -> Any:
        return super().realise(state, choice._replace(weight=abs(choice.weight)))


class StuckInBaseline(StepMix):
    """Never leaves the baseline."""

    def select(self, upper: np.ndarray, lower: np.ndarray, threshold: float) -> Choice:
        j = len(lower) - 1
        return Choice(BASELINE, j, j, 1.0, float(lower[j]), float(upper[j]))


class NotGreedy(StepMix):
    """Once certified, executes the action after the greedy one."""

    def realise(self, state: Any, choice: Choice) -> Any:
        policy = super().realise(state, choice)
        if choice.kind != OPTIMISTIC:
            return policy
        return DeterministicPolicy((policy.actions + 1) % policy.n_actions, policy.n_actions)


class TrustsNothing(StepMix):
    """Starts mixing before any member of the family is certified."""

    def select(self, upper: np.ndarray, lower: np.ndarray, threshold: float) -> Choice:
        choice = super().select(upper, lower, threshold)
        return Choice(MIXTURE, 1, 0, 0.5, 0.0, 0.0) if choice.kind == BASELINE else choice


def _runs(
    make: Callable[..., Any], model: ConservativeMDP, rounds: int = 2000, **options: Any
) -> list[ConservativeRun]:
    return [
        audited_run(model, make(refresh_growth=0.1, **options), rounds, seed, "mutant") for seed in range(6)
    ]


HAZARD = {"model": hazard(p=0.5, kappa=0.1)}
FORK = {"model": fork(kappa=0.1)}
DECISION_MUTANTS = [
    ("stepmix.safety-on-event", SwappedWeight, HAZARD),
    ("stepmix.safety-on-event", SwappedCoin, FORK),
    ("stepmix.safety-on-event", UpperInSelection, HAZARD),
    ("stepmix.safety-on-event", WrongDenominator, HAZARD),
    ("stepmix.safety-on-event", ReversedNesting, HAZARD),
    ("stepmix.safety-on-event", MixesTwoSteps, HAZARD),
    ("stepmix.safety-on-event", CoinPerStep, FORK),
    ("stepmix.safety-on-event", OptimisticTooEarly, HAZARD),
    ("stepmix.safety", SwappedWeight, HAZARD),
    ("stepmix.width", NotMinimal, HAZARD),
    ("stepmix.width", StuckInBaseline, HAZARD),
    ("stepmix.certificate", NotGreedy, HAZARD),
    ("stepmix.loss-cap", OptimisticTooEarly, HAZARD),
    ("stepmix.caution-budget", StuckInBaseline, {**HAZARD, "rounds": 20_000}),
    ("stepmix.interpolation", SwappedWeight, HAZARD),
    ("stepmix.interpolation", SwappedCoin, FORK),
    ("stepmix.interpolation", WrongDenominator, HAZARD),
    ("stepmix.interpolation", NotMinimal, HAZARD),
    ("stepmix.interpolation", MixesBelow, HAZARD),
    ("stepmix.minimal-switch", NotMinimal, HAZARD),
    ("stepmix.weight", NegatedDifference, HAZARD),
    ("stepmix.optimistic-certified", OptimisticTooEarly, HAZARD),
    ("stepmix.baseline-first", TrustsNothing, HAZARD),
    ("stepmix.baseline-until-certified", TrustsNothing, HAZARD),
]


@pytest.mark.parametrize(
    ("key", "mutant", "where"), DECISION_MUTANTS, ids=[f"{k}-{m.__name__}" for k, m, _ in DECISION_MUTANTS]
)
def test_decision_mutant_is_caught(key: str, mutant: Any, where: dict[str, Any]) -> None:
    report = check(THEOREMS[key], _runs(mutant, **where))
    assert report.instances > 0, "the mutant's bounds must stay true, or the check says nothing"
    assert report.verdict is Verdict.VIOLATED


# Mutants of the relative form.


class RelativeToLowerBound(StepMix):
    """Takes the lower bound of the baseline's value, which weakens the constraint."""

    def _current_threshold(self, state: Any, baseline_upper: float) -> float:
        assert self.relative_loss is not None
        return (1 - self.relative_loss) * float(state.start_bounds()[1][-1])


RELATIVE_MUTANTS = [
    ("stepmix.relative-safety", RelativeToLowerBound),
    ("stepmix.relative-safety", SwappedWeight),
    ("stepmix.relative-threshold", RelativeToLowerBound),
    ("stepmix.relative-interpolation", SwappedWeight),
    ("stepmix.relative-interpolation", MixesBelow),
]


@pytest.mark.parametrize(
    ("key", "mutant"), RELATIVE_MUTANTS, ids=[f"{k}-{m.__name__}" for k, m in RELATIVE_MUTANTS]
)
def test_mutant_of_the_relative_form_is_caught(key: str, mutant: Any) -> None:
    """On hazard with alpha = .04 the threshold is 2.4 of the baseline's 2.5."""
    model = hazard(p=0.5, kappa=0.1)
    problem = EpisodicProblem(model.mdp, "hazard", model.baseline)
    learner = mutant(relative_loss=0.04, refresh_growth=0.1)
    runs = [audited_run(problem, learner, 2000, seed, "mutant") for seed in range(4)]
    report = check(THEOREMS[key], runs)
    assert report.instances == len(runs), "the mutant's bounds must stay true, or the check says nothing"
    assert report.verdict is Verdict.VIOLATED


def test_a_relative_run_whose_stated_bound_is_false_is_refused() -> None:
    """V^b = 2.5: the upper bound must be at least that, and .96 of it below."""
    model = hazard(p=0.5, kappa=0.1)
    problem = EpisodicProblem(model.mdp, "hazard", model.baseline)
    refusals = {
        2.4: r"baseline_value_bound must be at least the baseline's value 2\.5; got 2\.4",
        2.7: r"threshold must be below the baseline's value 2\.5 .*; got 2\.59",
    }
    for bound, message in refusals.items():
        learner = StepMix(relative_loss=0.04, baseline_value_bound=bound)
        with pytest.raises(ValueError, match=message):
            audited_run(problem, learner, 10, 0, "refused")
    audited_run(problem, StepMix(relative_loss=0.04, baseline_value_bound=2.6), 10, 0, "accepted")


# Mutants of a theorem's constants, and of evidence that is not about a run.


def _with_bound(key: str, bound: Callable[[Any], Any]) -> Any:
    return replace(THEOREMS[key], bound=bound)


def test_certificate_without_the_baselines_loss_is_caught() -> None:
    runs = _runs(StepMix, HAZARD["model"])
    assert check(THEOREMS["stepmix.certificate"], runs).verdict is Verdict.HOLDS
    assert check(_with_bound("stepmix.loss-cap", lambda run: run.margin), runs).verdict is Verdict.VIOLATED
    short = _with_bound(
        "stepmix.regret-certificate",
        lambda run: run.cumulative(run.width * ~run.cautious, np.arange(1, run.trace.rounds + 1)),
    )
    assert check(short, runs).verdict is Verdict.VIOLATED


@pytest.mark.parametrize(
    "key",
    [
        "stepmix.width",
        "stepmix.certificate",
        "stepmix.loss-cap",
        "stepmix.caution-budget",
        "stepmix.row-lower",
    ],
)
def test_bound_cannot_be_claimed_twice_as_strong(reports: dict[str, Any], key: str) -> None:
    """Somewhere in the evidence the two sides come within a factor of two, so half the bound is refuted."""
    assert reports[key].tightness > 0.5


def test_mixing_two_stages_breaks_linearity() -> None:
    rng = np.random.default_rng(0)
    pairs = []
    for index in range(20):
        model = conservative.boltzmann_instance(rng)
        H = model.mdp.horizon
        other = Policy(rng.dirichlet(np.ones(model.mdp.n_actions), size=(H, model.mdp.n_states)))
        mixed = Policy(0.5 * model.baseline.stages(H) + 0.5 * other.probabilities)
        values = tuple(policy_value(model.mdp, p) for p in (mixed, model.baseline, other))
        occupancies = tuple(occupancy_measure(model.mdp, p) for p in (mixed, model.baseline, other))
        pairs.append(NestedPair(str(index), values, occupancies, 0.5))
    for key in ("stepmix.linearity-value", "stepmix.linearity-occupancy"):
        assert check(THEOREMS[key], pairs).verdict is Verdict.VIOLATED


def test_constraint_code_on_the_optimistic_path_is_caught() -> None:
    model = random_conservative(seed=3)
    free = ConservativeMDP(model.mdp, model.baseline, 0.0)
    for mutant in (StepMix(refresh_growth=0.1, n_min=2), NotGreedy(refresh_growth=0.1)):
        pair = trace_pair(free, mutant, 300, 0)
        assert check(THEOREMS["stepmix.no-constraint"], [pair]).verdict is Verdict.VIOLATED


def test_refreshing_every_episode_exceeds_the_lazy_budget() -> None:
    run = audited_run(hazard(), StepMix(refresh_growth=0.0), 5000, 0, "eager")
    report = check(THEOREMS["stepmix.lazy-refresh"], [replace(run, refresh_growth=0.1)])
    assert report.verdict is Verdict.VIOLATED


@pytest.mark.parametrize(
    ("evidence", "key"),
    [(conservative.coin_curves, "stepmix.coin-rate"), (conservative.minimax_curves, "stepmix.regret-rate")],
)
def test_rate_of_a_learner_stuck_in_the_baseline_is_caught(evidence: Any, key: str) -> None:
    curves = evidence(Scope(), {"stuck": lambda: StuckInBaseline(refresh_growth=0.1)})
    assert check(THEOREMS[key], curves).verdict is Verdict.VIOLATED


@pytest.mark.parametrize("curves", [conservative.coin_curves, conservative.minimax_curves])
def test_samples_of_equal_seeds_are_not_taken_for_independent_ones(
    curves: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seed is played at every size, so one seed's samples are one sample of the slope."""
    seeds: list[int] = []

    def note(model: Any, learner: Any, rounds: int, seed: int) -> Any:
        seeds.append(seed)
        return play(model, StuckInBaseline(refresh_growth=0.1), rounds, seed)

    monkeypatch.setattr(conservative, "play", note)
    for curve in curves(Scope()):
        assert len(set(seeds)) < len(seeds)
        assert curve.paired
        seeds.clear()


def test_regret_on_hard_alone_cannot_tell_a_stuck_learner() -> None:
    """On `hard` the gap shrinks like 1/sqrt(K), so even always-baseline has slope 1/2.

    This is why stepmix.regret-rate takes the largest regret over gaps at each K.
    """
    curves = conservative.hard_curves(Scope(), {"stuck": lambda: StuckInBaseline(refresh_growth=0.1)})
    assert check(THEOREMS["stepmix.regret-rate"], curves).verdict is Verdict.HOLDS


def test_regret_that_does_not_saturate_is_caught() -> None:
    K = np.array([1000, 3000, 10_000])
    model = random_conservative(seed=0)
    traces = [play(model, NotGreedy(refresh_growth=0.1), 10_000, seed) for seed in range(5)]
    curve = Curve("not greedy", K * 1.0, np.array([trace.regret_at(K) for trace in traces]).T)
    assert check(THEOREMS["stepmix.saturation"], [curve]).verdict is Verdict.VIOLATED


def test_separation_checks_would_notice_a_safe_learner() -> None:
    safe = violations(range(3), lambda model: StepMix(refresh_growth=0.1))
    for piece in safe:
        for key in ("stepmix.unconstrained-violates", "stepmix.budget-violates"):
            assert check(THEOREMS[key], [piece]).verdict is Verdict.VIOLATED


def test_unconstrained_learner_overdraws_the_cumulative_budget() -> None:
    optimists = violations(range(12), lambda model: BPIUCBVI(bounds="kl", refresh_growth=0.1))
    report = check(THEOREMS["stepmix.budget-cumulative"], optimists)
    assert (report.verdict, report.violations) == (Verdict.VIOLATED, 12)


def test_evidence_with_scaled_bonuses_is_refused_unless_asked_for() -> None:
    runs = _runs(StepMix, HAZARD["model"], bonus_scale=0.1, rounds=50)
    with pytest.raises(UnguaranteedEvidenceError, match="constants other than the theory"):
        check(THEOREMS["stepmix.safety"], runs)
    assert check(THEOREMS["stepmix.safety"], runs, allow_unguaranteed=True).instances == len(runs)


# Mutants of the bounds.


def test_bonuses_scaled_to_a_tenth_break_the_claims_and_the_constraint() -> None:
    runs = [
        audited_run(
            hazard(p=0.5, kappa=0.1), StepMix(refresh_growth=0.1, bonus_scale=0.1), 2000, seed, "thin"
        )
        for seed in range(20)
    ]
    for key in ("stepmix.claims", "stepmix.safety"):
        assert check(THEOREMS[key], runs, allow_unguaranteed=True).verdict is Verdict.VIOLATED


GOLDEN_COUNTS = np.array([4, 3, 2, 1, 0])
GOLDEN_S, GOLDEN_A, GOLDEN_H, GOLDEN_DELTA = 5, 5, 3, 0.05


def _golden_radii(mode: str) -> tuple[float, float]:
    H, S, A = GOLDEN_H, GOLDEN_S, GOLDEN_A
    n_next = np.broadcast_to(GOLDEN_COUNTS, (H, S, A, S)).copy()
    support = np.ones((H, S, A, S), dtype=np.bool_)
    codes = np.array([_family.MODES.index(mode)])
    main, transport = _family.radii(codes, GOLDEN_DELTA, n_next, support)
    return float(main[0, 0, 0, 0]), float(transport[0, 0, 0, 0])


def test_radii_equal_the_worked_example() -> None:
    """S = A = 5, H = 3, delta = .05, n = 10: six decimals by hand; dropping any term changes them."""
    ell, beta = _golden_radii("bernstein")
    x = 10 * _golden_radii("kl")[0]
    beta_star, bpi_beta = _golden_radii("bpi-ucbvi")
    np.testing.assert_allclose(
        [ell, beta, x, beta_star, bpi_beta],
        [15.191755, 17.017419, 11.435192, 14.987782, 36.897129],
        atol=1e-5,
    )


def test_extremes_equal_the_worked_example() -> None:
    p, V = GOLDEN_COUNTS / 10, np.array([0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(kl_ball(p, V, 1.1435192), (0.019023, 0.778445), atol=1e-5)
    np.testing.assert_allclose(kl_ball(p, V, 0.1), (0.149021, 0.370917), atol=1e-5)


def test_dual_that_drops_states_without_mass_is_caught() -> None:
    rng = np.random.default_rng(0)
    balls = []
    for index in range(30):
        p = np.append(rng.dirichlet(np.ones(3)), 0.0)
        V = np.append(rng.random(3), 2.0)
        q = np.append(0.9 * p[:3], 0.1)
        bounds = kl_ball(p[:3], V[:3], 0.2)
        assert float((p[:3] * np.log(p[:3] / q[:3])).sum()) <= 0.2
        balls.append(concentration.Ball(str(index), bounds, kl_ball(p, V, 0.2), np.array([q @ V])))
    assert check(THEOREMS["stepmix.kl-dual"], balls).verdict is Verdict.VIOLATED
    assert check(THEOREMS["stepmix.kl-dual-attained"], balls).verdict is Verdict.VIOLATED


@given(
    weights=st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda w: sum(w) > 0.1),
    values=st.lists(st.floats(0, 3), min_size=3, max_size=3),
    eps=st.floats(1e-3, 3),
)
def test_kl_ball_agrees_with_a_conic_solver(weights: list[float], values: list[float], eps: float) -> None:
    """Tolerance 1e-5: the accuracy of the interior-point method, relative to values of order one."""
    p, V = np.array(weights) / sum(weights), np.array(values)
    charged = p > 1e-6
    p = np.where(charged, p, 0) / p[charged].sum()
    q = cp.Variable(3, nonneg=True)
    divergence = p[charged] @ np.log(p[charged]) - p[charged] @ cp.log(q[charged])
    problem = cp.Problem(cp.Maximize(V @ q), [cp.sum(q) == 1, divergence <= eps])
    problem.solve(solver=cp.CLARABEL)
    if problem.status == cp.OPTIMAL:
        assert kl_ball(p, V, eps).upper == pytest.approx(problem.value, abs=1e-5)


def test_threshold_without_the_mixture_term_is_caught() -> None:
    rng = np.random.default_rng(0)
    p, level = np.full(4, 0.25), math.log(1 / concentration.CROSSING_DELTA)
    streams = []
    for index in range(60):
        counts = np.cumsum(rng.multinomial(1, p, size=2000), axis=0)
        n = np.arange(1, 2001)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            divergence = np.where(counts > 0, counts * np.log(counts / (n * p)), 0).sum(axis=1)
        streams.append(concentration.Stream(str(index), float((divergence - level).max())))
    assert check(THEOREMS["stepmix.kl-threshold"], streams).verdict is Verdict.VIOLATED


TRANSPORT_MUTANTS = {
    "leading constant below sqrt 2": ("stepmix.transport", lambda case: case.terms.root(leading=1.4)),
    "lower-order constant below 1": ("stepmix.transport", lambda case: case.terms.root(lower_order=0.9)),
    "no lower-order term": ("stepmix.transport", lambda case: case.terms.root(lower_order=0.0)),
    "1/eta below 1/(2 eta)": (
        "stepmix.transport-linear",
        lambda case: case.terms.linear(case.eta, leading=0.45),
    ),
    "linear lower-order constant below 1": (
        "stepmix.transport-linear",
        lambda case: case.terms.linear(case.eta, lower_order=0.9),
    ),
}


@pytest.mark.parametrize("name", TRANSPORT_MUTANTS)
def test_transport_with_too_small_a_constant_is_caught(name: str) -> None:
    key, bound = TRANSPORT_MUTANTS[name]
    assert check(_with_bound(key, bound)).verdict is Verdict.VIOLATED


def test_transport_is_as_tight_as_its_leading_constant_allows(reports: dict[str, Any]) -> None:
    """For small alpha the distance is at most sqrt(2 Var alpha), 1/sqrt 2 of the bound, and reaches it."""
    assert 0.70 < reports["stepmix.transport"].tightness < math.sqrt(0.5) + 1e-6
    assert 0.66 < reports["stepmix.transport-linear"].tightness < math.sqrt(0.5) + 1e-6


@dataclass
class Reference:
    """A plain NumPy version of the ``bernstein`` family pass, with switches for its terms."""

    lead: float = 1.0
    half: float = 0.5
    transport: float = 1.0
    fixed_rule: bool = False
    greedy_lower: bool = True

    def __call__(
        self, n_next: np.ndarray, r: np.ndarray, pi_b: np.ndarray, ell: np.ndarray, beta: np.ndarray
    ) -> Any:
        H, S, _ = r.shape
        n = n_next.sum(axis=3)
        phat = n_next / np.maximum(n, 1)[..., None]
        U = np.zeros((H + 1, H + 1, S))
        L = np.zeros((H + 1, H + 1, S))
        greedy = np.zeros((H, S), dtype=np.int64)
        for j in range(H + 1):
            for h in range(H - 1, -1, -1):
                if j and h >= j:
                    U[j, h], L[j, h] = U[0, h], L[0, h]
                    continue
                rows = (n[h], r[h], phat[h], ell[h], beta[h])
                up, low = self.action_bounds(h, H, rows, U[j, h + 1], L[j, h + 1], j == H)
                if j == 0:
                    greedy[h] = np.argmax(up >= up.max(axis=1, keepdims=True) - 1e-12, axis=1)
                    U[j, h] = up.max(axis=1)
                    chosen = low[np.arange(S), greedy[h]]
                    L[j, h] = chosen if self.greedy_lower else low.max(axis=1)
                else:
                    U[j, h], L[j, h] = (pi_b[h] * up).sum(axis=1), (pi_b[h] * low).sum(axis=1)
        return U, L, greedy

    def action_bounds(self, h: int, H: int, rows: Any, U: np.ndarray, L: np.ndarray, whole: bool) -> Any:
        n, r, p, ell, beta = rows
        top, B = float(H - h), float(H - h - 1)
        if h == H - 1:
            return np.where(n >= 1, r, top), np.where(n >= 1, r, 0.0)
        m = np.maximum(n - 1, 1)
        variance = p @ U**2 - (p @ U) ** 2
        below = np.maximum(p @ (U - L), 0.0)
        lead = np.sqrt(2 * np.maximum(variance, 0) * ell / m) + (7 / 3 + self.half * H) * B * ell / m
        lead = self.lead * lead
        if whole or self.fixed_rule:
            under = lead + below / H
        else:
            under = lead + self.transport * (H + 3.5) * B * beta / np.maximum(n, 1) + 2 * below / H
        up, low = r + p @ U + lead + below / H, r + p @ L - under
        return np.where(n >= 2, np.minimum(up, top), top), np.where(n >= 2, np.maximum(low, 0.0), 0.0)


def _tight_cases(reference: Reference, cases: int) -> Iterator[concentration.Induction]:
    rng = np.random.default_rng(11)
    for index in range(cases):
        model = conservative.boltzmann_instance(rng)
        mdp = model.mdp
        H, S, A = mdp.r.shape
        pi_b = model.baseline.stages(H)
        n_next = rng.multinomial(rng.integers(0, 30, size=(H, S, A)), mdp.P)
        W = conservative.comparator_values(mdp, pi_b, "baseline-first")
        ell, beta = concentration.smallest_radii("bernstein", n_next, mdp.P, W)
        U, L, greedy = reference(n_next, mdp.r, pi_b, ell, beta)
        V = conservative.member_values(mdp, pi_b, np.eye(A)[greedy], "baseline-first")
        yield concentration.Induction(f"case {index}", "bernstein", U, L, W, V)


def test_family_pass_equals_a_plain_numpy_version() -> None:
    """Equal to 1e-11: the same sums in another order, over at most six stages."""
    rng = np.random.default_rng(5)
    for _ in range(30):
        model = conservative.boltzmann_instance(rng)
        mdp = model.mdp
        pi_b = model.baseline.stages(mdp.horizon)
        n_next = rng.multinomial(rng.integers(0, 3000, size=mdp.r.shape), mdp.P)
        options = _family.BoundOptions("bernstein", delta=0.9, bonus_scale=1.0, running=False)
        family = _family.FamilyState.start(mdp.r, pi_b, n_next=n_next)
        main, transport = (0.01 * a for a in _family.radii(options.codes, 0.9, n_next, family.support))
        family.refresh_with(options, np.ones(mdp.horizon + 1, dtype=np.bool_), main, transport)
        U, L, greedy = Reference()(n_next, mdp.r, pi_b, main[0], transport[0])
        np.testing.assert_allclose(family.U, U, atol=1e-11)
        np.testing.assert_allclose(family.L, L, atol=1e-11)
        np.testing.assert_array_equal(family.greedy, greedy)


BOUND_MUTANTS = {
    "no leading bonus": (Reference(lead=0.0), "stepmix.induction-upper"),
    "no transport term": (Reference(transport=0.0), "stepmix.induction-lower"),
    "rule of the baseline used for all members": (Reference(fixed_rule=True), "stepmix.induction-lower"),
    "lower bound from max over actions": (Reference(greedy_lower=False), "stepmix.induction-lower"),
}


@pytest.mark.parametrize("name", BOUND_MUTANTS)
def test_induction_catches_a_missing_term(name: str) -> None:
    reference, key = BOUND_MUTANTS[name]
    assert check(THEOREMS[key], _tight_cases(reference, 1500)).verdict is Verdict.VIOLATED


def _mutated_rows(reference: Reference) -> Iterator[concentration.Row]:
    for row in concentration.rows(Scope()):
        H, h, n, p, ell, beta, U, L, whole = row.arguments
        up, low = reference.action_bounds(h, H, (np.array(n), 0.0, p, ell, beta), U, L, whole)
        yield replace(row, upper=float(up), lower=float(low))


ROW_MUTANTS = {
    "no leading bonus": (Reference(lead=0.0), "stepmix.row-upper"),
    "no H/2 term": (Reference(half=0.0), "stepmix.row-lower"),
    "no transport term": (Reference(transport=0.0), "stepmix.row-lower"),
    "rule of the baseline used for all members": (Reference(fixed_rule=True), "stepmix.row-lower"),
}


@pytest.mark.parametrize("name", ROW_MUTANTS)
def test_single_row_catches_a_missing_term(name: str) -> None:
    reference, key = ROW_MUTANTS[name]
    assert check(THEOREMS[key], _mutated_rows(Reference())).verdict is Verdict.HOLDS
    assert check(THEOREMS[key], _mutated_rows(reference)).verdict is Verdict.VIOLATED


def test_running_maximum_of_changing_policies_is_caught() -> None:
    """L^(j) for j < H bounds a policy that changes with the counts, so its maximum over time is no bound."""
    rng = np.random.default_rng(3)
    cases = []
    for index in range(400):
        model = conservative.boltzmann_instance(rng)
        mdp = model.mdp
        H, A = mdp.horizon, mdp.n_actions
        pi_b = model.baseline.stages(H)
        W = conservative.comparator_values(mdp, pi_b, "baseline-first")
        n_next = np.zeros((*mdp.r.shape, mdp.n_states), dtype=np.int64)
        highest = np.zeros_like(W)
        for _ in range(4):
            n_next = n_next + rng.multinomial(rng.integers(0, 300, size=mdp.r.shape), mdp.P)
            main, transport = concentration.smallest_radii("kl", n_next, mdp.P, W)
            family = _family.FamilyState.start(mdp.r, pi_b, n_next=n_next)
            options = _family.BoundOptions("kl", running=False)
            family.refresh_with(options, np.ones(H + 1, dtype=np.bool_), main[None], transport[None])
            highest = np.maximum(highest, family.L)
        V = conservative.member_values(mdp, pi_b, np.eye(A)[family.greedy], "baseline-first")
        cases.append(concentration.Induction(f"case {index}", "kl", family.U, highest, W, V))
    assert check(THEOREMS["stepmix.induction-lower"], cases).verdict is Verdict.VIOLATED


# The learned baseline.


def _reuse_all_data(data: OfflineDataset, r: np.ndarray, rho: np.ndarray, delta: float, method: str) -> Any:
    """Apply the fold bonus to one undivided data set."""
    H, S, A = data.horizon, data.n_states, data.n_actions
    V, actions = np.zeros((H + 1, S)), np.empty((H, S), dtype=np.int64)
    log_term = math.log(2 * S * A * H * len(data) / delta)
    pessimistic_values(METHODS.index(method), log_term, data.transition_counts, r, V, actions)
    return LearnedBaseline(DeterministicPolicy(actions, A), float(rho @ V[0]), V[:-1], method)


def test_reusing_one_data_set_with_fold_bonuses_certifies_falsely() -> None:
    model = coupon(n_states=200)
    mdp, rng = model.mdp, np.random.default_rng(0)
    reused, folded = [], []
    for index in range(12):
        data = simulate_episodes(mdp, model.baseline, 200, rng)
        for learn, out in ((_reuse_all_data, reused), (learn_baseline, folded)):
            learned = learn(data, mdp.r, mdp.rho, 0.05, "fold-hoeffding")
            out.append(Certificate(str(index), learned.certificate, policy_value(mdp, learned.policy)))
    theorem = THEOREMS["stepmix.offline-certificate"]
    assert check(theorem, reused).verdict is Verdict.VIOLATED
    assert check(theorem, folded).violations == 0


def test_warm_start_outside_kl_would_be_invalid_and_is_refused() -> None:
    """On coupon the learned baseline and the empirical rows come from the same data."""
    with pytest.raises(ValueError, match="warm_start is valid only for bounds = 'kl'"):
        StepMix(bounds="bernstein", offline="kl", warm_start=True)
    model = coupon(n_states=400)
    mdp = model.mdp
    data = simulate_episodes(mdp, model.baseline, 400, np.random.default_rng(0))
    learned = learn_baseline(data, mdp.r, mdp.rho, 0.05, "kl")
    family = _family.FamilyState.start(mdp.r, learned.policy.stages(2), n_next=data.transition_counts)
    family.refresh(_family.BoundOptions("bernstein", delta=0.05), np.array([True, False, True]))
    assert float(mdp.rho @ family.L[2, 0]) > policy_value(mdp, learned.policy)


def _hazard_data(episodes: int, seed: int) -> tuple[ConservativeMDP, OfflineDataset]:
    model = hazard(p=0.3, kappa=0.2)
    behaviour = model.baseline.stages(5)
    mixed = Policy(0.8 * behaviour + 0.2 * behaviour[..., ::-1])
    return model, simulate_episodes(model.mdp, mixed, episodes, np.random.default_rng(seed))


def test_certificate_grows_with_the_data_on_average() -> None:
    means = []
    for episodes in (30, 100, 300, 1000, 3000):
        certified = []
        for seed in range(10):
            model, data = _hazard_data(episodes, seed)
            certified.append(learn_baseline(data, model.mdp.r, model.mdp.rho, 0.025, "kl").certificate)
        means.append(np.mean(certified))
    assert np.all(np.diff(means) > 0)


@pytest.mark.parametrize("options", [{"warm_start": True}, {}, {"bounds": "bernstein"}])
def test_learned_baseline_is_safe_online_and_the_gate_refuses_little_data(options: dict[str, Any]) -> None:
    model, data = _hazard_data(1000, 0)
    problem = EpisodicProblem(model.mdp, "hazard", threshold=2.284, offline=data)
    trace = play(problem, StepMix(offline="kl", refresh_growth=0.1, **options), 2000, 0)
    assert trace.guaranteed
    assert trace.values.min() >= 2.284 - conservative.ROUNDING
    model, few = _hazard_data(30, 0)
    refused = EpisodicProblem(model.mdp, "hazard", threshold=2.284, offline=few)
    with pytest.raises(ValueError, match="certify the learned baseline only at"):
        play(refused, StepMix(offline="kl"), 10, 0)


# Statistical companions of the theorems.


def test_lazy_refresh_costs_little_regret() -> None:
    """g = .1 against g = 0 on equal seeds: mean regrets within 20 %, and both safe."""
    model = random_conservative(seed=0)
    means = []
    for growth in (0.0, 0.1):
        traces = [play(model, StepMix(refresh_growth=growth), 1500, seed) for seed in range(6)]
        assert min(trace.values.min() for trace in traces) >= model.threshold - conservative.ROUNDING
        means.append(np.mean([trace.final_regret for trace in traces]))
    assert means[1] == pytest.approx(means[0], rel=0.2)


@pytest.mark.parametrize(
    ("make", "regret", "spread"), [(StepMix, 91.6, 9.8), (EpsMix, 74.9, 10.3)], ids=["stepmix", "epsmix"]
)
def test_reference_run_is_reproduced(make: Any, regret: float, spread: float) -> None:
    """random 0, K = 2e4, n_min = 2: an independent implementation's mean, within 5 standard errors.

    The spread is the larger of the two implementations' standard deviations over seeds; 20 seeds
    here and 5 there. False alarm below 1e-6 under normality.
    """
    model = random_conservative(seed=0)
    traces = [play(model, make(refresh_growth=0.1, n_min=2), 20_000, seed) for seed in range(20)]
    mean = np.mean([trace.final_regret for trace in traces])
    assert mean == pytest.approx(regret, abs=5 * spread * math.sqrt(1 / 5 + 1 / 20))
    assert min(trace.stretch_values.min() for trace in traces) >= model.threshold - conservative.ROUNDING


def test_choice_with_equal_bound_counts_as_certified() -> None:
    lower, upper = np.array([1.0, 2.0, 2.0]), np.array([3.0, 3.0, 3.0])
    steps = ((0, 1), (1, 2))
    assert choose(upper, lower, 1.0, steps).kind == OPTIMISTIC
    assert choose(upper, lower, 2.0, steps)[:4] == (MIXTURE, 1, 0, 1.0)
    assert choose(upper, lower, 2.5, steps).kind == BASELINE


def test_kl_counting_threshold_is_never_below_the_dirichlet_one_mixture() -> None:
    """C(n+S-1, S-1) <= (e (1 + n/(S-1)))^(S-1)."""
    for S in (2, 3, 10):
        for n in (1, 5, 100, 10**6):
            exact = math.lgamma(n + S) - math.lgamma(S) - math.lgamma(n + 1)
            assert confidence.kl_counting_threshold(n, float(S), 0.0) >= exact
