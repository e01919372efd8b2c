"""Exhaustive search over the next few periods."""

import numpy as np

from theoryrl._numba import kernel


@kernel
def best_sequence(table, sets, depth, idle):
    """Return the choices of `depth` periods that earn most under the table, from the given idle times.

    ``table[i, d - 1]`` is the worth of arm i at idle time d (constant beyond the table), ``sets[c, i]``
    whether choice c pulls arm i. On ties the first in lexicographic order.
    """
    N, D = table.shape
    A = sets.shape[0]
    choice = np.zeros(depth, dtype=np.int64)
    best = np.zeros(depth, dtype=np.int64)
    rest = np.empty((depth + 1, N), dtype=np.int64)
    worth = np.zeros(depth + 1)
    rest[0] = idle
    highest = -np.inf
    changed = 0
    while True:
        for level in range(changed, depth):
            total = worth[level]
            for i in range(N):
                if sets[choice[level], i]:
                    total += table[i, min(rest[level, i], D) - 1]
                    rest[level + 1, i] = 1
                else:
                    rest[level + 1, i] = rest[level, i] + 1
            worth[level + 1] = total
        if worth[depth] > highest:
            highest = worth[depth]
            best[:] = choice
        changed = depth - 1
        while changed >= 0 and choice[changed] == A - 1:
            choice[changed] = 0
            changed -= 1
        if changed < 0:
            return best
        choice[changed] += 1
