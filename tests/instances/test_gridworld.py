"""Grid worlds obey their map, and their optima are path lengths where slips allow it."""

import numpy as np
import pytest
from scipy.stats import nbinom

from theoryrl.instances import gridworld
from theoryrl.solvers import backward_induction

ROUNDING = 1e-12
"""More than H (S + 2) unit round-offs of values up to 20."""
UP, RIGHT, DOWN, LEFT = range(4)


def optimum(**parameters):
    return backward_induction(gridworld(**parameters)).start_value


@pytest.mark.parametrize(("width", "height"), [(4, 4), (2, 1), (1, 5), (5, 3)])
@pytest.mark.parametrize("horizon", [1, 6, 12])
def test_without_slips_the_optimum_is_what_the_shortest_path_leaves(width, height, horizon):
    value = optimum(width=width, height=height, horizon=horizon, slip=0.0, goal_reward=0.5)
    assert value == pytest.approx(0.5 * max(horizon - (width + height - 2), 0), abs=ROUNDING)


@pytest.mark.parametrize("slip", [0.0, 0.1, 0.5, 2 / 3])
@pytest.mark.parametrize(("width", "horizon"), [(2, 3), (4, 12)])
def test_in_a_corridor_the_arrival_time_is_negative_binomial(slip, width, horizon):
    failures = np.arange(horizon - width + 2)
    left = horizon - (width - 1) - failures
    expected = left @ nbinom.pmf(failures, width - 1, 1 - slip)
    assert optimum(width=width, height=1, horizon=horizon, slip=slip) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(
    ("action", "ahead", "sides"), [(UP, 1, (3, 5)), (RIGHT, 5, (1, 7)), (DOWN, 7, (3, 5)), (LEFT, 3, (1, 7))]
)
def test_a_slip_goes_to_either_side_of_the_intended_direction(action, ahead, sides):
    """State 4 is the centre of a 3 x 3 grid in reading order; slips never go backwards."""
    row = gridworld(3, 3, slip=0.25).P[0, 4, action]
    expected = np.zeros(9)
    expected[ahead] = 0.75
    expected[list(sides)] = 0.125
    np.testing.assert_array_equal(row, expected)


def test_a_move_over_the_edge_stays():
    row = gridworld(3, 3, slip=0.2).P[0, 0, UP]
    np.testing.assert_allclose(row[[0, 1]], [0.9, 0.1], atol=ROUNDING)


@pytest.mark.parametrize(
    ("layout", "length"),
    [("S.../...G", 4), ("S#.G/....", 5), ("S##G/....", 5), ("G#../.#.S/....", 6), ("SP.G/....", 5)],
)
def test_walls_and_pits_lengthen_the_shortest_path(layout, length):
    rows = layout.split("/")
    value = optimum(width=len(rows[0]), height=len(rows), horizon=10, slip=0.0, layout=layout)
    assert value == pytest.approx(10 - length, abs=ROUNDING)


@pytest.mark.parametrize("barrier", ["#", "P"])
def test_a_goal_behind_a_barrier_is_worth_nothing(barrier):
    assert optimum(width=3, height=1, slip=0.0, layout=f"S{barrier}G") == 0


def test_walls_are_no_states_and_goal_and_pit_are_absorbing():
    model = gridworld(3, 2, slip=0.3, layout="S#G/.P.")
    assert model.n_states == 5
    goal, pit = 1, 3
    np.testing.assert_array_equal(model.P[:, goal, :, goal], 1)
    np.testing.assert_array_equal(model.P[:, pit, :, pit], 1)
    assert np.flatnonzero(model.r[0].any(axis=-1)).tolist() == [goal]


def test_the_open_grid_is_the_map_without_obstacles():
    drawn = gridworld(3, 2, layout="S../..G")
    np.testing.assert_array_equal(drawn.P, gridworld(3, 2).P)
    np.testing.assert_array_equal(drawn.r, gridworld(3, 2).r)
