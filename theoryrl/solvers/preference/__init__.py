"""Exact solvers of preference games and matrix games."""

from theoryrl.solvers.preference.equilibrium import PreferenceSolution, regularized_equilibrium
from theoryrl.solvers.preference.fields import (
    Certificate,
    equilibrium_residual,
    exploitability,
    exploitability_gap,
    preference_certificate,
    preference_field,
    regularized_best_response,
    regularized_preference,
)
from theoryrl.solvers.preference.mirror_prox import mirror_prox_equilibrium
from theoryrl.solvers.preference.steps import (
    largest_mirror_prox_step,
    lipschitz_constant,
    local_contraction_rate,
    local_frequencies,
    self_play_threshold,
)
from theoryrl.solvers.preference.winner import (
    MatrixGameSolution,
    WinnerSolution,
    matrix_game_equilibrium,
    von_neumann_winner,
)

__all__ = [
    "Certificate",
    "MatrixGameSolution",
    "PreferenceSolution",
    "WinnerSolution",
    "equilibrium_residual",
    "exploitability",
    "exploitability_gap",
    "largest_mirror_prox_step",
    "lipschitz_constant",
    "local_contraction_rate",
    "local_frequencies",
    "matrix_game_equilibrium",
    "mirror_prox_equilibrium",
    "preference_certificate",
    "preference_field",
    "regularized_best_response",
    "regularized_equilibrium",
    "regularized_preference",
    "self_play_threshold",
    "von_neumann_winner",
]
