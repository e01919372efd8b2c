"""DR-RPO: every theorem holds in the quick profile, and every check can fail.

Mutants are deliberate errors in an algorithm, a set or a constant, each run through the theorem that must
catch it. Statistical verdicts report a violation of a true statement with probability at most 1e-6
(`theoryrl.theory.statistics.FALSE_ALARM`), per theorem.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from theoryrl.instances import five_state, random_robust_linear, unobserved_turn
from theoryrl.learners import DRRPO, LSVIUCB
from theoryrl.models import EpisodicMDP, Policy, RobustMDP, Uncertainty
from theoryrl.protocol import EpisodicDecision, OffDynamicsProblem
from theoryrl.solvers import (
    backward_induction,
    policy_evaluation,
    robust_mirror_ascent,
    robust_policy_evaluation,
    robust_value_iteration,
)
from theoryrl.solvers.robust._operators import soft_greedy
from theoryrl.solvers.robust.backups import divergence, expectation
from theoryrl.theory import PAPERS, THEOREMS, Scope, UnguaranteedEvidenceError, Verdict, check, verify
from theoryrl.theory.core import Curve
from theoryrl.theory.evidence import robust_learning as learning
from theoryrl.theory.evidence import robust_planning as planning
from theoryrl.theory.evidence.robust_linear import Plan, PlanAudit, RegressionAudit, audited_run
from theoryrl.theory.evidence.robust_planning import Ascent, InnerProblem, Sides

pytestmark = pytest.mark.filterwarnings("ignore:.*the guarantee is void:UserWarning")


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    return {report.theorem.key: report for report in verify(["dr-rpo"])}


@pytest.mark.parametrize("key", [theorem.key for theorem in PAPERS["dr-rpo"].theorems])
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
    """Whether a theorem with a wrong side, or without a premise, is refuted by true evidence."""
    return check(replace(THEOREMS[key], **changes), pieces).verdict is Verdict.VIOLATED


# Mutants of the sets.


def _inner(rng: np.random.Generator, mutant: Callable[..., Any]) -> list[InnerProblem]:
    cases = []
    for index in range(60):
        S = int(rng.integers(2, 7))
        p0, v = rng.dirichlet(np.full(S, 0.5)), 3 * rng.random(S)
        cases.append(mutant(index, p0, v, float(rng.random())))
    return cases


def l1_radius_for_tv(index: int, p0: np.ndarray, v: np.ndarray, radius: float) -> InnerProblem:
    """Moves the whole L1 radius instead of half of it."""
    wrong = expectation(Uncertainty("tv", radius), p0, v, rows=True)
    right = Uncertainty("l1", radius)
    assert wrong.rows is not None
    excess = float(divergence(right, wrong.rows, p0)) - radius
    return InnerProblem(str(index), float(wrong.value), float(expectation(right, p0, v).lower), excess)


def kl_that_creates_support(index: int, p0: np.ndarray, v: np.ndarray, radius: float) -> InnerProblem:
    """Lets KL use a state that the nominal row does not charge."""
    centre = np.where(np.arange(len(v)) == v.argmin(), 0.0, p0)
    centre /= centre.sum()
    smoothed = 0.99 * centre + 0.01 * np.eye(len(v))[v.argmin()]
    wrong = expectation(Uncertainty("kl", radius), smoothed, v, rows=True)
    right = Uncertainty("kl", radius)
    assert wrong.rows is not None
    excess = float(divergence(right, wrong.rows, centre)) - radius
    return InnerProblem(str(index), float(wrong.value), float(expectation(right, centre, v).lower), excess)


@pytest.mark.parametrize("mutant", [l1_radius_for_tv, kl_that_creates_support])
@pytest.mark.parametrize("key", ["dr-rpo.duality", "dr-rpo.feasibility"])
def test_a_wrong_set_is_caught(key: str, mutant: Callable[..., Any]) -> None:
    assert caught(key, _inner(np.random.default_rng(0), mutant))


def test_a_dual_searched_over_the_values_only_is_caught() -> None:
    """The chi-square penalty's dual at breakpoints is too low, for ever."""
    p0, v, price = np.array([0.5, 0.5]), np.array([0.0, 3.0]), 0.25
    at_values = max(p0 @ np.minimum(v, a) - np.var(np.minimum(v, a)) / (4 * price) for a in v)
    value = float(expectation(Uncertainty("chi2", price, penalty=True), p0, v).value)
    assert caught("dr-rpo.duality", [InnerProblem("breakpoints", value, float(at_values), 0.0)])


def test_half_the_radius_is_not_the_least_over_factors() -> None:
    assert caught("dr-rpo.linearity", planning.linear_pairs(Scope(), share=0.5))


