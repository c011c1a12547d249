"""The engine's end of a worker's control socket: one report after loading, then silence until its end."""

from __future__ import annotations

import asyncio
from typing import cast

from jupyter_tfserve.worker.frame import Frame, FrameDecoder, FrameError


class ControlConnection(asyncio.BufferedProtocol):
    """Belongs to the event loop. The worker exits when this end is closed.

    `report` resolves with what the worker said about its load, None if it ended before. `ended` resolves when
    the worker's end is closed: the process is dead, or as good as that.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.report: asyncio.Future[Frame | None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._decoder = FrameDecoder()
        self._transport: asyncio.Transport | None = None

    def close(self) -> None:
        """Tells the worker to exit at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        for future in (self.report, self.ended):
            if not future.done():
                future.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by the event loop: where it reads to."""
        return self._decoder.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the event loop: so many bytes were read."""
        try:
            frame = self._decoder.received(nbytes)
        except (FrameError, MemoryError):
            return self.close()
        if frame is not None and not self.report.done():
            self.report.set_result(frame)
        return None
