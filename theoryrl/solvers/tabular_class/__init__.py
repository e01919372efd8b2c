"""GLOW's optimisation problems for the class of all tabular functions.

Over all weights (`worst_weight`, `chi_square_optimism`) they have closed forms; over finitely many they
are linear programs for a fixed policy, and mixed-integer programs in general (`optimistic_program`).
"""

from theoryrl.solvers.tabular_class.chi_square import chi_square_optimism
from theoryrl.solvers.tabular_class.optimum import OptimisticValue
from theoryrl.solvers.tabular_class.program import optimistic_program
from theoryrl.solvers.tabular_class.weights import worst_weight

__all__ = ["OptimisticValue", "chi_square_optimism", "optimistic_program", "worst_weight"]
