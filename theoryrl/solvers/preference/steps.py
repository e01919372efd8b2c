"""How fast a preference game lets mirror methods go: Lipschitz constant, step sizes, local rates.

The field ``F(pi) = A pi`` maps the simplex with the 1-norm to vectors modulo constants:

    span(A (p - q)) <= 2 L norm_1(p - q),     L(P) = max_{i, j, a, b} (A_ia - A_ja - A_ib + A_jb) / 4 <= 1/2.

Mirror Prox converges for every step with ``gamma^2 L^2 <= 1 + gamma beta``. Its linearisation at the
equilibrium in logits modulo constants is ``M = q [I + gamma A S (q I + q gamma A S)]`` with
``q = 1 / (1 + gamma beta)`` and ``S = diag(pi*) - pi* pi*^T``; A S has purely imaginary eigenvalues
± i lam, so those of M have modulus ``|q (1 - q g^2 + i q g)|`` at ``g = gamma lam``. Proofs: Nash-MP page.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from theoryrl.models import PreferenceGame, RegularizedGame
from theoryrl.models._validation import check_real
from theoryrl.solvers.preference._kernels import largest_range
from theoryrl.solvers.preference.fields import LogPolicy, PerContext

WORST_LIPSCHITZ = 0.5
"""L(P) of the worst game, because A has entries in [-1/2, 1/2]."""

ROUNDING = 1e-12
"""L(P) below it is rounding of an exact zero: at most 2 actions, or linear utilities."""


def lipschitz_constant(game: PreferenceGame) -> PerContext:
    """Return L(P) of each context, 0 where it is zero up to rounding: shape [X]. Takes O(X n^3)."""
    L = np.array([largest_range(A) for A in game.skew]) / 4
    return np.where(L < ROUNDING, 0.0, L)


def largest_mirror_prox_step(L: float | Float[np.ndarray, "*X"], beta: float) -> Float[np.ndarray, "*X"]:
    """Return the largest gamma with ``gamma^2 L^2 <= 1 + gamma beta``; infinite where L = 0."""
    check_real("beta", beta, low=0.0)
    constant = np.asarray(L, dtype=np.float64)
    numerator = beta + np.sqrt(beta**2 + 4 * constant**2)
    return np.divide(numerator, 2 * constant**2, out=np.full(constant.shape, np.inf), where=constant > 0)


def local_frequencies(game: PreferenceGame, pi: LogPolicy) -> Float[np.ndarray, "X m"]:
    """Return the moduli lam of the n - 1 eigenvalues of A S on vectors modulo constants: shape [X, n - 1].

    `pi` are probabilities. With s = sqrt(pi) and the projection ``R = I - s s^T``, the matrix
    ``R diag(s) A diag(s) R`` has the eigenvalues of A S and is skew, so they are found stably. On all of
    R^n the direction of the constants adds a zero, which is left out.
    """
    s = np.sqrt(pi)
    R = np.eye(pi.shape[1]) - s[:, :, None] * s[:, None, :]
    skew = R @ (s[:, :, None] * game.skew * s[:, None, :]) @ R
    lam = np.abs(np.linalg.eigvalsh(1j * skew))
    return np.sort(lam, axis=1)[:, 1:]


def local_contraction_rate(game: RegularizedGame, log_pi: LogPolicy, gamma: float | PerContext) -> PerContext:
    """Return the spectral radius of Mirror Prox's linearisation at the equilibrium: shape [X].

    Logits contract by it in each iteration in the end, divergences by its square.

    Parameters
    ----------
    game
        The regularised game.
    log_pi
        Its equilibrium.
    gamma
        Step, the same for all contexts or one for each.
    """
    step = np.broadcast_to(np.asarray(gamma, dtype=np.float64), (len(log_pi),))[:, None]
    q = 1 / (1 + step * game.beta)
    g = step * local_frequencies(game.game, np.exp(log_pi))
    moduli = q * np.hypot(1 - q * g**2, q * g)
    return np.asarray(moduli.max(axis=1, initial=0.0))


def self_play_threshold(game: RegularizedGame, log_pi: LogPolicy) -> PerContext:
    """Return the step ``2 beta / (beta^2 + lam_max^2)`` above which mirror descent in self-play cycles.

    Below it the equilibrium attracts nearby policies, above it repels them; `log_pi` is the equilibrium.
    """
    lam = local_frequencies(game.game, np.exp(log_pi)).max(axis=1, initial=0.0)
    return np.asarray(2 * game.beta / (game.beta**2 + lam**2))
