"""Frank and Wolfe's designs against the exact program."""

import numpy as np
import pytest

from tests.solvers.experiment_design.cases import random_task
from theoryrl.solvers import frank_wolfe_design, offline_to_online_coefficient
from theoryrl.solvers.experiment_design.coefficient import design_errors
from theoryrl.solvers.experiment_design.frank_wolfe import smoothed

CLOSE = 1e-3
"""Excess over the exact optimum, relative, after 100 steps at each of six levels."""


@pytest.mark.parametrize("seed", range(4))
def test_the_design_is_nearly_the_best_and_its_bounds_enclose_the_optimum(seed):
    mdp, policies, N = random_task(seed, sparse=seed == 3)
    exact = offline_to_online_coefficient(mdp, policies, 0.1, 2500.0, N)
    found = frank_wolfe_design(mdp, policies, 0.1, 2500.0, N)
    assert exact.lower <= found.value <= exact.upper * (1 + CLOSE)
    assert found.lower <= exact.upper
    assert found.gap >= -1e-12
    assert found.value <= found.smooth * (1 + 1e-12) <= (found.value + found.smoothing) * (1 + 2e-12)


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
