"""Compiled forecasters of R-BOCPD, for a bank of detectors.

Detector d has `live[d]` forecasters. Forecaster i began with the sample of local index starts[d, i]
(so that m = starts[d, i] samples came before it) and keeps, in logarithms,

    tail[d, i] = log Q(x_{s:t}),   head[d, i] = log Q(x_{r:s-1}) + A(m),

where log eta = A(m) + B(n) + C(k). Forecaster 0 is that of the restart r itself; it is no candidate, and
its head holds A(1), which bounds what pruned candidates before the next one could have. Counts lie
symbol by symbol, counts[d, x, i], so that one sample touches one row. Logarithms of whole numbers come from
a table.
"""

import math

from theoryrl._numba import strict_kernel

SAFE, SAFE_HORIZON, UNIVERSAL, ICML2020, INVERSE_N, CONSTANT = range(6)
LIVE, LENGTH, SYMBOLS, EARLIEST = range(4)
"""Columns of `whole`: forecasters, samples since the restart, alphabet, first time exact could alarm."""
QUIET, ALARM, FULL = range(3)
"""Why `feed` returned: all samples are consumed, an alarm, or no room for another forecaster."""


@strict_kernel
def prior(rule, number, level, m, logs):
    """A(m), the part of log eta that depends on the number of samples before the change."""
    if rule in (SAFE, UNIVERSAL):
        return level - logs[m] - logs[m + 1]
    if rule == SAFE_HORIZON:
        return level - number
    if rule == ICML2020:
        return 0.5 * logs[m]
    return 0.0


@strict_kernel
def penalty(rule, number, level, n, redundancy):
    """B(n), the part of log eta that depends on the number of all samples."""
    if rule in (SAFE, SAFE_HORIZON):
        return -redundancy
    if rule == ICML2020:
        inner = math.log(math.log(4.0 * number + 2.0)) + 2.0 * level - math.log(4.0 * n)
        return -math.log(10.0 * n) + number * (inner - math.log(math.log((number + 3.0) * n)))
    if rule == INVERSE_N:
        return -math.log(float(n))
    if rule == CONSTANT:
        return number
    return 0.0


@strict_kernel
def reference(rule, tail, counts, n, size, logs):
    """What a candidate is compared with: log Q of all samples, or their largest likelihood."""
    if rule != UNIVERSAL:
        return tail[0]
    total = 0.0
    for x in range(size):
        c = counts[x, 0]
        if c > 0:
            total += c * (logs[c] - logs[n])
    return total


@strict_kernel
def absorb(rule, number, level, starts, head, tail, counts, live, n, size, x, logs):
    """Open a forecaster at the present sample, and let all of them predict it; n samples came before."""
    starts[live] = n
    head[live] = prior(rule, number, level, max(n, 1), logs)
    if n > 0:
        head[live] += tail[0]
    tail[live] = 0.0
    for y in range(size):
        counts[y, live] = 0
    row = counts[x]
    for i in range(live + 1):
        tail[i] += logs[row[i] + 1] - logs[n - starts[i] + size]
        row[i] += 1


@strict_kernel
def best_candidate(rule, starts, head, tail, live, n, logs):
    """Return the largest head + tail + C(k) and its forecaster, the first one of equals; n counts all."""
    best, place = -math.inf, -1
    if rule == ICML2020:
        for i in range(1, live):
            value = head[i] + tail[i] + 0.5 * logs[n - starts[i]]
            if value > best:
                best, place = value, i
        return best, place
    for i in range(1, live):
        value = head[i] + tail[i]
        if value > best:
            best, place = value, i
    return best, place


@strict_kernel
def pruned_candidates(rule, number, level, starts, head, tail, counts, live, n, size, logs):
    """Bound what the candidates that are no longer there could have reached.

    One between the kept starts a < b has the evidence of a before it and that of b after it, times the
    predictions of the samples from a to b - 1, each made from one of the two sides. Whatever their order, a
    symbol that occurs g times among them has there at most the probability (N + g) / (N's total + O) of one
    of the two.
    """
    best = -math.inf
    for i in range(live - 1):
        a, b = starts[i], starts[i + 1]
        if b - a > 1:
            value = head[i] + tail[i + 1]
            for y in range(size):
                g = counts[y, i] - counts[y, i + 1]
                if g > 0:
                    before = logs[counts[y, 0] - counts[y, i] + g] - logs[a + size]
                    after = logs[counts[y, i]] - logs[n - b + size]
                    value += g * min(max(before, after), 0.0)
            if rule == ICML2020:  # its A and C increase
                value += prior(rule, number, level, b, logs) - prior(rule, number, level, max(a, 1), logs)
                value += 0.5 * logs[n - a]
            best = max(best, value)
    return best


