"""Playing schedules: the kernel against a plain Python version."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bandits import random_bandit
from theoryrl.models import IndexRule, OffsetSchedule, PeriodicSchedule, PullSequence, RewardNoise
from theoryrl.solvers import Play, rewards_over_time


def random_schedule(rng, bandit, kind):
    N, K = bandit.n_arms, bandit.K
    if kind == "periodic":
        periods = np.full(N, int(rng.integers(N, N + 4)))
        return PeriodicSchedule(periods, rng.permutation(periods[0])[:N], np.zeros(N, dtype=int), 1)
    if kind == "offsets":
        periods = rng.integers(0, 5, N)
        return OffsetSchedule(periods, rng.integers(np.maximum(periods, 1)), rng.random(N) + 0.1, K)
    if kind == "sequence":
        rows = [rng.permutation(np.r_[np.arange(N), np.full(K, -1)])[:K] for _ in range(5)]
        return PullSequence(np.array(rows), N)
    return IndexRule(rng.random((N, 4)) * (rng.random((N, 4)) < 0.7), K)


def sets_of(schedule, t, idle, K):
    """The arms of time t, in plain Python."""
    if isinstance(schedule, PullSequence):
        return [i for i in schedule.sets[t % len(schedule.sets)].tolist() if i >= 0]
    if isinstance(schedule, PeriodicSchedule):
        return schedule.pulls(t).tolist()
    if isinstance(schedule, IndexRule):
        width = schedule.table.shape[1]
        score = [schedule.table[i, min(d, width) - 1] for i, d in enumerate(idle)]
    else:
        due = [d > 0 and (t - o) % d == 0 for d, o in zip(schedule.periods, schedule.offsets, strict=True)]
        score = np.where(due, schedule.priorities, 0.0).tolist()
    ranked = sorted(range(len(score)), key=lambda i: (-score[i], i))
    return [i for i in ranked if score[i] > 0][:K]


def plain_play(bandit, schedule, T):
    idle = [99] * bandit.n_arms
    means = []
    for t in range(T):
        arms = sets_of(schedule, t, idle, bandit.K)
        means.append(sum(bandit.R[i, min(idle[i], bandit.R.shape[1]) - 1] for i in arms))
        idle = [1 if i in arms else d + 1 for i, d in enumerate(idle)]
    return np.array(means)


KINDS = ("periodic", "offsets", "sequence", "index")


@given(seed=st.integers(0, 2000), kind=st.sampled_from(KINDS))
def test_the_kernel_plays_as_the_plain_version(seed, kind):
    bandit = random_bandit(seed)
    schedule = random_schedule(np.random.default_rng(seed), bandit, kind)
    # Sums of at most three numbers, in one order.
    np.testing.assert_allclose(
        rewards_over_time(bandit, schedule, 60), plain_play(bandit, schedule, 60), atol=1e-15
    )


@given(seed=st.integers(0, 2000), kind=st.sampled_from(KINDS), cuts=st.lists(st.integers(1, 20), max_size=4))
@settings(max_examples=40)
def test_pieces_equal_the_whole(seed, kind, cuts):
    bandit = random_bandit(seed)
    schedule = random_schedule(np.random.default_rng(seed), bandit, kind)
    total = sum(cuts) + 10
    results = []
    for pieces in ([total], [*cuts, 10]):
        play, rng, found = Play(bandit), np.random.default_rng(3), []
        play.begin(schedule)
        for rounds in pieces:
            start = play.now
            pulls, means, spent = play.run(rounds, rng)
            assert (pulls.rounds, len(means), spent) == (rounds, rounds, False)
            found.append((pulls.when + start, pulls.arms, pulls.idle, pulls.rewards, means))
        results.append([np.concatenate(part) for part in zip(*found, strict=True)])
    for whole, cut in zip(*results, strict=True):
        np.testing.assert_array_equal(whole, cut)


def test_idle_times_are_told_and_unknown_before_the_first_pull():
    bandit = random_bandit(0, "concave", N=2, D=3, K=1)
    play = Play(bandit)
    play.begin(PullSequence([[0], [-1], [-1], [-1], [-1], [0], [0], [1]], 2))
    pulls, _, _ = play.run(8, np.random.default_rng(0))
    assert pulls.arms.tolist() == [0, 0, 0, 1]
    assert pulls.when.tolist() == [0, 5, 6, 7]
    assert pulls.idle.tolist() == [0, 5, 1, 0]


def test_a_new_schedule_starts_its_clock_and_keeps_the_idle_times():
    bandit = random_bandit(0, "concave", N=1, D=6, K=1)
    play, rng = Play(bandit), np.random.default_rng(0)
    for periods, expected in (([3], [5, 2, 2]), ([4], [2, 3])):
        play.begin(PeriodicSchedule(periods, [1], [0], 1))
        _, means, _ = play.run(9 if periods == [3] else 8, rng)
        np.testing.assert_array_equal(means[means > 0], bandit.R[0, expected])


def test_play_stops_when_the_budget_of_a_cell_is_spent():
    bandit = random_bandit(0, "concave", N=1, D=6, K=1)
    play = Play(bandit)
    play.begin(PeriodicSchedule([2], [0], [0], 1))
    budget = np.full((1, 3), 100)
    budget[0, 1] = 4
    pulls, _, spent = play.run(100, np.random.default_rng(0), budget)
    assert (pulls.rounds, len(pulls.arms), spent) == (9, 5, True)
    np.testing.assert_array_equal(budget, [[100, 0, 99]])


@pytest.mark.parametrize("noise", [RewardNoise("gaussian", 0.3), RewardNoise("uniform", 0.3)])
def test_observed_rewards_have_the_right_mean(noise):
    """20,000 rewards of standard deviation at most 0.3; a deviation of 6 sigma has probability < 1e-8."""
    bandit = random_bandit(0, "concave", N=1, D=2, K=1)
    play = Play(bandit)
    play.begin(PeriodicSchedule([2], [0], [0], 1))
    pulls, _, _ = play.run(40_000, np.random.default_rng(0), noise=noise)
    assert pulls.rewards.mean() == pytest.approx(bandit.R[0, 1], abs=6 * 0.3 / np.sqrt(20_000))


def test_a_schedule_for_another_bandit_is_refused():
    bandit = random_bandit(0, "concave", N=2, D=3, K=1)
    with pytest.raises(ValueError, match="schedule is made for 1 arms; the bandit has 2"):
        rewards_over_time(bandit, PeriodicSchedule([2], [0], [0], 1), 3)
    with pytest.raises(ValueError, match="schedule pulls up to 2 arms at once; the bandit allows 1"):
        rewards_over_time(bandit, PeriodicSchedule([2, 2], [0, 0], [0, 1], 2), 3)


def test_a_trusted_schedule_that_is_not_feasible_is_caught_when_it_is_played():
    bandit = random_bandit(0, "concave", N=2, D=3, K=1)
    schedule = PeriodicSchedule.trusted(*(np.array(row) for row in ([2, 3], [0, 1], [0, 0])), 1)
    with pytest.raises(ValueError, match="schedule pulls more than 1 arms at t = 4"):
        rewards_over_time(bandit, schedule, 10)
