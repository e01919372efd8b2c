"""Exact solvers of two-player zero-sum Markov games."""

from theoryrl.solvers.markov_game.equilibrium import (
    MarkovGameSolution,
    markov_game_equilibrium,
    small_matrix_game,
)
from theoryrl.solvers.markov_game.evaluation import (
    Responses,
    ResponseSolution,
    best_response,
    best_responses,
    joint_model,
    joint_policy,
    nash_gap,
    pair_evaluation,
    pair_occupancy,
    pair_value,
)
from theoryrl.solvers.markov_game.simulation import GameSimulator, GameTrajectory

__all__ = [
    "GameSimulator",
    "GameTrajectory",
    "MarkovGameSolution",
    "ResponseSolution",
    "Responses",
    "best_response",
    "best_responses",
    "joint_model",
    "joint_policy",
    "markov_game_equilibrium",
    "nash_gap",
    "pair_evaluation",
    "pair_occupancy",
    "pair_value",
    "small_matrix_game",
]
