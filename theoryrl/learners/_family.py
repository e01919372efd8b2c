"""Confidence bounds on a family of policies that nest a baseline and an optimistic policy.

barpi is greedy for the optimistic action values. Member j of the family follows the baseline pi^b
at j of the H stages and barpi at the others: the first j stages (``"baseline-first"``) or the last
j (``"optimistic-first"``). Member 0 is barpi itself, member H the baseline. For each j the pass
fills, for every (h, s),

    U[j] >= W[j],   the best value with pi^b at those j stages and any actions elsewhere,
    L[j] <= V[j],   the value of member j.

Three ways to bound an action value from n visits are proved valid on the StepMix page:

* ``kl``: extreme expectation over n KL(phat || q) <= x with the Dirichlet(1/2)-mixture threshold.
* ``bernstein``: empirical Bernstein for the fixed comparators W[j], transported to U and L.
* ``bpi-ucbvi``: the constants of Menard et al. (2021), which dominate ``bernstein``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from theoryrl._numba import kernel
from theoryrl.learners.confidence import kl_counting_threshold, kl_mixture_threshold
from theoryrl.models._validation import check_choice, check_count, check_fraction, check_real
from theoryrl.solvers.episodic._kernels import first_maximum
from theoryrl.solvers.kl_ball import kl_extremes

MODES = ("kl", "bernstein", "bpi-ucbvi")
KL, BERNSTEIN, BPI = range(3)
ORIENTATIONS = ("baseline-first", "optimistic-first")
TIE = 1e-12
"""Action values closer than this count as equal when barpi is chosen (lowest index wins)."""


@dataclass(frozen=True)
class BoundOptions:
    """How action values are bounded.

    Parameters
    ----------
    modes
        One of ``"kl"``, ``"bernstein"``, ``"bpi-ucbvi"``, or several joined by ``+``: then the best
        bound per (h, s, a) is taken, each at an equal share of delta.
    delta
        Probability that some bound fails at some time.
    bonus_scale
        Factor on every bonus; below 1 the guarantee is void.
    n_min
        Visits below which a pair gets the trivial bounds [0, H - h]. ``bernstein`` needs 2 and
        raises a smaller value to 2 before the last stage.
    orientation
        ``"baseline-first"`` or ``"optimistic-first"``.
    running
        Keep the running minimum of U[j] and the running maximum of L[H] (their comparators are fixed
        functions, so both stay valid).
    clip
        Also lower U[j] to U[j-1], because W[j] is non-increasing in j.
    """

    modes: str = "kl"
    delta: float = 0.05
    bonus_scale: float = 1.0
    n_min: int = 1
    orientation: str = "baseline-first"
    running: bool = True
    clip: bool = False

    def __post_init__(self) -> None:
        for mode in self.modes.split("+"):
            check_choice("bounds", mode, MODES)
        check_fraction("delta", self.delta)
        check_real("bonus_scale", self.bonus_scale, low=0.0)
        if self.bonus_scale == 0:
            raise ValueError("bonus_scale must be positive; got 0")
        check_count("n_min", self.n_min)
        check_choice("orientation", self.orientation, ORIENTATIONS)

    @property
    def codes(self) -> Int[np.ndarray, " M"]:
        """Positions of the chosen modes in `MODES`."""
        return np.array([MODES.index(mode) for mode in self.modes.split("+")], dtype=np.int64)


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


@dataclass
class FamilyState:
    """Counts and current bounds; the arrays are updated in place.

    Attributes
    ----------
    n, n_next
        Visit counts: shapes [H, S, A] and [H, S, A, S].
    r
        Known rewards, or those observed so far: shape [H, S, A].
    support
        Where transitions may go: shape [H, S, A, S].
    pi_b
        The baseline: shape [H, S, A].
    U, L
        Bounds per member, stage and state: shape [H+1, H+1, S]; the last stage is zero.
    greedy
        barpi: shape [H, S].
    """

    n: Int[np.ndarray, "H S A"]
    n_next: Int[np.ndarray, "H S A S"]
    r: Float[np.ndarray, "H S A"]
    support: Bool[np.ndarray, "H S A S"]
    pi_b: Float[np.ndarray, "H S A"]
    U: Float[np.ndarray, "J K S"]
    L: Float[np.ndarray, "J K S"]
    greedy: Int[np.ndarray, "H S"]

    @classmethod
    def start(
        cls,
        r: Float[np.ndarray, "H S A"],
        pi_b: Float[np.ndarray, "H S A"],
        support: Bool[np.ndarray, "H S A S"] | None = None,
        n_next: Int[np.ndarray, "H S A S"] | None = None,
    ) -> FamilyState:
        """Return a state with the trivial bounds, and the given counts (default none)."""
        H, S, A = r.shape
        counts = np.zeros((H, S, A, S), dtype=np.int64) if n_next is None else n_next.astype(np.int64)
        top = np.arange(H, -1, -1.0)
        return cls(
            n=counts.sum(axis=-1),
            n_next=counts,
            r=np.array(r),
            support=np.ones((H, S, A, S), dtype=np.bool_) if support is None else np.array(support),
            pi_b=pi_b,
            U=np.broadcast_to(top[None, :, None], (H + 1, H + 1, S)).copy(),
            L=np.zeros((H + 1, H + 1, S)),
            greedy=np.zeros((H, S), dtype=np.int64),
        )

    def refresh(self, options: BoundOptions, members: Bool[np.ndarray, " J"]) -> None:
        """Recompute the bounds of the wanted members from the counts."""
        main, transport = radii(options.codes, options.delta, self.n_next, self.support)
        self.refresh_with(options, members, main, transport)

    def refresh_with(
        self,
        options: BoundOptions,
        members: Bool[np.ndarray, " J"],
        main: Float[np.ndarray, "M H S A"],
        transport: Float[np.ndarray, "M H S A"],
    ) -> None:
        """Recompute the bounds from given radii: valid wherever these cover the errors of the rows."""
        family_pass(
            options.codes,
            main,
            transport,
            options.bonus_scale,
            options.n_min,
            options.orientation == "baseline-first",
            options.running,
            options.clip,
            members,
            self.n,
            self.n_next,
            self.r,
            self.support,
            self.pi_b,
            self.U,
            self.L,
            self.greedy,
        )
