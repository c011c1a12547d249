"""The engine's log in a cell: its last lines, and what is added while somebody looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jupyter_tfserve.engine.log_file import TAIL_BYTES, read_tail, tail_lines

POLL_S: Final = 0.2


def last_lines(path: Path, count: int) -> str:
    """The last `count` lines, as one text."""
    return "\n".join(tail_lines(path, count))


def follow_log(
    path: Path,
    count: int,
    write: Callable[[str], object],
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Writes the last `count` lines, then whatever is added; ends by an interrupt, which is how one stops it."""
    start = max(_size(path) - TAIL_BYTES, 0)
    known = _whole_lines(read_tail(path, start=start))
    position = start + len(known)
    write("".join(known.decode("utf-8", "replace").splitlines(keepends=True)[-count:]))
    try:
        while True:
            size = _size(path)
            # The log is cut when it grows too large: what is there then is new.
            position = min(position, size)
            added = _whole_lines(read_tail(path, start=position))
            if added:
                write(added.decode("utf-8", "replace"))
                position += len(added)
            pause(POLL_S)
    except KeyboardInterrupt:
        return


def _whole_lines(content: bytes) -> bytes:
    """Half a line, and half a character, wait for their rest."""
    return content[: content.rfind(b"\n") + 1]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
