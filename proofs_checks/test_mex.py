"""MEX: every theorem holds in the quick profile, and every check can fail.

Mutants are deliberate errors in the algorithm or its constants; each is run through the very theorem that
must catch it. Errors of *choice* (a wrong sign, stale losses, a candidate left out) are caught by the
objective's theorems; errors of the *planners* by their own; the final regret bounds are vacuous at this
size, so that only their arithmetic can be tested (a bound a thousandth as large is refuted), and the links
of their proofs carry the weight.

Statistical verdicts report a violation of a true statement with probability at most 1e-6
(`theoryrl.theory.statistics.FALSE_ALARM`), per theorem.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from theoryrl.instances import risky_arms, risky_arms_class
from theoryrl.learners import MEX, gec
from theoryrl.learners.mex_finite import planned_class
from theoryrl.protocol import EpisodicProblem
from theoryrl.solvers import (
    PenalisedRow,
    kl_penalised_row,
    plan_mixture,
    plan_tabular_model,
    plan_tabular_q,
)
from theoryrl.solvers.maximize_to_explore import tabular_model
from theoryrl.solvers.maximize_to_explore.chain import chain_argmax
from theoryrl.solvers.maximize_to_explore.linear_q import RidgeData
from theoryrl.theory import PAPERS, THEOREMS, Scope, UnguaranteedEvidenceError, Verdict, check, verify
from theoryrl.theory.evidence import eluder, finite_classes, penalised
from theoryrl.theory.evidence.finite_classes import ModelRun, Scored, model_run, nearby, stage_losses
from theoryrl.theory.statistics import FALSE_ALARM, clopper_pearson

SCOPE = Scope()


KEYS = [theorem.key for theorem in PAPERS["mex"].theorems if "games-" not in theorem.key]
"""The theorems on games have a file of their own."""


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    return {report.theorem.key: report for report in verify(KEYS)}


@pytest.mark.parametrize("key", KEYS)
def test_theorem_holds_on_exact_models(reports: dict[str, Any], key: str) -> None:
    report = reports[key]
    assert report.verdict is Verdict.HOLDS, f"{report.verdict.value}: {report.detail}"
    assert report.instances > 0


def assert_caught(key: str, evidence: Any, **changes: Any) -> None:
    report = check(replace(THEOREMS[key], **changes), evidence, SCOPE, allow_unguaranteed=True)
    assert report.verdict is Verdict.VIOLATED, f"{report.verdict.value}: {report.detail}"


# Mutants of the choice.

Choose = Callable[[np.ndarray, list[np.ndarray], float], int]


def misled_run(choose: Choose, eta: float = 0.167, rounds: int = 300, seed: int = 0) -> ModelRun:
    """Play risky arms with another rule; `choose` sees V, the losses before each episode so far, and eta."""
    model, family = risky_arms(), risky_arms_class()
    planned, score = planned_class(family), Scored.of(family, model)
    rng = np.random.default_rng(seed)
    losses, chosen = [np.zeros(len(family))], []
    states, actions = np.zeros((rounds, 6), dtype=np.int64), np.zeros((rounds, 5), dtype=np.int64)
    for k in range(rounds):
        m = choose(planned.V, losses, eta)
        for h in range(5):
            actions[k, h] = planned.policies[m, h, states[k, h]]
            states[k, h + 1] = rng.choice(4, p=model.P[h, states[k, h], actions[k, h]])
        chosen.append(m)
        losses.append(stage_losses(family, states[: k + 1], actions[: k + 1])[-1].sum(axis=0))
    return ModelRun(
        "misled", family, score.truth, planned.V, score.values, np.array(chosen), np.full(rounds, eta),
        stage_losses(family, states, actions), score.energies, 0.0, 0.05,
    )  # fmt: skip


def honest(V: np.ndarray, losses: list[np.ndarray], eta: float) -> int:
    return int((V - eta * losses[-1]).argmax())


def wrong_sign(V: np.ndarray, losses: list[np.ndarray], eta: float) -> int:
    return int((V + eta * losses[-1]).argmax())


def stale(V: np.ndarray, losses: list[np.ndarray], eta: float) -> int:
    return int((V - eta * losses[max(0, len(losses) - 2)]).argmax())


def without_the_truth(V: np.ndarray, losses: list[np.ndarray], eta: float) -> int:
    return int((V - eta * losses[-1])[:-1].argmax())


def without_another(V: np.ndarray, losses: list[np.ndarray], eta: float) -> int:
    scores = V - eta * losses[-1]
    scores[1:-1] = -math.inf
    return int(scores.argmax())


def eta_on_the_value(V: np.ndarray, losses: list[np.ndarray], eta: float) -> int:
    return int((eta * V - losses[-1]).argmax())


def test_the_loop_of_the_mutants_is_mex() -> None:
    for key in ("mex.optimality", "mex.maximum"):
        assert check(THEOREMS[key], [misled_run(honest)]).verdict is Verdict.HOLDS


@pytest.mark.parametrize("choose", [wrong_sign, stale, without_the_truth], ids=lambda rule: rule.__name__)
def test_an_error_of_choice_breaks_the_optimality_inequality(choose: Choose) -> None:
    assert_caught("mex.optimality", [misled_run(choose, seed=seed) for seed in range(4)])


RULES = [wrong_sign, stale, without_the_truth, without_another, eta_on_the_value]


@pytest.mark.parametrize("choose", RULES, ids=lambda rule: rule.__name__)
def test_an_error_of_choice_does_not_reach_the_maximum(choose: Choose) -> None:
    assert_caught("mex.maximum", [misled_run(choose, seed=seed) for seed in range(4)])


def test_the_declared_error_is_needed() -> None:
    runs = list(finite_classes.approximate_runs(SCOPE))
    assert_caught("mex.approximate", runs, bound=lambda run: run.etas * run.loss_gap)
    assert_caught("mex.optimality", runs)


def test_a_moderate_eta_is_neither_limit() -> None:
    mdp, family = nearby(0)
    run = model_run(EpisodicProblem(mdp), MEX(hypotheses=family, eta=0.02), 200, 0, "moderate")
    picked = np.arange(200), run.chosen
    assert_caught(
        "mex.limits", [finite_classes.Limit("infinity", run.losses[picked], run.losses.min(axis=1))]
    )
    assert_caught("mex.limits", [finite_classes.Limit("zero", run.V[run.chosen], np.full(200, run.V.max()))])


def test_a_run_with_another_eta_is_no_evidence_for_the_regret_bound() -> None:
    mdp, family = nearby(0)
    run = model_run(EpisodicProblem(mdp), MEX(hypotheses=family, eta=0.2), 20, 0, "other eta")
    with pytest.raises(UnguaranteedEvidenceError):
        check(THEOREMS["mex.regret"], [run])


def test_an_audit_needs_the_true_model_in_the_class() -> None:
    mdp, family = nearby(0)
    with pytest.raises(ValueError, match="hypotheses must contain the true model"):
        Scored.of(family, nearby(1)[0])
    assert Scored.of(family, mdp).truth == len(family) - 1


# Mutants of the concentration lemmas.


def test_the_likelihood_lemma_is_tight_enough_to_refuse_a_doubled_distance() -> None:
    """At delta = 1/2 and models within 0.2 of the truth; the lemma itself holds there."""
    runs = list(finite_classes.lemma_runs(SCOPE, share=0.2, delta=0.5, rounds=600, seeds=60))
    assert check(replace(THEOREMS["mex.likelihood"], delta=0.5), runs).verdict is Verdict.HOLDS

    def doubled(run: ModelRun) -> float:
        L = run.stage_losses
        return float((L[:, :, run.truth : run.truth + 1] - L + 4 * run.past_energies).max())

    assert_caught("mex.likelihood", runs, measured=doubled, delta=0.5)


def test_the_decomposition_fails_for_a_learner_that_does_not_learn() -> None:
    """It plays the first candidate for ever: its energy grows, and the bound does not."""
    runs = [replace(run, chosen=0 * run.chosen) for run in finite_classes.lemma_runs(SCOPE)]
    assert_caught("mex.shortfall", runs)


@pytest.fixture(scope="module")
def function_runs() -> list[Any]:
    return list(finite_classes.function_runs(SCOPE))


def test_the_squared_errors_fall_no_faster_than_the_energy(function_runs: list[Any]) -> None:
    """The expected loss is the energy itself: three times the energy is refused."""
    assert_caught("mex.squared-errors", function_runs, measured=lambda run: (run.excess + 2.5 * run.energies)[
        np.isfinite(run.excess)].max())  # fmt: skip


def test_the_loss_needs_its_minimum_subtracted(function_runs: list[Any]) -> None:
    def raw(run: Any) -> float:
        spread = 0.5  # at least this variance per episode where the rewards come from
        return float(run.true_losses.max() + spread * run.rounds)

    assert_caught("mex.truth-feasible", function_runs, measured=raw)


@pytest.mark.parametrize(
    ("key", "rates"),
    [
        ("mex.moment-truth", {"truth_rate": 2.05}),
        ("mex.moment-candidate", {"candidate_rate": 1.05}),
        ("mex.moment-average", {"averaged_rate": 1.05}),
    ],
)
def test_the_rates_of_the_exponential_inequalities_are_sharp(key: str, rates: dict[str, float]) -> None:
    assert_caught(key, list(eluder.one_steps(SCOPE, **rates)))


# Mutants of the eluder coefficients.


def test_the_simulation_lemma_goes_along_the_true_model() -> None:
    assert_caught("mex.simulation", list(eluder.simulations(SCOPE, along_truth=False)))


def test_the_links_between_rows_are_tight() -> None:
    rows = list(eluder.row_pairs(SCOPE))
    assert_caught("mex.total-variation", rows, bound=lambda r: 0.9 * r.span * r.tv)
    assert_caught("mex.hellinger", rows, bound=lambda r: 1.2 * r.hellinger)


def test_a_cell_needs_its_burn_in_and_its_logarithm() -> None:
    cells = list(eluder.cell_sequences(SCOPE))
    assert_caught("mex.cell", cells, bound=lambda cell: cell.bound(burn_in=0.9))
    assert_caught("mex.cell", cells, bound=lambda cell: 2 + np.sqrt(cell.energy / 10))


@pytest.fixture(scope="module")
def model_sequences() -> list[Any]:
    return list(eluder.model_sequences(SCOPE))


@pytest.mark.parametrize("key", ["mex.eluder", "mex.eluder-refined"])
def test_the_potential_needs_its_burn_in_and_the_span(model_sequences: list[Any], key: str) -> None:
    refined = key.endswith("refined")

    def without_burn_in(s: Any) -> np.ndarray:
        return s.model_based(refined) - gec.model_based_burn_in(s.cells, s.horizon, refined)

    assert_caught(key, model_sequences, bound=without_burn_in)
    assert_caught(key, model_sequences, bound=lambda s: s.model_based(refined) / s.horizon)


def test_the_span_shows_on_the_absorbing_chain_only() -> None:
    """Random sequences come nowhere near: the check has its power from one example."""
    chain = eluder.absorbing_chain()
    ratio = float((chain.total / chain.model_based()).max())
    assert 0.26 < ratio < 0.28


def test_the_potential_of_functions_needs_its_burn_in() -> None:
    sequences = list(eluder.function_sequences(SCOPE))
    assert_caught("mex.eluder-functions", sequences, bound=lambda s: s.potential(np.ones(s.horizon), 0.0))
    smaller = {"bound": lambda s: s.potential(np.ones(s.horizon), 2.0 * s.cells / s.horizon)}
    assert_caught("mex.eluder-functions", sequences, **smaller)


# The final bounds, which are vacuous here.


@pytest.mark.parametrize("key", ["mex.regret", "mex.anytime", "mex.regret-functions"])
def test_a_vacuous_bound_is_reported_as_such_and_a_thousandth_of_it_is_refuted(
    reports: dict[str, Any], key: str
) -> None:
    assert reports[key].vacuous
    theorem = THEOREMS[key]
    assert_caught(key, list(theorem.evidence(SCOPE)), bound=lambda run: np.asarray(theorem.bound(run)) / 1000)


# Lock-in.


def test_a_lock_in_needs_the_whole_crossing() -> None:
    runs = list(finite_classes.lock_ins(SCOPE))
    assert_caught("mex.lock-in-needs-a-crossing", runs, measured=lambda run: 1.2 * run.locked / run.eta)


def test_an_eta_that_does_not_shrink_is_locked_too_often() -> None:
    assert_caught("mex.lock-in", [finite_classes.lock_in(0.894, 1000, seed) for seed in range(400)])


def test_the_share_of_locked_runs_is_the_exact_law() -> None:
    """Two-sided, exact binomial limits; false alarm 1e-6 in all."""
    for eta, runs in ((0.253, finite_classes.lock_ins(SCOPE)), (0.894, None)):
        pieces = list(runs or (finite_classes.lock_in(eta, 1000, seed) for seed in range(600)))
        low, high = finite_classes.lock_in_probability(eta)
        share = clopper_pearson(sum(run.locked for run in pieces), len(pieces), FALSE_ALARM / 4)
        assert share.low <= high
        assert share.high >= low


@pytest.mark.parametrize(
    ("eta", "probability", "digits"),
    [
        (0.0632, 2.1e-6, 1e-7),
        (0.167, 0.0057, 1e-4),
        (0.253, 0.0278, 1e-4),
        (0.894, 0.295, 1e-3),
        (1e9, 0.46, 1e-3),
    ],
)
def test_the_law_of_lock_ins_is_enclosed(eta: float, probability: float, digits: float) -> None:
    low, high = finite_classes.lock_in_probability(eta)
    assert 0 <= high - low < 1e-9
    assert abs(high - probability) < digits
    assert high <= math.exp(-0.8 / eta)


def test_the_rates_tell_the_two_schedules_apart() -> None:
    scaled = finite_classes.fixed_eta_curves(SCOPE, lambda K: 4 / math.sqrt(K))
    assert_caught("mex.fixed-eta", list(scaled))
    assert_caught("mex.scheduled-eta", list(finite_classes.scheduled_curves(SCOPE, lambda K: 0.894)))


# Mutants of the planners.


def without_left_over(counts: np.ndarray, c: float, V: np.ndarray) -> PenalisedRow:
    """Never gives mass to an unseen state."""
    return kl_penalised_row(counts, c, V, counts > 0)


def reversed_divergence(counts: np.ndarray, c: float, V: np.ndarray) -> PenalisedRow:
    """Maximises <p, V> - c KL(p || phat): an exponential tilt."""
    phat = counts / counts.sum()
    p = phat * np.exp(np.minimum(0.0, V - V[counts > 0].max()) / c)
    p /= p.sum()
    seen = p > 0
    return PenalisedRow(p, float(p @ V - c * np.sum(p[seen] * np.log(p[seen] / phat[seen]))))


@pytest.mark.parametrize("solve", [without_left_over, reversed_divergence], ids=lambda f: f.__name__)
@pytest.mark.filterwarnings("ignore:overflow|invalid|divide:RuntimeWarning")
def test_a_wrong_row_is_dominated_and_not_stationary(solve: Any) -> None:
    cases = list(penalised.row_cases(SCOPE, solve))
    for key in ("mex.row-dominates", "mex.row-stationary"):
        assert_caught(key, cases)


def test_a_value_without_its_price_is_caught() -> None:
    def unpriced(counts: np.ndarray, c: float, V: np.ndarray) -> PenalisedRow:
        row = kl_penalised_row(counts, c, V)
        return row._replace(value=float(row.p @ V))

    assert_caught("mex.row-value", list(penalised.row_cases(SCOPE, unpriced)))


def test_occupancy_caps_below_an_occupancy_give_no_upper_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        tabular_model._Search, "caps", property(lambda self: np.full(self.actions.shape, 0.3))
    )

    def plan(counts: Any, r: Any, rho: Any, eta: float, **options: Any) -> Any:
        search = tabular_model._Search(
            *tabular_model.check_problem(counts, r, rho, eta), eta, np.ones(counts.shape, dtype=np.bool_)
        )
        value, upper, _ = search.ascend_from(None)
        return SimpleNamespace(value=value, upper=upper, P=search.P)

    assert_caught("mex.models-upper", list(penalised.model_plans(SCOPE, plan)))
    with pytest.raises(ArithmeticError, match=r"upper bound .* is below"):
        list(penalised.model_plans(SCOPE))


def test_the_relaxations_value_is_not_reached() -> None:
    def overstated(*data: Any, **options: Any) -> Any:
        plan = plan_tabular_model(*data)
        return replace(plan, value=plan.upper)

    assert_caught("mex.models-reached", list(penalised.model_plans(SCOPE, overstated)))


def test_a_price_that_is_too_high_gives_no_upper_bound_over_mixtures() -> None:
    def cheap(hypotheses: Any, counts: Any, rho: Any, eta: float) -> Any:
        plan = plan_mixture(hypotheses, counts, rho, eta)
        return replace(plan, upper=plan_mixture(hypotheses, counts, rho, 8 * eta).upper)

    assert_caught("mex.mixtures-upper", list(penalised.mixture_plans(SCOPE, cheap)))


def test_half_the_bonus_gives_no_upper_bound_over_tables() -> None:
    def halved(counts: Any, rewards: Any, rho: Any, eta: float) -> Any:
        plan = plan_tabular_q(counts, rewards, rho, eta)
        return replace(plan, upper=plan_tabular_q(counts, rewards, rho, 2 * eta).upper)

    pieces = list(penalised.q_plans(SCOPE, halved))
    assert_caught("mex.tables-upper", pieces)
    assert_caught("mex.tables-exact", [piece for piece in pieces if not math.isnan(piece.exact)])

    def overstated(*data: Any) -> Any:
        plan = plan_tabular_q(*data)
        return replace(plan, value=plan.upper)

    assert_caught("mex.tables-reached", list(penalised.q_plans(SCOPE, overstated)))


def test_the_factor_of_the_occupancy_bonus_is_a_quarter() -> None:
    def of_half(counts: Any, rewards: Any, rho: Any, eta: float, policy: Any) -> float:
        return penalised.occupancy_bonus_value(counts, rewards, rho, eta / 2, policy)

    assert_caught("mex.tables-closed-form", list(penalised.fixed_policies(SCOPE, of_half)))

    def without(counts: Any, rewards: Any, rho: Any, eta: float, policy: Any) -> float:
        return penalised.occupancy_bonus_value(counts, rewards, rho, 1e9, policy)

    assert_caught("mex.tables-closed-form-maximal", list(penalised.fixed_policies(SCOPE, without)))


def test_a_chain_whose_losses_forget_the_successor_is_caught() -> None:
    def forgetful(V: np.ndarray, losses: np.ndarray, eta: float) -> Any:
        return chain_argmax(V, np.repeat(losses[:, :, :1], losses.shape[2], axis=2), eta)

    assert_caught("mex.chain", list(penalised.chains(SCOPE, forgetful)))


def test_the_ridge_belongs_to_the_loss_and_to_its_minimum() -> None:
    assert_caught("mex.ridge", list(penalised.ridge_losses(SCOPE, counted=0.0)))


def transposed(data: RidgeData, eta: float, actions: np.ndarray) -> float:
    """The closed form with phibar_{h+1} = M_h x_h instead of M_h^T x_h."""
    H, _ = data.b.shape
    states = np.arange(len(data.rho))
    features, total, V = data.rho @ data.phi[states, actions[0]], 0.0, np.zeros(len(states))
    for h in range(H):
        x = data.inverse[h] @ features
        total += float(features @ x) / (4 * eta)
        if h + 1 < H:
            features = data.G[h] @ data.phi[states, actions[h + 1]] @ x
    for h in range(H - 1, -1, -1):
        V = data.phi[states, actions[h]] @ (data.inverse[h] @ (data.b[h] + data.G[h] @ V))
    return float(data.rho @ V) + total


def test_a_transposed_matrix_is_caught() -> None:
    for key, evidence in (
        ("mex.linear-closed-form", penalised.linear_policies),
        ("mex.one-hot", penalised.one_hot),
    ):
        assert_caught(key, list(evidence(SCOPE, transposed)))


def test_the_linear_closed_form_without_its_bonus_is_exceeded() -> None:
    def plain(data: RidgeData, eta: float, actions: np.ndarray) -> float:
        return penalised.unclipped_policy_objective(data, 1e9, actions)

    assert_caught("mex.linear-closed-form-maximal", list(penalised.linear_policies(SCOPE, plain)))
