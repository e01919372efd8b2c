"""Runs a compiled kernel on parts of a range at the same time.

Each index is worked on by the same instructions whatever the parts are, so a kernel that writes one
result per index gives the same bits for any number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

SMALLEST_PART = 200_000
"""Multiplications below which a second thread costs more than it saves (about 100 microseconds)."""


def available_threads() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_parts(kernel: Callable[..., Any], size: int, work: float, threads: int, *arguments: Any) -> None:
    """Call kernel(*arguments, low, high) on consecutive parts of [0, size).

    Parameters
    ----------
    kernel
        Compiled by `theoryrl._numba.threaded_kernel`.
    size
        End of the range.
    work
        Multiplications of the whole range, which decide whether threads pay.
    threads
        Largest number of parts.
    """
    parts = max(1, min(threads, size, int(work // SMALLEST_PART)))
    if parts == 1:
        kernel(*arguments, 0, size)
        return
    cuts = [size * part // parts for part in range(parts + 1)]
    running = [_pool(os.getpid()).submit(kernel, *arguments, low, high) for low, high in pairwise(cuts[1:])]
    try:
        kernel(*arguments, cuts[0], cuts[1])
    finally:
        for future in running:
            future.result()


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of this process: a forked child starts its own."""
    return ThreadPoolExecutor(available_threads(), thread_name_prefix="theoryrl")
