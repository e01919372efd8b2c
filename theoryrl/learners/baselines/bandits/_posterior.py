"""Thompson's choice for Beta posteriors, without drawing from them in most rounds.

Only the arm of the largest draw matters. A separator x lies below nearly all draws of the arm with the most
pulls, the leader, and above nearly all draws of the others. As long as there is no exception, the leader is
chosen. Exceptions are found by thinning: beyond x the density f of another arm, log-concave, lies below the
exponential that touches it at x. With the mass m of that exponential beyond x, the arm's draw exceeds x if a
coin of probability m shows heads and a point drawn from the exponential is accepted with probability
f / exponential; the point is then the draw, given that it exceeds x. Otherwise the draw is somewhere below
x. The leader's draw below x is found in the same way, with x and the draw counted from 1 downwards.

The coins of all arms are one exponential variate E, spent from arm to arm: heads where E < -log(1 - m), else
E is reduced by that, and is as good as new. So where E exceeds a bound on the sum of these costs, which
changes by a few products when the leader is pulled, all coins show tails. The separator depends on the past
only, so that the law is exactly that of independent draws, wherever it lies; a bad one only costs time.
"""

import math

from theoryrl._numba import strict_kernel
from theoryrl.learners.baselines.bandits._clock import (
    DENSITY,
    EXPIRY,
    LEADER,
    MINE,
    OTHERS,
    PURSE,
    ROUNDS,
    SEPARATOR,
)

LIMIT = 0.25
"""Costs above which the arms are not well enough apart, and all draws are made."""
SAFE = 4 / 3 * (1 + 1e-6)
"""-log(1 - m) <= 4 m / 3 up to m = 1/4; the rest is for the rounding of up to 2^30 products."""
SMALLEST = 1e-200
"""The least that is kept of the leader's density."""
LONGEST = 2.0**30
"""Rounds after which the leader's density is computed anew."""


@strict_kernel
def log_normaliser(n, s):
    """Return -log B(1 + s, 1 + n - s), the constant of the posterior's log-density."""
    return math.lgamma(n + 2) - math.lgamma(s + 1) - math.lgamma(n - s + 1)


@strict_kernel
def most_pulled(n, leader, arm):
    """First arm with the most pulls, after a pull of `arm`; `leader` was the one before."""
    ahead = n[arm] > n[leader] or (n[arm] == n[leader] and arm < leader)
    return arm if ahead else leader


@strict_kernel
def beta(n, s, rng):
    """A draw from the posterior of n pulls with s successes."""
    return rng.beta(1.0 + s, 1.0 + n - s)


@strict_kernel
def log_density(x, n, s, normaliser):
    """Logarithm of the posterior's density at x."""
    return normaliser + s * math.log(x) + (n - s) * math.log1p(-x)


@strict_kernel
def mass_beyond(x, n, s, log_f):
    """Mass beyond x of the exponential that touches the density at x, where its logarithm is log_f."""
    rate, rest = (n - s) / (1 - x) - s / x, 1 - x
    width = rest if rate * rest < 1e-9 else -math.expm1(-rate * rest) / rate
    return math.exp(log_f) * width


@strict_kernel
def beyond(x, n, s, rng):
    """A draw from the posterior, its coin having shown heads: above x, or 0 for some point below."""
    rate, rest = (n - s) / (1 - x) - s / x, 1 - x
    u = rng.random()
    z = u * rest if rate * rest < 1e-9 else -math.log1p(u * math.expm1(-rate * rest)) / rate
    accepted = s * math.log1p(z / x) + (n - s) * math.log1p(-z / rest) + rate * z
    return x + z if math.log(rng.random()) <= accepted else 0.0


@strict_kernel
def largest_cost(x, n, s, density):
    """Upper bound on the cost -log(1 - m) of an arm's coin, where that is at most 1/4; else more than 1/4.

    The mass m is at most f / slope, with the density f and its slope of the logarithm at x; so the bound is
    infinite where the density does not fall.
    """
    falls = n * x - s
    return SAFE * density * x * (1 - x) / falls if falls > 0 else math.inf


@strict_kernel
def change_of_density(x, n, s, success):
    """Factor on the density at x by a success or a failure, after which there were n pulls, s successes."""
    return (n + 1) * (x / s if success == 1 else (1 - x) / (n - s))


@strict_kernel
def cost_of(x, n, s, normaliser):
    """Upper bound on the cost of an arm's coin, as `largest_cost`, from the constant of the density."""
    return largest_cost(x, n, s, math.exp(log_density(x, n, s, normaliser)))


