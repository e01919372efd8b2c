"""Weight classes: the density ratios that stand for "how much of the data a policy would have visited".

GLOW asks for a class W of functions ``w_h(s, a) >= 0`` that holds the ratio of every policy's occupancy to
the average of those that were played. Written with candidate models m, the greedy policies pi of N
functions and the number n_i of rounds in which policy i was played, t - 1 = sum n_i, the four modes are

``full``
    all ratios ``d_m^pi / d_m^pi'`` of two policies (or an explicit list): the class as it stands in the
    paper, which holds single ratios but not their mixtures;
``mixture``
    ``w = t d^pi / (sum_i n_i d^i + d^pi)`` for every policy: the slice, at the counts that were seen, of
    one fixed class that is indexed by count vectors;
``models``
    the same for every candidate model;
``self``
    the same, but a function is confronted with the weights of its own greedy policy only: a relaxation,
    whose version space is larger and whose regret bound is the same;
``tuples``
    the mixtures ``1 / ((w^1 + ... + w^t) / t)`` of single ratios ``w^s = d^s / d^pi`` of one model, at the
    tuple of policies that were played: the same weights as ``models``, as members of the paper's class of
    all tuples, and counted as it counts them;
``signed``
    the differences of two functions, clipped from both sides: with them the version spaces are those of
    squared Bellman errors.

**Counting.** A count vector of N entries with sum at most T - 1 is one of ``binomial(T - 1 + N, N)``, so the
class that the slices are taken from has that many times N (times the number of models) members, and its
logarithm is what the confidence radius must pay for: weights that depend on the data through the counts
are legal only because of it, and log N alone would not be. The class of all tuples of the W single ratios
has at most ``(2 W)^T`` members, whose logarithm grows with T and not with log T.

Source: Amortila, Foster, Jiang, Sekhari and Xie (2024), section 2 and appendix B; the computable modes are
ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models import (
    DeterministicPolicy,
    EpisodicMDP,
    FiniteFunctionClass,
    FiniteModelClass,
    Hypotheses,
)
from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import check_choice, check_count, check_flag, check_memory, real_array
from theoryrl.solvers.coefficients.ratios import density_ratio, measure_array
from theoryrl.solvers.episodic.planning import backward_induction, occupancy_measure

MODES = ("models", "mixture", "self", "full", "tuples", "signed")
LISTED = ("full", "signed")
"""Modes whose weights do not depend on the rounds."""


@dataclass(frozen=True, eq=False)
class WeightClass(Frozen):
    """A weight class over N policies and M models, or an explicit list of weights.

    Parameters
    ----------
    mode
        One of `MODES`; see the module.
    occupancies
        ``d[m, n, h, s, a]`` of policy n in model m: shape [M, N, H, S, A]; each stage sums to one.
    policy_of
        Number of the greedy policy of each function: shape [F].
    oracle
        Whether the occupancies were computed with the true model.
    listed
        For an explicit list: weights ``w[k, h, s, a] >= 0`` (of any sign in mode ``"signed"``), infinity
        allowed: shape [W, H, S, A].

    Raises
    ------
    ValueError
        On disagreeing shapes, an occupancy that does not sum to one, a negative weight, an empty list, or
        mode ``"mixture"`` with more than one model.
    """

    mode: str
    occupancies: Float[np.ndarray, "M N H S A"]
    policy_of: Int[np.ndarray, " F"]
    oracle: bool = False
    listed: Float[np.ndarray, "W H S A"] | None = None

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, MODES)
        check_flag("oracle", self.oracle)
        d = measure_array(
            "occupancies", real_array("occupancies", self.occupancies, ("M", "N", "H", "S", "A"))
        )
        if self.mode == "mixture" and len(d) > 1:
            raise ValueError(
                f"mode 'mixture' takes the occupancies of one model; got {len(d)} (use 'models')"
            )
        sums = d.sum(axis=(3, 4))
        wrong = np.abs(sums - 1) > 1e-9 * d[0, 0, 0].size
        if wrong.any():
            index = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise ValueError(f"occupancies{list(index)} must sum to one; got {float(sums[index])!r}")
        object.__setattr__(self, "occupancies", d)
        object.__setattr__(self, "policy_of", np.asarray(self.policy_of, dtype=np.int64))
        object.__setattr__(self, "listed", self._checked_list())

    def _checked_list(self) -> np.ndarray | None:
        if self.mode not in LISTED:
            if self.listed is not None:
                raise ValueError(f"listed weights need mode 'full' or 'signed'; got {self.mode!r}")
            return None
        if self.listed is None:
            if self.mode == "signed":
                raise ValueError("mode 'signed' needs listed weights; got None")
            M, N = self.occupancies.shape[:2]
            check_memory("weights", M * N * N, *self.shape)
            pairs = density_ratio(self.occupancies[:, :, None], self.occupancies[:, None])
            return np.ascontiguousarray(pairs.reshape(M * N * N, *self.shape))
        listed = np.array(self.listed, dtype=np.float64)
        if listed.ndim != 4 or listed.shape[1:] != self.shape or not len(listed):
            raise ValueError(f"listed must have shape (W, {', '.join(map(str, self.shape))}), W >= 1; "
                             f"got shape {listed.shape}")  # fmt: skip
        bad = np.isnan(listed) if self.mode == "signed" else ~(listed >= 0)
        if bad.any():
            index = [int(i) for i in np.argwhere(bad)[0]]
            wish = "be a number" if self.mode == "signed" else "not be negative"
            raise ValueError(f"listed{index} must {wish}; got {float(listed[tuple(index)])!r}")
        listed.setflags(write=False)
        return listed

    @classmethod
    def from_models(
        cls,
        models: FiniteModelClass,
        functions: FiniteFunctionClass,
        mode: str = "models",
        oracle: bool = False,
    ) -> WeightClass:
        """Return the class of the greedy policies of `functions` in the candidate models.

        In mode ``"signed"`` it holds the differences of the functions, and the models play no part.
        """
        if mode == "signed":
            Q = functions.Q
            check_memory("weights", len(Q) ** 2, *Q.shape[1:])
            return cls.explicit((Q[:, None] - Q).reshape(-1, *Q.shape[1:]), functions, oracle, "signed")
        actions, policy_of = distinct_policies(functions)
        A = functions.n_actions
        shape = (len(models), len(actions), *models.r.shape[1:])
        check_memory("occupancies", *shape)
        d = np.empty(shape)
        policies = [DeterministicPolicy(a, A) for a in actions]
        for m in range(len(models)):
            model = models[m]
            for n, policy in enumerate(policies):
                d[m, n] = occupancy_measure(model, policy)
        return cls(mode, d, policy_of, oracle)

    @classmethod
    def explicit(
        cls, weights: Any, functions: FiniteFunctionClass, oracle: bool = False, mode: str = "full"
    ) -> WeightClass:
        """Return the class of the listed weights [W, H, S, A], non-negative unless the mode is `signed`."""
        H, S, A = functions.Q.shape[1:]
        actions, policy_of = distinct_policies(functions)
        unused = np.full((1, len(actions), H, S, A), 1 / (S * A))
        return cls(mode, unused, policy_of, oracle, np.asarray(weights, dtype=np.float64))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, S, A)."""
        H, S, A = self.occupancies.shape[2:]
        return H, S, A

    @property
    def n_policies(self) -> int:
        """Number N of different greedy policies."""
        return int(self.occupancies.shape[1])

    def log_size(self, rounds: int) -> float:
        """Return log of the number of weights of the class that T rounds draw on."""
        check_count("rounds", rounds)
        if self.listed is not None:
            return math.log(len(self.listed))
        if self.mode == "tuples":
            M, N = self.occupancies.shape[:2]
            return rounds * math.log(2 * M * N**2)
        return math.log(len(self.occupancies)) + mixture_log_size(self.n_policies, rounds)

    def played(self, counts: Int[np.ndarray, " N"]) -> Float[np.ndarray, "M H S A"]:
        """Return ``sum_i n_i d_m^i``, the unnormalised law of what was played, in each model."""
        return np.einsum("n,mnhsa->mhsa", counts.astype(np.float64), self.occupancies)

    def mixtures(self, counts: Int[np.ndarray, " N"]) -> Float[np.ndarray, "M N H S A"]:
        """Return ``t d_m^pi / (sum_i n_i d_m^i + d_m^pi)`` with ``t = 1 + sum_i n_i``; 0 / 0 := 0."""
        d = self.occupancies
        total = self.played(counts)[:, None] + d
        ratio = np.zeros(d.shape)
        np.divide(d, total, out=ratio, where=d > 0)
        return ratio * (1 + int(counts.sum()))

    def hybrid_ratios(
        self, counts: Int[np.ndarray, " N"], nu: Float[np.ndarray, "M H S A"]
    ) -> Float[np.ndarray, "M N H S A"]:
        """Return ``d_m^pi / mu_m`` with ``mu_m = (nu_m + average of what was played) / 2``.

        Before the first round the law is that of the offline data alone. Infinite where neither the data
        nor any round goes.
        """
        rounds = int(counts.sum())
        mu = nu if rounds == 0 else (nu + self.played(counts) / rounds) / 2
        d = self.occupancies
        ratio = np.where(d > 0, np.inf, 0.0)
        np.divide(d, mu[:, None], out=ratio, where=(d > 0) & (mu[:, None] > 0))
        return ratio

    def __repr__(self) -> str:
        M, N = self.occupancies.shape[:2]
        size = f", listed={len(self.listed)}" if self.listed is not None else f", models={M}, policies={N}"
        return f"WeightClass({self.mode!r}{size}{', oracle' if self.oracle else ''})"


