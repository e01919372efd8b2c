"""Compiled recursions over the stages of an episodic MDP.

One backup serves them all: `expected_next` computes (P_h V)(s, a) = sum_s' P_h(s' | s, a) V(s').
"""

import numpy as np

from theoryrl._numba import kernel


@kernel
def expected_next(P_h, V, out):
    """Write (P_h V)(s, a) into out[s, a]."""
    S, A, T = P_h.shape
    for s in range(S):
        for a in range(A):
            total = 0.0
            for t in range(T):
                total += P_h[s, a, t] * V[t]
            out[s, a] = total


@kernel
def first_maximum(row, tolerance):
    """Return the lowest index whose entry is within `tolerance` of the maximum."""
    best = row[0]
    for a in range(1, row.shape[0]):
        best = max(best, row[a])
    for a in range(row.shape[0]):
        if row[a] >= best - tolerance:
            return a
    return 0


@kernel
def optimal_values(P, r, tolerance, Q, V, actions):
    """Backward induction: fill Q[h, s, a], V[h, s] = max_a Q, and the greedy actions[h, s].

    V has H + 1 layers, the last of which holds the terminal value.
    """
    H, S, A = r.shape
    for h in range(H - 1, -1, -1):
        expected_next(P[h], V[h + 1], Q[h])
        for s in range(S):
            for a in range(A):
                Q[h, s, a] += r[h, s, a]
            greedy = first_maximum(Q[h, s], tolerance)
            actions[h, s] = greedy
            V[h, s] = Q[h, s].max()


@kernel
def policy_values(P, r, pi, Q, V):
    """Fill Q[h, s, a] and V[h, s] of the Markov policy pi[h, s, a]; V[H] is the terminal value."""
    H, S, A = r.shape
    for h in range(H - 1, -1, -1):
        expected_next(P[h], V[h + 1], Q[h])
        for s in range(S):
            total = 0.0
            for a in range(A):
                Q[h, s, a] += r[h, s, a]
                total += pi[h, s, a] * Q[h, s, a]
            V[h, s] = total


@kernel
def state_values(P, r, pi, V):
    """Fill V[h, s] of pi[h, s, a] without its action values: actions of probability 0 cost nothing."""
    H, S, A = r.shape
    for h in range(H - 1, -1, -1):
        for s in range(S):
            total = 0.0
            for a in range(A):
                weight = pi[h, s, a]
                if weight > 0.0:
                    inner = r[h, s, a]
                    for t in range(S):
                        inner += P[h, s, a, t] * V[h + 1, t]
                    total += weight * inner
            V[h, s] = total


@kernel
def deterministic_start_value(P, r, rho, actions):
    """Return rho . V_0 of the deterministic policy actions[h, s]."""
    H, S, _ = r.shape
    V = np.zeros(S)
    W = np.zeros(S)
    for h in range(H - 1, -1, -1):
        for s in range(S):
            a = actions[h, s]
            total = 0.0
            for t in range(S):
                total += P[h, s, a, t] * V[t]
            W[s] = total + r[h, s, a]
        V, W = W, V
    start = 0.0
    for s in range(S):
        start += rho[s] * V[s]
    return start


@kernel
def start_value(P, r, rho, pi):
    """Return rho . V_0 of the Markov policy pi[h, s, a]."""
    H, S, _ = r.shape
    V = np.zeros((H + 1, S))
    state_values(P, r, pi, V)
    total = 0.0
    for s in range(S):
        total += rho[s] * V[0, s]
    return total


@kernel
def occupancies(P, pi, rho, d):
    """Fill d[h, s, a] = Pr(s_h = s, a_h = a) under pi from s_0 ~ rho."""
    H, S, A = d.shape
    law = rho.copy()
    for h in range(H):
        following = np.zeros(S)
        for s in range(S):
            for a in range(A):
                mass = law[s] * pi[h, s, a]
                d[h, s, a] = mass
                if mass > 0.0:
                    for t in range(S):
                        following[t] += mass * P[h, s, a, t]
        law = following


@kernel
def draw(cumulative, u):
    """Return the first index whose cumulative probability exceeds u."""
    size = cumulative.shape[0]
    if size <= 16:
        for i in range(size):
            if u < cumulative[i]:
                return i
        return size - 1
    low, high = 0, size - 1
    while low < high:
        middle = (low + high) // 2
        if u < cumulative[middle]:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def reward_from_uniform(mean, noise, scale, u):
    """Return the observed reward of Bernoulli (1) or uniform (3) noise that the number u decides."""
    if noise == 1:
        return 1.0 if u < mean else 0.0
    return mean + scale * (2.0 * u - 1.0)


