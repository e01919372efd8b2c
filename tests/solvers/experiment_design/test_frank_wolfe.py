"""Frank and Wolfe's designs against the exact program."""

import numpy as np
import pytest

from tests.solvers.experiment_design.cases import random_task
from theoryrl.instances import offline_fork, twin_lock
from theoryrl.solvers import frank_wolfe_design, offline_to_online_coefficient
from theoryrl.solvers.experiment_design.coefficient import design_errors
from theoryrl.solvers.experiment_design.frank_wolfe import smoothed

CLOSE = 2e-4
"""Distance of design and bound from the optimum, relative: the gap at which a level ends (1e-4) and the
smoothing of the last level (log(192) / 30,000 = 1.8e-4) stay below it, together with the exact bounds."""


def tasks():
    """Random tasks with data; the fork and the lock without, where a cell may be without any visit."""
    for seed in range(4):
        yield *random_task(seed, sparse=seed == 3), 2500.0
    for task, episodes in ((offline_fork(), 30_000.0), (twin_lock(4, 4), 20_000.0)):
        yield task.mdp, task.policies, None, episodes


@pytest.mark.parametrize("case", range(6))
def test_the_design_is_nearly_the_best_and_its_bounds_enclose_the_optimum(case):
    mdp, policies, N, episodes = list(tasks())[case]
    exact = offline_to_online_coefficient(mdp, policies, 0.1, episodes, N)
    found = frank_wolfe_design(mdp, policies, 0.1, episodes, N)
    assert exact.lower <= found.value <= exact.upper * (1 + CLOSE)
    assert exact.lower * (1 - CLOSE) <= found.lower <= exact.upper
    assert -1e-12 <= found.gap <= 1e-4 * found.smooth
    assert found.value <= found.smooth * (1 + 1e-12) <= (found.value + found.smoothing) * (1 + 2e-12)
    assert found.flow[0].sum() == pytest.approx(episodes)


def test_a_design_after_one_step_still_has_a_true_bound():
    mdp, policies, N = random_task(0)
    exact = offline_to_online_coefficient(mdp, policies, 0.1, 2500.0, N)
    found = frank_wolfe_design(mdp, policies, 0.1, 2500.0, N, steps=1)
    assert found.lower <= exact.upper <= found.value
    assert found.gap > 1e-4 * found.smooth


def test_no_weight_of_a_policy_that_alone_sees_a_cell_is_lost():
    """Where one policy alone sees a cell without data, rounding must not make its weight zero or negative."""
    for seed in (1, 14, 53):
        rng = np.random.default_rng([seed, 71])
        mdp, policies, _ = random_task(seed, H=2)
        N = rng.integers(0, 3, mdp.r.shape) * 10.0 ** rng.integers(0, 6) * rng.random(mdp.r.shape)
        exact = offline_to_online_coefficient(mdp, policies, 0.1, 100.0, N)
        found = frank_wolfe_design(mdp, policies, 0.1, 100.0, N)
        assert exact.lower <= found.value <= exact.upper * (1 + CLOSE)


def test_the_gradient_is_that_of_the_smoothed_error():
    mdp, policies, N = random_task(5)
    network, errors, limits = design_errors(mdp, policies, 0.1, N)
    x = network.flow_of(np.zeros(int(network.used.sum())), 1000.0)
    rate = 30 / float((errors.values(x) / limits).max())
    value, slope = smoothed(errors, limits, x, rate)
    rounding = 8 * 2.0**-53 * value / 2e-3  # of the two values that are subtracted
    for index in range(0, len(x), 4):
        step = np.zeros(len(x))
        step[index] = 1e-3
        change = smoothed(errors, limits, x + step, rate)[0] - smoothed(errors, limits, x - step, rate)[0]
        assert change / 2e-3 == pytest.approx(slope[index], rel=1e-5, abs=rounding)
