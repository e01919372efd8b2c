"""Runs a compiled kernel on parts of a range at the same time.

Each index is worked on by the same instructions whatever the parts are, so a kernel that writes one
result per index gives the same bits for any number of threads.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

SMALLEST_PART = 200_000
"""Multiplications below which a second thread costs more than it saves (about 100 microseconds)."""


PIECES = 4
"""Pieces per thread: one that is held up by other programs leaves its pieces to the others."""


def available_threads() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_parts(kernel: Callable[..., Any], size: int, work: float, threads: int, *arguments: Any) -> None:
    """Call kernel(*arguments, low, high) on consecutive pieces of [0, size).

    Parameters
    ----------
    kernel
        Compiled by `theoryrl._numba.threaded_kernel`.
    size
        End of the range.
    work
        Multiplications of the whole range, which decide whether threads pay.
    threads
        Largest number of threads.
    """
    parts = max(1, min(threads, size, int(work // SMALLEST_PART)))
    if parts == 1:
        kernel(*arguments, 0, size)
        return
    pieces = min(size, PIECES * parts)
    todo = deque(pairwise([size * piece // pieces for piece in range(pieces + 1)]))

    def run() -> None:
        while todo:
            try:
                low, high = todo.popleft()
            except IndexError:  # another thread took the last one
                return
            kernel(*arguments, low, high)

    helpers = [_pool(os.getpid()).submit(run) for _ in range(parts - 1)]
    try:
        run()
    finally:
        todo.clear()
        for helper in helpers:
            if not helper.cancel():
                helper.result()


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of this process: a forked child starts its own."""
    return ThreadPoolExecutor(available_threads(), thread_name_prefix="theoryrl")
