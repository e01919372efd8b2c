"""Evidence on relaxation itself: iterations against dense powers, radii, and bounds on iteration counts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from theoryrl.instances.linear_systems import laplacian, truncated_gaussian
from theoryrl.models import SPDMatrix
from theoryrl.solvers import (
    NearAsymptotic,
    SSORCondition,
    defect_matrix,
    energy_norm,
    exact_energy_norm,
    jacobi_radius,
    near_asymptotic,
    sor,
    ssor,
    ssor_condition,
    ssor_pcg,
    young_omega,
    young_radius,
)
from theoryrl.theory.core import Evidence, Scope

EPS = 1e-8
"""The relative residual of the paper's experiments."""

NEAR_DOUBLE = 0.02
"""This close to omega* the dense eigenvalue is double, and errs by the square root of rounding."""

LARGEST = 1.95
"""w_max."""


def random_spd(n: int, rng: np.random.Generator) -> Float[np.ndarray, "n n"]:
    """Return a random sparse matrix, in general not consistently ordered."""
    B = np.where(rng.random((n, n)) < 0.5, rng.standard_normal((n, n)), 0.0)
    return B @ B.T + np.diag(0.1 + rng.random(n))


def random_tridiagonal(n: int, rng: np.random.Generator) -> Float[np.ndarray, "n n"]:
    """Return a random diagonally dominant tridiagonal matrix: consistently ordered, beta below one."""
    off = rng.uniform(-1, 1, n - 1)
    around = np.r_[0, np.abs(off)] + np.r_[np.abs(off), 0]
    return np.diag(around + rng.uniform(0.001, 1, n)) + np.diag(off, 1) + np.diag(off, -1)


@dataclass(frozen=True, eq=False)
class Residuals(Evidence):
    """Residual norms along an iteration, and those of the dense recursion ``r <- C r``."""

    measured: Float[np.ndarray, " k"]
    dense: Float[np.ndarray, " k"]


def residual_histories(scope: Scope) -> Iterator[Residuals]:
    """Yield SOR and symmetric SOR on random matrices and shifted Laplacians."""
    rng = np.random.default_rng([scope.seed, 51])
    for index in range(scope.pick(12, 100)):
        A = laplacian(6).toarray() if index % 2 else random_spd(int(rng.integers(2, 20)), rng)
        shift, omega = float(rng.uniform(0, 0.5)), float(rng.uniform(0.6, 1.95))
        b = rng.standard_normal(len(A))
        for solver in (sor, ssor):
            found = solver(A, b, omega, shift=shift, max_iterations=200)
            C = defect_matrix(A, omega, shift=shift, symmetric=solver is ssor)
            r, norms = b, [np.linalg.norm(b)]
            for _ in range(found.iterations):
                r = C @ r
                norms.append(np.linalg.norm(r))
            yield Residuals(f"{found.method} {index}", found.residuals / norms[0], np.array(norms) / norms[0])


@dataclass(frozen=True, eq=False)
class Radii(Evidence):
    """Spectral radii by Young's formula and by dense eigenvalues, on one matrix."""

    beta: float
    omegas: Float[np.ndarray, " d"]
    young: Float[np.ndarray, " d"]
    dense: Float[np.ndarray, " d"]
    near: bool


def radii(scope: Scope) -> Iterator[Radii]:
    """Yield random tridiagonal matrices and Laplacians, away from omega*."""
    yield from _radii(scope, near=False)


def radii_near_the_optimum(scope: Scope) -> Iterator[Radii]:
    """Yield the same, within 0.02 of omega*."""
    yield from _radii(scope, near=True)


def all_radii(scope: Scope) -> Iterator[Radii]:
    """Yield both: parameters near omega* and anywhere else in (0, 2)."""
    yield from radii(scope)
    yield from radii_near_the_optimum(scope)


