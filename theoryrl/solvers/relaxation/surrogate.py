"""Bounds on iteration counts that are smooth in the parameter: the near-asymptotic U(omega), and SSOR-CG's.

For SOR: let v = rho(C_w) + tau (1 - rho(C_w)), with tau in (0, 1) such that ``norm(C_w^k) <= v^k`` at some k
with ``norm(C_w^k) >= eps > norm(C_w^{k+1})``. Then for every target the count is at most

    U(w) = 1 + log eps / log v :

the residual after k + 1 sweeps is below eps, so the count is at most k + 1, and eps <= v^k gives
k <= log eps / log v.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import linalg

from theoryrl.models._validation import check_fraction
from theoryrl.models.linear_systems import check_omega, check_omegas
from theoryrl.solvers.relaxation.spectrum import _dense, defect_matrix, sor_spectral_radii, young_radius


class NearAsymptotic(NamedTuple):
    """The near-asymptotic bound on a grid, and what proves it.

    Attributes
    ----------
    omegas, radii
        The grid, and the spectral radii of the SOR matrices: shapes [d].
    tau
        The largest one that the grid needs.
    crossings, norms
        k with ``norm(C^k) >= eps > norm(C^{k+1})``, and ``norm(C^k)``: shapes [d]; k = 0 needs no tau.
    tolerance
        eps.
    """

    omegas: Float[np.ndarray, " d"]
    radii: Float[np.ndarray, " d"]
    tau: float
    crossings: Int[np.ndarray, " d"]
    norms: Float[np.ndarray, " d"]
    tolerance: float

    @property
    def bounds(self) -> Float[np.ndarray, " d"]:
        """U on the grid."""
        return iteration_bound(self.radii, self.tau, self.tolerance)

    def at(self, beta: float, omegas: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """Return U off the grid, by Young's formula and the same tau (which the grid alone proves)."""
        radii = np.array([young_radius(beta, float(w)) for w in omegas])
        return iteration_bound(radii, self.tau, self.tolerance)

    def alpha(self, beta: float, largest: float) -> float:
        """Return ``alpha = tau + (1 - tau) max(beta^2, w_max - 1)``: v is at most alpha on [1, w_max]."""
        return self.tau + (1 - self.tau) * max(beta**2, largest - 1)


def iteration_bound(radii: Any, tau: float, tolerance: float) -> Float[np.ndarray, " d"]:
    """Return ``U = 1 + log eps / log(rho + tau (1 - rho))``."""
    rho = np.atleast_1d(np.asarray(radii, dtype=np.float64))
    with np.errstate(divide="ignore"):  # rho = tau = 0: one sweep is exact, log 0 = -inf, U = 1
        return 1 + math.log(tolerance) / np.log(rho + tau * (1 - rho))


def near_asymptotic(
    A: Any, omegas: Any, tolerance: float = 1e-8, scale: float = 1.0, shift: float = 0.0
) -> NearAsymptotic:
    """Return the near-asymptotic bound of SOR for one matrix, valid for every target.

    Parameters
    ----------
    A
        A symmetric positive definite matrix; dense powers are computed, so its order should be some hundreds.
    omegas
        Increasing, in (0, 2): shape [d].
    tolerance
        eps.
    scale, shift
        Of the matrix.

    Raises
    ------
    ValueError
        If a power at the crossing is not a contraction: then there is no tau below one.

    Source: Khodak et al. (2024), Assumption 2.1 and Lemma 2.1; this form, without the target, on the SOR
    page.
    """
    grid = check_omegas(omegas)
    eps = check_fraction("tolerance", tolerance)
    radii = np.array([radius.value for radius in sor_spectral_radii(A, grid, scale, shift)])
    found = [crossing(defect_matrix(A, float(w), scale, shift), eps) for w in grid]
    crossings, norms = (np.array(column) for column in zip(*found, strict=True))
    tau = 0.0
    for k, norm, rho, w in zip(crossings, norms, radii, grid, strict=True):
        if k == 0:
            continue
        if norm >= 1:
            raise ValueError(f"norm(C^{k}) is {norm:.3g} at omega = {w:g}: no tau below one")
        tau = max(tau, (norm ** (1 / k) - rho) / (1 - rho))
    return NearAsymptotic(grid, radii, tau, crossings, norms, eps)


def crossing(C: Float[np.ndarray, "n n"], tolerance: float) -> tuple[int, float]:
    """Return some k with ``norm(C^k) >= eps > norm(C^{k+1})``, and ``norm(C^k)``.

    The powers are squared until one is small; then k is found bit by bit. The norms need not be monotone:
    between a power above eps and a later one below there is a crossing, and any one will do.
    """
    squares = [C]
    while _norm(squares[-1]) >= tolerance:
        squares.append(squares[-1] @ squares[-1])
        if len(squares) > 60:
            raise ValueError("the powers of C do not become small: its spectral radius is not below one")
    if len(squares) == 1:
        return 0, 1.0
    # Invariant: C^k is not small, and C^(k + 2^(j+1)) is.
    k, power, norm = 0, np.eye(len(C)), 1.0
    for j in range(len(squares) - 2, -1, -1):
        trial = power @ squares[j]
        size = _norm(trial)
        if size >= tolerance:
            k, power, norm = k + (1 << j), trial, size
    return k, norm


