"""Running cells here or elsewhere.

A job is sent as bytes, so that it is pickled once per problem and learner and any executor will do,
one on another machine included. The result comes back by value; only the study's own process writes.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from theoryrl.protocol import Run
from theoryrl.study.store import Result

THREAD_COUNTS = (
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def run_cell(problem: Any, learner: Any, rounds: int, seed: int, audit: Any = None) -> Result:
    """Play one cell and take the time."""
    started = time.perf_counter()
    trace = Run(problem, learner, rounds, seed, audit).advance().trace
    return Result(trace, time.perf_counter() - started)


def run_packed_cell(job: bytes, rounds: int, seed: int) -> Result:
    """Play one cell of a job made by `pack`."""
    problem, learner, audit = pickle.loads(job)
    return run_cell(problem, learner, rounds, seed, audit)


def pack(problem: Any, learner: Any, audit: Any) -> bytes:
    """Return what another process needs to run cells of this problem and learner.

    Raises
    ------
    TypeError
        If one of them cannot be pickled.
    """
    try:
        return pickle.dumps((problem, learner, audit), protocol=5)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"{learner!r} on {getattr(problem, 'key', problem)!r} cannot be sent to another process "
            f"({error}); define what it uses at the top of a module, or run with workers=1"
        ) from error


@contextmanager
def process_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Open a pool of fresh interpreters with one thread each, which ends at once if this process does.

    Every worker watches a pipe of which this process holds the other end. When that closes, because of
    an interrupt here or because this process was killed, the worker exits in the middle of what it does.
    """
    context = multiprocessing.get_context("spawn")
    reader, lifeline = context.Pipe(duplex=False)
    with _one_thread_each():
        pool = ProcessPoolExecutor(workers, context, _start_worker, (reader,))
        try:
            yield pool
            pool.shutdown()
        except BaseException:
            lifeline.close()
            pool.shutdown(wait=False)
            raise
        finally:
            lifeline.close()
            reader.close()


def _start_worker(lifeline: Connection) -> None:
    # Ctrl-C reaches the whole process group; the study's process decides what becomes of the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with, args=(lifeline,), daemon=True).start()


def _exit_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that start now use one thread for linear algebra, so that they do not compete."""
    before = {name: os.environ.get(name) for name in THREAD_COUNTS}
    os.environ.update(dict.fromkeys(THREAD_COUNTS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
