"""Spectral radii of the relaxation: Jacobi's, Young's formula for SOR, and the optimal parameter.

Young's theory needs a *consistently ordered* matrix: one with a vector gamma such that gamma_j - gamma_i is
1 for neighbours j > i and -1 for neighbours j < i. Then every eigenvalue lambda of the SOR matrix and mu of
Jacobi's are tied by ``(lambda + w - 1)^2 = lambda w^2 mu^2``, and with beta < 1 the largest modulus of mu

    rho(C_w) = (w beta + sqrt(w^2 beta^2 - 4 (w - 1)))^2 / 4   for w <= omega*,   w - 1   beyond,
    omega* = 2 / (1 + sqrt(1 - beta^2)).

Source: Young (1971), chapters 5 and 6.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, connected_components

from theoryrl.models._validation import check_fraction, check_real
from theoryrl.models.linear_systems import DENSE_LIMIT, SPDMatrix, check_omega

POWERS = 14
"""Spectral radii are enclosed by the powers 2^0, ..., 2^POWERS of the matrix."""


class Enclosure(NamedTuple):
    """A number between proven bounds."""

    value: float
    lower: float
    upper: float


class NotConsistentlyOrderedError(ValueError):
    """Young's theory does not cover the matrix."""


def consistent_ordering(A: Any) -> Int[np.ndarray, " n"] | None:
    """Return an ordering vector gamma of a consistently ordered matrix, or None if there is none.

    Parameters
    ----------
    A
        A symmetric positive definite matrix.

    Returns
    -------
    numpy.ndarray or None
        gamma_j - gamma_i = 1 wherever a_ij != 0 and j > i: a certificate that can be read off the entries.
    """
    matrix = SPDMatrix.of(A)
    L = matrix.lower().copy()
    L.eliminate_zeros()
    graph = sparse.csr_array(L + L.T)
    gamma = np.zeros(matrix.n, dtype=np.int64)
    _, labels = connected_components(graph, directed=False)
    for root in np.unique(labels, return_index=True)[1]:
        order, parent = breadth_first_order(graph, int(root), directed=False)
        for node in order[1:]:
            before = parent[node]
            gamma[node] = gamma[before] + (1 if node > before else -1)
    rows, columns = L.tocoo().coords
    return gamma if (gamma[rows] - gamma[columns] == 1).all() else None


def jacobi_radius(A: Any, scale: float = 1.0, shift: float = 0.0) -> Enclosure:
    """Return beta, the spectral radius of the Jacobi matrix ``I - D^{-1} A`` of ``scale A + shift I``.

    Parameters
    ----------
    A
        A symmetric positive definite matrix of order at most 2000.
    scale, shift
        Of the matrix.

    Returns
    -------
    Enclosure
        By Kahan's theorem each computed eigenvalue of the symmetric ``D^{-1/2} A D^{-1/2}`` has an exact one
        within ``norm(B V - V Lambda) / sigma_min(V)``, V the computed eigenvectors.
    """
    B = _scaled(A, scale, shift)
    values, V = np.linalg.eigh(B)
    defect = np.linalg.norm(B @ V - V * values) + 2 * len(B) * np.finfo(float).eps * np.abs(values).max()
    loss = np.linalg.norm(V.T @ V - np.eye(len(B)))
    radius = float(defect) / math.sqrt(max(1 - float(loss), 0.5))
    beta = float(max(abs(1 - values[0]), abs(1 - values[-1])))
    return Enclosure(beta, max(beta - radius, 0.0), beta + radius)


def optimal_omega(A: Any, scale: float = 1.0, shift: float = 0.0) -> Enclosure:
    """Return Young's omega*, at which SOR converges fastest, with proven bounds.

    Raises
    ------
    NotConsistentlyOrderedError
        If the matrix is not consistently ordered.
    ValueError
        If beta is not below one.
    """
    if consistent_ordering(A) is None:
        raise NotConsistentlyOrderedError("A is not consistently ordered: Young's omega* is not for it")
    beta = jacobi_radius(A, scale, shift)
    return Enclosure(*(young_omega(value) for value in beta))


def young_omega(beta: float) -> float:
    """Return ``omega* = 2 / (1 + sqrt(1 - beta^2))``."""
    if not 0 <= check_real("beta", beta) < 1:
        raise ValueError(f"beta must be in [0, 1); got {beta!r}")
    return 2 / (1 + math.sqrt((1 - beta) * (1 + beta)))


def young_radius(beta: float, omega: float) -> float:
    """Return Young's spectral radius of the SOR matrix of a consistently ordered matrix."""
    if not 0 <= check_real("beta", beta) < 1:
        raise ValueError(f"beta must be in [0, 1); got {beta!r}")
    w = check_omega("omega", omega)
    root = w * w * beta * beta - 4 * (w - 1)
    if root <= 0:
        return w - 1
    return 0.25 * (w * beta + math.sqrt(root)) ** 2


