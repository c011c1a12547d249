"""The one place where the lifecycle meets time, so that tests can put a virtual clock there."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol


class Clock(Protocol):
    """Time as the lifecycle reads it."""

    def monotonic(self) -> float:
        """Seconds that never go back; for deadlines and settle times."""

    def wall(self) -> float:
        """Seconds since the epoch; only to be compared with file times."""

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds`."""


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """`time.monotonic`."""
        return time.monotonic()

    def wall(self) -> float:
        """`time.time`."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """`asyncio.sleep`."""
        await asyncio.sleep(seconds)


async def sleep_or_event(clock: Clock, seconds: float | None, event: asyncio.Event) -> None:
    """Returns after `seconds` (None: never) or when `event` is set, whichever is first."""
    waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(event.wait())]
    if seconds is not None:
        waits.append(asyncio.ensure_future(clock.sleep(seconds)))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
