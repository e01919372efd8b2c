"""Thompson's choice for Beta posteriors, without drawing from each of them.

Only the arm of the largest draw matters. The draw x of the arm with the most pulls is usually the largest,
and whether another arm exceeds it is decided by thinning: beyond x the other's density f, log-concave, lies
below the exponential that touches it at x. With the mass m of that exponential beyond x, the arm exceeds x
if a coin of probability m shows heads and a point drawn from the exponential is accepted with
probability f / exponential; the point is then the arm's draw, given that it exceeds x. Otherwise its
draw is somewhere below x, which is all that need be known. The coins of all arms are one exponential
variate E, spent from arm to arm: heads where E < -log(1 - m), else E is reduced by that, and is as good as
new. So one comparison usually settles all of them.
"""

import math

from theoryrl._numba import inlined_kernel, strict_kernel


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
def beyond(x, n, s, rng):
    """A draw from the posterior, its coin having shown heads: above x, or 0 for some point below."""
    rate, rest = (n - s) / (1 - x) - s / x, 1 - x
    u = rng.random()
    z = u * rest if rate * rest < 1e-9 else -math.log1p(u * math.expm1(-rate * rest)) / rate
    accepted = s * math.log1p(z / x) + (n - s) * math.log1p(-z / rest) + rate * z
    return x + z if math.log(rng.random()) <= accepted else 0.0


@strict_kernel
def mass_beyond(x, n, s, log_f):
    """Mass beyond x of the exponential that touches the density at x, where its logarithm is log_f."""
    rate, rest = (n - s) / (1 - x) - s / x, 1 - x
    width = rest if rate * rest < 1e-9 else -math.expm1(-rate * rest) / rate
    return math.exp(log_f) * width


@inlined_kernel
def sum_is_below(E, x, log_rest, n, s, heights):
    """Whether the coins of all arms certainly cost less than E.

    A density that falls beyond x has a mass of at most (1 - x) f(x) there, and -log(1 - m) <= 2 m up to 1/2:
    a coin of more than that is never tossed, whatever E. Arms whose mass is so bounded by E / (4 K) and 1/4
    cost E / 2 in all; the masses of the others are computed.
    """
    K, total = n.shape[0], 0.0
    small = math.log(min(E / (4 * K), 0.25)) - log_rest
    for i in range(K):
        if heights[i] > small:
            mass = mass_beyond(x, n[i], s[i], heights[i]) if heights[i] < math.inf else 1.0
            if mass > 0.5:
                return False
            total += 2 * mass
    return total < 0.5 * E


@inlined_kernel
def thompson(n, s, normalisers, leader, heights, rng):
    """Return the arm with the largest of independent draws from the posteriors.

    `normalisers` need not hold that of the leader; `heights` is overwritten.
    """
    K = n.shape[0]
    x = beta(n[leader], s[leader], rng)
    inside = 0 < x < 1
    log_x, log_rest = (math.log(x), math.log1p(-x)) if inside else (0.0, 0.0)
    for i in range(K):
        f = n[i] - s[i]
        height = normalisers[i] + s[i] * log_x + f * log_rest
        heights[i] = height if s[i] * (1 - x) <= f * x else math.inf
    heights[leader] = -math.inf
    E = rng.standard_exponential()
    if inside and sum_is_below(E, x, log_rest, n, s, heights):
        return leader
    best, top = leader, x
    for i in range(K):
        if i == leader:
            continue
        mass = mass_beyond(x, n[i], s[i], heights[i]) if inside and heights[i] < math.inf else 1.0
        if mass > 0.5:
            draw = beta(n[i], s[i], rng)
        else:
            cost = -math.log1p(-mass)
            if E > cost:
                E -= cost
                continue
            draw = beyond(x, n[i], s[i], rng)
            E = rng.standard_exponential()
        if draw > top:
            best, top = i, draw
    return best
