"""Exact solvers of discounted MDPs: every answer has a proven error of at most the tolerance.

All iterative methods share one loop: a Bellman sweep bounds the optimal value from both sides, whatever
the iterate is, and the method proposes the next iterate. An answer that has not met its tolerance is
never returned: `NotConvergedError` carries the bounds that were reached, as `InterruptedSolve` does after
Ctrl-C.
"""

from theoryrl.solvers.discounted.auto import auto
from theoryrl.solvers.discounted.evaluation import DiscountedOccupancy, occupancy_measure, policy_evaluation
from theoryrl.solvers.discounted.linear_program import linear_program
from theoryrl.solvers.discounted.modified_policy_iteration import modified_policy_iteration
from theoryrl.solvers.discounted.policy_iteration import policy_iteration
from theoryrl.solvers.discounted.value_iteration import anderson_value_iteration, value_iteration
from theoryrl.solvers.solution import InterruptedSolve, NotConvergedError, Progress

__all__ = [
    "DiscountedOccupancy",
    "InterruptedSolve",
    "NotConvergedError",
    "Progress",
    "anderson_value_iteration",
    "auto",
    "linear_program",
    "modified_policy_iteration",
    "occupancy_measure",
    "policy_evaluation",
    "policy_iteration",
    "value_iteration",
]