def mixture_log_size(n_policies: int, rounds: int) -> float:
    """Return log(N binomial(T - 1 + N, N)): N policies, times the count vectors with sum at most T - 1."""
    N, T = check_count("n_policies", n_policies), check_count("rounds", rounds)
    return math.log(N) + math.lgamma(T + N) - math.lgamma(T) - math.lgamma(N + 1)


def distinct_policies(
    functions: FiniteFunctionClass,
) -> tuple[Int[np.ndarray, "N H S"], Int[np.ndarray, " F"]]:
    """Return the different greedy policies, in order of first appearance, and that of each function."""
    actions = functions.greedy_actions()
    _, first, inverse = np.unique(
        actions.reshape(len(actions), -1), axis=0, return_index=True, return_inverse=True
    )
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return actions[first[order]], rank[inverse.ravel()]


def model_hypotheses(models: list[EpisodicMDP], extra: Any = None, oracle: bool = False) -> Hypotheses:
    """Return candidates F = {Q* of each model}, plus the functions extra[n, h, s, a] if given."""
    Q = np.stack([backward_induction(model).action_values for model in models])
    if extra is not None:
        Q = np.concatenate([Q, np.asarray(extra, dtype=np.float64)])
    return Hypotheses(FiniteFunctionClass(Q), FiniteModelClass.from_models(models), oracle=oracle)