@strict_kernel
def prune(epsilon, starts, head, tail, counts, live, n, size):
    """Drop starts, oldest first, whose neighbours are closer than epsilon times what lies on either side."""
    kept = 1
    for i in range(1, live):
        drop = False
        if i < live - 1:
            beside = min(n - 1 - starts[i + 1], starts[kept - 1])
            drop = starts[i + 1] - starts[kept - 1] <= epsilon * beside
        if not drop:
            if kept != i:
                starts[kept], head[kept], tail[kept] = starts[i], head[i], tail[i]
                for y in range(size):
                    counts[y, kept] = counts[y, i]
            kept += 1
    return kept


@strict_kernel
def feed(rule, number, epsilon, track, logs, levels, whole, redundancy, starts, head, tail, counts,
         which, symbols, begin, odds):  # fmt: skip
    """Feed symbols[i] to detector which[i] from i = begin on, until one alarms or has no more room.

    Returns the index of the first sample that is not consumed (for an alarm: of the one after it), and
    why. `odds` receives the log odds of the last test, its estimate of m, and (of a pruned run only if
    `track`) the earliest time at which the exact run could have alarmed.
    """
    for i in range(begin, symbols.shape[0]):
        d = which[i]
        live, n, size = whole[d, LIVE], whole[d, LENGTH], whole[d, SYMBOLS]
        if live == starts.shape[1] or n + size + 2 >= logs.shape[0]:
            return i, FULL
        level = levels[d]
        absorb(rule, number, level, starts[d], head[d], tail[d], counts[d], live, n, size, symbols[i], logs)
        n += 1
        live += 1
        redundancy[d] += logs[n + size - 1] - logs[n]
        limit = reference(rule, tail[d], counts[d], n, size, logs)
        limit -= penalty(rule, number, level, n, redundancy[d])
        best, place = best_candidate(rule, starts[d], head[d], tail[d], live, n, logs)
        if track and epsilon > 0.0 and whole[d, EARLIEST] < 0:
            missed = pruned_candidates(
                rule, number, level, starts[d], head[d], tail[d], counts[d], live, n, size, logs
            )
            if max(best, missed) > limit:
                whole[d, EARLIEST] = n - 1
        odds[0] = best - limit
        if best > limit:
            odds[1] = starts[d, place]
            odds[2] = whole[d, EARLIEST] if epsilon > 0.0 else n - 1
            clear(d, whole, redundancy)
            return i + 1, ALARM
        if epsilon > 0.0:
            live = prune(epsilon, starts[d], head[d], tail[d], counts[d], live, n, size)
        whole[d, LIVE], whole[d, LENGTH] = live, n
    return symbols.shape[0], QUIET


@strict_kernel
def clear(d, whole, redundancy):
    """Restart a detector."""
    whole[d, LIVE], whole[d, LENGTH], whole[d, EARLIEST] = 0, 0, -1
    redundancy[d] = 0.0


@strict_kernel
def bocpd(x, size, log_hazard, log_rest):
    """First time after which the likeliest start of a run is not the first, or -1.

    Run s begins with sample s. After each sample a newborn run, which has seen nothing yet, takes the
    hazard's share of all mass, and the others keep the rest.
    """
    n = x.shape[0]
    weight = [0.0 for _ in range(n + 1)]
    counts = [[0 for _ in range(n + 1)] for _ in range(size)]
    for t in range(n):
        row = counts[x[t]]
        top = -math.inf
        for s in range(t + 1):
            weight[s] += math.log((row[s] + 1.0) / (t - s + size))
            row[s] += 1
            top = max(top, weight[s])
        total = 0.0
        for s in range(t + 1):
            total += math.exp(weight[s] - top)
            weight[s] += log_rest
        weight[t + 1] = log_hazard + top + math.log(total)
        best = 0
        for s in range(1, t + 2):
            if weight[s] > weight[best]:
                best = s
        if best > 0:
            return t
    return -1
