"""Exact answers: pure functions on models, each returning a certificate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from theoryrl._registry import Registry
from theoryrl.models import (
    AverageRewardMDP,
    CandidateGame,
    CandidateMDP,
    ConservativeMDP,
    ConstrainedMDP,
    DiscountedMDP,
    EpisodicMDP,
    FineTuningTask,
    ImplicitMDP,
    LinearMDP,
    MatrixGame,
    PiecewiseStationaryMDP,
    PreferenceGame,
    RecoveringBandit,
    RegularizedGame,
    RobustLinearMDP,
    RobustMDP,
    TotalRewardMDP,
    TrajectoryGame,
    ZeroSumMarkovGame,
)
from theoryrl.solvers import (
    average,
    coefficients,
    detection,
    discounted,
    episodic,
    experiment_design,
    markov_game,
    maximize_to_explore,
    preference,
    recovering,
    relaxation,
    robust,
    tabular_class,
    total,
)
from theoryrl.solvers.average import (
    bias_span,
    diameter,
    extended_value_iteration,
    gain_and_bias,
    hitting_times,
    mixing_time,
    optimistic_kernel,
    segment_gains,
    stationary_distributions,
)
from theoryrl.solvers.classes import EndComponents, communicating_classes, recurrent_classes
from theoryrl.solvers.coefficients import *  # noqa: F403
from theoryrl.solvers.constrained import (
    ConstrainedSolution,
    InfeasibleError,
    constrained_linear_program,
)
from theoryrl.solvers.detection import *  # noqa: F403
from theoryrl.solvers.discounted import (
    InterruptedSolve,
    NotConvergedError,
    anderson_value_iteration,
    modified_policy_iteration,
    policy_iteration,
    value_iteration,
)
from theoryrl.solvers.episodic import *  # noqa: F403
from theoryrl.solvers.experiment_design import *  # noqa: F403
from theoryrl.solvers.markov_game import *  # noqa: F403
from theoryrl.solvers.maximize_to_explore import *  # noqa: F403
from theoryrl.solvers.preference import *  # noqa: F403
from theoryrl.solvers.preference.winner import METHODS as WINNER_METHODS
from theoryrl.solvers.recovering import *  # noqa: F403
from theoryrl.solvers.relaxation import *  # noqa: F403
from theoryrl.solvers.robust import *  # noqa: F403
from theoryrl.solvers.social_choice import (
    RewardModel,
    borda_scores,
    bradley_terry_rewards,
    condorcet_margin,
    condorcet_winner,
    copeland_scores,
)
from theoryrl.solvers.solution import Solution
from theoryrl.solvers.tabular_class import *  # noqa: F403
from theoryrl.solvers.total import proper_states
from theoryrl.solvers.trajectory import (
    TrajectorySolution,
    behaviour_of,
    best_trajectory_response,
    soft_trajectory_response,
    trajectory_exploitability,
    trajectory_law,
    trajectory_winner,
)
from theoryrl.solvers.weight_class import WeightClass, mixture_log_size, model_hypotheses

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
    LinearMDP: Registry(
        "method", [("backward-induction", lambda model: episodic.backward_induction(model.to_episodic()))]
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
    AverageRewardMDP: Registry(
        "method",
        [
            ("auto", average.auto),
            ("policy-iteration", average.policy_iteration),
            ("multichain-policy-iteration", average.multichain_policy_iteration),
            ("relative-value-iteration", average.relative_value_iteration),
            ("linear-program", average.linear_program),
        ],
    ),
    PiecewiseStationaryMDP: Registry("method", [("segments", average.segment_gains)]),
    TotalRewardMDP: Registry(
        "method",
        [
            ("policy-iteration", total.policy_iteration),
            ("interval-iteration", total.interval_iteration),
            ("optimistic-value-iteration", total.optimistic_value_iteration),
        ],
    ),
    ConstrainedMDP: Registry("method", [("linear-program", constrained_linear_program)]),
    RecoveringBandit: Registry(
        "method",
        [
            ("policy-iteration", recovering.optimal_cycle),
            ("periodic", recovering.purely_periodic),
        ],
    ),
    PreferenceGame: Registry(
        "method", [(name, partial(preference.von_neumann_winner, method=name)) for name in WINNER_METHODS]
    ),
    RegularizedGame: Registry(
        "method",
        [("newton", preference.regularized_equilibrium), ("mirror-prox", preference.mirror_prox_equilibrium)],
    ),
    MatrixGame: Registry(
        "method",
        [("linear-program", preference.matrix_game_equilibrium), ("simplex", markov_game.small_matrix_game)],
    ),
    ZeroSumMarkovGame: Registry(
        "method",
        [
            (name, partial(markov_game.markov_game_equilibrium, method=name))
            for name in ("simplex", "linear-program")
        ],
    ),
    TrajectoryGame: Registry("method", [("linear-program", trajectory_winner)]),
}
"""The solvers of each type of model by key; the first one is what ``method="auto"`` means."""


def underlying_model(problem: Any) -> Any:
    """Return the model that a problem is about, without what learners are told or asked beside it.

    A baseline and a threshold (`ConservativeMDP`), offline data (`FineTuningTask`) and candidates
    (`CandidateMDP`, `CandidateGame`) change what may be played, not what is optimal. Anything else is
    returned as it is.
    """
    if isinstance(problem, ConservativeMDP | CandidateMDP | FineTuningTask):
        return problem.mdp
    return problem.game if isinstance(problem, CandidateGame) else problem


def solve(model: Any, method: str = "auto", **options: Any) -> Solution:
    """Solve a model for its optimal value and policy.

    Parameters
    ----------
    model
        A model of one of the types in `METHODS`, or a problem about one (`underlying_model`), whose
        unconstrained optimum among all policies is returned.
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
    model = underlying_model(model)
    if type(model) not in METHODS:
        raise TypeError(f"solve takes a model of theoryrl.models; got {type(model).__name__}")
    methods = METHODS[type(model)]
    return methods[next(iter(methods)) if method == "auto" else method](model, **options)


__all__ = [
    "METHODS",
    "ConstrainedSolution",
    "EndComponents",
    "InfeasibleError",
    "InterruptedSolve",
    "NotConvergedError",
    "Solution",
    "anderson_value_iteration",
    "average",
    "bias_span",
    "communicating_classes",
    "constrained_linear_program",
    "diameter",
    "extended_value_iteration",
    "discounted",
    "gain_and_bias",
    "hitting_times",
    "mixing_time",
    "optimistic_kernel",
    "segment_gains",
    "modified_policy_iteration",
    "policy_iteration",
    "proper_states",
    "recurrent_classes",
    "solve",
    "stationary_distributions",
    "total",
    "value_iteration",
    "RewardModel",
    "TrajectorySolution",
    "behaviour_of",
    "best_trajectory_response",
    "borda_scores",
    "bradley_terry_rewards",
    "condorcet_margin",
    "condorcet_winner",
    "copeland_scores",
    "soft_trajectory_response",
    "trajectory_exploitability",
    "trajectory_law",
    "trajectory_winner",
    "underlying_model",
    "WeightClass",
    "mixture_log_size",
    "model_hypotheses",
    *coefficients.__all__,
    *detection.__all__,
    *episodic.__all__,
    *maximize_to_explore.__all__,
    *markov_game.__all__,
    *robust.__all__,
    *preference.__all__,
    *recovering.__all__,
    *relaxation.__all__,
    *tabular_class.__all__,
    *experiment_design.__all__,
]
