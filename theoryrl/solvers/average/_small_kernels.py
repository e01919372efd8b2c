"""Policy iteration for a small communicating model, from its graph to its certificate, in one call.

A small model is solved in less time than a few calls between Python and compiled code take. Policies
are evaluated by *state reduction* (Grassmann, Taksar and Heyman 1985; Sheskin 1985): the states are taken
out of the chain one after the other, each by watching it only while it is elsewhere. Nothing is ever
subtracted from a probability, so that nearly decomposable chains lose no digits.
"""

import numpy as np

from theoryrl._numba import by_layout, kernel
from theoryrl.solvers._row_kernels import OPTIONS, attract, improve

MOST_IMPROVEMENTS = 200
"""Improvements after which shortest times are left to the general path."""


def _add_row(P, row, places, out):
    """Add P[row, t] to out[places[t]] for every successor t."""
    for t in range(places.shape[0]):
        out[places[t]] += P[row, t]


def _add_row_of_sparse(P, row, places, out):
    probabilities, next_states, row_starts = P
    for i in range(row_starts[row], row_starts[row + 1]):
        out[places[next_states[i]]] += probabilities[i]


def _mark_row(P, row, seen):
    """Set seen[t] for every successor t of the row; return whether any was new."""
    new = False
    for t in range(seen.shape[0]):
        if P[row, t] > 0.0 and not seen[t]:
            seen[t] = True
            new = True
    return new


def _mark_row_of_sparse(P, row, seen):
    probabilities, next_states, row_starts = P
    new = False
    for i in range(row_starts[row], row_starts[row + 1]):
        t = next_states[i]
        if probabilities[i] > 0.0 and not seen[t]:
            seen[t] = True
            new = True
    return new


add_row = by_layout(_add_row, _add_row_of_sparse, OPTIONS, OPTIONS)
mark_row = by_layout(_mark_row, _mark_row_of_sparse, OPTIONS, OPTIONS)


@kernel
def reaches_all(P, active, start):
    """Return whether every state can be reached from `start` along active rows."""
    S, A = active.shape
    seen = np.zeros(S, dtype=np.bool_)
    seen[start] = True
    changed, forth = True, True
    while changed:
        changed = False
        for i in range(S):
            s = i if forth else S - 1 - i
            if seen[s]:
                for a in range(A):
                    if active[s, a] and mark_row(P, s * A + a, seen):
                        changed = True
        forth = not forth
    return seen.all()


@kernel
def reduce_chain(Q, reward, time, leaving, closed):
    """Take states S - 1, ..., 1 out of the chain Q, whose diagonal is not used; return how many could not.

    Those are the last states of closed classes: nothing leads from them to a state that is left. They
    are written into `closed`. After state n is out, ``Q[n]`` holds where it goes from there (weights
    that sum to leaving[n]); reward[n] and time[n] are what it collects until then, times leaving[n].
    """
    S, found = Q.shape[0], 0
    for n in range(S - 1, 0, -1):
        total = 0.0
        for j in range(n):
            total += Q[n, j]
        for k in range(found):
            total += Q[n, closed[k]]
        leaving[n] = total
        if total <= 0.0:
            closed[found] = n
            found += 1
            continue
        for i in range(n):
            if Q[i, n] > 0.0:
                weight = Q[i, n] / total
                for j in range(n):
                    Q[i, j] += weight * Q[n, j]
                for k in range(found):
                    Q[i, closed[k]] += weight * Q[n, closed[k]]
                reward[i] += weight * reward[n]
                time[i] += weight * time[n]
    total = 0.0
    for k in range(found):
        total += Q[0, closed[k]]
    leaving[0] = total
    if total <= 0.0:
        closed[found] = 0
        found += 1
    return found


@kernel
def reduced_values(Q, reward, time, leaving, last, h):
    """Fill h with h[last] = 0 and g + h = r + P h, for a reduced chain with one closed class; return g."""
    g = reward[last] / time[last]
    for n in range(Q.shape[0]):
        h[n] = 0.0
        if n != last:
            total = reward[n] - g * time[n]
            for j in range(n):
                total += Q[n, j] * h[j]
            h[n] = total / leaving[n]
    return g


@kernel
def fill_chain(P, r, actions, anchor, places, Q, reward, time):
    """Write the chain of a policy, with the anchor and state 0 exchanged."""
    S, A = r.shape
    for s in range(S):
        places[s] = s
    places[0], places[anchor] = anchor, 0
    Q[:] = 0.0
    time[:] = 1.0
    for s in range(S):
        add_row(P, s * A + actions[s], places, Q[places[s]])
        reward[places[s]] = r[s, actions[s]]


@kernel
def keep_best_class(P, active, actions, places, Q, best, settled):
    """Lead every state to the closed class of the chain that holds the state in place `best`."""
    S, A = active.shape
    for s in range(S):
        settled[s] = places[s] == best
    changed = True
    while changed:
        changed = False
        for s in range(S):
            if settled[s] and mark_row(P, s * A + actions[s], settled):
                changed = True
    attract(P, active, settled, actions)


