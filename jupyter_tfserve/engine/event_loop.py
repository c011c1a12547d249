"""How our processes run their event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Coroutine
from typing import Any, Final

from jupyter_tfserve.engine.freed_memory import give_back_freed_memory, keep_freed_memory

COLLECT_AFTER_S: Final = 1.0
"""An unload is over by then."""


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` on uvloop where there is one."""
    run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run
    with contextlib.suppress(ImportError):
        from uvloop import run  # type: ignore[no-redef]
    run(work)


async def tuned(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` in a process that is set up for many requests: its garbage collector, and the memory they leave."""
    tune_garbage_collection()
    keep_freed_memory()
    giving_back = asyncio.ensure_future(give_back_freed_memory())
    try:
        await work
    finally:
        giving_back.cancel()


class LateCollector:
    """Collects garbage a moment after it is asked to, once for all who asked: what an ended version leaves in cycles,
    some 300 KB, would stay for hundreds of them by the thresholds that suit requests. REQUIRES: a running loop.
    """

    def __init__(self, delay_s: float = COLLECT_AFTER_S) -> None:
        self._delay_s = delay_s
        self._timer: asyncio.TimerHandle | None = None

    def collect_soon(self) -> None:
        """Returns at once."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay_s, self._collect)

    def _collect(self) -> None:
        self._timer = None
        gc.collect()


def tune_garbage_collection() -> None:
    """Requests leave no cycles behind, and the default thresholds have the collector look at every one of them in
    vain: that cost a quarter of a request's time. What was imported is never garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
