"""A digest of what an object *is*, by which a stored result is recognised as that object's."""

from __future__ import annotations

import enum
import types
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from hashlib import sha256
from typing import Any

import numpy as np


def fingerprint(value: Any) -> str:
    """Return a hexadecimal SHA-256 digest of the structure and content of `value`.

    Two objects of the same type with equal content have the same digest, in any process. Dataclasses
    are described by their init fields, so what they derive or cache does not count; functions and
    classes by their qualified name, not by their code; other objects by what pickle would keep.

    Raises
    ------
    TypeError
        If some part can be neither described nor pickled, or contains itself.
    """
    return _digest(value, ())


def _digest(value: Any, parents: tuple[int, ...]) -> str:
    digest = sha256()
    for token in _tokens(value, parents):
        digest.update(len(token).to_bytes(8, "little") + token)
    return digest.hexdigest()


def _tokens(value: Any, parents: tuple[int, ...]) -> Iterator[bytes]:
    """Yield byte strings that describe `value` from the outside in."""
    if id(value) in parents:
        raise TypeError(f"an object of type {type(value).__name__} contains itself")
    inside = (*parents, id(value))
    if isinstance(value, enum.Enum):
        yield f"enum:{_name(value)}.{value.name}".encode()
    elif value is None or isinstance(value, bool | int | float | complex | str | bytes):
        yield f"{type(value).__name__}:{value!r}".encode()
    elif isinstance(value, np.generic):
        yield f"{value.dtype.str}:{value!r}".encode()
    elif isinstance(value, np.ndarray) and value.dtype != object:
        yield f"array:{value.dtype.str}:{value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        yield f"name:{value.__module__}.{value.__qualname__}".encode()
    elif isinstance(value, Mapping):
        yield f"mapping:{len(value)}".encode()
        for pair in sorted((_digest(key, inside), _digest(item, inside)) for key, item in value.items()):
            yield "".join(pair).encode()
    elif isinstance(value, AbstractSet):
        yield "".join(["set:", *sorted(_digest(item, inside) for item in value)]).encode()
    elif is_dataclass(value):
        yield f"dataclass:{_name(value)}".encode()
        for field in fields(value):
            if field.init:
                yield field.name.encode()
                yield from _tokens(getattr(value, field.name), inside)
    elif isinstance(value, Sequence):
        yield f"sequence:{_name(value)}:{len(value)}".encode()
        for item in value:
            yield from _tokens(item, inside)
    else:
        yield f"object:{_name(value)}".encode()
        yield from _tokens(value.__reduce_ex__(4), inside)


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
