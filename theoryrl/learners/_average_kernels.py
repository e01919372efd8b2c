"""Compiled counting for the average-reward learners."""

from theoryrl._numba import strict_kernel


@strict_kernel
def tally(states, actions, rewards, N, T, R, R2):
    """Add steps to visits N, transitions T, and the sums of rewards R and of their squares R2."""
    for i in range(actions.shape[0]):
        s, a, x = states[i], actions[i], rewards[i]
        N[s, a] += 1
        T[s, a, states[i + 1]] += 1
        R[s, a] += x
        R2[s, a] += x * x


@strict_kernel
def slide(states, actions, rewards, ring, ring_rewards, head, filled, N, T, R, R2):
    """Add steps to a window of fixed length, and take away those that leave it; return (head, filled)."""
    W = ring.shape[0]
    for i in range(actions.shape[0]):
        if filled == W:
            s, a, t, x = ring[head, 0], ring[head, 1], ring[head, 2], ring_rewards[head]
            N[s, a] -= 1
            T[s, a, t] -= 1
            if N[s, a] == 0:
                R[s, a], R2[s, a] = 0.0, 0.0
            else:
                R[s, a] -= x
                R2[s, a] -= x * x
        else:
            filled += 1
        s, a, t, x = states[i], actions[i], states[i + 1], rewards[i]
        ring[head, 0], ring[head, 1], ring[head, 2], ring_rewards[head] = s, a, t, x
        N[s, a] += 1
        T[s, a, t] += 1
        R[s, a] += x
        R2[s, a] += x * x
        head = head + 1 if head + 1 < W else 0
    return head, filled
