"""SOR, symmetric SOR and SSOR-preconditioned conjugate gradients on the lower triangle of a symmetric matrix.

The matrix is ``scale K + shift I``, with K = L + D + L^T given by D and the rows of L. The upper triangle
is never read: while row i of L is in the cache, column i of L^T is scattered. Instead of a residual from
scratch, each sweep updates it: if ``(D/w + L) delta = r`` and x moves by delta, r becomes
``-((1 - 1/w) D + L^T) delta``. Indices are unsigned, which spares every access the test for a negative one.
"""

import math

import numpy as np

from theoryrl._numba import kernel

GROWTH = 1e100
"""A residual that has grown by this factor diverges."""

CURVATURE = -1
"""Returned by conjugate gradients that met a direction of non-positive curvature."""


@kernel
def squared_norm(v):
    """Sum of squares."""
    total = 0.0
    for i in range(v.shape[0]):
        total += v[i] * v[i]
    return total


@kernel
def residual(data, indices, indptr, diagonal, scale, shift, b, x, r):
    """Fill r with b - A x."""
    for i in range(b.shape[0]):
        r[i] = b[i] - (scale * diagonal[i] + shift) * x[i]
        total = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            total += data[k] * x[j]
            r[j] -= scale * data[k] * x[i]
        r[i] -= scale * total


@kernel
def forward_sweep(data, indices, indptr, diagonal, scale, shift, omega, x, r, delta):
    """One SOR sweep from the first row to the last; r is the residual before and after."""
    rest = 1 / omega - 1
    start = indptr[0]
    for i in range(x.shape[0]):
        d = scale * diagonal[i] + shift
        end = indptr[i + 1]
        total = 0.0
        for k in range(start, end):
            total += data[k] * delta[indices[k]]
        # Each row waits for the one before: as few operations as possible stand between the two.
        factor = omega / d
        step = factor * r[i] - factor * scale * total
        delta[i] = step
        x[i] += step
        r[i] = rest * d * step
        moved = scale * step
        for k in range(start, end):
            r[indices[k]] -= data[k] * moved
        start = end


@kernel
def backward_sweep(data, indices, indptr, diagonal, scale, shift, omega, x, r, delta):
    """One SOR sweep from the last row to the first; r is the residual before and after."""
    n = x.shape[0]
    for i in range(n - 1, -1, -1):
        step = omega / (scale * diagonal[i] + shift) * r[i]
        delta[i] = step
        x[i] += step
        moved = scale * step
        for k in range(indptr[i], indptr[i + 1]):
            r[indices[k]] -= data[k] * moved
    rest = 1 / omega - 1
    for i in range(n):
        total = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            total += data[k] * delta[indices[k]]
        r[i] = rest * (scale * diagonal[i] + shift) * delta[i] - scale * total


@kernel
def sweeps(symmetric, data, indices, indptr, diagonal, scale, shift, omega, x, r, goal, limit, history):
    """Sweep until the squared residual is below `goal`, at most `limit` times; return how many sweeps.

    `limit + 1` if the residual is not below it by then, or diverges. `history[k]` is the residual norm
    after k sweeps, as far as it reaches.
    """
    delta = np.empty(x.shape[0])
    start = squared_norm(r)
    for k in range(1, limit + 1):
        forward_sweep(data, indices, indptr, diagonal, scale, shift, omega, x, r, delta)
        if symmetric:
            backward_sweep(data, indices, indptr, diagonal, scale, shift, omega, x, r, delta)
        square = squared_norm(r)
        if k < history.shape[0]:
            history[k] = math.sqrt(square)
        if square < goal:
            return k
        if not square < GROWTH * start:
            break
    return limit + 1