def test_the_nominal_kernel_is_not_the_worst_one() -> None:
    rng, pieces = np.random.default_rng(1), []
    for index in range(10):
        mdp = planning.random_tabular(rng)
        policy = Policy.uniform(mdp.n_states, mdp.n_actions)
        robust = robust_policy_evaluation(RobustMDP(mdp, Uncertainty("tv", 0.3)), policy)
        pieces.append(Sides(str(index), robust.value, policy_evaluation(mdp, policy).value))
    assert caught("dr-rpo.worst-kernel", pieces)


def test_a_policy_for_one_budget_per_action_does_not_guarantee_the_shared_value() -> None:
    """The greedy policy of the (s, a)-rectangular problem is deterministic; the maximin one mixes."""
    rng, pieces = np.random.default_rng(2), []
    for index in range(20):
        mdp = planning.random_tabular(rng)
        shared = RobustMDP(mdp, Uncertainty("l1", 0.5), rectangularity="s")
        greedy = robust_value_iteration(RobustMDP(mdp, Uncertainty("l1", 0.5))).policy
        value = robust_policy_evaluation(shared, greedy).value
        pieces.append(Sides(str(index), value, robust_value_iteration(shared).value))
    assert caught("dr-rpo.shared-budget", pieces)


def test_laws_of_the_operator_cannot_be_claimed_stronger() -> None:
    assert refuted("dr-rpo.contraction", bound=lambda case: 0.9 * case.right)
    assert refuted("dr-rpo.radius", measured=lambda case: case.right, bound=lambda case: case.left)
    assert refuted("dr-rpo.temperature", bound=lambda case: 0.5 * case.right)
    assert refuted("dr-rpo.reweighting", bound=lambda case: np.sqrt(case.right))


# Mutants of the regularised policies.


@pytest.mark.parametrize("key", ["dr-rpo.soft-greedy", "dr-rpo.gap-second-order"])
def test_the_eighth_cannot_be_a_sixteenth(key: str) -> None:
    bound = THEOREMS[key].bound
    assert refuted(key, bound=lambda case: 0.5 * np.asarray(bound(case)))


def test_a_policy_of_the_wrong_temperature_keeps_a_gap() -> None:
    model = planning.regularised_model(np.random.default_rng(7), 0.3)
    assert model.nominal.n_actions > 1
    best, sizes, gaps = robust_value_iteration(model), 2.0 ** -np.arange(4, 12), []
    for size in sizes:
        noise = size * np.random.default_rng(4).normal(size=best.action_values.shape)
        pi, _ = soft_greedy(best.action_values + noise, 0.6, model.reference_policy)
        gaps.append(best.start_value - robust_policy_evaluation(model, Policy(pi)).start_value)
    curve = Curve("twice the temperature", sizes, np.array(gaps)[:, None], exact=True)
    assert caught("dr-rpo.soft-greedy-rate", [curve])


def test_ascent_along_nominal_action_values_loses_robust_value() -> None:
    robust, nominal = (five_state(xi_norm=0.3, radius=radius, temperature=0.02) for radius in (0.8, 0.0))
    policy, values = Policy(robust.reference_policy), []
    for _ in range(60):
        values.append(robust_policy_evaluation(robust, policy).start_value)
        policy = robust_mirror_ascent(nominal, 5.0, 1, start=policy).policy
    assert caught("dr-rpo.mirror-monotone", [Ascent("nominal ascent", np.array(values), 0.0, 0.02, 3)])


def test_ascent_loses_value_where_the_adversary_has_one_budget_for_all_actions() -> None:
    """So mirror ascent is refused for s-rectangular sets: the adversary answers to the new mixture."""
    rng, pieces = np.random.default_rng(0), []
    for index in range(20):
        mdp = EpisodicMDP(rng.dirichlet(np.full(3, 0.4), size=(2, 3, 3)), rng.random((2, 3, 3)), np.eye(3)[0])
        model = RobustMDP(mdp, Uncertainty("l1", float(2 * rng.random())), rectangularity="s")
        pi, values = np.full((2, 3, 3), 1 / 3), []
        for _ in range(20):
            current = robust_policy_evaluation(model, Policy(pi))
            values.append(current.start_value)
            pi = pi * np.exp(5 * current.action_values)
            pi /= pi.sum(axis=2, keepdims=True)
        pieces.append(Ascent(str(index), np.array(values), 0.0, 0.0, 2))
    assert caught("dr-rpo.mirror-monotone", pieces)


