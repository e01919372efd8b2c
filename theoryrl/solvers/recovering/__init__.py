"""Planning for recovering bandits: the exact optimum, the relaxation, and periodic policies."""

from theoryrl.solvers.recovering.exact import (
    CycleSolution,
    IdleGraph,
    finite_horizon_value,
    idle_time_graph,
    optimal_cycle,
)
from theoryrl.solvers.recovering.fluid import FluidSolution, fluid_bound
from theoryrl.solvers.recovering.offsets import RandomOffsets, correlation_gap, random_offsets
from theoryrl.solvers.recovering.periodic import (
    PeriodicSolution,
    best_classes,
    pack,
    periodic_value,
    planner_ratio,
    ppp_guarantee,
    purely_periodic,
    round_up,
    structured_periods,
)
from theoryrl.solvers.recovering.simulation import Play, Pulls, pulls_over_time, rewards_over_time

__all__ = [
    "CycleSolution",
    "FluidSolution",
    "IdleGraph",
    "PeriodicSolution",
    "Play",
    "Pulls",
    "RandomOffsets",
    "best_classes",
    "correlation_gap",
    "finite_horizon_value",
    "fluid_bound",
    "idle_time_graph",
    "optimal_cycle",
    "pack",
    "periodic_value",
    "planner_ratio",
    "ppp_guarantee",
    "pulls_over_time",
    "purely_periodic",
    "random_offsets",
    "rewards_over_time",
    "round_up",
    "structured_periods",
]
