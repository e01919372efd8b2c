"""Means, slopes and their intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.study import toy
from theoryrl.study import mean_interval, regret_slope, round_grid, summarise

UNIT = 2.0**-52


@given(st.floats(0.05, 2.0), st.floats(1e-3, 1e3), st.sampled_from([50, 2000, 100_000]))
def test_a_power_law_has_its_exponent_as_slope(exponent, scale, rounds):
    grid = round_grid(rounds)
    slope = regret_slope(grid, np.tile(scale * grid**exponent, (3, 1)))
    # Logarithms of numbers up to 1e13 are below 30; the weights of a fit over a decade sum to at most 3.
    tolerance = 100 * 30 * UNIT
    np.testing.assert_allclose(slope, exponent, rtol=0, atol=tolerance)


def test_only_the_last_decade_counts():
    grid = round_grid(10_000)
    curve = np.where(grid < 1000, grid * 10.0, np.sqrt(grid / 1000) * 9990)
    assert regret_slope(grid, curve[None]).estimate == pytest.approx(0.5, abs=1e-9)


def test_the_unit_is_a_whole_curve():
    """Curves c_i k all have slope 1, so there is no doubt about it; unpaired points would leave one."""
    grid = round_grid(1000)
    slope = regret_slope(grid, np.outer([1.0, 10.0, 100.0], grid))
    np.testing.assert_allclose(slope, 1.0, atol=1e-12)


def test_the_interval_spans_what_the_seeds_disagree_about():
    grid = round_grid(1000)
    slope = regret_slope(grid, np.stack([grid**0.4, grid**0.5, grid**0.6]))
    assert slope.low < 0.4 < slope.estimate < 0.6 < slope.high


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_no_slope_without_positive_regret(value):
    grid = round_grid(100)
    assert all(map(math.isnan, regret_slope(grid, np.full((2, 100), value))))


def test_no_slope_of_a_single_round():
    assert all(map(math.isnan, regret_slope(round_grid(1), np.ones((4, 1)))))


def test_one_seed_has_no_interval():
    grid = round_grid(100)
    estimate, low, high = regret_slope(grid, grid[None] * 1.0)
    assert estimate == pytest.approx(1.0)
    assert math.isnan(low)
    assert math.isnan(high)
    mean, low, high = mean_interval(np.array([3.0]))
    assert mean == 3
    assert math.isnan(low)
    assert math.isnan(high)


def test_the_interval_of_a_mean_is_students():
    """For -1, 0, 1: standard error 1/sqrt(3); t(0.975, 2 degrees) = 4.302653 (tables)."""
    mean, low, high = mean_interval(np.array([-1.0, 0.0, 1.0]))
    assert mean == 0
    assert high == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert low == -high


def test_a_summary_has_one_row_per_learner_and_instance():
    dataset = toy.study().run(progress=False)
    rows = summarise(dataset)
    assert [(row.instance, row.learner) for row in rows] == [
        ("plain", "greedy"), ("plain", "bold"), ("safe", "greedy"), ("safe", "bold")
    ]  # fmt: skip
    for row in rows:
        runs = dataset.sel(learner=row.learner, instance=row.instance)
        assert row.final_regret == mean_interval(runs["final_regret"].values)
        assert (row.seeds, row.rounds, row.guaranteed) == (3, 60, True)
    assert rows[0].violations is None
    assert rows[2].violations == int(dataset["violations"].sel(learner="greedy", instance="safe").sum())
