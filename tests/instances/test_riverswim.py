"""RiverSwim has the field's numbers."""

import numpy as np
import pytest

from theoryrl.instances import riverswim
from theoryrl.solvers import backward_induction

ROUNDING = 1e-12
"""More than H (S + 2) unit round-offs of values up to 20."""


def stationary_mass_of_the_goal(n_states):
    """w_{n-1} of always swimming right, by detailed balance of the birth-death chain."""
    up = [0.6] + [0.35] * (n_states - 2)
    down = [0.05] * (n_states - 2) + [0.4]
    w = np.cumprod([1.0] + [u / d for u, d in zip(up, down, strict=True)])
    return w[-1] / w.sum()


def test_the_six_state_river_is_the_published_one():
    """Osband, Russo and Van Roy (2013): the rows of the right action, from left to right."""
    right = riverswim(6, 3).P[1, :, 1]
    expected = [
        [0.4, 0.6, 0, 0, 0, 0],
        [0.05, 0.6, 0.35, 0, 0, 0],
        [0, 0.05, 0.6, 0.35, 0, 0],
        [0, 0, 0.05, 0.6, 0.35, 0],
        [0, 0, 0, 0.05, 0.6, 0.35],
        [0, 0, 0, 0, 0.4, 0.6],
    ]
    np.testing.assert_array_equal(right, expected)


def test_swimming_left_moves_left_surely():
    left = riverswim(6, 3).P[2, :, 0]
    np.testing.assert_array_equal(left.argmax(axis=1), [0, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(left.max(axis=1), 1)


def test_only_the_two_banks_pay():
    r = riverswim(4, 2).r
    assert r[0, 0, 0] == 0.005
    assert r[0, 3, 1] == 1
    assert r[0].sum() == 1.005


def test_two_states_are_enough():
    np.testing.assert_array_equal(riverswim(2, 1).P[0, :, 1], [[0.4, 0.6], [0.4, 0.6]])


@pytest.mark.parametrize("horizon", range(1, 6))
def test_a_horizon_too_short_for_the_swim_is_spent_on_the_left_bank(horizon):
    value = backward_induction(riverswim(6, horizon)).start_value
    assert value == pytest.approx(0.005 * horizon, abs=ROUNDING)


def test_the_optimum_of_the_usual_size_has_its_known_value():
    """3.397 is the value that independent code reports for S = 6, H = 20."""
    assert backward_induction(riverswim(6, 20)).start_value == pytest.approx(3.397, abs=5e-4)


@pytest.mark.parametrize("n_states", [2, 3, 4, 6])
def test_the_optimum_grows_per_stage_by_the_stationary_mass_of_the_goal(n_states):
    """The transient has died out after 500 stages: the chain's second eigenvalue is below 0.96."""
    early, late = (backward_induction(riverswim(n_states, H)).start_value for H in (1000, 1500))
    growth = (late - early) / 500
    assert growth == pytest.approx(stationary_mass_of_the_goal(n_states), abs=1e-9)
