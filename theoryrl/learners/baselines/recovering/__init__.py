"""What PeriodicUCB is compared with, on recovering bandits.

Oracles, which know the curves: `GreedyOracle`, `RoundRobinOracle`, `PeriodicOracle`, `OptimalCycle`,
`RandomOffsetsOracle`, `InterleavedOracle` (recharging bandits) and `LookaheadOracle`. Learners: `UCBGreedy`,
`BlockingUCB` (blocking bandits, delays known) and `GPLookahead` (recovering bandits with Gaussian
processes, on the table of idle times).
"""

from __future__ import annotations

from theoryrl.learners.baselines.recovering.index import BlockingUCB, UCBGreedy
from theoryrl.learners.baselines.recovering.lookahead import GPLookahead, LookaheadOracle
from theoryrl.learners.baselines.recovering.oracles import (
    GreedyOracle,
    InterleavedOracle,
    OptimalCycle,
    PeriodicOracle,
    RandomOffsetsOracle,
    RoundRobinOracle,
)

__all__ = [
    "BlockingUCB",
    "GPLookahead",
    "GreedyOracle",
    "InterleavedOracle",
    "LookaheadOracle",
    "OptimalCycle",
    "PeriodicOracle",
    "RandomOffsetsOracle",
    "RoundRobinOracle",
    "UCBGreedy",
]
