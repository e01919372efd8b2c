"""The von Neumann winner of a preference game, and equilibria of matrix games.

A von Neumann winner is a policy that no opponent beats: ``max_y (A pi)_y <= 0``, with A the skew part. It
exists, and need not be unique. Whatever the method, the answer carries its exploitability
``max_y (A pi)_y``, which is the distance of its guaranteed win rate from 1/2.

Two methods:

* ``linear_program``: minimise t subject to ``A pi <= t``, by HiGHS.
* ``support_newton``: the regularised equilibrium at a small beta with uniform reference tells the support S
  of the winner of largest entropy, which is the limit for beta -> 0; on S it solves ``A_SS p = 0``. A kernel
  of dimension one is read off; in a larger one the entropy is maximised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import null_space
from scipy.optimize import linprog

from theoryrl.models import MatrixGame, Policy, PreferenceGame
from theoryrl.models._validation import check_choice
from theoryrl.solvers.preference.equilibrium import StalledError, continuation
from theoryrl.solvers.preference.fields import PerContext, exploitability
from theoryrl.solvers.simplex import log_normalize
from theoryrl.solvers.solution import Solution, rounding_unit

METHODS = ("support-newton", "linear-program")

FIRST_BETA, BETA_RATIO, LAST_BETA = 1e-2, 5.0, 1e-8
EXACT = 1e-12
"""Exploitability that counts as zero: rounding of a system of a few thousand equations."""

KERNEL = 1e-10
"""Relative size of a singular value that counts as zero."""

ENTROPY = 1e-5
"""Difference of entropy that counts as none: what HiGHS's tolerance of 1e-7 may lend a winner."""

SMALLEST = float(np.finfo(np.float64).smallest_subnormal)
"""Rounding of a product whose result is not a normal number."""

LEAST_SHARE = 1e-10
"""A smaller share in the solution on a support means that the support is too large."""


@dataclass(frozen=True, eq=False)
class WinnerSolution(Solution):
    """A von Neumann winner.

    `value` and `lower` are its guaranteed win rate and a bound on it, per context; `upper` is 1/2.

    Attributes
    ----------
    exploitability
        ``max_y (A pi)_y`` in each context: shape [X].
    unique
        Whether the winner of each context is the only one, as far as numerical rank tells: True if
        ``A_SS`` has a kernel of dimension one and every other action loses strictly; False if the kernel is
        larger and every other action loses strictly; None if that does not decide.
    """

    exploitability: PerContext
    unique: tuple[bool | None, ...]

    entry: ClassVar[str] = "context"

    @property
    def gap(self) -> float:
        """Largest bound on the exploitability, rounding included."""
        return float((self.upper - self.lower).max())


@dataclass(frozen=True, eq=False)
class MatrixGameSolution(Solution):
    """Maximin strategies of both players of a matrix game.

    `value` lies between `lower`, what `row` guarantees, and `upper`, what `column` concedes at most.

    Attributes
    ----------
    row, column
        Distributions over the n rows and the m columns; `policy` is `row` as a `Policy`.
    """

    row: Float[np.ndarray, " n"]
    column: Float[np.ndarray, " m"]

    meaning: ClassVar[str] = "of the row player"


class _Winner(NamedTuple):
    policy: Float[np.ndarray, " n"]
    unique: bool | None
    work: int


def von_neumann_winner(game: PreferenceGame, method: str = "support-newton") -> WinnerSolution:
    """Find a policy that no opponent beats.

    Parameters
    ----------
    game
        Any number of contexts.
    method
        ``"support-newton"`` returns the winner of largest entropy; contexts in which it fails (supports too
        close to call) are solved by the linear program. ``"linear-program"`` returns some winner.

    Returns
    -------
    WinnerSolution
        `iterations` counts linear systems, or the program's pivots.
    """
    check_choice("method", method, METHODS)
    solve = _by_support if method == "support-newton" else _by_program
    winners = [solve(A) for A in game.skew]
    pi = np.array([winner.policy for winner in winners])
    lost = exploitability(game, pi)
    rounding = rounding_unit(game.n_actions + 2) / 2
    return WinnerSolution(
        value=0.5 - lost,
        policy=Policy(pi),
        lower=0.5 - np.maximum(lost + rounding, 0.0),
        upper=np.full(len(pi), 0.5),
        iterations=sum(winner.work for winner in winners),
        method=method,
        exploitability=lost,
        unique=tuple(winner.unique for winner in winners),
    )


