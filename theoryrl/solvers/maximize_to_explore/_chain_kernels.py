"""Compiled programs over the layers of a product class; they are stated in `chain`."""

import numpy as np

from theoryrl._numba import strict_kernel


@strict_kernel
def chain_best(V, losses, eta, best, chosen):
    """Maximise V[i_0] - eta sum_h losses[h, i_h, i_{h+1}] over i_0, ..., i_{H-1}; return the maximum.

    `losses[H-1]` has one successor, index 0. Backwards, best[h, i] is the largest value of
    -eta (losses of stages h, h+1, ...) from i; `chosen` receives the path. Lowest indices on ties.
    """
    H, N, _ = losses.shape
    for i in range(N):
        best[H - 1, i] = -eta * losses[H - 1, i, 0]
    for h in range(H - 2, -1, -1):
        for i in range(N):
            top = -np.inf
            for j in range(N):
                value = best[h + 1, j] - eta * losses[h, i, j]
                if value > top:
                    top = value
            best[h, i] = top
    first, top = 0, -np.inf
    for i in range(N):
        if V[i] + best[0, i] > top:
            first, top = i, V[i] + best[0, i]
    chosen[0] = first
    for h in range(H - 1):
        i = chosen[h]
        for j in range(N):
            if best[h + 1, j] - eta * losses[h, i, j] == best[h, i]:
                chosen[h + 1] = j
                break
    return top


@strict_kernel
def chain_feasible_best(V, losses, beta, feasible, chosen):
    """Maximise V[i_0] subject to losses[h, i_h, i_{h+1}] <= beta for all h; -inf if nothing is feasible."""
    H, N, _ = losses.shape
    for i in range(N):
        feasible[H - 1, i] = losses[H - 1, i, 0] <= beta
    for h in range(H - 2, -1, -1):
        for i in range(N):
            found = False
            for j in range(N):
                if feasible[h + 1, j] and losses[h, i, j] <= beta:
                    found = True
                    break
            feasible[h, i] = found
    first, top = -1, -np.inf
    for i in range(N):
        if feasible[0, i] and V[i] > top:
            first, top = i, V[i]
    if first < 0:
        return top
    chosen[0] = first
    for h in range(H - 1):
        for j in range(N):
            if feasible[h + 1, j] and losses[h, chosen[h], j] <= beta:
                chosen[h + 1] = j
                break
    return top


@strict_kernel
def add_episode_losses(states, actions, rewards, G, V, sums, errors):
    """Add (g(s, a) - r - V_j(s'))^2 to sums[h, g, j] for one episode; `errors` holds what rounding took.

    Neumaier's compensation: plain sums lose 1e-7 after 1e5 episodes. V[h, j, s] belongs to layer h; the
    last stage has V = 0 and uses j = 0 only.
    """
    H, M = G.shape[0], G.shape[1]
    N = V.shape[1]
    for h in range(H):
        s, a, t = states[h], actions[h], states[h + 1]
        for g in range(M):
            base = G[h, g, s, a] - rewards[h]
            for j in range(N if h + 1 < H else 1):
                x = base - V[h + 1, j, t] if h + 1 < H else base
                x = x * x
                before = sums[h, g, j]
                after = before + x
                errors[h, g, j] += (before - after) + x if before >= x else (x - after) + before
                sums[h, g, j] = after


@strict_kernel
def chain_losses(sums, errors, members, losses):
    """Fill losses[h, i, j] = SS[members[h, i], j] - min_g SS[g, j]."""
    H, M, N = sums.shape
    for h in range(H):
        for j in range(N if h + 1 < H else 1):
            least = np.inf
            for g in range(M):
                least = min(least, sums[h, g, j] + errors[h, g, j])
            for i in range(members.shape[1]):
                g = members[h, i]
                losses[h, i, j] = sums[h, g, j] + errors[h, g, j] - least
