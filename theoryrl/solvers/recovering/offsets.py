"""Random offsets: every arm keeps its relaxed frequency, and the K best of those that apply are pulled.

Each arm draws a uniform offset for its supporting period d_i; the fractional arm first draws its period.
At time t the arms with t = o_i (mod d_i) apply, and the K of largest R_i(d_i) are pulled. An arm that is
turned away only rests longer. At every t the candidates are independent, which gives

    E[average reward] >= E[sum of the K largest candidates] >= (1 - K^K e^-K / K!) UB,

the correlation gap of choosing K of a set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from theoryrl.models import OffsetSchedule, RecoveringBandit
from theoryrl.models._validation import check_count
from theoryrl.solvers.recovering.fluid import FluidSolution, fluid_bound


def correlation_gap(K: int) -> float:
    """Return 1 - K^K e^-K / K!, which is 1 - 1/e at K = 1 and about 1 - 1 / sqrt(2 pi K)."""
    check_count("K", K)
    return -math.expm1(K * math.log(K) - K - math.lgamma(K + 1))


@dataclass(frozen=True, eq=False)
class RandomOffsets:
    """The policy that draws offsets, and what its expected average reward is worth at least.

    Attributes
    ----------
    bandit, fluid
        The model and the relaxation that gives the periods.
    guarantee
        (1 - K^K e^-K / K!) UB.
    expected
        E[sum of the K largest candidates], exactly; between `guarantee` and UB.
    """

    bandit: RecoveringBandit
    fluid: FluidSolution
    guarantee: float
    expected: float

    def draw(self, rng: np.random.Generator) -> OffsetSchedule:
        """Draw periods and offsets, once for all time."""
        periods = self.fluid.below.copy()
        arm = self.fluid.fractional
        if arm is not None:
            above, share = int(self.fluid.above[arm]), self.fluid.share
            periods[arm] = above if rng.random() < share else periods[arm]
        offsets = rng.integers(np.maximum(periods, 1))
        worth = self.bandit.R[np.arange(len(periods)), np.clip(periods, 1, self.bandit.R.shape[1]) - 1]
        return OffsetSchedule(periods, offsets, np.where(worth > 0, worth, 1.0), self.bandit.K)


def random_offsets(bandit: RecoveringBandit) -> RandomOffsets:
    """Return the random-offset policy of a bandit.

    Raises
    ------
    ValueError
        If a curve decreases: an arm that is turned away would lose.
    """
    bandit.require_monotone("the random-offset policy")
    fluid = fluid_bound(bandit)
    rates, worth = candidates(bandit, fluid)
    expected = expected_top_k(rates, worth, bandit.K)
    return RandomOffsets(bandit, fluid, correlation_gap(bandit.K) * float(fluid.value), expected)


def candidates(
    bandit: RecoveringBandit, fluid: FluidSolution
) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, "N 2"]]:
    """Return how often each arm applies with its lower and its upper period, and what a pull is worth.

    The two columns exclude each other; only the fractional arm has a second one.
    """
    share = np.zeros(bandit.n_arms)
    if fluid.fractional is not None:
        share[fluid.fractional] = fluid.share
    periods = np.stack([fluid.below, fluid.above], axis=1)
    weights = np.stack([1 - share, share], axis=1)
    rates = np.divide(weights, periods, out=np.zeros(weights.shape), where=periods > 0)
    columns = np.clip(periods, 1, bandit.R.shape[1]) - 1
    return rates, np.take_along_axis(bandit.R, columns, axis=1)


def expected_top_k(rates: Float[np.ndarray, "N C"], worth: Float[np.ndarray, "N C"], K: int) -> float:
    """Return E[sum of the K largest worths present], arms independent, columns of an arm exclusive.

    It is the integral over u of E min(K, number of candidates worth more than u), and that number is a sum
    of independent indicators.
    """
    levels = np.unique(np.concatenate([[0.0], worth[rates > 0]]))[::-1]
    total = 0.0
    for upper, lower in pairwise(levels):
        present = np.where(worth >= upper, rates, 0.0).sum(axis=1)
        total += (upper - lower) * _mean_of_minimum(present[present > 0], K)
    return total


def _mean_of_minimum(probabilities: Float[np.ndarray, " M"], K: int) -> float:
    """Return E min(K, sum of independent indicators) by the recursion for their number, cut off at K."""
    law = np.zeros(K + 1)
    law[0] = 1.0
    for p in probabilities:
        full = law[K] + p * law[K - 1]
        law[1:K] = (1 - p) * law[1:K] + p * law[: K - 1]
        law[0] *= 1 - p
        law[K] = full
    return float(law @ np.arange(K + 1))