def _radii(scope: Scope, near: bool) -> Iterator[Radii]:
    rng = np.random.default_rng([scope.seed, 52])
    for index in range(scope.pick(30, 300)):
        A = laplacian(5).toarray() if index % 5 == 0 else random_tridiagonal(int(rng.integers(2, 12)), rng)
        beta = jacobi_radius(A).value
        best = young_omega(beta)
        grid = best + np.linspace(-1, 1, 9) * NEAR_DOUBLE if near else rng.uniform(0.05, 1.95, 12)
        omegas = grid[((np.abs(grid - best) <= NEAR_DOUBLE) == near) & (grid > 0) & (grid < 2)]
        dense = [np.abs(np.linalg.eigvals(defect_matrix(A, float(w)))).max() for w in omegas]
        young = [young_radius(beta, float(w)) for w in omegas]
        yield Radii(f"matrix {index}", beta, omegas, np.array(young), np.array(dense), near)


@dataclass(frozen=True, eq=False)
class Surrogate(Evidence):
    """The near-asymptotic bound of one shifted Laplacian, with counts for the hardest targets we know.

    Attributes
    ----------
    near
        U on a grid in [1, w_max], and tau.
    beta
        Jacobi's radius.
    counts
        Largest count over the targets at each parameter: shape [d].
    """

    near: NearAsymptotic
    beta: float
    counts: Int[np.ndarray, " d"]

    @property
    def best(self) -> float:
        """omega*."""
        return young_omega(self.beta)

    @property
    def alpha(self) -> float:
        """alpha = tau + (1 - tau) max(beta^2, w_max - 1)."""
        return self.near.alpha(self.beta, LARGEST)

    @property
    def cap(self) -> float:
        """``1 + log eps / log alpha``."""
        return 1 + math.log(EPS) / math.log(self.alpha)

    @property
    def lipschitz(self) -> float:
        """``-(1 - tau) log eps / (alpha log^2 alpha)``, the constant of Lemma 2.1 (iii)."""
        return -(1 - self.near.tau) * math.log(EPS) / (self.alpha * math.log(self.alpha) ** 2)

    @property
    def steep_enough(self) -> bool:
        """The condition of Lemma 2.1 (iii), as the proof needs it: v > 1/e^2 from omega* on."""
        square = 4 / math.e**2 / (1 + 1 / math.e**2) ** 2
        return self.near.tau >= 1 / math.e**2 or self.beta**2 >= square

    def mesh(self) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
        """Return points of [1, w_max] that crowd around omega*, and U there."""
        near = self.best + np.concatenate(
            [-(10.0 ** -np.arange(1.0, 9)), [0.0], 10.0 ** -np.arange(8.0, 0, -1)]
        )
        points = np.unique(np.concatenate([near, np.linspace(1, LARGEST, 60)]))
        points = points[(points >= 1) & (points <= LARGEST)]
        return points, self.near.at(self.beta, points)

    def left(self) -> Float[np.ndarray, " N"]:
        """U on a fine mesh of [1, omega*]."""
        return self.near.at(self.beta, np.linspace(1, self.best, 200))

    def right(self) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
        """Return a fine mesh of [omega*, w_max], and U on it."""
        mesh = np.linspace(self.best, LARGEST, 200)
        return mesh, self.near.at(self.beta, mesh)

    def slopes(self) -> Float[np.ndarray, " N"]:
        """Slopes of U between neighbours of the right mesh."""
        mesh, values = self.right()
        return np.abs(np.diff(values) / np.diff(mesh))


def surrogates(scope: Scope) -> Iterator[Surrogate]:
    """Yield shifted Laplacians with singular vectors of powers as targets, the hardest ones."""
    rng = np.random.default_rng([scope.seed, 53])
    for side in scope.pick((4, 5), (4, 5, 6, 7)):
        A = SPDMatrix.of(laplacian(side))
        # beta may not exceed that of the experiments, .9969, beyond which counts reach thousands.
        least = 4 * math.cos(math.pi / (side + 1)) / 0.9969 - 4
        for shift in np.linspace(least, 0.45, scope.pick(4, 8)):
            yield surrogate(A, float(shift), rng, f"{side} x {side} Laplacian, shift {shift:.3f}")