@kernel
def noisy_reward(mean, noise, scale, rng):
    """Return one observed reward; `noise` is the position in RewardNoise.KINDS."""
    if noise == 0:
        return mean
    if noise == 2:
        return mean + scale * rng.standard_normal()
    return reward_from_uniform(mean, noise, scale, rng.random())


@kernel
def simulate(
    cum_rho, cum_P, r, noise, scale, cum_pi, cum_weights, rng, coin, budget, states, actions, rewards
):
    """Play episodes of a mixture of M Markov policies until the buffers or the visit budget are full.

    `budget[h, s, a]` counts down with each visit (pass an array without entries for no budget); the
    last episode is the one in which an entry reaches zero. Per step one uniform number picks the
    action and one the next state, whatever the policy, so that two runs with equal decisions and
    equal seeds see equal trajectories. `coin` picks the mixture component and is not touched when
    M = 1. Returns (episodes played, whether the budget ran out).
    """
    M, H = cum_pi.shape[0], cum_pi.shape[1]
    limited = budget.size > 0
    spent = False
    for k in range(actions.shape[0]):
        m = draw(cum_weights, coin.random()) if M > 1 else 0
        s = draw(cum_rho, rng.random())
        for h in range(H):
            a = draw(cum_pi[m, h, s], rng.random())
            states[k, h] = s
            actions[k, h] = a
            rewards[k, h] = noisy_reward(r[h, s, a], noise, scale, rng)
            if limited:
                budget[h, s, a] -= 1
                if budget[h, s, a] <= 0:
                    spent = True
            s = draw(cum_P[h, s, a], rng.random())
        states[k, H] = s
        if spent:
            return k + 1, True
    return actions.shape[0], False


@kernel
def simulate_one(cum_rho, cum_P, r, noise, scale, policy, uniforms, states, actions, rewards):
    """Play one episode of the deterministic policy[h, s] with the draws that `simulate` would make.

    The uniform numbers are drawn by the caller (1 + 2 H, or 1 + 3 H with noise): a compiled call that
    receives a generator spends more time on unpacking it than on the episode.
    """
    H = policy.shape[0]
    i = 0
    s = draw(cum_rho, uniforms[i])
    for h in range(H):
        i += 2  # one number belongs to the choice of the action, which is not random here
        a = policy[h, s]
        states[0, h] = s
        actions[0, h] = a
        if noise == 0:
            rewards[0, h] = r[h, s, a]
        else:
            rewards[0, h] = reward_from_uniform(r[h, s, a], noise, scale, uniforms[i])
            i += 1
        s = draw(cum_P[h, s, a], uniforms[i])
    states[0, H] = s


@kernel
def count_transitions(states, actions, n, n_next):
    """Add the trajectories to the visit counts n[h, s, a] and n_next[h, s, a, s']."""
    K, H = actions.shape
    for k in range(K):
        for h in range(H):
            s, a = states[k, h], actions[k, h]
            n[h, s, a] += 1
            n_next[h, s, a, states[k, h + 1]] += 1


@kernel
def multinomial(n, weights, rng, out):
    """Draw the counts of n draws with the given probabilities, one binomial after the other."""
    left, mass = n, 1.0
    last = -1
    for i in range(weights.shape[0]):
        out[i] = 0
        if weights[i] > 0:
            last = i
    for i in range(last + 1):
        if left == 0:
            return
        if weights[i] > 0:
            # Rounding may bring the share to one, never the count above what is left.
            share = weights[i] / mass
            taken = left if i == last or share >= 1 else rng.binomial(left, share)
            out[i] = taken
            left -= taken
            mass -= weights[i]


@kernel
def add_counts(P, r, rho, bernoulli, pi, episodes, rng, counts, sums):
    """Add the transitions of independent episodes of pi to counts, and their rewards to sums."""
    H, S, A = r.shape
    state, following = np.empty(S, np.int64), np.empty(S, np.int64)
    played, moved = np.empty(A, np.int64), np.empty(S, np.int64)
    multinomial(episodes, rho, rng, state)
    for h in range(H):
        following[:] = 0
        for s in range(S):
            if state[s] == 0:
                continue
            multinomial(state[s], pi[h, s], rng, played)
            for a in range(A):
                if played[a] == 0:
                    continue
                multinomial(played[a], P[h, s, a], rng, moved)
                for t in range(S):
                    counts[h, s, a, t] += moved[t]
                    following[t] += moved[t]
                mean = r[h, s, a]
                if bernoulli:
                    sums[h, s, a] += played[a] if mean >= 1 else rng.binomial(played[a], mean)
                else:
                    sums[h, s, a] += played[a] * mean
        state[:] = following
