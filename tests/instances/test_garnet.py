"""Garnets have exactly the promised support and exactly the promised number of rewards."""

import numpy as np
import pytest

from theoryrl.instances import garnet


@pytest.mark.parametrize("stationary", [True, False])
@pytest.mark.parametrize("concentration", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("branching", [1, 3, 10])
def test_every_row_has_exactly_the_branching_factors_successors(branching, concentration, stationary):
    for seed in range(10):
        P = garnet(branching=branching, concentration=concentration, stationary=stationary, seed=seed).P
        np.testing.assert_array_equal((P > 0).sum(axis=-1), branching)


def test_successors_differ_between_cells_and_reach_every_state():
    support = garnet(20, 3, branching=2, seed=1).P[0] > 0
    assert len(np.unique(support.reshape(60, 20), axis=0)) > 30
    assert support.any(axis=(0, 1)).all()


@pytest.mark.parametrize(("fraction", "paying"), [(0.0, 0), (0.2, 6), (0.5, 15), (1.0, 30)])
def test_the_number_of_paying_cells_is_exact(fraction, paying):
    r = garnet(10, 3, reward_fraction=fraction).r
    assert np.count_nonzero(r[0]) == paying


def test_a_stationary_garnet_repeats_one_stage():
    model = garnet(horizon=4)
    for h in range(1, 4):
        np.testing.assert_array_equal(model.P[h], model.P[0])
        np.testing.assert_array_equal(model.r[h], model.r[0])


def test_the_stages_of_a_stage_dependent_garnet_differ():
    model = garnet(horizon=3, stationary=False)
    assert not np.array_equal(model.P[0] > 0, model.P[1] > 0)
    assert not np.array_equal(model.r[0], model.r[1])
    assert np.count_nonzero(model.r) == round(0.2 * 90)


def test_the_default_weights_are_gaps_between_sorted_uniform_numbers():
    """With b = 2 the first weight is uniform on [0, 1]: mean 1/2 and variance 1/12.

    12000 weights: at six standard errors the false-alarm probability is below 1e-8, once, since
    the seed is fixed.
    """
    P = garnet(20, 30, horizon=20, branching=2, stationary=False, seed=5).P
    first = P[np.arange(20)[:, None, None], np.arange(20)[:, None], np.arange(30), (P > 0).argmax(axis=-1)]
    n = first.size
    assert abs(first.mean() - 1 / 2) < 6 * np.sqrt(1 / 12 / n)
    assert abs(first.var() - 1 / 12) < 6 * np.sqrt(1 / 180 / n)
