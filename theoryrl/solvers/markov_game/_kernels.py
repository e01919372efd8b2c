"""Compiled matrix games by the simplex method, and backward induction through them.

A kernel only proposes strategies; what they guarantee is computed by whoever calls it.
"""

import numpy as np

from theoryrl._numba import strict_kernel
from theoryrl.solvers.episodic._kernels import draw

PIVOT = 1e-11
"""Entries of the tableau that count as zero; payoffs are scaled to [1, 2]."""


@strict_kernel
def saddle_point(M, row, column):
    """Write the saddle point of lowest indices into `row` and `column`; return whether there is one."""
    n, m = M.shape
    best_row, best_column, low, high = 0, 0, -np.inf, np.inf
    for i in range(n):
        least = M[i, 0]
        for j in range(1, m):
            least = min(least, M[i, j])
        if least > low:
            low, best_row = least, i
    for j in range(m):
        most = M[0, j]
        for i in range(1, n):
            most = max(most, M[i, j])
        if most < high:
            high, best_column = most, j
    if low < high:
        return False
    row[:] = 0.0
    column[:] = 0.0
    row[best_row] = 1.0
    column[best_column] = 1.0
    return True


@strict_kernel
def pivot(T, basis, r, c):
    """Bring column c into the basis in place of the variable of row r."""
    T[r] /= T[r, c]
    for i in range(T.shape[0]):
        if i != r and T[i, c] != 0.0:
            T[i] -= T[i, c] * T[r]
    basis[r] = c


@strict_kernel
def matrix_game(M, row, column):
    """Solve a matrix game: write strategies of both players, return the number of pivots.

    The column player's program ``max sum(y), M' y <= 1, y >= 0`` for payoffs M' scaled to [1, 2] starts at
    y = 0, which is feasible; its dual is the row player's. Bland's rule, so that no cycle is possible.
    """
    n, m = M.shape
    if saddle_point(M, row, column):
        return 0
    low, high = M.min(), M.max()
    half = 1.0 if high - low < np.inf else 0.5
    T = np.zeros((n + 1, m + n + 1))
    for i in range(n):
        for j in range(m):
            T[i, j] = 1.0 + (half * M[i, j] - half * low) / (half * high - half * low)
        T[i, m + i] = 1.0
        T[i, m + n] = 1.0
    T[n, :m] = -1.0
    basis = np.arange(m, m + n)
    pivots = 0
    while pivots < 100 * (n + m):
        c = 0
        while c < m + n and T[n, c] >= -PIVOT:
            c += 1
        if c == m + n:
            break
        r, least = -1, np.inf
        for i in range(n):
            if T[i, c] > PIVOT:
                ratio = T[i, m + n] / T[i, c]
                if ratio < least or (ratio == least and basis[i] < basis[r]):
                    r, least = i, ratio
        if r < 0:
            break
        pivot(T, basis, r, c)
        pivots += 1
    column[:] = 0.0
    for i in range(n):
        if basis[i] < m:
            column[basis[i]] = max(T[i, m + n], 0.0)
    for i in range(n):
        row[i] = max(T[n, m + i], 0.0)
    row /= row.sum()
    column /= column.sum()
    return pivots


@strict_kernel
def backward_games(P, r, Q, V, mu, nu):
    """Fill Q [H, S, A, B], the values V [H + 1, S] that mu guarantees in each matrix, and both strategies.

    Return the pivots, and the largest gap of a matrix game.
    """
    H, S, A, B = r.shape
    pivots, gap = 0, 0.0
    for h in range(H - 1, -1, -1):
        for s in range(S):
            for a in range(A):
                for b in range(B):
                    total = 0.0
                    for t in range(S):
                        total += P[h, s, a, b, t] * V[h + 1, t]
                    Q[h, s, a, b] = r[h, s, a, b] + total
            pivots += matrix_game(Q[h, s], mu[h, s], nu[h, s])
            low, high = np.inf, -np.inf
            for b in range(B):
                total = 0.0
                for a in range(A):
                    total += mu[h, s, a] * Q[h, s, a, b]
                low = min(low, total)
            for a in range(A):
                total = 0.0
                for b in range(B):
                    total += nu[h, s, b] * Q[h, s, a, b]
                high = max(high, total)
            V[h, s] = low
            gap = max(gap, high - low)
    return pivots, gap


@strict_kernel
def one_episode(cum_rho, cum_P, cum_pi, uniforms, states, actions):
    """Play one episode of a joint policy with the draws that `simulate` of an episodic MDP would make.

    The uniform numbers are drawn by the caller (1 + 2 H): a compiled call that receives a generator spends
    more time on unpacking it than on the episode.
    """
    s = draw(cum_rho, uniforms[0])
    for h in range(actions.shape[0]):
        states[h] = s
        actions[h] = draw(cum_pi[h, s], uniforms[1 + 2 * h])
        s = draw(cum_P[h, s, actions[h]], uniforms[2 + 2 * h])
    states[actions.shape[0]] = s
