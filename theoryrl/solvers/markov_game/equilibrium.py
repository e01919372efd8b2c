"""The equilibrium of a Markov game: backward induction through matrix games, with a duality gap.

``Q_h = r_h + P_h V_{h+1}`` and ``V_h(s) = value of the matrix game Q_h(s, ., .)``. The certificate does not
trust the matrix games: it is what the two policies that were found guarantee in the whole game against best
responses, so that ``V^{mu, *} <= V* <= V^{*, nu}`` at every stage and state, rounding included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.models import MatrixGame, Policy, PolicyPair, ZeroSumMarkovGame
from theoryrl.models._validation import check_choice, check_type
from theoryrl.solvers.markov_game import _kernels
from theoryrl.solvers.markov_game.evaluation import best_response
from theoryrl.solvers.preference import MatrixGameSolution, matrix_game_equilibrium
from theoryrl.solvers.preference.winner import guarantees
from theoryrl.solvers.solution import Solution

METHODS = ("simplex", "linear-program")

FALLBACK = 1e-10
"""Gap of a matrix game, relative to the horizon, above which HiGHS is asked as well."""


@dataclass(frozen=True, eq=False)
class MarkovGameSolution(Solution):
    """An equilibrium: `value`, `lower` and `upper` have shape [H, S]; `policy` is a `PolicyPair`.

    `lower` is what the max player's policy guarantees, `upper` what the min player's concedes.

    Attributes
    ----------
    action_values
        Q[h, s, a, b] of the recursion: shape [H, S, A, B].
    start_value, start_lower, start_upper
        Expected return of an episode, and its bounds.
    """

    meaning: ClassVar[str] = "of the max player at the start of an episode"
    action_values: Float[np.ndarray, "H S A B"]
    start_value: float
    start_lower: float
    start_upper: float

    @property
    def overall(self) -> tuple[float, float, float]:
        """Value at the start of an episode, with its bounds."""
        return self.start_value, self.start_lower, self.start_upper


def markov_game_equilibrium(game: ZeroSumMarkovGame, method: str = "simplex") -> MarkovGameSolution:
    """Solve a zero-sum Markov game.

    Parameters
    ----------
    game
        The model.
    method
        ``"simplex"``: our own method for small matrix games, with HiGHS where its gap is not closed;
        ``"linear-program"``: HiGHS for every stage and state.

    Returns
    -------
    MarkovGameSolution
        `value` is the middle of the proven bounds; `iterations` counts the pivots. Where a matrix game has
        a saddle point, both players take the one of lowest index.

    Notes
    -----
    Source: Shapley (1953); Filar and Vrieze (1997), section 4.3, for a finite horizon.
    """
    check_type("game", game, ZeroSumMarkovGame)
    check_choice("method", method, METHODS)
    mu, nu, Q, pivots = by_simplex(game) if method == "simplex" else by_programs(game)
    pair = PolicyPair(mu, nu)
    below = best_response(game, pair.row, "min")
    above = best_response(game, pair.column, "max")
    start = below.overall[1], above.overall[2]
    return MarkovGameSolution(
        value=(below.lower + above.upper) / 2,
        policy=pair,
        lower=below.lower,
        upper=above.upper,
        iterations=pivots,
        method=method,
        action_values=Q,
        start_value=(start[0] + start[1]) / 2,
        start_lower=start[0],
        start_upper=start[1],
    )


Recursion = tuple[np.ndarray, np.ndarray, np.ndarray, int]


def by_simplex(game: ZeroSumMarkovGame) -> Recursion:
    """Return both policies, Q and the pivots, by the compiled recursion."""
    H, S, A, B = game.r.shape
    Q, V = np.empty((H, S, A, B)), np.zeros((H + 1, S))
    mu, nu = np.empty((H, S, A)), np.empty((H, S, B))
    pivots, gap = _kernels.backward_games(game.P, game.r, Q, V, mu, nu)
    if not gap <= FALLBACK * H:  # also where it is NaN
        return by_programs(game)
    return mu, nu, Q, int(pivots)


def by_programs(game: ZeroSumMarkovGame) -> Recursion:
    """Return both policies, Q and the pivots, by one linear program for every stage and state."""
    H, S, A, B = game.r.shape
    Q, V, pivots = np.empty((H, S, A, B)), np.zeros(S), 0
    mu, nu = np.empty((H, S, A)), np.empty((H, S, B))
    for h in range(H - 1, -1, -1):
        Q[h] = game.r[h] + game.P[h] @ V
        solved = [matrix_game_equilibrium(MatrixGame(matrix)) for matrix in Q[h]]
        for s, solution in enumerate(solved):
            mu[h, s], nu[h, s] = solution.row, solution.column
        V = np.array([float(solution.value) for solution in solved])
        pivots += sum(solution.iterations for solution in solved)
    return mu, nu, Q, pivots


def small_matrix_game(game: MatrixGame) -> MatrixGameSolution:
    """Solve a zero-sum matrix game by a dense simplex method: the saddle point of lowest index, if any.

    Returns
    -------
    MatrixGameSolution
        The bounds are what the two strategies, evaluated exactly, guarantee; rounding included. Numbers
        that defeat the method show in the gap; `matrix_game_equilibrium` uses HiGHS.
    """
    check_type("game", game, MatrixGame)
    M = game.payoff
    row, column = np.empty(M.shape[0]), np.empty(M.shape[1])
    pivots = _kernels.matrix_game(M, row, column)
    lower, upper = guarantees(M, row, column)
    return MatrixGameSolution(
        value=np.array(lower / 2 + upper / 2),
        policy=Policy(row[None]),
        lower=np.array(lower),
        upper=np.array(upper),
        iterations=int(pivots),
        method="simplex",
        row=row,
        column=column,
    )