def matrix_game_equilibrium(game: MatrixGame) -> MatrixGameSolution:
    """Solve a zero-sum matrix game by linear programming.

    Returns
    -------
    MatrixGameSolution
        The bounds are what the two strategies, evaluated exactly, guarantee; rounding included.

    Raises
    ------
    RuntimeError
        If HiGHS does not report optimality.
    """
    M = game.payoff
    row, pivots, prices = _maximin(M)
    column = np.maximum(prices, 0.0)
    column = column / column.sum()
    lower, upper = guarantees(M, row, column)
    return MatrixGameSolution(
        value=np.array(lower / 2 + upper / 2),
        policy=Policy(row[None]),
        lower=np.array(lower),
        upper=np.array(upper),
        iterations=pivots,
        method="linear program",
        row=row,
        column=column,
    )


def guarantees(
    M: Float[np.ndarray, "n m"], row: Float[np.ndarray, " n"], column: Float[np.ndarray, " m"]
) -> tuple[float, float]:
    """Return bounds on the value of M: what a row strategy guarantees, and what a column strategy concedes.

    Rounding is counted in: of the sums, of having divided each strategy by its sum, and of products that
    are smaller than any normal number.
    """
    terms, size = max(M.shape), float(np.abs(M).max())
    rounding = rounding_unit(2 * terms + 2) * size + terms * min(SMALLEST, size)
    return float((row @ M).min()) - rounding, float((M @ column).max()) + rounding


def _maximin(
    M: Float[np.ndarray, "n m"],
) -> tuple[Float[np.ndarray, " n"], int, Float[np.ndarray, " m"]]:
    """Return the row strategy that maximises the least payoff, the pivots, and the column prices."""
    n, m = M.shape
    result = linprog(
        np.r_[np.zeros(n), -1.0],
        A_ub=np.c_[-M.T, np.ones(m)],
        b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(n), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
        method="highs",
    )
    if result.status != 0:
        raise RuntimeError(f"the program of the game was not solved: {result.message}")
    strategy = np.maximum(result.x[:n], 0.0)
    return strategy / strategy.sum(), int(result.nit), -result.ineqlin.marginals


def _by_program(A: Float[np.ndarray, "n n"]) -> _Winner:
    pi, pivots, _ = _maximin(A)
    return _Winner(pi, _uniqueness(A, pi), pivots)


def _by_support(A: Float[np.ndarray, "n n"]) -> _Winner:
    """Lower beta until the support of the equilibrium carries an exact winner."""
    n = len(A)
    log_reference = np.full((1, n), -np.log(n))
    u, at, work, beta = np.zeros((1, n)), np.inf, 0, FIRST_BETA
    while beta >= LAST_BETA:
        try:
            start = None if np.isinf(at) else (u, at)
            u, solves = continuation(A[None], log_reference, beta, start, precise=False)
        except StalledError:
            break
        at, work = beta, work + solves
        pi = np.exp(log_normalize(log_reference + u / beta))[0]
        winner = _exact_winner(A, pi, beta)
        if winner is not None:
            return winner._replace(work=work)
        beta /= BETA_RATIO
    fallback = _by_program(A)
    return fallback._replace(work=work + fallback.work)


def _exact_winner(A: Float[np.ndarray, "n n"], pi: Float[np.ndarray, " n"], beta: float) -> _Winner | None:
    """Return the winner on the support that the equilibrium pi at beta suggests; None if there is none.

    In general an action has either a share or a loss that does not vanish with beta. Where it has neither,
    both are of order ``beta log(1 / beta)``, and a threshold of sqrt(beta) tells it from the others.
    """
    loss, threshold = -(A @ pi), np.sqrt(beta)
    in_general = pi > loss
    for support, tied in ((in_general, in_general), (pi > threshold, loss < threshold)):
        winner = _winner_on(A, np.flatnonzero(support), np.flatnonzero(support | tied), pi)
        if winner is None:
            continue
        if winner.unique or _has_largest_entropy(A, winner.policy):
            return winner
    return None


