"""What the docs show of the comparison is what the StepMix page claims."""

import json

import numpy as np
from _parts import FIGURES

from theoryrl.theory import slope_interval

NUMBERS = json.loads((FIGURES / "stepmix" / "numbers.json").read_text())


def test_the_published_runs_of_stepmix_and_epsmix_have_no_violation_and_those_of_the_others_do():
    cells = NUMBERS["comparison"]
    for cell, numbers in cells.items():
        safe = cell.endswith(("StepMix", "EpsMix"))
        assert max(numbers["violations"]) == 0 if safe else min(numbers["violations"]) > 0, cell


def test_the_published_slopes_on_coin_are_two():
    for numbers in NUMBERS["coin"].values():
        assert 1.8 <= numbers["slope"][0] <= 2.2


def test_the_published_intervals_are_those_of_the_library():
    for numbers in NUMBERS["coin"].values():
        fit = slope_interval(1 / np.array(numbers["kappa"]), np.array(numbers["N"]), paired=True)
        np.testing.assert_allclose(numbers["slope"], fit, rtol=1e-9)
