"""Compiled bounds of StepMix's family of policies, and pessimistic value iteration on data.

The mathematics is stated in `theoryrl.learners._family` and `theoryrl.learners.offline_baseline`.
"""

import math

import numpy as np

from theoryrl._numba import kernel
from theoryrl.learners.confidence import kl_counting_threshold, kl_mixture_threshold
from theoryrl.solvers._kernels import kl_extremes, least_expectation
from theoryrl.solvers.episodic._kernels import first_maximum

KL, BERNSTEIN, BPI = range(3)
"""Positions in `theoryrl.learners._family.MODES`."""

TIE = 1e-12
"""Action values closer than this count as equal when barpi is chosen (lowest index wins)."""


@kernel
def radii(modes, delta, n_next, support):
    """Return the two radii of each mode and cell: main[m, h, s, a] and transport[m, h, s, a].

    kl: x / n and unused. bernstein: ell and beta. bpi-ucbvi: beta* and beta.
    """
    H, S, A, _ = n_next.shape
    main = np.zeros((modes.shape[0], H, S, A))
    transport = np.zeros((modes.shape[0], H, S, A))
    share = delta / modes.shape[0]
    for m in range(modes.shape[0]):
        for h in range(H):
            for s in range(S):
                for a in range(A):
                    n = n_next[h, s, a].sum()
                    if n == 0:
                        continue
                    size = float(support[h, s, a].sum())
                    if modes[m] == KL:
                        log_cells = math.log(S * A * H / share)
                        main[m, h, s, a] = kl_mixture_threshold(n_next[h, s, a], size, log_cells) / n
                    elif modes[m] == BERNSTEIN:
                        main[m, h, s, a] = math.log(8.0 * S * A * H * H * n * (n + 1.0) / share)
                        transport[m, h, s, a] = kl_counting_threshold(
                            n, size, math.log(2.0 * S * A * H / share)
                        )
                    else:
                        log_cells = math.log(3.0 * S * A * H * H / share)
                        growth = math.log(8.0 * math.e * (n + 1.0))
                        main[m, h, s, a] = log_cells + growth
                        transport[m, h, s, a] = log_cells + size * growth
    return main, transport


@kernel
def _bernstein_bonuses(mode, n, main, transport, variance, below, B, H, is_baseline):
    """Return (bonus above, bonus below) without the reward and the empirical mean.

    `below` is phat (U - L), `B` the range of the next value, `is_baseline` whether the whole tail is
    the baseline, whose value is a fixed function.
    """
    if mode == BERNSTEIN:
        lead = math.sqrt(2.0 * variance * main / (n - 1.0)) + (7.0 / 3.0 + H / 2.0) * B * main / (n - 1.0)
        if is_baseline:
            return lead + below / H, lead + below / H
        return lead + below / H, lead + (H + 3.5) * B * transport / n + 2.0 * below / H
    bonus = 3.0 * math.sqrt(variance * main / n) + 14.0 * H * H * transport / n + below / H
    return bonus, bonus


@kernel
def _moments(p, U, L):
    """Return (p U, p L, Var_p(U), max(0, p (U - L)))."""
    up, low, square = 0.0, 0.0, 0.0
    for t in range(p.shape[0]):
        up += p[t] * U[t]
        low += p[t] * L[t]
    for t in range(p.shape[0]):
        square += p[t] * (U[t] - up) * (U[t] - up)
    return up, low, square, max(0.0, up - low)


@kernel
def action_bounds(modes, scale, n_min, H, h, n, r, p, main, transport, support, U, L, is_baseline, scratch):
    """Return (upper, lower) bounds on one action value from the bounds U, L of the next stage."""
    top = float(H - h)
    upper, lower = top, 0.0
    last = h == H - 1
    for m in range(modes.shape[0]):
        mode = modes[m]
        needed = max(n_min, 2) if mode == BERNSTEIN and not last else n_min
        if n < needed:
            continue
        if last:
            upper, lower = min(upper, r), max(lower, r)
        elif mode == KL:
            high, low = kl_extremes(p, U, L, support, scale * main[m], scratch)
            upper, lower = min(upper, r + high), max(lower, r + low)
        else:
            up, low, variance, below = _moments(p, U, L)
            above, under = _bernstein_bonuses(
                mode, n, main[m], transport[m], variance, below, top - 1.0, H, is_baseline
            )
            upper, lower = min(upper, r + up + scale * above), max(lower, r + low - scale * under)
    return upper, lower


@kernel
def _stage(args, h, U_next, L_next, is_baseline, chosen, upper, lower):
    """Fill the bounds upper[s, a], lower[s, a] of one stage where `chosen`[s, a] is positive."""
    modes, scale, n_min, n, phat, r, main, transport, support, scratch = args
    H, S, A = n.shape
    for s in range(S):
        for a in range(A):
            if chosen[s, a] > 0.0:
                upper[s, a], lower[s, a] = action_bounds(
                    modes,
                    scale,
                    n_min,
                    H,
                    h,
                    n[h, s, a],
                    r[h, s, a],
                    phat[h, s, a],
                    main[:, h, s, a],
                    transport[:, h, s, a],
                    support[h, s, a],
                    U_next,
                    L_next,
                    is_baseline,
                    scratch,
                )


