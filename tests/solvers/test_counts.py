"""Counts of many episodes at once have the law of the counts of single episodes."""

import numpy as np
import pytest
from scipy import stats

from theoryrl.models import EpisodicMDP, Policy, RewardNoise, TransitionCounts
from theoryrl.solvers import occupancy_measure, simulate_counts, simulate_episodes

FALSE_ALARM = 1e-6


def model(seed=0, noise="bernoulli", H=3, S=3, A=2):
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(S), (H, S, A))
    P[0, 0, 0] = [0.5, 0.5, 0.0]
    pi = rng.dirichlet(np.ones(A), (H, S))
    mdp = EpisodicMDP(P, rng.random((H, S, A)), rng.dirichlet(np.ones(S)), noise=RewardNoise(noise))
    return mdp, Policy(pi)


def test_every_state_is_left_as_often_as_it_is_entered():
    mdp, policy = model()
    data = simulate_counts(mdp, policy, 12_345, np.random.default_rng(1))
    n = data.transitions
    assert n[0].sum() == 12_345
    np.testing.assert_array_equal(n[:-1].sum(axis=(1, 2)), n[1:].sum(axis=(2, 3)))
    assert (n[mdp.P == 0] == 0).all()
    assert (data.reward_sums == np.floor(data.reward_sums)).all()


def test_the_counts_of_a_few_episodes_have_the_law_of_single_episodes():
    """The joint law: a two-sample chi-square over the count arrays of two episodes that occur often."""
    mdp, policy = model(2, H=2)
    rng = np.random.default_rng(7)
    pairs = 6_000
    at_once = [simulate_counts(mdp, policy, 2, rng).transitions.tobytes() for _ in range(pairs)]
    single = simulate_episodes(mdp, policy, 2 * pairs, rng)
    apart = [single.subset(slice(2 * i, 2 * i + 2)).transition_counts.tobytes() for i in range(pairs)]
    tally = [{}, {}]
    for side, names in enumerate((at_once, apart)):
        for name in names:
            tally[side][name] = tally[side].get(name, 0) + 1
    common = [name for name in set(at_once) | set(apart) if sum(t.get(name, 0) for t in tally) >= 20]
    table = np.array([[t.get(name, 0) for name in common] for t in tally])
    rest = pairs - table.sum(axis=1, keepdims=True)
    table = np.hstack([table, rest])
    assert len(common) > 50
    assert stats.chi2_contingency(table).pvalue > FALSE_ALARM


@pytest.mark.parametrize("episodes", [10, 1_000_000])
def test_counts_of_one_cell_are_binomial(episodes):
    mdp, policy = model(3)
    rng = np.random.default_rng(11)
    p = (occupancy_measure(mdp, policy)[..., None] * mdp.P)[2, 1, 0, 2]
    drawn = [simulate_counts(mdp, policy, episodes, rng).transitions[2, 1, 0, 2] for _ in range(2000)]
    jitter = rng.random(2000)  # the randomised probability transform of a discrete law is uniform
    law = stats.binom(episodes, p)
    below = law.cdf(np.array(drawn) - 1)
    uniform = below + jitter * (law.cdf(drawn) - below)
    assert stats.kstest(uniform, "uniform").pvalue > FALSE_ALARM


def test_rewards_are_binomial_given_the_visits():
    mdp, policy = model(4)
    rng = np.random.default_rng(13)
    data = [simulate_counts(mdp, policy, 400, rng) for _ in range(1000)]
    visits = np.array([d.visits[1, 0, 1] for d in data])
    law = stats.binom(visits, mdp.r[1, 0, 1])
    sums = np.array([d.reward_sums[1, 0, 1] for d in data])
    below = law.cdf(sums - 1)
    uniform = below + rng.random(1000) * (law.cdf(sums) - below)
    assert stats.kstest(uniform, "uniform").pvalue > FALSE_ALARM


def test_rewards_without_noise_are_their_means():
    mdp, policy = model(5, noise="none")
    data = simulate_counts(mdp, policy, 1000, np.random.default_rng(0))
    np.testing.assert_allclose(data.reward_sums, data.visits * mdp.r, rtol=1e-12)


def test_noise_whose_sum_is_not_known_is_refused():
    mdp = EpisodicMDP(np.ones((1, 1, 1, 1)), np.zeros((1, 1, 1)), [1.0], noise=RewardNoise("uniform", 0.1))
    with pytest.raises(ValueError, match=r"mdp\.noise must be .* got 'uniform'"):
        simulate_counts(mdp, Policy.uniform(1, 1), 3, np.random.default_rng(0))


def test_counts_agree_with_those_of_a_dataset():
    mdp, policy = model(6)
    episodes = simulate_episodes(mdp, policy, 50, np.random.default_rng(0))
    counts = TransitionCounts.from_dataset(episodes)
    np.testing.assert_array_equal(counts.transitions, episodes.transition_counts)
    assert counts.reward_sums.sum() == pytest.approx(episodes.rewards.sum())
    assert (counts + counts).visits.sum() == 300
