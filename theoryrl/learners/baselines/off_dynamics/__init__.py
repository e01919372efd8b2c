"""What DR-RPO is compared with, on the same problems and with the same information."""

from theoryrl.learners.baselines.off_dynamics.relatives import DRLSVIUCB, LSVIUCB, RPO, WeDriveU

__all__ = ["DRLSVIUCB", "LSVIUCB", "RPO", "WeDriveU"]
