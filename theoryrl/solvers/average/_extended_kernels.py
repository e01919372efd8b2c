"""Compiled extended value iteration: the best row of each confidence set, and sweeps over all pairs."""

from theoryrl._numba import kernel
from theoryrl.solvers._kernels import least_expectation
from theoryrl.solvers._sorting import sort_indices

L1, BOX, KL = range(3)
EXHAUSTED = 1e-15
"""Mass below which nothing is left to move."""
TIE = 1e-12
"""An action replaces an earlier one only if it is better by more than this: ties do not oscillate."""


@kernel
def l1_maximum(p, u, order, radius):
    """max q . u over ||q - p||_1 <= radius; `order` sorts u in increasing order.

    The best state gets radius / 2 more, as far as there is room, and the worst states pay for it. Source:
    Jaksch, Ortner and Auer (2010), figure 2.
    """
    S = u.shape[0]
    best = order[S - 1]
    value = 0.0
    for s in range(S):
        value += p[s] * u[s]
    left = min(0.5 * radius, 1.0 - p[best])
    k = 0
    while left > EXHAUSTED and k < S - 1:
        s = order[k]
        take = min(p[s], left)
        value += take * (u[best] - u[s])
        left -= take
        k += 1
    return value


@kernel
def box_maximum(p, u, order, width):
    """max q . u over |q - p| <= width, entry by entry; `order` sorts u in increasing order."""
    S = u.shape[0]
    value, left = 0.0, 1.0
    for s in range(S):
        low = max(0.0, p[s] - width[s])
        value += low * u[s]
        left -= low
    k = S - 1
    while left > EXHAUSTED and k >= 0:
        s = order[k]
        take = min(min(1.0, p[s] + width[s]) - max(0.0, p[s] - width[s]), left)
        value += take * u[s]
        left -= take
        k -= 1
    return value


@kernel
def inner_maximum(kind, p, u, order, gaps, radius, width):
    """The best expectation of u in one set; `gaps` are max u - u."""
    if kind == L1:
        return l1_maximum(p, u, order, radius)
    if kind == BOX:
        return box_maximum(p, u, order, width)
    return u[order[u.shape[0] - 1]] - least_expectation(p, gaps, radius)


@kernel
def extended_sweeps(kind, P, r, radii, widths, step, tol, most, u, actions, bounds):
    """Iterate u <- u + step (max_a r + max_q q . u - u) until the span of the change is below tol.

    Fills `actions` with the last choice, `u` with the vector that it was made for, and `bounds` with the
    least difference of the chosen actions and the largest of all; returns the number of sweeps.
    """
    S, A = r.shape
    order, scratch = actions.copy(), actions.copy()
    gaps, new = u.copy(), u.copy()
    sweeps = 0
    while True:
        sort_indices(u, 1.0, order, scratch)
        top = u[order[S - 1]]
        for s in range(S):
            gaps[s] = top - u[s]
        low, high = 1e300, -1e300
        for s in range(S):
            chosen, largest, pick = -1e300, -1e300, 0
            for a in range(A):
                width = widths[s, a] if kind == BOX else gaps
                value = r[s, a] + inner_maximum(kind, P[s, a], u, order, gaps, radii[s, a], width)
                largest = max(largest, value)
                if value > chosen + TIE:
                    chosen, pick = value, a
            actions[s] = pick
            low, high = min(low, chosen - u[s]), max(high, largest - u[s])
            new[s] = u[s] + step * (largest - u[s])
        sweeps += 1
        bounds[0], bounds[1] = low, high
        if high - low < tol or sweeps == most:
            return sweeps
        least = new[0]
        for s in range(S):
            least = min(least, new[s])
        for s in range(S):
            u[s] = new[s] - least


@kernel
def optimistic_rows(kind, P, radii, widths, u, actions, Q):
    """Write the best row of each chosen pair into Q (for L1 balls and boxes)."""
    S = u.shape[0]
    order, scratch = actions.copy(), actions.copy()
    sort_indices(u, 1.0, order, scratch)
    best = order[S - 1]
    for i in range(S):
        a = actions[i]
        p = P[i, a]
        left = 1.0
        if kind == L1:
            left = min(0.5 * radii[i, a], 1.0 - p[best])
            for s in range(S):
                Q[i, s] = p[s]
            for k in range(S - 1):
                take = min(p[order[k]], left)
                Q[i, order[k]] -= take
                Q[i, best] += take
                left -= take
        else:
            for s in range(S):
                Q[i, s] = max(0.0, p[s] - widths[i, a, s])
                left -= Q[i, s]
            for k in range(S - 1, -1, -1):
                s = order[k]
                take = min(min(1.0, p[s] + widths[i, a, s]) - Q[i, s], max(left, 0.0))
                Q[i, s] += take
                left -= take
