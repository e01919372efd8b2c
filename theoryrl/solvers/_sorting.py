"""A compiled stable sort of indices: smaller and quicker to compile than NumPy's inside a kernel."""

from theoryrl._numba import kernel


@kernel
def sort_indices(values, sign, order, scratch):
    """Fill `order` with the indices of `values` by increasing sign * value; ties keep their order.

    `scratch` is an array like `order`. A merge sort from the bottom up.
    """
    n = values.shape[0]
    for i in range(n):
        order[i] = i
    width = 1
    while width < n:
        low = 0
        while low < n:
            middle = min(low + width, n)
            high = min(low + 2 * width, n)
            i, j, k = low, middle, low
            while k < high:
                if i < middle and (j >= high or sign * values[order[i]] <= sign * values[order[j]]):
                    scratch[k] = order[i]
                    i += 1
                else:
                    scratch[k] = order[j]
                    j += 1
                k += 1
            for k in range(low, high):
                order[k] = scratch[k]
            low += 2 * width
        width *= 2
