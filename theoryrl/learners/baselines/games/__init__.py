"""Learners of zero-sum Markov games that MEX is compared with."""

from theoryrl.learners.baselines.games.candidates import GreedyGame, PosteriorGame
from theoryrl.learners.baselines.games.optimistic import VIULCB, NashVI

__all__ = ["VIULCB", "GreedyGame", "NashVI", "PosteriorGame"]
