"""Compiled residual sums of candidate functions."""

from theoryrl._numba import kernel

SUM_SLACK = 1e-9
"""Rounding allowed in the total reward of an episode, which must not exceed 1."""


@kernel
def add_episodes(states, actions, rewards, Q, V, N, G, first):
    """Add the residuals ``f_h(s, a) - r - max f_{h+1}(s')`` of all functions to G[h, s A + a, f].

    `Q` has shape [H, S, A, F] and `V` [H+1, S, F]; `N[h, s A + a]` counts visits, `first[s]` first states.
    Returns the number of the first episode whose rewards are negative or sum to more than 1, or -1.
    """
    episodes, H = actions.shape
    A, F = Q.shape[2], Q.shape[3]
    for i in range(episodes):
        total = 0.0
        for h in range(H):
            if not rewards[i, h] >= 0.0:
                return i
            total += rewards[i, h]
        if not total <= 1.0 + SUM_SLACK:
            return i
        first[states[i, 0]] += 1.0
        for h in range(H):
            s, a, r, t = states[i, h], actions[i, h], rewards[i, h], states[i, h + 1]
            cell = s * A + a
            N[h, cell] += 1.0
            for f in range(F):
                G[h, cell, f] += Q[h, s, a, f] - r - V[h + 1, t, f]
    return -1