def sor_spectral_radius(A: Any, omega: float, scale: float = 1.0, shift: float = 0.0) -> Enclosure:
    """Return the spectral radius of the SOR matrix ``C_w``, with proven bounds.

    Young's formula where the matrix is consistently ordered (it is increasing in beta, so an enclosure of
    beta encloses it); otherwise from dense powers, see `spectral_radius`.

    Parameters
    ----------
    A
        A symmetric positive definite matrix of order at most 2000.
    omega
        Relaxation parameter in (0, 2).
    scale, shift
        Of the matrix.
    """
    return sor_spectral_radii(A, [check_omega("omega", omega)], scale, shift)[0]


def sor_spectral_radii(A: Any, omegas: Any, scale: float = 1.0, shift: float = 0.0) -> tuple[Enclosure, ...]:
    """Return `sor_spectral_radius` at each of some parameters: shape [d]."""
    if consistent_ordering(A) is not None:
        beta = jacobi_radius(A, scale, shift)
        if beta.upper < 1:
            return tuple(Enclosure(*(young_radius(value, float(w)) for value in beta)) for w in omegas)
    return tuple(
        spectral_radius(defect_matrix(A, float(w), scale, shift), floor=abs(1 - float(w))) for w in omegas
    )


def defect_matrix(
    A: Any, omega: float, scale: float = 1.0, shift: float = 0.0, symmetric: bool = False
) -> Float[np.ndarray, "n n"]:
    """Return ``C_w = I - A W^{-1}``, which maps a residual to the next one.

    W is ``D/w + L`` for SOR, and ``w / (2 - w) W_w D^{-1} W_w^T`` for symmetric SOR.
    """
    w = check_omega("omega", omega)
    dense = _dense(A, scale, shift)
    D = np.diag(dense)
    W = np.diag(D / w) + np.tril(dense, -1)
    if symmetric:
        W = w / (2 - w) * (W / D) @ W.T
    identity = np.eye(len(dense))
    return identity - np.linalg.solve(W.T, dense.T).T


def spectral_radius(C: Float[np.ndarray, "n n"], floor: float = 0.0) -> Enclosure:
    """Return the spectral radius of a square matrix between bounds from its powers.

    ``|tr C^k| / n <= rho^k <= norm(C^k)`` for k = 1, 2, 4, ...; rounding grows with the powers, so that the
    bounds are proven up to about ``2^POWERS n`` units in the last place.

    Parameters
    ----------
    C
        The matrix.
    floor
        A known lower bound: for SOR ``rho >= |1 - w|``, since ``|det C| = |1 - w|^n``.
    """
    value = float(np.abs(np.linalg.eigvals(C)).max())
    lower, upper = floor, math.inf
    power, log_scale = C, 0.0
    for j in range(POWERS + 1):
        k = 2.0**j
        norm = float(np.linalg.norm(power, 2))
        if norm == 0:
            return Enclosure(0.0, 0.0, 0.0)
        upper = min(upper, math.exp((math.log(norm) + log_scale) / k))
        trace = abs(float(np.trace(power))) / len(C)
        if trace > 0:
            lower = max(lower, math.exp((math.log(trace) + log_scale) / k))
        scaled = power / norm
        power, log_scale = scaled @ scaled, 2 * (log_scale + math.log(norm))
    return Enclosure(min(max(value, lower), upper), lower, upper)


def adaptive_beta(ratio: float, omega: float) -> float:
    """Return the beta whose SOR radius is ``ratio`` at ``omega``: Young's relation inverted.

    With lambda the observed ratio of successive residual norms, ``beta = (lambda + w - 1) / (w
    sqrt(lambda))``.
    """
    return (check_fraction("ratio", ratio) + check_omega("omega", omega) - 1) / (omega * math.sqrt(ratio))


def _dense(A: Any, scale: float, shift: float) -> Float[np.ndarray, "n n"]:
    matrix = SPDMatrix.of(A)
    if matrix.n > DENSE_LIMIT:
        raise ValueError(f"A must have order at most {DENSE_LIMIT} for dense spectra; got {matrix.n}")
    if check_real("scale", scale) <= 0:
        raise ValueError(f"scale must be positive; got {scale!r}")
    dense = scale * matrix.dense() + check_real("shift", shift) * np.eye(matrix.n)
    if shift < 0:
        try:
            np.linalg.cholesky(dense)
        except np.linalg.LinAlgError:
            least = float(np.linalg.eigvalsh(dense)[0])
            raise ValueError(
                f"shift must leave a positive definite matrix; at {shift!r} its smallest eigenvalue is "
                f"{least:.6g}"
            ) from None
    return dense


def _scaled(A: Any, scale: float, shift: float) -> Float[np.ndarray, "n n"]:
    """Return ``D^{-1/2} A D^{-1/2}``."""
    dense = _dense(A, scale, shift)
    root = np.sqrt(np.diag(dense))
    return dense / root[:, None] / root
