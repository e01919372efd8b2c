"""PSRL: its samples follow the posterior, and its regret is small."""

import math

import numpy as np
import pytest

from tests.learners.baselines.models import random_mdp
from theoryrl.learners.baselines import PSRL
from theoryrl.models import Policy, RewardNoise
from theoryrl.protocol import EpisodicProblem, Run, play
from theoryrl.solvers.episodic import policy_value

DRAWS = 20_000
FALSE_ALARM = 1e-7


def hoeffding_width(entries):
    """Return how far the mean of DRAWS numbers in [0, 1] may be from its expectation, in any entry."""
    return math.sqrt(math.log(2 * entries / FALSE_ALARM) / (2 * DRAWS))


def start(learner, known=True):
    problem = EpisodicProblem(random_mdp(0), known_rewards=known)
    return learner.init(problem.spec(10), np.random.default_rng(1))


@pytest.mark.parametrize("prior", [0.5, 2.0])
def test_sampled_rows_have_the_posterior_mean_and_variance(prior):
    """E = (prior + n_next) / (S prior + n), Var = E (1 - E) / (S prior + n + 1)."""
    learner = PSRL(prior=prior)
    state = start(learner)
    state.n_next[:] = np.random.default_rng(2).integers(0, 4, state.n_next.shape)
    state.n[:] = state.n_next.sum(axis=-1)
    samples = np.array([learner.sample(state)[0] for _ in range(DRAWS)])
    weight = (prior * 3 + state.n)[..., None]
    mean = (prior + state.n_next) / weight
    width = hoeffding_width(2 * mean.size)
    np.testing.assert_allclose(samples.sum(axis=-1), 1.0, atol=1e-12)
    np.testing.assert_allclose(samples.mean(axis=0), mean, atol=width)
    np.testing.assert_allclose(
        ((samples - mean) ** 2).mean(axis=0), mean * (1 - mean) / (weight + 1), atol=width
    )


def test_sampled_rewards_have_the_posterior_mean():
    """E = (prior + successes) / (2 prior + n)."""
    learner = PSRL(reward_prior=0.5)
    state = start(learner, known=False)
    state.n[:] = np.random.default_rng(3).integers(0, 6, state.n.shape)
    state.successes[:] = state.n // 2
    samples = np.array([learner.sample(state)[1] for _ in range(DRAWS)])
    mean = (0.5 + state.successes) / (1.0 + state.n)
    np.testing.assert_allclose(samples.mean(axis=0), mean, atol=hoeffding_width(mean.size))


def test_a_fractional_reward_counts_as_a_success_with_its_own_probability():
    mdp = random_mdp(1)
    learner = PSRL(refresh_growth=1.0)
    run = Run(EpisodicProblem(mdp, known_rewards=False), learner, 60_000, 0).advance()
    often = run.state.n >= DRAWS
    assert often.any()
    rate = run.state.successes[often] / run.state.n[often]
    np.testing.assert_allclose(rate, mdp.r[often], atol=hoeffding_width(mdp.r.size))


def test_known_rewards_are_used_as_they_are():
    learner = PSRL()
    state = start(learner)
    np.testing.assert_array_equal(learner.sample(state)[1], random_mdp(0).r)


@pytest.mark.parametrize("known", [True, False])
def test_regret_is_far_below_that_of_uniform_play(known):
    """Measured at less than a fiftieth with known rewards, a thirtieth without."""
    mdp = random_mdp(5, S=4, A=3, H=3, noise=RewardNoise("bernoulli"))
    trace = play(EpisodicProblem(mdp, known_rewards=known), PSRL(), 5000, 0)
    uniform = trace.benchmark - policy_value(mdp, Policy.uniform(4, 3))
    assert trace.final_regret < 0.1 * uniform * trace.rounds


@pytest.mark.parametrize("growth", [0.0, 0.5])
def test_held_stepwise_and_resumed_runs_agree(growth, tmp_path):
    problem = EpisodicProblem(random_mdp(6, noise=RewardNoise("uniform", 0.0)), known_rewards=False)
    learner = PSRL(refresh_growth=growth)
    whole = play(problem, learner, 400, 7)
    assert whole.same_as(play(problem, learner, 400, 7, stepwise=True))
    part = Run(problem, learner, 400, 7).advance(151)
    part.save(tmp_path / "run")
    assert whole.same_as(Run.load(tmp_path / "run").advance().trace)


@pytest.mark.parametrize("name", ["prior", "reward_prior"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf])
def test_a_bad_prior_is_named(name, value):
    with pytest.raises(ValueError, match=name):
        PSRL(**{name: value})


def test_rewards_outside_the_unit_interval_are_refused():
    noisy = EpisodicProblem(random_mdp(0, noise=RewardNoise("gaussian", 1.0)), known_rewards=False)
    with pytest.raises(ValueError, match=r"rewards\[0, \d\] must be in \[0, 1\]"):
        play(noisy, PSRL(), 100)
