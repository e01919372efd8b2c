"""Exact answers: pure functions on models, each returning a certificate."""

from __future__ import annotations

from typing import Any

from theoryrl._registry import Registry
from theoryrl.models import ConservativeMDP, EpisodicMDP
from theoryrl.solvers import episodic
from theoryrl.solvers.episodic import *  # noqa: F403
from theoryrl.solvers.solution import Solution

EPISODIC_METHODS = Registry(
    "method",
    [
        ("backward-induction", episodic.backward_induction),
        ("linear-program", episodic.linear_program),
    ],
)


def solve(model: Any, method: str = "auto") -> Solution:
    """Solve a model for its optimal value and policy.

    Parameters
    ----------
    model
        An `EpisodicMDP`, or a `ConservativeMDP` (whose unconstrained optimum is returned).
    method
        ``"auto"`` (backward induction), ``"backward-induction"`` or ``"linear-program"``.

    Returns
    -------
    Solution
        With proven bounds on the optimal value.
    """
    if isinstance(model, ConservativeMDP):
        model = model.mdp
    if not isinstance(model, EpisodicMDP):
        raise TypeError(f"solve takes a model of theoryrl.models; got {type(model).__name__}")
    return EPISODIC_METHODS["backward-induction" if method == "auto" else method](model)


__all__ = ["EPISODIC_METHODS", "Solution", "solve", *episodic.__all__]
