"""Compiled pieces of planning: hulls, the relaxation, packing, and the idle-time graph.

Tables hold ``V[i, k]``, the reward of arm i at the k-th of the increasing periods ``grid``.
"""

import numpy as np

from theoryrl._numba import kernel

COLLINEAR = 1e-15
"""Points closer to a chord than this, relative to the largest reward, are taken to lie on it."""

FILLED = 1e-12
"""Capacity below it is rounding of a few hundred subtractions from K: no arm is left fractional."""


@kernel
def hull(row, grid, floor, vertices):
    """Fill `vertices` with the concave envelope's corners right of the origin, while it rises.

    Points are (1/d, row/d); corners are positions in `grid`, in order of increasing frequency. Returns
    their number.
    """
    count = 0
    for k in range(grid.shape[0] - 1, -1, -1):
        x, F = 1.0 / grid[k], row[k] / grid[k]
        while count > 0:
            top = vertices[count - 1]
            x1, F1 = 1.0 / grid[top], row[top] / grid[top]
            x0, F0 = 0.0, 0.0
            if count > 1:
                below = vertices[count - 2]
                x0, F0 = 1.0 / grid[below], row[below] / grid[below]
            if (x1 - x0) * (F - F0) - (F1 - F0) * (x - x0) < -floor:
                break
            count -= 1
        vertices[count] = k
        count += 1
    while count > 0:
        top = vertices[count - 1]
        previous = 0.0
        if count > 1:
            below = vertices[count - 2]
            previous = row[below] / grid[below]
        if row[top] / grid[top] > previous:
            break
        count -= 1
    return count


@kernel
def edge(row, grid, vertices, level):
    """Return (width, rise) of the edge that ends at corner number `level`."""
    top = vertices[level]
    width, rise = 1.0 / grid[top], row[top] / grid[top]
    if level > 0:
        below = vertices[level - 1]
        width -= 1.0 / grid[below]
        rise -= row[below] / grid[below]
    return width, rise


@kernel
def relax(V, grid, K, vertices, sizes, levels):
    """Fill the capacity K with the steepest edges of all hulls.

    Returns
    -------
    tuple
        (arm that stays inside its next edge or -1, share of that edge, value, slope of the last edge).

    Each arm's edges are taken in order, whatever rounding does to their slopes; `levels[i]` of them are
    taken whole. On equal slopes the lower arm goes first.
    """
    N = V.shape[0]
    largest = 0.0
    for i in range(N):
        for k in range(V.shape[1]):
            largest = max(largest, V[i, k])
    slopes = np.empty(N)
    for i in range(N):
        sizes[i] = hull(V[i], grid, COLLINEAR * largest, vertices[i])
        levels[i] = 0
        slopes[i] = -1.0
        if sizes[i] > 0:
            width, rise = edge(V[i], grid, vertices[i], 0)
            slopes[i] = rise / width
    room, value, last = float(K), 0.0, 0.0
    while True:
        arm = -1
        steepest = 0.0
        for i in range(N):
            if slopes[i] > steepest:
                arm, steepest = i, slopes[i]
        if arm < 0:
            return -1, 0.0, value, 0.0
        last = steepest
        width, rise = edge(V[arm], grid, vertices[arm], levels[arm])
        if width > room + FILLED:
            return arm, room / width, value + rise * (room / width), last
        levels[arm] += 1
        value += rise
        room -= width
        slopes[arm] = -1.0
        if levels[arm] < sizes[arm]:
            width, rise = edge(V[arm], grid, vertices[arm], levels[arm])
            slopes[arm] = rise / width
        if room <= FILLED:
            return -1, 0.0, value, last


