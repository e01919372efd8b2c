"""Change points of a stream: detectors, their restart rules, and how late they are.

=====================  ==========================================================================
detect                 `RestartedBOCPD`, `Detection`, `RestartRule`
how late               `detection_delay_bound`, `published_delay_bound`, `survival_bound`,
                       `survival_bound_given`, `plugin_delay`
for comparison         `glr_alarm`, `cusum_alarm`, `bocpd_alarm`
=====================  ==========================================================================
"""

from theoryrl.solvers.detection.alternatives import bocpd_alarm, cusum_alarm, glr_alarm
from theoryrl.solvers.detection.bank import DetectorBank
from theoryrl.solvers.detection.delay import (
    detection_delay_bound,
    plugin_delay,
    published_delay_bound,
    survival_bound,
    survival_bound_given,
)
from theoryrl.solvers.detection.restarted import Detection, RestartedBOCPD
from theoryrl.solvers.detection.rules import (
    RULES,
    RestartRule,
    log_compositions,
    log_likelihood,
    log_mixture,
)

__all__ = [
    "RULES",
    "Detection",
    "DetectorBank",
    "RestartRule",
    "RestartedBOCPD",
    "bocpd_alarm",
    "cusum_alarm",
    "detection_delay_bound",
    "glr_alarm",
    "log_compositions",
    "log_likelihood",
    "log_mixture",
    "plugin_delay",
    "published_delay_bound",
    "survival_bound",
    "survival_bound_given",
]