@strict_kernel
def sum_of_others(costs, leader):
    """Sum of the costs of all arms but the leader."""
    total = 0.0
    for i in range(costs.shape[0]):
        total += costs[i] if i != leader else 0.0
    return total


@strict_kernel
def separate(n, s, normalisers, costs, clock):
    """Put the separator where the costs are about least, by trying multiples of the leader's deviation."""
    leader = int(clock[LEADER])
    N, S = n[leader], s[leader]
    normalisers[leader] = log_normaliser(N, S)
    middle = (S + 1) / (N + 2)
    step = 0.5 * math.sqrt(middle * (1 - middle) / (N + 3))
    clock[EXPIRY] = clock[ROUNDS] + min(10 + 0.1 * clock[ROUNDS], LONGEST)
    least, clock[SEPARATOR] = math.inf, 0.0
    for k in range(3, 16):
        x = middle - k * step
        if x <= 0:
            break
        total = cost_of(1 - x, N, N - S, normalisers[leader])
        for i in range(n.shape[0]):
            total += cost_of(x, n[i], s[i], normalisers[i]) if i != leader else 0.0
        if total >= least:
            break
        least, clock[SEPARATOR] = total, x
    x = clock[SEPARATOR]
    if least > LIMIT:
        clock[OTHERS] = math.inf
        return
    for i in range(n.shape[0]):
        costs[i] = cost_of(x, n[i], s[i], normalisers[i])
    clock[OTHERS] = sum_of_others(costs, leader)
    clock[DENSITY] = math.exp(log_density(x, N, S, normalisers[leader]))
    clock[MINE] = largest_cost(1 - x, N, N - S, clock[DENSITY])


@strict_kernel
def count_other(n, s, normalisers, costs, clock, arm):
    """Take in the pull of an arm that was not the leader."""
    before = int(clock[LEADER])
    leader = most_pulled(n, before, arm)
    normalisers[arm] = log_normaliser(n[arm], s[arm])
    if leader != before:
        normalisers[before] = log_normaliser(n[before], s[before])
        clock[LEADER], clock[OTHERS], clock[EXPIRY] = leader, math.inf, 0.0
    elif clock[OTHERS] < math.inf:
        costs[arm] = cost_of(clock[SEPARATOR], n[arm], s[arm], normalisers[arm])
        clock[OTHERS] = sum_of_others(costs, leader)


@strict_kernel
def exception(x, n, s, normaliser, E, rng):
    """Return the arm's draw if it exceeds x, else 0; and what is left of E."""
    cost = -math.log1p(-mass_beyond(x, n, s, log_density(x, n, s, normaliser)))
    if E > cost:
        return 0.0, E - cost
    return beyond(x, n, s, rng), rng.standard_exponential()


@strict_kernel
def choose_by_exceptions(x, E, n, s, normalisers, leader, rng):
    """Return the arm with the largest of independent draws, E being what the coins may cost."""
    N, S = n[leader], s[leader]
    depth, E = exception(1 - x, N, N - S, log_normaliser(N, S), E, rng)
    best, top = leader, 0.0
    for i in range(n.shape[0]):
        if i != leader:
            draw, E = exception(x, n[i], s[i], normalisers[i], E, rng)
            if draw > top:
                best, top = i, draw
    if depth == 0 and best != leader:  # some above x, and the leader too
        draw = 0.0
        while draw < x:
            draw = beta(N, S, rng)
        best = leader if draw > top else best
    elif depth > 0 and best == leader:  # all below x
        top = 1 - depth
        for i in range(n.shape[0]):
            if i != leader:
                draw = 1.0
                while draw > x:
                    draw = beta(n[i], s[i], rng)
                if draw > top:
                    best, top = i, draw
    return best


@strict_kernel
def choose_by_draws(n, s, rng):
    """Return the arm with the largest of independent draws."""
    best, top = 0, -1.0
    for i in range(n.shape[0]):
        draw = beta(n[i], s[i], rng)
        if draw > top:
            best, top = i, draw
    return best


@strict_kernel
def draw_thompson(n, s, normalisers, costs, clock, rng):
    """Return the arm with the largest of independent draws, where the leader is not certain."""
    if clock[ROUNDS] >= clock[EXPIRY]:
        separate(n, s, normalisers, costs, clock)
    leader, cost = int(clock[LEADER]), clock[OTHERS] + clock[MINE]
    if not cost <= LIMIT:
        return choose_by_draws(n, s, rng)
    if cost < clock[PURSE]:
        return leader
    return choose_by_exceptions(clock[SEPARATOR], clock[PURSE], n, s, normalisers, leader, rng)
