"""SPO and its no-regret methods: they are their formulas, and refuse what they cannot do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from tests.generators import seeds
from tests.solvers.preference.games import random_game
from theoryrl.instances import condorcet, rock_paper_scissors, three_cycle, trajectory_preferences
from theoryrl.learners import (
    SPO,
    DuellingHedge,
    QueueSPO,
    RewardModelLearner,
    TrajectoryRewardModel,
    TrajectorySPO,
)
from theoryrl.learners.no_regret import METHODS, project_to_simplex
from theoryrl.models import PreferenceGame, TrajectoryGame
from theoryrl.protocol import PreferenceProblem, TrajectoryProblem, play
from theoryrl.protocol.core import Run, Streams
from theoryrl.protocol.preference import PreferenceDecision, Recorder
from theoryrl.solvers import borda_scores, von_neumann_winner
from theoryrl.study import Study

FALSE_ALARM = 1e-6
ROUNDING = 1e-12
"""A few hundred rounds of operations on numbers below 1."""

BANDITS = [SPO(method) for method in METHODS] + [
    SPO(margin=0.3),
    SPO(duels=4),
    SPO(output="last"),
    QueueSPO(),
    RewardModelLearner(),
    RewardModelLearner(duels=7),
    DuellingHedge(tilt=1.0),
]
TREES = [TrajectorySPO(), TrajectorySPO(optimistic=True), TrajectoryRewardModel()]


def queries(game, learner, rounds, seed=0):
    recorder = Recorder()
    play(PreferenceProblem(game), learner, rounds, seed, audit=recorder)
    return np.exp(np.array(recorder.asked))


# References, a few lines each.


def hedge(A, T, eta):
    U, out = np.zeros(len(A)), []
    for t in range(1, T + 1):
        w = np.exp((eta(t) if callable(eta) else eta) * U)
        out.append(w / w.sum())
        U += A @ out[-1]
    return out


def optimistic_hedge(A, T, eta):
    U, last, out = np.zeros(len(A)), np.zeros(len(A)), []
    for _ in range(T):
        w = np.exp(eta * (U + last))
        out.append(w / w.sum())
        last = A @ out[-1]
        U += last
    return out


def regret_matching(A, T, plus):
    R, out = np.zeros(len(A)), []
    for _ in range(T):
        positive = np.maximum(R, 0)
        out.append(positive / positive.sum() if positive.sum() > 0 else np.full(len(A), 1 / len(A)))
        u = A @ out[-1]
        R += u - out[-1] @ u
        R = np.maximum(R, 0) if plus else R
    return out


def closest(v):
    """The projection by a root: sum max(v - lam, 0) = 1."""
    lam = brentq(lambda lam: np.maximum(v - lam, 0).sum() - 1, v.min() - 1, v.max(), xtol=1e-15)
    return np.maximum(v - lam, 0)


def projection(A, T, eta):
    p, out = np.full(len(A), 1 / len(A)), []
    for _ in range(T):
        out.append(p)
        p = closest(p + eta * A @ p)
    return out


T = 40
REFERENCES = {
    "hedge": lambda A, n: hedge(A, T, np.sqrt(2 * np.log(n) / T)),
    "anytime-hedge": lambda A, n: hedge(A, T, lambda t: np.sqrt(np.log(n) / t)),
    "optimistic-hedge": lambda A, n: optimistic_hedge(A, T, 0.5),
    "regret-matching": lambda A, n: regret_matching(A, T, False),
    "regret-matching-plus": lambda A, n: regret_matching(A, T, True),
    "projection": lambda A, n: projection(A, T, np.sqrt((1 - 1 / n) / (n * T))),
}


@pytest.mark.parametrize("method", REFERENCES)
@pytest.mark.parametrize("family", ["uniform", "bradley-terry"])
def test_a_method_is_its_formula(method, family):
    """Games without ties, where rounding cannot turn a zero regret into a positive one."""
    for n in (2, 3, 7):
        game = random_game(np.random.default_rng(n), family, n)
        reference = np.array(REFERENCES[method](2 * game.skew[0], n))
        np.testing.assert_allclose(queries(game, SPO(method), T)[:, 0], reference, atol=1e-9)


def test_fictitious_play_answers_the_sum_of_what_was_played():
    game = three_cycle()
    A, played = 2 * game.skew[0], queries(game, SPO("fictitious-play"), T)[:, 0]
    for t in range(1, T):
        gain = A @ played[:t].sum(axis=0)
        assert gain[played[t] > 0].min() >= gain.max() - ROUNDING


@given(seed=seeds, n=st.integers(2, 8))
def test_the_projection_is_the_closest_distribution(seed, n):
    v = np.random.default_rng(seed).normal(size=(3, n)) * 2
    expected = [closest(row) for row in v]
    np.testing.assert_allclose(project_to_simplex(v), expected, atol=1e-10)
    np.testing.assert_allclose(project_to_simplex(v[:, :1] * 9), np.ones((3, 1)), atol=ROUNDING)


@pytest.mark.parametrize("method", METHODS)
def test_contexts_are_played_side_by_side(method):
    rng = np.random.default_rng(4)
    games = [PreferenceGame.random(5, rng) for _ in range(3)]
    together = PreferenceGame(np.array([game.P for game in games]), [0.2, 0.3, 0.5])
    apart = np.concatenate([queries(game, SPO(method), 30) for game in games], axis=1)
    np.testing.assert_allclose(queries(together, SPO(method), 30), apart, atol=1e-11)


def test_the_value_of_contexts_is_their_mean():
    rng = np.random.default_rng(4)
    games = [PreferenceGame.random(5, rng) for _ in range(2)]
    together = PreferenceGame(np.array([game.P for game in games]), [0.25, 0.75])
    values = [play(game, SPO(), 20).values for game in games]
    np.testing.assert_allclose(play(together, SPO(), 20).values, [0.25, 0.75] @ np.array(values), atol=1e-12)


@given(seed=seeds, method=st.sampled_from(METHODS))
@settings(max_examples=30)
def test_renaming_the_actions_renames_the_policies(seed, method):
    rng = np.random.default_rng(seed)
    game, order = PreferenceGame.random(5, rng), rng.permutation(5)
    renamed = PreferenceGame(game.P[np.ix_(order, order)])
    np.testing.assert_allclose(
        queries(renamed, SPO(method), 10), queries(game, SPO(method), 10)[..., order], atol=1e-9
    )


def test_copies_of_an_action_share_what_it_has():
    """From the uniform start of Hedge, with the weight of a copied action counted once for each copy."""
    game = three_cycle()
    twice = np.array([0, 0, 1, 2])
    copied = PreferenceGame(game.P[np.ix_(twice, twice)])
    end = von_neumann_winner(copied).policy.probabilities[0]
    merged = np.array([end[0] + end[1], end[2], end[3]])
    np.testing.assert_allclose(merged, von_neumann_winner(game).policy.probabilities[0], atol=1e-9)
    assert 0.5 - play(copied, SPO("optimistic-hedge"), 2000).values[-1] < 1e-3


def test_one_action_is_played_by_every_method():
    game = PreferenceGame(np.full((1, 1), 0.5))
    for learner in BANDITS:
        if learner != SPO(margin=0.3):
            assert (play(game, learner, 4).values == 0.5).all()


@pytest.mark.parametrize("learner", BANDITS, ids=repr)
def test_a_saved_run_goes_on_as_if_nothing_had_happened(learner, tmp_path):
    problem = PreferenceProblem(PreferenceGame.random(4, np.random.default_rng(0)))
    whole = Run(problem, learner, 12, seed=3).advance().trace
    half = Run(problem, learner, 12, seed=3).advance(5)
    half.save(tmp_path / "run")
    assert Run.load(tmp_path / "run").advance().trace.same_as(whole)


@pytest.mark.parametrize("learner", TREES, ids=repr)
def test_a_saved_run_over_trajectories_goes_on(learner, tmp_path):
    problem = TrajectoryProblem(trajectory_preferences(2, 2, 2))
    whole = Run(problem, learner, 8, seed=3).advance().trace
    half = Run(problem, learner, 8, seed=3).advance(3)
    half.save(tmp_path / "run")
    assert Run.load(tmp_path / "run").advance().trace.same_as(whole)


def test_they_can_be_studied(tmp_path):
    dataset = Study({"cycle": three_cycle()}, {"spo": SPO(), "queue": QueueSPO()}, 5, 2).run()
    assert dataset.sizes["learner"] == 2
    trees = {"trees": trajectory_preferences(2, 2, 2)}
    assert Study(trees, {"spo": TrajectorySPO()}, 4, 1).run().sizes["round"] > 0


# Sampling.


def test_sampled_utilities_are_unbiased():
    """The mean of N independent bounded estimates, by Hoeffding at level 1e-6 shared by 5 actions."""
    game = PreferenceGame.random(5, np.random.default_rng(1))
    p = np.random.default_rng(2).dirichlet(np.ones(5))[None]
    environment = PreferenceProblem(game).environment(Streams.from_seed(0))
    decision = PreferenceDecision(np.log(p), np.log(p), duels=10)
    N = 4000
    mean = np.mean([environment.interact(decision, 1).observation for _ in range(N)], axis=0)
    radius = np.sqrt(np.log(2 * 5 / FALSE_ALARM) / (2 * N * 10))
    assert np.abs(mean[0] - game.skew[0] @ p[0]).max() <= radius


def test_sampled_utilities_have_one_opponent_for_all_actions():
    """In a transitive game with sure wins, the wins of a round are those of one threshold."""
    ranks = np.arange(6)
    game = PreferenceGame.from_tournament((ranks[:, None] > ranks[None, :]).astype(int))
    uniform = np.full((1, 6), -np.log(6))
    environment = PreferenceProblem(game).environment(Streams.from_seed(0))
    for _ in range(20):
        field = environment.interact(PreferenceDecision(uniform, uniform, duels=1), 1).observation[0]
        outcomes = (field > 0).astype(int)  # the opponent's own duel is a coin, all others are sure
        assert any((np.delete(outcomes, j) == np.delete(ranks > j, j)).all() for j in ranks)


def test_a_queue_is_fed_by_what_is_drawn_and_a_sure_winner_rises():
    game = condorcet(4, 1.0)
    end = queries(game, QueueSPO(learning_rate=0.5), 400, seed=1)[-1, 0]
    assert end.argmax() == 0
    np.testing.assert_allclose(end * 32, np.round(end * 32), atol=1e-9)


# Reward models.


@given(seed=seeds)
@settings(max_examples=20)
def test_the_reward_model_takes_the_borda_winner(seed):
    game = PreferenceGame.random(6, np.random.default_rng(seed))
    recorder = Recorder()
    play(PreferenceProblem(game), RewardModelLearner(), 2, audit=recorder)
    assert np.exp(recorder.held[-1])[0].argmax() == borda_scores(game)[0].argmax()


def test_from_many_duels_the_reward_model_finds_what_it_finds_exactly():
    game = PreferenceGame.from_bradley_terry([2.0, 0.0, -1.0])
    recorder = Recorder()
    play(PreferenceProblem(game), RewardModelLearner(duels=2000), 2, audit=recorder)
    assert np.exp(recorder.held[-1])[0].argmax() == 0


def test_over_trajectories_one_stage_and_one_state_is_the_bandit():
    """H = 1 and S = 1: SPO is Hedge, and the reward model takes the same action."""
    preferences = PreferenceGame.random(5, np.random.default_rng(3))
    tree = TrajectoryGame(np.ones((1, 5, 1)), np.ones(1), 1, preferences)
    pairs = (
        (TrajectorySPO(), SPO()),
        (TrajectorySPO(optimistic=True), SPO("optimistic-hedge")),
        (TrajectoryRewardModel(), RewardModelLearner()),
    )
    for learner, bandit in pairs:
        np.testing.assert_allclose(
            play(tree, learner, 20).values, play(preferences, bandit, 20).values, atol=ROUNDING
        )


# Refusals.


@pytest.mark.parametrize("learner", [SPO(), QueueSPO(), RewardModelLearner(), DuellingHedge()], ids=repr)
def test_a_regularised_game_is_refused(learner):
    with pytest.raises(ValueError, match="is for games without regularisation"):
        play(rock_paper_scissors(), learner, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SPO("exp3"), "method must be one of hedge, .* got 'exp3'"),
        (lambda: SPO(eta=0.0), r"eta must be positive; got 0\.0"),
        (
            lambda: SPO("regret-matching", eta=0.1),
            "eta is for hedge, .*; regret-matching has no",
        ),
        (lambda: SPO(margin=0.0), r"margin must be positive; got 0\.0"),
        (lambda: SPO(margin=1.5), r"margin must be .* got 1\.5"),
        (lambda: SPO("projection", margin=0.1), "margin sets the step of hedge"),
        (lambda: SPO(duels=-1), "duels must be at least 0; got -1"),
        (lambda: SPO(output="best"), "output must be one of average, last; got 'best'"),
        (lambda: QueueSPO(learning_rate=-1.0), r"learning_rate must be positive; got -1\.0"),
        (lambda: QueueSPO(length=0), "length must be at least 1; got 0"),
        (lambda: QueueSPO(duels=0), "duels must be at least 1; got 0"),
        (lambda: TrajectorySPO(eta=-0.1), r"eta must be positive; got -0\.1"),
        (lambda: RewardModelLearner(duels=-3), "duels must be at least 0; got -3"),
        (lambda: DuellingHedge(tilt=-1.0), r"tilt must be positive; got -1\.0"),
    ],
)
def test_a_bad_parameter_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_has_no_theorem_says_so():
    void = (SPO("fictitious-play"), SPO(output="last"), SPO("optimistic-hedge", eta=0.6), QueueSPO())
    void += (SPO("optimistic-hedge", duels=1), RewardModelLearner(), DuellingHedge(tilt=1.0))
    void += (TrajectorySPO(optimistic=True, eta=0.7), TrajectoryRewardModel())
    assert not any(learner.guaranteed for learner in void)
    sure = [SPO(method) for method in METHODS if method != "fictitious-play"]
    sure += [SPO(eta=3.0), SPO(duels=1), SPO(margin=0.2), TrajectorySPO(), DuellingHedge()]
    assert all(learner.guaranteed for learner in sure)
