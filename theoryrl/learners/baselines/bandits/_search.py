"""The largest entry of a vector, found without branches."""

from theoryrl._numba import ordered_kernel, strict_kernel


@ordered_kernel
def largest(values):
    """Return the largest entry; none may be NaN."""
    top = values[0]
    for i in range(1, values.shape[0]):
        top = values[i] if values[i] > top else top
    return top


@strict_kernel
def first_largest(values):
    """Index of the largest entry, the first one of equals."""
    top = largest(values)
    for i in range(values.shape[0]):
        if values[i] == top:
            return i
    return 0
