"""What tests/ and proofs_checks/ share."""

import os

import matplotlib
from hypothesis import HealthCheck, settings

matplotlib.use("Agg")

# The first call of a compiled kernel takes seconds, so no test has a deadline.
settings.register_profile("default", deadline=None, derandomize=True, database=None)
settings.register_profile(
    "search", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
