"""Compiled counting and planning of the optimistic and the posterior-sampling baselines.

UCBVI's next-state counts are floats with s' before the cell i = s A + a, n_next[h, s', i]: the sums
over s' of all cells of a stage then advance together, by contiguous multiply-adds.
"""

import numpy as np

from theoryrl._numba import kernel


@kernel
def record(states, actions, rewards, known, root, linear, n, n_next, means, inverse, base):
    """Add episodes to the counts, and refresh what planning needs of the visited cells.

    inverse = 1/n and base = mean reward + root / sqrt(n) + linear / n, the part of Q that depends on
    the cell's own count and rewards only. The means are learnt unless the rewards are `known`.
    Returns the position k H + h of the first reward that is to be learnt and outside [0, 1], else -1.
    """
    K, H = actions.shape
    A = n.shape[2]
    for k in range(K):
        for h in range(H):
            if not (known or 0.0 <= rewards[k, h] <= 1.0):
                return k * H + h
            s, a = states[k, h], actions[k, h]
            n[h, s, a] += 1
            n_next[h, states[k, h + 1], s * A + a] += 1.0
            share = 1.0 / n[h, s, a]
            if not known:
                means[h, s, a] += (rewards[k, h] - means[h, s, a]) * share
            inverse[h, s, a] = share
            base[h, s, a] = means[h, s, a] + root * np.sqrt(share) + linear * share
    return -1


@kernel
def greedy(q, actions, values):
    """Write the lowest maximiser actions[s] and the maximum values[s] of q[s, a].

    Returns whether an action differs from what `actions` held.
    """
    S, A = q.shape
    changed = False
    for s in range(S):
        best, top = 0, q[s, 0]
        for a in range(1, A):
            if q[s, a] > top:
                best, top = a, q[s, a]
        changed |= actions[s] != best
        actions[s] = best
        values[s] = top
    return changed


@kernel
def average(weights, values):
    """Return sum_i weights[i] values[i]."""
    total = 0.0
    for i in range(weights.shape[0]):
        total += weights[i] * values[i]
    return total


@kernel
def plan_hoeffding(rho, n_next, inverse, base, Q, V, actions):
    """Set Q_h <- min(Q_h, base + phat V_{h+1}) backwards; return (rho . V_0, actions changed).

    An unvisited cell has inverse = 0 and an infinite base, so that it keeps its first value.
    """
    H, S, A = Q.shape
    cells = S * A
    sums = np.empty(cells)
    changed = False
    for h in range(H - 1, -1, -1):
        sums[:] = 0.0
        for t in range(S):
            v = V[h + 1, t]
            for i in range(cells):
                sums[i] += v * n_next[h, t, i]
        q, share, start = Q[h].reshape(cells), inverse[h].reshape(cells), base[h].reshape(cells)
        for i in range(cells):
            q[i] = min(q[i], start[i] + share[i] * sums[i])
        changed |= greedy(Q[h], actions[h], V[h])
    return average(rho, V[0]), changed


@kernel
def plan_bernstein(rho, n_next, inverse, base, spread, carry, slack, Q, V, actions):
    """Set Q_h <- min(Q_h, base + phat V_{h+1} + b) backwards; return (rho . V_0, actions changed).

    b = spread sqrt(Var_phat(V_{h+1}) / n) + carry sqrt(sum_y phat(y) min(slack / N_{h+1}(y), H^2) / n),
    where N_{h+1}(y) is the number of arrivals in y.
    """
    H, S, A = Q.shape
    cells = S * A
    mean, square, cap = np.empty(cells), np.empty(cells), np.empty(cells)
    changed = False
    for h in range(H - 1, -1, -1):
        mean[:] = 0.0
        square[:] = 0.0
        cap[:] = 0.0
        for t in range(S):
            row = n_next[h, t]
            arrivals = row.sum()
            v = V[h + 1, t]
            excess = min(slack / arrivals, float(H * H)) if arrivals > 0.0 else 0.0
            for i in range(cells):
                mean[i] += v * row[i]
                square[i] += v * v * row[i]
                cap[i] += excess * row[i]
        q, share, start = Q[h].reshape(cells), inverse[h].reshape(cells), base[h].reshape(cells)
        for i in range(cells):
            m = share[i] * mean[i]
            variance = max(0.0, share[i] * square[i] - m * m)
            width = spread * np.sqrt(variance * share[i]) + carry * share[i] * np.sqrt(cap[i])
            q[i] = min(q[i], start[i] + m + width)
        changed |= greedy(Q[h], actions[h], V[h])
    return average(rho, V[0]), changed


@kernel
def count_successes(states, actions, rewards, rng, successes):
    """Add one Bernoulli(reward) draw per observed reward to successes[h, s, a].

    Returns the position k H + h of the first reward outside [0, 1], else -1.
    """
    K, H = actions.shape
    for k in range(K):
        for h in range(H):
            if not 0.0 <= rewards[k, h] <= 1.0:
                return k * H + h
            if rng.random() < rewards[k, h]:
                successes[h, states[k, h], actions[k, h]] += 1
    return -1


@kernel
def sample_kernel(n_next, prior, rng, P):
    """Draw each row P[h, s, a] from Dirichlet(prior + n_next[h, s, a])."""
    H, S, A, T = P.shape
    for h in range(H):
        for s in range(S):
            for a in range(A):
                total = 0.0
                for t in range(T):
                    draw = rng.standard_gamma(prior + n_next[h, s, a, t])
                    P[h, s, a, t] = draw
                    total += draw
                for t in range(T):
                    # All draws can underflow to zero when the prior is tiny; the mode is then as good.
                    P[h, s, a, t] = P[h, s, a, t] / total if total > 0.0 else 1.0 / T


@kernel
def sample_rewards(n, successes, prior, rng, r):
    """Draw each r[h, s, a] from Beta(prior + successes, prior + failures)."""
    H, S, A = n.shape
    for h in range(H):
        for s in range(S):
            for a in range(A):
                good = rng.standard_gamma(prior + successes[h, s, a])
                bad = rng.standard_gamma(prior + n[h, s, a] - successes[h, s, a])
                r[h, s, a] = good / (good + bad) if good + bad > 0.0 else 0.5


@kernel
def largest_mean(p, radius, order, V):
    """Return max q . V over the distributions q with |q(t) - p(t)| <= radius(t) for all t.

    `order` lists the states by decreasing V: every state starts from its lower limit, and the mass
    that is left fills the best ones up to their upper limits.
    """
    left = 1.0
    total = 0.0
    for t in range(p.shape[0]):
        low = max(0.0, p[t] - radius[t])
        left -= low
        total += low * V[t]
    for j in range(p.shape[0]):
        t = order[j]
        room = min(1.0, p[t] + radius[t]) - max(0.0, p[t] - radius[t])
        moved = max(0.0, min(left, room))
        total += moved * V[t]
        left -= moved
    return total


@kernel
def optimistic_policy_value(P_hat, radius, reward, rho, pi):
    """Return the largest value of pi[h, s, a] over all kernels in the box around P_hat."""
    H, S, A, _ = P_hat.shape
    V = np.zeros(S)
    for h in range(H - 1, -1, -1):
        order = np.argsort(-V)
        W = np.zeros(S)
        for s in range(S):
            for a in range(A):
                if pi[h, s, a] > 0.0:
                    following = largest_mean(P_hat[h, s, a], radius[h, s, a], order, V)
                    W[s] += pi[h, s, a] * (reward[h, s, a] + following)
        V = W
    return average(rho, V)
