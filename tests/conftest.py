"""What the tests of all wings share."""

import dataclasses
import sys


def pytest_collection_finish(session):
    """Let constructors see wrong arguments.

    While pytest runs, jaxtyping and beartype check every annotated function (`addopts` in
    pyproject.toml). A constructor that validates its own arguments is exempt: its refusals are part
    of the interface, and are tested. Dataclasses without validation stay checked.
    """
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "theoryrl":
            for value in list(vars(module).values()):
                if dataclasses.is_dataclass(value) and hasattr(value, "__post_init__"):
                    value.__init__.__no_type_check__ = True