@kernel
def precondition(data, indices, indptr, diagonal, scale, shift, omega, reversed_order, r, z):
    """Fill z with ``w (2 - w) X^{-T} D X^{-1} r``, X = D + w L; the other order has X and X^T exchanged."""
    n, factor = r.shape[0], omega * scale
    for i in range(n):
        z[i] = r[i]
    for half in range(2):
        if (half == 0) == reversed_order:
            for i in range(n - 1, -1, -1):
                z[i] /= scale * diagonal[i] + shift
                moved = factor * z[i]
                for k in range(indptr[i], indptr[i + 1]):
                    z[indices[k]] -= data[k] * moved
        else:
            for i in range(n):
                total = 0.0
                for k in range(indptr[i], indptr[i + 1]):
                    total += data[k] * z[indices[k]]
                z[i] = (z[i] - factor * total) / (scale * diagonal[i] + shift)
        if half == 0:
            for i in range(n):
                z[i] *= omega * (2 - omega) * (scale * diagonal[i] + shift)


@kernel
def conjugate_gradients(
    preconditioned,
    reversed_order,
    data,
    indices,
    indptr,
    diagonal,
    scale,
    shift,
    omega,
    x,
    r,
    goal,
    limit,
    history,
):
    """Conjugate gradients until the squared residual is at most `goal`; return the number of iterations.

    0 if it is at the start, `limit + 1` if it is not by then, `CURVATURE` if the matrix is not positive
    definite.
    """
    n = x.shape[0]
    z, p, q = np.empty(n), np.zeros(n), np.empty(n)
    if squared_norm(r) <= goal:
        return 0
    last = 1.0
    for k in range(1, limit + 1):
        if preconditioned:
            precondition(data, indices, indptr, diagonal, scale, shift, omega, reversed_order, r, z)
        else:
            z[:] = r
        product = 0.0
        for i in range(n):
            product += r[i] * z[i]
        ratio = product / last if k > 1 else 0.0
        last = product
        for i in range(n):
            p[i] = z[i] + ratio * p[i]
        curvature = 0.0
        for i in range(n):
            q[i] = (scale * diagonal[i] + shift) * p[i]
            total = 0.0
            for e in range(indptr[i], indptr[i + 1]):
                j = indices[e]
                total += data[e] * p[j]
                q[j] += scale * data[e] * p[i]
            q[i] += scale * total
        for i in range(n):
            curvature += p[i] * q[i]
        if not curvature > 0:
            return CURVATURE
        step = product / curvature
        square = 0.0
        for i in range(n):
            x[i] += step * p[i]
            r[i] -= step * q[i]
            square += r[i] * r[i]
        if k < history.shape[0]:
            history[k] = math.sqrt(square)
        if square <= goal:
            return k
    return limit + 1


@kernel
def count_table(
    method, data, indices, indptr, diagonal, scales, shifts, targets, starts, omegas, tolerance, limit, counts
):
    """Fill counts[u, i] with the iterations of system u at omegas[i]; one matrix, many targets.

    `method`: 0 SOR, 1 symmetric SOR, 2 and 3 SSOR-preconditioned conjugate gradients in either order.
    `starts` has no rows where the iteration starts from zero. Return u if system u has non-positive
    curvature, else -1.
    """
    n = diagonal.shape[0]
    x, r, first = np.empty(n), np.empty(n), np.empty(n)
    nothing = np.empty(0)
    for u in range(targets.shape[0]):
        scale, shift = scales[u], shifts[u]
        if starts.shape[0]:
            residual(data, indices, indptr, diagonal, scale, shift, targets[u], starts[u], first)
        else:
            first[:] = targets[u]
        reference = squared_norm(targets[u]) if method >= 2 else squared_norm(first)
        goal = tolerance * tolerance * reference
        for i in range(omegas.shape[0]):
            r[:] = first
            if starts.shape[0]:
                x[:] = starts[u]
            else:
                x[:] = 0
            if reference == 0:
                counts[u, i] = 0
            elif method >= 2:
                counts[u, i] = conjugate_gradients(
                    True, method == 3, data, indices, indptr, diagonal, scale, shift, omegas[i], x, r,
                    goal, limit, nothing,
                )  # fmt: skip
                if counts[u, i] == CURVATURE:
                    return u
            else:
                counts[u, i] = sweeps(
                    method == 1, data, indices, indptr, diagonal, scale, shift, omegas[i], x, r, goal, limit,
                    nothing,
                )  # fmt: skip
    return -1
