"""Compiled rounds of GLOW and HyGLOW without noise.

Functions and policies are given by their exact residuals ``residual[f, h, c]`` and occupancies
``d[n, h, c]``, where c runs over the pairs (s, a).
"""

import numpy as np

from theoryrl._numba import kernel


@kernel
def dot(x, y):
    """Return the inner product."""
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i] * y[i]
    return total


@kernel
def survives(residual, load, price, first, last, tolerance):
    """Whether ``<load[n, h], residual[h]> <= price[n, h]`` for all h and the policies first <= n < last."""
    for n in range(first, last):
        for h in range(residual.shape[0]):
            if dot(load[n, h], residual[h]) > price[n, h] + tolerance:
                return False
    return True


@kernel
def glow_rounds(residual, d, policy_of, order, clip, alpha, own, tolerance, count_all, played, alive):
    """Play GLOW on expectations: fill played[t] and, if `count_all`, alive[t].

    `order` lists the functions from the one that is preferred to the last; clip[t] and alpha[t] are those of
    round t. With `own` a function meets only the weight of its own policy. An empty version space ends the
    run: returns the number of rounds played.
    """
    F, N, H, C = residual.shape[0], d.shape[0], d.shape[1], d.shape[2]
    past = np.zeros((H, C))
    load = np.zeros((N, H, C))
    price = np.zeros((N, H))
    for t in range(played.shape[0]):
        if t > 0:
            for n in range(N):
                for h in range(H):
                    square = 0.0
                    for c in range(C):
                        mass = past[h, c] / t
                        total = past[h, c] + d[n, h, c]
                        w = (t + 1) * d[n, h, c] / total if total > 0.0 else 0.0
                        w = min(w, clip[t])
                        load[n, h, c] = mass * w
                        square += mass * w * w
                    price[n, h] = alpha[t] * square
        chosen, count = -1, 0
        for i in range(F):
            f = order[i]
            first = policy_of[f] if own else 0
            last = policy_of[f] + 1 if own else N
            if t == 0 or survives(residual[f], load, price, first, last, tolerance):
                count += 1
                if chosen < 0:
                    chosen = f
                if not count_all:
                    break
        if chosen < 0:
            return t
        played[t], alive[t] = chosen, count
        past += d[policy_of[chosen]]
    return played.shape[0]


@kernel
def hyglow_rounds(residual, d, policy_of, nu, clip, alpha, offline, last_on_ties, tie, played):
    """Play H2O with MABO.CR on expectations: fill played[t].

    The law of the data is nu at first and (nu + average of what was played) / 2 afterwards; without
    `offline` it is that average alone.
    """
    F, N, H, C = residual.shape[0], d.shape[0], d.shape[1], d.shape[2]
    past = np.zeros((H, C))
    load = np.zeros((N, H, C))
    price = np.zeros((N, H))
    for t in range(played.shape[0]):
        for n in range(N):
            for h in range(H):
                square = 0.0
                for c in range(C):
                    mass = nu[h, c]
                    if t > 0:
                        mass = (nu[h, c] + past[h, c] / t) / 2 if offline else past[h, c] / t
                    w = 0.0
                    if d[n, h, c] > 0.0:
                        w = min(d[n, h, c] / mass, clip[t]) if mass > 0.0 else clip[t]
                    load[n, h, c] = mass * w
                    square += mass * w * w
                price[n, h] = alpha[t] * square
        chosen, lowest = 0, np.inf
        for f in range(F):
            value = -np.inf
            for n in range(N):
                joint = 0.0
                for h in range(H):
                    term = abs(dot(load[n, h], residual[f, h])) - price[n, h]
                    joint += term
                    value = max(value, term)
                value = max(value, joint)
            if value < lowest - tie or (last_on_ties and value <= lowest + tie):
                chosen = f
            lowest = min(lowest, value)
        played[t] = chosen
        past += d[policy_of[chosen]]
