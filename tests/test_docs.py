"""What the pages say is true: their code runs, and their numbers and names are those of the library."""

import re
from pathlib import Path

import pytest

from theoryrl.theory import PAPERS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BUILT = ROOT / "docs" / "_build", ROOT / "docs" / "auto_gallery", ROOT / "docs" / "reference" / "generated"


def has_code(page):
    return not any(folder in page.parents for folder in BUILT) and BLOCK.search(page.read_text()) is not None


CODED = [page for page in PAGES if has_code(page)]


def numbered_code(text):
    """The Python blocks of a page as one program, on the lines where the page has them."""
    lines = [""] * text.count("\n")
    for match in BLOCK.finditer(text):
        start = text[: match.start(1)].count("\n")
        block = match.group(1).splitlines()
        lines[start : start + len(block)] = block
    return "\n".join(lines)


@pytest.mark.parametrize("page", CODED, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = compile(numbered_code(page.read_text()), str(page), "exec")
    exec(code, {"__name__": page.stem})


def test_code_is_found_where_readers_expect_it():
    pages = {page.stem for page in CODED}
    assert pages >= {"README", "quickstart", "from-a-model-to-a-verified-theorem", "stepmix"}


@pytest.mark.parametrize("paper", list(PAPERS.values()), ids=lambda paper: paper.key)
def test_the_readme_counts_the_theorems_of_each_paper(paper):
    (row,) = (line for line in (ROOT / "README.md").read_text().splitlines() if f"`{paper.key}`:" in line)
    assert f"| {len(paper.theorems)} |" in row


@pytest.mark.parametrize("paper", list(PAPERS.values()), ids=lambda paper: paper.key)
def test_a_theorem_that_is_ours_names_a_section_of_the_papers_page(paper):
    """`source` reads "StepMix page, SECTION": a page of the paper has a heading that contains SECTION."""
    pages = [page.read_text() for page in (ROOT / "docs" / "papers").glob(f"{paper.key}*.md")]
    lines = "\n".join(pages).splitlines()
    headings = [line.strip("# ").casefold() for line in lines if line.startswith("#")]
    for theorem in paper.theorems:
        _, named, section = theorem.source.partition(" page, ")
        if named:
            assert any(section.casefold() in heading for heading in headings), f"{theorem.key}: {section!r}"
