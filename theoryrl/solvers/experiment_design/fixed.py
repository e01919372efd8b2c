"""How many episodes a given exploration needs: what the best design is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.models import EpisodicMDP, PolicyClass
from theoryrl.models._validation import check_real
from theoryrl.solvers.experiment_design.coefficient import design_errors


def fixed_exploration_episodes(
    mdp: EpisodicMDP,
    policies: PolicyClass,
    eps: float,
    beta: float,
    exploration: Float[np.ndarray, "H S A"],
    offline: Any = None,
) -> float:
    """Return the least T with ``C(T w) <= 1/beta`` for the occupancy measure w of one exploration.

    Parameters
    ----------
    mdp, policies, eps, beta, offline
        As for `minimal_online_episodes`.
    exploration
        w[h, s, a], such as that of uniform actions, or the mean over a class.

    Returns
    -------
    float
        Accurate to rounding (bisection to the last bit); infinite if the exploration misses what it must see.
    """
    network, errors, limits = design_errors(mdp, policies, eps, offline)
    if check_real("beta", beta, low=0.0) == 0:
        raise ValueError(f"beta must be positive; got {beta!r}")
    w = np.asarray(exploration)[network.used]

    def fits(T: float) -> bool:
        return bool((errors.values(T * w) * beta <= limits).all())

    if fits(0.0):
        return 0.0
    high = 1.0
    while not fits(high):
        high *= 2
        if high > 1e300:
            return float("inf")
    low = 0.0 if high == 1 else high / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high