def _winner_on(
    A: Float[np.ndarray, "n n"],
    support: Int[np.ndarray, " s"],
    tied: Int[np.ndarray, " t"],
    pi: Float[np.ndarray, " n"],
) -> _Winner | None:
    """Return the winner of largest entropy with this support that ties against `tied`; None if none does."""
    if len(support) == 0:
        return None
    kernel = null_space(A[np.ix_(tied, support)], rcond=KERNEL) if len(tied) > 1 else np.ones((1, 1))
    if kernel.shape[1] == 0:
        return None
    share = _largest_entropy(kernel, pi[support]) if kernel.shape[1] > 1 else _scaled(kernel[:, 0])
    if share is None or not (share > LEAST_SHARE).all():
        return None
    policy = np.zeros(len(A))
    policy[support] = share / share.sum()
    if float((A @ policy).max()) > EXACT:
        return None
    return _Winner(policy, _uniqueness(A, policy), 0)


def _scaled(v: Float[np.ndarray, " s"]) -> Float[np.ndarray, " s"] | None:
    """Return the multiple of v of mass one; None if its mass is zero."""
    mass = v.sum()
    return v / mass if abs(mass) > KERNEL else None


def _has_largest_entropy(A: Float[np.ndarray, "n n"], p: Float[np.ndarray, " n"]) -> bool:
    """Return whether no other winner has a larger entropy than the winner p, up to `ENTROPY`.

    The entropy is concave and the winners q form a polytope, so p is the best if its derivative towards each
    of them is not positive: none has mass where p has none, towards which it would be infinite, and none
    a larger ``<q, -log p>``. Two linear programs tell.
    """
    off = p == 0
    reward = np.where(off, 0.0, -np.log(np.where(off, 1.0, p)))
    return _most(A, off.astype(np.float64)) <= ENTROPY and _most(A, reward) <= float(p @ reward) + ENTROPY


def _most(A: Float[np.ndarray, "n n"], reward: Float[np.ndarray, " n"]) -> float:
    """Return the largest mean reward of a winner; infinite if HiGHS does not find it."""
    n = len(A)
    if not reward.any():
        return 0.0
    result = linprog(
        -reward, A_ub=A, b_ub=np.zeros(n), A_eq=np.ones((1, n)), b_eq=[1.0], bounds=(0, None), method="highs"
    )
    return -float(result.fun) if result.status == 0 else np.inf


def _largest_entropy(
    kernel: Float[np.ndarray, "s d"], guess: Float[np.ndarray, " s"]
) -> Float[np.ndarray, " s"] | None:
    """Return the distribution of largest entropy in the span of orthonormal columns; None if none is found.

    Newton's method on ``sum p log p`` over the affine space of vectors ``p = kernel c`` of mass one.
    """
    mass = kernel.sum(axis=0)
    c = kernel.T @ guess
    if mass @ c <= 0:
        return None
    c = c / (mass @ c)
    directions = null_space(mass[None])
    for _ in range(50):
        p = kernel @ c
        if not (p > 0).all():
            return None
        Z = kernel @ directions
        gradient = Z.T @ (np.log(p) + 1)
        step = -np.linalg.solve((Z.T / p) @ Z, gradient)
        decrease, move = float(-gradient @ step), Z @ step
        if decrease < 1e-24:
            break
        shrinking = move < 0
        reach = float(np.min(-p[shrinking] / move[shrinking])) if shrinking.any() else np.inf
        damped = 1.0 if decrease < 0.1 else 1 / (1 + np.sqrt(decrease))
        c = c + min(damped, 0.9 * reach) * (directions @ step)
    return np.asarray(kernel @ c)


def _uniqueness(A: Float[np.ndarray, "n n"], pi: Float[np.ndarray, " n"]) -> bool | None:
    """Return whether the winner pi is the only one; None if a tie outside its support leaves it open."""
    support = pi > 0
    tie = (A @ pi)[~support] > -KERNEL
    if tie.any():
        return None
    inner = A[np.ix_(support, support)]
    singular = np.linalg.svd(inner, compute_uv=False)
    dimension = int((singular <= KERNEL * max(singular.max(), 1.0)).sum())
    return dimension == 1
