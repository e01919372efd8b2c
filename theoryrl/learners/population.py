"""GLOW, MABO.CR and HyGLOW without noise: expectations under the true model instead of averages.

The algorithms' decisions then rest on the structure of the problem alone, and their theorems hold surely,
at every round and for every tie rule. With ``gamma_t = gamma t`` (any gamma > 0) and ``alpha_t = a /
gamma_t``::

    GLOW:     F_t = { f : E[residual_h(f) w' - alpha_t w'^2] <= 0 for all h and w },
              E under the average of what was played;
    MABO.CR:  min over f of max over w of sum_h ( |E[w'_h residual_h(f)]| - alpha E[w'_h^2] ),  E under mu.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners import _population_kernels
from theoryrl.learners.candidates import TIE, UNIT_SLACK, RealizabilityError, check_ties, nothing_left
from theoryrl.learners.offline_fits import mabo_objective
from theoryrl.models import CandidateMDP, DeterministicPolicy, EpisodicMDP, FiniteFunctionClass
from theoryrl.models._validation import check_choice, check_count, check_interval, check_real, check_type
from theoryrl.solvers import density_ratio
from theoryrl.solvers.episodic import backward_induction, occupancy_measure, policy_value
from theoryrl.solvers.weight_class import distinct_policies

EXACT = 1e-12
"""Rounding allowed in the tests: a few dozen operations on numbers of size 1."""


@dataclass(frozen=True, eq=False)
class Expectations:
    """What the exact algorithms need of a class in its true model.

    Attributes
    ----------
    residual
        Exact residuals ``f_h - r - P max f_{h+1}``: shape [F, H, S A].
    d
        Occupancies of the different greedy policies: shape [N, H, S A].
    policy_of
        Number of the greedy policy of each function: shape [F].
    start
        Value that each function promises: shape [F].
    values
        True value of each policy: shape [N].
    benchmark
        The optimal value.
    best
        The first function that equals Q*, or -1.
    """

    residual: Float[np.ndarray, "F H C"]
    d: Float[np.ndarray, "N H C"]
    policy_of: Int[np.ndarray, " F"]
    start: Float[np.ndarray, " F"]
    values: Float[np.ndarray, " N"]
    benchmark: float
    best: int

    @classmethod
    def of(cls, mdp: EpisodicMDP, functions: FiniteFunctionClass) -> Expectations:
        """Compute them."""
        check_interval("functions.Q", functions.Q, 0.0, 1.0 + UNIT_SLACK)
        H, S, A = mdp.r.shape
        residual = exact_residuals(mdp, functions)
        actions, policy_of = distinct_policies(functions)
        policies = [DeterministicPolicy(a, A) for a in actions]
        d = np.stack([occupancy_measure(mdp, policy) for policy in policies])
        solution = backward_induction(mdp)
        same = np.abs(functions.Q - solution.action_values).max(axis=(1, 2, 3)) <= EXACT
        return cls(
            residual.reshape(len(functions), H, S * A),
            d.reshape(len(policies), H, S * A),
            policy_of,
            functions.Q[:, 0].max(axis=2) @ mdp.rho,
            np.array([policy_value(mdp, policy) for policy in policies]),
            solution.start_value,
            int(np.argmax(same)) if same.any() else -1,
        )

    @property
    def gaps(self) -> Float[np.ndarray, " F"]:
        """How far each function's policy is from optimal."""
        return np.asarray(self.benchmark - self.values[self.policy_of])

    @cached_property
    def coverability(self) -> float:
        """Coverability of the greedy policies."""
        return float(self.d.max(axis=0).sum(axis=1).max())

    @property
    def best_occupancy(self) -> Float[np.ndarray, "H C"]:
        """Occupancy of the greedy policy of Q*; raise ValueError if Q* is not in the class."""
        if self.best < 0:
            raise ValueError("functions must hold Q*; no function equals it")
        return np.asarray(self.d[self.policy_of[self.best]])


def exact_residuals(mdp: EpisodicMDP, functions: FiniteFunctionClass) -> Float[np.ndarray, "F H S A"]:
    """Return ``f_h(s, a) - r_h(s, a) - sum P_h(s' | s, a) max f_{h+1}(s')``."""
    Q = functions.Q
    V = np.concatenate([Q.max(axis=3), np.zeros((len(Q), 1, Q.shape[2]))], axis=1)
    return np.asarray(Q - mdp.r - np.einsum("hsat,fht->fhsa", mdp.P, V[:, 1:]))


@dataclass(frozen=True, eq=False)
class PopulationRun:
    """A run without noise.

    Attributes
    ----------
    played
        Function of each round: shape [T].
    gaps
        Loss of each function's policy: shape [F].
    alive
        Size of the version space of each round, 0 where it was not counted: shape [T].
    """

    played: Int[np.ndarray, " T"]
    gaps: Float[np.ndarray, " F"]
    alive: Int[np.ndarray, " T"]

    @property
    def regret(self) -> Float[np.ndarray, " T"]:
        """Cumulative regret after each round."""
        return np.cumsum(self.gaps[self.played])