@kernel
def best_closed(reward, time, closed, found):
    """Return the last state of the closed class with the largest gain."""
    best = closed[0]
    for k in range(1, found):
        n = closed[k]
        if reward[n] * time[best] > reward[best] * time[n]:
            best = n
    return best


@kernel
def solve_communicating(P, r, active, unit, tau, target, max_iterations):
    """Return (whether it is solved, iterations, value, lower, upper, h, actions).

    The arrays are made here, where that costs less than in Python. A model is left unsolved if it is
    not communicating, if rounding prevents the target, or if the iterations are used up.
    """
    S, A = r.shape
    h, actions = np.zeros(S), np.empty(S, dtype=np.int64)
    anchor, most = 0, -np.inf
    for s in range(S):
        actions[s] = -1
        here = -np.inf
        for a in range(A):
            if active[s, a] and r[s, a] > here:
                here = r[s, a]
                actions[s] = a
        if here > most:
            anchor, most = s, here
    settled = np.zeros(S, dtype=np.bool_)
    settled[anchor] = True
    attract(P, active, settled, actions)
    if not (settled.all() and reaches_all(P, active, anchor)):
        return False, 0, h, h, h, h, actions
    Q = np.empty((S, S))
    reward, time, leaving, inside = np.empty(S), np.empty(S), np.empty(S), np.empty(S)
    low, high = np.empty(S), np.empty(S)
    places, closed = np.empty(S, dtype=np.int64), np.empty(S, dtype=np.int64)
    for iteration in range(1, max_iterations + 1):
        fill_chain(P, r, actions, anchor, places, Q, reward, time)
        found = reduce_chain(Q, reward, time, leaving, closed)
        if found > 1:
            best = best_closed(reward, time, closed, found)
            keep_best_class(P, active, actions, places, Q, best, settled)
            anchor = places[best]
            fill_chain(P, r, actions, anchor, places, Q, reward, time)
            found = reduce_chain(Q, reward, time, leaving, closed)
            if found > 1:
                break
        reduced_values(Q, reward, time, leaving, closed[0], inside)
        if not np.isfinite(inside).all():
            break
        for s in range(S):
            h[s] = inside[places[s]]
        changed = improve(P, r, active, h, unit, tau, actions, low, high)
        least, most = low.min(), high.max()
        if most - least <= target:
            inside[:] = least + (most - least) / 2
            low[:] = least
            high[:] = most
            return True, iteration, inside, low, high, h, actions
        if changed == 0:
            break
    return False, 0, h, h, h, h, actions


@kernel
def shortest_times(P, active, target, actions, unit, tau, times):
    """Fill the least expected times to the target by policy iteration; return how far they may be off.

    `active` must hold no row of the target; `actions` are replaced by optimal ones, -1 in the target. The
    result (above, below) proves that the true times lie between times / (1 + above) and times /
    (1 - below); both are infinite if that failed.
    """
    S, A = active.shape
    costs, h = np.full((S, A), -1.0), np.zeros(S)
    Q, reward, time = np.empty((S, S)), np.zeros(S), np.empty(S)
    leaving, low, high = np.empty(S), np.empty(S), np.empty(S)
    places, closed = np.empty(S, dtype=np.int64), np.empty(S, dtype=np.int64)
    settled = np.zeros(S, dtype=np.bool_)
    settled[target] = True
    attract(P, active, settled, actions)
    for _ in range(MOST_IMPROVEMENTS):
        actions[target] = 0  # what the target does is not used
        fill_chain(P, costs, actions, target, places, Q, reward, time)
        if reduce_chain(Q, reward, time, leaving, closed) > 1 or closed[0] != 0:
            break
        for n in range(1, S):
            total = time[n]
            for j in range(1, n):
                total += Q[n, j] * times[places[j]]
            times[places[n]] = total / leaving[n]
        times[target] = 0.0
        if not np.isfinite(times).all():
            break
        for s in range(S):
            h[s] = -times[s]
        actions[target] = -1
        if improve(P, costs, active, h, unit, tau, actions, low, high) == 0:
            return max(0.0, high.max()), max(0.0, -low.min())
    return np.inf, np.inf


@kernel
def longest_way(P, mask, unit, tau):
    """Return (lower, upper, source, target) of the diameter of a communicating model."""
    S = mask.shape[0]
    active, actions, times = mask.copy(), np.zeros(S, dtype=np.int64), np.zeros(S)
    lower, upper, source, goal = 0.0, 0.0, 0, 0
    for target in range(S):
        active[target, :] = False
        above, below = shortest_times(P, active, target, actions, unit, tau, times)
        active[target, :] = mask[target, :]
        far = int(times.argmax())
        if not (above < np.inf and below < 1.0):
            return 1.0, np.inf, far, target
        upper = max(upper, times[far] / (1.0 - below))
        if times[far] / (1.0 + above) > lower:
            lower, source, goal = times[far] / (1.0 + above), far, target
    return lower, upper, source, goal
