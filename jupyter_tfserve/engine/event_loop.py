"""How our processes run their event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
from collections.abc import Coroutine
from typing import Any, Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_KEPT_BYTES: Final = 64 * 2**20
_LARGEST_KEPT_BLOCK: Final = 32 * 2**20
"""The most that glibc takes for it."""


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


def tune_garbage_collection() -> None:
    """Requests leave no cycles behind, and the default thresholds have the collector look at every one of them in
    vain: that cost a quarter of a request's time. What was imported is never garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def keep_freed_memory() -> None:
    """Up to 64 MiB of what requests have freed stay with the process: glibc gives the buffers of a large body back after
    each request, and fetching and clearing their pages again for the next costs as much as parsing it.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library, which has its own ways
        allocator = ctypes.CDLL(None)
        allocator.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        allocator.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BLOCK)
