"""Playing Markov games: exact values, opponents that remember, and decisions that do not fit."""

import numpy as np
import pytest

from tests.markov_games import random_game, random_memory
from theoryrl import play, solve
from theoryrl.instances import random_candidate_game, risky_game
from theoryrl.learners import MEXGame, NashVI
from theoryrl.models import CandidateGame, Policy
from theoryrl.protocol import (
    BestResponder,
    FixedOpponent,
    FrequencyResponder,
    GameDecision,
    GamePast,
    Grudger,
    MarkovGameProblem,
    Run,
    Streams,
    as_problem,
)
from theoryrl.solvers import best_response, pair_occupancy, pair_value

ROUNDING = 1e-12
OPPONENTS = (FixedOpponent(), BestResponder(), FrequencyResponder(), Grudger())


def test_a_game_and_a_list_of_candidates_pose_problems():
    model = risky_game()
    alone, listed = as_problem(model.game), as_problem(model)
    assert alone.spec(5).candidates is None
    assert listed.spec(5).candidates is model.candidates
    assert alone.benchmark == listed.benchmark == solve(model).start_value
    assert listed.spec(7).shape == (3, 4, 4, 2)


def test_self_play_is_scored_by_what_the_max_player_guarantees():
    model = random_candidate_game(seed=2)
    problem = MarkovGameProblem.from_candidates(model)
    rng = np.random.default_rng(0)
    mu, nu = rng.dirichlet(np.ones(2), (3, 4)), rng.dirichlet(np.ones(2), (3, 4))
    value = problem.value(GameDecision(mu, nu))
    assert value == pytest.approx(best_response(model.game, Policy(mu)).start_value, abs=ROUNDING)
    assert value <= pair_value(model.game, Policy(mu), Policy(nu)) + ROUNDING
    assert problem.value(GameDecision(mu)) == value


@pytest.mark.parametrize("joint", [False, True])
def test_episodes_follow_the_occupancy_of_what_is_played(joint):
    """4000 episodes: a frequency is off by more than 5 standard deviations with probability 6e-7."""
    game = random_game(11)
    rng = np.random.default_rng(1)
    H, S, A, B = game.r.shape
    mu, nu = rng.dirichlet(np.ones(A), (H, S)), rng.dirichlet(np.ones(B), (H, S))
    product = mu[..., None] * nu[:, :, None]
    decision = GameDecision(mu, None, product) if joint else GameDecision(mu, nu)
    environment = MarkovGameProblem(game).environment(Streams.from_seed(0))
    counts, N = np.zeros(game.r.shape), 4000
    for _ in range(N):
        environment.begin(decision)
        episode = environment.interact(decision, 1).observation
        counts[np.arange(H), episode.states[:-1], episode.actions, episode.opponent_actions] += 1
    d = pair_occupancy(game, Policy(mu), Policy(nu))
    assert (np.abs(counts / N - d) <= 5 * np.sqrt(d * (1 - d) / N) + 1e-15).all()


@pytest.mark.parametrize("seed", [4, 9])
def test_an_opponent_with_a_memory_is_simulated_as_it_is_evaluated(seed):
    game = random_game(seed)
    rng = np.random.default_rng(seed)
    mu = rng.dirichlet(np.ones(game.n_actions), (game.horizon, game.n_states))
    nu = random_memory(game, rng)
    problem = MarkovGameProblem(game, opponent=FixedOpponent(nu))
    environment, decision = problem.environment(Streams.from_seed(1)), GameDecision(mu)
    counts, N = np.zeros(game.r.shape), 4000
    environment.begin(decision)
    for _ in range(N):
        outcome = environment.interact(decision, 1)
        episode = outcome.observation
        cell = episode.states[:-1], episode.actions, episode.opponent_actions
        counts[(np.arange(game.horizon), *cell)] += 1
    assert outcome.values[0] == pair_value(game, Policy(mu), nu)
    d = pair_occupancy(game, Policy(mu), nu)
    assert (np.abs(counts / N - d) <= 5 * np.sqrt(d * (1 - d) / N) + 1e-15).all()


