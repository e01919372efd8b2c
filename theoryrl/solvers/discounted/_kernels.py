"""Compiled sweeps over the states of a discounted MDP.

The transitions are either a dense array [S A, S], or the three arrays of compressed sparse rows in a
tuple; `expected` is the one place that knows the difference. Row s * A + a belongs to (s, a).
"""

from typing import Any

import numpy as np

from theoryrl._numba import by_layout, kernel, scalar_kernel, threaded_kernel
from theoryrl.solvers._fetch import fetch

DENSE: Any = {"fastmath": {"reassoc", "contract"}, "error_model": "numpy"}
SPARSE: Any = {"fastmath": {"contract"}, "error_model": "numpy"}
"""Sums over few successors stay scalar: vector instructions that gather are slower than loads. Indices
are taken as unsigned numbers, which saves the test for negative ones that Python's indexing asks for."""

UNIT = 2.0**-53
AHEAD = 16
"""How many states ahead the row of the action that is read first is asked for."""


def _expected(P, row, h):
    """Return sum_t P[row, t] h[t]."""
    total = 0.0
    for t in range(h.shape[0]):
        total += P[row, t] * h[t]
    return total


def _expected_of_sparse(P, row, h):
    probabilities, next_states, row_starts = P
    total = 0.0
    for i in range(np.uintp(row_starts[row]), np.uintp(row_starts[row + 1])):
        total += probabilities[i] * h[np.uintp(next_states[i])]
    return total


def _expected_elsewhere(P, row, h, s):
    """Return the part of `expected` from states other than s, and the probability of s."""
    total = 0.0
    for t in range(h.shape[0]):
        total += P[row, t] * h[t]
    return total - P[row, s] * h[s], P[row, s]


def _expected_elsewhere_of_sparse(P, row, h, s):
    probabilities, next_states, row_starts = P
    total, stay = 0.0, 0.0
    for i in range(np.uintp(row_starts[row]), np.uintp(row_starts[row + 1])):
        t = np.uintp(next_states[i])
        if t == np.uintp(s):
            stay += probabilities[i]
        else:
            total += probabilities[i] * h[t]
    return total, stay


def _fetch_row(P, row):
    """Ask for the memory of a row that is needed soon, where it is too short to be foreseen."""


def _fetch_row_of_sparse(P, row):
    probabilities, next_states, row_starts = P
    start, end = np.uintp(row_starts[row]), np.uintp(row_starts[row + 1])
    if end > start:
        fetch(probabilities, start)
        fetch(probabilities, end - np.uintp(1))
        fetch(next_states, start)
        fetch(next_states, end - np.uintp(1))


expected = by_layout(_expected, _expected_of_sparse, DENSE, SPARSE)
# Compiled into the sweep: calls cost three times as much as the sum, for the references that they count.
expected_elsewhere = by_layout(
    _expected_elsewhere, _expected_elsewhere_of_sparse, DENSE, SPARSE, inline="always"
)
fetch_row = by_layout(_fetch_row, _fetch_row_of_sparse, {}, {})


@threaded_kernel
def bellman(P, r, active, gamma, h, margin, rise, ceiling, last, W, actions, low, high):
    """W(s) = max_a r(s, a) + gamma (P h)(s, a) over active actions, and the first maximiser.

    ceiling[s, a] + rise bounds the action value from above; the row of an action whose bound is below
    the value of another one is not read. last[s] is the action that is read first. Actions that are more
    than `margin` worse than the best are deactivated.
    """
    A = r.shape[1]
    for s in range(low, high):
        if s + AHEAD < high:
            fetch_row(P, (s + AHEAD) * A + last[s + AHEAD])
        first = last[s]
        kept = first
        value = r[s, kept] + gamma * expected(P, s * A + kept, h)
        best = value
        for a in range(A):
            bound = ceiling[s, a] + rise
            if a != kept and active[s, a] and not bound < best:
                bound = r[s, a] + gamma * expected(P, s * A + a, h)
                if bound > best or (bound == best and a < first):
                    best, first = bound, a
            ceiling[s, a] = bound
        ceiling[s, kept] = value
        W[s] = best
        actions[s] = first
        floor = best - margin
        for a in range(A):
            if ceiling[s, a] < floor:
                active[s, a] = False


