"""Compiled backups of s-rectangular L1 sets: one budget in each state for the rows of all actions.

Action a with row p and budget x has the value q_a(x) = r_a + gamma min { p' . v : ||p' - p||_1 <= x }, which
falls piecewise linearly: mass moves from the highest states to the lowest one, two units of budget for
one of mass. A *piece* is the part of that fall which empties one state.
"""

import math

import numpy as np

from theoryrl._numba import kernel
from theoryrl.solvers._sorting import sort_indices


@kernel
def _pieces(P, r, gamma, v, order, tops, floors, owner, state, rate, length):
    """Fill the pieces of all actions of one state, in each action's order; return how many there are.

    `tops` and `floors` receive q_a(0) and q_a(2); `rate` the fall per unit of budget.
    """
    A, S = P.shape
    sink = order[0]
    n = 0
    for a in range(A):
        mean, total = 0.0, 0.0
        for s in range(S):
            mean += P[a, s] * v[s]
            total += P[a, s]
        tops[a] = r[a] + gamma * mean
        floors[a] = r[a] + gamma * total * v[sink]
        for k in range(S - 1, 0, -1):
            s = order[k]
            fall = gamma * (v[s] - v[sink])
            if P[a, s] > 0.0 and fall > 0.0:
                owner[n], state[n], rate[n], length[n] = a, s, fall / 2.0, 2.0 * P[a, s]
                n += 1
    return n


@kernel
def best_response(P, r, gamma, v, order, kappa, pi, spent, W):
    """Minimise sum_a pi_a q_a(x_a) subject to sum_a x_a <= kappa: the steepest pieces first.

    Writes the budgets into `spent` and the worst rows into W (if it has rows). Returns (value, dual
    value).
    """
    A, S = P.shape
    tops, floors = np.empty(A), np.empty(A)
    owner, state = np.empty(A * S, dtype=np.int64), np.empty(A * S, dtype=np.int64)
    rate, length = np.empty(A * S), np.empty(A * S)
    n = _pieces(P, r, gamma, v, order, tops, floors, owner, state, rate, length)
    if W.shape[0] > 0:
        W[:] = P
    value = 0.0
    for a in range(A):
        value += pi[a] * tops[a]
        spent[a] = 0.0
    weight = np.empty(n)
    for m in range(n):
        weight[m] = pi[owner[m]] * rate[m]
    ranking, other = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    sort_indices(weight, -1.0, ranking, other)
    dual, left, price = value, kappa, 0.0
    for k in range(n):
        m = ranking[k]
        if left <= 0.0 or weight[m] <= 0.0:
            break
        take = min(length[m], left)
        price = weight[m]
        left -= take
        value -= take * weight[m]
        a = owner[m]
        spent[a] += take
        if W.shape[0] > 0:
            W[a, state[m]] -= take / 2.0
            W[a, order[0]] += take / 2.0
    if left > 0.0 or kappa <= 0.0:
        price = 0.0
    for m in range(n):
        if kappa > 0.0:
            dual -= max(0.0, weight[m] - price) * length[m]
    return value, dual - price * kappa


@kernel
def _level(tops, floors, n, owner, rate, length, kappa, policy):
    """Return the least u that the adversary can push all q_a down to, and write the maximin policy.

    The level sinks from the largest top; the budget for one unit of it is the sum of 1 / rate over the
    actions that are above. Pieces begin where those of the same action before them end.
    """
    start, inverse = np.empty(n), np.empty(n)
    height = tops.copy()
    for m in range(n):
        start[m] = height[owner[m]]
        height[owner[m]] -= rate[m] * length[m]
        inverse[m] = 1.0 / rate[m]
    floor = floors.max()
    ranking, other = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    sort_indices(start, -1.0, ranking, other)
    policy[:] = 0.0
    level, speed, left, k = tops.max(), 0.0, kappa, 0
    while level > floor and left > 0.0:
        while k < n and start[ranking[k]] >= level:
            m = ranking[k]
            speed += inverse[m] - policy[owner[m]]
            policy[owner[m]] = inverse[m]
            k += 1
        target = floor
        if k < n:
            target = max(floor, start[ranking[k]])
        cost = (level - target) * speed
        if cost > left:
            level -= left / speed
            left = 0.0
        else:
            level = target
            left -= cost
    if level <= floor:
        level = floor
        policy[:] = 0.0
        policy[np.argmax(floors)] = 1.0
    elif speed == 0.0:
        policy[np.argmax(tops)] = 1.0
    else:
        policy /= policy.sum()
    return level


@kernel
def state_budget(P, r, gamma, v, order, kappas, evaluate, pi, upper, lower, W):
    """Back v up in every state: for the policy pi, or for the best one, which is written into pi.

    For the best one, `upper` is the level to which the adversary can push all actions, `lower` what the
    policy guarantees; for a given policy the worst rows' value, and its dual.
    """
    S, A, T = P.shape
    tops, floors, spent = np.empty(A), np.empty(A), np.empty(A)
    owner, state = np.empty(A * T, dtype=np.int64), np.empty(A * T, dtype=np.int64)
    rate, length = np.empty(A * T), np.empty(A * T)
    nothing = np.empty((0, T))
    for s in range(S):
        level = math.inf
        if not evaluate:
            n = _pieces(P[s], r[s], gamma, v, order, tops, floors, owner, state, rate, length)
            level = _level(tops, floors, n, owner, rate, length, kappas[s], pi[s])
        rows = W[s] if W.shape[0] > 0 else nothing
        value, dual = best_response(P[s], r[s], gamma, v, order, kappas[s], pi[s], spent, rows)
        lower[s] = min(dual, value)
        upper[s] = value if evaluate else max(level, value)
