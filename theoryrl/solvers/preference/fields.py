"""Exact quantities of a policy in a (regularised) preference game.

Policies are arrays of log-probabilities [X, n]. The field of mu is the vector ``A mu``, with A the skew
part; it differs from ``P mu`` by the constant 1/2. Everything is per context unless it says otherwise.

The best response to mu is proportional to ``ref exp(A mu / beta)``, and the exploitability gap is

    G(mu) = max_pi P_beta(pi > mu) - 1/2  =  beta KL(mu || BR(mu)),

which is how it is computed: the textbook form, a logarithm of a sum plus a divergence, cancels.

For any policy, with ``r = beta log(pi / ref) - A pi`` and pi* the equilibrium,

    KL(pi || pi*) + KL(pi* || pi) <= (span(r) / (2 beta))^2,      G(pi) <= span(r)^2 / (8 beta),

so that the residual r certifies a policy whose distance from the unknown pi* is wanted. Proofs: the
Nash-MP page, section "certificate".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from theoryrl.models import PreferenceGame, RegularizedGame
from theoryrl.solvers.simplex import kl_divergence, log_normalize, span
from theoryrl.solvers.solution import rounding_unit

LogPolicy = Float[np.ndarray, "X n"]
PerContext = Float[np.ndarray, " X"]


class Certificate(NamedTuple):
    """What a residual proves of a policy, in each context; rounding of the residual is included.

    Attributes
    ----------
    divergence
        Bound on ``KL(pi || pi*) + KL(pi* || pi)``: shape [X].
    gap
        Bound on the exploitability gap: shape [X].
    """

    divergence: PerContext
    gap: PerContext


def preference_field(game: PreferenceGame, pi: LogPolicy) -> LogPolicy:
    """Return ``A pi`` for probabilities (not logarithms) pi: one matrix-vector product per context."""
    A = game.skew
    if len(A) == 1:
        product: np.ndarray = (A[0] @ pi[0])[None]
        return product
    return np.matmul(A, pi[:, :, None])[:, :, 0]


def regularized_best_response(
    game: RegularizedGame, log_mu: LogPolicy, field: LogPolicy | None = None
) -> LogPolicy:
    """Return the logarithms of the policy that maximises ``P_beta(. > mu)``; `field` is ``A mu`` if known."""
    if field is None:
        field = preference_field(game.game, np.exp(log_mu))
    return log_normalize(game.log_reference + field / game.beta)


def exploitability_gap(
    game: RegularizedGame, log_mu: LogPolicy, field: LogPolicy | None = None
) -> PerContext:
    """Return G(mu) in each context, accurate however small it is: shape [X]; `field` as above."""
    return game.beta * kl_divergence(log_mu, regularized_best_response(game, log_mu, field))


def exploitability(game: PreferenceGame, pi: LogPolicy) -> PerContext:
    """Return ``max_y (A pi)_y``, by how much the best pure opponent of pi wins: shape [X].

    Probabilities, not logarithms. It is 0 for a von Neumann winner and else positive.
    """
    return np.asarray(preference_field(game, pi).max(axis=1))


def regularized_preference(game: RegularizedGame, log_pi: LogPolicy, log_mu: LogPolicy) -> PerContext:
    """Return ``P_beta(pi > mu) - 1/2`` in each context."""
    played = (np.exp(log_pi) * preference_field(game.game, np.exp(log_mu))).sum(axis=1)
    charged = kl_divergence(log_pi, game.log_reference) - kl_divergence(log_mu, game.log_reference)
    return np.asarray(played - game.beta * charged)


def equilibrium_residual(game: RegularizedGame, log_pi: LogPolicy) -> LogPolicy:
    """Return ``beta log(pi / ref) - A pi``, which is constant in each context exactly at the equilibrium."""
    return game.beta * (log_pi - game.log_reference) - preference_field(game.game, np.exp(log_pi))


def residual_rounding(game: RegularizedGame, log_pi: LogPolicy) -> PerContext:
    """Return a bound on the rounding error of each entry of the residual, modulo constants: shape [X].

    The products and sums of ``A pi`` have a relative error of n + 8 operations (the exponential and the
    mass of pi included), on terms that sum to 1/2 at most; the logarithms err by a unit each.
    """
    n = log_pi.shape[1]
    logs = np.abs(log_pi).max(axis=1) + np.abs(game.log_reference).max(axis=1)
    return np.asarray(rounding_unit(n + 8) / 2 + rounding_unit(4) * game.beta * logs)


def preference_certificate(game: RegularizedGame, log_pi: LogPolicy) -> Certificate:
    """Return what the residual of a policy proves, whatever method the policy comes from."""
    return certify(game, log_pi, equilibrium_residual(game, log_pi))


def certify(game: RegularizedGame, log_pi: LogPolicy, r: LogPolicy) -> Certificate:
    """Return the certificate of a policy whose residual is known."""
    width = span(r) + 2 * residual_rounding(game, log_pi)
    return Certificate((width / (2 * game.beta)) ** 2, width**2 / (8 * game.beta))
