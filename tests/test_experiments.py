"""The experiments run, and what the docs show of them is what they claim."""

import importlib.util
import json
from pathlib import Path

import pytest

from theoryrl.theory import Scope

ROOT = Path(__file__).parents[1]
LARGEST_FIGURE = 150_000
"""Bytes; figures are part of the repository."""


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "experiments" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


stepmix = load("stepmix")
PUBLISHED = ROOT / "docs" / "papers" / "figures"


@pytest.mark.parametrize("name", stepmix.PARTS)
def test_every_part_of_the_experiment_writes_a_figure_a_table_and_its_numbers(name, tmp_path):
    part = stepmix.PARTS[name](stepmix.Setting(Scope("quick"), None))
    stepmix.write(name, part, tmp_path)
    assert (tmp_path / f"{name}.png").stat().st_size > 0
    assert len((tmp_path / f"{name}.md").read_text().splitlines()) == 2 + len(part.rows)
    assert set(json.loads((tmp_path / "numbers.json").read_text())) == {name}


@pytest.mark.parametrize("name", stepmix.PARTS)
def test_every_part_is_published_in_small_files(name):
    assert (PUBLISHED / f"{name}.png").stat().st_size < LARGEST_FIGURE
    assert (PUBLISHED / f"{name}.md").exists()


def test_the_published_runs_of_stepmix_and_epsmix_have_no_violation_and_those_of_the_others_do():
    cells = json.loads((PUBLISHED / "numbers.json").read_text())["comparison"]
    for cell, numbers in cells.items():
        safe = cell.endswith(("StepMix", "EpsMix"))
        assert max(numbers["violations"]) == 0 if safe else min(numbers["violations"]) > 0, cell


def test_the_published_slopes_on_coin_are_two():
    for numbers in json.loads((PUBLISHED / "numbers.json").read_text())["coin"].values():
        assert 1.8 <= numbers["slope"][0] <= 2.2
