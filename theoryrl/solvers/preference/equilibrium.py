"""The equilibrium of a regularised preference game (its von Neumann winner), by globalised Newton.

The equilibrium solves ``F(u) = u - A pi = 0`` with ``pi`` proportional to ``ref exp(u / beta)``. The
Jacobian ``J = I - A S / beta``, ``S = diag(pi) - pi pi^T``, has eigenvalues 1 ± i lam / beta: it is never
singular, but Newton's method from afar need not converge. So beta is lowered towards its target in
adaptive steps, each solved from the solution before: a success makes the next step bolder, a failure
more cautious. All contexts advance together, each at its own pace. The answer is judged by its residual
alone, so that its certificate holds however it was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from theoryrl.models import Policy, RegularizedGame
from theoryrl.models._validation import check_real
from theoryrl.solvers.preference.fields import (
    LogPolicy,
    PerContext,
    exploitability_gap,
    preference_certificate,
)
from theoryrl.solvers.simplex import log_normalize, span
from theoryrl.solvers.solution import NotConvergedError, Solution

FIRST_RATIO, LARGEST_RATIO, LEAST_RATIO = 3.0, 10.0, 1.0005
NEWTON_STEPS = 60
LEAST_DAMPING = 1e-3
STALLED = 1e-12
"""A span of F below which the search for a shorter step stops, because rounding decides there."""


NEGLIGIBLE = 1e-20
"""Mass that no step of Newton's method notices."""


class StalledError(RuntimeError):
    """The continuation could not reach the wanted beta; `u` is where it stands, see `continuation`."""

    def __init__(self, reason: str, u: LogPolicy) -> None:
        super().__init__(reason)
        self.u = u


@dataclass(frozen=True, eq=False)
class PreferenceSolution(Solution):
    """The equilibrium of a regularised game, with what is proved of it.

    `value`, `lower` and `upper` are ``min over opponents of P_beta(pi > .)`` and its bounds, per context; the
    game's value is exactly 1/2. Differences from 1/2 that are too small for them are here:

    Attributes
    ----------
    log_policy
        Logarithms of the policy: shape [X, n].
    certificate
        Bound on ``KL(pi || pi*) + KL(pi* || pi)`` in each context, rounding included: shape [X].
    gap_bound
        Bound on the exploitability gap in each context, rounding included: shape [X].
    exploitability_gap
        The gap itself, computed without cancellation: shape [X].
    """

    log_policy: LogPolicy
    certificate: PerContext
    gap_bound: PerContext
    exploitability_gap: PerContext

    entry: ClassVar[str] = "context"

    @property
    def gap(self) -> float:
        """Largest bound on the exploitability gap."""
        return float(self.gap_bound.max())


def regularized_equilibrium(game: RegularizedGame, tol: float | None = None) -> PreferenceSolution:
    """Find the equilibrium of a regularised preference game.

    Parameters
    ----------
    game
        With any number of contexts; n up to a few thousand (each step solves an n x n system).
    tol
        Largest certificate, that is bound on ``KL(pi || pi*) + KL(pi* || pi)``, that is accepted, in each
        context. Default: iterate until rounding, accept what comes.

    Returns
    -------
    PreferenceSolution
        `iterations` counts the linear systems.

    Raises
    ------
    NotConvergedError
        If the continuation fails, or the certificate is above the tolerance; the solution that was found,
        with its certificate, is attached.
    """
    if tol is not None:
        check_real("tol", tol, low=0.0)
    try:
        u, solves = continuation(game.game.skew, game.log_reference, game.beta)
    except StalledError as stalled:
        reached = certified(game, log_normalize(game.log_reference + stalled.u / game.beta), 0, "newton")
        raise NotConvergedError(str(stalled), reached) from stalled
    solution = certified(game, log_normalize(game.log_reference + u / game.beta), solves, "newton")
    if tol is not None and solution.certificate.max() > tol:
        reason = (
            f"rounding in float64 prevents a certificate of {tol:g} (it is {solution.certificate.max():.3g})"
        )
        raise NotConvergedError(reason, solution)
    return solution


def certified(game: RegularizedGame, log_policy: LogPolicy, work: int, method: str) -> PreferenceSolution:
    """Return a policy with what its residual proves."""
    proved = preference_certificate(game, log_policy)
    gap = exploitability_gap(game, log_policy)
    return PreferenceSolution(
        value=0.5 - gap,
        policy=Policy(np.exp(log_policy)),
        lower=np.nextafter(0.5 - proved.gap, 0.0),
        upper=np.full(len(gap), 0.5),
        iterations=work,
        method=method,
        log_policy=log_policy,
        certificate=proved.divergence,
        gap_bound=proved.gap,
        exploitability_gap=gap,
    )


