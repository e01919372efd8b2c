"""Exact solvers of total rewards and stochastic shortest paths, with certificates."""

from theoryrl.solvers.total._problem import proper_states
from theoryrl.solvers.total.interval_iteration import interval_iteration
from theoryrl.solvers.total.optimistic_iteration import optimistic_value_iteration
from theoryrl.solvers.total.policy_iteration import policy_iteration
from theoryrl.solvers.total.solution import TotalSolution

__all__ = [
    "TotalSolution",
    "interval_iteration",
    "optimistic_value_iteration",
    "policy_iteration",
    "proper_states",
]
