"""Compiled inner problems: the worst row of each uncertainty set, with a dual bound.

Every kernel has the same signature. For each row i of P it writes the value of a feasible row
(an upper bound on the infimum) into upper[i], a dual value (a lower bound) into lower[i], and, if W
has rows, that feasible row into W[i]. `order` sorts the values v in increasing order; where several
states are lowest, the first of them receives the mass that is free to go anywhere.
"""

import math

import numpy as np

from theoryrl._numba import kernel, strict_kernel
from theoryrl.solvers._sorting import sort_indices

SEARCH_STEPS = 200
"""More than enough: a bracket of doubles is exhausted by halving it 64 times in a row."""


@kernel
def _copy(p, W, i):
    if W.shape[0] > 0:
        for s in range(p.shape[0]):
            W[i, s] = p[s]


@kernel
def _minimum(v):
    least = v[0]
    for s in range(v.shape[0]):
        least = min(least, v[s])
    return least


@kernel
def total_variation(P, v, order, radii, scale, upper, lower, W):
    """Move mass `scale * radius` from the highest states to the lowest one (scale 1/2 for L1)."""
    S = v.shape[0]
    sink = order[0]
    floor = _minimum(v)
    for i in range(P.shape[0]):
        p = P[i]
        _copy(p, W, i)
        mean = 0.0
        for s in range(S):
            mean += p[s] * v[s]
        budget = scale * radii[i]
        left, gain, level, above, beyond = budget, 0.0, v[order[S - 1]], 0.0, 0.0
        for k in range(S - 1, 0, -1):
            s = order[k]
            if left <= 0.0:
                break
            level = v[s]
            take = min(p[s], left)
            gain += take * (level - v[sink])
            left -= take
            if W.shape[0] > 0 and take > 0.0:
                W[i, s] -= take
                W[i, sink] += take
            if left > 0.0:
                above += p[s] * level
                beyond += p[s]
        if left > 0.0:
            level = floor
        upper[i] = mean - gain
        # E min(v, level) - budget (level - floor); the states walked past lie above the level.
        lower[i] = mean - (above - beyond * level) - budget * (level - floor)


@kernel
def total_variation_penalty(P, v, order, prices, scale, upper, lower, W):
    """E min(v, min v + price): states above that are left for the lowest one (scale 2 for L1)."""
    S = v.shape[0]
    sink = order[0]
    floor = _minimum(v)
    for i in range(P.shape[0]):
        p = P[i]
        _copy(p, W, i)
        price = scale * prices[i]
        dual, primal = 0.0, 0.0
        for s in range(S):
            dual += p[s] * min(v[s], floor + price)
            if v[s] > v[sink] + price:
                primal += p[s] * (v[sink] + price)
                if W.shape[0] > 0:
                    W[i, s] = 0.0
                    W[i, sink] += p[s]
            else:
                primal += p[s] * v[s]
        upper[i], lower[i] = primal, dual


@kernel
def contamination(P, v, order, radii, scale, upper, lower, W):
    """(1 - radius) p . v + radius min v."""
    S = v.shape[0]
    sink = order[0]
    floor = _minimum(v)
    for i in range(P.shape[0]):
        mean, total = 0.0, 0.0
        for s in range(S):
            mean += P[i, s] * v[s]
            total += P[i, s]
            if W.shape[0] > 0:
                W[i, s] = (1.0 - radii[i]) * P[i, s]
        if W.shape[0] > 0:
            W[i, sink] += radii[i] * total
        upper[i] = (1.0 - radii[i]) * mean + radii[i] * total * v[sink]
        lower[i] = (1.0 - radii[i]) * mean + radii[i] * total * floor


@kernel
def _box(p, v, order, radius, w):
    """Fill w with the worst row of the box; return (value, dual value, slope of the dual in the radius)."""
    S = v.shape[0]
    left = 0.0
    for s in range(S):
        w[s] = max(p[s] - radius, 0.0)
        left += p[s] - w[s]
    level = v[order[0]]
    for k in range(S):
        s = order[k]
        if left <= 0.0:
            break
        add = min(min(p[s] + radius, 1.0) - w[s], left)
        w[s] += add
        left -= add
        level = v[s]
    value, dual, slope, total = 0.0, 0.0, 0.0, 0.0
    for s in range(S):
        value += w[s] * v[s]
        total += p[s]
        rise = v[s] - level
        if rise > 0.0:
            dual += max(p[s] - radius, 0.0) * rise
            if p[s] > radius:
                slope -= rise
        else:
            dual += min(p[s] + radius, 1.0) * rise
            if p[s] + radius < 1.0:
                slope += rise
    return value, dual + level * total, slope


