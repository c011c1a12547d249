"""The body of one large request, read straight to where it stays.

The parser hands a body over in pieces, each of which would be copied three times. Of a body whose length the head
tells, the parser sees only what came with the head; the rest is received here, and the connection goes back to its
parser afterwards. Room is made as bytes arrive: what a head claims costs nothing.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import numpy as np

LARGE_BODY_BYTES: Final = 2**16
"""Below it the parser's way is as quick."""
_GROWTH: Final = 4


class BodyOwner(Protocol):
    """The connection that a body belongs to."""

    @property
    def is_closing(self) -> bool:
        """What still comes is of no use."""

    def large_body_complete(self) -> None:
        """The body is whole."""

    def pause_writing(self) -> None:
        """See asyncio."""

    def resume_writing(self) -> None:
        """See asyncio."""

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio."""


class LargeBody(asyncio.BufferedProtocol):
    """`size` bytes, of which the first may be added; the transport's protocol while the others come."""

    def __init__(self, owner: BodyOwner, size: int) -> None:
        self._owner = owner
        self._size = size
        self._parts: list[bytes | memoryview] = []
        self._room = memoryview(b"")
        self._filled = 0
        self.received = 0

    def add(self, data: bytes) -> None:
        """The next bytes, from the parser. REQUIRES: all that came so far did."""
        self._parts.append(data)
        self.received += len(data)

    def content(self) -> bytes:
        """The whole body. REQUIRES: it is complete."""
        return b"".join([*self._parts, self._room])

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes belong; never beyond the body's end."""
        if self._filled == len(self._room):
            self._grow()
        return self._room[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read."""
        if self._owner.is_closing:
            return
        self.received += nbytes
        self._filled += nbytes
        if self.received == self._size:
            self._owner.large_body_complete()

    def eof_received(self) -> bool:
        """A peer that closed its side has left."""
        return False

    def pause_writing(self) -> None:
        """For the connection."""
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        """For the connection."""
        self._owner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """For the connection."""
        self._owner.connection_lost(exc)

    def _grow(self) -> None:
        """More room: all of it is four times what has come, or all that is to come. Nothing is copied before the end, and
        pages that nothing is written to cost nothing."""
        self._parts.append(self._room)
        size = max((_GROWTH - 1) * self.received, LARGE_BODY_BYTES)
        self._room = np.empty(min(self._size - self.received, size), np.uint8).data
        self._filled = 0
