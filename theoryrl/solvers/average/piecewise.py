"""The optimal gain of each segment of a model that changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.models import DeterministicPolicy, PiecewiseStationaryMDP
from theoryrl.models._validation import check_type
from theoryrl.solvers.average.auto import auto
from theoryrl.solvers.classes import communicating_classes
from theoryrl.solvers.solution import Solution


@dataclass(frozen=True, eq=False)
class SegmentSolution(Solution):
    """Optimal gains of the segments: `value`, `lower` and `upper` have shape [L].

    `policy` has the segments as its stages: actions of shape [L, S].
    """

    entry: ClassVar[str] = "segment"


def segment_gains(model: PiecewiseStationaryMDP, tol: float = 1e-9) -> SegmentSolution:
    """Return the optimal gain and an optimal policy of every segment.

    Parameters
    ----------
    model
        The model; every segment must be communicating, so that its gain is the same in all states.
    tol
        Largest error of each gain.

    Raises
    ------
    ValueError
        If a segment is not communicating: its diameter is infinite.
    """
    check_type("model", model, PiecewiseStationaryMDP)
    found = []
    for index, mdp in enumerate(model.segments):
        if mdp.n_states > 1 and not communicating_classes(mdp).is_communicating:
            raise ValueError(f"P[{index}] must be communicating; its diameter is infinite")
        found.append(auto(mdp, tol))
    low, high = (np.array([getattr(s, name)[0] for s in found]) for name in ("lower", "upper"))
    actions = np.stack([s.policy.actions for s in found])
    return SegmentSolution(
        value=low + (high - low) / 2,
        policy=DeterministicPolicy(actions, model.n_actions),
        lower=low,
        upper=high,
        iterations=sum(s.iterations for s in found),
        method="one segment after the other",
    )
