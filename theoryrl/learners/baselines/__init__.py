"""What the papers' algorithms are compared with.

`UCBVI`, `BPIUCBVI` and `PSRL` explore without a constraint. `AlwaysBaseline`, `FixedMixture` and
`OracleMixture` (which knows the true model) mark the range between no exploration and the cheapest
safe one. `Budget` keeps the cumulative constraint only. `OptCMDP`, `OptPessLP` and `DOPE` solve
constrained programs; the last two are safe in every episode with probability 1 - delta.
"""

from __future__ import annotations

from theoryrl.learners.baselines.bpi_ucbvi import BPIUCBVI
from theoryrl.learners.baselines.budget import Budget
from theoryrl.learners.baselines.dope import DOPE
from theoryrl.learners.baselines.mixtures import AlwaysBaseline, FixedMixture, OracleMixture
from theoryrl.learners.baselines.opt_cmdp import OptCMDP
from theoryrl.learners.baselines.opt_pess_lp import OptPessLP
from theoryrl.learners.baselines.psrl import PSRL
from theoryrl.learners.baselines.ucbvi import UCBVI

__all__ = [
    "BPIUCBVI",
    "DOPE",
    "PSRL",
    "UCBVI",
    "AlwaysBaseline",
    "Budget",
    "FixedMixture",
    "OptCMDP",
    "OptPessLP",
    "OracleMixture",
]
