"""What DR-RPO is compared with, on the same problems and with the same information."""

from theoryrl.learners.baselines.off_dynamics.offline import DRPVI, PEVI, R2PVI, VADRPVI
from theoryrl.learners.baselines.off_dynamics.relatives import DRLSVIUCB, LSVIUCB, RPO, WeDriveU
from theoryrl.learners.baselines.off_dynamics.tabular import RobustUCBVI

__all__ = [
    "DRLSVIUCB",
    "DRPVI",
    "LSVIUCB",
    "PEVI",
    "R2PVI",
    "RPO",
    "VADRPVI",
    "RobustUCBVI",
    "WeDriveU",
]
