r"""Stationary laws and mixing times of a policy's chain.

Certificate of a law p' with p' P - p' = nu: for 0 <= f <= 1 let h solve Poisson's equation f - p f =
(I - P) h. Then (p' - p) f = p' (I - P) h = -nu h, and ``|h| <= 2 max w`` with h = 0 in an anchor that is
reached within expected time w; so::

    |p' - p|_1 <= 2 max(w) |nu|_1,    up to the constants that rounding adds.

The mixing time is the first t with d(t) = max_s TV(P^t(s, .), p) <= epsilon (Levin, Peres and Wilmer 2009,
section 4.5); d does not increase, so it is found by repeated squaring and bisection.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from theoryrl.models import AverageRewardMDP, MarkovPolicy
from theoryrl.models._validation import check_fraction, check_memory, check_type
from theoryrl.solvers._chain_systems import PoissonSystem, proven_times, submatrix
from theoryrl.solvers._rows import policy_chain
from theoryrl.solvers.average.evaluation import frequent_states
from theoryrl.solvers.classes import closed_classes, period
from theoryrl.solvers.solution import rounding_unit

MOST_DOUBLINGS = 62


@dataclass(frozen=True, eq=False)
class StationaryLaws:
    """The stationary law of each recurrent class.

    Attributes
    ----------
    distributions
        One row for each class, zero outside it: shape [K, S].
    errors
        Proven bounds on the L1 distance of each row from the true law: shape [K].
    classes
        Number of the recurrent class of each state, -1 if transient: shape [S].
    periods
        Period of each class: shape [K].
    """

    distributions: Float[np.ndarray, "K S"]
    errors: Float[np.ndarray, " K"]
    classes: Int[np.ndarray, " S"]
    periods: Int[np.ndarray, " K"]


def stationary_distributions(mdp: AverageRewardMDP, policy: MarkovPolicy) -> StationaryLaws:
    """Return the stationary law of every recurrent class of a policy; periodic classes have one too."""
    check_type("mdp", mdp, AverageRewardMDP)
    P, _ = policy_chain(mdp, policy)
    tau = 2 * mdp.row_sum_error + 4 * rounding_unit(mdp.n_actions + 2)
    return _laws(P, tau)


def _laws(P: Any, tau: float) -> StationaryLaws:
    classes = closed_classes(P)
    members = np.flatnonzero(classes >= 0)
    groups = classes[members]
    K = int(groups.max()) + 1
    check_memory("distributions", K, classes.size)
    inside = submatrix(P, members, members)
    system = PoissonSystem(inside, groups, frequent_states(inside, groups))
    law = np.maximum(np.nan_to_num(system.solve_stationary()), 0.0)
    law /= np.maximum(np.bincount(groups, law, K), 1e-300)[groups]
    spread = sparse.csr_array((law, (groups, members)), shape=(K, classes.size))
    return StationaryLaws(
        spread.toarray(),
        _law_errors(inside, law, groups, system.anchors, tau),
        classes,
        np.array([period(P, np.flatnonzero(classes == k)) for k in range(K)]),
    )


def _law_errors(P: Any, law: np.ndarray, groups: np.ndarray, anchors: np.ndarray, tau: float) -> np.ndarray:
    """Return the bound of this module's docstring for each class."""
    K, n = anchors.size, groups.size
    onward = P.T @ law
    unit = rounding_unit(n + 4) + tau
    residual = np.bincount(groups, np.abs(onward - law) + unit * (onward + law), K)
    others = np.ones(n, dtype=np.bool_)
    others[anchors] = False
    rest = np.flatnonzero(others)
    w = np.zeros(n)
    w[rest] = proven_times(submatrix(P, rest, rest), tau)
    longest = np.ones(K)
    np.maximum.at(longest, groups, w)
    total = np.bincount(groups, law, K)
    error = (2 * longest * residual + np.abs(total - 1) + unit) * (1 + 1e-10)
    return np.minimum(np.where(np.isnan(error), 2.0, error), 2.0)


@dataclass(frozen=True)
class MixingTime:
    """The mixing time lies in [lower, upper]; the two agree unless rounding blurs the last step.

    Both are infinite if the chain has several recurrent classes or a period.
    """

    lower: float
    upper: float


def mixing_time(mdp: AverageRewardMDP, policy: MarkovPolicy, epsilon: float = 0.25) -> MixingTime:
    """Return the first t at which every start is within `epsilon` of the stationary law.

    Parameters
    ----------
    mdp, policy
        The chain; kept as a dense matrix of S^2 numbers for each power of two up to the answer.
    epsilon
        Distance in total variation, in (0, 1).
    """
    check_type("mdp", mdp, AverageRewardMDP)
    check_fraction("epsilon", epsilon)
    S = mdp.n_states
    check_memory("powers", 8, S, S)
    P, _ = policy_chain(mdp, policy)
    tau = 2 * mdp.row_sum_error + 4 * rounding_unit(mdp.n_actions + 2)
    laws = _laws(P, tau)
    if laws.errors.size > 1 or laws.periods[0] > 1:
        return MixingTime(math.inf, math.inf)
    dense = P if isinstance(P, np.ndarray) else P.toarray()
    search = _Powers(dense, laws.distributions[0], float(laws.errors[0]) / 2, tau)
    upper = search.first(lambda distance, error: distance + error <= epsilon)
    lower = search.first(lambda distance, error: distance - error <= epsilon)
    return MixingTime(min(lower, 2.0**MOST_DOUBLINGS), upper)


class _Powers:
    """P, P^2, P^4, ..., made when needed, with bounds on their errors."""

    def __init__(self, P: np.ndarray, law: np.ndarray, law_error: float, tau: float) -> None:
        self.law, self.law_error = law, law_error
        self.unit = rounding_unit(P.shape[0] + 2)
        self.powers, self.errors = [P], [tau]

    def first(self, close: Callable[[float, float], bool]) -> float:
        """Return the first t for which close(d(t), its error) holds; infinity if there is none."""
        t, M, error = 0, np.eye(self.law.size), 0.0
        if close(*self._distance(M, error)):
            return 0.0
        k = 0
        while not close(*self._distance(*self._power(k))):
            k += 1
            if k > MOST_DOUBLINGS or self._power(k)[1] > 1:
                return math.inf
        for j in range(k - 1, -1, -1):
            step, step_error = self._power(j)
            candidate = M @ step
            candidate_error = self._joined(error, step_error)
            if not close(*self._distance(candidate, candidate_error)):
                t, M, error = t + 2**j, candidate, candidate_error
        return float(t + 1)

    def _power(self, k: int) -> tuple[np.ndarray, float]:
        while len(self.powers) <= k:
            last, error = self.powers[-1], self.errors[-1]
            self.powers.append(last @ last)
            self.errors.append(self._joined(error, error))
        return self.powers[k], self.errors[k]

    def _joined(self, first: float, second: float) -> float:
        """Bound the largest row-sum error of a product of matrices with row sums of one."""
        return first + second + first * second + self.unit * (1 + first) * (1 + second)

    def _distance(self, M: np.ndarray, error: float) -> tuple[float, float]:
        distance = 0.5 * float(np.abs(M - self.law).sum(axis=1).max())
        return distance, 0.5 * error + self.law_error + 2 * self.unit
