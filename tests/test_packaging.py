"""The files around the package agree with it and with each other."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import theoryrl

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = [
    Requirement(text)
    for group in [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for text in group
]


def pinned() -> dict[str, str]:
    """Name and version of each line of the lock."""
    lines = [line for line in LOCK.splitlines() if not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    return {canonicalize_name(name): pin for name, pin in pairs}


@pytest.mark.parametrize("requirement", DECLARED, ids=lambda requirement: requirement.name)
def test_the_lock_pins_a_version_that_the_project_allows(requirement):
    assert requirement.specifier.contains(pinned()[canonicalize_name(requirement.name)])


def test_the_lock_names_no_host_and_no_path():
    assert not re.search(r"[/@\\]", LOCK)


def test_one_version():
    citation = (ROOT / "CITATION.cff").read_text()
    assert theoryrl.__version__ == version("theoryrl")
    assert f"\nversion: {theoryrl.__version__}\n" in citation


@pytest.mark.parametrize("page", sorted((ROOT / "docs/papers").glob("[!i]*.md")), ids=lambda page: page.stem)
def test_a_paper_with_a_page_has_a_row_in_the_readme(page):
    assert f"docs/papers/{page.name}" in (ROOT / "README.md").read_text()
