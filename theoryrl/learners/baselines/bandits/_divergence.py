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
from theoryrl.learners.baselines.bandits._clock import (
    CHANCE,
    LEADER,
    LOG_CHANCE,
    OTHERS,
    ROUNDS,
    SEPARATOR,
)

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
    entropy += (1 - p) * math.log1p(-p)
    for _ in range(NEWTON_STEPS):
        q = chance(z)
        excess = entropy - p * math.log(q) + (1 - p) * z - share
        following = z - excess * q / (q - p)
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
def spent(n, s, entropy, q, log_q, z):
    """Budget at which the depth of an arm is z, 0 if its mean is not below q = 1 - exp(-z)."""
    return entropy - s * log_q + (n - s) * z if s < q * n else 0.0


@strict_kernel
def search(n, s, entropies, budget, guess):
    """Arm with the largest KL index, the first one of equals, and its depth."""
    best, top = guess, depth(mean_of(n[guess], s[guess]), budget / n[guess])
    q = chance(top)
    log_q = math.log(q)
    for i in range(n.shape[0]):
        # The slack is more than rounding, so that equal arms are both searched, and the first one wins.
        slack = MARGIN * budget + ROUNDING * (1 - log_q + top) * n[i]
        if i == guess or spent(n[i], s[i], entropies[i], q, log_q, top) > budget + slack:
            continue
        index = depth(mean_of(n[i], s[i]), budget / n[i])
        if index > top or (index == top and i < best):
            best, top, q = i, index, chance(index)
            log_q = math.log(q)
    return best, top


@strict_kernel
def least_spent(n, s, entropies, arm, z):
    """Least budget at which the depth of an arm, except for one, is z; and that arm."""
    q, least, first = chance(z), math.inf, arm
    log_q = math.log(q)
    for i in range(n.shape[0]):
        if i != arm:
            needed = spent(n[i], s[i], entropies[i], q, log_q, z)
            if needed < least:
                least, first = needed, i
    return least, first


@inlined_kernel
def separates(n, s, entropy, budget, clock):
    """Whether the separator is certainly below the depth of the leader and above those of all others.

    n, s and entropy are the leader's. Rounding adds up over at most as many pulls as there were rounds.
    """
    certain = False
    z, log_q = clock[SEPARATOR], clock[LOG_CHANCE]
    if z > 0:
        slack = MARGIN * budget + ROUNDING * (1 - log_q + z) * clock[ROUNDS]
        mine = spent(n, s, entropy, clock[CHANCE], log_q, z)
        certain = mine <= budget - slack and clock[OTHERS] > budget + slack
    return certain


@strict_kernel
def keep_separator(n, s, entropies, arm, z, clock):
    """Separate an arm from the others by the depth z."""
    clock[LEADER], clock[SEPARATOR], clock[CHANCE] = arm, z, chance(z)
    clock[LOG_CHANCE] = math.log(clock[CHANCE])
    clock[OTHERS] = least_spent(n, s, entropies, arm, z)[0]


@strict_kernel
def distance(gap, ratio):
    """How far below the leader's depth to put the separator, when the next depth is `gap` below.

    The leader's depth is a random walk, and loses c in about c^2 / variance rounds; the next one grows with
    log t, and gains gap - c in (gap - c) / speed rounds. The c at which both are equal.
    """
    return 2 * gap / (1 + math.sqrt(1 + 4 * gap / ratio))


@strict_kernel
def search_and_separate(n, s, entropies, budget, clock):
    """Arm with the largest KL index, the first one of equals; and keep a depth that may separate it.

    Before that each arm once; a separator of 0 keeps the search going.
    """
    clock[SEPARATOR] = 0.0
    for i in range(n.shape[0]):
        if n[i] == 0:
            return i
    arm, top = search(n, s, entropies, budget, int(clock[LEADER]))
    clock[LEADER] = arm
    if 0 < top < math.inf:
        second = least_spent(n, s, entropies, arm, top)[1]
        mean = mean_of(n[second], s[second])
        other, q = depth(mean, budget / n[second]), chance(top)
        variance = q / (math.exp(-top) * n[arm] * n[arm])
        speed = q / (n[second] * (q - mean) * clock[ROUNDS])
        keep_separator(n, s, entropies, arm, top - distance(top - other, variance / speed), clock)
    return arm
