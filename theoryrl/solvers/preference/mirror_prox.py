"""The equilibrium of a regularised preference game by Mirror Prox: no linear systems, n^2 memory and work.

For games too large for Newton's method. The step is the largest that the worst game allows; what stops the
iteration is the certificate of the current policy, whose field is at hand in every other product.
"""

from __future__ import annotations

import numpy as np

from theoryrl.models import RegularizedGame
from theoryrl.models._validation import check_count, check_real
from theoryrl.solvers.preference.equilibrium import PreferenceSolution, certified
from theoryrl.solvers.preference.fields import certify, preference_field
from theoryrl.solvers.preference.steps import WORST_LIPSCHITZ, largest_mirror_prox_step
from theoryrl.solvers.simplex import proximal_step
from theoryrl.solvers.solution import NotConvergedError


def mirror_prox_equilibrium(
    game: RegularizedGame, tol: float = 1e-12, max_iterations: int = 100_000
) -> PreferenceSolution:
    """Iterate Mirror Prox until the certificate of every context is at most the tolerance.

    Parameters
    ----------
    game
        The regularised game.
    tol
        Bound on ``KL(pi || pi*) + KL(pi* || pi)``, rounding included.
    max_iterations
        Iterations of two products each; about ``log(1 / tol) / log(1 + 2 beta)`` are needed at most.

    Raises
    ------
    NotConvergedError
        If the certificate is still larger after that many iterations; what was reached is attached.
    """
    check_real("tol", tol, low=0.0)
    check_count("max_iterations", max_iterations)
    gamma = float(largest_mirror_prox_step(WORST_LIPSCHITZ, game.beta))
    log_pi, reference, beta = game.log_reference, game.log_reference, game.beta
    for iteration in range(max_iterations + 1):
        field = preference_field(game.game, np.exp(log_pi))
        proved = certify(game, log_pi, beta * (log_pi - reference) - field)
        if proved.divergence.max() <= tol:
            return certified(game, log_pi, iteration, "mirror-prox")
        log_half = proximal_step(field, log_pi, reference, gamma, beta)
        field = preference_field(game.game, np.exp(log_half))
        log_pi = proximal_step(field, log_pi, reference, gamma, beta)
    reached = certified(game, log_pi, max_iterations, "mirror-prox")
    raise NotConvergedError(f"{max_iterations} iterations did not reach a certificate of {tol:g}", reached)