@threaded_kernel
def policy_backup(P, r, actions, gamma, h, W, low, high):
    """W(s) = r(s, pi(s)) + gamma (P h)(s, pi(s))."""
    A = r.shape[1]
    for s in range(low, high):
        if s + AHEAD < high:
            fetch_row(P, (s + AHEAD) * A + actions[s + AHEAD])
        W[s] = r[s, actions[s]] + gamma * expected(P, s * A + actions[s], h)


@scalar_kernel
def difference_range(W, h):
    """Return the smallest and the largest entry of W - h."""
    smallest, largest = np.inf, -np.inf
    for s in range(h.shape[0]):
        difference = W[s] - h[s]
        smallest = difference if difference < smallest else smallest
        largest = difference if difference > largest else largest
    return smallest, largest


@scalar_kernel
def largest_size(h):
    """Return the largest absolute value; NaN if any value is, so that no bound survives it."""
    size = 0.0
    for s in range(h.shape[0]):
        if not abs(h[s]) <= size:
            size = abs(h[s])
            if size != size:
                return size
    return size


@scalar_kernel
def centre(h):
    """Move h by a constant so that it lies around zero; return how far down."""
    smallest, largest = np.inf, -np.inf
    for s in range(h.shape[0]):
        smallest = h[s] if h[s] < smallest else smallest
        largest = h[s] if h[s] > largest else largest
    middle = 0.5 * (largest + smallest)
    for s in range(h.shape[0]):
        h[s] -= middle
    return middle


@kernel
def count_changes(before, after):
    """Return in how many places two arrays differ."""
    count = 0
    for s in range(before.shape[0]):
        count += before[s] != after[s]
    return count


@scalar_kernel
def concave_excess(h, block):
    """Return d such that some function between h and h + d is concave in every block of states.

    It is the upper convex hull of the points (t, h[t]), a polygon through some of them. A corner stays
    only if it lies above the line through its neighbours by more than rounding, so that the polygon is
    concave; what it then misses of the points it is raised by.
    """
    corners = np.empty(block, dtype=np.int64)
    above, below = 0.0, 0.0
    for begin in range(0, h.shape[0], block):
        top = -1
        for c in range(begin, min(begin + block, h.shape[0])):
            while top >= 1:
                a, b = corners[top - 1], corners[top]
                left, right = (h[b] - h[a]) * (c - b), (h[c] - h[b]) * (b - a)
                if left - right > 8 * UNIT * (abs(left) + abs(right)):
                    break
                top -= 1
            top += 1
            corners[top] = c
        for i in range(top):
            a, b = corners[i], corners[i + 1]
            slope = (h[b] - h[a]) / (b - a)
            for t in range(a + 1, b):
                distance = h[a] + slope * (t - a) - h[t]
                above, below = max(above, distance), max(below, -distance)
    return above + below


@kernel
def gauss_seidel(P, r, active, gamma, toll, h, backwards, actions):
    """One Bellman sweep in place: each state sees the new values of those before it; and the maximisers.

    What returns to the state itself is solved for, not iterated: the value x of taking an action for
    good is x = r + gamma (others + stay x). Its maximum has the same fixed point. All rewards are lowered
    by `toll`, which lowers the fixed point by toll / (1 - gamma).
    """
    S, A = r.shape
    for i in range(S):
        s = S - 1 - i if backwards else i
        best, first = -np.inf, 0
        for a in range(A):
            if active[s, a]:
                others, stay = expected_elsewhere(P, s * A + a, h, s)
                value = r[s, a] - toll + gamma * others
                if stay > 0.0:
                    value /= 1.0 - gamma * stay
                if value > best:
                    best, first = value, a
        h[s], actions[s] = best, first


@kernel
def evaluate_in_place(P, r, gamma, toll, h, backwards, actions):
    """The same sweep for one policy."""
    S, A = r.shape
    for i in range(S):
        s = S - 1 - i if backwards else i
        others, stay = expected_elsewhere(P, s * A + actions[s], h, s)
        value = r[s, actions[s]] - toll + gamma * others
        h[s] = value / (1.0 - gamma * stay) if stay > 0.0 else value


