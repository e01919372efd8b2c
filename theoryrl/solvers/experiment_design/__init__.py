"""Experiment design for policies: how many online episodes are needed, where to spend them, what is known."""

from theoryrl.solvers.experiment_design.coefficient import (
    DesignError,
    OnlineDesign,
    class_occupancies,
    class_values,
    minimal_flow,
    minimal_online_episodes,
    offline_to_online_coefficient,
)
from theoryrl.solvers.experiment_design.fixed import fixed_exploration_episodes
from theoryrl.solvers.experiment_design.frank_wolfe import FrankWolfeDesign, frank_wolfe_design
from theoryrl.solvers.experiment_design.relaxation import AllPolicyCertificate, all_policy_certificate
from theoryrl.solvers.experiment_design.widths import PolicyWidths, confidence_radii, policy_widths

__all__ = [
    "AllPolicyCertificate",
    "DesignError",
    "FrankWolfeDesign",
    "OnlineDesign",
    "PolicyWidths",
    "all_policy_certificate",
    "class_occupancies",
    "class_values",
    "confidence_radii",
    "fixed_exploration_episodes",
    "frank_wolfe_design",
    "minimal_flow",
    "minimal_online_episodes",
    "offline_to_online_coefficient",
    "policy_widths",
]
