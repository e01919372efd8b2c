"""Dynamic programs over the histories of a `TrajectoryGame`, exact for non-Markovian objectives.

An array over trajectories has one entry for each of the ``(S A)^H`` sequences; over histories with a
state, shape [(S A)^h, S]. Every pass is one reshape and one reduction for each stage, so it costs as much
as reading the array.

The set of laws of all history-dependent policies is convex (Kuhn): the mean of laws is the law of the
policy with ``pi(a | history, s) = mean mass of (history, s, a) / mean mass of (history, s)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import sparse
from scipy.optimize import linprog
from scipy.special import logsumexp

from theoryrl.models.trajectory import HistoryPolicy, Leaves, TrajectoryGame
from theoryrl.solvers.solution import Solution, rounding_unit

Nodes = Float[np.ndarray, "_ S A"]


@dataclass(frozen=True, eq=False)
class TrajectorySolution(Solution):
    """A minimax winner among the history-dependent policies.

    `value` and `lower` are its guaranteed win rate and a bound on it; `upper` is 1/2.

    Attributes
    ----------
    law
        Its distribution over trajectories: shape [N].
    exploitability
        By how much the best opponent's win rate exceeds 1/2.
    """

    law: Leaves
    exploitability: float


def _backward(
    P: Float[np.ndarray, "S A S"],
    rho: Float[np.ndarray, " S"],
    gains: Leaves,
    reduce: Callable[[Nodes], Float[np.ndarray, "_ S"]],
) -> tuple[float, list[Nodes]]:
    """Return the value at the start, and Q[h] of every stage; `reduce` turns Q into V."""
    S, A = P.shape[:2]
    Q = gains.reshape(-1, S, A)
    stages = [Q]
    while len(Q) > 1:
        Q = (reduce(Q).reshape(-1, S, A, S) * P).sum(axis=3)
        stages.append(Q)
    return float(rho @ reduce(Q)[0]), stages[::-1]


def best_trajectory_response(
    P: Float[np.ndarray, "S A S"], rho: Float[np.ndarray, " S"], gains: Leaves
) -> tuple[float, HistoryPolicy]:
    """Return the largest expected gain over all history-dependent policies, and a policy that attains it.

    Parameters
    ----------
    P, rho
        Transition probabilities and first-state distribution.
    gains
        What each trajectory is worth: shape [N]; N = (S A)^H tells the horizon.
    """
    value, stages = _backward(P, rho, gains, lambda Q: Q.max(axis=2))
    A = P.shape[1]
    greedy = [(Q.argmax(axis=2)[..., None] == np.arange(A)).astype(np.float64) for Q in stages]
    return value, HistoryPolicy(greedy)


def soft_trajectory_response(
    P: Float[np.ndarray, "S A S"], rho: Float[np.ndarray, " S"], gains: Leaves
) -> tuple[float, list[Nodes]]:
    """Maximise ``<law, gains> - KL(law || law of the uniform policy)`` over all policies.

    Returns
    -------
    tuple
        The maximum, and the logarithms of the action probabilities of each stage.

    Notes
    -----
    Laws of the same dynamics differ by their policies only, so that the divergence is the expected sum of
    those of the actions, and ``V = ln mean_a exp(Q)``, ``pi(a) = exp(Q - V) / A``.
    """
    A = P.shape[1]

    def soft(Q: Nodes) -> Float[np.ndarray, "_ S"]:
        return np.asarray(logsumexp(Q, axis=2) - np.log(A))

    value, stages = _backward(P, rho, gains, soft)
    return value, [Q - soft(Q)[..., None] - np.log(A) for Q in stages]


def trajectory_law(
    P: Float[np.ndarray, "S A S"], rho: Float[np.ndarray, " S"], stages: list[Nodes]
) -> Leaves:
    """Return the distribution over trajectories of the policy with these action probabilities."""
    mass = rho[None]
    for h, pi in enumerate(stages):
        joint = mass[..., None] * pi
        if h == len(stages) - 1:
            break
        mass = (joint[..., None] * P).reshape(-1, P.shape[0])
    return np.asarray(joint.ravel())


def behaviour_of(law: Leaves, n_states: int, n_actions: int) -> HistoryPolicy:
    """Return the policy whose law this is; uniform at histories of probability zero.

    Parameters
    ----------
    law
        A law of some policy, or a mean of such: shape [N].
    n_states, n_actions
        S and A.
    """
    S, A = n_states, n_actions
    mass = law.reshape(-1, S, A)
    stages = []
    while True:
        total = mass.sum(axis=2, keepdims=True)
        stages.append(np.divide(mass, total, out=np.full(mass.shape, 1 / A), where=total > 0))
        if len(mass) == 1:
            return HistoryPolicy(stages[::-1])
        mass = total.reshape(-1, S, A, S).sum(axis=3)


def trajectory_exploitability(game: TrajectoryGame, law: Leaves) -> float:
    """Return by how much the best opponent's win rate against the policy of this law exceeds 1/2."""
    return best_trajectory_response(game.P, game.rho, game.preferences.skew[0] @ law)[0]


