"""Solving one system: SOR, symmetric SOR, and conjugate gradients with or without the SSOR preconditioner.

    SOR:   x <- x + (D/w + L)^{-1} (b - A x)          SSOR: a sweep forwards, then one backwards
    SSOR-PCG: conjugate gradients with P = (D + wL) D^{-1} (D + wL)^T / (w (2 - w))

The iteration count is the first k >= 1 at which the residual norm is below the tolerance times the first
residual norm (for conjugate gradients: at most the tolerance times the norm of b, and k >= 0). The residual
is updated along the way and computed anew at the end; if rounding has driven the two apart, the iteration
goes on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.models._validation import check_count, check_fraction, check_real, real_array
from theoryrl.models.linear_systems import SPDMatrix, check_omega
from theoryrl.solvers.relaxation import _kernels
from theoryrl.solvers.solution import NotConvergedError, rounding_unit


@dataclass(frozen=True, eq=False)
class LinearSolution:
    """What an iteration found.

    Attributes
    ----------
    x
        The last iterate: shape [n].
    iterations
        Sweeps, or steps of conjugate gradients.
    converged
        Whether the residual, computed anew, meets the tolerance.
    residuals
        Norm of the residual before the first iteration and after each: shape [iterations + 1].
    residual
        Norm of ``b - A x``, computed anew.
    residual_bound
        A proven upper bound on the norm of the exact ``b - A x``, rounding included.
    method, omega
        What was run.
    """

    x: Float[np.ndarray, " n"]
    iterations: int
    converged: bool
    residuals: Float[np.ndarray, " k"]
    residual: float
    residual_bound: float
    method: str
    omega: float

    def error_bound(self, least_eigenvalue: float) -> float:
        """Return a bound on the distance from the solution, given a positive lower bound on the spectrum."""
        if check_real("least_eigenvalue", least_eigenvalue) <= 0:
            raise ValueError(f"least_eigenvalue must be positive; got {least_eigenvalue!r}")
        return self.residual_bound / least_eigenvalue

    def __repr__(self) -> str:
        state = "converged" if self.converged else "NOT converged"
        return (
            f"LinearSolution({self.method}, omega={self.omega:g}: {state} after {self.iterations} iterations"
            f", residual {self.residual:.3g})"
        )


class LinearSolveError(NotConvergedError):
    """An iteration ended before the residual was small enough; `solution` has the residual history."""

    solution: LinearSolution  # type: ignore[assignment]

    def __init__(self, solution: LinearSolution) -> None:
        self.solution = solution
        last = solution.residuals[-1] / solution.residuals[0]
        RuntimeError.__init__(
            self,
            f"{solution.method} with omega = {solution.omega:g} did not converge in {solution.iterations} "
            f"iterations: the residual is {last:.3g} times the first one (history in .solution.residuals)",
        )


class NotPositiveDefiniteError(ValueError):
    """A direction of non-positive curvature was met, so the matrix is not positive definite."""


def sor(
    A: Any,
    b: Any,
    omega: float = 1.0,
    x0: Any = None,
    *,
    tol: float = 1e-8,
    max_iterations: int = 10_000,
    scale: float = 1.0,
    shift: float = 0.0,
) -> LinearSolution:
    """Solve ``(scale A + shift I) x = b`` by successive over-relaxation.

    Parameters
    ----------
    A
        Symmetric positive definite: an `SPDMatrix`, a SciPy sparse matrix, or an array.
    b
        Target: shape [n].
    omega
        Relaxation parameter in (0, 2); 1 is Gauss-Seidel.
    x0
        Where to start: shape [n]; default zero.
    tol
        The residual norm that ends the iteration, relative to the first one, in (0, 1).
    max_iterations
        Give up after so many.
    scale, shift
        Of the matrix; equal matrices up to these need not be checked again.

    Returns
    -------
    LinearSolution
        Converged or not; the residual history is there either way.

    Raises
    ------
    ValueError
        If A is not square, symmetric, finite and positive definite, or an argument is out of range.

    Source: Young (1971); for symmetric A with a positive diagonal SOR converges for every omega in (0, 2) if
    and only if A is positive definite (Ostrowski).
    """
    return _stationary("sor", A, b, omega, x0, tol, max_iterations, scale, shift)


def ssor(
    A: Any,
    b: Any,
    omega: float = 1.0,
    x0: Any = None,
    *,
    tol: float = 1e-8,
    max_iterations: int = 10_000,
    scale: float = 1.0,
    shift: float = 0.0,
) -> LinearSolution:
    """Solve a system by symmetric SOR: a sweep forwards and one backwards in each iteration; see `sor`."""
    return _stationary("ssor", A, b, omega, x0, tol, max_iterations, scale, shift)


def ssor_pcg(
    A: Any,
    b: Any,
    omega: float = 1.0,
    x0: Any = None,
    *,
    tol: float = 1e-8,
    max_iterations: int = 10_000,
    scale: float = 1.0,
    shift: float = 0.0,
    order: str = "forward",
) -> LinearSolution:
    """Solve a system by conjugate gradients with the SSOR preconditioner.

    Parameters are those of `sor`, except that the tolerance is relative to the norm of b.

    Parameters
    ----------
    A, b, omega, x0, max_iterations, scale, shift
        See `sor`.
    tol
        The residual norm that ends the iteration, relative to the norm of b.
    order
        ``"forward"``: P = (D + wL) D^{-1} (D + wL)^T / (w (2 - w)), the textbook's; ``"reversed"``: the
        factors exchanged, as in the code of Khodak et al. The spectra of P^{-1} A agree, the counts need
        not.
    """
    if order not in ("forward", "reversed"):
        raise ValueError(f"order must be forward or reversed; got {order!r}")
    return _krylov("ssor-pcg", order == "reversed", A, b, omega, x0, tol, max_iterations, scale, shift)


def conjugate_gradients(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-8,
    max_iterations: int = 10_000,
    scale: float = 1.0,
    shift: float = 0.0,
) -> LinearSolution:
    """Solve a system by plain conjugate gradients; see `ssor_pcg`."""
    return _krylov("cg", False, A, b, 1.0, x0, tol, max_iterations, scale, shift)


class _System:
    """A checked system, and the iteration's vectors."""

    def __init__(
        self, A: Any, b: Any, x0: Any, tol: float, max_iterations: int, scale: float, shift: float
    ) -> None:
        matrix = SPDMatrix.of(A)
        self.matrix = matrix
        self.b = real_array("b", b, (matrix.n,))
        self.x = np.zeros(matrix.n) if x0 is None else real_array("x0", x0, (matrix.n,)).copy()
        self.tol = check_fraction("tol", tol)
        self.limit = check_count("max_iterations", max_iterations)
        self.scale, self.shift = check_real("scale", scale), check_real("shift", shift)
        least = self.scale * float(matrix.diagonal.min()) + self.shift
        if self.scale <= 0 or least <= 0:
            raise ValueError(
                f"scale must be positive, and shift leave a positive diagonal; got scale {scale!r}, "
                f"shift {shift!r}, smallest diagonal entry {least!r}"
            )
        self.arrays = (*matrix.arrays, self.scale, self.shift)
        self.r = np.empty(matrix.n)
        self.refresh()

    def refresh(self) -> float:
        """Compute the residual anew, and return its norm."""
        _kernels.residual(*self.arrays, self.b, self.x, self.r)
        return math.sqrt(_kernels.squared_norm(self.r))

    def residual_bound(self) -> float:
        """Return an upper bound on the norm of the exact residual.

        Each entry is a sum of at most m + 1 products, m the longest row, two roundings each for scale and
        shift; the computed sum errs by gamma_{m+4} times the sum of the moduli (Higham, section 3.1).
        """
        L = abs(self.matrix.lower())
        size = np.abs(self.x)
        total = np.abs(self.b) + (abs(self.scale) * self.matrix.diagonal + abs(self.shift)) * size
        total += abs(self.scale) * (L @ size + L.T @ size)
        longest = int((np.diff(L.indptr) + np.bincount(L.indices, minlength=len(size))).max()) + 1
        slack = rounding_unit(longest + 4) * (1 + rounding_unit(longest + 4))
        norm = math.sqrt(_kernels.squared_norm(self.r))
        return (norm + slack * float(np.linalg.norm(total))) * (1 + rounding_unit(len(size) + 4))

    def curvature(self, v: Float[np.ndarray, " n"]) -> float:
        """Return v^T A v."""
        image = np.empty(len(v))
        _kernels.residual(*self.arrays, np.zeros(len(v)), v, image)
        return -float(v @ image)

    def refuse_if_indefinite(self) -> None:
        """Raise if the last iterate shows that the matrix is not positive definite."""
        size = float(np.abs(self.x).max())
        if math.isfinite(size) and size > 0:
            value = self.curvature(self.x / size)
            if value <= 0:
                raise NotPositiveDefiniteError(
                    f"A must be positive definite; x^T A x / max|x|^2 = {value:.6g} at the last iterate"
                )