def population_glow(
    model: CandidateMDP,
    rounds: int,
    gamma: float,
    a: float = 1.0,
    weights: str = "mixture",
    ties: str = "last",
    count_alive: bool = False,
) -> PopulationRun:
    """Run GLOW on expectations under the true model.

    Parameters
    ----------
    model
        The truth and the function class.
    rounds
        T.
    gamma, a
        ``gamma_t = gamma t`` and ``alpha_t = a / gamma_t``, both positive.
    weights
        ``"mixture"``, or ``"self"``.
    ties
        Which of several most optimistic functions is played.
    count_alive
        Whether to count the version spaces, which takes longer.

    Raises
    ------
    RealizabilityError
        If a version space is empty.
    """
    check_type("model", model, CandidateMDP)
    check_choice("weights", weights, ("mixture", "self"))
    t = np.arange(1, check_count("rounds", rounds) + 1)
    clip = _positive("gamma", gamma) * t
    exact = Expectations.of(model.mdp, model.hypotheses.functions)
    order = optimistic_order(exact.start, ties)
    alpha = _positive("a", a) / clip
    return play_glow(exact, order, clip, alpha, weights == "self", EXACT, count_alive)


def optimistic_order(start: Float[np.ndarray, " F"], ties: str) -> Int[np.ndarray, " F"]:
    """Return the functions from the most optimistic on; equal ones (up to 1e-12) by the tie rule."""
    check_ties(ties)
    number, falling = np.arange(len(start)), np.argsort(-start)
    level = np.empty(len(start), dtype=np.int64)
    level[falling] = np.cumsum(-np.diff(start[falling], prepend=start[falling[0]]) > TIE)
    return np.lexsort((number if ties == "first" else -number, level))


def play_glow(
    exact: Expectations,
    order: Int[np.ndarray, " F"],
    clip: Float[np.ndarray, " T"],
    alpha: Float[np.ndarray, " T"],
    own: bool = False,
    tolerance: float = EXACT,
    count_alive: bool = False,
) -> PopulationRun:
    """Run the rounds with the given order of preference, levels of clipping and quadratic factors."""
    played, alive = np.zeros(len(clip), dtype=np.int64), np.zeros(len(clip), dtype=np.int64)
    done = _population_kernels.glow_rounds(
        exact.residual,
        exact.d,
        exact.policy_of,
        order,
        clip,
        alpha,
        own,
        tolerance,
        count_alive,
        played,
        alive,
    )
    if done < len(clip):
        excess = _excess(exact, played[:done], clip[done], alpha[done], own)
        raise RealizabilityError(nothing_left(excess, 0.0, done + 1))
    return PopulationRun(played, exact.gaps, alive)


def _excess(
    exact: Expectations, played: Int[np.ndarray, " t"], clip: float, alpha: float, own: bool
) -> Float[np.ndarray, "H N F"]:
    """Return the tests of the round after those: stages, policies and functions, minus infinity if idle."""
    past, t = exact.d[exact.policy_of[played]].sum(axis=0), len(played) + 1
    weights = np.minimum(t * density_ratio(exact.d, past + exact.d), clip)
    law = past / (t - 1)
    linear = np.einsum("hc,nhc,fhc->hnf", law, weights, exact.residual)
    excess = linear - alpha * np.einsum("hc,nhc->hn", law, weights**2)[..., None]
    idle = own & (np.arange(len(exact.d))[:, None] != exact.policy_of)
    return np.asarray(np.where(idle, -np.inf, excess))


def population_mabo(
    exact: Expectations, mu: Float[np.ndarray, "H C"], clip: float, a: float = 1.0, single_stages: bool = True
) -> Float[np.ndarray, " F"]:
    """Return MABO.CR's objective of each function under the law mu, with the weights ``d^pi / mu``.

    The quadratic factor is ``a / clip``.
    """
    weights = np.minimum(density_ratio(exact.d, mu), _positive("clip", clip))
    residual = np.moveaxis(exact.residual, 0, -1)
    return mabo_objective(mu, mu[..., None] * residual, weights, _positive("a", a) / clip, single_stages)


def population_hyglow(
    model: CandidateMDP,
    nu: Float[np.ndarray, "H S A"],
    rounds: int,
    gamma: float,
    a: float = 1.0,
    ties: str = "last",
    offline: bool = True,
) -> PopulationRun:
    """Run H2O with MABO.CR on expectations under the true model.

    Parameters
    ----------
    model
        The truth and the function class.
    nu
        Law of the offline data: shape [H, S, A].
    rounds
        T.
    gamma, a
        ``gamma_t = gamma t`` and ``alpha_t = a / gamma_t``, both positive.
    ties
        Which of several minimisers is played.
    offline
        Without the offline data (after the first round) no theorem holds.
    """
    check_type("model", model, CandidateMDP)
    exact = Expectations.of(model.mdp, model.hypotheses.functions)
    clip = _positive("gamma", gamma) * np.arange(1, check_count("rounds", rounds) + 1)
    played = np.zeros(rounds, dtype=np.int64)
    _population_kernels.hyglow_rounds(
        exact.residual,
        exact.d,
        exact.policy_of,
        np.ascontiguousarray(nu, dtype=np.float64).reshape(exact.d.shape[1:]),
        clip,
        _positive("a", a) / clip,
        offline,
        check_ties(ties) == "last",
        TIE,
        played,
    )
    return PopulationRun(played, exact.gaps, np.zeros(rounds, dtype=np.int64))


def _positive(name: str, value: float) -> float:
    if check_real(name, value, low=0.0) == 0:
        raise ValueError(f"{name} must be positive; got {value!r}")
    return float(value)
