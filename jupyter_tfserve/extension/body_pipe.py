"""A body on its way from one socket to another, a few chunks at most: a slow reader slows the writer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

MAX_WAITING_CHUNKS: Final = 4


class BodyPipe:
    """One writer, one reader, on one event loop. The reader may leave early; what comes then is dropped."""

    def __init__(self) -> None:
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING_CHUNKS)
        self._has_reader = True

    async def write(self, chunk: bytes) -> None:
        """Returns when there is room for more."""
        if self._has_reader:
            await self._chunks.put(chunk)

    async def end(self) -> None:
        """The body is whole."""
        if self._has_reader:
            await self._chunks.put(None)

    async def read(self) -> AsyncIterator[bytes]:
        """The chunks in order."""
        while (chunk := await self._chunks.get()) is not None:
            yield chunk

    def leave(self) -> None:
        """The reader wants no more; a writer that waits is let go."""
        self._has_reader = False
        while not self._chunks.empty():
            self._chunks.get_nowait()
