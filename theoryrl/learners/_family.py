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

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from theoryrl.learners._guarantee import check_bonus_scale
from theoryrl.learners._kernels import family_pass, radii
from theoryrl.models._validation import LARGEST_COUNT, check_choice, check_count, check_flag, check_fraction

MODES = ("kl", "bernstein", "bpi-ucbvi")
ORIENTATIONS = ("baseline-first", "optimistic-first")


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
        if not isinstance(self.modes, str):
            raise ValueError(f"bounds must be a text such as 'kl' or 'kl+bernstein'; got {self.modes!r}")
        for mode in self.modes.split("+"):
            check_choice("bounds", mode, MODES)
        check_fraction("delta", self.delta)
        check_bonus_scale(self.bonus_scale)
        check_count("n_min", self.n_min, high=LARGEST_COUNT)
        check_choice("orientation", self.orientation, ORIENTATIONS)
        check_flag("running", self.running)
        check_flag("clip", self.clip)

    @property
    def codes(self) -> Int[np.ndarray, " M"]:
        """Positions of the chosen modes in `MODES`."""
        return np.array([MODES.index(mode) for mode in self.modes.split("+")], dtype=np.int64)


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
