"""Compiled work on the rows P(. | s, a) of a model without a horizon.

The rows are a dense array [S A, S], or the three arrays of compressed sparse rows in a tuple; the
functions at the top are the one place that knows the difference. Row s * A + a belongs to (s, a).
"""

from typing import Any

import numpy as np

from theoryrl._numba import by_layout, kernel

OPTIONS: Any = {"fastmath": {"reassoc", "contract"}, "error_model": "numpy"}


def _drift(P, row, h, s):
    """Return sum_t P[row, t] (h[t] - h[s]) and the same sum of absolute values."""
    total, size, here = 0.0, 0.0, h[s]
    for t in range(h.shape[0]):
        term = P[row, t] * (h[t] - here)
        total += term
        size += abs(term)
    return total, size


def _drift_of_sparse(P, row, h, s):
    probabilities, next_states, row_starts = P
    total, size, here = 0.0, 0.0, h[s]
    for i in range(row_starts[row], row_starts[row + 1]):
        term = probabilities[i] * (h[next_states[i]] - here)
        total += term
        size += abs(term)
    return total, size


def _leads_elsewhere(P, row, labels, label):
    """Return whether the row reaches a state whose label differs from `label`."""
    for t in range(labels.shape[0]):  # noqa: SIM110 - compiled code
        if P[row, t] > 0.0 and labels[t] != label:
            return True
    return False


def _leads_elsewhere_of_sparse(P, row, labels, label):
    probabilities, next_states, row_starts = P
    for i in range(row_starts[row], row_starts[row + 1]):
        if probabilities[i] > 0.0 and labels[next_states[i]] != label:
            return True
    return False


drift = by_layout(_drift, _drift_of_sparse, OPTIONS, OPTIONS)
leads_elsewhere = by_layout(_leads_elsewhere, _leads_elsewhere_of_sparse, OPTIONS, OPTIONS)


@kernel
def deactivate_exits(P, active, labels):
    """Deactivate the rows that leave the set of states with their own label; return whether any did."""
    S, A = active.shape
    changed = False
    for s in range(S):
        for a in range(A):
            if active[s, a] and leads_elsewhere(P, s * A + a, labels, labels[s]):
                active[s, a] = False
                changed = True
    return changed


@kernel
def mark_successors(P, active, edges):
    """Set edges[s, t] where an active row of s (dense) reaches t."""
    S, A = active.shape
    for s in range(S):
        for a in range(A):
            if active[s, a]:
                for t in range(S):
                    if P[s * A + a, t] > 0.0:
                        edges[s, t] = True


@kernel
def attract(P, active, settled, actions):
    """Choose, state after state, an active row that reaches a settled state; settle the state.

    From every settled state, the actions lead to the first settled ones with probability one. Passes
    go forth and back until nothing changes.
    """
    S, A = active.shape
    tags = settled.astype(np.int8)
    changed, forth = True, True
    while changed:
        changed = False
        for i in range(S):
            s = i if forth else S - 1 - i
            if tags[s] == 0:
                for a in range(A):
                    if active[s, a] and leads_elsewhere(P, s * A + a, tags, 0):
                        tags[s] = 1
                        actions[s] = a
                        changed = True
                        break
        forth = not forth
    for s in range(S):
        settled[s] = tags[s] == 1


@kernel
def attract_backwards(starts, rows, active, settled, actions, queue):
    """Do the same in one pass, by breadth: the rows that reach t are rows[starts[t] : starts[t + 1]]."""
    S, A = active.shape
    head, tail = 0, 0
    for s in range(S):
        if settled[s]:
            queue[tail] = s
            tail += 1
    while head < tail:
        t = queue[head]
        head += 1
        for i in range(starts[t], starts[t + 1]):
            s, a = rows[i] // A, rows[i] % A
            if active[s, a] and not settled[s]:
                settled[s] = True
                actions[s] = a
                queue[tail] = s
                tail += 1


