"""From where a set of states can be reached with probability one."""

from __future__ import annotations

import numpy as np

from theoryrl.models import StationaryMDP
from theoryrl.solvers import _row_kernels
from theoryrl.solvers._rows import Attractor, Rows


def surely_reaching(
    mdp: StationaryMDP, goal: np.ndarray, active: np.ndarray, attract: Attractor
) -> tuple[np.ndarray, np.ndarray]:
    """Return (states from where some policy reaches `goal` surely, the actions that stay among them).

    Source: Baier and Katoen (2008), chapter 10. Actions in the goal are kept, whatever they do.
    """
    kept = np.ones(mdp.n_states, dtype=np.bool_)
    active = active.copy()
    rows = Rows.of(mdp).P
    unused = np.zeros(mdp.n_states, dtype=np.int64)
    while True:
        reached = attract(active, goal & kept, unused)
        if (reached >= kept).all():
            return kept, active
        kept &= reached
        active[~kept] = False
        _row_kernels.deactivate_exits(rows, active, kept.astype(np.int64))
