"""Exact solvers of robust MDPs: inner problems, planning, occupancy."""

from theoryrl.solvers.robust.backups import RobustExpectation, robust_expectation
from theoryrl.solvers.robust.discounted import DiscountedRobustSolution
from theoryrl.solvers.robust.planning import (
    AscentSolution,
    RobustSolution,
    robust_mirror_ascent,
    robust_occupancy,
    robust_policy_evaluation,
    robust_value_iteration,
)

__all__ = [
    "AscentSolution",
    "DiscountedRobustSolution",
    "RobustExpectation",
    "RobustSolution",
    "robust_expectation",
    "robust_mirror_ascent",
    "robust_occupancy",
    "robust_policy_evaluation",
    "robust_value_iteration",
]
