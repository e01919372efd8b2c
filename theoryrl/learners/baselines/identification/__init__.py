"""What FTPedel is compared with.

`VILCB` uses the offline data alone and certifies nothing. `GapUCBVI` explores by optimism, from the offline
data on, and stops by a bound on the gap of the policy that it plays. `ActionElimination` eliminates actions
state by state, as MOCA does. The last two look among all policies, not only those of the task's class.
`theoryrl.learners.FTPedel` with `collect` other than ``"design"`` is the ablation of the design.
"""

from theoryrl.learners.baselines.identification.elimination import ActionElimination
from theoryrl.learners.baselines.identification.gap_ucbvi import GapUCBVI
from theoryrl.learners.baselines.identification.vi_lcb import VILCB

__all__ = ["VILCB", "ActionElimination", "GapUCBVI"]
