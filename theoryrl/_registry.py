"""Look-up of public objects by a kebab-case key."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A read-only mapping from keys to objects that explains a failed look-up.

    Parameters
    ----------
    noun
        What the keys name, used in the error message ("instance", "learner", ...).
    items
        The explicit list of `(key, object)` pairs; a key may occur once.
    """

    def __init__(self, noun: str, items: Iterable[tuple[str, T]]) -> None:
        self._noun = noun
        self._items: dict[str, T] = {}
        for key, item in items:
            if key in self._items:
                raise ValueError(f"{noun} {key!r} is registered twice")
            self._items[key] = item

    def __getitem__(self, key: str) -> T:
        try:
            return self._items[key]
        except KeyError:
            near = difflib.get_close_matches(key, self._items, n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else f"; known: {', '.join(self._items)}"
            raise UnknownKeyError(f"unknown {self._noun} {key!r}{hint}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items


class UnknownKeyError(KeyError):
    """A key that no registry entry has; its text says what was close."""

    def __str__(self) -> str:
        return str(self.args[0])