@kernel
def largest_change(P, v, order, radii, scale, upper, lower, W):
    """Empty every state to its lower limit, and pour what is left into the lowest states."""
    w = np.empty(v.shape[0])
    for i in range(P.shape[0]):
        upper[i], lower[i], _ = _box(P[i], v, order, radii[i], w)
        _copy(w, W, i)


@kernel
def largest_change_penalty(P, v, order, prices, scale, upper, lower, W):
    """Minimise g(x) + price x over the radius x, where g is convex and piecewise linear.

    Two supporting lines, one falling and one rising, meet below the minimum, which bounds it; the next
    radius is where they meet.
    """
    w = np.empty(v.shape[0])
    for i in range(P.shape[0]):
        price = prices[i]
        left, right = 0.0, 1.0
        value, dual, slope = _box(P[i], v, order, left, w)
        best, bound = value, dual
        _copy(w, W, i)
        if slope + price < 0.0:
            left_line, left_slope = dual, slope + price
            value, dual, slope = _box(P[i], v, order, right, w)
            right_line, right_slope = dual + price * right, slope + price
            if value + price < best:
                best = value + price
                _copy(w, W, i)
            bound = min(left_line, right_line)
            for _ in range(SEARCH_STEPS):
                x = (right_line - left_line - right_slope * right + left_slope * left) / (
                    left_slope - right_slope
                )
                bound = left_line + left_slope * (x - left)
                value, dual, slope = _box(P[i], v, order, x, w)
                if value + price * x < best:
                    best = value + price * x
                    _copy(w, W, i)
                if dual + price * x <= bound + 1e-15 * (1.0 + abs(bound)):
                    break
                if slope + price < 0.0:
                    left, left_line, left_slope = x, dual + price * x, slope + price
                elif slope + price > 0.0:
                    right, right_line, right_slope = x, dual + price * x, slope + price
                else:
                    bound = dual + price * x
                    break
        upper[i], lower[i] = best, min(bound, best)


@kernel
def _moments(p, v, floor, b):
    """Return (sum p, log E exp(-b x), E_b x) for x = v - floor on the support; E_b is the tilted law."""
    total, shift, first, mass = 0.0, 0.0, 0.0, 0.0
    for s in range(v.shape[0]):
        if p[s] > 0.0:
            x = v[s] - floor
            weight = p[s] * math.exp(-b * x)
            total += p[s]
            shift += p[s] * math.expm1(-b * x)
            first += weight * x
            mass += weight
    log_mean = math.log1p(shift / total) if shift > -0.5 * total else math.log(mass / total)
    return total, log_mean, first / mass


@kernel
def _tilt(p, v, floor, b, W, i):
    """Write the row proportional to p exp(-b (v - floor)) into W[i]."""
    if W.shape[0] > 0:
        mass, total = 0.0, 0.0
        for s in range(v.shape[0]):
            W[i, s] = p[s] * math.exp(-b * (v[s] - floor)) if p[s] > 0.0 else 0.0
            mass += W[i, s]
            total += p[s]
        for s in range(v.shape[0]):
            W[i, s] *= total / mass


@kernel
def _lowest(p, v):
    """Return (lowest value on the support of p, mass on it, whole mass, whether other values occur)."""
    floor = math.inf
    for s in range(v.shape[0]):
        if p[s] > 0.0:
            floor = min(floor, v[s])
    mass, total, others = 0.0, 0.0, False
    for s in range(v.shape[0]):
        if p[s] > 0.0:
            total += p[s]
            if v[s] <= floor:
                mass += p[s]
            else:
                others = True
    return floor, mass, total, others


