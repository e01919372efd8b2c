"""The protocol that joins a problem and a learner, and the loop that plays them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from theoryrl.models import (
    AverageRewardMDP,
    CandidateGame,
    CandidateMDP,
    ConservativeMDP,
    EpisodicMDP,
    FineTuningTask,
    LinearMDP,
    LossTable,
    PiecewiseStationaryMDP,
    PreferenceGame,
    RecoveringBandit,
    RegularizedGame,
    RelaxationTuning,
    RobustLinearMDP,
    StochasticBandit,
    TrajectoryGame,
    ZeroSumMarkovGame,
)
from theoryrl.protocol.average import AverageDecision, AverageProblem, AverageSpec, Monitor
from theoryrl.protocol.bandit import (
    ArmDecision,
    BanditObservation,
    BanditProblem,
    BanditSpec,
    BlockDecision,
    BlockPolicy,
)
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
from theoryrl.protocol.identification import (
    Batch,
    Identification,
    IdentificationProblem,
    IdentificationSpec,
    identify,
)
from theoryrl.protocol.markov_game import (
    GameDecision,
    MarkovGameProblem,
    MarkovGameSpec,
)
from theoryrl.protocol.off_dynamics import Approximation, OffDynamicsProblem, OffDynamicsSpec
from theoryrl.protocol.opponents import (
    BestResponder,
    FixedOpponent,
    FrequencyResponder,
    GamePast,
    Grudger,
    Opponent,
)
from theoryrl.protocol.preference import (
    Duels,
    EquilibriumAudit,
    PreferenceDecision,
    PreferenceProblem,
    PreferenceSpec,
)
from theoryrl.protocol.recovering import RecoveringDecision, RecoveringProblem, RecoveringSpec
from theoryrl.protocol.relaxation import pose_relaxation, relaxation_table
from theoryrl.protocol.trace import Trace
from theoryrl.protocol.trajectory import TrajectoryDecision, TrajectoryProblem, TrajectorySpec

_POSED: Mapping[type, tuple[Callable[..., Problem[Any, Any]], str]] = {
    EpisodicMDP: (EpisodicProblem, "episodic"),
    ConservativeMDP: (EpisodicProblem.from_conservative, "conservative"),
    CandidateMDP: (EpisodicProblem.from_candidates, "candidates"),
    LinearMDP: (EpisodicProblem.from_linear, "linear"),
    RobustLinearMDP: (OffDynamicsProblem, "off-dynamics"),
    PreferenceGame: (PreferenceProblem, "preference"),
    RegularizedGame: (PreferenceProblem, "regularized-preference"),
    RecoveringBandit: (RecoveringProblem, "recovering"),
    StochasticBandit: (BanditProblem, "bandit"),
    LossTable: (BanditProblem, "loss-table"),
    RelaxationTuning: (pose_relaxation, "relaxation"),
    TrajectoryGame: (TrajectoryProblem, "trajectories"),
    FineTuningTask: (IdentificationProblem, "fine-tuning"),
    ZeroSumMarkovGame: (MarkovGameProblem, "markov-game"),
    CandidateGame: (MarkovGameProblem.from_candidates, "candidate-game"),
    AverageRewardMDP: (AverageProblem.from_stationary, "average"),
    PiecewiseStationaryMDP: (AverageProblem, "piecewise"),
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
    "ArmDecision",
    "Audit",
    "AverageDecision",
    "AverageProblem",
    "AverageSpec",
    "BanditObservation",
    "BanditProblem",
    "BanditSpec",
    "Batch",
    "BestResponder",
    "BlockDecision",
    "BlockPolicy",
    "Decision",
    "Duels",
    "Environment",
    "EpisodicDecision",
    "EpisodicProblem",
    "EpisodicSpec",
    "EquilibriumAudit",
    "FixedOpponent",
    "FrequencyResponder",
    "GameDecision",
    "GamePast",
    "Grudger",
    "Identification",
    "IdentificationProblem",
    "IdentificationSpec",
    "Learner",
    "MarkovGameProblem",
    "MarkovGameSpec",
    "Monitor",
    "OffDynamicsProblem",
    "OffDynamicsSpec",
    "Opponent",
    "Outcome",
    "PreferenceDecision",
    "PreferenceProblem",
    "PreferenceSpec",
    "Problem",
    "RecoveringDecision",
    "RecoveringProblem",
    "RecoveringSpec",
    "Run",
    "Streams",
    "Trace",
    "TrajectoryDecision",
    "TrajectoryProblem",
    "TrajectorySpec",
    "as_problem",
    "identify",
    "play",
    "pose_relaxation",
    "relaxation_table",
]
