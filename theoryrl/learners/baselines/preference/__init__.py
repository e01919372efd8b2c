"""What Nash-MP is compared with: methods for regularised preference games, under one signature."""

from theoryrl.learners.baselines.preference.nash_md import NashEMA, NashMD, NashMDPG
from theoryrl.learners.baselines.preference.references import MPO, IteratedReference
from theoryrl.learners.baselines.preference.self_play import EGPO, INPO, MMD, OMWU, OnlineIPO

__all__ = [
    "EGPO",
    "INPO",
    "MMD",
    "MPO",
    "OMWU",
    "IteratedReference",
    "NashEMA",
    "NashMD",
    "NashMDPG",
    "OnlineIPO",
]