@kernel
def _keep_lowest(p, v, floor, mass, total, W, i):
    if W.shape[0] > 0:
        for s in range(v.shape[0]):
            W[i, s] = p[s] * (total / mass) if p[s] > 0.0 and v[s] <= floor else 0.0


@kernel
def kullback_leibler(P, v, order, radii, scale, upper, lower, W):
    """Tilt p by exp(-b v) with KL = radius, found by a bracketed Newton search on sqrt(KL)."""
    for i in range(P.shape[0]):
        p, radius = P[i], radii[i]
        floor, mass, total, others = _lowest(p, v)
        if not others or radius <= 0.0:
            _, _, first = _moments(p, v, floor, 0.0)
            upper[i] = total * (floor + first)
            lower[i] = upper[i]
            _copy(p, W, i)
            continue
        if -math.log(mass / total) <= radius:
            upper[i], lower[i] = total * floor, total * floor
            _keep_lowest(p, v, floor, mass, total, W, i)
            continue
        inside, outside = 0.0, math.inf
        _, _, mean = _moments(p, v, floor, 0.0)
        b = math.sqrt(radius) / mean
        best, bound = mean, -math.inf
        for step in range(SEARCH_STEPS):
            _, log_mean, first = _moments(p, v, floor, b)
            divergence = max(-b * first - log_mean, 0.0)
            bound = max(bound, -(log_mean + radius) / b)
            if divergence <= radius:
                inside, best = b, first
            else:
                outside = b
            if best - bound <= 1e-14 * (abs(floor) + mean) or outside <= inside * (1.0 + 1e-15):
                break
            if outside == math.inf:
                b = b * max(2.0, math.sqrt(radius / max(divergence, 1e-300)))
                continue
            guess = b * math.sqrt(radius / divergence) if divergence > 0.0 else 0.0
            # A guess at the end of the bracket is pushed inside it, so that both ends close in; where
            # they are of different orders of magnitude, so is what lies between them.
            middle = 0.5 * (inside + outside)
            if inside > 0.0 and outside > 4.0 * inside:
                middle = math.sqrt(inside) * math.sqrt(outside)
            b = guess if inside < guess < outside and step % 3 < 2 else middle
        upper[i], lower[i] = total * (floor + best), total * (floor + bound)
        _tilt(p, v, floor, inside, W, i)


@kernel
def kullback_leibler_penalty(P, v, order, prices, scale, upper, lower, W):
    """-price log E exp(-v / price)."""
    for i in range(P.shape[0]):
        p, price = P[i], prices[i]
        floor, _, _, _ = _lowest(p, v)
        total, log_mean, first = _moments(p, v, floor, 1.0 / price)
        divergence = -first / price - log_mean
        upper[i] = total * (floor + first + price * divergence)
        lower[i] = total * (floor - price * log_mean)
        _tilt(p, v, floor, 1.0 / price, W, i)


@strict_kernel
def _level(p, v, order, total, radius, price):
    """Return (k, y, q, first, whether k is last): weights are (y + v(order[k]) - v)_+ up to the next value.

    q is the mass of the states up to order[k], `first` the mean of their distances to v(order[k]) times
    q. With spread = q Var on these states, the weights have chi-square `radius` where
    (y + first / q)^2 = spread / (q ((1 + radius) q - 1)), and mean 2 price where y = (2 price - first) / q
    (price > 0 asks for this). All sums have positive terms, so nothing cancels where a nominal probability
    is tiny or the level close to a value.
    """
    last = 0
    for k in range(v.shape[0]):
        if p[order[k]] > 0.0:
            last = k
    q, first, spread, step, k = 0.0, 0.0, 0.0, 1.0, 0
    while True:
        s = order[k]
        weight = p[s] / total
        if weight > 0.0:
            distance = first / q if q > 0.0 else 0.0
            spread += distance * distance * weight * q / (q + weight)
            q += weight
        if k == last:
            break
        step = v[order[k + 1]] - v[s]
        moved = first + q * step
        if step > 0.0 and q > 0.0:
            excess = (1.0 + radius) * q - 1.0
            found = moved >= 2.0 * price if price > 0.0 else moved * (moved * excess / q) >= spread
            if found:
                break
        first = moved
        k += 1
    if price > 0.0:
        return k, max((2.0 * price - first) / q, 0.0), q, first, k == last
    if first <= 0.0:
        return k, step, q, first, k == last  # only the lowest states, whatever the level
    excess = (1.0 + radius) * q - 1.0 if k < last else radius
    missing = spread - first * (first * excess / q)
    if missing <= 0.0:
        return k, 0.0, q, first, k == last
    slope = first * excess
    # The root of slope^2 + q excess missing, whose terms may be too small for a float.
    root = math.hypot(slope, math.sqrt(q * excess) * math.sqrt(missing))
    y = missing / (slope + root)
    return k, y, q, first, k == last


