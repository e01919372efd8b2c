"""Exact solvers of finite-horizon MDPs."""

from theoryrl.solvers.episodic.counts import simulate_counts
from theoryrl.solvers.episodic.linear_program import flow_constraints, linear_program, policy_from_occupancy
from theoryrl.solvers.episodic.nested import (
    mix_at_stage,
    nested_policy,
    performance_difference,
)
from theoryrl.solvers.episodic.planning import (
    EpisodicSolution,
    backward_induction,
    markov_value,
    occupancy_measure,
    policy_evaluation,
    policy_value,
)
from theoryrl.solvers.episodic.simulation import Simulator, Trajectories, simulate_episodes

__all__ = [
    "EpisodicSolution",
    "Simulator",
    "Trajectories",
    "backward_induction",
    "flow_constraints",
    "linear_program",
    "markov_value",
    "mix_at_stage",
    "nested_policy",
    "occupancy_measure",
    "performance_difference",
    "policy_evaluation",
    "policy_from_occupancy",
    "policy_value",
    "simulate_counts",
    "simulate_episodes",
]
