"""Successive halving pulls the arms that are left equally often, and ends with the best."""

import math

import numpy as np
import pytest

from theoryrl import LossTable, play
from theoryrl.instances import bernoulli_bandit
from theoryrl.learners import SuccessiveHalving
from theoryrl.protocol import BanditProblem, Run

ROUNDS = 400


@pytest.mark.parametrize("d", [1, 2, 3, 7, 8])
def test_without_noise_the_best_arm_is_left_after_phases_of_equal_pulls(d):
    losses = np.tile(np.linspace(1, 0, d) if d > 1 else [0.5], (ROUNDS, 1))
    trace = play(LossTable(losses), SuccessiveHalving(), ROUNDS, 0)
    arms, left = (trace.diagnostics[name].astype(int) for name in ("arm", "left"))
    expected, start = d, 0
    for _ in range(math.ceil(math.log2(d))):
        inside = arms[left == expected]
        pulls = np.bincount(inside, minlength=d)
        assert set(pulls) == ({0, pulls.max()} if expected < d else {pulls.max()})
        assert np.flatnonzero(pulls).tolist() == list(range(d - expected, d))
        start += len(inside)
        expected = math.ceil(expected / 2)
    assert start <= 0.25 * ROUNDS
    assert (arms[start:] == d - 1).all()


def test_only_rewards_of_the_present_phase_count():
    """Arm 0 leads by what it paid in the first phase; in the second the other survivor is better."""
    losses = np.ones((ROUNDS, 4))
    losses[:50, 0], losses[:50, 1], losses[50:, 1] = 0.0, 0.5, 0.0
    trace = play(LossTable(losses), SuccessiveHalving(share=0.25), ROUNDS, 0)
    assert trace.diagnostics["arm"][-1] == 1


def test_a_tie_keeps_the_first_arms():
    trace = play(LossTable(np.full((ROUNDS, 4), 0.5)), SuccessiveHalving(), ROUNDS, 0)
    assert trace.diagnostics["arm"][-1] == 0


def test_a_run_can_be_saved_in_a_phase(tmp_path):
    model = bernoulli_bandit(n_arms=5)
    whole = play(model, SuccessiveHalving(), ROUNDS, 1)
    Run(BanditProblem(model), SuccessiveHalving(), ROUNDS, 1).advance(37).save(tmp_path / "run")
    assert whole.same_as(Run.load(tmp_path / "run").advance().trace)


@pytest.mark.parametrize("share", [0.0, 1.5, math.nan])
def test_a_share_that_is_none_is_named(share):
    with pytest.raises(ValueError, match="share must be"):
        SuccessiveHalving(share=share)
