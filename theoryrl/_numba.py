"""The one way this package compiles a function."""

import inspect
from collections.abc import Callable
from typing import Any, Literal

import numba
from numba import types
from numba.extending import overload


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` with Numba: typed by its arguments, cached on disk.

    Reassociation and contraction of sums are allowed (they vectorise dot products, and treat
    infinities and NaN as usual); every other fast-math assumption stays off. Run-time shape checkers
    that wrapped the function before are peeled off, because Numba compiles plain functions only.
    """
    compile_function = numba.njit(cache=True, fastmath={"reassoc", "contract"}, error_model="numpy")
    return compile_function(inspect.unwrap(function))


def threaded_kernel(function: Callable[..., Any]) -> Any:
    """Compile like `kernel`, and let other threads of Python run meanwhile.

    `theoryrl.solvers._threads` calls such kernels on parts of the states at the same time. Numba's own
    threads are not used: they do not survive a fork, nor two callers at once.
    """
    compile_function = numba.njit(
        cache=True, nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy"
    )
    return compile_function(inspect.unwrap(function))


def scalar_kernel(function: Callable[..., Any]) -> Any:
    """Compile like `kernel`, but keep sums in order: for loops that gather, which vectors slow down."""
    compile_function = numba.njit(cache=True, fastmath={"contract"}, error_model="numpy")
    return compile_function(inspect.unwrap(function))


def run_time_kernel(function: Callable[..., Any]) -> Any:
    """Compile like `threaded_kernel`, but keep nothing on disk.

    For functions that are made at run time or that take such functions.
    """
    compile_function = numba.njit(nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy")
    return compile_function(inspect.unwrap(function))


def strict_kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` like `kernel`, with every operation in the order in which it is written.

    For steps that several kernels share and whose results must agree to the last bit wherever they run.
    """
    return numba.njit(cache=True, error_model="numpy")(inspect.unwrap(function))


def ordered_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function of numbers that are never NaN, so that comparing them can be vectorised."""
    return numba.njit(cache=True, fastmath={"nnan", "nsz"}, error_model="numpy")(inspect.unwrap(function))


def inlined_kernel(function: Callable[..., Any]) -> Any:
    """Compile like `strict_kernel`, into its callers: for steps that cost less than a call with arrays."""
    return numba.njit(cache=True, inline="always", error_model="numpy")(inspect.unwrap(function))


def by_layout(
    dense: Callable[..., Any],
    sparse: Callable[..., Any],
    dense_options: Any,
    sparse_options: Any,
    inline: Literal["never", "always"] = "never",
) -> Any:
    """Return a function of a model's rows, for kernels, and for Python where compilation is switched off.

    Its first argument P is an array, for which `dense` stands in, or the three arrays of compressed sparse
    rows in a tuple, for which `sparse` does; both take the same arguments.
    """

    def function(P: Any, *rest: Any) -> Any:
        return (sparse if isinstance(P, tuple) else dense)(P, *rest)

    def offer(loop: Callable[..., Any], tuples: bool, options: Any) -> None:
        def choose(P: Any, *_: Any) -> Any:
            return inspect.unwrap(loop) if isinstance(P, types.BaseTuple) == tuples else None

        # Numba compares the names of its arguments with those of the loop.
        choose.__signature__ = inspect.signature(loop)  # type: ignore[attr-defined]
        overload(function, jit_options=options, inline=inline)(choose)

    offer(dense, False, dense_options)
    offer(sparse, True, sparse_options)
    function.__doc__ = dense.__doc__
    return function
