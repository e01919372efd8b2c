"""UCBVI: its formula, its optimism, and what it earns."""

import math

import numpy as np
import pytest

from tests.learners.baselines.models import ROUNDING, episodes, hazard, random_mdp
from theoryrl.learners.baselines import UCBVI
from theoryrl.models import Policy, RewardNoise
from theoryrl.protocol import EpisodicProblem, Run, play
from theoryrl.solvers.episodic import policy_value

pytestmark = pytest.mark.filterwarnings("ignore:.*the guarantee is void:UserWarning")

BONUSES = ("hoeffding", "bernstein")
UNLIKELY = 1e-9
"""Confidence parameter of the optimism checks: a union over fewer than 100 runs stays below 1e-6."""


def papers_values(learner, history, mdp, rounds, known):
    """Algorithms 2 to 4 of Azar, Osband and Munos on the pairs (stage, state), in plain loops."""
    H, S, A = mdp.r.shape
    L = math.log(5 * H * S * A * H * rounds / learner.delta)
    counts = np.zeros((H, S, A, S))
    rewards = np.zeros((H, S, A))
    for states, actions, observed in history:
        for h in range(H):
            counts[h, states[0, h], actions[0, h], states[0, h + 1]] += 1
            rewards[h, states[0, h], actions[0, h]] += observed[0, h]
    Q, V = np.zeros((H, S, A)), np.zeros((H + 1, S))
    for h, s, a in sorted(np.ndindex(H, S, A), reverse=True):
        n = counts[h, s, a].sum()
        if n == 0:
            Q[h, s, a] = H - h
        else:
            p = counts[h, s, a] / n
            if learner.bonus == "hoeffding":
                bonus = 7 * H * L / math.sqrt(n)
            else:
                arrivals = np.maximum(counts[h].sum(axis=(0, 1)), 1)
                excess = np.minimum(100**2 * H**3 * (H * S) ** 2 * A * L**2 / arrivals, H**2)
                variance = max(0.0, p @ V[h + 1] ** 2 - (p @ V[h + 1]) ** 2)
                bonus = math.sqrt(8 * L * variance / n) + 14 * H * L / (3 * n)
                bonus += math.sqrt(8 / n * (p @ excess))
            mean = mdp.r[h, s, a]
            if not known:
                mean = rewards[h, s, a] / n
                bonus += math.sqrt(L / (2 * n))
            Q[h, s, a] = min(H - h, mean + p @ V[h + 1] + learner.bonus_scale * bonus)
        V[h, s] = Q[h, s].max()
    return Q, V


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("bonus", BONUSES)
def test_values_are_the_running_minimum_of_the_papers_formula(bonus, known):
    mdp = random_mdp(0, noise=RewardNoise("bernoulli"))
    learner = UCBVI(bonus=bonus, bonus_scale=0.01)
    history = []
    lowest = np.full(mdp.r.shape, np.inf)
    checked = 0
    for state, _, observation in episodes(EpisodicProblem(mdp, known_rewards=known), learner, 200, seed=1):
        Q, V = papers_values(learner, history, mdp, 200, known)
        if np.all(Q <= lowest + ROUNDING):  # then no running minimum is at work in V_{h+1} either
            np.testing.assert_allclose(state.Q, Q, atol=ROUNDING)
            np.testing.assert_allclose(state.V, V, atol=ROUNDING)
            checked += 1
        assert np.all(state.Q <= np.minimum(lowest, np.arange(3, 0, -1)[:, None, None]))
        lowest = state.Q.copy()
        history.append([array.copy() for array in observation])
    assert checked >= 20


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("bonus", BONUSES)
def test_the_bound_is_optimistic_at_every_plan_with_the_theorems_constants(bonus, known):
    learner = UCBVI(delta=UNLIKELY, bonus=bonus)
    for seed in range(5):
        problem = EpisodicProblem(random_mdp(seed, noise=RewardNoise("bernoulli")), known_rewards=known)
        upper = play(problem, learner, 300, seed).diagnostics["upper"]
        assert upper.min() >= problem.benchmark - ROUNDING


@pytest.mark.parametrize(("bonus", "rounds"), [("hoeffding", 20_000_000), ("bernstein", 1_000_000)])
def test_the_bound_is_still_optimistic_when_it_has_left_the_trivial_one(bonus, rounds):
    """Millions of episodes shrink the bonuses of a tiny model below the range of its values."""
    problem = EpisodicProblem(random_mdp(3, S=2, H=2))
    trace = play(problem, UCBVI(delta=UNLIKELY, bonus=bonus, refresh_growth=0.5), rounds, 0)
    upper = trace.stretch_diagnostics["upper"]
    assert upper[-1] < 1.9
    assert upper.min() >= problem.benchmark - ROUNDING


