"""Voting rules on a preference game, which a minimax winner is compared with, and the reward model.

A reward model fits ``P[i, j] = sigma(r_i - r_j)`` by maximum likelihood (Bradley and Terry 1952) and then
prefers the largest reward. Its likelihood depends on the comparisons only through their numbers and the
surplus ``(wins - losses) / 2`` of each action: with n_ij comparisons of i and j::

    f(r) = sum_{i<j} n_ij log(2 cosh((r_i - r_j) / 2)) - <surplus, r> + ridge <r, r>.

Without the ridge the minimum is attained only if every action is beaten by every other, in some number of
steps; a tournament with an undefeated action has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models import Policy, PreferenceGame
from theoryrl.models._validation import at, check_interval, check_real, first_index, real_array
from theoryrl.solvers.solution import Solution, rounding_unit

RIDGE = 1e-9
"""Default weight of the ridge: rewards stay finite, and where they are finite anyway nothing else changes."""

NEWTON_STEPS = 200


@dataclass(frozen=True, eq=False)
class RewardModel(Solution):
    """Rewards that maximise the Bradley-Terry likelihood.

    `value` is f(rewards); `lower` and `upper` enclose its minimum: the ridge makes f strongly convex, so that
    ``f(r) - min f <= |grad f(r)|^2 / (4 ridge)``. `policy` takes the best action.

    Attributes
    ----------
    rewards
        Of mean zero: shape [n].
    """

    rewards: Float[np.ndarray, " n"]


def bradley_terry_rewards(
    comparisons: Float[np.ndarray, "n n"], surplus: Float[np.ndarray, " n"], ridge: float = RIDGE
) -> RewardModel:
    """Fit rewards to comparisons by Newton's method with halved steps.

    Parameters
    ----------
    comparisons
        n_ij, how often i and j were compared, or the weight of that pair: symmetric, shape [n, n]. The
        diagonal is ignored.
    surplus
        ``(wins - losses) / 2`` of each action: shape [n], of sum zero.
    ridge
        Weight of ``|r|^2``, positive.

    Raises
    ------
    ValueError
        If the numbers are not symmetric, or the surplus exceeds half of an action's comparisons.
    """
    N = real_array("comparisons", comparisons, ("n", "n"))
    check_interval("comparisons", N, 0.0, np.inf)
    if (N != N.T).any():
        index = first_index(N != N.T)
        raise ValueError(f"{at('comparisons', index)} must equal its mirror; got {float(N[index])!r}")
    N = N - np.diag(np.diag(N))
    s = real_array("surplus", surplus, (len(N),))
    excess = np.abs(s) > N.sum(axis=1) / 2 * (1 + 1e-9) + 1e-300
    if excess.any():
        (i,) = first_index(excess)
        raise ValueError(f"surplus[{i}] must be at most half of its comparisons; got {float(s[i])!r}")
    check_real("ridge", ridge, low=0.0)
    if ridge == 0:
        raise ValueError("ridge must be positive; got 0")
    return _newton(N, s, ridge)


def _newton(N: Float[np.ndarray, "n n"], s: Float[np.ndarray, " n"], ridge: float) -> RewardModel:
    r, steps = np.zeros(len(N)), 0
    value, gradient = _objective(N, s, ridge, r)
    for steps in range(1, NEWTON_STEPS + 1):  # noqa: B007
        weight = N / (4 * np.cosh(_differences(r) / 2) ** 2)
        hessian = np.diag(weight.sum(axis=1) + 2 * ridge) - weight
        move = -np.linalg.solve(hessian, gradient)
        decrement, t = -float(gradient @ move), 1.0
        while t > 1e-9:
            trial, slope = _objective(N, s, ridge, r + t * move)
            if trial <= value - 0.25 * t * decrement + 1e-15 * abs(value):
                break
            t /= 2
        stalled = decrement < 1e-12 and np.linalg.norm(slope) > np.linalg.norm(gradient) / 2
        r, value, gradient = r + t * move, trial, slope
        if stalled or t <= 1e-9:
            break
    return _certified(N, s, ridge, r - r.mean(), steps)


def _certified(
    N: Float[np.ndarray, "n n"],
    s: Float[np.ndarray, " n"],
    ridge: float,
    r: Float[np.ndarray, " n"],
    steps: int,
) -> RewardModel:
    value, gradient = _objective(N, s, ridge, r)
    n, mass = len(r), float(N.sum())
    # Each entry of the gradient is a sum of n terms below N_ij / 2, whose hyperbolic tangents err by 4 units.
    norm = float(np.linalg.norm(gradient)) + rounding_unit(n + 8) * (mass + float(np.abs(s).sum()))
    size = mass * (float(np.abs(r).max()) + 1) + ridge * float(r @ r)
    rounding = rounding_unit(n * n + 8) * size
    best = np.zeros((1, n))
    best[0, int(np.argmax(r))] = 1.0
    return RewardModel(
        value=np.array(value),
        policy=Policy(best),
        lower=np.array(value - norm**2 / (4 * ridge) - rounding),
        upper=np.array(value + rounding),
        iterations=steps,
        method="newton",
        rewards=r,
    )


def _differences(r: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n n"]:
    return np.clip(r[:, None] - r[None, :], -700.0, 700.0)  # cosh stays finite; its weight is 0 there


def _objective(
    N: Float[np.ndarray, "n n"], s: Float[np.ndarray, " n"], ridge: float, r: Float[np.ndarray, " n"]
) -> tuple[float, Float[np.ndarray, " n"]]:
    d = r[:, None] - r[None, :]
    costs = np.abs(d) / 2 + np.log1p(np.exp(-np.abs(d)))
    value = float((N * costs).sum() / 2 - s @ r + ridge * r @ r)
    return value, (N * np.tanh(d / 2)).sum(axis=1) / 2 - s + 2 * ridge * r


def borda_scores(game: PreferenceGame) -> Float[np.ndarray, "X n"]:
    """Return the mean win rate of each action against a uniform opponent, itself included."""
    return 0.5 + game.skew.mean(axis=2)


def copeland_scores(game: PreferenceGame) -> Float[np.ndarray, "X n"]:
    """Return how many actions each action beats, ties counting one half, itself not counted."""
    return (np.sign(game.skew).sum(axis=2) + game.n_actions - 1) / 2


def condorcet_winner(game: PreferenceGame) -> Int[np.ndarray, " X"]:
    """Return the action that beats every other in each context, -1 where there is none."""
    beaten = (game.skew > 0).sum(axis=2)
    best = beaten.argmax(axis=1)
    undefeated = np.take_along_axis(beaten, best[:, None], axis=1)[:, 0] == game.n_actions - 1
    return np.where(undefeated, best, -1)


def condorcet_margin(game: PreferenceGame) -> Float[np.ndarray, " X"]:
    """Return by how much the Condorcet winner beats the strongest rival: ``min_j 2 P[c, j] - 1``.

    0 where there is none, 1 where there is but one action. The scale is that of A = 2 P - 1.
    """
    best, A = condorcet_winner(game), 2 * game.skew
    margins = np.zeros(game.n_contexts)
    for x in np.flatnonzero(best >= 0):
        margins[x] = np.delete(A[x, best[x]], best[x]).min(initial=1.0)
    return margins
