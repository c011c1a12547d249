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

    What is compared of files is their size and time: half a millisecond, and an upgrade changes them.
    """
    made_of = [sys.executable, sys.version, sorted(environment.items()), [*_stamps()]]
    return hashlib.sha256(json.dumps(made_of).encode("utf-8", "surrogateescape")).hexdigest()


def _stamps() -> Iterator[tuple[str, int, int]]:
    for folder in (_PACKAGE, *(each for each in _PACKAGE.iterdir() if each.is_dir())):
        for path in sorted(folder.glob("*.py")):
            yield from _stamp(path)
    for name in _IMPORTED:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            yield from _stamp(Path(spec.origin))


def _stamp(path: Path) -> Iterator[tuple[str, int, int]]:
    with contextlib.suppress(OSError):  # an editor's file, gone again
        status = os.stat(path)
        yield str(path), status.st_size, status.st_mtime_ns