@kernel
def _average_stage(args, h, pi_h, is_baseline, running, upper, lower, U, L):
    """Member bounds at a stage where the baseline acts: averages over pi^b."""
    _stage(args, h, U[h + 1], L[h + 1], is_baseline, pi_h, upper, lower)
    S, A = pi_h.shape
    for s in range(S):
        up, low = 0.0, 0.0
        for a in range(A):
            if pi_h[s, a] > 0.0:
                up += pi_h[s, a] * upper[s, a]
                low += pi_h[s, a] * lower[s, a]
        U[h, s] = min(U[h, s], up) if running else up
        L[h, s] = max(L[h, s], low) if running and is_baseline else low


@kernel
def _greedy_stage(args, h, ones, running, choose, upper, lower, U, L, greedy):
    """Member bounds at a stage where barpi acts: U maximises, L follows barpi (chosen here or given)."""
    _stage(args, h, U[h + 1], L[h + 1], False, ones, upper, lower)
    for s in range(ones.shape[0]):
        best = upper[s].max()
        if choose:
            greedy[h, s] = first_maximum(upper[s], TIE)
        U[h, s] = min(U[h, s], best) if running else best
        L[h, s] = lower[s, greedy[h, s]]


@kernel
def family_pass(
    modes,
    main,
    transport,
    scale,
    n_min,
    baseline_first,
    running,
    clip,
    members,
    n,
    n_next,
    r,
    support,
    pi_b,
    U,
    L,
    greedy,
):
    """Refresh U[j, h, s], L[j, h, s] and the optimistic policy greedy[h, s] from the counts.

    U and L have shape [H+1, H+1, S]; on entry they hold the previous bounds. `members` is true for
    each j that is wanted; 0 is always filled.
    """
    H, S, A = n.shape
    phat = np.zeros((H, S, A, S))
    for h in range(H):
        for s in range(S):
            for a in range(A):
                for t in range(S):
                    phat[h, s, a, t] = n_next[h, s, a, t] / max(n[h, s, a], 1)
    args = (modes, scale, n_min, n, phat, r, main, transport, support, np.empty(S))
    upper, lower, ones = np.empty((S, A)), np.empty((S, A)), np.ones((S, A))
    for h in range(H - 1, -1, -1):
        _greedy_stage(args, h, ones, running, True, upper, lower, U[0], L[0], greedy)
    if members[H]:
        for h in range(H - 1, -1, -1):
            _average_stage(args, h, pi_b[h], True, running, upper, lower, U[H], L[H])
    for j in range(1, H):
        if not members[j]:
            continue
        if baseline_first:
            U[j, j:], L[j, j:] = U[0, j:], L[0, j:]
            for h in range(j - 1, -1, -1):
                _average_stage(args, h, pi_b[h], False, running, upper, lower, U[j], L[j])
        else:
            U[j, H - j :], L[j, H - j :] = U[H, H - j :], L[H, H - j :]
            for h in range(H - j - 1, -1, -1):
                _greedy_stage(args, h, ones, running, False, upper, lower, U[j], L[j], greedy)
    if clip:
        previous = 0
        for j in range(1, H + 1):
            if members[j]:
                U[j] = np.minimum(U[j], U[previous])
                previous = j


@kernel
def _pessimistic_row(method, n, counts, p, V, H, B, log_term, scratch):
    """Return a lower bound on the expectation of V, of range B, over the true row (method 0 to 3)."""
    S = p.shape[0]
    mean = 0.0
    for t in range(S):
        mean += p[t] * V[t]
    if method == 0:
        lowest = V.min()
        for t in range(S):
            scratch[t] = V[t] - lowest
        threshold = kl_mixture_threshold(counts, float(S), log_term)
        return lowest + least_expectation(p, scratch, threshold / n)
    if method == 1:
        return mean - B * math.sqrt(log_term / (2.0 * n))
    variance = 0.0
    for t in range(S):
        variance += p[t] * (V[t] - mean) * (V[t] - mean)
    if method == 2:
        return (
            mean - math.sqrt(2.0 * variance * log_term / (n - 1.0)) - 7.0 * B * log_term / (3.0 * (n - 1.0))
        )
    bonus = math.sqrt(log_term * variance / n) + log_term * H / n
    return mean - min(bonus, H)


@kernel
def pessimistic_values(method, log_term, n_next, r, V, actions):
    """Backward pass: V[h, s] = max_a max(0, r + lower row bound); fills V[H+1, S] and actions[H, S]."""
    H, S, A, _ = n_next.shape
    p, scratch = np.empty(S), np.empty(S)
    for h in range(H - 1, -1, -1):
        for s in range(S):
            best, arg = -1.0, 0
            for a in range(A):
                n = n_next[h, s, a].sum()
                value = 0.0
                if n > 0 and h == H - 1:
                    value = r[h, s, a]
                elif n > 0 and not (method == 2 and n < 2):
                    for t in range(S):
                        p[t] = n_next[h, s, a, t] / n
                    low = _pessimistic_row(
                        method, n, n_next[h, s, a], p, V[h + 1], float(H), H - 1.0 - h, log_term, scratch
                    )
                    value = max(0.0, r[h, s, a] + low)
                if value > best:
                    best, arg = value, a
            V[h, s] = best
            actions[h, s] = arg
