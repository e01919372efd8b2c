"""Choosing an arm and learning from its reward, for every rule: one round, or a block of rounds.

A state has one row per context bin (one row without contexts): `n` pulls, `s` what the rule sums up
(rewards, or importance-weighted losses), `clock` rounds seen and their summed losses, `p` the
probabilities of the latest choice. Rewards are scaled to [0, 1] by `low` and `width`.
"""

import math

from theoryrl._numba import strict_kernel

UCB1, KL_UCB, THOMPSON, THOMPSON_GAUSS, EXP3, TSALLIS = range(6)
RATE, PERIODIC, ESTIMATOR, SCALE = range(4)
NEWTON_STEPS = 100


@strict_kernel
def first_largest(values):
    """Index of the largest entry, the first one of equals."""
    best = 0
    for i in range(1, values.shape[0]):
        if values[i] > values[best]:
            best = i
    return best


@strict_kernel
def draw(p, rng):
    """Arm i with probability p[i]; p may be off one by rounding."""
    total = 0.0
    for i in range(p.shape[0]):
        total += p[i]
    u, run = rng.random() * total, 0.0
    for i in range(p.shape[0]):
        run += p[i]
        if u < run:
            return i
    return first_largest(p)


@strict_kernel
def bernoulli_kl(p, q):
    """KL divergence of Bernoulli laws, 0 log 0 = 0."""
    value = 0.0
    if p > 0:
        value = math.inf if q <= 0 else value + p * math.log(p / q)
    if p < 1:
        value = math.inf if q >= 1 else value + (1 - p) * math.log((1 - p) / (1 - q))
    return value


@strict_kernel
def kl_upper(p, budget):
    """Largest q >= p with kl(p, q) <= budget.

    kl is convex and increasing in q >= p, so Newton's steps descend to the root from any point above it;
    Pinsker's inequality gives one, and q <= 1 in the first logarithm another.
    """
    if p >= 1 or budget <= 0:
        return p
    negentropy = p * math.log(p) if p > 0 else 0.0
    q = min(p + math.sqrt(0.5 * budget), 1 - (1 - p) * math.exp((negentropy - budget) / (1 - p)))
    for _ in range(NEWTON_STEPS):
        if q >= 1:
            return 1.0
        following = q - (bernoulli_kl(p, q) - budget) * q * (1 - q) / (q - p)
        if not p < following < q:
            return q
        q = following
    return q


@strict_kernel
def tsallis_probabilities(L, eta, p):
    """Fill p with the minimiser of <L, p> - (4 / eta) sum_i sqrt(p_i) over the simplex; return the steps.

    p_i = 4 / (eta (L_i - x))^2 with x < min L such that they sum to one. The sum is convex and increasing in
    x, and at least one at the start, so Newton's steps descend to the root without passing it.
    """
    least = L.min()
    x = -2.0 / eta
    for step in range(NEWTON_STEPS):
        total, slope = 0.0, 0.0
        for i in range(L.shape[0]):
            root = 2.0 / (eta * (L[i] - least - x))
            p[i] = root * root
            total += p[i]
            slope += p[i] * root
        following = x - (total - 1.0) / (eta * slope)
        if not following < x:
            return step
        x = following
    return NEWTON_STEPS


@strict_kernel
def exponential_weights(L, eta, p):
    """Fill p with probabilities proportional to exp(-eta L)."""
    least, total = L.min(), 0.0
    for i in range(L.shape[0]):
        p[i] = math.exp(-eta * (L[i] - least))
        total += p[i]
    for i in range(L.shape[0]):
        p[i] /= total


@strict_kernel
def learning_rate(parameters, t):
    """The rate of round t = 1, 2, ...: fixed, or decreasing like 1 / sqrt(t)."""
    return parameters[RATE] if parameters[PERIODIC] == 0 else parameters[RATE] / math.sqrt(t)


@strict_kernel
def certain(arm, p):
    """Return the arm, and say in p that it is not random."""
    p[:] = 0.0
    p[arm] = 1.0
    return arm


@strict_kernel
def largest_kl_index(n, s, budget, guess):
    """Arm with the largest KL index, the first one of equals; only arms that could have it are searched."""
    best = guess
    mean = min(1.0, max(0.0, s[guess] / n[guess]))
    top = kl_upper(mean, budget / n[guess])
    for i in range(n.shape[0]):
        mean, share = min(1.0, max(0.0, s[i] / n[i])), budget / n[i]
        # Pinsker's inequality bounds the index without a logarithm.
        if i == guess or mean + math.sqrt(0.5 * share) < top - 1e-14:
            continue
        # The slack is more than rounding, so that equal arms are both searched, and the first one wins.
        if mean <= top and bernoulli_kl(mean, top) > (1 + 1e-9) * share + 1e-14:
            continue
        index = kl_upper(mean, share)
        if index > top or (index == top and i < best):
            best, top = i, index
    return best


