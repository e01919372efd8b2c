"""Models from and to Gymnasium and the toolbox layout have the same values and the same laws."""

import builtins
import pickle
import re
import warnings
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tests.exact import paths, rounding
from tests.generators import random_mdp, random_policy, random_rows, recipes, seeds
from tests.statistics import assert_law
from theoryrl.models import (
    EpisodicMDP,
    Policy,
    RewardNoise,
    from_gymnasium,
    from_toolbox,
    to_gymnasium,
    to_toolbox,
)
from theoryrl.solvers import backward_induction, policy_evaluation

WORLDS = [
    ("FrozenLake-v1", {"is_slippery": False}, 10, 1.0),
    ("FrozenLake-v1", {"is_slippery": True}, 50, None),
    ("FrozenLake-v1", {"map_name": "8x8", "is_slippery": False}, 14, 1.0),
    ("FrozenLake-v1", {"map_name": "8x8", "is_slippery": True}, 50, None),
    ("CliffWalking-v1", {}, 15, -13.0),
    ("CliffWalking-v1", {"is_slippery": True}, 15, None),
    ("Taxi-v4", {}, 10, None),
    ("Taxi-v4", {"is_rainy": True}, 5, None),
]
worlds = pytest.mark.parametrize(
    ("key", "options", "horizon", "known"),
    WORLDS,
    ids=[f"{key}{''.join(f'-{value}' for value in options.values())}" for key, options, _, _ in WORLDS],
)


def dynamic_program(env, horizon, choose):
    """Values of the first `horizon` steps, straight from the meaning of `env.P`: a terminated
    transition earns its reward and then nothing. `choose(s, Q)` is the value of a state."""
    table = env.unwrapped.P
    V = dict.fromkeys(table, 0.0)
    for _ in range(horizon):
        V = {
            s: choose(
                s,
                [
                    sum(p * (reward + (0.0 if over else V[t])) for p, t, reward, over in table[s][a])
                    for a in sorted(table[s])
                ],
            )
            for s in table
        }
    return V


def reachable(env):
    """The states in which an episode can be while it is going on."""
    table = env.unwrapped.P
    found = set(np.flatnonzero(env.unwrapped.initial_state_distrib))
    while True:
        more = {t for s in found for a in table[s] for p, t, _, over in table[s][a] if p > 0 and not over}
        if more <= found:
            return sorted(found)
        found |= more


def rounding_of(mdp):
    """Two recursions of H sums with S + A + 2 operations each, on values of at most H max |r|."""
    scale = mdp.horizon * np.abs(mdp.reward_range).max()
    return 2 * rounding(mdp.horizon, mdp.n_states + mdp.n_actions + 2, scale=scale)


@worlds
def test_the_optimal_value_is_that_of_the_environment(key, options, horizon, known):
    env = gymnasium.make(key, **options)
    mdp = from_gymnasium(env, horizon)
    assert (mdp.n_states, mdp.n_actions) == (env.observation_space.n, env.action_space.n)
    expected = dynamic_program(env, horizon, lambda s, Q: max(Q))
    solution = backward_induction(mdp)
    tolerance = rounding_of(mdp)
    for s in reachable(env):
        assert abs(solution.value[0, s] - expected[s]) <= tolerance
    start = env.unwrapped.initial_state_distrib
    assert abs(solution.start_value - sum(p * expected[s] for s, p in enumerate(start))) <= tolerance
    if known is not None:
        assert solution.start_value == known


@worlds
def test_the_value_of_a_random_policy_is_that_of_the_environment(key, options, horizon, known):
    env = gymnasium.make(key, **options)
    mdp = from_gymnasium(env, horizon)
    pi = random_rows(np.random.default_rng(7), (mdp.n_states, mdp.n_actions), False)
    expected = dynamic_program(env, horizon, lambda s, Q: float(pi[s] @ Q))
    value = policy_evaluation(mdp, Policy(pi)).value[0]
    for s in reachable(env):
        assert abs(value[s] - expected[s]) <= rounding_of(mdp)


