"""Compiled loop for the Lipschitz constant of a preference game."""

from theoryrl._numba import kernel


@kernel
def largest_range(A):
    """Return the largest range (maximum minus minimum) of a difference of two rows of A."""
    n = A.shape[0]
    best = 0.0
    for i in range(n):
        for j in range(i):
            low, high = A[i, 0] - A[j, 0], A[i, 0] - A[j, 0]
            for a in range(1, n):
                d = A[i, a] - A[j, a]
                low = min(low, d)
                high = max(high, d)
            best = max(best, high - low)
    return best
