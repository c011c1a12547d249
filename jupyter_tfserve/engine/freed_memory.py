"""Memory that requests have freed: some of it stays with the process for the next ones, and no more than that for long.

glibc gives back what is free at the end of its heap alone, so what large bodies leave behind below a small block would
stay for ever. Off the request path: one look at the process every few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from collections import deque
from pathlib import Path
from typing import Final

KEPT_BYTES: Final = 64 * 2**20
LOOK_S: Final = 5.0
STEADY_LOOKS: Final = 3
STEADY_BYTES: Final = 8 * 2**20
"""So many looks that differ by no more: nobody uses that memory now. Bodies that keep coming move by more than that."""
_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGEST_KEPT_BLOCK: Final = 32 * 2**20
"""The most that glibc takes for it."""
_LEFT_BYTES: Final = 48 * 2**20
"""What stays when more than `KEPT_BYTES` became free at once: with nothing left, a body of 6 MB fetches all its pages."""
_STATM: Final = Path("/proc/self/statm")


def keep_freed_memory() -> None:
    """Up to 64 MiB of what requests have freed stay with the process: glibc gives the buffers of a large body back after
    each request, and fetching and clearing their pages again for the next costs as much as parsing it.

    In one heap for all threads: what is free at the end of another one's, up to 64 MiB each, is never given back.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library, which has its own ways
        allocator = ctypes.CDLL(None)
        allocator.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        allocator.mallopt(_M_TOP_PAD, _LEFT_BYTES)
        allocator.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BLOCK)
        allocator.mallopt(_M_ARENA_MAX, 1)


async def give_back_freed_memory(look_s: float = LOOK_S) -> None:
    """Gives what is free above `KEPT_BYTES` back to the system once nobody has needed it for a while; until cancelled.

    Returns at once where the system or its C library has no way to do that.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
        surplus = Surplus(resident_bytes())
    except (OSError, AttributeError):
        return
    while True:
        await asyncio.sleep(look_s)
        with contextlib.suppress(
            OSError
        ):  # no descriptor is free to look with: at the next look there may be
            if surplus.is_idle(resident_bytes()):
                # In a thread: it takes milliseconds, and lets go of the interpreter.
                await asyncio.to_thread(trim, 0)
                surplus.given_back(resident_bytes())


class Surplus:
    """Whether a process holds much more than it must, and has no use for it. Pure; all in bytes of resident memory."""

    def __init__(self, resident: int) -> None:
        self._needed = resident
        self._looks: deque[int] = deque(maxlen=STEADY_LOOKS)

    def is_idle(self, resident: int) -> bool:
        """One more look: whether to give back now."""
        self._looks.append(resident)
        self._needed = min(self._needed, resident)
        is_steady = len(self._looks) == STEADY_LOOKS and max(self._looks) - min(self._looks) <= STEADY_BYTES
        return is_steady and resident > self._needed + KEPT_BYTES

    def given_back(self, resident: int) -> None:
        """What is left is needed."""
        self._needed = resident
        self._looks.clear()


def resident_bytes() -> int:
    """This process's own, now. OSError where there is no /proc."""
    return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
