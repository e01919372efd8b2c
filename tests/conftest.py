"""What the tests of all wings share: run-time checks of every annotated shape and type."""

import dataclasses
import sys

from jaxtyping import install_import_hook

# The tests' half only: in proofs_checks/ the checks would cost more than the theorems.
install_import_hook("theoryrl", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")


def pytest_collection_finish(session):
    """Let constructors see wrong arguments.

    A constructor that validates its own arguments is exempt from the run-time checks: its refusals are
    part of the interface, and are tested. Dataclasses without validation stay checked.
    """
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "theoryrl":
            for value in list(vars(module).values()):
                is_class = isinstance(value, type) and dataclasses.is_dataclass(value)
                if is_class and hasattr(value, "__post_init__"):
                    value.__init__.__no_type_check__ = True
