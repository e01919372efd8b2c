"""Configuration of the site."""

import importlib
import inspect
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent

project = "theoryrl"
author = "theoryrl contributors"
copyright = "2026, theoryrl contributors"
version = release = installed_version("theoryrl")

extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxcontrib.bibtex",
]
WINGS = ["models", "solvers", "instances", "protocol", "learners", "theory", "study"]
exclude_patterns = [
    "_build",
    "gallery",
    "reference/generated/modules.rst",
    "reference/generated/theoryrl.rst",
    # The hand-written page of a wing stands for the generated page of its package.
    *(f"reference/generated/theoryrl.{wing}.rst" for wing in WINGS),
]

html_theme = "furo"
html_title = "theoryrl"

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"

apidoc_modules = [
    {
        "path": "../theoryrl",
        "destination": "reference/generated",
        "exclude_patterns": ["../theoryrl/cli*", "../theoryrl/__main__.py"],
        "separate_modules": True,
        "module_first": True,
        "automodule_options": ["members"],
    }
]
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

if any(HERE.glob("gallery/plot_*.py")):
    extensions.append("sphinx_gallery.gen_gallery")
    sphinx_gallery_conf = {
        "examples_dirs": "gallery",
        "gallery_dirs": "auto_gallery",
        "filename_pattern": r"/plot_",
        "abort_on_example_error": True,
        "write_computation_times": False,
    }


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
    """Connect the rules above to autodoc."""
    app.connect("autodoc-skip-member", skip_if_documented_elsewhere)
    app.connect("autodoc-process-signature", show_default_factories)