@kernel
def fill_rows(probabilities, next_states, row_starts, rows, P):
    """Add the entries of the given rows to a dense matrix of zeros."""
    for s in range(rows.shape[0]):
        for i in range(row_starts[rows[s]], row_starts[rows[s] + 1]):
            P[s, next_states[i]] += probabilities[i]


@kernel
def drifts(P, h, total, size):
    """Write sum_t P[s, t] (h[t] - h[s]) and the sum of absolute values, for a chain's rows s."""
    for s in range(h.shape[0]):
        total[s], size[s] = drift(P, s, h, s)


@kernel
def residuals(P, r, active, h, unit, tau, low, high, actions):
    """Bound max_a r(s, a) + (P h)(s, a) - h(s) over the active actions of each state.

    low[s] is a lower bound for the action in actions[s], the first that maximises the computed
    number; high[s] an upper bound for all. Rows are taken as divided by their sums, which are within
    tau / 2 of one. A state without an active action gets [inf, -inf] and -1.
    """
    S, A = r.shape
    for s in range(S):
        best, first = -np.inf, -1
        low[s], high[s] = np.inf, -np.inf
        for a in range(A):
            if active[s, a]:
                total, size = drift(P, s * A + a, h, s)
                value = r[s, a] + total
                error = unit * abs(r[s, a]) + (unit + tau) * size
                if value > best:
                    best, first = value, a
                    low[s] = value - error
                high[s] = max(high[s], value + error)
        actions[s] = first


@kernel
def improve(P, r, active, h, unit, tau, actions, low, high):
    """Replace actions[s] where another active action is better than it by more than rounding.

    low and high are as of `residuals`, for the actions after the replacement. Returns how many states
    changed.
    """
    S, A = r.shape
    changed = 0
    for s in range(S):
        kept = actions[s]
        if kept < 0:
            low[s], high[s] = np.inf, -np.inf
            continue
        total, size = drift(P, s * A + kept, h, s)
        best = r[s, kept] + total
        slack = unit * abs(r[s, kept]) + (unit + tau) * size
        low[s], high[s] = best - slack, best + slack
        floor = best + slack
        for a in range(A):
            if active[s, a] and a != kept:
                total, size = drift(P, s * A + a, h, s)
                value = r[s, a] + total
                error = unit * abs(r[s, a]) + (unit + tau) * size
                high[s] = max(high[s], value + error)
                if value - error > floor and value > best:
                    best = value
                    actions[s] = a
                    low[s] = value - error
        if actions[s] != kept:
            changed += 1
    return changed


@kernel
def relax(P, r, active, h, step, unit, tau, low, high, new):
    """One damped sweep new = h + step (max_a r + P h - h), with the bounds of `residuals`."""
    S, A = r.shape
    for s in range(S):
        best = -np.inf
        low[s], high[s] = np.inf, -np.inf
        for a in range(A):
            if active[s, a]:
                total, size = drift(P, s * A + a, h, s)
                value = r[s, a] + total
                error = unit * abs(r[s, a]) + (unit + tau) * size
                if value > best:
                    best = value
                    low[s] = value - error
                high[s] = max(high[s], value + error)
        new[s] = h[s] + step * best if best > -np.inf else h[s]


@kernel
def group_extremes(labels, low, high, smallest, largest):
    """Fill the least low and the largest high of the states with each label."""
    smallest[:] = np.inf
    largest[:] = -np.inf
    for s in range(labels.shape[0]):
        k = labels[s]
        if k >= 0:
            smallest[k] = min(smallest[k], low[s])
            largest[k] = max(largest[k], high[s])


