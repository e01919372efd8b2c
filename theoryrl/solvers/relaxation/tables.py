"""The count of every system at every parameter: what full information would tell a learner."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models._validation import real_array
from theoryrl.models.linear_systems import METHODS, RelaxationTuning, check_omega
from theoryrl.solvers.relaxation import _kernels
from theoryrl.solvers.relaxation.iteration import NotPositiveDefiniteError


def iteration_table(tuning: RelaxationTuning, reversed_order: bool = False) -> Int[np.ndarray, "U d"]:
    """Return the iteration count of each different system at each parameter of the grid.

    Parameters
    ----------
    tuning
        Systems, grid, method and tolerance.
    reversed_order
        For ``"ssor-pcg"``: the preconditioner with its factors exchanged.

    Returns
    -------
    numpy.ndarray
        Row u is system u of `tuning.systems`; ``table[tuning.systems.order]`` is the sequence. A solve that
        does not converge counts as ``max_iterations + 1``.

    Raises
    ------
    NotPositiveDefiniteError
        If conjugate gradients meet a direction of non-positive curvature.
    """
    systems = tuning.systems
    counts = np.zeros((len(systems.targets), len(tuning.omegas)), dtype=np.int64)
    method = METHODS.index(tuning.method) + (1 if reversed_order and tuning.method == "ssor-pcg" else 0)
    for index, matrix in enumerate(systems.matrices):
        mine = np.flatnonzero(systems.matrix == index)
        starts = np.empty((0, systems.n)) if systems.starts is None else systems.starts[mine]
        part = np.zeros((len(mine), len(tuning.omegas)), dtype=np.int64)
        failed = _kernels.count_table(
            method,
            *matrix.arrays,
            systems.scale[mine],
            systems.shift[mine],
            systems.targets[mine],
            starts,
            np.array(tuning.omegas),
            tuning.tolerance,
            tuning.max_iterations,
            part,
        )
        if failed >= 0:
            raise _indefinite(int(mine[failed]))
        counts[mine] = part
    return counts


def counts_at(tuning: RelaxationTuning, omegas: Float[np.ndarray, " T"]) -> Int[np.ndarray, " T"]:
    """Return the count of each round's system at that round's own parameter, which need not be on the grid.

    Parameters
    ----------
    tuning
        Systems, method and tolerance.
    omegas
        Each in (0, 2): shape [T].
    """
    systems, known = tuning.systems, dict[tuple[int, float], int]()
    method = METHODS.index(tuning.method)
    values = real_array("omegas", omegas, (systems.rounds,))
    for t, (u, omega) in enumerate(zip(systems.order, values, strict=True)):
        if (int(u), float(omega)) in known:
            continue
        check_omega(f"omegas[{t}]", float(omega))
        matrix, one = systems.matrices[systems.matrix[u]], np.array([u])  # copies, which kernels expect
        starts = np.empty((0, systems.n)) if systems.starts is None else systems.starts[one]
        count = np.zeros((1, 1), dtype=np.int64)
        failed = _kernels.count_table(
            method,
            *matrix.arrays,
            systems.scale[one],
            systems.shift[one],
            systems.targets[one],
            starts,
            np.array([omega]),
            tuning.tolerance,
            tuning.max_iterations,
            count,
        )
        if failed >= 0:
            raise _indefinite(int(u))
        known[int(u), float(omega)] = int(count[0, 0])
    return np.array([known[int(u), float(w)] for u, w in zip(systems.order, values, strict=True)])


def _indefinite(u: int) -> NotPositiveDefiniteError:
    return NotPositiveDefiniteError(
        f"A of system {u} must be positive definite; conjugate gradients met a direction of non-positive "
        "curvature"
    )