def _stationary(
    method: str, A: Any, b: Any, omega: float, x0: Any, tol: float, limit: int, scale: float, shift: float
) -> LinearSolution:
    w = check_omega("omega", omega)
    system = _System(A, b, x0, tol, limit, scale, shift)
    first = system.refresh()
    goal = (tol * first) ** 2

    def go_on(history: np.ndarray, remaining: int) -> int:
        symmetric = method == "ssor"
        return int(
            _kernels.sweeps(symmetric, *system.arrays, w, system.x, system.r, goal, remaining, history)
        )

    return _iterate(system, method, w, first, tol * first, go_on)


def _krylov(
    method: str, exchanged: bool, A: Any, b: Any, omega: float, x0: Any,
    tol: float, limit: int, scale: float, shift: float,
) -> LinearSolution:  # fmt: skip
    w = check_omega("omega", omega)
    system = _System(A, b, x0, tol, limit, scale, shift)
    target = tol * math.sqrt(_kernels.squared_norm(system.b))
    if target == 0:
        system.x[:] = 0  # the solution, which no residual relative to b could announce

    def go_on(history: np.ndarray, remaining: int) -> int:
        count = _kernels.conjugate_gradients(
            method == "ssor-pcg",
            exchanged,
            *system.arrays,
            w,
            system.x,
            system.r,
            target**2,
            remaining,
            history,
        )
        if count == _kernels.CURVATURE:
            raise NotPositiveDefiniteError(
                f"A must be positive definite; {method} met a direction of non-positive curvature"
            )
        return int(count)

    return _iterate(system, method, w, system.refresh(), target, go_on)


RESTARTS = 8
"""So often an iteration goes on after rounding drove the updated residual from the true one."""


def _iterate(
    system: _System, method: str, omega: float, first: float, target: float, go_on: Any
) -> LinearSolution:
    """Run, compute the residual anew, and go on from it while it is above the target and shrinking."""
    residuals, done, converged = [np.array([first])], 0, first == 0
    true = first
    for _ in range(RESTARTS if first > 0 else 0):
        remaining = system.limit - done
        history = np.full(remaining + 1, np.nan)
        count = go_on(history, remaining) if remaining else 1
        taken = min(count, remaining)
        if taken < remaining and np.isnan(history[taken]):
            taken = int(np.argmax(np.isnan(history[1:])))
        done += taken
        residuals.append(history[1 : taken + 1])
        before, true = true, system.refresh()
        if true <= target:
            converged = True
            break
        if count > remaining or not true < 0.5 * before:
            break
    if not converged:
        system.refuse_if_indefinite()
    return LinearSolution(
        x=system.x,
        iterations=done,
        converged=converged,
        residuals=np.concatenate(residuals),
        residual=true,
        residual_bound=system.residual_bound(),
        method=method,
        omega=omega,
    )
