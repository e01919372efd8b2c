"""Every part of every experiment runs, and is published."""

import json
from importlib import import_module
from pathlib import Path

import pytest
from _parts import FIGURES, Setting, write

from theoryrl.theory import PAPERS, Scope

SCRIPTS = sorted(path.stem for path in Path(__file__).parents[2].glob("experiments/[!_]*.py"))
PARTS = [(script, part) for script in SCRIPTS for part in import_module(script).PARTS]
LARGEST_FIGURE = 150_000
"""Bytes; figures are part of the repository."""


def test_every_paper_has_an_experiment():
    assert {key.replace("-", "_") for key in PAPERS} <= set(SCRIPTS)


@pytest.mark.parametrize(("script", "name"), PARTS)
def test_a_part_writes_a_figure_a_table_and_its_numbers(script, name, tmp_path):
    part = import_module(script).PARTS[name](Setting(Scope("quick"), None))
    write(name, part, tmp_path)
    assert (tmp_path / f"{name}.png").stat().st_size > 0
    assert len((tmp_path / f"{name}.md").read_text().splitlines()) == 2 + len(part.rows)
    assert set(json.loads((tmp_path / "numbers.json").read_text())) == {name}


@pytest.mark.parametrize(("script", "name"), PARTS)
def test_a_part_is_published_in_small_files(script, name):
    published = FIGURES / script.replace("_", "-")
    assert (published / f"{name}.png").stat().st_size < LARGEST_FIGURE
    assert (published / f"{name}.md").exists()
