"""Compiled alternation over linear action values; the problem is stated in `linear_q`."""

import numpy as np

from theoryrl._numba import strict_kernel


@strict_kernel
def product(matrix, vector, out):
    """Write matrix @ vector."""
    for i in range(matrix.shape[0]):
        total = 0.0
        for j in range(matrix.shape[1]):
            total += matrix[i, j] * vector[j]
        out[i] = total


@strict_kernel
def regression(inverse, b, G, V, out):
    """Write what(V) = inverse (b + G V)."""
    d = b.shape[0]
    target = np.empty(d)
    product(G, V, target)
    for i in range(d):
        target[i] += b[i]
    product(inverse, target, out)


@strict_kernel
def width(inverse, x):
    """Return the norm of x in the inverse's metric."""
    total = 0.0
    for i in range(x.shape[0]):
        for j in range(x.shape[0]):
            total += x[i] * inverse[i, j] * x[j]
    return np.sqrt(max(0.0, total))


@strict_kernel
def layer(phi, w, inverse, bonus, ceiling, V, actions):
    """Write the greedy actions of <phi, w> + bonus width, and its maximum clipped to [0, ceiling]."""
    S, A, d = phi.shape
    for s in range(S):
        best, top = 0, -np.inf
        for a in range(A):
            q = 0.0
            for i in range(d):
                q += phi[s, a, i] * w[i]
            if bonus > 0.0:
                q += bonus * width(inverse, phi[s, a])
            if q > top:
                best, top = a, q
        actions[s], V[s] = best, max(0.0, min(top, ceiling))


@strict_kernel
def backward(phi, inverse, b, G, shift, bonus, w, V, actions):
    """Fill w_h = what_h(V_{h+1}) + shift_h, V and the greedy actions, backwards."""
    H = b.shape[0]
    for h in range(H - 1, -1, -1):
        regression(inverse[h], b[h], G[h], V[h + 1], w[h])
        for i in range(b.shape[1]):
            w[h, i] += shift[h, i]
        layer(phi, w[h], inverse[h], bonus, float(H - h), V[h], actions[h])


@strict_kernel
def optimal_shift(phi, inverse, G, rho, actions, eta, shift, features):
    """Fill phibar_h and x_h / (2 eta) of a policy, forwards."""
    H, S = actions.shape
    d = phi.shape[2]
    x, reach = np.empty(d), np.empty(S)
    reach[:] = rho
    for h in range(H):
        for i in range(d):
            features[h, i] = 0.0
            for s in range(S):
                features[h, i] += reach[s] * phi[s, actions[h, s], i]
        product(inverse[h], features[h], x)
        for i in range(d):
            shift[h, i] = x[i] / (2.0 * eta)
        for s in range(S):  # implied weights of the next states, which may be negative
            reach[s] = 0.0
            for i in range(d):
                reach[s] += G[h, i, s] * x[i]


@strict_kernel
def objective(phi, Lambda, inverse, b, G, rho, eta, w, V, actions):
    """Return V_0(rho) - eta sum ||w_h - what_h(V_{h+1})||^2; fill V and the greedy actions."""
    H, d = w.shape
    fitted, error = np.empty(d), np.empty(d)
    loss = 0.0
    for h in range(H - 1, -1, -1):
        regression(inverse[h], b[h], G[h], V[h + 1], fitted)
        for i in range(d):
            error[i] = w[h, i] - fitted[i]
        for i in range(d):
            for j in range(d):
                loss += error[i] * Lambda[h, i, j] * error[j]
        layer(phi, w[h], inverse[h], 0.0, float(H - h), V[h], actions[h])
    start = 0.0
    for s in range(rho.shape[0]):
        start += rho[s] * V[0, s]
    return start - eta * loss


@strict_kernel
def alternate(phi, Lambda, inverse, b, G, rho, eta, steps, w, V, actions):
    """Alternate from a policy, in place; leave the best (w, V, actions). Return (objective, start value)."""
    H, d = w.shape
    shift, features = np.empty((H, d)), np.empty((H, d))
    trial, W, chosen, before = np.empty_like(w), np.zeros_like(V), actions.copy(), actions.copy()
    best = -np.inf
    for _ in range(steps):
        before[:] = chosen
        optimal_shift(phi, inverse, G, rho, chosen, eta, shift, features)
        backward(phi, inverse, b, G, shift, 0.0, trial, W, chosen)
        value = objective(phi, Lambda, inverse, b, G, rho, eta, trial, W, chosen)
        if value > best:
            best = value
            w[:] = trial
            V[:] = W
            actions[:] = chosen
        if np.array_equal(before, chosen):
            break
    start = 0.0
    for s in range(rho.shape[0]):
        start += rho[s] * V[0, s]
    return best, start
