"""Distributions as logarithms: normalisation, divergences without cancellation, the proximal step.

A policy over n actions in each of X contexts is an array of log-probabilities [X, n]. Probabilities
far below the range of floats stay exact, and nothing here is a difference of nearly equal numbers.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

Rows = Float[np.ndarray, "*X n"]
"""One or more vectors along the last axis."""

SMALL = 0.1
"""Below it ``exp(d) - 1 - d`` is a series; above, the difference loses a factor of 20 at most."""

SERIES = tuple(1 / math.factorial(k) for k in range(10, 1, -1))
"""Its coefficients, the highest power first; the first term left out is 5e-17 of the sum."""


def log_normalize(logits: Rows) -> Rows:
    """Return the logarithms of the distribution proportional to ``exp(logits)``."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def kl_divergence(
    log_p: Float[np.ndarray, "... n"], log_q: Float[np.ndarray, "... n"]
) -> Float[np.ndarray, ...]:
    """Return ``KL(p || q)``, accurate relative to its size however small it is.

    With d = log q - log p the divergence is ``sum p (exp(d) - 1 - d)``, a sum of non-negative terms, because
    p and q have the same mass. Each term is evaluated where it is stable: as a series for small d, and
    as ``q - p - p d`` for d > 1, where exp(d) may overflow while p underflows.

    Parameters
    ----------
    log_p, log_q
        Normalised logarithms, finite, of shapes [..., n] that broadcast.

    Returns
    -------
    numpy.ndarray
        Non-negative: shape [...].
    """
    d = log_q - log_p
    p = np.exp(log_p)
    near = np.minimum(d, 1.0)
    terms = np.where(np.abs(near) < SMALL, near * near * _horner(near), np.expm1(near) - near)
    terms = np.where(d > 1, np.exp(log_q) - p - p * d, p * terms)
    return np.asarray(terms.sum(axis=-1))


def _horner(d: Rows) -> Rows:
    total = np.full_like(d, SERIES[0])
    for coefficient in SERIES[1:]:
        total *= d
        total += coefficient
    return total


def span(v: Rows) -> Float[np.ndarray, "*X"]:
    """Return ``max v - min v`` along the last axis, the natural distance of logits modulo constants."""
    return np.asarray(v.max(axis=-1) - v.min(axis=-1))


def mirror_step(
    field: Float[np.ndarray, "X n"],
    log_centre: Float[np.ndarray, "X n"],
    log_reference: Float[np.ndarray, "X n"],
    eta: float | Float[np.ndarray, "X 1"],
    beta: float,
) -> Float[np.ndarray, "X n"]:
    """Return the logarithms of ``centre^(1 - eta beta) ref^(eta beta) exp(eta field)``, normalised."""
    return log_normalize((1 - eta * beta) * log_centre + eta * (beta * log_reference + field))


def proximal_step(
    field: Float[np.ndarray, "X n"],
    log_centre: Float[np.ndarray, "X n"],
    log_reference: Float[np.ndarray, "X n"],
    gamma: float | Float[np.ndarray, "X 1"],
    beta: float,
) -> Float[np.ndarray, "X n"]:
    """Return the logarithms of ``argmax <field, pi> - beta KL(pi || ref) - KL(pi || centre) / gamma``.

    In closed form ``log pi = (log centre + gamma beta log ref + gamma field) / (1 + gamma beta)`` up to a
    constant, which is the mirror step with ``eta = gamma / (1 + gamma beta)``. An infinite gamma forgets the
    centre.
    """
    return mirror_step(field, log_centre, log_reference, mirror_weight(gamma, beta), beta)


def mirror_weight(gamma: float | Float[np.ndarray, "X 1"], beta: float) -> float | Float[np.ndarray, "X 1"]:
    """Return ``eta = gamma / (1 + gamma beta)``, the step of the mirror form of the proximal step."""
    return 1 / (1 / gamma + beta)