@pytest.mark.parametrize("opponent", OPPONENTS, ids=repr)
def test_online_values_are_those_against_the_opponent_of_the_round(opponent):
    model = risky_game()
    problem = MarkovGameProblem.from_candidates(model, opponent=opponent)
    trace = play(problem, MEXGame(eta=0.05), 30)
    assert (trace.benchmarks == solve(model).start_value).all()
    assert problem.benchmark is None
    guarantee = play(model, MEXGame(eta=1e-6), 1).values[0]
    assert trace.values[0] >= guarantee - ROUNDING
    if isinstance(opponent, BestResponder):
        assert trace.values[0] == pytest.approx(guarantee, abs=ROUNDING)


def test_a_grudge_is_held_until_the_end_of_the_episode():
    model = risky_game()
    opponent = Grudger()
    past = GamePast(0, np.zeros(model.game.r.shape, dtype=np.int64))
    nu = opponent.respond(model.game, np.full((3, 4, 4), 0.25), past)
    assert nu.probabilities[0, 0, 0].tolist() == [1, 0]
    assert nu.memory[0, 0, 0, 0, 0] == 0
    assert nu.memory[0, 0, 1, 0, 0] == 1
    assert nu.probabilities[1, 2, 1].tolist() == [0, 1]
    assert (nu.memory[..., 1] == 1).all()


@pytest.mark.parametrize("opponent", [None, Grudger(), FrequencyResponder()], ids=repr)
def test_a_run_is_the_same_stepwise_and_after_a_pause(opponent, tmp_path):
    problem = MarkovGameProblem.from_candidates(risky_game(), opponent=opponent)
    whole = Run(problem, MEXGame(eta=0.1), 40, 3).advance().trace
    stepwise = play(problem, MEXGame(eta=0.1), 40, 3, stepwise=True)
    halted = Run(problem, MEXGame(eta=0.1), 40, 3).advance(17)
    halted.save(tmp_path / "run")
    assert whole.same_as(stepwise)
    assert whole.same_as(Run.load(tmp_path / "run").advance().trace)


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (GameDecision(np.ones((3, 4, 4)) / 4), "needs the min player's policy nu, or a joint policy"),
        (GameDecision(np.ones((3, 4, 3)) / 3), r"decision.mu must have shape \(3, 4, 4\); got \(3, 4, 3\)"),
        (GameDecision(np.ones((3, 4, 4)) / 4, np.ones((3, 4, 1))), r"decision.nu must have shape"),
        (
            GameDecision(np.ones((3, 4, 4)) / 4, None, np.ones((3, 4, 4, 3)) / 12),
            r"decision.joint must have shape",
        ),
    ],
)
def test_a_decision_that_does_not_fit_is_refused(decision, message):
    environment = MarkovGameProblem(risky_game().game).environment(Streams.from_seed(0))
    with pytest.raises(ValueError, match=message):
        environment.begin(decision)


def test_learners_say_what_they_need():
    game = risky_game().game
    with pytest.raises(ValueError, match="mex-game needs a list of candidates"):
        play(game, MEXGame(), 2)
    with pytest.raises(ValueError, match="nash-vi needs self-play"):
        play(MarkovGameProblem(game, opponent=FixedOpponent()), NashVI(), 2)
    other = random_candidate_game()
    with pytest.raises(ValueError, match="candidates have P of shape"):
        MarkovGameProblem(game, candidates=other.candidates)
    assert CandidateGame(other.game, other.candidates).truth == 19


def test_what_is_no_opponent_is_refused():
    game = risky_game().game
    with pytest.raises(ValueError, match="opponent must be a"):
        MarkovGameProblem(game, opponent="uniform")
    with pytest.raises(ValueError, match="policy must be a"):
        FixedOpponent(game)
