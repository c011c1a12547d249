"""What a fork server is made of: another engine may use it only if its own would be the same."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parents[1]
_IMPORTED: Final = ("tensorflow", "numpy", "google.protobuf")


def fork_server_identity(environment: Mapping[str, str]) -> str:
    """A digest of the interpreter, our code, the packages that a fork server has in memory, and its environment.

    What is compared of files is their size and time: a millisecond for 300 of them, and an upgrade changes them.
    """
    made_of = [sys.executable, sys.version, sorted(environment.items()), [*_stamps()]]
    return hashlib.sha256(json.dumps(made_of).encode("utf-8", "surrogateescape")).hexdigest()


def _stamps() -> Iterator[tuple[str, int, int]]:
    folders = (entry.path for entry in os.scandir(_PACKAGE) if entry.is_dir())
    for folder in sorted([str(_PACKAGE), *folders]):
        for path in sorted(entry.path for entry in os.scandir(folder) if entry.name.endswith(".py")):
            yield from _stamp(path)
    for name in _IMPORTED:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            yield from _stamp(spec.origin)


def _stamp(path: str) -> Iterator[tuple[str, int, int]]:
    with contextlib.suppress(OSError):  # an editor's file, gone again
        status = os.stat(path)
        yield path, status.st_size, status.st_mtime_ns
