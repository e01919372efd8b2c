"""Coverability: how well one distribution can cover every policy.

    C_cov(Pi) = max_h inf_mu sup_{pi in Pi} max_{s,a} d_h^pi(s, a) / mu(s, a)
              = max_h sum_{s,a} max_{pi in Pi} d_h^pi(s, a).

The infimum is attained by ``mu_h(s, a)`` proportional to ``q_h(s, a) = max_pi d_h^pi(s, a)``, which
makes every ratio at most the sum of q_h; conversely ``q_h <= C mu`` summed over (s, a) gives
``sum q_h <= C``. It lies between 1 and the smaller of S A and the number of policies, and grows with
the set of policies.

Source: Xie, Foster, Bai, Jiang and Kakade (2023), "The Role of Coverage in Online Reinforcement Learning",
recalled; the proof is the paragraph above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theoryrl.models import EpisodicMDP, MarkovPolicy, MixturePolicy
from theoryrl.solvers.coefficients.coefficient import Coefficient, Enclosure, enclose_sum
from theoryrl.solvers.coefficients.reachability import reachability


@dataclass(frozen=True, eq=False)
class Coverability(Coefficient):
    """Coverability of each stage, the largest of them, and the distribution that attains them.

    Attributes
    ----------
    distribution
        ``mu_h(s, a)``: shape [H, S, A]; each stage sums to one.
    """

    distribution: Float[np.ndarray, "H S A"]


def coverability(
    mdp: EpisodicMDP, policies: Sequence[MarkovPolicy | MixturePolicy] | None = None
) -> Coverability:
    """Return the coverability of all policies, or of a finite set.

    Parameters
    ----------
    mdp
        The model; its rewards play no part.
    policies
        A finite set of policies, or None for all of them. Mixing members of a set does not change its
        coverability.

    Returns
    -------
    Coverability
        Exact up to rounding, which the bounds account for.

    Raises
    ------
    ValueError
        If the set is empty, or a policy does not fit the model.
    """
    reach = reachability(mdp, policies)
    total = enclose_sum(Enclosure(reach.pairs, reach.pairs_lower, reach.pairs_upper), 2)
    distribution = reach.pairs / total.value[:, None, None]
    return Coverability(total.value, total.lower, total.upper, distribution=distribution)


def coverability_distribution(
    mdp: EpisodicMDP, policies: Sequence[MarkovPolicy | MixturePolicy] | None = None
) -> Float[np.ndarray, "H S A"]:
    """Return the distribution ``mu_h(s, a)`` that attains the coverability of each stage."""
    return coverability(mdp, policies).distribution
