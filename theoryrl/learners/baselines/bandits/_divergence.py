"""The arm with the largest KL index, without computing the indices of all arms.

The index of an arm with n pulls and mean m is the largest q >= m with n kl(m, q) <= budget. So it is below
a number q exactly if m < q and n kl(m, q) > budget, and with the negative entropy of the arm kept, that
costs two products once log q and log(1 - q) are known. A number that lies below the index of one arm and
above those of all others names the arm to pull; it serves for many rounds, because indices move slowly.
"""

import math

from theoryrl._numba import inlined_kernel, strict_kernel
from theoryrl.learners.baselines.bandits._search import largest

NEWTON_STEPS = 100
MARGIN = 1e-9
"""Relative excess of a divergence over the budget that rounding cannot make up for."""

ROUNDING = 1e-14
"""The same for the terms of a divergence, per pull: they cancel."""


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
    entropy = p * math.log(p) if p > 0 else 0.0
    q = min(p + math.sqrt(0.5 * budget), 1 - (1 - p) * math.exp((entropy - budget) / (1 - p)))
    for _ in range(NEWTON_STEPS):
        if q >= 1:
            return 1.0
        following = q - (bernoulli_kl(p, q) - budget) * q * (1 - q) / (q - p)
        if not p < following < q:
            return q
        q = following
    return q


@strict_kernel
def mean_of(n, s):
    """Mean reward, within [0, 1] whatever the rounding of the sum."""
    return min(1.0, max(0.0, s / n))


@strict_kernel
def negentropy(n, s):
    """n (m log m + (1 - m) log(1 - m)), m the mean: what n kl(m, q) has that does not depend on q."""
    m = mean_of(n, s)
    value = n * m * math.log(m) if m > 0 else 0.0
    return value + n * (1 - m) * math.log(1 - m) if m < 1 else value


@strict_kernel
def search(n, s, budget, guess):
    """Arm with the largest KL index, the first one of equals, and its index."""
    best = guess
    top = kl_upper(mean_of(n[guess], s[guess]), budget / n[guess])
    for i in range(n.shape[0]):
        mean, share = mean_of(n[i], s[i]), budget / n[i]
        # Pinsker's inequality bounds the index without a logarithm.
        if i == guess or mean + math.sqrt(0.5 * share) < top - 1e-14:
            continue
        # The slack is more than rounding, so that equal arms are both searched, and the first one wins.
        if mean <= top and bernoulli_kl(mean, top) > (1 + MARGIN) * share + 1e-14:
            continue
        index = kl_upper(mean, share)
        if index > top or (index == top and i < best):
            best, top = i, index
    return best, top


@inlined_kernel
def excess(n, s, entropies, q, values):
    """Fill values with minus the budgets at which the indices are q; return how rounding adds to them."""
    log_q, log_rest = math.log(q), math.log1p(-q)
    for i in range(n.shape[0]):
        spent = entropies[i] - s[i] * log_q - (n[i] - s[i]) * log_rest
        values[i] = -spent if s[i] < q * n[i] else 0.0
    return ROUNDING * (1 - log_q - log_rest)


@inlined_kernel
def separates(n, s, entropies, rounds, budget, arm, q, values):
    """Whether q is certainly below the KL index of the arm and above those of all others.

    `rounds` is the number of pulls of all arms.
    """
    certain = False
    if 0 < q < 1:
        slack = MARGIN * budget + excess(n, s, entropies, q, values) * rounds
        mine = -values[arm]
        values[arm] = -math.inf
        certain = mine <= budget - slack and -largest(values) > budget + slack
    return certain


@strict_kernel
def search_and_separate(n, s, entropies, budget, guess, values):
    """Arm with the largest KL index, the first one of equals, and a number that may separate it.

    Before that each arm once; a separator of 0 keeps the search going.
    """
    for i in range(n.shape[0]):
        if n[i] == 0:
            return i, 0.0
    best, top = search(n, s, budget, guess)
    if not 0 < top < 1:
        return best, 0.0
    excess(n, s, entropies, top, values)
    values[best] = -math.inf
    second = 0
    for i in range(1, n.shape[0]):
        if values[i] > values[second]:
            second = i
    return best, 0.5 * (top + kl_upper(mean_of(n[second], s[second]), budget / n[second]))
