"""The arm with the largest KL index, without computing the indices of all arms.

The index of an arm with n pulls and mean m is the largest q >= m with n kl(m, q) <= budget. Where means are
near 1 all indices round to 1, so that an index is kept as its depth, z = -log(1 - q), which grows with q and
rounds nowhere. An index is below q exactly if m < q and n kl(m, q) > budget, and with the negative entropy
of the arm kept, that costs two products once log q and log(1 - q) = -z are known. A depth that lies below
that of one arm and above those of all others names the arm to pull; it serves for many rounds, because
indices move slowly.
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
def chance(z):
    """Return q = 1 - exp(-z)."""
    return -math.expm1(-z)


@strict_kernel
def divergence(p, z):
    """KL divergence of Bernoulli laws with chances p and 1 - exp(-z), 0 log 0 = 0."""
    value = 0.0
    if p > 0:
        value = math.inf if z <= 0 else p * (math.log(p) - math.log(chance(z)))
    if p < 1:
        value += (1 - p) * (math.log1p(-p) + z)
    return value


@strict_kernel
def depth(p, share):
    """Largest z with a divergence of at most `share`: the KL index is 1 - exp(-z).

    The divergence is convex in z and increases from z = -log(1 - p), with slope (q - p) / q. So Newton steps
    descend to the root from any point above it; q <= 1 in the first logarithm gives one, and Pinsker's
    inequality another.
    """
    if p >= 1:
        return math.inf
    least = -math.log1p(-p)
    if share <= 0:
        return least
    entropy = p * math.log(p) if p > 0 else 0.0
    z, pinsker = least + (share - entropy) / (1 - p), p + math.sqrt(0.5 * share)
    if pinsker < 1:
        z = min(z, -math.log1p(-pinsker))
    for _ in range(NEWTON_STEPS):
        q = chance(z)
        following = z - (divergence(p, z) - share) * q / (q - p)
        if not least < following < z:
            return z
        z = following
    return z


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
    """Arm with the largest KL index, the first one of equals, and its depth."""
    best = guess
    top = depth(mean_of(n[guess], s[guess]), budget / n[guess])
    q = chance(top)
    for i in range(n.shape[0]):
        mean, share = mean_of(n[i], s[i]), budget / n[i]
        # Pinsker's inequality bounds the index without a logarithm.
        if i == guess or mean + math.sqrt(0.5 * share) < q - 1e-14:
            continue
        # The slack is more than rounding, so that equal arms are both searched, and the first one wins.
        if mean <= q and divergence(mean, top) > (1 + MARGIN) * share + 1e-14:
            continue
        index = depth(mean, share)
        if index > top or (index == top and i < best):
            best, top, q = i, index, chance(index)
    return best, top


@inlined_kernel
def excess(n, s, entropies, z, values):
    """Fill values with minus the budgets at which the depths are z; return how rounding adds to them."""
    q = chance(z)
    log_q = math.log(q)
    for i in range(n.shape[0]):
        spent = entropies[i] - s[i] * log_q + (n[i] - s[i]) * z
        values[i] = -spent if s[i] < q * n[i] else 0.0
    return ROUNDING * (1 - log_q + z)


@inlined_kernel
def separates(n, s, entropies, rounds, budget, arm, z, values):
    """Whether z is certainly below the depth of the arm and above those of all others.

    `rounds` is the number of pulls of all arms.
    """
    certain = False
    if 0 < z < math.inf:
        slack = MARGIN * budget + excess(n, s, entropies, z, values) * rounds
        mine = -values[arm]
        values[arm] = -math.inf
        certain = mine <= budget - slack and -largest(values) > budget + slack
    return certain


@strict_kernel
def search_and_separate(n, s, entropies, budget, guess, values):
    """Arm with the largest KL index, the first one of equals, and a depth that may separate it.

    Before that each arm once; a separator of 0 keeps the search going.
    """
    for i in range(n.shape[0]):
        if n[i] == 0:
            return i, 0.0
    best, top = search(n, s, budget, guess)
    if not 0 < top < math.inf:
        return best, 0.0
    excess(n, s, entropies, top, values)
    values[best] = -math.inf
    second = 0
    for i in range(1, n.shape[0]):
        if values[i] > values[second]:
            second = i
    return best, 0.5 * (top + depth(mean_of(n[second], s[second]), budget / n[second]))
