"""GOLF: global optimism with squared Bellman errors, for classes that are complete.

For a joint class F and a class G that should hold all backups of F, with
``L_h(g, f) = sum (g - r - max f_{h+1})^2``::

    F_t = { f in F : L_h(f_h, f) - min over g in G of L_h(g_h, f) <= beta for all h },
    f_t optimistic in F_t.

Source: Jin, Liu and Miryoosefi (2021), Algorithm 1, recalled, and Xie et al. (2023) for its regret under
coverability; the constant in ``beta = c log(T H |F| |G| / delta)`` is recalled too, so runs carry no
guarantee.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.learners.candidates import (
    Candidates,
    RealizabilityError,
    ResidualSums,
    best,
    check_ties,
    require_hypotheses,
)
from theoryrl.models._validation import check_count, check_fraction, check_real
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories


@dataclass(slots=True, eq=False)
class GolfState:
    """What GOLF has seen.

    Attributes
    ----------
    candidates
        The class F.
    completion
        Values of G: shape [H, S A, G].
    sums
        Counts and residual sums.
    beta
        Radius of the version space.
    """

    candidates: Candidates
    completion: Float[np.ndarray, "H C G"]
    sums: ResidualSums
    beta: float


@dataclass(frozen=True)
class GOLF:
    """Optimism over functions whose squared Bellman error is nearly that of their best fit.

    Parameters
    ----------
    episodes
        Episodes between two plans.
    c
        Factor of the radius; the theory's is a constant that we have not verified.
    delta
        Failure probability, in (0, 1).
    ties
        Which of several most optimistic functions is played.

    Notes
    -----
    Diagnostics: ``function``, ``upper`` and ``version_space``, as for GLOW.
    """

    episodes: int = 1
    c: float = 1.0
    delta: float = 0.05
    ties: str = "first"

    key: ClassVar[str] = "golf"

    def __post_init__(self) -> None:
        check_count("episodes", self.episodes)
        check_real("c", self.c, low=0.0)
        check_fraction("delta", self.delta)
        check_ties(self.ties)

    @property
    def guaranteed(self) -> bool:
        """The constant of the radius is recalled: never."""
        return False

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> GolfState:
        """Return the state without data."""
        hypotheses = require_hypotheses(spec, "GOLF")
        candidates = Candidates.of(hypotheses.functions)
        G = hypotheses.completion or hypotheses.functions
        T = math.ceil(spec.rounds / self.episodes)
        size = T * spec.horizon * len(candidates) * len(G)
        return GolfState(
            candidates=candidates,
            completion=np.ascontiguousarray(np.moveaxis(G.Q, 0, -1)).reshape(spec.horizon, -1, len(G)),
            sums=ResidualSums.empty(candidates),
            beta=self.c * math.log(size / self.delta),
        )

    def plan(self, state: GolfState) -> EpisodicDecision:
        """Return the greedy policy of the most optimistic function that survives.

        Raises
        ------
        RealizabilityError
            If none does.
        """
        sums, F = state.sums, len(state.candidates)
        values: np.ndarray = np.zeros(F)
        alive: np.ndarray = np.ones(F, dtype=np.bool_)
        if sums.episodes:
            excess = excess_loss(state)
            alive = np.asarray((excess <= state.beta).all(axis=0))
            if not alive.any():
                h, f = (int(i) for i in np.unravel_index(int(excess.argmax()), excess.shape))
                raise RealizabilityError(
                    f"no function survives: the most violated test is (f, h) = ({f}, {h}), whose excess loss "
                    f"{excess[h, f]:.6g} is above beta = {state.beta:.6g}"
                )
            values = sums.first @ state.candidates.V[0] / sums.episodes
        chosen = best(values, alive, self.ties)
        diagnostics = {
            "function": float(chosen),
            "upper": float(values[chosen]),
            "version_space": float(alive.sum()),
        }
        return EpisodicDecision(state.candidates.policies[chosen], None, diagnostics, self.episodes)

    def update(self, state: GolfState, decision: EpisodicDecision, observation: Trajectories) -> GolfState:
        """Add the episodes."""
        state.sums.add(state.candidates, observation)
        return state


def excess_loss(state: GolfState) -> Float[np.ndarray, "H F"]:
    """Return ``L_h(f_h, f) - min_g L_h(g_h, f)``; the squares of the targets cancel."""
    N, Y = state.sums.N, state.sums.backed_up(state.candidates)
    Q = state.candidates.Q.reshape(Y.shape)
    own = np.einsum("hc,hcf->hf", N, Q * Q) - 2 * np.einsum("hcf,hcf->hf", Y, Q)
    G = state.completion
    each = np.einsum("hc,hcg->hg", N, G * G)[:, None] - 2 * np.einsum("hcf,hcg->hfg", Y, G)
    return np.asarray(own - each.min(axis=2))
