"""Learners of average-reward MDPs, and of those that change: what R-BOCPD-UCRL2 is compared with.

=========================  ======================================================================
do not expect a change     `UCRL2`, `UCRL2B`, `KLUCRL`, `AveragePSRL`
restart                    `OracleRestarts` (is told when), `UCRL2Restarts` (at fixed times)
forget what is old         `SWUCRL`, `SWUCRL2CW`, `BORL` (tunes the latter)
=========================  ======================================================================
"""

from theoryrl.learners.baselines.average.optimism import KLUCRL, UCRL2, UCRL2B
from theoryrl.learners.baselines.average.posterior import AveragePSRL
from theoryrl.learners.baselines.average.restarts import OracleRestarts, UCRL2Restarts
from theoryrl.learners.baselines.average.windows import BORL, SWUCRL, SWUCRL2CW

__all__ = [
    "BORL",
    "KLUCRL",
    "SWUCRL",
    "SWUCRL2CW",
    "UCRL2",
    "UCRL2B",
    "AveragePSRL",
    "OracleRestarts",
    "UCRL2Restarts",
]