@pytest.mark.parametrize("bonus", BONUSES)
def test_mutant_without_a_bonus_is_not_optimistic(bonus):
    """The optimism check can fail: it does, in most runs, when the bonus is dropped."""
    mutant = UCBVI(bonus=bonus, bonus_scale=1e-12)
    broken = 0
    for seed in range(5):
        problem = EpisodicProblem(random_mdp(seed))
        broken += play(problem, mutant, 300, seed).diagnostics["upper"].min() < problem.benchmark - 1e-3
    assert broken >= 3


@pytest.mark.parametrize("bonus", BONUSES)
def test_the_bound_never_increases(bonus):
    upper = play(random_mdp(4), UCBVI(bonus=bonus, bonus_scale=0.02), 500, 0).diagnostics["upper"]
    assert np.all(np.diff(upper) <= 0)
    assert upper[-1] < upper[0]


@pytest.mark.parametrize("bonus", BONUSES)
def test_regret_is_far_below_that_of_uniform_play(bonus):
    """Learning pays: a tenth of the linear regret, measured at about a thirtieth."""
    mdp = random_mdp(5, S=4, A=3, H=3)
    trace = play(mdp, UCBVI(bonus=bonus, bonus_scale=0.005), 20_000, 0)
    uniform = trace.benchmark - policy_value(mdp, Policy.uniform(4, 3))
    assert trace.final_regret < 0.1 * uniform * trace.rounds


@pytest.mark.parametrize("bonus", BONUSES)
@pytest.mark.parametrize("growth", [0.0, 0.5])
def test_held_stepwise_and_resumed_runs_agree(bonus, growth, tmp_path):
    problem = EpisodicProblem(random_mdp(6, noise=RewardNoise("bernoulli")), known_rewards=False)
    learner = UCBVI(bonus=bonus, bonus_scale=0.01, refresh_growth=growth)
    whole = play(problem, learner, 400, 7)
    assert whole.same_as(play(problem, learner, 400, 7, stepwise=True))
    part = Run(problem, learner, 400, 7).advance(151)
    part.save(tmp_path / "run")
    assert whole.same_as(Run.load(tmp_path / "run").advance().trace)


def test_a_held_policy_is_replanned_when_a_count_has_grown():
    """With growth 1 a count doubles between plans: S A H (1 + log2 K) plans at most, here of 4096."""
    trace = play(hazard(), UCBVI(bonus_scale=0.01, refresh_growth=1.0), 4096, 0)
    assert 5 <= len(trace.lengths) <= 2 * 2 * 5 * 13


def test_an_earlier_policy_does_not_change_when_the_next_is_planned():
    learner = UCBVI(bonus_scale=0.01)
    seen = []
    for _, decision, _ in episodes(EpisodicProblem(random_mdp(7)), learner, 100, 0):
        seen.append((decision.policy, decision.policy.actions.copy()))
    assert all(np.array_equal(policy.actions, actions) for policy, actions in seen)
    assert len({actions.tobytes() for _, actions in seen}) > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": 0.0}, "delta"),
        ({"delta": 1.0}, "delta"),
        ({"bonus": "freedman"}, "bonus must be one of hoeffding, bernstein"),
        ({"bonus_scale": 0.0}, "bonus_scale"),
        ({"bonus_scale": -1.0}, "bonus_scale"),
        ({"bonus_scale": math.nan}, "bonus_scale"),
        ({"refresh_growth": -0.1}, "refresh_growth"),
    ],
)
def test_a_bad_hyper_parameter_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        UCBVI(**options)


def test_scaled_bonuses_are_reported():
    assert UCBVI().guaranteed
    assert UCBVI(bonus_scale=2.0).guaranteed
    assert not UCBVI(bonus_scale=0.99).guaranteed


def test_rewards_that_the_theory_does_not_admit_are_refused():
    with pytest.raises(ValueError, match="reward_range"):
        play(random_mdp(0, reward_range=(0.0, 2.0)), UCBVI(), 5)
    noisy = EpisodicProblem(random_mdp(0, noise=RewardNoise("gaussian", 1.0)), known_rewards=False)
    with pytest.raises(ValueError, match=r"rewards\[0, \d\] must be in \[0, 1\]"):
        play(noisy, UCBVI(), 100)
