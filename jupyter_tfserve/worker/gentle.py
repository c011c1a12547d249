"""Loading and ending at a low priority, so that versions that serve on the same CPUs answer as they did before.

On Linux the priority is each thread's own, and a thread that is made has that of its maker. Raising it again takes a
privilege that an ordinary user has not: then a load is gentle only where the threads it leaves behind never compute for
callers, and those that do must be made before it begins.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LOADING: Final = 10
ENDING: Final = 19
_CAP_SYS_NICE: Final = 1 << 23
_THREADS: Final = "/proc/self/task"


@contextlib.contextmanager
def gently(may_stay: bool) -> Iterator[None]:
    """The calling thread, and every one that is made meanwhile, gives way to others; afterwards no more.

    REQUIRES: who shall never give way is made before. `may_stay`: none of those threads will compute for a caller, so
    that nothing is lost if their priority cannot be taken back.
    """
    before = _own_nice()
    may_return = _may_raise()
    if before is None or before >= LOADING or not (may_return or may_stay):
        yield
        return
    _set_nice(0, LOADING)
    try:
        yield
    finally:
        if may_return:
            for thread in _threads():
                if _nice(thread) == LOADING:
                    _set_nice(thread, before)


def leave_gently() -> None:
    """The process is about to end: giving its memory back is nothing that anybody waits for."""
    if _own_nice() is not None:
        for thread in _threads():
            _set_nice(thread, ENDING)


def _own_nice() -> int | None:
    """The calling thread's; None where the priority is the process's."""
    return os.getpriority(os.PRIO_PROCESS, 0) if sys.platform.startswith("linux") else None


def _may_raise() -> bool:
    """Whether a priority may be taken back up."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) & _CAP_SYS_NICE)
    return False


def _threads() -> list[int]:
    with contextlib.suppress(OSError):
        return [int(name) for name in os.listdir(_THREADS)]
    return []


def _nice(thread: int) -> int | None:
    # A thread may have ended since it was listed.
    with contextlib.suppress(OSError):
        return os.getpriority(os.PRIO_PROCESS, thread)
    return None


def _set_nice(thread: int, nice: int) -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, nice)
