"""Checks that every model makes of its arrays, once, when it is built.

Each check raises `ValueError` with the argument's name, the first offending index and the value.
Nothing is renormalised or clipped; integers and narrower floats are widened to float64 exactly.
"""

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

ROW_SUM_TOLERANCE = 1e-10
"""How far the sum of a probability vector may be from one (rounding of a few hundred additions)."""

LARGEST_COUNT = 2**53
"""Counts up to this are exact as float64, and fit into int64 with room for sums."""


def real_array(name: str, value: Any, shape: Sequence[int | str], allow_empty: bool = False) -> np.ndarray:
    """Return `value` as a new read-only C-contiguous float64 array of finite numbers.

    Parameters
    ----------
    name
        The argument's name in error messages.
    value
        Anything NumPy turns into a real array.
    shape
        One entry per axis: a size that must match, or a letter. Axes with the same letter must have
        the same size.
    allow_empty
        Whether an axis may be without entries.
    """
    array = _as_array(name, value)
    if array.dtype.kind not in "fiu" or not np.can_cast(array.dtype, np.float64):
        raise ValueError(f"{name} must hold real numbers that fit into float64; got dtype {array.dtype}")
    _check_shape(name, array.shape, shape, allow_empty)
    _check_memory(name, array.shape)
    frozen = np.array(array, dtype=np.float64, order="C")
    finite = np.isfinite(frozen)
    if not finite.all():
        index = first_index(~finite)
        raise ValueError(f"{at(name, index)} must be finite; got {frozen[index]}")
    frozen.setflags(write=False)
    return frozen


def index_array(
    name: str, value: Any, shape: Sequence[int | str], bound: int, allow_empty: bool = False
) -> np.ndarray:
    """Return `value` as a new read-only int64 array of indices in [0, bound)."""
    array = _as_array(name, value)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold integers; got dtype {array.dtype}")
    _check_shape(name, array.shape, shape, allow_empty)
    _check_memory(name, array.shape)
    wrong = (array < 0) | (array >= bound)
    if wrong.any():
        index = first_index(wrong)
        raise ValueError(f"{at(name, index)} must be in [0, {bound}); got {array[index]}")
    frozen = np.array(array, dtype=np.int64, order="C")
    frozen.setflags(write=False)
    return frozen


def check_interval(name: str, array: np.ndarray, low: float, high: float) -> None:
    """Raise unless every entry of `array` lies in [low, high]."""
    wrong = (array < low) | (array > high)
    if wrong.any():
        index = first_index(wrong)
        raise ValueError(f"{at(name, index)} must be in [{low:g}, {high:g}]; got {float(array[index])!r}")


def check_distribution(name: str, array: np.ndarray) -> None:
    """Raise unless every vector along the last axis is a probability distribution."""
    negative = array < 0
    if negative.any():
        index = first_index(negative)
        raise ValueError(f"{at(name, index)} must be a probability; got {float(array[index])!r}")
    total = array.sum(axis=-1)
    wrong = np.asarray(np.abs(total - 1) > ROW_SUM_TOLERANCE)
    if wrong.any():
        index = first_index(wrong)
        row = at(name, (*index, ":")) if index else name
        raise ValueError(f"{row} must sum to 1; it sums to {float(total[index])!r}")


def check_fraction(name: str, value: Any) -> float:
    """Return `value` as a float if it lies strictly between 0 and 1."""
    number = _as_real(name, value)
    if not 0 < number < 1:  # also refuses NaN
        raise ValueError(f"{name} must be in (0, 1); got {value!r}")
    return number


def check_real(name: str, value: Any, low: float = -np.inf, high: float = np.inf) -> float:
    """Return `value` as a finite float in [low, high]."""
    number = _as_real(name, value)
    if not np.isfinite(number) or not low <= number <= high:
        bounded = np.isfinite(low) or np.isfinite(high)
        where = f" in [{low:g}, {high:g}]" if bounded else ""
        raise ValueError(f"{name} must be a finite number{where}; got {value!r}")
    return number


def check_count(name: str, value: Any, low: int = 1, high: int | None = None) -> int:
    """Return `value` as an int that is at least `low` and, where given, at most `high`."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name} must be an integer; got {value!r}")
    if value < low or (high is not None and value > high):
        upper = "" if high is None else f" and at most {high}"
        raise ValueError(f"{name} must be at least {low}{upper}; got {value}")
    return int(value)


def check_flag(name: str, value: Any) -> bool:
    """Return `value` if it is True or False; nothing else passes for a truth value."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False; got {value!r}")
    return bool(value)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return `value` if it is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
    return str(value)


def check_memory(name: str, *shape: int) -> None:
    """Raise if a float64 array of this shape does not fit into the machine's memory."""
    _check_memory(name, shape)


def count_axes(name: str, value: Any) -> int:
    """Return how many axes `value` has as an array."""
    return _as_array(name, value).ndim


def check_type(name: str, value: Any, *kinds: type[Any]) -> None:
    """Raise unless `value` is an instance of one of `kinds`."""
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"{name} must be a {wanted}; got {type(value).__name__}")


def first_index(mask: np.ndarray) -> tuple[int, ...]:
    """Return the index of the first true entry of `mask` in C order."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


def at(name: str, index: Sequence[int | str]) -> str:
    """Return `name[i, j, ...]`, or `name` for a scalar."""
    return f"{name}[{', '.join(map(str, index))}]" if len(index) else name


def _as_real(name: str, value: Any) -> float:
    """Return a number as a float; one beyond the range of float64 becomes infinite."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(f"{name} must be a real number; got {value!r}")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _as_array(name: str, value: Any) -> np.ndarray:
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        index = first_index(np.ma.getmaskarray(value))
        raise ValueError(f"{at(name, index)} must be a number; it is masked")
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} is not an array: {error}") from None


def _check_shape(
    name: str, actual: tuple[int, ...], expected: Sequence[int | str], allow_empty: bool = False
) -> None:
    sizes: dict[str, int] = {}
    wanted = f"({', '.join(map(str, expected))})"
    if len(actual) != len(expected):
        raise ValueError(f"{name} must have shape {wanted}; got shape {actual}")
    for size, symbol in zip(actual, expected, strict=True):
        target = sizes.setdefault(symbol, size) if isinstance(symbol, str) else symbol
        if size != target:
            raise ValueError(f"{name} must have shape {wanted}; got shape {actual}")
    if not allow_empty and 0 in actual:
        raise ValueError(f"{name} must not be empty; got shape {actual}")


def _check_memory(name: str, shape: Sequence[int]) -> None:
    needed = 8.0 * math.prod(float(size) for size in shape)
    present = _physical_memory()
    if needed > present:
        raise ValueError(
            f"{name} of shape {tuple(shape)} needs {needed / 2**30:.3g} GiB; "
            f"this machine has {present / 2**30:.3g} GiB"
        )


def _physical_memory() -> float:
    """Return the machine's memory in bytes; infinity where the system does not tell."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
