"""Methods for preference games: they do what their formulas say, and refuse what they cannot do."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.solvers.preference.games import FAMILIES, random_game, random_regularized
from theoryrl.instances import intransitive_contexts, random_preferences, rock_paper_scissors
from theoryrl.learners import (
    EGPO,
    INPO,
    LEARNERS,
    MMD,
    MPO,
    OMWU,
    IteratedReference,
    NashEMA,
    NashMD,
    NashMDPG,
    NashMP,
    NashMPPG,
    NashProx,
    OnlineIPO,
)
from theoryrl.learners.nash_mp_pg import policy_gradient
from theoryrl.models import PreferenceGame, RegularizedGame
from theoryrl.protocol import Duels, EquilibriumAudit, PreferenceProblem, play
from theoryrl.protocol.core import Run
from theoryrl.protocol.preference import Recorder
from theoryrl.solvers import preference as solvers
from theoryrl.solvers.simplex import kl_divergence, log_normalize, span
from theoryrl.study import Study

EXACT = ("nash-mp", "nash-prox", "nash-md", "nash-md-pg", "nash-ema", "online-ipo", "inpo", "egpo", "omwu")
EXACT += ("mmd", "mpo", "iterated-reference")
EPS = np.finfo(float).eps


def held(model, learner, rounds, seed=0):
    """The policies held in each round."""
    recorder = Recorder()
    play(PreferenceProblem(model), learner, rounds, seed, audit=recorder)
    return np.array(recorder.held)


def stacked(models):
    """One game whose contexts are the given games."""
    P = np.array([model.game.P for model in models])
    logs = np.concatenate([model.log_reference for model in models])
    return RegularizedGame(PreferenceGame(P), models[0].beta, logs)


# Reference figures.

QUERIES = [  # learner, median, least and most queries to KL <= 1e-6 over seeds 0..9 at beta = 0.1
    (NashMP(), (66, 62, 70)),
    (NashMP("lipschitz"), (52, 48, 62)),
    (EGPO(), (252, 238, 270)),
    (MMD(), (161, 153, 174)),
    (OnlineIPO(), (123.5, 117, 135)),
    (OMWU(), (133, 126, 143)),  # one more than an independent count, which leaves out the first query
]


@pytest.mark.parametrize(("learner", "expected"), QUERIES, ids=lambda value: repr(value)[:24])
def test_queries_to_accuracy_are_those_of_an_independent_implementation(learner, expected):
    model = stacked([random_preferences(10, 0.1, seed) for seed in range(10)])
    best = solvers.regularized_equilibrium(model).log_policy
    reached = kl_divergence(best, held(model, learner, 300)) <= 1e-6
    queries = reached.argmax(axis=0)
    assert (np.median(queries), queries.min(), queries.max()) == expected


def test_nash_md_is_slow_as_its_rate_says():
    """KL at T = 300 and 1000 of an independent implementation: 9.7e-6 and 8.5e-7."""
    game = PreferenceGame.random(10, np.random.default_rng(0))
    model = RegularizedGame(game, 0.1, log_normalize(np.random.default_rng(1).normal(size=(1, 10))))
    best = solvers.regularized_equilibrium(model).log_policy
    kl = kl_divergence(best, held(model, NashMD(), 1001))[:, 0]
    assert kl[300] == pytest.approx(9.7e-6, rel=0.01)
    assert kl[1000] == pytest.approx(8.5e-7, rel=0.01)
    constant = kl_divergence(best, held(model, NashMD(0.5), 1001))[:, 0]
    assert constant[1000] == pytest.approx(5.1e-4, rel=0.01)


def test_on_rock_paper_scissors_nash_mp_converges_and_unsafe_steps_do_not():
    """Figures of an independent implementation: 2.5e-27 after 200 iterations, 0.85 with gamma = 8."""
    model = rock_paper_scissors()
    best = solvers.regularized_equilibrium(model).log_policy
    assert kl_divergence(best, held(model, NashMP(), 401)[-1])[0] == pytest.approx(2.5e-27, rel=0.3)
    with pytest.warns(UserWarning, match=r"guarantee is void \(step = 8 is above 2\.70"):
        unsafe = held(model, NashMP(8.0, allow_unsafe_step=True), 401)
    assert kl_divergence(best, unsafe[-1])[0] == pytest.approx(0.85, abs=0.01)


def test_in_many_contexts_the_mean_divergence_falls_as_published():
    """An independent implementation: from 0.379 to 4.5e-10 in 100 iterations, with a gap of 2.9e-11."""
    model = intransitive_contexts(seed=5)
    audit = EquilibriumAudit(solvers.regularized_equilibrium(model))
    trace = play(model, NashMP(), 201, audit=audit)
    kl = trace.diagnostics["kl"]
    assert kl[0] == pytest.approx(0.379, abs=5e-4)
    assert kl[200] == pytest.approx(4.5e-10, rel=0.02)
    assert trace.diagnostics["gap"][200] == pytest.approx(2.9e-11, rel=0.02)
    assert kl[200] <= kl[0] * 1.1**-100


# What is what.


@given(seed=st.integers(0, 2**32 - 1), family=st.sampled_from(FAMILIES), step=st.floats(0.05, 2.0))
@settings(max_examples=30)
def test_nash_mp_is_the_extragradient_map(seed, family, step):
    model = random_regularized(np.random.default_rng(seed), family, 5, 0.1)
    ours, theirs = held(model, NashMP(step), 20), held(model, EGPO(step / (1 + step * 0.1)), 20)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13 * (1 + np.abs(ours).max()))


def test_inpo_is_online_ipo_in_another_parameter():
    model = random_preferences()
    np.testing.assert_array_equal(held(model, INPO(4.0), 30), held(model, OnlineIPO(0.25), 30))


@pytest.mark.parametrize("sampling", ["uniform", "policy"])
def test_online_ipo_goes_down_its_loss(sampling):
    """One step is gradient descent on the squared loss over pairs, by central differences in the logits."""
    model = random_preferences(4, 0.1, 3)
    A, beta, n = model.game.skew[0], model.beta, 4
    log_pi = model.log_reference[0] + np.array([0.3, -0.2, 0.1, 0.5])
    log_pi = log_normalize(log_pi)
    pi = np.exp(log_pi)
    weights = np.full((n, n), 1 / n**2) if sampling == "uniform" else np.outer(pi, pi)
    target = (A @ pi)[:, None] - A @ pi if sampling == "uniform" else A

    def loss(theta):
        d = log_normalize(theta) - model.log_reference[0]
        return float((weights * (d[:, None] - d - target / beta) ** 2).sum())

    h = 1e-6
    gradient = np.array([(loss(log_pi + h * e) - loss(log_pi - h * e)) / (2 * h) for e in np.eye(n)])
    rate = 1e-3
    step = rate if sampling == "policy" else 4 * rate / (n * beta)
    problem = PreferenceProblem(model, start=log_pi[None])
    recorder = Recorder()
    play(problem, OnlineIPO(step, sampling), 2, audit=recorder)
    np.testing.assert_allclose(
        recorder.held[1][0], log_normalize(log_pi - rate * gradient), rtol=0, atol=1e-8
    )


def test_the_printed_average_of_nash_ema_is_the_mixture_of_nash_md():
    model = random_preferences()
    recorders = Recorder(), Recorder()
    for recorder, learner in zip(
        recorders, (NashEMA(inertia=0.3, recursive=False), NashMDPG(mixture=0.3)), strict=True
    ):
        play(PreferenceProblem(model), learner, 20, audit=recorder)
    np.testing.assert_allclose(recorders[0].asked, recorders[1].asked, rtol=0, atol=1e-12)
    recursive = Recorder()
    play(PreferenceProblem(model), NashEMA(inertia=0.3), 20, audit=recursive)
    assert np.abs(np.array(recursive.asked) - np.array(recorders[0].asked)).max() > 1e-3


def test_self_play_cycles_above_its_threshold_and_not_below():
    model = rock_paper_scissors(0.1, bias=0.3)
    best = solvers.regularized_equilibrium(model).log_policy
    threshold = float(solvers.self_play_threshold(model, best)[0])
    near = log_normalize(best + 1e-4 * np.array([[1.0, -1.0, 0.5]]))
    for factor, grows in ((0.9, False), (1.1, True)):
        recorder = Recorder()
        play(PreferenceProblem(model, start=near), OnlineIPO(factor * threshold), 600, audit=recorder)
        kl = kl_divergence(best, np.array(recorder.held))[:, 0]
        assert (kl[-1] > 10 * kl[0]) == grows


def test_where_the_field_does_not_depend_on_the_policy_the_first_answer_is_the_equilibrium():
    r = np.array([0.1, -0.2, 0.05])
    model = PreferenceGame(0.5 + r[:, None] - r).regularized(0.01, [0.2, 0.3, 0.5])
    best = solvers.regularized_equilibrium(model).log_policy
    for step in ("lipschitz", "max"):
        assert kl_divergence(best, held(model, NashMP(step), 3)[2])[0] < 1e-24


@given(beta=st.floats(1e-2, 10), gamma=st.floats(0.1, 2.0), p=st.floats(0, 1))
@settings(max_examples=30)
def test_two_actions_contract_exactly_by_the_factor_of_the_step(beta, gamma, p):
    model = PreferenceGame([[0.5, p], [1 - p, 0.5]]).regularized(beta, [0.3, 0.7])
    best = solvers.regularized_equilibrium(model).log_policy
    distances = span(held(model, NashMP(gamma), 7)[::2, 0] - best[0])
    expected = distances[0] * (1 + gamma * beta) ** -np.arange(4.0)
    np.testing.assert_allclose(distances, expected, rtol=1e-9, atol=64 * EPS * (1 + np.abs(best).max()))


def test_equal_preferences_leave_nash_mp_where_it_starts():
    policies = held(PreferenceGame(np.full((3, 3), 0.5)).regularized(0.1, [0.2, 0.3, 0.5]), NashMP(), 6)
    np.testing.assert_allclose(policies, np.broadcast_to(policies[0], policies.shape), atol=4 * EPS)


@pytest.mark.parametrize("key", EXACT)
def test_contexts_are_independent_runs(key):
    rng = np.random.default_rng(2)
    model = random_regularized(rng, "uniform", 6, 0.1, X=4)
    together = held(model, LEARNERS[key](), 40)
    for x in range(4):
        alone = RegularizedGame(PreferenceGame(model.game.P[x]), 0.1, model.log_reference[x : x + 1])
        np.testing.assert_allclose(together[:, x], held(alone, LEARNERS[key](), 40)[:, 0], atol=1e-12)


@pytest.mark.parametrize("key", EXACT)
def test_relabelling_the_actions_relabels_the_run(key):
    rng = np.random.default_rng(3)
    model = random_regularized(rng, "intransitive", 6, 0.1)
    order = rng.permutation(6)
    P = model.game.P[0][np.ix_(order, order)]
    other = RegularizedGame(PreferenceGame(P), 0.1, model.log_reference[:, order])
    np.testing.assert_allclose(
        held(model, LEARNERS[key](), 40)[..., order], held(other, LEARNERS[key](), 40), atol=1e-10
    )


@pytest.mark.parametrize("key", [*EXACT, "nash-mp-pg"])
def test_a_run_can_be_saved_and_resumed_and_gives_the_same_trace_every_time(key, tmp_path):
    model = random_preferences()
    options = {"batch": 8, "inner_steps": 5} if key == "nash-mp-pg" else {}
    whole = play(model, LEARNERS[key](**options), 30, seed=5)
    run = Run(PreferenceProblem(model, "regularized-preference"), LEARNERS[key](**options), 30, 5)
    run.advance(11).save(tmp_path / "run")
    assert Run.load(tmp_path / "run").advance().trace.same_as(whole)
    assert play(model, LEARNERS[key](**options), 30, seed=5, stepwise=True).same_as(whole)


@pytest.mark.parametrize("key", [*EXACT, "nash-mp-pg"])
def test_a_method_improves_on_the_reference(key):
    options = {"batch": 64, "inner_steps": 25} if key == "nash-mp-pg" else {}
    trace = play(random_preferences(), LEARNERS[key](**options), 400)
    gaps = trace.benchmarks - trace.values
    assert gaps[-1] < 0.8 * gaps[0]
    assert (gaps > -1e-15).all()


def test_scoring_costs_no_products_beyond_those_of_the_queries(monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(1)
        return solvers.preference_field(*arguments)

    monkeypatch.setattr("theoryrl.protocol.preference.preference_field", counted)
    play(random_preferences(), NashMP(), 200)
    assert len(calls) == 200


def test_a_study_takes_preference_games():
    dataset = Study(["random-preferences:n_actions=4"], ["nash-mp:step=max", "mmd"], 20, 1).run(
        progress=False
    )
    assert dataset["regret"].shape == (2, 1, 1, 20)


# Proximal points.


def test_nash_prox_solves_each_problem_and_gets_there():
    """An independent implementation has 7e-32 after 20 steps of gamma = 50 on rock, paper, scissors."""
    model = rock_paper_scissors()
    best = solvers.regularized_equilibrium(model).log_policy
    policies = held(model, NashProx(step=50.0), 3500)
    centres = policies[np.r_[True, np.abs(np.diff(policies[:, 0, 0])) > 0]]
    kl = kl_divergence(best, centres)[:, 0]
    assert len(kl) > 20
    assert kl[20] < 1e-25
    ratio = kl[1:6] / kl[:5]
    assert (ratio < 1 / (1 + 50 * 0.01)).all()


@pytest.mark.parametrize("learner", [IteratedReference(), MPO(beta=0.1, period=100)], ids=lambda x: x.key)
def test_a_reference_that_follows_leads_to_the_unregularised_winner(learner):
    game = PreferenceGame.from_skew([[0, 0.1, -0.4], [-0.1, 0, 0.3], [0.4, -0.3, 0]])
    trace = play(game, learner, 3000)
    gaps = trace.benchmarks - trace.values
    assert gaps[0] > 0.05
    assert gaps[-1] < 1e-3


# Stochastic gradients.


def test_the_gradient_estimate_is_unbiased_by_enumeration_of_all_pairs_of_duels():
    """Two contexts, three actions: all outcomes of two duels, with their probabilities."""
    rng = np.random.default_rng(0)
    model = random_regularized(rng, "uniform", 3, 0.3, X=2)
    rho = np.array([0.3, 0.7])
    log_pi, log_mu = log_normalize(rng.normal(size=(2, 2, 3)))
    charge = rng.normal(size=(2, 3))
    P = model.game.P
    outcomes = [(*o, True) for o in np.ndindex(2, 3, 3)] + [(*o, False) for o in np.ndindex(2, 3, 3)]

    def chance(x, y, z, won):
        return rho[x] * np.exp(log_pi[x, y] + log_mu[x, z]) * (P[x, y, z] if won else 1 - P[x, y, z])

    mean = np.zeros((2, 3))
    for first, second in product(outcomes, repeat=2):
        duels = Duels(*(np.array(pair) for pair in zip(first, second, strict=True)))
        mean += chance(*first) * chance(*second) * policy_gradient(duels, log_pi, charge)
    pi = np.exp(log_pi)
    c = np.einsum("xij,xj->xi", P, np.exp(log_mu)) - charge
    exact = rho[:, None] * pi * (c - (pi * c).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(mean, exact, rtol=0, atol=1e-14)


def test_duels_follow_the_law_of_the_game():
    """Frequencies of 2e5 duels against their probabilities; |z| < 6 fails with probability 2e-9 per cell."""
    model = random_regularized(np.random.default_rng(1), "uniform", 3, 0.3, X=2)
    problem = PreferenceProblem(model)

    class Ask:
        key, guaranteed = "ask", True

        def init(self, spec, rng):
            return None

        def plan(self, state):
            from theoryrl.protocol import PreferenceDecision

            return PreferenceDecision(log_mu, log_mu, log_pi, 200_000)

        def update(self, state, decision, duels):
            return duels

    log_pi, log_mu = log_normalize(np.random.default_rng(2).normal(size=(2, 2, 3)))
    run = Run(problem, Ask(), 1)
    duels = run.advance().state
    seen = np.zeros((2, 3, 3, 2))
    np.add.at(seen, (duels.contexts, duels.first, duels.second, duels.won.astype(int)), 1)
    pair = model.game.rho[:, None, None] * np.exp(log_pi)[:, :, None] * np.exp(log_mu)[:, None, :]
    p = pair[..., None] * np.stack([1 - model.game.P, model.game.P], axis=-1)
    z = (seen - 200_000 * p) / np.sqrt(200_000 * p * (1 - p))
    assert np.abs(z).max() < 6


def test_more_duels_lead_closer():
    """Published runs end at 2.9e-2 and 9.3e-4 with 16 and 256 duels; a factor of 3 is asked for."""
    model = random_preferences(10, 0.1, 0)
    best = solvers.regularized_equilibrium(model).log_policy
    few, many = (kl_divergence(best, held(model, NashMPPG(batch=B), 10 * 200 + 1)[-1])[0] for B in (16, 256))
    assert few > 3 * many
    assert many < 3e-2


def test_the_practical_variant_with_a_slow_target_improves():
    model = random_preferences(10, 0.1, 0)
    best = solvers.regularized_equilibrium(model).log_policy
    kl = kl_divergence(best, held(model, NashMPPG(batch=256, learning_rate=0.5, ema=0.05), 1500))[:, 0]
    assert kl[-1] < kl[0] / 5


# Refusals.


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NashMP("fast"), "step must be one of worst-case, lipschitz, max; got 'fast'"),
        (lambda: NashMP(0.0), "step must be positive; got 0.0"),
        (lambda: NashMP(np.nan), "step must be a finite number"),
        (lambda: NashProx(step=-1.0), "step must be positive"),
        (lambda: NashProx(inner_tolerance=0.0), "inner_tolerance must be positive"),
        (lambda: NashProx(max_inner=1), "max_inner must be at least 2"),
        (lambda: NashMPPG(batch=1), "batch must be at least 2; got 1"),
        (lambda: NashMPPG(step=2.5), r"step must be a finite number in \[-inf, 2\]; got 2.5"),
        (lambda: NashMPPG(ema=0.0), "ema must be positive"),
        (lambda: NashMPPG(ema=1.5), "ema must be a finite number"),
        (lambda: NashMPPG(learning_rate=0.0), "learning_rate must be positive"),
        (lambda: NashMDPG(mixture=1.5), r"mixture must be a finite number in \[0, 1\]"),
        (lambda: NashMDPG(duels=1), "duels must be at least 2"),
        (lambda: NashEMA(inertia=1.0), r"inertia must be in \[0, 1\); got 1.0"),
        (lambda: OnlineIPO(sampling="greedy"), "sampling must be one of uniform, policy"),
        (lambda: MMD("max"), "step must be one of theory, lipschitz"),
        (lambda: INPO(0.0), "weight must be positive"),
        (lambda: MPO(period=0), "period must be at least 1"),
        (lambda: IteratedReference(beta=0.0), "beta must be positive"),
    ],
)
def test_bad_parameters(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        (NashMP(8.0), r"step must be at most 2\.70\d* for this game; got 8\.0"),
        (OnlineIPO(101.0), r"step must be at most 1 / beta = 100; got 101\.0"),
        (NashMD(101.0), "step must be at most 1 / beta"),
        (EGPO(101.0), "step must be at most 1 / beta"),
        (INPO(0.001), r"weight must be at least beta = 0\.01"),
    ],
)
def test_steps_that_the_game_does_not_allow(learner, message):
    with pytest.raises(ValueError, match=message):
        play(rock_paper_scissors(), learner, 2)


def test_a_step_above_the_worst_case_is_allowed_where_the_game_allows_it():
    model = rock_paper_scissors()
    step = float(solvers.largest_mirror_prox_step(0.375, model.beta))
    assert step > 2.6
    assert play(model, NashMP(0.999 * step), 2).guaranteed
    with pytest.warns(UserWarning, match="guarantee is void"):
        assert not play(model, NashMP(1.01 * step, allow_unsafe_step=True), 2).guaranteed


@pytest.mark.parametrize(
    "key", [key for key in [*EXACT, "nash-mp-pg"] if key not in ("mpo", "iterated-reference")]
)
def test_methods_for_regularised_games_refuse_others(key):
    with pytest.raises(ValueError, match=f"{key} needs a regularised game"):
        play(random_game(np.random.default_rng(0), "uniform", 3), LEARNERS[key](), 2)


def test_the_start_must_fit_the_game_and_be_normalised():
    with pytest.raises(ValueError, match="start must have shape"):
        PreferenceProblem(rock_paper_scissors(), start=np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"start\[0, :\] must be normalised; its probabilities sum to 3"):
        PreferenceProblem(rock_paper_scissors(), start=np.zeros((1, 3)))


def test_a_centre_that_moves_before_its_problem_is_solved_is_announced():
    with pytest.warns(UserWarning, match="guarantee is void .*4 queries left a certificate of"):
        play(rock_paper_scissors(), NashProx(max_inner=4), 10)


def test_what_has_no_theorem_says_so():
    void = (OnlineIPO(), INPO(), NashMPPG(), NashMDPG(), NashEMA(), NashMD(0.1), EGPO(0.1), OMWU(0.1), MPO())
    assert not any(learner.guaranteed for learner in void)
    assert all(learner.guaranteed for learner in (NashMP(), NashProx(), NashMD(), EGPO(), MMD(), OMWU()))
