"""Optimistic and pessimistic values of a Markov game, with a coarse correlated equilibrium in every state."""

import numpy as np

from theoryrl._numba import strict_kernel
from theoryrl.solvers.markov_game._kernels import matrix_game


@strict_kernel
def correlated(upper, lower, pi):
    """Write a coarse correlated equilibrium of the max player's payoff `upper` and the min player's `lower`.

    Its joint law is the maximin strategy of the matrix game whose rows are the pairs (a, b), whose columns
    are the deviations of either player, and whose payoff is what the deviation would lose; its value is not
    negative, because an equilibrium exists.
    """
    A, B = upper.shape
    losses = np.empty((A * B, A + B))
    for a in range(A):
        for b in range(B):
            for other in range(A):
                losses[a * B + b, other] = upper[a, b] - upper[other, b]
            for other in range(B):
                losses[a * B + b, A + other] = lower[a, other] - lower[a, b]
    joint, deviations = np.empty(A * B), np.empty(A + B)
    matrix_game(losses, joint, deviations)
    for a in range(A):
        for b in range(B):
            pi[a, b] = joint[a * B + b]


@strict_kernel
def optimistic(N, r, weights, upper, lower, pi):
    """Fill upper and lower values [H + 1, S] and the joint policy pi [H, S, A, B] from the counts N.

    `weights` are those of sqrt(variance / n), sqrt(1 / n), 1 / n and of the mean of ``upper - lower``.
    """
    H, S, A, B, _ = N.shape
    Q_up, Q_low = np.empty((A, B)), np.empty((A, B))
    for h in range(H - 1, -1, -1):
        for s in range(S):
            for a in range(A):
                for b in range(B):
                    n, up, low, square = 0.0, 0.0, 0.0, 0.0
                    for t in range(S):
                        x = N[h, s, a, b, t]
                        if x > 0:
                            middle = (upper[h + 1, t] + lower[h + 1, t]) / 2
                            n += x
                            up += x * upper[h + 1, t]
                            low += x * lower[h + 1, t]
                            square += x * middle * middle
                    if n == 0.0:
                        Q_up[a, b], Q_low[a, b] = float(H), 0.0
                        continue
                    up, low = up / n, low / n
                    variance = max(square / n - ((up + low) / 2) ** 2, 0.0)
                    bonus = weights[0] * np.sqrt(variance / n) + weights[1] / np.sqrt(n) + weights[2] / n
                    bonus += weights[3] * (up - low)
                    Q_up[a, b] = min(r[h, s, a, b] + up + bonus, float(H))
                    Q_low[a, b] = max(r[h, s, a, b] + low - bonus, 0.0)
            correlated(Q_up, Q_low, pi[h, s])
            upper[h, s], lower[h, s] = 0.0, 0.0
            for a in range(A):
                for b in range(B):
                    upper[h, s] += pi[h, s, a, b] * Q_up[a, b]
                    lower[h, s] += pi[h, s, a, b] * Q_low[a, b]