def _norm(C: Float[np.ndarray, "n n"]) -> float:
    """Spectral norm, from the Gram matrix."""
    return math.sqrt(max(float(linalg.eigvalsh(C.T @ C, subset_by_index=(len(C) - 1, len(C) - 1))[0]), 0.0))


class SSORCondition(NamedTuple):
    """Axelsson's bound on the condition number of the SSOR-preconditioned matrix.

    Attributes
    ----------
    a1, b1
        ``lambda_max(D A^{-1})`` and ``lambda_max((L D^{-1} L^T - D/4) A^{-1})``.
    condition
        kappa(A), for the count bound.
    """

    a1: float
    b1: float
    condition: float

    def bound(self, omega: float) -> float:
        """Return ``(1 + (2-w)^2 a1 / (4w) + w b1) / (2 - w)``, at least kappa(P^{-1} A) for either order."""
        w = check_omega("omega", omega)
        return (1 + (2 - w) ** 2 * self.a1 / (4 * w) + w * self.b1) / (2 - w)

    def count_bound(self, omega: float, tolerance: float) -> float:
        """Return a bound on the iterations of SSOR-CG from zero, tolerance relative to the norm of b."""
        root = math.sqrt(self.bound(omega))
        if root <= 1:
            return 1.0
        return 1 + math.acosh(math.sqrt(self.condition) / tolerance) / -math.log(1 - 2 / (1 + root))

    @property
    def best_omega(self) -> float:
        """Return the minimiser of `bound`: ``2 / (1 + 2 sqrt((1/2 + b1) / a1))``."""
        return 2 / (1 + 2 * math.sqrt((0.5 + self.b1) / self.a1))


def ssor_condition(A: Any, scale: float = 1.0, shift: float = 0.0) -> SSORCondition:
    """Return what bounds the condition number of SSOR-preconditioned ``scale A + shift I`` for every omega.

    Source: Axelsson (1994), Theorem 7.17; proof for both orders on the SOR page.
    """
    dense = _dense(A, scale, shift)
    D = np.diag(np.diag(dense))
    L = np.tril(dense, -1)
    last = (len(dense) - 1, len(dense) - 1)
    a1 = float(linalg.eigh(D, dense, eigvals_only=True, subset_by_index=last)[0])
    middle = L @ (L.T / np.diag(dense)[:, None]) - D / 4
    b1 = float(linalg.eigh((middle + middle.T) / 2, dense, eigvals_only=True, subset_by_index=last)[0])
    spectrum = np.linalg.eigvalsh(dense)
    return SSORCondition(a1, b1, float(spectrum[-1] / spectrum[0]))


class EnergyNorm(NamedTuple):
    """Bounds on the energy norm of the SOR matrix.

    Attributes
    ----------
    largest, smallest
        Extreme eigenvalues of ``D^{-1} A``.
    jacobi
        ``rho(D^{-1} (L + L^T))``.
    G
        ``rho(D^{-1} L D^{-1} L^T)``.
    """

    largest: float
    smallest: float
    jacobi: float
    G: float

    def bound(self, omega: float) -> float:
        """Return a bound that holds for every omega: ``sqrt(1 - 2 Om / (1/w + h/g'))``.

        ``Om = (2-w)/(2w)``, ``h = Om^2 + G - 1/4``, and g' the smallest eigenvalue of ``D^{-1} A`` for h >=
        0, the largest for h < 0.
        """
        w = check_omega("omega", omega)
        Om = (2 - w) / (2 * w)
        h = self.excess(w)
        return math.sqrt(max(0.0, 1 - 2 * Om / (1 / w + h / (self.smallest if h >= 0 else self.largest))))

    def textbook(self, omega: float) -> float:
        """Return Hackbusch's bound (2016, Corollary 3.45), ``g = 1 - rho``: it holds while h >= 0 only."""
        w = check_omega("omega", omega)
        Om, g = (2 - w) / (2 * w), 1 - self.jacobi
        return math.sqrt(max(0.0, 1 - 2 * Om * g / (Om**2 + g / w + self.G - 0.25)))

    def excess(self, omega: float) -> float:
        """Return ``h = Om^2 + G - 1/4``."""
        return ((2 - omega) / (2 * omega)) ** 2 + self.G - 0.25


def energy_norm(A: Any, scale: float = 1.0, shift: float = 0.0) -> EnergyNorm:
    """Return what bounds the energy norm of SOR on ``scale A + shift I`` for every omega."""
    dense = _dense(A, scale, shift)
    root = np.sqrt(np.diag(dense))
    B = dense / root[:, None] / root
    values = np.linalg.eigvalsh(B)
    lower = np.tril(B, -1)
    G = float(np.linalg.norm(lower, 2) ** 2)
    return EnergyNorm(
        float(values[-1]), float(values[0]), float(max(abs(1 - values[0]), abs(1 - values[-1]))), G
    )


def exact_energy_norm(A: Any, omega: float, scale: float = 1.0, shift: float = 0.0) -> float:
    """Return the norm of the SOR matrix ``I - W^{-1} A`` in the norm ``x^T A x``, from dense factors."""
    dense = _dense(A, scale, shift)
    R = np.linalg.cholesky(dense)
    # In that norm M = I - W^{-1} A becomes R^T M R^{-T} = R^{-1} C R, with C = I - A W^{-1}.
    return float(np.linalg.norm(np.linalg.solve(R, defect_matrix(A, omega, scale, shift) @ R), 2))
