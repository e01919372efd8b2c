"""What model-based learners ask of their spec and of their visit counts."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models import MarkovPolicy
from theoryrl.protocol import EpisodicSpec


def visit_budget(n: Int[np.ndarray, "*cells"], growth: float) -> Int[np.ndarray, "*cells"] | None:
    """Return how many more visits each cell takes for its count to grow by the factor 1 + growth.

    At least one, so that a first visit always counts; None (decide anew after each round) for
    growth = 0.
    """
    if growth == 0.0:
        return None
    # The slack keeps rounding from asking for one visit more, as in 1.1 * 10 = 11.000000000000002.
    target = np.ceil((1.0 + growth) * n - 1e-9).astype(np.int64)
    budget: np.ndarray = np.maximum(1, target - n)
    return budget


def require_unit_rewards(spec: EpisodicSpec) -> None:
    """Raise unless every expected reward lies in [0, 1], as the theorems assume."""
    low, high = spec.reward_range
    if low < 0.0 or high > 1.0:
        raise ValueError(f"reward_range must be within [0, 1]; got {spec.reward_range!r}")


def refuse_reward(rewards: Float[np.ndarray, "N H"], position: int) -> None:
    """Raise for the observed reward at this position in C order, if the position is not negative."""
    if position >= 0:
        i, h = divmod(position, rewards.shape[1])
        raise ValueError(f"rewards[{i}, {h}] must be in [0, 1]; got {float(rewards[i, h])!r}")


def require_baseline(spec: EpisodicSpec, learner: str) -> MarkovPolicy:
    """Return the baseline policy of a conservative problem."""
    if spec.baseline is None:
        raise ValueError(f"{learner} needs a problem with a baseline policy; spec.baseline is None")
    return spec.baseline


def require_threshold(spec: EpisodicSpec, learner: str) -> float:
    """Return the value that no episode may fall below."""
    if spec.threshold is None:
        raise ValueError(f"{learner} needs a problem with a threshold; spec.threshold is None")
    if not 0 <= spec.threshold < spec.horizon:
        raise ValueError(f"spec.threshold must be in [0, {spec.horizon}); got {spec.threshold!r}")
    return spec.threshold
