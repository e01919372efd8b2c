"""The default method: value iteration where it is fast, policy iteration where it is not.

A few sweeps show how fast the bounds close. In a chain that forgets its start quickly they close in a
few hundred sweeps, which cost less than one linear system with much fill-in; in a long river or queue
they would need as many sweeps as there are states, or far more, where a linear system is cheap.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import reverse_cuthill_mckee

from theoryrl.models import AverageRewardMDP
from theoryrl.models._validation import check_type
from theoryrl.solvers._rows import actions_chain
from theoryrl.solvers.average.policy_iteration import policy_iteration
from theoryrl.solvers.average.relative_value_iteration import relative_value_iteration
from theoryrl.solvers.average.solution import GainSolution
from theoryrl.solvers.solution import NotConvergedError, OnSweep, Progress

SMALL = 300
"""States up to which policy iteration is used at once."""
TRIAL, QUICK, LONGEST = 24, 300, 1_000_000
"""Sweeps that are tried; expected sweeps up to which no linear system is tried; and sweeps at most."""
MOST_WORK = 1e10
"""Multiplications of one LU factorisation, roughly, beyond which sweeps are preferred."""


def auto(mdp: AverageRewardMDP, tol: float = 1e-6, *, on_sweep: OnSweep | None = None) -> GainSolution:
    """Return the optimal gain of every state by the method that is likely to be the fastest.

    Parameters
    ----------
    mdp, tol, on_sweep
        As of `policy_iteration`.

    Raises
    ------
    NotConvergedError, InterruptedSolve
        As of `policy_iteration`: an answer whose error is not proven is never returned.
    """
    check_type("mdp", mdp, AverageRewardMDP)
    if mdp.n_states <= SMALL:
        return policy_iteration(mdp, tol, on_sweep=on_sweep)
    gaps: list[float] = []

    def watch(progress: Progress) -> None:
        gaps.append(progress.gap)
        if on_sweep is not None:
            on_sweep(progress)

    try:
        return relative_value_iteration(mdp, tol, max_sweeps=TRIAL, on_sweep=watch)
    except NotConvergedError as trial:
        found = trial.solution
    assert isinstance(found, GainSolution)
    if sweeps_to_go(gaps, tol) > QUICK and factorisation_work(mdp, found.policy.actions) < MOST_WORK:
        return policy_iteration(mdp, tol, on_sweep=on_sweep)
    return relative_value_iteration(
        mdp, tol, max_sweeps=LONGEST, on_sweep=on_sweep, start=found.relative_values
    )


def sweeps_to_go(gaps: list[float], tol: float) -> float:
    """Extrapolate the last gaps, taken to fall geometrically."""
    half = len(gaps) // 2
    if half == 0 or not 0 < gaps[-1] < gaps[half - 1] < math.inf:
        return math.inf
    rate = math.log(gaps[half - 1] / gaps[-1]) / (len(gaps) - half)
    return max(0.0, math.log(gaps[-1] / tol)) / rate


def factorisation_work(mdp: AverageRewardMDP, actions: np.ndarray) -> float:
    """Return about the multiplications of an LU factorisation of a policy's chain.

    S times the square of the mean distance from the diagonal after renumbering (Cuthill and McKee
    1969).
    """
    P, _ = actions_chain(mdp, actions)
    S = float(mdp.n_states)
    if isinstance(P, np.ndarray):
        return S**3
    order = reverse_cuthill_mckee(sparse.csr_matrix(P))
    position = np.empty(order.size, dtype=np.int64)
    position[order] = np.arange(order.size)
    source = np.repeat(np.arange(order.size), np.diff(P.indptr))
    return S * float(np.abs(position[source] - position[P.indices]).mean() + 1.0) ** 2