def surrogate(A: SPDMatrix, shift: float, rng: np.random.Generator, name: str) -> Surrogate:
    """Return the bound on a grid of 20, and the largest counts over singular vectors and random targets."""
    near = near_asymptotic(A, np.linspace(1, LARGEST, 20), EPS, shift=shift)
    counts = []
    for omega, k in zip(near.omegas, near.crossings, strict=True):
        C = defect_matrix(A, float(omega), shift=shift)
        targets = list(truncated_gaussian(2, A.n, rng))
        for power in (int(k), int(k) + 1):
            targets.append(np.linalg.svd(np.linalg.matrix_power(C, power))[2][0])
        counts.append(max(sor(A, b, float(omega), shift=shift).iterations for b in targets))
    return Surrogate(name, near, jacobi_radius(A, shift=shift).value, np.array(counts))


@dataclass(frozen=True, eq=False)
class Preconditioned(Evidence):
    """One matrix preconditioned by SSOR, at several parameters.

    Attributes
    ----------
    omegas
        Shape [d].
    condition
        What bounds the condition number.
    kappas, reversed_kappas
        Condition numbers of ``P^{-1} A`` with the factors in either order: shapes [d].
    counts
        Largest iteration count over some targets: shape [d].
    eps
        The relative residual that ended the solves.
    """

    omegas: Float[np.ndarray, " d"]
    condition: SSORCondition
    kappas: Float[np.ndarray, " d"]
    reversed_kappas: Float[np.ndarray, " d"]
    counts: Int[np.ndarray, " d"]
    eps: float = EPS

    @property
    def bounds(self) -> Float[np.ndarray, " d"]:
        """kappa~ at each parameter."""
        return np.array([self.condition.bound(float(w)) for w in self.omegas])

    @property
    def count_bounds(self) -> Float[np.ndarray, " d"]:
        """The bound on the count at each parameter."""
        return np.array([self.condition.count_bound(float(w), self.eps) for w in self.omegas])

    @cached_property
    def grid_minimum(self) -> float:
        """Smallest bound on a fine grid of (0, 2)."""
        return min(self.condition.bound(float(w)) for w in np.linspace(0.005, 1.995, 400))


def preconditioned(scope: Scope) -> Iterator[Preconditioned]:
    """Yield diagonal, random and Laplacian matrices, and stiff ones.

    At omega = 1 a diagonal matrix is solved in the one iteration that the bound on the count allows. Two
    unknowns of different scales, a soft target and a loose tolerance show that the bound needs the root of
    kappa(A): the residual grows before it falls.
    """
    rng = np.random.default_rng([scope.seed, 54])
    for index in range(scope.pick(15, 120)):
        n = int(rng.integers(1, 16))
        if index % 3 == 0:
            A = laplacian(5).toarray() + rng.uniform(0, 0.5) * np.eye(25)
        else:
            A = random_spd(n, rng) if index % 3 == 1 else np.diag(rng.uniform(0.1, 3, n))
        yield _preconditioned(f"matrix {index}", A, rng.standard_normal(len(A)), EPS)
    for index, stiffness in enumerate(10 ** rng.uniform(3, 5, scope.pick(4, 20))):
        off = rng.uniform(0.1, 0.9) * math.sqrt(stiffness)
        A = np.array([[1.0, off], [off, stiffness]])
        yield _preconditioned(f"stiff matrix {index}", A, np.linalg.eigh(A)[1][:, 0], 0.5)