@strict_kernel
def _weighted(p, v, base, y, floor, total, W, i):
    """Return E (v - floor) under p (y + base - v)_+, rescaled; write that row into W[i]."""
    mass, value = 0.0, 0.0
    for s in range(v.shape[0]):
        if p[s] > 0.0 and v[s] <= base:
            weight = p[s] * (y + (base - v[s]))
            mass += weight
            value += weight * (v[s] - floor)
    if W.shape[0] > 0:
        for s in range(v.shape[0]):
            inside = p[s] > 0.0 and v[s] <= base
            W[i, s] = p[s] * (y + (base - v[s])) / mass * total if inside else 0.0
    return value / mass


@strict_kernel
def chi_square(P, v, order, radii, scale, upper, lower, W):
    """Weights proportional to (a - v)_+ with chi-square = radius: closed form between two values.

    Dual: E min(v, a) - sqrt(radius Var min(v, a)).
    """
    S = v.shape[0]
    for i in range(P.shape[0]):
        p, radius = P[i], radii[i]
        floor, mass, total, others = _lowest(p, v)
        if not others or radius <= 0.0:
            value = 0.0
            for s in range(S):
                value += p[s] * v[s]
            upper[i], lower[i] = value, value
            _copy(p, W, i)
            continue
        if (1.0 + radius) * mass >= total:
            upper[i], lower[i] = total * floor, total * floor
            _keep_lowest(p, v, floor, mass, total, W, i)
            continue
        k, y, _, _, last = _level(p, v, order, total, radius, 0.0)
        base = v[order[k]]
        upper[i] = total * (floor + _weighted(p, v, base, y, floor, total, W, i))
        # min(v, a) is a less the weights; a level beyond all values is as good at the highest of them.
        y = 0.0 if last else y
        mean, variance = 0.0, 0.0
        for s in range(S):
            mean += p[s] / total * max(y + (base - v[s]), 0.0)
        for s in range(S):
            variance += p[s] / total * (max(y + (base - v[s]), 0.0) - mean) ** 2
        spread = math.sqrt(radius) * math.sqrt(variance)
        lower[i] = total * (base + y - mean - spread)


@strict_kernel
def chi_square_penalty(P, v, order, prices, scale, upper, lower, W):
    """Weights p0 (a - v)_+ / (2 price) with total one: closed form between two values.

    Dual: x - E k(x - v), k(x) = x + x^2 / (4 price) above -2 price and -price below, at x = a - 2 price.
    """
    S = v.shape[0]
    for i in range(P.shape[0]):
        p, price = P[i], prices[i]
        floor, _, total, _ = _lowest(p, v)
        k, y, q, first, _ = _level(p, v, order, total, 0.0, price)
        base, rest = v[order[k]], 0.0
        for s in range(S):
            if v[s] > base:
                rest += p[s] / total
        value = _weighted(p, v, base, y, floor, total, W, i)
        # a - 2 price, without the difference of two large prices.
        level = base - floor - first / q + 2.0 * price * (rest / q)
        value += price * rest
        dual = level
        for s in range(S):
            x = level - (v[s] - floor)
            dual -= p[s] / total * (x + x * x / (4.0 * price) if x >= -2.0 * price else -price)
            if v[s] <= base:
                value += p[s] / total * (x / (2.0 * price)) * x / 2.0
        upper[i], lower[i] = total * (floor + value), total * (floor + dual)


