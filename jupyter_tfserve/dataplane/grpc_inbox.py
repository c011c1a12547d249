"""A streaming call's messages on their way to its handler. What it has not read keeps the caller from sending more."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from jupyter_tfserve.dataplane.grpc_messages import Message, MessageReader, inflate
from jupyter_tfserve.errors import invalid_argument

if TYPE_CHECKING:
    from jupyter_tfserve.dataplane.grpc_call import Call


class Inbox:
    """One call's. `drained` is set while all that was sent has left."""

    __slots__ = (
        "_arrived",
        "_call",
        "_encoding",
        "_is_over",
        "_max_bytes",
        "_reader",
        "_taken",
        "_waiting",
        "drained",
    )

    def __init__(self, call: Call, encoding: str, max_bytes: int) -> None:
        self.drained = asyncio.Event()
        self._call = call
        self._encoding = encoding
        self._max_bytes = max_bytes
        self._reader = MessageReader(max_bytes)
        self._waiting: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._taken = 0
        self._is_over = False

    def put(self, piece: bytes | memoryview, is_last: bool) -> None:
        """More bytes. ServingError if they are no messages, or too many."""
        held = self._reader.held
        self._waiting += self._reader.feed(piece)
        self._call.hold(max(len(piece), self._reader.held - held))
        self._taken += len(piece)
        if is_last and self._reader.is_inside:
            raise invalid_argument("The request ends inside a message")
        self._is_over = is_last
        if not self._waiting:
            # Part of a message, which could never be finished if its own beginning kept the window closed.
            self._give_window()
        self._arrived.set()

    async def messages(self) -> AsyncIterator[bytes]:
        """The messages, until the caller has no more."""
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                if not self._waiting:
                    self._give_window()
                    if not self._reader.is_inside:
                        self._call.let_go()
                yield inflate(message, self._encoding, self._max_bytes)
            if self._is_over:
                return
            self._arrived.clear()
            await self._arrived.wait()

    def _give_window(self) -> None:
        self._call.give_window(self._taken)
        self._taken = 0