@worlds
def test_terminal_states_are_absorbing_and_pay_nothing(key, options, horizon, known):
    env = gymnasium.make(key, **options)
    mdp = from_gymnasium(env, 1)
    table = env.unwrapped.P
    ends = {t for s in table for a in table[s] for _, t, _, over in table[s][a] if over}
    assert ends
    for s in ends:
        assert (mdp.P[0, s, :, s] == 1).all()
        assert (mdp.r[0, s] == 0).all()
    assert not ends & set(reachable(env))


def test_the_reward_range_is_that_of_the_data_unless_it_is_given():
    lake, cliff, taxi = (gymnasium.make(key) for key in ("FrozenLake-v1", "CliffWalking-v1", "Taxi-v4"))
    assert from_gymnasium(lake, 1).reward_range == (0.0, 1.0)
    assert from_gymnasium(cliff, 1).reward_range == (-100.0, 0.0)
    assert from_gymnasium(taxi, 1).reward_range == (-10.0, 20.0)
    assert from_gymnasium(taxi, 1, reward_range=(-20, 20)).reward_range == (-20.0, 20.0)
    with pytest.raises(ValueError, match=r"^r\[0, 1, 0\] must be in \[0, 1\]; got -1.0"):
        from_gymnasium(taxi, 1, reward_range=(0.0, 1.0))


def table(P, start=None):
    """An environment that is nothing but a table, with states and actions given as lists."""
    P = {s: dict(enumerate(actions)) for s, actions in enumerate(P)}
    attributes = {} if start is None else {"initial_state_distrib": np.array(start)}
    return SimpleNamespace(unwrapped=SimpleNamespace(P=P, **attributes))


def test_entries_of_the_same_next_state_are_summed_and_rewards_averaged():
    env = table(
        [[[(0.25, 1, 4.0, False), (0.25, 1, 0.0, False), (0.5, 0, 2.0, False)]], [[(1.0, 1, 0, False)]]]
    )
    mdp = from_gymnasium(env, 2, rho=[1.0, 0.0])
    np.testing.assert_array_equal(mdp.P[1, 0, 0], [0.5, 0.5])
    assert mdp.r[1, 0, 0] == 2.0


def test_a_state_that_is_entered_both_alive_and_at_the_end_gets_an_absorbing_twin():
    """From state 0, half of the moves to state 1 end the episode; alive, state 1 pays one per step."""
    env = table(
        [[[(0.5, 1, 0.0, False), (0.5, 1, 0.0, True)]], [[(1.0, 1, 1.0, False)]]],
        start=[1.0, 0.0],
    )
    mdp = from_gymnasium(env, 5)
    assert mdp.n_states == 3
    np.testing.assert_array_equal(mdp.rho, [1, 0, 0])
    np.testing.assert_array_equal(mdp.P[0, 0, 0], [0, 0.5, 0.5])
    np.testing.assert_array_equal(mdp.P[0, 2, 0], [0, 0, 1])
    assert backward_induction(mdp).start_value == 0.5 * 4
    assert dynamic_program(env, 5, lambda s, Q: max(Q))[0] == 0.5 * 4


def test_an_episode_that_starts_in_a_terminal_state_is_alive_there():
    env = table([[[(1.0, 0, 0.25, True)]]], start=[1.0])
    mdp = from_gymnasium(env, 3)
    assert backward_induction(mdp).start_value == 0.25


def test_a_transition_of_probability_zero_ends_nothing():
    env = table([[[(0.0, 0, 0.0, True), (1.0, 0, 1.0, False)]]], start=[1.0])
    mdp = from_gymnasium(env, 3)
    assert mdp.n_states == 1
    assert backward_induction(mdp).start_value == 3


@settings(max_examples=60)
@given(seed=seeds, S=st.integers(1, 5), A=st.integers(1, 3), H=st.integers(1, 5))
def test_any_table_keeps_its_values(seed, S, A, H):
    """Random tables with repeated successors and random ends, conflicts included."""
    rng = np.random.default_rng(seed)
    width = 3
    entries = [
        [
            [
                (float(p), int(rng.integers(S)), float(rng.normal()), bool(rng.random() < 0.3))
                for p in random_rows(rng, (width,), rng.random() < 0.5)
            ]
            for _ in range(A)
        ]
        for _ in range(S)
    ]
    env = table(entries, start=random_rows(rng, (S,), True))
    mdp = from_gymnasium(env, H)
    expected = dynamic_program(env, H, lambda s, Q: max(Q))
    start = env.unwrapped.initial_state_distrib
    reached = sum(p * expected[s] for s, p in enumerate(start))
    assert abs(backward_induction(mdp).start_value - reached) <= rounding_of(mdp)