@kernel
def round_up(d, a):
    """Return the smallest j 2^l >= d with j odd and j <= 2a - 1."""
    if d <= 2 * a:
        return d
    unit = 1
    while d > 2 * a * unit:
        unit *= 2
    return unit * ((d + unit - 1) // unit)


@kernel
def odd_part(d):
    """Return (j, l) with d = j 2^l and j odd."""
    level = 0
    while d % 2 == 0:
        d //= 2
        level += 1
    return d, level


@kernel
def bit_reverse(b, length):
    """Return the number whose `length` binary digits are those of b, reversed."""
    reversed_bits = 0
    for _ in range(length):
        reversed_bits = 2 * reversed_bits + b % 2
        b //= 2
    return reversed_bits


@kernel
def pack(periods, offsets, machines):
    """Give every arm of positive period j 2^l an offset and a machine; return how many machines that takes.

    Arms of one odd part j fill machines one after another, shortest period first; positions are integers
    in units of 1 / (j 2^lmax), so nothing is rounded.
    """
    N = periods.shape[0]
    order = np.empty(N, dtype=np.int64)
    used = 0
    for i in range(N):
        offsets[i], machines[i] = 0, -1
        if periods[i] > 0:
            j, _ = odd_part(periods[i])
            at = used
            while at > 0:
                other, _ = odd_part(periods[order[at - 1]])
                if other < j or (other == j and periods[order[at - 1]] <= periods[i]):
                    break
                order[at] = order[at - 1]
                at -= 1
            order[at] = i
            used += 1
    base, first = 0, 0
    while first < used:
        j, _ = odd_part(periods[order[first]])
        end = first
        while end < used and odd_part(periods[order[end]])[0] == j:
            end += 1
        longest = periods[order[end - 1]]
        position = 0
        for rank in range(first, end):
            i = order[rank]
            d = periods[i]
            start = (position % longest) * d // longest
            _, level = odd_part(d)
            track, slot = start >> level, start & ((1 << level) - 1)
            offsets[i] = track + j * bit_reverse(slot, level)
            machines[i] = base + position // longest
            position += longest // d
        base += (position + longest - 1) // longest
        first = end
    return base


@kernel
def keep_best(rates, K, count, periods, offsets, machines):
    """Keep the K machines of largest total rate, renumbered; return what they earn per period."""
    worth = np.zeros(count)
    for i in range(rates.shape[0]):
        if machines[i] >= 0:
            worth[machines[i]] += rates[i]
    place = np.full(count, -1, dtype=np.int64)
    for rank in range(min(K, count)):
        best = -1
        for m in range(count):
            if place[m] < 0 and (best < 0 or worth[m] > worth[best]):
                best = m
        place[best] = rank
    value = 0.0
    for i in range(rates.shape[0]):
        if machines[i] >= 0:
            machines[i] = place[machines[i]]
            if machines[i] < 0:
                periods[i], offsets[i] = 0, 0
            else:
                value += rates[i]
    return value


@kernel
def schedule_machines(V, grid, columns, K, periods, offsets, machines, audit):
    """Pack the chosen grid columns (-1: none) and keep the K best machines; return their value.

    ``audit`` receives density, number of machines and total value before machines are dropped.
    """
    N = V.shape[0]
    rates = np.zeros(N)
    density, total = 0.0, 0.0
    for i in range(N):
        periods[i] = 0
        if columns[i] >= 0:
            periods[i] = grid[columns[i]]
            rates[i] = V[i, columns[i]] / periods[i]
            density += 1.0 / periods[i]
            total += rates[i]
    count = pack(periods, offsets, machines)
    audit[0], audit[1], audit[2] = density, count, total
    return keep_best(rates, K, count, periods, offsets, machines)


@kernel
def plan(V, grid, W, rounded, position, K, both, periods, offsets, machines, audit):
    """Relax on the grid, move the fractional arm up (or, with `both`, also down), round, pack, keep.

    Parameters
    ----------
    V, grid
        What is relaxed.
    W, rounded, position
        What is scheduled: ``grid[k]`` becomes ``rounded[position[k]]``, worth ``W[i, position[k]]``.
    audit
        Receives density, machines and total value (of the variant that is kept), the value of the
        relaxation, and 1 if the fractional arm was moved down.

    Returns the value per period of the schedule in `periods`, `offsets`, `machines`.
    """
    N = V.shape[0]
    vertices = np.empty((N, grid.shape[0]), dtype=np.int64)
    sizes, levels, columns = (
        np.empty(N, dtype=np.int64),
        np.empty(N, dtype=np.int64),
        np.empty(N, dtype=np.int64),
    )
    arm, _, relaxed, _ = relax(V, grid, K, vertices, sizes, levels)
    for i in range(N):
        columns[i] = position[vertices[i, levels[i] - 1]] if levels[i] > 0 else -1
    low = -1
    if arm >= 0:
        low = columns[arm]
        columns[arm] = position[vertices[arm, levels[arm]]]
    value = schedule_machines(W, rounded, columns, K, periods, offsets, machines, audit)
    audit[3], audit[4] = relaxed, 0.0
    if both and arm >= 0:
        columns[arm] = low
        other = np.empty((3, N), dtype=np.int64)
        found = np.empty(3)
        alternative = schedule_machines(W, rounded, columns, K, other[0], other[1], other[2], found)
        if alternative > value:
            periods[:], offsets[:], machines[:] = other[0], other[1], other[2]
            audit[:3] = found
            audit[4] = 1.0
            return alternative
    return value


@kernel
def idle_moves(R, memory, sets, successors, rewards):
    """Fill the edges of the idle-time graph: state s, choice c -> successors[s, c], rewards[s, c].

    A state is a mixed-radix number whose digits are min(tau_i, D_i) - 1; ``sets[c, i]`` says whether
    choice c pulls arm i.
    """
    N = memory.shape[0]
    digits = np.zeros(N, dtype=np.int64)
    for s in range(successors.shape[0]):
        rest = s
        for i in range(N):
            digits[i] = rest % memory[i]
            rest //= memory[i]
        for c in range(sets.shape[0]):
            stride, target, reward = 1, 0, 0.0
            for i in range(N):
                if sets[c, i]:
                    reward += R[i, digits[i]]
                else:
                    target += stride * min(digits[i] + 1, memory[i] - 1)
                stride *= memory[i]
            successors[s, c] = target
            rewards[s, c] = reward


@kernel
def evaluate_moves(choice, successors, rewards, gain, bias):
    """Fill gain and bias of a stationary policy by following it into its cycles.

    A cycle keeps the bias that its first state had before: starting it anew at zero could make policy
    iteration move forever between cycles of equal gain.
    """
    S = choice.shape[0]
    mark = np.full(S, -1, dtype=np.int64)
    path = np.empty(S, dtype=np.int64)
    for start in range(S):
        length, s = 0, start
        while mark[s] == -1:
            mark[s] = start
            path[length] = s
            length += 1
            s = successors[s, choice[s]]
        if length == 0:
            continue
        if mark[s] == start:
            total, steps, t = 0.0, 0, s
            while True:
                total += rewards[t, choice[t]]
                steps += 1
                t = successors[t, choice[t]]
                if t == s:
                    break
            mean = total / steps
            gain[s] = mean
            at = length - 1
            while path[at] != s:
                t = path[at]
                gain[t] = mean
                bias[t] = rewards[t, choice[t]] - mean + bias[successors[t, choice[t]]]
                at -= 1
            length = at
        for at in range(length - 1, -1, -1):
            t = path[at]
            following = successors[t, choice[t]]
            gain[t] = gain[following]
            bias[t] = rewards[t, choice[t]] - gain[t] + bias[following]


@kernel
def improve_moves(choice, successors, rewards, gain, bias, tolerance):
    """Improve a policy, first by gain and then by bias; return the number of states that changed."""
    changed = 0
    for s in range(choice.shape[0]):
        best_gain = gain[s]
        for c in range(successors.shape[1]):
            best_gain = max(best_gain, gain[successors[s, c]])
        by_gain = best_gain > gain[s] + tolerance
        best = -np.inf if by_gain else bias[s] + tolerance
        selected = -1
        for c in range(successors.shape[1]):
            t = successors[s, c]
            if gain[t] >= best_gain - tolerance:
                worth = rewards[s, c] - gain[t] + bias[t]
                if worth > best:
                    best, selected = worth, c
        if selected >= 0 and selected != choice[s]:
            choice[s] = selected
            changed += 1
    return changed


@kernel
def largest_step(successors, rewards, bias):
    """Return max over all edges of r + h(s') - h(s), an upper bound on the mean of every cycle."""
    largest = -np.inf
    for s in range(successors.shape[0]):
        for c in range(successors.shape[1]):
            largest = max(largest, rewards[s, c] + bias[successors[s, c]] - bias[s])
    return largest


@kernel
def sweep_moves(successors, rewards, value, out):
    """Fill out[s] = max over choices of r + value(s')."""
    for s in range(successors.shape[0]):
        best = -np.inf
        for c in range(successors.shape[1]):
            best = max(best, rewards[s, c] + value[successors[s, c]])
        out[s] = best
