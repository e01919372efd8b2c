"""The one way this package compiles a function."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile `function` with Numba: typed, cached on disk, without fast-math.

    Reassociation of sums is allowed (it vectorises dot products and treats infinities and NaN as
    usual); every other fast-math assumption stays off. Run-time shape checkers that wrapped the
    function before are peeled off, because Numba compiles plain functions only.
    """
    compiled = numba.njit(cache=True, fastmath={"reassoc", "contract"}, error_model="numpy")
    return cast(F, compiled(inspect.unwrap(function)))
