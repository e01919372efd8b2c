"""Configuration of the site."""

import importlib
import inspect
import pkgutil
import re
import shutil
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent

project = "theoryrl"
author = "theoryrl contributors"
copyright = "2026, theoryrl contributors"
version = release = installed_version("theoryrl")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
WINGS = ["models", "solvers", "instances", "protocol", "learners", "theory", "study"]
exclude_patterns = ["_build", "gallery", "papers/figures"]

html_theme = "furo"
html_title = "theoryrl"

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
napoleon_google_docstring = False
napoleon_attr_annotations = False
napoleon_use_rtype = False
# Attributes as a plain list: as directives they would describe properties a second time.
napoleon_custom_sections = [("Attributes", "params_style")]

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "write_computation_times": False,
}


def write_module_pages(app):
    """Write a page for each public module of a wing, which the page of the wing lists.

    A module whose name its package gives to something else, as `instances.riverswim` names the
    function, stays out of the index: the name belongs to what the package exports.
    """
    folder = HERE / "reference" / "generated"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for wing in WINGS:
        package = importlib.import_module(f"theoryrl.{wing}")
        for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            parent, _, leaf = name.rpartition(".")
            if "._" in name:
                continue
            module = importlib.import_module(name)
            shadowed = getattr(importlib.import_module(parent), leaf) is not module
            lines = [name, "=" * len(name), "", f".. automodule:: {name}", "   :members:"]
            lines += ["   :no-index:"] if shadowed else []
            (folder / f"{name}.rst").write_text("\n".join(lines) + "\n")


def write_theorem_tables(app):
    """Write the table of each paper's theorems, from the registry, which the paper's page includes.

    The files are no pages of their own, hence not `.md`.
    """
    papers = importlib.import_module("theoryrl.theory").PAPERS
    for paper in papers.values():
        rows = ["| theorem | statement | source | kind | mark |", "| --- | --- | --- | --- | --- |"]
        for theorem in paper.theorems:
            statement, source = (
                re.sub(r"([\\`*_{}\[\]<>|$^~])", r"\\\1", text)
                for text in (theorem.statement, theorem.source)
            )
            cells = [f"`{theorem.key}`", statement, source, theorem.kind.value, f"*{theorem.mark.value}*"]
            rows.append(f"| {' | '.join(cells)} |")
        table = HERE / "reference" / "generated" / f"theorems-{paper.key}.txt"
        table.write_text("\n".join(rows) + "\n")


def public_home(obj):
    """Name the module that documents `obj`: the outermost package of a wing that exports it."""
    home = obj.__module__
    parts = home.split(".")
    for depth in range(2, len(parts)):
        package = importlib.import_module(".".join(parts[:depth]))
        name = obj.__name__
        if name in getattr(package, "__all__", ()) and getattr(package, name) is obj:
            return package.__name__
    return home


def skip_if_documented_elsewhere(app, what, name, obj, skip, options):
    """Document a name that a package exports on the page of the package, and only there."""
    own = inspect.isclass(obj) or inspect.isfunction(obj)
    if what != "module" or not own or not obj.__module__.startswith("theoryrl."):
        return None
    return True if public_home(obj) != app.env.temp_data.get("autodoc:module") else None


def show_default_factories(app, what, name, obj, options, signature, return_annotation):
    """Write `...` for a default that is made anew for each object, since `<factory>` is not Python."""
    return signature and signature.replace("<factory>", "..."), return_annotation


def setup(app):
    """Connect the rules above to the build."""
    app.connect("builder-inited", write_module_pages)
    app.connect("builder-inited", write_theorem_tables)
    app.connect("autodoc-skip-member", skip_if_documented_elsewhere)
    app.connect("autodoc-process-signature", show_default_factories)
