"""Small communicating models, in one compiled call.

What is proven is what the general path proves (`theoryrl.solvers.average._certificate`): the bounds of
Odoni (1969) on the model's own rows, whatever the policy iteration did before.
"""

from __future__ import annotations

import numpy as np

from theoryrl.models import AverageRewardMDP, DeterministicPolicy
from theoryrl.solvers._rows import Rows
from theoryrl.solvers.average import _small_kernels
from theoryrl.solvers.average.solution import GainSolution

LARGEST = 150
"""States up to which a chain is written as a dense matrix, and reduced without LAPACK."""
PATIENCE = 100
"""Iterations after which the general path takes over."""


def solve_small(mdp: AverageRewardMDP, tol: float, max_iterations: int) -> GainSolution | None:
    """Return the certified answer of a small communicating model; None if it is not one.

    None too where the tolerance was not met: the general path then says why.
    """
    S, A = mdp.r.shape
    if S > LARGEST:
        return None
    rows = Rows.of(mdp)
    solved, iterations, value, lower, upper, h, actions = _small_kernels.solve_communicating(
        rows.P, mdp.r, mdp.mask, rows.unit, rows.tau, 2 * tol, min(max_iterations, PATIENCE)
    )
    if not solved:
        return None
    return GainSolution(
        value,
        DeterministicPolicy.trusted(actions, A),
        lower,
        upper,
        iterations,
        "policy iteration",
        h,
        np.zeros(S, dtype=np.int64),
    )
