"""Waiting for something to become true: asked now, and again after every change that is announced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from jupyter_tfserve.errors import Code, ServingError

T = TypeVar("T")


class Changes:
    """The waiters of one event loop. Nobody polls: who changes something announces it."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Event] = set()

    def announce(self) -> None:
        """Makes every waiter ask again."""
        for waiter in self._waiters:
            waiter.set()

    async def wait_until(self, poll: Callable[[], T | None], timeout_s: float | None = None) -> T:
        """The first value other than None that `poll` gives; it is asked now and after every change.

        DEADLINE_EXCEEDED after `timeout_s` (None: no limit). May be cancelled at any time.
        """
        if (value := poll()) is not None:
            return value
        changed = asyncio.Event()
        self._waiters.add(changed)
        try:
            return await asyncio.wait_for(_first_value(poll, changed), timeout_s)
        except asyncio.TimeoutError:
            message = "Timed out while waiting for a change of the served versions"
            raise ServingError(Code.DEADLINE_EXCEEDED, message) from None
        finally:
            self._waiters.discard(changed)


async def _first_value(poll: Callable[[], T | None], changed: asyncio.Event) -> T:
    while True:
        await changed.wait()
        changed.clear()
        if (value := poll()) is not None:
            return value
