"""What the papers' algorithms are compared with.

| key | class | knows | safe in every episode |
|---|---|---|---|
| `ucbvi` | `UCBVI` | nothing | no |
| `psrl` | `PSRL` | a prior | no |
| `always-baseline` | `AlwaysBaseline` | the baseline | yes |
| `fixed-mixture` | `FixedMixture` | the baseline | no |
| `oracle-mixture` | `OracleMixture` | the true model | yes |
| `opt-cmdp` | `OptCMDP` | baseline, threshold, rewards | no |
| `opt-pess-lp` | `OptPessLP` | baseline, threshold, rewards | with probability 1 - delta |
| `dope` | `DOPE` | baseline, threshold, rewards | with probability 1 - delta |
"""

from __future__ import annotations

from typing import Any

from theoryrl.learners.baselines.dope import DOPE
from theoryrl.learners.baselines.mixtures import AlwaysBaseline, FixedMixture, OracleMixture
from theoryrl.learners.baselines.opt_cmdp import OptCMDP
from theoryrl.learners.baselines.opt_pess_lp import OptPessLP
from theoryrl.learners.baselines.psrl import PSRL
from theoryrl.learners.baselines.ucbvi import UCBVI

BASELINES: list[tuple[str, type[Any]]] = [
    (learner.key, learner)
    for learner in (UCBVI, PSRL, AlwaysBaseline, FixedMixture, OracleMixture, OptCMDP, OptPessLP, DOPE)
]
"""Key and class of every baseline."""

__all__ = [
    "BASELINES",
    "DOPE",
    "PSRL",
    "UCBVI",
    "AlwaysBaseline",
    "FixedMixture",
    "OptCMDP",
    "OptPessLP",
    "OracleMixture",
]
