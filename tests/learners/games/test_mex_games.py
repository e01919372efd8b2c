"""Learners of Markov games: their limits, their classes, and what they refuse."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theoryrl import play, solve
from theoryrl.instances import random_candidate_game, risky_game
from theoryrl.learners import (
    VIULCB,
    GreedyGame,
    MEXGame,
    MEXGameModelFree,
    NashVI,
    PosteriorGame,
)
from theoryrl.learners._candidates import worst_within
from theoryrl.learners.baselines.games._kernels import correlated, optimistic
from theoryrl.learners.mex_games import (
    anytime_eta,
    anytime_half_bound,
    game_burn_in,
    game_gec,
    half_regret_bound,
    theory_eta,
)
from theoryrl.models import CandidateGame, FiniteGameClass
from theoryrl.protocol import FixedOpponent, MarkovGameProblem, Run

ALL = (MEXGame(), MEXGameModelFree(), GreedyGame(), PosteriorGame(), NashVI(), VIULCB())
LISTED = ALL[:4]
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("learner", ALL, ids=lambda learner: learner.key)
def test_every_learner_plays_and_never_earns_more_than_the_value(learner):
    for model in (risky_game(), random_candidate_game(n_candidates=4)):
        trace = play(model, learner, 25)
        assert (trace.values <= trace.benchmarks + 1e-12).all()
        assert trace.guaranteed == learner.guaranteed


@pytest.mark.parametrize("learner", LISTED, ids=lambda learner: learner.key)
def test_a_learner_with_a_list_also_meets_an_opponent(learner):
    problem = MarkovGameProblem.from_candidates(risky_game(), opponent=FixedOpponent())
    trace = play(problem, learner, 25)
    assert (trace.diagnostics["exploiter"] == -1).all()
    assert np.isnan(trace.diagnostics["pessimistic"]).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_huge_eta_is_greedy_and_a_tiny_one_only_optimistic(seed):
    for model in (risky_game(), random_candidate_game(n_candidates=6, seed=seed)):
        greedy, huge = play(model, GreedyGame(), 60, seed), play(model, MEXGame(eta=1e9), 60, seed)
        assert greedy.same_as(huge)
        tiny = play(model, MEXGame(eta=1e-12), 60, seed)
        values = [solve(model.candidates[m]).start_value for m in range(len(model.candidates))]
        assert tiny.diagnostics["optimistic"] == pytest.approx(max(values), abs=1e-9)


def test_the_constants_are_those_of_the_theorem():
    shape, K, M, delta = (3, 4, 4, 2), 1000, 8, 0.05
    iota = math.log(3 * 8 / 0.05)
    d = 2 / math.log(2) * 27 * 32 * math.log(1000)
    assert game_gec(shape, K) == pytest.approx(d)
    assert game_burn_in(shape) == pytest.approx(2 * math.sqrt(2) * 9 * 32)
    eta = theory_eta(shape, K, M, delta)
    assert eta == pytest.approx(math.sqrt(d / (16 * 3 * K * iota)))
    sum_of_terms = 2 * eta * 3 * K * iota + d / (8 * eta) + game_burn_in(shape)
    assert half_regret_bound(shape, K, M, delta) == pytest.approx(sum_of_terms)
    assert theory_eta(shape, 1, M, delta) > 0


@pytest.mark.parametrize("K", [1, 2, 3, 7, 8, 100, 1000, 12345])
def test_the_epochs_of_the_anytime_schedule_add_up_to_its_bound(K):
    """2 eta_m H n iota + d_m / (8 eta_m) over the epochs m of n episodes, the burn-in once."""
    shape, M, delta = (3, 4, 4, 2), 8, 0.05
    iota, total, start = math.log(3 * M / delta), game_burn_in(shape), 1
    while start <= K:
        n, eta = min(2 * start, K + 1) - start, anytime_eta(shape, start, M, delta)
        assert anytime_eta(shape, start + n - 1, M, delta) == eta
        total += 2 * eta * 3 * n * iota + game_gec(shape, 2 * start) / (8 * eta)
        start *= 2
    assert total <= anytime_half_bound(shape, K, M, delta) * (1 + 1e-12)


def test_a_slack_takes_the_worst_choice_within_it():
    J = np.array([0.5, 1.0, 0.85, 0.95, -np.inf])
    assert worst_within(J, 0.0) == 1
    assert worst_within(J, 0.1) == 3
    assert worst_within(J, 0.2) == 2
    assert worst_within(np.array([1.0, 1.0]), 0.0) == 0


def test_a_refuted_candidate_is_never_chosen_again_and_an_impossible_list_is_an_error():
    model = random_candidate_game(n_candidates=3)
    P = model.candidates.P.copy()
    P[0] = np.eye(4)[3]  # every transition leads to state 3
    listed = FiniteGameClass(P, model.game.r, model.game.rho)
    trace = play(CandidateGame(model.game, listed), MEXGame(eta=1e-6), 40)
    assert (trace.diagnostics["main"][5:] != 0).all()
    impossible = FiniteGameClass(P[:1], model.game.r, model.game.rho)
    for learner in (MEXGame(), GreedyGame(), PosteriorGame()):
        with pytest.raises(ValueError, match="all are refuted"):
            play(CandidateGame(model.game, impossible), learner, 40)


@pytest.mark.parametrize("learner", [MEXGame(eta=0.1), PosteriorGame()], ids=lambda x: x.key)
def test_losses_are_the_likelihoods_of_the_counts(learner):
    model = random_candidate_game(n_candidates=5, seed=3)
    state = Run(MarkovGameProblem.from_candidates(model), learner, 50).advance().state
    assert state.counts.sum() == 50 * 3
    expected = -np.einsum("hsabt,mhsabt->hm", state.counts, np.log(model.candidates.P))
    np.testing.assert_allclose(state.losses, expected, rtol=1e-12)


def test_model_free_losses_are_sums_over_the_data_minus_the_best_auxiliary_function():
    """Against a loop over transitions, for both players' classes; and they are never negative."""
    model = random_candidate_game(n_candidates=3, n_states=3, seed=5)
    run = Run(MarkovGameProblem.from_candidates(model), MEXGameModelFree(eta=0.2), 15)
    seen = []

    def audit(problem, state, decision):
        seen.append(state.counts.copy())
        return {}

    run._audit = audit
    state = run.advance().state
    counts = np.diff(np.array([*seen, state.counts]), axis=0)
    games, r = model.candidates, model.game.r
    for functions in (state.main, state.exploiter(0), state.exploiter(2)):
        Q = functions.Q.reshape(3, *r.shape)
        G = functions.G.reshape(9, *r.shape)
        expected = np.zeros((3, 3))
        for f in range(3):
            for h in range(3):
                own, others = 0.0, np.zeros(9)
                for episode in counts:
                    for _, s, a, b, t in np.argwhere(episode[h : h + 1] > 0):
                        y = r[h, s, a, b] + functions.V[f, h + 1, t]
                        own += (Q[f, h, s, a, b] - y) ** 2
                        others += (G[:, h, s, a, b] - y) ** 2
                expected[h, f] = own - others.min()
        found = functions.losses(state.counts, r)
        np.testing.assert_allclose(found, expected, atol=1e-11)
        assert (found >= -1e-11).all()
    values = np.array([solve(games[m]).start_value for m in range(3)])
    Q0 = state.main.Q.reshape(3, *r.shape)[:, 0, 0]
    for m in range(3):
        assert Q0[m] == pytest.approx(solve(games[m]).action_values[0, 0], abs=1e-11)
    np.testing.assert_allclose(state.plans.values, values, atol=1e-12)


