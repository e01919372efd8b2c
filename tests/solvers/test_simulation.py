"""Simulation is exact in law, reproducible, and stops when it promised to."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exact import paths
from tests.generators import random_mdp, random_mixture, random_policy, random_rows, recipes, seeds
from tests.statistics import assert_law
from theoryrl.models import DeterministicPolicy, EpisodicMDP, MixturePolicy, Policy, RewardNoise
from theoryrl.solvers import Simulator, simulate_episodes
from theoryrl.solvers.episodic._kernels import draw
from theoryrl.solvers.episodic.simulation import _cumulative_policy, cumulative

FALSE_ALARM = 1e-6
LARGEST_UNIFORM = 1 - 2.0**-53
"""The largest number that Generator.random returns."""


def generators(seed):
    return np.random.default_rng(seed), np.random.default_rng(seed + 1)


def as_paths(trajectories):
    """(s_0, a_0, s_1, ..., s_H) of each episode."""
    H = trajectories.actions.shape[1]
    table = np.empty((len(trajectories.actions), 2 * H + 1), dtype=int)
    table[:, ::2], table[:, 1::2] = trajectories.states, trajectories.actions
    return [tuple(row) for row in table.tolist()]


@pytest.mark.parametrize("sparse", [False, True])
def test_episodes_of_a_policy_follow_their_joint_law(sparse):
    """All paths of a two-stage model at once: start, actions, moves, and their dependence."""
    mdp = random_mdp(1, H=2, S=2, A=2, sparse=sparse)
    policy = random_policy(np.random.default_rng(2), 2, 2, 2)
    trajectories, spent = Simulator(mdp).run(policy, 100_000, *generators(3))
    assert not spent
    assert_law(as_paths(trajectories), dict(paths(mdp, policy.probabilities)), FALSE_ALARM)


def test_a_mixture_draws_its_component_once_per_episode():
    mdp = random_mdp(1, H=2, S=2, A=2)
    mixture = random_mixture(np.random.default_rng(2), 2, 2, 2)
    law = Counter()
    for weight, component in zip(mixture.weights, mixture.policies, strict=True):
        for path, p in paths(mdp, component.stages(2)):
            law[path] += float(weight) * float(p)
    trajectories, _ = Simulator(mdp).run(mixture, 100_000, *generators(4))
    assert_law(as_paths(trajectories), law, FALSE_ALARM)


def test_a_deterministic_policy_played_one_episode_at_a_time_follows_its_law():
    mdp = random_mdp(1, H=2, S=3, A=2)
    policy = DeterministicPolicy([[0, 1, 0], [1, 1, 0]], 2)
    simulator, (rng, coin) = Simulator(mdp), generators(5)
    found = [as_paths(simulator.run(policy, 1, rng, coin)[0])[0] for _ in range(20_000)]
    assert_law(found, dict(paths(mdp, policy.probabilities)), FALSE_ALARM)


@pytest.mark.parametrize("S", [3, 40])
def test_a_longer_table_is_searched_by_bisection_and_has_the_same_law(S):
    """Tables of up to 16 entries are scanned, longer ones bisected."""
    row = random_rows(np.random.default_rng(S), (S,), True)
    mdp = EpisodicMDP(np.broadcast_to(row, (1, S, 1, S)), np.zeros((1, S, 1)), row)
    trajectories, _ = Simulator(mdp).run(Policy.uniform(S, 1), 50_000, *generators(6))
    law = dict(enumerate(row))
    for column in trajectories.states.T:
        assert_law(column.tolist(), {s: p for s, p in law.items() if p > 0}, FALSE_ALARM)


@settings(max_examples=300)
@given(seed=seeds, size=st.integers(1, 40))
def test_an_outcome_of_probability_zero_is_never_drawn(seed, size):
    """Whatever the uniform number: both ends, and each cumulative sum with its two neighbours."""
    rng = np.random.default_rng(seed)
    p = random_rows(rng, (size,), True)
    p[rng.permutation(size)[: size // 4]] = 0
    p = p / p.sum() if p.sum() > 0 else np.eye(size)[0]
    sums = np.cumsum(p)
    near = np.concatenate([sums, np.nextafter(sums, 0), np.nextafter(sums, 2), [0.0, LARGEST_UNIFORM]])
    table = cumulative(p)
    for u in near[near <= LARGEST_UNIFORM]:
        assert p[draw(table, u)] > 0


def test_the_rounding_of_ten_tenths_does_not_open_a_gap():
    """0.1 + ... + 0.1 = 1 - 2^-53: a larger sum would be needed for the largest uniform number."""
    p = np.array([0.1] * 10 + [0.0])
    assert np.cumsum(p)[-1] <= LARGEST_UNIFORM
    assert draw(cumulative(p), LARGEST_UNIFORM) == 9


@given(recipe=recipes(), seed=seeds, kind=st.sampled_from(RewardNoise.KINDS))
def test_one_episode_at_a_time_equals_many_at_once(recipe, seed, kind):
    """The fast path of deterministic policies consumes the stream as the general one does."""
    mdp = random_mdp(**{**recipe, "signed": False}, noise=RewardNoise(kind, 0.1))
    H, S, A = mdp.r.shape
    policy = DeterministicPolicy(np.random.default_rng(seed).integers(A, size=(H, S)), A)
    simulator, (rng, coin) = Simulator(mdp), generators(seed)
    single = [simulator.run(policy, 1, rng, coin)[0] for _ in range(5)]
    together, _ = simulator.run(Policy(policy.probabilities), 5, *generators(seed))
    for one, all_five in zip(zip(*single, strict=True), together, strict=True):
        np.testing.assert_array_equal(np.concatenate(one), all_five)


def test_a_stationary_policy_equals_the_same_policy_at_every_stage():
    mdp = random_mdp(0)
    simulator, actions = Simulator(mdp), np.array([1, 0, 1])
    stationary, _ = simulator.run(DeterministicPolicy(actions, 2), 1, *generators(0))
    repeated, _ = simulator.run(DeterministicPolicy(np.tile(actions, (3, 1)), 2), 1, *generators(0))
    for left, right in zip(stationary, repeated, strict=True):
        np.testing.assert_array_equal(left, right)


@settings(max_examples=60)
@given(recipe=recipes(), seed=seeds, episodes=st.integers(1, 60), limit=st.integers(1, 30))
def test_the_budget_stops_with_the_episode_that_spends_an_entry(recipe, seed, episodes, limit):
    mdp = random_mdp(**recipe)
    rng = np.random.default_rng(seed)
    policy = random_policy(rng, *mdp.r.shape)
    budget = rng.integers(1, limit + 1, size=mdp.r.shape)
    left = budget.copy()
    free, _ = Simulator(mdp).run(policy, episodes, *generators(seed))
    played, spent = Simulator(mdp).run(policy, episodes, *generators(seed), left)
    visits = np.zeros_like(budget)
    for k in range(episodes):  # the rule, written out
        for h in range(mdp.horizon):
            visits[h, free.states[k, h], free.actions[k, h]] += 1
        if (visits >= budget).any():
            break
    assert len(played.actions) == k + 1
    assert spent == (visits >= budget).any()
    np.testing.assert_array_equal(left, budget - visits)
    for stopped, whole in zip(played, free, strict=True):
        np.testing.assert_array_equal(stopped, whole[: k + 1])


@given(seed=seeds, cut=st.integers(1, 19))
def test_a_run_in_two_pieces_equals_a_run_in_one(seed, cut):
    """Streams and budget carry over from call to call."""
    mdp = random_mdp(seed, noise=RewardNoise("gaussian", 1.0))
    mixture = random_mixture(np.random.default_rng(seed), 3, 3, 2)
    plenty = np.full(mdp.r.shape, 1000)
    one, two = plenty.copy(), plenty.copy()
    whole, _ = Simulator(mdp).run(mixture, 20, *generators(seed), one)
    simulator, streams = Simulator(mdp), generators(seed)
    parts = [simulator.run(mixture, n, *streams, two)[0] for n in (cut, 20 - cut)]
    for pieces, array in zip(zip(*parts, strict=True), whole, strict=True):
        np.testing.assert_array_equal(np.concatenate(pieces), array)
    np.testing.assert_array_equal(one, two)


def test_the_coin_is_touched_by_mixtures_only():
    mdp = random_mdp(0)
    simulator, (rng, coin) = Simulator(mdp), generators(0)
    before = coin.bit_generator.state
    simulator.run(Policy.uniform(3, 2), 10, rng, coin)
    simulator.run(DeterministicPolicy([0, 0, 0], 2), 1, rng, coin)
    simulator.run(MixturePolicy([1.0], [Policy.uniform(3, 2)]), 10, rng, coin)
    assert coin.bit_generator.state == before
    simulator.run(MixturePolicy([0.5, 0.5], [Policy.uniform(3, 2)] * 2), 1, rng, coin)
    assert coin.bit_generator.state != before


def test_a_component_is_played_to_the_end():
    mdp = random_mdp(0, H=4)
    stay = [DeterministicPolicy([a] * 3, 2) for a in range(2)]
    trajectories, _ = Simulator(mdp).run(MixturePolicy([0.3, 0.7], stay), 20_000, *generators(1))
    assert (trajectories.actions == trajectories.actions[:, :1]).all()
    assert_law(trajectories.actions[:, 0].tolist(), {0: 0.3, 1: 0.7}, FALSE_ALARM)


def rewards(kind, mean, scale, n=50_000):
    """Rewards of the one-state model with that mean and noise."""
    noise = RewardNoise(kind, scale)
    mdp = EpisodicMDP(np.ones((1, 1, 1, 1)), [[[mean]]], [1.0], reward_range=(-1.0, 1.0), noise=noise)
    return Simulator(mdp).run(Policy.uniform(1, 1), n, *generators(7))[0].rewards.ravel()


@pytest.mark.parametrize("mean", [0.0, 0.25, 1.0])
def test_bernoulli_rewards_are_one_with_probability_r(mean):
    law = {reward: p for reward, p in {1.0: mean, 0.0: 1 - mean}.items() if p > 0}
    assert_law(rewards("bernoulli", mean, 0.0).tolist(), law, FALSE_ALARM)


@pytest.mark.parametrize("mean", [-0.5, 0.25])
def test_gaussian_rewards_have_the_stated_mean_and_deviation(mean):
    """Quartiles of the normal law are 0.6744897501960817 deviations from its mean."""
    z = (rewards("gaussian", mean, 0.2) - mean) / 0.2
    quarters = np.searchsorted([-0.6744897501960817, 0.0, 0.6744897501960817], z)
    assert_law(quarters.tolist(), dict.fromkeys(range(4), 0.25), FALSE_ALARM)


@pytest.mark.parametrize("mean", [-0.5, 0.25])
def test_uniform_rewards_fill_the_stated_interval(mean):
    u = (rewards("uniform", mean, 0.2) - (mean - 0.2)) / 0.4
    assert u.min() >= -1e-15
    assert u.max() <= 1 + 1e-15
    assert_law(np.clip(10 * u, 0, 9.5).astype(int).tolist(), dict.fromkeys(range(10), 0.1), FALSE_ALARM)


def test_without_noise_a_reward_is_its_mean():
    mdp = random_mdp(0)
    trajectories, _ = Simulator(mdp).run(Policy.uniform(3, 2), 50, *generators(0))
    for h in range(3):
        s, a = trajectories.states[:, h], trajectories.actions[:, h]
        np.testing.assert_array_equal(trajectories.rewards[:, h], mdp.r[h, s, a])


def test_simulated_episodes_are_an_independent_data_set():
    mdp = random_mdp(0)
    data = simulate_episodes(mdp, Policy.uniform(3, 2), 40, np.random.default_rng(0))
    assert data.independent
    assert (len(data), data.horizon, data.n_states, data.n_actions) == (40, 3, 3, 2)
    again = simulate_episodes(mdp, Policy.uniform(3, 2), 40, np.random.default_rng(0))
    np.testing.assert_array_equal(data.states, again.states)
    with pytest.raises(ValueError, match="n_episodes must be at least 1; got 0"):
        simulate_episodes(mdp, Policy.uniform(3, 2), 0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Policy.uniform(4, 2), r"policy has \(S, A\) = \(4, 2\)"),
        (DeterministicPolicy(np.zeros((3, 3), int), 3), r"policy has \(S, A\) = \(3, 3\)"),
        (DeterministicPolicy(np.zeros((3, 4), int), 2), r"policy has \(S, A\) = \(4, 2\)"),
        (DeterministicPolicy(np.zeros((2, 3), int), 2), "policy has 2 stages; the model has 3"),
    ],
)
@pytest.mark.parametrize("episodes", [1, 2])
def test_a_policy_that_does_not_fit_is_refused_before_a_kernel_sees_it(policy, message, episodes):
    with pytest.raises(ValueError, match=message):
        Simulator(random_mdp(0)).run(policy, episodes, *generators(0))


def test_a_budget_that_does_not_fit_is_refused_before_a_kernel_sees_it():
    with pytest.raises(ValueError, match=r"budget must have shape \(3, 3, 2\); got shape \(3, 2, 2\)"):
        Simulator(random_mdp(0)).run(
            Policy.uniform(3, 2), 5, *generators(0), np.ones((3, 2, 2), dtype=np.int64)
        )


def test_the_table_of_a_deterministic_policy_is_the_cumulative_one():
    rng = np.random.default_rng(3)
    for H, S, A in ((1, 1, 1), (3, 4, 2), (2, 5, 7)):
        policy = DeterministicPolicy(rng.integers(A, size=(H, S)), A)
        table, _ = _cumulative_policy(policy, H)
        np.testing.assert_array_equal(table[0], cumulative(policy.probabilities))