@strict_kernel
def choose(rule, parameters, n, s, clock, p, rng):
    """Arm of the coming round; p becomes its probabilities (one for an arm that is not random)."""
    K, t = n.shape[0], clock[0] + 1
    if rule == EXP3:
        exponential_weights(s, learning_rate(parameters, t), p)
        return draw(p, rng)
    if rule == TSALLIS:
        eta = learning_rate(parameters, t)
        if parameters[SCALE] == 1 and clock[1] > 0:
            # The released code minimises over L / K_t; the same as eta / K_t with the losses as they are.
            eta *= clock[0] / clock[1]
        tsallis_probabilities(s, eta, p)
        return draw(p, rng)
    if rule == THOMPSON:
        for i in range(K):
            p[i] = rng.beta(1.0 + s[i], 1.0 + n[i] - s[i])
        return certain(first_largest(p), p)
    if clock[0] < K:
        return certain(int(clock[0]), p)
    if rule == KL_UCB:
        log_t = math.log(t - 1)
        budget = log_t + (parameters[RATE] * math.log(log_t) if log_t > 1 else 0.0)
        return certain(largest_kl_index(n, s, budget, first_largest(p)), p)
    if rule == UCB1:
        spread = 8 * parameters[RATE] ** 2 * math.log(t - 1)
        for i in range(K):
            p[i] = s[i] / n[i] + math.sqrt(spread / n[i])
    else:
        for i in range(K):
            p[i] = s[i] / n[i] + parameters[RATE] / math.sqrt(n[i]) * rng.standard_normal()
    return certain(first_largest(p), p)


@strict_kernel
def learn(rule, parameters, n, s, clock, p, arm, x, rng):
    """Take in the reward x of an arm, scaled to [0, 1] where rewards are bounded."""
    n[arm] += 1
    clock[0] += 1
    clock[1] += 1 - x
    if rule == THOMPSON:
        # A reward between 0 and 1 counts as a success with that probability (Agrawal and Goyal 2012).
        s[arm] += 1.0 if (x >= 1 or (x > 0 and rng.random() < x)) else 0.0
    elif rule in (EXP3, TSALLIS):
        loss = 1 - x
        if rule == TSALLIS and parameters[ESTIMATOR] == 1:
            # Reduced variance: losses are estimated as deviations from 1/2 where p is not tiny.
            eta = learning_rate(parameters, clock[0])
            for i in range(n.shape[0]):
                if p[i] >= eta * eta:
                    s[i] += 0.5
            base = 0.5 if p[arm] >= eta * eta else 0.0
            s[arm] += (loss - base) / p[arm]
        else:
            s[arm] += loss / p[arm]
    else:
        s[arm] += x


@strict_kernel
def bin_of(context, first, width, bins):
    """Bin of a context; the last one includes its right end."""
    return min(bins - 1, max(0, int((context - first) / width))) if bins > 1 else 0


@strict_kernel
def choose_arm(rule, parameters, row, n, s, clock, p, rng):
    """One choice, for learners that play round by round."""
    return choose(rule, parameters, n[row], s[row], clock[row], p, rng)


@strict_kernel
def learn_reward(rule, parameters, row, n, s, clock, p, arm, x, rng):
    """One reward, for learners that play round by round."""
    learn(rule, parameters, n[row], s[row], clock[row], p, arm, x, rng)


@strict_kernel
def play_block(rule, parameters, scale, bins, n, s, clock, p, rewards, contexts, rng, arms, chances):
    """Play the rows of `rewards`; return the first round whose reward is outside its range, else -1."""
    low, width, bounded = scale
    for t in range(rewards.shape[0]):
        row = bin_of(contexts[t], bins[0], bins[1], n.shape[0])
        arm = choose(rule, parameters, n[row], s[row], clock[row], p, rng)
        arms[t], chances[t] = arm, p[arm]
        x = (rewards[t, arm] - low) / width
        if bounded and not 0 <= x <= 1:
            return t
        learn(rule, parameters, n[row], s[row], clock[row], p, arm, x, rng)
    return -1
