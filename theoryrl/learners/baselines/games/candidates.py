"""Learners with a finite list of candidate games that MEX is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners._candidates import CandidateLearner, CandidateState
from theoryrl.learners.mex_games import decide
from theoryrl.protocol import GameDecision

TIE = 1e-9
"""Difference of log-likelihoods that counts as none: rounding of sums of up to 10^5 logarithms."""


@dataclass(frozen=True)
class GreedyGame(CandidateLearner):
    """Both players believe the most likely candidate.

    It is the limit of `MEXGame` for eta to infinity: of equally likely candidates the main player believes
    the one with the largest value, the exploiter the one with the smallest guarantee. Diagnostics: those
    of `MEXGame`.
    """

    key: ClassVar[str] = "greedy-game"

    @property
    def guaranteed(self) -> bool:
        """Never: its regret may grow linearly."""
        return False

    def plan(self, state: CandidateState) -> GameDecision:
        """Choose a most likely candidate for each."""
        losses = state.possible
        likely = losses <= losses.min() + TIE
        f = int(np.where(likely, state.plans.values, -np.inf).argmax())
        if not state.spec.self_play:
            return decide(state, f, None)
        return decide(state, f, int(np.where(likely, state.plans.responses(f).start, np.inf).argmin()))


@dataclass(frozen=True)
class PosteriorGame(CandidateLearner):
    """Main player and exploiter each draw a candidate from the posterior of a uniform prior.

    Notes
    -----
    Source: Xiong et al. (2022), "A Self-Play Posterior Sampling Algorithm for Zero-Sum Markov Games", for
    the two roles; here without its optimistic reward of the main player. Diagnostics: those of `MEXGame`.
    """

    key: ClassVar[str] = "posterior-game"

    @property
    def guaranteed(self) -> bool:
        """Never: no theorem here takes its runs."""
        return False

    def plan(self, state: CandidateState) -> GameDecision:
        """Draw a candidate for each."""
        losses = state.possible
        weights = np.exp(losses.min() - losses)
        f, g = state.rng.choice(len(weights), size=2, p=weights / weights.sum())
        return decide(state, int(f), int(g) if state.spec.self_play else None)
