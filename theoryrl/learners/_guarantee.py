"""What every learner with a `bonus_scale` does about it: check it, and say aloud when it voids the theory."""

from __future__ import annotations

import sys
import warnings

from theoryrl.models._validation import check_real


def check_bonus_scale(bonus_scale: float) -> float:
    """Return the factor on all bonuses; raise unless it is a positive number."""
    if check_real("bonus_scale", bonus_scale, low=0.0) == 0.0:
        raise ValueError("bonus_scale must be positive; got 0")
    return bonus_scale


def warn_if_void(learner: object, bonus_scale: float, *reasons: str) -> None:
    """Warn that the learner's guarantee is void, and why: bonuses below the theory's, or other reasons.

    To be called where the learner is built. Every such learner also has `guaranteed` false, which its
    traces record.
    """
    if bonus_scale < 1:
        reasons = (f"bonus_scale = {bonus_scale} is below 1", *reasons)
    if not reasons:
        return
    depth, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "theoryrl":
        depth, frame = depth + 1, frame.f_back  # up to the line outside this package
    message = f"{type(learner).__name__}: the guarantee is void ({'; '.join(reasons)})"
    warnings.warn(message, stacklevel=depth)
