"""How our processes run their event loop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

from jupyter_tfserve.engine.freed_memory import give_back_freed_memory, keep_freed_memory


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


async def tuned(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` in a process that is set up for many requests: its garbage collector, and the memory they leave."""
    tune_garbage_collection()
    keep_freed_memory()
    giving_back = asyncio.ensure_future(give_back_freed_memory())
    try:
        await work
    finally:
        giving_back.cancel()


def tune_garbage_collection() -> None:
    """Requests leave no cycles behind, and the default thresholds have the collector look at every one of them in
    vain: that cost a quarter of a request's time. What was imported is never garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
