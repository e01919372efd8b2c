"""Exact solvers of MDPs in the long-run average, with certificates.

======================  =========================================================================
solve for the gain      `auto`, `policy_iteration`, `multichain_policy_iteration`,
                        `relative_value_iteration`, `linear_program`
choose among optima     `bias_optimal_policy`
judge a policy          `gain_and_bias`, `bias_span`, `stationary_distributions`, `mixing_time`
measure the model       `hitting_times`, `diameter`, and `theoryrl.solvers.communicating_classes`
sets of models          `extended_value_iteration`, `optimistic_kernel`, `set_maximum`
models that change      `segment_gains`
======================  =========================================================================

Every bound is derived in the module that computes it; sources say where a method comes from, and in
Puterman (1994) which chapter treats it. Theorem numbers are left out, as they were not looked up.
"""

from theoryrl.solvers.average.auto import auto
from theoryrl.solvers.average.bias import bias_span, gain_and_bias
from theoryrl.solvers.average.bias_optimal import bias_optimal_policy
from theoryrl.solvers.average.extended import (
    ExtendedSolution,
    extended_value_iteration,
    optimistic_kernel,
    set_maximum,
)
from theoryrl.solvers.average.linear_program import linear_program
from theoryrl.solvers.average.multichain import multichain_policy_iteration
from theoryrl.solvers.average.piecewise import SegmentSolution, segment_gains
from theoryrl.solvers.average.policy_iteration import policy_iteration
from theoryrl.solvers.average.relative_value_iteration import relative_value_iteration
from theoryrl.solvers.average.solution import BiasSolution, GainSolution
from theoryrl.solvers.average.stationary import (
    MixingTime,
    StationaryLaws,
    mixing_time,
    stationary_distributions,
)
from theoryrl.solvers.average.times import Diameter, TimeSolution, diameter, hitting_times

__all__ = [
    "BiasSolution",
    "Diameter",
    "ExtendedSolution",
    "GainSolution",
    "MixingTime",
    "SegmentSolution",
    "StationaryLaws",
    "TimeSolution",
    "auto",
    "bias_optimal_policy",
    "bias_span",
    "diameter",
    "extended_value_iteration",
    "gain_and_bias",
    "hitting_times",
    "linear_program",
    "mixing_time",
    "multichain_policy_iteration",
    "optimistic_kernel",
    "policy_iteration",
    "relative_value_iteration",
    "segment_gains",
    "set_maximum",
    "stationary_distributions",
]