def test_mirror_ascent_is_no_faster_than_its_rate_and_takes_an_update_per_stage() -> None:
    assert refuted(
        "dr-rpo.mirror-rate",
        bound=lambda run: np.full(planning.tail_factors(run).shape, (1 + run.eta_t) ** -3.0),
    )
    early = [
        replace(run, values=run.values[:-1])
        for run in planning.soft_policy_iterations(Scope())
        if len(run.values) > 2
    ]
    assert caught("dr-rpo.soft-policy-iteration", early)


def test_the_flip_radius_needs_the_slips() -> None:
    assert refuted(
        "dr-rpo.flip-radius", bound=lambda flip: 1 - (1 - flip.formula) / (1 - 0.001) / (1 - 0.001)
    )


# Mutants of the plan.


class NoBonus(DRRPO):
    """Claims its bonus and does not add it."""

    factor = 0.0

    def optimistic_plan(self, state: Any) -> np.ndarray:
        beta = state.beta.copy()
        state.beta *= self.factor
        pi = super().optimistic_plan(state)
        state.beta[:] = beta
        roots = np.sqrt(np.einsum("hii->hi", state.regression.inverse))
        state.g[:] = beta[:, None] * roots * (np.arange(len(beta)) < len(beta) - 1)[:, None]
        return pi


class ThreeBonuses(NoBonus):
    """Adds three times the bonus that it claims."""

    factor = 3.0


class Pessimist(NoBonus):
    """Subtracts its bonus."""

    factor = -1.0


def _elliptic(**options: Any) -> DRRPO:
    return DRRPO(bonus="elliptic", **options)


def _root_of_squares(**options: Any) -> DRRPO:
    return DRRPO(bonus="factor-l2", **options)


PLAN_MUTANTS = [
    ("dr-rpo.factor-bonus", _elliptic),
    ("dr-rpo.factor-bonus", _root_of_squares),
    ("dr-rpo.optimism", _elliptic),
    ("dr-rpo.optimism", _root_of_squares),
    ("dr-rpo.optimism", NoBonus),
    ("dr-rpo.optimism", Pessimist),
    ("dr-rpo.gap", NoBonus),
    ("dr-rpo.gap", ThreeBonuses),
    ("dr-rpo.overshoot", ThreeBonuses),
]


@pytest.mark.parametrize(("key", "make"), PLAN_MUTANTS, ids=[f"{k}-{m.__name__}" for k, m in PLAN_MUTANTS])
def test_a_mutant_of_the_plan_is_caught(key: str, make: Callable[..., Any]) -> None:
    assert caught(key, learning.tight_plans(Scope(), make))


@pytest.mark.parametrize("make", [DRRPO, NoBonus])
def test_a_plan_that_does_not_subtract_its_bonus_is_no_lower_bound(make: Callable[..., Any]) -> None:
    assert caught("dr-rpo.pessimism", learning.pessimistic_plans(Scope(), make))


def test_a_pessimist_pays_for_two_bonuses_where_the_best_policy_goes() -> None:
    bound = THEOREMS["dr-rpo.pessimism"].bound
    assert refuted("dr-rpo.pessimism", bound=lambda plan: 0.2 * np.asarray(bound(plan)))


def test_the_gap_cannot_be_bounded_by_one_bonus_instead_of_two() -> None:
    assert refuted("dr-rpo.gap", bound=lambda plan: 0.5 * np.asarray(THEOREMS["dr-rpo.gap"].bound(plan)))


class Shuffled(DRRPO):
    """Mixes up the next states of an episode."""

    def update(self, state: Any, decision: Any, observation: Any) -> Any:
        states = observation.states.copy()
        states[:, 1:] = (states[:, 1:] + 1) % len(state.spec.phi)
        return super().update(state, decision, observation._replace(states=states))


@pytest.mark.parametrize("name", ["tv", "tv-penalty", "kl-penalty", "chi2-penalty", "two regressions"])
def test_a_bonus_of_a_hundredth_does_not_cover_the_errors(name: str) -> None:
    key = "dr-rpo.concentration" if name == "tv" else "dr-rpo.concentration-penalties"
    runs = []
    for seed in range(40):
        moments = name == "two regressions"
        kind = "chi2-penalty" if moments else name
        model = learning.random_learning_model(np.random.default_rng([seed, 1]), seed, kind, 0.1)
        learner = DRRPO(delta=0.05, bonus_scale=0.01, two_regressions=moments)
        runs.append(audited_run(model, learner, 20, seed, name, audit=RegressionAudit()))
    with pytest.raises(UnguaranteedEvidenceError, match="constants other than the theory"):
        check(THEOREMS[key], runs)
    assert caught(key, runs, allow_unguaranteed=True)


def test_learning_from_wrong_next_states_is_caught_in_the_end() -> None:
    model = random_robust_linear(3, 1, 0, 2, "one-hot", radius=0.1, temperature=0.1, seed=1)
    runs = [
        audited_run(model, Shuffled(), 1500, seed, "shuffled", audit=RegressionAudit()) for seed in range(7)
    ]
    assert caught("dr-rpo.concentration", runs)


