"""The protocol that joins a problem and a learner, and the loop that plays them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from theoryrl.models import ConservativeMDP, EpisodicMDP, RobustLinearMDP
from theoryrl.protocol.core import (
    Audit,
    Decision,
    Environment,
    Learner,
    Outcome,
    Problem,
    Run,
    Streams,
)
from theoryrl.protocol.episodic import EpisodicDecision, EpisodicProblem, EpisodicSpec
from theoryrl.protocol.off_dynamics import Approximation, OffDynamicsProblem, OffDynamicsSpec
from theoryrl.protocol.trace import Trace

_POSED: Mapping[type, tuple[Callable[..., Problem[Any, Any]], str]] = {
    EpisodicMDP: (EpisodicProblem, "episodic"),
    ConservativeMDP: (EpisodicProblem.from_conservative, "conservative"),
    RobustLinearMDP: (OffDynamicsProblem, "off-dynamics"),
}
"""Type of model to the problem that it poses, and that problem's key when none is given."""


def as_problem(model: Any, key: str | None = None) -> Problem[Any, Any]:
    """Return the problem that a model poses; a problem is returned as it is."""
    if type(model) in _POSED:
        pose, default = _POSED[type(model)]
        return pose(model, key or default)
    if hasattr(model, "environment") and hasattr(model, "spec"):
        return model
    raise TypeError(f"expected a model or a problem; got {type(model).__name__}")


def play(
    problem: Any,
    learner: Learner[Any, Any, Any, Any],
    rounds: int,
    seed: int = 0,
    *,
    audit: Audit | None = None,
    stepwise: bool = False,
) -> Trace:
    """Let a learner play a problem.

    Parameters
    ----------
    problem
        A problem, or a model that poses one.
    learner
        The algorithm.
    rounds
        Horizon K (episodes, steps or iterations).
    seed
        Same seed, same trace.
    audit
        `audit(problem, state, decision)` adds numbers computed with the true model to the trace.
    stepwise
        One round per call instead of whole stretches: slower, and identical.

    Returns
    -------
    Trace
        Exact values, benchmark and diagnostics of every round.
    """
    return Run(as_problem(problem), learner, rounds, seed, audit, stepwise).advance().trace


__all__ = [
    "Approximation",
    "Audit",
    "Decision",
    "Environment",
    "EpisodicDecision",
    "EpisodicProblem",
    "EpisodicSpec",
    "Learner",
    "OffDynamicsProblem",
    "OffDynamicsSpec",
    "Outcome",
    "Problem",
    "Run",
    "Streams",
    "Trace",
    "as_problem",
    "play",
]
