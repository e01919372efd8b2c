"""Files that are either whole or recognisably not.

A *sealed* file is an ordinary ``.npz`` archive whose comment, the last 64 bytes, is the SHA-256 of
everything before it. NumPy reads it as it is; a reader who checks the seal first never parses a
damaged byte.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

HEADER = "header"
SEAL = 64


class DamagedFileError(ValueError):
    """A file whose content does not match its checksum."""


def seal(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the content of a sealed file: a JSON header and arrays (no pickles)."""
    buffer = io.BytesIO()
    text = json.dumps(header, sort_keys=True).encode()
    assert all(array.dtype != object for array in arrays.values()), "objects would be pickled"
    entries: dict[str, Any] = {HEADER: np.frombuffer(text, dtype=np.uint8), **arrays}
    np.savez(buffer, **entries)
    # The archive ends with the length of its comment (two bytes) and the comment.
    body = buffer.getvalue()[:-2] + SEAL.to_bytes(2, "little")
    return body + sha256(body).hexdigest().encode()


def unseal(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the header and the arrays of a sealed file.

    Raises
    ------
    DamagedFileError
        If the checksum does not match.
    """
    content = path.read_bytes()
    body, checksum = content[:-SEAL], content[-SEAL:]
    if not body or sha256(body).hexdigest().encode() != checksum:
        raise DamagedFileError(f"{path} is damaged: its checksum does not match")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(arrays.pop(HEADER).tobytes()), arrays


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that after a crash either all of it is there or nothing has changed."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Make a rename durable, where the system has directories that can be synced."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