def test_a_gap_without_a_bonus_exceeds_its_sum() -> None:
    runs = []
    for seed in range(25):
        model = random_robust_linear(6, 3, 4, 4, "dirichlet", temperature=0.2, seed=seed)
        runs.append(audited_run(model, DRRPO(bonus_scale=1e-6), 3, seed, "tiny bonus"))
    assert caught("dr-rpo.gap-theory", runs, allow_unguaranteed=True)


# What coverage is needed for.


def test_domination_needs_nonnegative_values() -> None:
    assert refuted("dr-rpo.domination", given=None)


def _unobserved_plan() -> Plan:
    """A plan on `unobserved_turn` after a million episodes, where some value is negative."""
    model = unobserved_turn()
    problem, learner = OffDynamicsProblem(model), DRRPO()
    state = learner.init(problem.spec(10**6), np.random.default_rng(0))
    states, actions = np.array([[0, 1, 1, 1]]), np.zeros((1, 3), dtype=np.int64)
    state.regression.record(state.spec.phi, states, actions, np.full((1, 3), 1e6))
    row = PlanAudit()(problem, state, EpisodicDecision(learner.plan(state).policy))
    return Plan("unobserved turn", model, row, np.zeros(1), np.zeros(1))


def test_the_nominal_bound_needs_nonnegative_values_or_another_adversary() -> None:
    plan = _unobserved_plan()
    assert check(THEOREMS["dr-rpo.nominal-gap"], [plan]).verdict is Verdict.INCONCLUSIVE, "set aside"
    assert refuted("dr-rpo.nominal-gap", [plan], given=None)
    assert check(THEOREMS["dr-rpo.absorb-only"], [plan]).verdict is Verdict.HOLDS
    full = {**plan.numbers, "absorb_gap": plan.numbers["gap"]}
    assert caught("dr-rpo.absorb-only", [replace(plan, numbers=full)])


def test_the_linear_regret_is_due_to_the_regulariser_and_to_the_bonus() -> None:
    timid = learning.unobserved_turns(Scope(), lambda: DRRPO(bonus_scale=1e-9))
    assert caught("dr-rpo.sign-failure", timid, allow_unguaranteed=True)
    elliptic = learning.repeated_mixtures(Scope(), lambda: LSVIUCB(beta=1.0))
    assert caught("dr-rpo.uncovered-direction", elliptic, allow_unguaranteed=True)


class Forgetful(DRRPO):
    """Forgets all data before each episode, so that its bonuses do not shrink."""

    def update(self, state: Any, decision: Any, observation: Any) -> Any:
        H, d, S = state.regression.G.shape
        state.regression = type(state.regression).start(H, d, S, self.ridge)
        return super().update(state, decision, observation)


def test_bonuses_of_a_learner_that_forgets_add_up_to_more() -> None:
    assert caught("dr-rpo.table-bonuses", learning.table_runs(Scope(), Forgetful))


def test_rates_are_not_those_of_a_greedy_learner_or_of_a_smaller_bound() -> None:
    curves = learning.covered_curves(
        Scope(), lambda: DRRPO(temperature=0.0, delta=0.15, switching="doubling")
    )
    assert caught("dr-rpo.fast-rate", curves, allow_unguaranteed=True)
    for key in ("dr-rpo.coverage-slow", "dr-rpo.coverage-fast"):
        bound = THEOREMS[key].bound
        assert refuted(key, bound=lambda run, bound=bound: 1e-4 * bound(run))


def test_the_reference_may_cover_more_than_the_played_policy() -> None:
    assert refuted("dr-rpo.reference-coverage", measured=learning.reference_coverage)


def test_planning_always_exceeds_the_number_of_plans() -> None:
    model = random_robust_linear(3, 2, 3, 2, "covered", temperature=1.0, seed=0)
    run = audited_run(model, DRRPO(delta=0.15), 300, 0, "always", audit=RegressionAudit())
    assert caught("dr-rpo.replans", [run])
    assert run.column("plans")[-1] > 1 + 6 * math.log2(101)


def test_the_vacuous_bound_is_reported_as_vacuous(reports: dict[str, Any]) -> None:
    assert reports["dr-rpo.gap-theory"].vacuous


def test_nominal_planning_is_a_robust_plan_of_radius_zero() -> None:
    mdp = planning.random_tabular(np.random.default_rng(5))
    robust = robust_value_iteration(RobustMDP(mdp, Uncertainty("kl", 0.0)))
    np.testing.assert_allclose(robust.value, backward_induction(mdp).value, atol=1e-12)
