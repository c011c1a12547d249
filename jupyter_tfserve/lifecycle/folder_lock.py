"""One owner for a folder at a time, for as long as its process lives. Blocking.

The system gives the lock back when the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

from jupyter_tfserve.errors import Code, ServingError

ENGINE_LOCK: Final = "engine.lock"
_POLL_S: Final = 0.05
NO_LOCKS: Final = -1
"""In place of a descriptor where there are no such locks: the folder is taken for free."""


def try_lock(file: Path) -> int | None:
    """A descriptor that holds `file` (made if missing, for this user only) until it is closed; None: another has it.

    OSError if the file cannot be made.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        import fcntl
    except ImportError:  # Windows
        os.close(descriptor)
        return NO_LOCKS
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:  # a file system without locks
        os.close(descriptor)
        return NO_LOCKS
    return descriptor


def give_back(descriptor: int) -> None:
    """Ends the hold that `try_lock` gave, also for whoever has a copy of its descriptor. It is still to be closed."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)


def hold_state_folder(folder: Path, wait_s: float) -> None:
    """Makes `folder` this process's until it ends: two that write one state would lose each other's changes.

    FAILED_PRECONDITION if another process has kept it for `wait_s`; one that is just ending lets go soon. Where
    nothing can be written there is nothing to lock.
    """
    deadline = time.monotonic() + wait_s
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while try_lock(folder / ENGINE_LOCK) is None:
            if time.monotonic() >= deadline:
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    f"Another server keeps its state in {folder}",
                    "Stop that server, or give this one a folder of its own with --state_dir",
                )
            time.sleep(_POLL_S)
