"""Exact answers: pure functions on models, each returning a certificate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from theoryrl._registry import Registry
from theoryrl.models import (
    ConservativeMDP,
    ConstrainedMDP,
    DiscountedMDP,
    EpisodicMDP,
    ImplicitMDP,
    RobustLinearMDP,
    RobustMDP,
)
from theoryrl.solvers import coefficients, discounted, episodic, robust, tabular_class
from theoryrl.solvers.coefficients import *  # noqa: F403
from theoryrl.solvers.constrained import (
    ConstrainedSolution,
    InfeasibleError,
    constrained_linear_program,
)
from theoryrl.solvers.discounted import (
    InterruptedSolve,
    NotConvergedError,
    anderson_value_iteration,
    modified_policy_iteration,
    policy_iteration,
    value_iteration,
)
from theoryrl.solvers.episodic import *  # noqa: F403
from theoryrl.solvers.robust import *  # noqa: F403
from theoryrl.solvers.solution import Solution
from theoryrl.solvers.tabular_class import *  # noqa: F403

_ROBUST: Registry[Callable[..., Solution]] = Registry(
    "method",
    [
        ("robust-value-iteration", robust.robust_value_iteration),
        ("robust-mirror-ascent", robust.robust_mirror_ascent),
    ],
)

_ITERATIVE: list[tuple[str, Callable[..., Solution]]] = [
    ("auto", discounted.auto),
    ("modified-policy-iteration", modified_policy_iteration),
    ("value-iteration", value_iteration),
    ("gauss-seidel", partial(value_iteration, sweep="gauss-seidel")),
    ("anderson", anderson_value_iteration),
]

METHODS: Mapping[type, Registry[Callable[..., Solution]]] = {
    EpisodicMDP: Registry(
        "method",
        [
            ("backward-induction", episodic.backward_induction),
            ("linear-program", episodic.linear_program),
        ],
    ),
    RobustMDP: _ROBUST,
    RobustLinearMDP: _ROBUST,
    DiscountedMDP: Registry(
        "method",
        [
            *_ITERATIVE,
            ("policy-iteration", policy_iteration),
            ("linear-program", discounted.linear_program),
        ],
    ),
    ImplicitMDP: Registry("method", _ITERATIVE),
    ConstrainedMDP: Registry("method", [("linear-program", constrained_linear_program)]),
}
"""The solvers of each type of model by key; the first one is what ``method="auto"`` means."""


def solve(model: Any, method: str = "auto", **options: Any) -> Solution:
    """Solve a model for its optimal value and policy.

    Parameters
    ----------
    model
        A model of one of the types in `METHODS`, or a `ConservativeMDP` (whose unconstrained optimum
        is returned).
    method
        Key of a solver for that type of model, or ``"auto"``.
    options
        Passed on to the solver, such as a tolerance.

    Returns
    -------
    Solution
        With proven bounds on the optimal value.

    Raises
    ------
    NotConvergedError
        If an iterative method has not proven the tolerance; the bounds that it has proven are attached.
    TypeError
        If no solver takes such a model.
    UnknownKeyError
        If the method is not one for this type of model.
    """
    if isinstance(model, ConservativeMDP):
        model = model.mdp
    if type(model) not in METHODS:
        raise TypeError(f"solve takes a model of theoryrl.models; got {type(model).__name__}")
    methods = METHODS[type(model)]
    return methods[next(iter(methods)) if method == "auto" else method](model, **options)


__all__ = [
    "METHODS",
    "ConstrainedSolution",
    "InfeasibleError",
    "InterruptedSolve",
    "NotConvergedError",
    "Solution",
    "anderson_value_iteration",
    "constrained_linear_program",
    "discounted",
    "modified_policy_iteration",
    "policy_iteration",
    "solve",
    "value_iteration",
    *coefficients.__all__,
    *episodic.__all__,
    *robust.__all__,
    *tabular_class.__all__,
]