def trajectory_winner(game: TrajectoryGame) -> TrajectorySolution:
    """Find a policy that no opponent beats, by a linear program in sequence form.

    Returns
    -------
    TrajectorySolution
        Its bounds come from a best response to the law found, rounding included, whatever HiGHS did.

    Raises
    ------
    RuntimeError
        If HiGHS does not report optimality.

    Notes
    -----
    The weights x of the action sequences satisfy ``sum_a x(history, s, a) = x(history)``; a law is c x, with
    c the chances. The opponent's values V satisfy ``V(history, s) >= sum_s' P V(history, s, a, s')``, at the
    last stage ``V >= A c x``; their start is minimised. The program is dense in the leaves: up to a
    thousand of them.
    """
    x = _sequence_weights(game)
    pi = _policy_of_weights(x, game)
    law = trajectory_law(game.P, game.rho, list(pi.stages))
    lost = trajectory_exploitability(game, law)
    rounding = rounding_unit(game.n_trajectories + 4 * game.horizon * game.n_states + 8)
    return TrajectorySolution(
        value=np.array(0.5 - lost),
        policy=pi,
        lower=np.array(0.5 - max(lost + rounding, 0.0)),
        upper=np.array(0.5),
        iterations=int(x.pivots),
        method="linear program in sequence form",
        law=law,
        exploitability=lost,
    )


@dataclass(frozen=True, eq=False)
class _Weights:
    """Weights of the longest sequences, and the pivots that they took."""

    leaves: Leaves
    pivots: int


def _sequence_weights(game: TrajectoryGame) -> _Weights:
    """Solve the program; its variables are the weights of all sequences, then the opponent's values."""
    S, A, H = game.n_states, game.n_actions, game.horizon
    sequences = [(S * A) ** (h + 1) for h in range(H)]
    nodes = [(S * A) ** h * S for h in range(H)]
    x_at = np.concatenate([[0], np.cumsum(sequences)])
    v_at = x_at[-1] + np.concatenate([[0], np.cumsum(nodes)])
    width, flows, prices = int(v_at[-1]), [], []
    for h in range(H):
        node = np.repeat(np.arange(nodes[h]), A)  # of each sequence (history, s, a)
        sums = _entries(node, x_at[h] + np.arange(sequences[h]), 1.0, nodes[h], width)
        if h > 0:
            parent = np.arange(nodes[h]) // S
            sums = sums - _entries(np.arange(nodes[h]), x_at[h - 1] + parent, 1.0, nodes[h], width)
        flows.append(sums)
        own = _entries(np.arange(sequences[h]), v_at[h] + node, -1.0, sequences[h], width)
        if h < H - 1:
            child = np.arange(nodes[h + 1])
            chance = np.tile(game.P.ravel(), sequences[h] // (S * A))
            gain = _entries(child // S, v_at[h + 1] + child, chance, sequences[h], width)
        else:
            leaves = sparse.csr_matrix(game.preferences.skew[0] * game.chances)
            before, after = sparse.csr_matrix((len(game.chances), x_at[h])), width - int(x_at[-1])
            gain = sparse.hstack([before, leaves, sparse.csr_matrix((len(game.chances), after))])
        prices.append(own + gain)
    cost = np.zeros(width)
    cost[v_at[0] : v_at[1]] = game.rho
    rows = sparse.vstack(prices)
    result = linprog(
        cost,
        A_ub=rows,
        b_ub=np.zeros(rows.shape[0]),
        A_eq=sparse.vstack(flows),
        b_eq=np.r_[np.ones(S), np.zeros(sum(nodes) - S)],
        bounds=[(0, None)] * int(x_at[-1]) + [(None, None)] * sum(nodes),
        method="highs",
    )
    if result.status != 0:
        raise RuntimeError(f"the program of the game was not solved: {result.message}")
    return _Weights(np.maximum(result.x[x_at[-2] : x_at[-1]], 0.0), int(result.nit))


def _entries(
    rows: np.ndarray, columns: np.ndarray, values: object, height: int, width: int
) -> sparse.csr_matrix:
    data = np.broadcast_to(np.asarray(values, dtype=np.float64), rows.shape)
    return sparse.csr_matrix((data, (rows, columns)), shape=(height, width))


def _policy_of_weights(weights: _Weights, game: TrajectoryGame) -> HistoryPolicy:
    """Return the policy with these weights of the longest sequences, exactly normalised.

    A shorter sequence's weight is the sum over the next actions, the same for every next state; of states
    the first is read, or all are averaged: the program's rounding differs, and any choice is a policy.
    """
    S, A = game.n_states, game.n_actions
    x = weights.leaves.reshape(-1, S, A)
    stages = []
    while True:
        total = x.sum(axis=2, keepdims=True)
        stages.append(np.divide(x, total, out=np.full(x.shape, 1 / A), where=total > 0))
        if len(x) == 1:
            return HistoryPolicy(stages[::-1])
        x = total.reshape(-1, S, A, S).mean(axis=3)