def test_the_induced_functions_are_complete_and_contain_the_truth():
    model = random_candidate_game(n_candidates=4, seed=1)
    run = Run(MarkovGameProblem.from_candidates(model), MEXGameModelFree(eta=0.2), 3).advance()
    truth = model.game
    for functions in (run.state.main, run.state.exploiter(1)):
        G = functions.G.reshape(-1, *truth.r.shape)
        for f in range(4):
            backup = truth.r + np.einsum("hsabt,ht->hsab", truth.P, functions.V[f, 1:])
            for h in range(3):
                assert np.abs(G[:, h] - backup[h]).max(axis=(1, 2, 3)).min() <= 1e-12


@given(seed=seeds, A=st.integers(1, 4), B=st.integers(1, 4))
@settings(max_examples=100)
def test_no_player_gains_by_leaving_a_coarse_correlated_equilibrium(seed, A, B):
    rng = np.random.default_rng(seed)
    lower = np.round(rng.random((A, B)) * 4) / 4 if seed % 2 else rng.random((A, B))
    upper = lower + rng.random((A, B)) * rng.integers(0, 2)
    pi = np.empty((A, B))
    correlated(upper, lower, pi)
    assert pi.min() >= 0
    assert pi.sum() == pytest.approx(1, abs=1e-12)
    assert (upper @ pi.sum(axis=0)).max() <= (pi * upper).sum() + 1e-9
    assert (pi.sum(axis=1) @ lower).min() >= (pi * lower).sum() - 1e-9


