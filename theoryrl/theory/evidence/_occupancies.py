"""Occupancies and values of deterministic policies, many at a time, without compilation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models import EpisodicMDP


def deterministic_occupancies(
    P: Float[np.ndarray, "H S A S"], rho: Float[np.ndarray, " S"], policies: Int[np.ndarray, "M H S"]
) -> Float[np.ndarray, "M H S"]:
    """Return d[m, h, s] = Pr(s_h = s) under each deterministic policy."""
    M, H, S = policies.shape
    d = np.empty((M, H, S))
    d[:, 0] = rho
    states = np.arange(S)
    for h in range(H - 1):
        d[:, h + 1] = np.einsum("ms,mst->mt", d[:, h], P[h][states, policies[:, h]])
    return d


def start_values(mdp: EpisodicMDP, actions: Int[np.ndarray, "H S"]) -> float:
    """Return the value of a deterministic policy, from its occupancies."""
    d = deterministic_occupancies(mdp.P, mdp.rho, actions[None])[0]
    H, S = actions.shape
    return float(np.sum(d * mdp.r[np.arange(H)[:, None], np.arange(S), actions]))
