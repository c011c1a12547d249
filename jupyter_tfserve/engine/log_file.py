"""The engine's log: one private file, bounded, with a tail to show and the reason of a failed start.

Blocking file calls on small files. The engine writes through an inherited descriptor opened for appending, so
the file can be cut while it writes.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

MAX_LOG_BYTES: Final = 4 * 2**20
MAX_LOG_AGE_S: Final = 7 * 24 * 3600.0
MAX_REASON_CHARACTERS: Final = 500
TAIL_BYTES: Final = 256 * 2**10
START_FAILURE: Final = "Failed to start server. Error: "


def open_log(path: Path) -> int:
    """A descriptor that appends to the log, made with mode 0600. The caller closes it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags, 0o600)


def bound_log(path: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
    """A log above `max_bytes` is cut: its last half moves to `<log>.1`, over the one before."""
    with contextlib.suppress(OSError):
        if path.stat().st_size <= max_bytes:
            return
        kept = read_tail(path, max_bytes // 2)
        previous = path.with_name(path.name + ".1")
        descriptor = os.open(previous, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(kept)
        os.truncate(path, 0)


def remove_log(path: Path) -> None:
    """The log and what was cut off it are gone."""
    for name in (path, path.with_name(path.name + ".1")):
        with contextlib.suppress(OSError):
            name.unlink()


def remove_old_logs(directory: Path, now: float, max_age_s: float = MAX_LOG_AGE_S) -> None:
    """Logs that nobody wrote to for long are gone: their owners died and could not tidy up."""
    for path in directory.glob("tfserve-*.log*"):
        with contextlib.suppress(OSError):
            if now - path.stat().st_mtime > max_age_s:
                path.unlink()


def read_tail(path: Path, max_bytes: int = TAIL_BYTES, start: int = 0) -> bytes:
    """The last bytes of the log that lie behind `start`; empty if there is no log."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            begin = max(size - max_bytes, start if start <= size else 0)
            stream.seek(begin)
            return stream.read(size - begin)
    except OSError:
        return b""


def tail_lines(path: Path, count: int) -> list[str]:
    """The last `count` lines."""
    lines = read_tail(path).decode("utf-8", "replace").splitlines()
    return lines[-count:] if count > 0 else []


def last_reason(path: Path, start: int) -> str | None:
    """Why the run that began to log at `start` failed, in its own words; None if it said nothing."""
    lines = [line.strip() for line in read_tail(path, start=start).decode("utf-8", "replace").splitlines()]
    said = [line for line in lines if line]
    named = [line for line in said if START_FAILURE in line]
    if named:
        return named[-1].partition(START_FAILURE)[2][:MAX_REASON_CHARACTERS]
    return said[-1][:MAX_REASON_CHARACTERS] if said else None