def continuation(
    A: Float[np.ndarray, "X n n"],
    log_reference: LogPolicy,
    beta: float,
    start: tuple[LogPolicy, float] | None = None,
    precise: bool = True,
) -> tuple[LogPolicy, int]:
    """Lower beta to its target in each context; return u with ``pi = softmax(log ref + u / beta)``.

    Parameters
    ----------
    A
        Skew parts.
    log_reference
        Reference policies.
    beta
        Target.
    start
        A solution u at a larger beta, to go on from. Default: 0 at ``max(1, beta)``.
    precise
        Whether the last equation is solved until rounding, or as roughly as the others.

    Returns
    -------
    u, solves
        Solution, and the number of linear systems.
    """
    X = len(A)
    u, first = (np.zeros_like(log_reference), max(1.0, beta)) if start is None else start
    u, solved = u.copy(), np.full(X, np.inf if start is None else first)
    ratio, total = np.full(X, FIRST_RATIO), 0
    todo = np.flatnonzero(solved > beta)
    while len(todo):
        aim = np.where(np.isinf(solved[todo]), first, np.maximum(beta, solved[todo] / ratio[todo]))
        tolerance = np.where(precise & (aim == beta), 1e-13 * max(1.0, beta), 1e-3 * aim)
        found, good, solves = _newton(A[todo], log_reference[todo], aim, u[todo], tolerance)
        total += solves
        won, lost = todo[good], todo[~good]
        u[won], solved[won] = found[good], aim[good]
        ratio[won] = np.minimum(LARGEST_RATIO, ratio[won] ** 1.5)
        ratio[lost] = np.sqrt(ratio[lost])
        if (ratio[lost] < LEAST_RATIO).any():
            x = int(lost[np.argmin(ratio[lost])])
            raise StalledError(f"context {x}: no progress below beta = {solved[x]:.3g} towards {beta:.3g}", u)
        todo = np.flatnonzero(solved > beta)
    return u, total


def _newton(
    A: Float[np.ndarray, "X n n"],
    log_reference: LogPolicy,
    beta: PerContext,
    u: LogPolicy,
    tolerance: PerContext,
) -> tuple[LogPolicy, Bool[np.ndarray, " X"], int]:
    """Damped Newton for all contexts; return u, which of them reached their tolerance, and the solves."""
    u, good = u.copy(), np.zeros(len(A), dtype=np.bool_)
    pi, F = _equation(A, log_reference, beta, u)
    size, active, solves = span(F), np.arange(len(A)), 0
    for _ in range(NEWTON_STEPS):
        good[active] = size[active] <= tolerance[active]
        active = active[~good[active]]
        if not len(active):
            break
        step = _direction(A[active], pi[active], F[active], beta[active])
        solves += len(active)
        active = _search(A, log_reference, beta, u, pi, F, size, active, step)
    good |= size <= np.maximum(tolerance, np.where(tolerance < STALLED, STALLED, 0.0))
    return u, good, solves


def _equation(
    A: Float[np.ndarray, "X n n"], log_reference: LogPolicy, beta: PerContext, u: LogPolicy
) -> tuple[LogPolicy, LogPolicy]:
    """Return the probabilities pi and ``F = u - A pi``."""
    pi = np.exp(log_normalize(log_reference + u / beta[:, None]))
    return pi, u - _products(A, pi)


def _products(A: Float[np.ndarray, "X n n"], v: LogPolicy) -> LogPolicy:
    return (A[0] @ v[0])[None] if len(A) == 1 else np.matmul(A, v[:, :, None])[:, :, 0]


def _direction(A: Float[np.ndarray, "X n n"], pi: LogPolicy, F: LogPolicy, beta: PerContext) -> LogPolicy:
    """Return Newton's step ``-J^{-1} F`` with ``J = I - A (diag(pi) - pi pi^T) / beta``."""
    if len(A) == 1:
        return _single_direction(A[0], pi[0], F[0], float(beta[0]))[None]
    weights = pi / beta[:, None]
    J = A * -weights[:, None, :]
    J += _products(A, pi)[:, :, None] * weights[:, None, :]
    diagonal = np.arange(pi.shape[1])
    J[:, diagonal, diagonal] += 1
    return -np.linalg.solve(J, F[:, :, None])[:, :, 0]


def _single_direction(
    A: Float[np.ndarray, "n n"], pi: Float[np.ndarray, " n"], F: Float[np.ndarray, " n"], beta: float
) -> Float[np.ndarray, " n"]:
    """Do the same for one context, with a linear system in the actions that have any mass.

    The others, whose columns of the Jacobian are those of the identity, follow from these.
    """
    kept = np.flatnonzero(pi > NEGLIGIBLE)
    p = pi[kept]
    columns = A if len(kept) == len(pi) else A[:, kept]
    square = columns if len(kept) == len(pi) else columns[kept]
    J = square * (-p / beta)
    J += np.outer(square @ p, p / beta)
    J[np.arange(len(kept)), np.arange(len(kept))] += 1
    step = -np.linalg.solve(J, F[kept])
    if len(kept) == len(pi):
        return step
    full: np.ndarray = columns @ (p * (step - p @ step) / beta) - F
    return full


def _search(
    A: Float[np.ndarray, "X n n"],
    log_reference: LogPolicy,
    beta: PerContext,
    u: LogPolicy,
    pi: LogPolicy,
    F: LogPolicy,
    size: PerContext,
    active: Int[np.ndarray, " Y"],
    step: Float[np.ndarray, "Y n"],
) -> Int[np.ndarray, " Z"]:
    """Halve the step of each active context until F shrinks enough; update in place, return who goes on."""
    t, waiting, stuck = 1.0, np.arange(len(active)), []
    while len(waiting):
        at = active[waiting]
        trial = u[at] + t * step[waiting]
        new_pi, new_F = _equation(A[at], log_reference[at], beta[at], trial)
        new_size = span(new_F)
        better = new_size <= (1 - 0.1 * t) * size[at]
        take = at[better]
        u[take], pi[take], F[take], size[take] = (
            trial[better],
            new_pi[better],
            new_F[better],
            new_size[better],
        )
        waiting, t = waiting[~better], t / 2
        if t < LEAST_DAMPING or (size[active[waiting]] < STALLED).all():
            stuck = list(waiting)
            break
    return np.delete(active, stuck)
