"""One objective for estimation, planning and exploration: values less eta times the loss, maximised.

Each module solves max_f V_f(rho) - eta sum_h L_h(f) over one class of hypotheses: all kernels
(`plan_tabular_model`), all tables (`plan_tabular_q`), product classes (`chain_argmax`), linear functions
(`plan_linear_q`) and mixtures of kernels (`plan_mixture`).
"""

from theoryrl.solvers.maximize_to_explore.chain import ChainOptimum, chain_argmax, chain_level_set
from theoryrl.solvers.maximize_to_explore.linear_q import PlannedLinearQ, RidgeData, plan_linear_q
from theoryrl.solvers.maximize_to_explore.mixture import PlannedMixture, plan_mixture
from theoryrl.solvers.maximize_to_explore.row import PenalisedRow, kl_penalised_row
from theoryrl.solvers.maximize_to_explore.tabular_model import (
    PlannedModel,
    plan_tabular_model,
    tabular_model_objective,
)
from theoryrl.solvers.maximize_to_explore.tabular_q import (
    PlannedQ,
    best_occupancy_bonus,
    occupancy_bonus_value,
    plan_tabular_q,
    tabular_q_objective,
)

__all__ = [
    "ChainOptimum",
    "PenalisedRow",
    "PlannedLinearQ",
    "PlannedMixture",
    "PlannedModel",
    "PlannedQ",
    "RidgeData",
    "best_occupancy_bonus",
    "chain_argmax",
    "chain_level_set",
    "kl_penalised_row",
    "occupancy_bonus_value",
    "plan_linear_q",
    "plan_mixture",
    "plan_tabular_model",
    "plan_tabular_q",
    "tabular_model_objective",
    "tabular_q_objective",
]
