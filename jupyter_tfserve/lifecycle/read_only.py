"""Folders in which nothing can be written: a home that is mounted read-only, somebody else's directory. Blocking."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def why_read_only(folder: Path) -> str | None:
    """The system's word for why nothing can be written in `folder`, which is made if it is missing; None: it can be.

    A disk that is full is another matter: it may have room again before it is needed.
    """
    probe = folder / f".{os.getpid()}.probe"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT, 0o600))
        probe.unlink()
    except OSError as error:
        return os.strerror(error.errno) if error.errno in READ_ONLY else None
    return None