@kernel
def node_residuals(P, r, active, node, v, stay, unit, tau, choice, kept_low, kept_high, low, high, best):
    """Bound T v - v where states are merged into nodes, and some nodes may stop for a final reward.

    v has one entry per state, equal within a node. For each node: [kept_low, kept_high] is about the row
    (or -1: stopping) in `choice`; [low, high] about the best of all, low being that of `best`, the
    first that maximises the computed number (-2 if there is nothing to choose).
    """
    S, A = r.shape
    top = np.full(stay.shape[0], -np.inf)
    low[:] = -np.inf
    high[:] = -np.inf
    kept_low[:] = -np.inf
    kept_high[:] = -np.inf
    best[:] = -2
    for s in range(S):
        k = node[s]
        if best[k] == -2 and stay[k] > -np.inf:
            value = stay[k] - v[s]
            error = unit * abs(value)
            top[k], best[k] = value, -1
            low[k], high[k] = value - error, value + error
            if choice[k] == -1:
                kept_low[k], kept_high[k] = value - error, value + error
        for a in range(A):
            if active[s, a]:
                total, size = drift(P, s * A + a, v, s)
                value = r[s, a] + total
                error = unit * abs(r[s, a]) + (unit + tau) * size
                if value > top[k]:
                    top[k], best[k] = value, s * A + a
                    low[k] = value - error
                high[k] = max(high[k], value + error)
                if choice[k] == s * A + a:
                    kept_low[k], kept_high[k] = value - error, value + error


@kernel
def attract_nodes(P, active, node, settled, choice):
    """Give each node that is not settled an active row that reaches a settled one; settle it.

    Returns nothing; nodes that cannot reach a settled one stay unsettled.
    """
    S, A = active.shape
    tags = np.zeros(S, dtype=np.int8)
    for s in range(S):
        tags[s] = 1 if settled[node[s]] else 0
    changed, forth = True, True
    while changed:
        changed = False
        for i in range(S):
            s = i if forth else S - 1 - i
            if settled[node[s]]:
                if tags[s] == 0:
                    tags[s] = 1
                    changed = True
                continue
            for a in range(A):
                if active[s, a] and leads_elsewhere(P, s * A + a, tags, 0):
                    settled[node[s]] = True
                    choice[node[s]] = s * A + a
                    tags[s] = 1
                    changed = True
                    break
        forth = not forth


@kernel
def strong_components(starts, targets, weights, active, labels):
    """Number the strongly connected components of the graph of active rows; return how many.

    Tarjan (1972), without recursion. Entries may repeat, and those of weight zero are no edges.
    """
    S, A = active.shape
    depth = np.full(S, -1, dtype=np.int64)
    lowest = np.zeros(S, dtype=np.int64)
    place = np.zeros(S, dtype=np.int64)
    rows = np.zeros(S, dtype=np.int64)
    path = np.empty(S, dtype=np.int64)
    waiting = np.empty(S, dtype=np.int64)
    labels[:] = -1
    found, clock, n_waiting = 0, 0, 0
    for root in range(S):
        if depth[root] >= 0:
            continue
        path[0], top = root, 0
        while top >= 0:
            s = path[top]
            if depth[s] < 0:
                depth[s] = lowest[s] = clock
                clock += 1
                waiting[n_waiting] = s
                n_waiting += 1
                place[s] = starts[s * A]
            descended = False
            while rows[s] < A and not descended:
                row = s * A + rows[s]
                end = starts[row + 1] if active[s, rows[s]] else place[s]
                while place[s] < end and not descended:
                    t, weight = targets[place[s]], weights[place[s]]
                    place[s] += 1
                    if weight > 0.0:
                        if depth[t] < 0:
                            top += 1
                            path[top] = t
                            descended = True
                        elif labels[t] < 0:
                            lowest[s] = min(lowest[s], depth[t])
                if not descended:
                    rows[s] += 1
                    place[s] = starts[row + 1]
            if descended:
                continue
            top -= 1
            if top >= 0:
                lowest[path[top]] = min(lowest[path[top]], lowest[s])
            if lowest[s] == depth[s]:
                while True:
                    n_waiting -= 1
                    t = waiting[n_waiting]
                    labels[t] = found
                    if t == s:
                        break
                found += 1
    return found
