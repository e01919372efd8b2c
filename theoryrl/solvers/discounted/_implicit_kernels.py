"""Compiled sweeps over a model that is a function.

Compiled once for each model's functions, and not kept on disk, because they are made at run time.
"""

import numpy as np

from theoryrl._numba import run_time_kernel


@run_time_kernel
def action_value(step, s, a, gamma, h, next_states, probabilities):
    """Return r(s, a) + gamma (P h)(s, a)."""
    count, reward = step(s, a, next_states, probabilities)
    total = 0.0
    for k in range(count):
        total += probabilities[k] * h[next_states[k]]
    return reward + gamma * total


@run_time_kernel
def best_between(step, s, first, last, gamma, h, next_states, probabilities):
    """Return the largest action value of actions first, ..., last, and where it is first attained."""
    best, chosen = -np.inf, first
    for a in range(first, last + 1):
        value = action_value(step, s, a, gamma, h, next_states, probabilities)
        if value > best:
            best, chosen = value, a
    return best, chosen


@run_time_kernel
def bellman(step, feasible, width, gamma, h, W, actions, low, high):
    """One Bellman sweep that looks at every feasible action."""
    next_states, probabilities = np.empty(width, dtype=np.int64), np.empty(width)
    for s in range(low, high):
        first, end = feasible(s)
        W[s], actions[s] = best_between(step, s, first, end - 1, gamma, h, next_states, probabilities)


@run_time_kernel
def bellman_monotone(step, feasible, width, gamma, h, starts, W, actions, low, high):
    """One Bellman sweep over pieces [starts[i], starts[i + 1]) on which the maximiser does not fall.

    The states of a piece are solved at halving distances, each between the maximisers of its two
    neighbours that are solved already.
    """
    next_states, probabilities = np.empty(width, dtype=np.int64), np.empty(width)
    for piece in range(low, high):
        begin, size = starts[piece], starts[piece + 1] - starts[piece]
        first, end = feasible(begin)
        W[begin], actions[begin] = best_between(
            step, begin, first, end - 1, gamma, h, next_states, probabilities
        )
        stride = 1
        while stride < size:
            stride *= 2
        while stride >= 1:
            for offset in range(stride, size, 2 * stride):
                s = begin + offset
                first, end = feasible(s)
                first, last = max(first, actions[s - stride]), end - 1
                if offset + stride < size:
                    last = min(last, actions[s + stride])
                W[s], actions[s] = best_between(step, s, first, last, gamma, h, next_states, probabilities)
            stride //= 2


@run_time_kernel
def best_of_concave(step, s, first, last, start, drop, gamma, h, next_states, probabilities):
    """Return the largest action value, and where it is first attained among those that are looked at.

    Climbs from `start` by doubling strides, then goes on to either side until a value has fallen by
    `drop`: none beyond can be larger.
    """
    peak = min(max(start, first), last)
    best = action_value(step, s, peak, gamma, h, next_states, probabilities)
    for side in (1, -1):
        stride = 1
        while stride >= 1:
            a = peak + side * stride
            if first <= a <= last:
                value = action_value(step, s, a, gamma, h, next_states, probabilities)
                if value > best:
                    best, peak = value, a
                    stride *= 2
                    continue
            stride //= 2
    chosen = peak
    for side in (1, -1):
        a = peak + side
        while first <= a <= last:
            value = action_value(step, s, a, gamma, h, next_states, probabilities)
            if value > best or (value == best and a < chosen):
                best, chosen = value, a
            elif value + drop <= best:
                break
            a += side
    return best, chosen


@run_time_kernel
def bellman_concave(step, feasible, width, gamma, h, drop, guess, W, actions, low, high):
    """One Bellman sweep where action values are concave in the action, but for `drop`."""
    next_states, probabilities = np.empty(width, dtype=np.int64), np.empty(width)
    for s in range(low, high):
        first, end = feasible(s)
        W[s], actions[s] = best_of_concave(
            step, s, first, end - 1, guess[s], drop, gamma, h, next_states, probabilities
        )


@run_time_kernel
def policy_backup(step, width, gamma, policy, h, W, low, high):
    """W(s) = Q_h(s, policy(s))."""
    next_states, probabilities = np.empty(width, dtype=np.int64), np.empty(width)
    for s in range(low, high):
        W[s] = action_value(step, s, policy[s], gamma, h, next_states, probabilities)


@run_time_kernel
def gauss_seidel(step, feasible, width, gamma, toll, h, backwards, actions):
    """One Bellman sweep in place that looks at every feasible action, with rewards lower by `toll`."""
    next_states, probabilities = np.empty(width, dtype=np.int64), np.empty(width)
    for i in range(h.shape[0]):
        s = h.shape[0] - 1 - i if backwards else i
        first, end = feasible(s)
        best, actions[s] = best_between(step, s, first, end - 1, gamma, h, next_states, probabilities)
        h[s] = best - toll