def test_planned_bounds_close_on_the_value_when_bonuses_vanish_and_data_are_exact():
    model = random_candidate_game(seed=4)
    game = model.game
    H, S = game.horizon, game.n_states
    upper, lower, pi = np.zeros((H + 1, S)), np.zeros((H + 1, S)), np.empty(game.r.shape)
    optimistic(game.P * 1e6, game.r, np.zeros(4), upper, lower, pi)
    solution = solve(game)
    np.testing.assert_allclose(upper[:H], solution.value, atol=1e-9)
    np.testing.assert_allclose(lower[:H], solution.value, atol=1e-9)


def test_bounds_of_nash_vi_enclose_the_value_and_shrink():
    model = random_candidate_game(seed=6)
    trace = play(model, NashVI(constant=0.02), 300)
    upper, lower = trace.diagnostics["upper"], trace.diagnostics["lower"]
    assert (upper >= trace.benchmark - 1e-9).all()
    assert (lower <= trace.benchmark + 1e-9).all()
    assert upper[-1] - lower[-1] < upper[0] - lower[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MEXGame(eta=0.0), "eta must be positive"),
        (lambda: MEXGame(eta=-1.0), "eta must be a finite number"),
        (lambda: MEXGame(eta=math.inf), "eta must be a finite number"),
        (lambda: MEXGame(eta=math.nan), "eta must be a finite number"),
        (lambda: MEXGame(delta=1.0), r"delta must be in \(0, 1\)"),
        (lambda: MEXGame(schedule="never"), "schedule must be one of"),
        (lambda: MEXGame(exploiter="none"), "exploiter must be one of"),
        (lambda: MEXGame(slack=-0.1), "slack must be a finite number"),
        (lambda: MEXGameModelFree(eta=0.0), "eta must be positive"),
        (lambda: NashVI(bonus="none"), "bonus must be one of"),
        (lambda: NashVI(constant=0.0), "constant must be positive"),
        (lambda: VIULCB(constant=-1.0), "constant must be a finite number"),
    ],
)
def test_wrong_parameters_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_only_the_theorys_constants_are_guaranteed():
    assert MEXGame().guaranteed
    assert MEXGame(schedule="anytime").guaranteed
    for learner in (
        MEXGame(eta=0.1),
        MEXGame(exploiter="uniform"),
        MEXGame(slack=0.1),
        *ALL[1:],
    ):
        assert not learner.guaranteed
