"""Structure coefficients of episodic MDPs: exact, each with proven bounds.

What the complexity of learning depends on: how likely each pair can be made (`reachability`), how well
one distribution covers every policy (`coverability`), how well a given one does (`concentrability`,
`clipped_concentrability`), how much one policy can visit every pair (`minimum_visitation`), how rarely
one can visit a pair without avoiding it (`smallest_positive_occupancy`), and how far actions and policies
are from optimal (`action_gaps`, `policy_gaps`).
"""

from theoryrl.solvers.coefficients.coefficient import Coefficient
from theoryrl.solvers.coefficients.concentrability import clipped_concentrability, concentrability
from theoryrl.solvers.coefficients.coverability import Coverability, coverability, coverability_distribution
from theoryrl.solvers.coefficients.gaps import Gaps, action_gaps, policy_gaps, suboptimality_gaps
from theoryrl.solvers.coefficients.ratios import density_ratio, largest_ratio, mean_clipped_ratio
from theoryrl.solvers.coefficients.reachability import (
    Reachability,
    occupancy_measures,
    reachability,
    reachable_states,
)
from theoryrl.solvers.coefficients.smallest import SmallestOccupancy, smallest_positive_occupancy
from theoryrl.solvers.coefficients.visitation import MinimumVisitation, minimum_visitation

__all__ = [
    "Coefficient",
    "Coverability",
    "Gaps",
    "MinimumVisitation",
    "Reachability",
    "SmallestOccupancy",
    "action_gaps",
    "clipped_concentrability",
    "concentrability",
    "coverability",
    "coverability_distribution",
    "density_ratio",
    "largest_ratio",
    "mean_clipped_ratio",
    "minimum_visitation",
    "occupancy_measures",
    "policy_gaps",
    "reachability",
    "reachable_states",
    "smallest_positive_occupancy",
    "suboptimality_gaps",
]
