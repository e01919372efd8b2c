"""Read-only arrays that stay read-only on the way through a pickle."""

from __future__ import annotations

from typing import Any

import numpy as np


class Frozen:
    """Restores the read-only flags of array attributes, which pickling and deep copies drop.

    Without them a model that was sent to another process could be changed by accident, and every
    kernel would be compiled once more for arrays that it may write to.
    """

    def __getstate__(self) -> tuple[dict[str, Any], list[str]]:
        attributes = dict(vars(self))
        frozen = [
            name
            for name, value in attributes.items()
            if isinstance(value, np.ndarray) and not value.flags.writeable
        ]
        return attributes, frozen

    def __setstate__(self, state: tuple[dict[str, Any], list[str]]) -> None:
        attributes, frozen = state
        for name in frozen:
            attributes[name].setflags(write=False)
        vars(self).update(attributes)
