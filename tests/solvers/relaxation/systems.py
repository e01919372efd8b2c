"""Matrices for the tests of the relaxation solvers."""

import numpy as np
from scipy import sparse

from theoryrl.instances.linear_systems import laplacian


def random_spd(n, seed, density=0.3):
    """A well-conditioned random sparse matrix, in general not consistently ordered."""
    rng = np.random.default_rng(seed)
    B = np.where(rng.random((n, n)) < density, rng.standard_normal((n, n)), 0.0)
    return B @ B.T + np.diag(0.5 + rng.random(n))


def tridiagonal(n, seed):
    """A random diagonally dominant tridiagonal matrix: consistently ordered, beta below one."""
    rng = np.random.default_rng(seed)
    off = rng.uniform(-1, 1, n - 1)
    around = np.r_[0, np.abs(off)] + np.r_[np.abs(off), 0]
    return np.diag(around + rng.uniform(0.01, 1, n)) + np.diag(off, 1) + np.diag(off, -1)


MATRICES = {
    "laplacian": laplacian(6).toarray(),
    "random": random_spd(20, 0),
    "tridiagonal": tridiagonal(12, 1),
    "diagonal": np.diag([1.0, 2.0, 3.0]),
    "one": np.array([[2.0]]),
}


def split(A):
    return np.diag(np.diag(A)), np.tril(A, -1)


def as_csr(A):
    return sparse.csr_array(A)