@kernel
def transport(P, v, nearest, cost, radii, upper, lower, W):
    """Spend the radius on the moves that lower the value most per unit of cost.

    From each source the useful targets are the decreasing part of the lower convex hull of the points
    (cost, value); `nearest[s]` sorts the targets of s by cost. Dual, for the price x of the last move:
    sum_s p(s) min_t (v(t) + x cost(s, t)) - x radius.
    """
    S = v.shape[0]
    prices, lengths = np.empty(S * S), np.empty(S * S)
    source, target = np.empty(S * S, dtype=np.int64), np.empty(S * S, dtype=np.int64)
    ranking, other = np.empty(S * S, dtype=np.int64), np.empty(S * S, dtype=np.int64)
    hull = np.empty((S, S), dtype=np.int64)
    size = np.empty(S, dtype=np.int64)
    for s in range(S):
        size[s] = _hull(cost[s], v, nearest[s], hull[s])
    for i in range(P.shape[0]):
        p = P[i]
        moves = 0
        value = 0.0
        if W.shape[0] > 0:
            for s in range(S):
                W[i, s] = 0.0
        for s in range(S):
            if p[s] <= 0.0:
                continue
            value += p[s] * v[hull[s, 0]]
            if W.shape[0] > 0:
                W[i, hull[s, 0]] += p[s]
            for k in range(1, size[s]):
                a, b = hull[s, k - 1], hull[s, k]
                prices[moves] = (v[a] - v[b]) / (cost[s, b] - cost[s, a])
                lengths[moves] = p[s] * (cost[s, b] - cost[s, a])
                source[moves], target[moves] = s, k
                moves += 1
        sort_indices(prices[:moves], -1.0, ranking, other)
        left, price = radii[i], 0.0
        for k in range(moves):
            m = ranking[k]
            if left <= 0.0:
                break
            price = prices[m]
            spent = min(lengths[m], left)
            share = spent / lengths[m] if lengths[m] > 0.0 else 1.0
            left -= spent
            s = source[m]
            a, b = hull[s, target[m] - 1], hull[s, target[m]]
            value -= share * p[s] * (v[a] - v[b])
            if W.shape[0] > 0:
                W[i, a] = max(W[i, a] - share * p[s], 0.0)
                W[i, b] += share * p[s]
        if left > 0.0:
            price = 0.0
        upper[i] = value
        lower[i] = _transport_dual(p, v, cost, price) - price * radii[i]
        if radii[i] <= 0.0:
            lower[i] = value


@kernel
def _hull(cost, v, nearest, hull):
    """Fill `hull` with the decreasing part of the lower convex hull; return its length."""
    n = 0
    for k in range(v.shape[0]):
        t = nearest[k]
        if n == 0 or (cost[t] <= 0.0 and v[t] < v[hull[0]]):
            hull[0], n = t, 1
            continue
        if v[t] >= v[hull[n - 1]]:
            continue
        if cost[t] <= cost[hull[n - 1]]:
            n -= 1
        while n >= 2:
            a, b = hull[n - 2], hull[n - 1]
            if (v[a] - v[b]) * (cost[t] - cost[a]) >= (v[a] - v[t]) * (cost[b] - cost[a]):
                break
            n -= 1
        hull[n] = t
        n += 1
    return n


@kernel
def _transport_dual(p, v, cost, price):
    total = 0.0
    for s in range(v.shape[0]):
        if p[s] > 0.0:
            best = v[s]
            for t in range(v.shape[0]):
                best = min(best, v[t] + price * cost[s, t])
            total += p[s] * best
    return total


@kernel
def transport_penalty(P, v, nearest, cost, prices, upper, lower, W):
    """sum_s p(s) min_t (v(t) + price cost(s, t))."""
    for i in range(P.shape[0]):
        if W.shape[0] > 0:
            for s in range(v.shape[0]):
                W[i, s] = 0.0
            for s in range(v.shape[0]):
                best, chosen = v[s], s
                for t in range(v.shape[0]):
                    if v[t] + prices[i] * cost[s, t] < best:
                        best, chosen = v[t] + prices[i] * cost[s, t], t
                W[i, chosen] += P[i, s]
        upper[i] = _transport_dual(P[i], v, cost, prices[i])
        lower[i] = upper[i]
