"""Room for a message that comes in pieces. It grows by what has come, never by what was claimed. Pure."""

from __future__ import annotations

from io import BytesIO
from typing import Final

_LEAST: Final = 4 * 2**10
_GROWTH: Final = 4


class MessageRoom:
    """`size` bytes, each copied once on its way to the message. `held`: how many bytes of memory are taken now."""

    __slots__ = ("_buffer", "_size", "_view", "held", "received")

    def __init__(self, size: int) -> None:
        self._size = size
        self._buffer = BytesIO()
        self._view = self._buffer.getbuffer()
        self.received = 0
        self.held = 0

    def add(self, piece: bytes | memoryview) -> None:
        """The next bytes. REQUIRES: the size is not exceeded."""
        end = self.received + len(piece)
        if end > self.held:
            self._grow(end)
        self._view[self.received : end] = piece
        self.received = end

    def take(self) -> bytes:
        """The whole message; nothing is here afterwards. REQUIRES: it is complete."""
        self._view.release()
        self.held = 0
        # The very bytes that the buffer was made of: BytesIO hands them out without a copy.
        return self._buffer.getvalue()

    def _grow(self, needed: int) -> None:
        held = min(self._size, max(_GROWTH * needed, _LEAST))
        # Nobody else has these bytes, so BytesIO writes into them; large ones are pages that nothing has touched.
        buffer = BytesIO(bytes(held))
        view = buffer.getbuffer()
        view[: self.received] = self._view[: self.received]
        self._view.release()
        self._buffer, self._view, self.held = buffer, view, held