GOOD = (1.0, 0, 0.0, False)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (SimpleNamespace(), "env must have a table env.unwrapped.P; got SimpleNamespace"),
        (table([]), "env must have a table"),
        (SimpleNamespace(P={1: {0: [GOOD]}}), r"env.P\[0\] is missing"),
        (SimpleNamespace(P={0: {0: [GOOD]}, 2: {0: [GOOD]}}), r"env.P\[1\] is missing"),
        (SimpleNamespace(P={0: {1: [GOOD]}}), r"env.P\[0\]\[0\] is missing"),
        (table([[[GOOD]], [[GOOD], [GOOD]]]), r"env.P\[1\] has 2 actions; env.P\[0\] has 1"),
        (table([[[(1.0, 0, 0.0)]]]), r"env.P\[0\]\[0\] must list \(probability, next state, reward, term"),
        (
            table([[[(1.0, 1, 0.0, False)]]]),
            r"next state in env.P\[0\]\[0\] must be at least 0 and at most 0; got 1",
        ),
        (table([[[(-0.5, 0, 0.0, False)]]]), r"probability in env.P\[0\]\[0\] must be .* got -0.5"),
        (table([[[(1.0, 0, np.nan, False)]]]), r"reward in env.P\[0\]\[0\] must be a finite number"),
        (table([[[(0.5, 0, 0.0, False)]]], [1.0]), r"P\[0, 0, 0, :\] must sum to 1; it sums to 0.5"),
        (table([[[]]], [1.0]), r"P\[0, 0, 0, :\] must sum to 1; it sums to 0.0"),
        (table([[[GOOD]]]), "rho must be given: the environment has no initial_state_distrib"),
        (table([[[GOOD]]], [0.5]), "rho must sum to 1; it sums to 0.5"),
    ],
)
def test_broken_tables_are_refused(env, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        from_gymnasium(env, 2)


def test_a_table_that_is_not_the_whole_truth_is_refused():
    with pytest.raises(ValueError, match="fickle passenger"):
        from_gymnasium(gymnasium.make("Taxi-v4", fickle_passenger=True), 2)


def unregistered_check(env):
    """Gymnasium's own checker, with each of its warnings an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)


@pytest.mark.parametrize("kind", RewardNoise.KINDS)
def test_the_environment_passes_gymnasiums_checker(kind):
    unregistered_check(to_gymnasium(random_mdp(1, noise=RewardNoise(kind, 0.1))))


@settings(max_examples=20)
@given(recipe=recipes(), seed=st.integers(0, 1000))
def test_an_episode_has_h_steps_and_says_where_it_is(recipe, seed):
    mdp = random_mdp(**recipe)
    env = to_gymnasium(mdp)
    observation, info = env.reset(seed=seed)
    env.action_space.seed(seed)
    for h in range(mdp.horizon):
        assert divmod(observation, mdp.n_states) == (info["stage"], info["state"])
        assert info["stage"] == h
        s, action = info["state"], env.action_space.sample()
        observation, reward, terminated, truncated, info = env.step(action)
        assert reward == info["expected_reward"] == mdp.r[h, s, action]
        assert mdp.P[h, s, action, info["state"]] > 0
        assert (terminated, truncated) == (h == mdp.horizon - 1, False)
        assert env.observation_space.contains(observation)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)


def play(env, policy, episodes, seed):
    """Paths (s_0, a_0, ..., s_H) of a stage-dependent policy, and the rewards of each step."""
    rng = np.random.default_rng(seed)
    env.reset(seed=seed)
    found, earned = [], []
    for _ in range(episodes):
        _, info = env.reset()
        path, rewards, over = (info["state"],), [], False
        while not over:
            row = policy.probabilities[info["stage"], info["state"]]
            action = int(rng.choice(len(row), p=row))
            _, reward, over, _, info = env.step(action)
            path, rewards = (*path, action, info["state"]), [*rewards, reward]
        found.append(path)
        earned.append(rewards)
    return found, np.array(earned)


def test_the_environment_draws_from_the_models_law():
    """The joint law of whole episodes. False alarm: 1e-6."""
    mdp = random_mdp(3, H=2, S=2, A=2, sparse=True)
    policy = random_policy(np.random.default_rng(3), 2, 2, 2)
    found, _ = play(to_gymnasium(mdp), policy, 5000, seed=11)
    assert_law(found, dict(paths(mdp, policy.probabilities)), false_alarm=1e-6)


def test_the_environment_adds_the_models_noise():
    mdp = EpisodicMDP(np.ones((1, 1, 1, 1)), [[[0.25]]], [1.0])
    policy = Policy(np.ones((1, 1, 1)))

    def rewards(kind):
        noisy = EpisodicMDP(mdp.P, mdp.r, mdp.rho, noise=RewardNoise(kind, 0.5))
        return play(to_gymnasium(noisy), policy, 4000, seed=5)[1].ravel()

    np.testing.assert_array_equal(rewards("none"), 0.25)
    assert_law(list(rewards("bernoulli")), {1.0: 0.25, 0.0: 0.75}, false_alarm=1e-6)
    uniform = rewards("uniform")
    assert uniform.min() >= -0.25
    assert uniform.max() <= 0.75
    assert_law(list(np.floor(8 * (uniform + 0.25))), dict.fromkeys(np.arange(8.0), 1 / 8), false_alarm=1e-6)
    inside = np.abs(rewards("gaussian") - 0.25) < 0.5
    assert_law(list(inside), {True: 0.6826894921370859, False: 0.3173105078629141}, false_alarm=1e-6)


def test_the_same_seed_gives_the_same_episode_and_the_environment_can_be_pickled():
    env = to_gymnasium(random_mdp(4, noise=RewardNoise("gaussian", 1.0)))
    policy = random_policy(np.random.default_rng(0), 3, 3, 2)
    first, second = play(env, policy, 20, seed=1), play(pickle.loads(pickle.dumps(env)), policy, 20, seed=1)
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[1], second[1])
    assert play(env, policy, 20, seed=2)[0] != first[0]


@pytest.mark.parametrize("action", [-1, 2, 0.5, "0", None])
def test_an_action_outside_the_space_is_refused(action):
    env = to_gymnasium(random_mdp(0))
    env.reset(seed=0)
    with pytest.raises(ValueError, match=rf"^action must be in \[0, 2\); got {action!r}"):
        env.step(action)


def test_without_gymnasium_the_error_says_what_to_install(monkeypatch):
    original = builtins.__import__

    def missing(name, *arguments, **options):
        if name.partition(".")[0] == "gymnasium" or name == "theoryrl.models._gymnasium":
            raise ModuleNotFoundError("No module named 'gymnasium'", name="gymnasium")
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=re.escape("pip install theoryrl[gymnasium]")):
        to_gymnasium(random_mdp(0))
    assert from_gymnasium(table([[[GOOD]]], [1.0]), 3).horizon == 3


def forest(S=3, fire=0.1):
    """The forest of the MDP toolboxes: wait (0) or cut (1)."""
    P = np.zeros((2, S, S))
    P[0, :, 0] = fire
    P[0, np.arange(S), np.minimum(np.arange(S) + 1, S - 1)] += 1 - fire
    P[1, :, 0] = 1
    R = np.zeros((S, 2))
    R[-1, 0], R[1:, 1], R[-1, 1] = 4, 1, 2
    return P, R


def test_the_forest_of_the_toolboxes():
    """Three steps: known values by hand, V = (3.33, 6.93, 10.93) from the states young, middle, old."""
    P, R = forest()
    mdp = from_toolbox(P, R, 3, [1, 0, 0])
    np.testing.assert_array_equal(mdp.P[2, :, 1], P[1])
    np.testing.assert_array_equal(mdp.r[1], R)
    assert mdp.reward_range == (0.0, 4.0)
    V = np.zeros(3)
    for _ in range(3):
        V = np.max([R[:, a] + P[a] @ V for a in range(2)], axis=0)
    np.testing.assert_allclose(backward_induction(mdp).value[0], V, rtol=0, atol=rounding_of(mdp))
    np.testing.assert_allclose(V, [3.33, 6.93, 10.93], rtol=0, atol=rounding_of(mdp))


@given(recipe=recipes(max_horizon=1), H=st.integers(1, 4))
def test_the_toolbox_round_trip_is_exact(recipe, H):
    one = random_mdp(**recipe)
    mdp = EpisodicMDP.stationary(one.P[0], one.r[0], one.rho, H, reward_range=(-1, 1))
    P, R = to_toolbox(mdp)
    assert (P.shape, R.shape) == ((recipe["A"], recipe["S"], recipe["S"]), (recipe["S"], recipe["A"]))
    back = from_toolbox(P, R, H, mdp.rho)
    for name in ("P", "r", "rho"):
        np.testing.assert_array_equal(getattr(back, name), getattr(mdp, name))


def test_the_three_shapes_of_a_reward():
    P = random_rows(np.random.default_rng(0), (2, 3, 3), True)
    on_states, on_transitions = np.array([0.1, 0.2, 0.3]), np.random.default_rng(1).random((2, 3, 3))
    r = from_toolbox(P, on_states, 1, [1, 0, 0]).r[0]
    np.testing.assert_array_equal(r, [[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])
    r = from_toolbox(P, on_transitions, 1, [1, 0, 0]).r[0]
    for s in range(3):
        for a in range(2):
            assert r[s, a] == pytest.approx(P[a, s] @ on_transitions[a, s], abs=rounding(3), rel=0)


def test_sequences_of_sparse_matrices():
    P, R = forest()
    dense = from_toolbox(P, R, 2, [1, 0, 0])
    thin = from_toolbox([sparse.csr_array(p) for p in P], sparse.csr_array(R), 2, [1, 0, 0])
    np.testing.assert_array_equal(thin.P, dense.P)
    np.testing.assert_array_equal(thin.r, dense.r)


@pytest.mark.parametrize(
    ("P", "R", "message"),
    [
        (np.ones((2, 3, 2)) / 2, np.zeros(3), r"P must have shape \(A, S, S\); got shape \(2, 3, 2\)"),
        (np.ones((2, 3, 3)), np.zeros(3), r"P\[0, 0, :\] must sum to 1"),
        (np.ones((2, 3, 3)) / 3, np.zeros(2), r"R must have shape \(3\); got shape \(2,\)"),
        (np.ones((2, 3, 3)) / 3, np.zeros((2, 3)), r"R must have shape \(3, 2\); got shape \(2, 3\)"),
        (np.ones((2, 3, 3)) / 3, np.zeros((3, 3, 2)), r"R must have shape \(2, 3, 3\); got"),
        (np.ones((2, 3, 3)) / 3, np.full(3, np.nan), r"R\[0\] must be finite; got nan"),
        (np.ones((2, 3, 3)) / 3, 1.0, r"R must have shape \(3, 2\)"),
    ],
)
def test_broken_toolbox_arrays_are_refused(P, R, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        from_toolbox(P, R, 2, [1, 0, 0])


def test_only_a_stationary_model_has_the_toolbox_layout():
    P, r = np.full((3, 2, 2, 2), 0.5), np.zeros((3, 2, 2))
    r[2, 0, 0] = 0.5
    changed = P.copy()
    changed[1, 1, 0] = [0.25, 0.75]
    with pytest.raises(
        ValueError, match=r"^mdp must be stationary, but r\[2, 0, 0\] = 0.5 differs from r\[0, 0, 0\]"
    ):
        to_toolbox(EpisodicMDP(P, r, [1, 0]))
    with pytest.raises(
        ValueError, match=r"^mdp must be stationary, but P\[1, 1, 0\] = \[0.25 0.75\] differs from"
    ):
        to_toolbox(EpisodicMDP(changed, r, [1, 0]))