def _preconditioned(name: str, A: Float[np.ndarray, "n n"], b: np.ndarray, eps: float) -> Preconditioned:
    omegas = np.sort(np.r_[np.linspace(0.83, LARGEST, 7), 1.0])
    forward, exchanged = (np.array([_kappa(A, float(w), e) for w in omegas]) for e in (False, True))
    counts = [
        max(ssor_pcg(A, b, float(w), tol=eps, order=order).iterations for order in ("forward", "reversed"))
        for w in omegas
    ]
    return Preconditioned(name, omegas, ssor_condition(A), forward, exchanged, np.array(counts), eps)


def _kappa(A: Float[np.ndarray, "n n"], omega: float, exchanged: bool) -> float:
    D = np.diag(np.diag(A))
    X = D + omega * np.tril(A, -1)
    X = X.T if exchanged else X
    P = X @ (X.T / np.diag(D)[:, None]) / (omega * (2 - omega))
    R = np.linalg.cholesky(P)
    values = np.linalg.eigvalsh(np.linalg.solve(R, np.linalg.solve(R, A).T))
    return float(values[-1] / values[0])


@dataclass(frozen=True, eq=False)
class Energy(Evidence):
    """Energy norms of SOR on one matrix, with our bound and the textbook's: shapes [d]."""

    exact: Float[np.ndarray, " d"]
    bound: Float[np.ndarray, " d"]
    textbook: Float[np.ndarray, " d"]
    excess: Float[np.ndarray, " d"]


def energies(scope: Scope) -> Iterator[Energy]:
    """Yield random matrices and shifted Laplacians over parameters in (0, 2)."""
    rng = np.random.default_rng([scope.seed, 55])
    for index in range(scope.pick(20, 200)):
        A = random_spd(int(rng.integers(2, 12)), rng) if index % 2 else laplacian(5).toarray()
        yield energy(A + rng.uniform(0, 0.5) * np.eye(len(A)), f"matrix {index}")


def large_omega_energies(scope: Scope) -> Iterator[Energy]:
    """Yield Laplacians where the textbook's expression is no bound: h < 0."""
    for shift in (0.0, 0.3):
        found = energy(laplacian(8).toarray() + shift * np.eye(64), f"8 x 8 Laplacian, shift {shift:g}")
        below = found.excess < 0
        yield Energy(
            found.instance, found.exact[below], found.bound[below], found.textbook[below], found.excess[below]
        )


def energy(A: Float[np.ndarray, "n n"], name: str) -> Energy:
    """Return norms and bounds at 13 parameters."""
    omegas, found = np.linspace(0.1, LARGEST, 13), energy_norm(A)
    columns = [
        (exact_energy_norm(A, w), found.bound(w), found.textbook(w), found.excess(w))
        for w in map(float, omegas)
    ]
    return Energy(name, *np.array(columns).T)


@dataclass(frozen=True, eq=False)
class Degenerate(Evidence):
    """Counts for a target that one parameter solves at once, and for random targets."""

    special: int
    typical: float
    jump: int
    typical_jump: float


def degenerate_targets(scope: Scope) -> Iterator[Degenerate]:
    """Yield the 10 x 10 Laplacian with an eigenvector of ``C_1.4`` of least modulus as target."""
    A = SPDMatrix.of(laplacian(10))
    values, vectors = np.linalg.eig(defect_matrix(A, 1.4))
    target = np.real(vectors[:, np.argmin(np.abs(values))])
    rng = np.random.default_rng([scope.seed, 56])
    random = truncated_gaussian(scope.pick(10, 40), A.n, rng)
    mesh = np.arange(1.38, 1.42, 0.002)

    def counts(b: np.ndarray) -> np.ndarray:
        return np.array([sor(A, b, float(w)).iterations for w in mesh])

    typical = np.mean([counts(b) for b in random], axis=0)
    yield Degenerate(
        "10 x 10 Laplacian",
        sor(A, target, 1.4).iterations,
        float(np.mean([sor(A, b, 1.4).iterations for b in random])),
        int(np.abs(np.diff(counts(target))).max()),
        float(np.abs(np.diff(typical)).max()),
    )
