"""Compiled steps of MEX: counting, and whole runs over a finite class of models."""

import numpy as np

from theoryrl._numba import strict_kernel
from theoryrl.solvers.episodic._kernels import draw


@strict_kernel
def record_counts(states, actions, rewards, N, n, means):
    """Add episodes to N[h, s, a, s'], n[h, s, a] and the mean observed rewards."""
    K, H = actions.shape
    for k in range(K):
        for h in range(H):
            s, a = states[k, h], actions[k, h]
            N[h, s, a, states[k, h + 1]] += 1.0
            n[h, s, a] += 1.0
            means[h, s, a] += (rewards[k, h] - means[h, s, a]) / n[h, s, a]


@strict_kernel
def choose(V, loss, eta, error):
    """Return (index, objective): the first maximiser of V - eta loss, or the worst one within `error`.

    The objective is -inf if every loss is infinite.
    """
    best, top = 0, -np.inf
    for m in range(V.shape[0]):
        value = V[m] - eta * loss[m]
        if value > top:
            best, top = m, value
    if error > 0.0:
        floor, lowest = top - error, top
        for m in range(V.shape[0]):
            value = V[m] - eta * loss[m]
            if floor <= value < lowest:
                best, lowest = m, value
        return best, lowest
    return best, top


@strict_kernel
def add_log_loss(log_P, states, actions, loss):
    """Subtract the log-probabilities of one episode's transitions from the losses.

    log_P[h, s, a, s', m]: the stages are summed first, as the order of rounding is part of a trace.
    """
    H = actions.shape[0]
    for m in range(loss.shape[0]):
        total = 0.0
        for h in range(H):
            total += log_P[h, states[h], actions[h], states[h + 1], m]
        loss[m] -= total


@strict_kernel
def run_models(
    cum_rho, cum_P, policies, log_P, V, etas, error, uniforms, loss, chosen, objectives, states, actions
):
    """Play MEX over a finite class for K episodes, with the draws that the simulator would make.

    Returns the number of episodes played: fewer than K if every model has become impossible.
    """
    K, H = actions.shape
    for k in range(K):
        m, objectives[k] = choose(V, loss, etas[k], error)
        if objectives[k] == -np.inf:
            return k
        chosen[k] = m
        s = draw(cum_rho, uniforms[k, 0])
        for h in range(H):
            a = policies[m, h, s]
            states[k, h], actions[k, h] = s, a
            s = draw(cum_P[h, s, a], uniforms[k, 2 * h + 2])
        states[k, H] = s
        add_log_loss(log_P, states[k], actions[k], loss)
    return K