@kernel
def depth_first_order(row_starts, next_states, actions, A, order):
    """Fill `order` so that a state comes after its successors, but for the edges that close a cycle.

    The order in which a depth-first search of the policy's graph leaves the states.
    """
    S = order.shape[0]
    following = np.empty(S, dtype=row_starts.dtype)
    for s in range(S):
        following[s] = row_starts[s * A + actions[s]]
    seen = np.zeros(S, dtype=np.bool_)
    stack = np.empty(S, dtype=np.int32)
    placed = 0
    for root in range(S):
        if seen[root]:
            continue
        seen[root] = True
        stack[0] = root
        top = 0
        while top >= 0:
            s = stack[top]
            if following[s] < row_starts[s * A + actions[s] + 1]:
                t = next_states[following[s]]
                following[s] += 1
                if not seen[t]:
                    seen[t] = True
                    top += 1
                    stack[top] = t
            else:
                order[placed] = s
                placed += 1
                top -= 1


@kernel
def split_rows(P, actions, A, gamma, order, new_starts, middle, columns, entries, diagonal):
    """Renumber the policy's chain by `order`, and write A = I - gamma P as lower part, diagonal, upper part.

    Row i of the result: entries [new_starts[i], middle[i]) are gamma P below the diagonal, entries
    [middle[i], new_starts[i + 1]) above it; diagonal[i] = 1 - gamma P(i, i).
    """
    probabilities, next_states, row_starts = P
    S = order.shape[0]
    position = np.empty(S, dtype=np.int32)
    for i in range(S):
        position[order[i]] = i
    place = 0
    for i in range(S):
        row = order[i] * A + actions[order[i]]
        new_starts[i] = place
        stay = 0.0
        for k in range(row_starts[row], row_starts[row + 1]):
            j = position[next_states[k]]
            if j < i:
                columns[place] = j
                entries[place] = gamma * probabilities[k]
                place += 1
            elif j == i:
                stay += probabilities[k]
        middle[i] = place
        for k in range(row_starts[row], row_starts[row + 1]):
            j = position[next_states[k]]
            if j > i:
                columns[place] = j
                entries[place] = gamma * probabilities[k]
                place += 1
        diagonal[i] = 1.0 - gamma * stay
    new_starts[S] = place


@scalar_kernel
def sweep_forward(starts, middle, columns, entries, diagonal, v, z):
    """Solve (D - L) z = v, the Gauss-Seidel step, where A = D - L - U."""
    for i in range(z.shape[0]):
        total = v[i]
        for k in range(np.uintp(starts[i]), np.uintp(middle[i])):
            total += entries[k] * z[np.uintp(columns[k])]
        z[i] = total / diagonal[i]


@scalar_kernel
def subtract_upper(starts, middle, columns, entries, v, z, out):
    """Write v - U z, which is A z where z solves (D - L) z = v."""
    for i in range(z.shape[0]):
        total = 0.0
        for k in range(np.uintp(middle[i]), np.uintp(starts[i + 1])):
            total += entries[k] * z[np.uintp(columns[k])]
        out[i] = v[i] - total


@kernel
def euclidean_norm(v):
    """Return the square root of the sum of squares."""
    square = 0.0
    for i in range(v.shape[0]):
        square += v[i] * v[i]
    return np.sqrt(square)


@kernel
def orthogonalise(basis, k, column):
    """Take the components along basis[0], ..., basis[k] out of basis[k + 1], one after the other.

    Writes them into `column` (modified Gram-Schmidt) and returns the length of what is left, which is
    scaled to length one.
    """
    w = basis[k + 1]
    for j in range(k + 1):
        v = basis[j]
        total = 0.0
        for i in range(w.shape[0]):
            total += v[i] * w[i]
        column[j] = total
        for i in range(w.shape[0]):
            w[i] -= total * v[i]
    square = 0.0
    for i in range(w.shape[0]):
        square += w[i] * w[i]
    length = np.sqrt(square)
    if length > 0.0:
        for i in range(w.shape[0]):
            w[i] /= length
    return length
