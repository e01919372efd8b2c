"""Least squares in a box on Chebyshev features, and probabilities by inverse gaps."""

import math

import numpy as np

from theoryrl._numba import strict_kernel

SWEEPS = 10_000
SETTLED = 1e-12
RCOND = 1e-12
"""Eigenvalues of a Gram matrix below this share of the largest count as zero."""


@strict_kernel
def chebyshev_features(u, f):
    """Fill f with T_0(u), ..., T_{m-1}(u) by the recurrence; |u| <= 1."""
    f[0] = 1.0
    if f.shape[0] > 1:
        f[1] = u
    for j in range(2, f.shape[0]):
        f[j] = 2 * u * f[j - 1] - f[j - 2]


@strict_kernel
def inverse_gaps(y, eta, p):
    """Fill p with ``1 / (d + eta (y_i - min y))`` for all but the first smallest y, which gets the rest."""
    d, best = y.shape[0], 0
    for i in range(1, d):
        if y[i] < y[best]:
            best = i
    rest = 1.0
    for i in range(d):
        if i != best:
            p[i] = 1 / (d + eta * (y[i] - y[best]))
            rest -= p[i]
    p[best] = rest


@strict_kernel
def least_squares(G, g, theta):
    """Fill theta with the minimiser of least norm of ``theta^T G theta / 2 - g^T theta``."""
    values, V = np.linalg.eigh(G)
    m = g.shape[0]
    theta[:] = 0
    for k in range(m):
        if values[k] > RCOND * values[m - 1]:
            weight = 0.0
            for j in range(m):
                weight += V[j, k] * g[j]
            weight /= values[k]
            for j in range(m):
                theta[j] += weight * V[j, k]


@strict_kernel
def boxed_least_squares(G, g, box, theta):
    """Move theta to the minimiser with ``|theta_j| <= box_j``, by coordinates; return the sweeps."""
    m = g.shape[0]
    for j in range(m):
        theta[j] = min(box[j], max(-box[j], theta[j]))
    for sweep in range(SWEEPS):
        moved = 0.0
        for j in range(m):
            if G[j, j] > 0:
                slope = -g[j]
                for i in range(m):
                    slope += G[j, i] * theta[i]
                new = min(box[j], max(-box[j], theta[j] - slope / G[j, j]))
                moved = max(moved, abs(new - theta[j]) / box[j] if box[j] > 0 else 0.0)
                theta[j] = new
        if moved <= SETTLED:
            return sweep + 1
    return SWEEPS


@strict_kernel
def refit(G, g, square, scale, box, theta, arm, everything):
    """Refit one arm, or all; return the squared residual of the last one that the box held back, else 0.

    The sums G, g, square are of unscaled targets; dividing g by the scale and square by its square scales
    them.
    """
    d, m = theta.shape
    held = 0.0
    for i in range(d):
        if not everything and i != arm:
            continue
        target, free = g[i] / scale, np.empty(m)
        least_squares(G[i], target, free)
        outside = False
        for j in range(m):
            outside = outside or abs(free[j]) > box[j]
        if not outside:
            theta[i] = free
        else:
            # From the coefficients before, which one more observation changes little.
            boxed_least_squares(G[i], target, box, theta[i])
            held = square[i] / scale**2
            for j in range(m):
                held -= 2 * theta[i, j] * target[j]
                for k in range(m):
                    held += theta[i, j] * G[i, j, k] * theta[i, k]
            held = max(held, 0.0)
    return held


@strict_kernel
def add_row(G, g, square, f, target):
    """Add one observation of an arm to its sums."""
    m = f.shape[0]
    for j in range(m):
        g[j] += target * f[j]
        for k in range(m):
            G[j, k] += f[j] * f[k]
    return square + target * target


@strict_kernel
def approximation_error(m, largest):
    """``(pi + (2/pi) log(2 m + 1)) / (2 (m + 1))`` times `largest`: Lebesgue times Jackson."""
    return (math.pi + 2 / math.pi * math.log(2 * m + 1)) / (2 * (m + 1)) * largest
