"""A streaming call's messages on their way to its handler. What it has not read keeps the caller from sending more."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from time import monotonic
from typing import TYPE_CHECKING, Final

from jupyter_tfserve.dataplane.grpc_messages import Message, MessageReader, inflate
from jupyter_tfserve.errors import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from jupyter_tfserve.dataplane.grpc_call import Call

MAX_STREAMED_BYTES: Final = 64 * 2**10
"""A message of a streaming method, inflated: names of services, of which one is short."""
_MAX_WAITING_BYTES: Final = 2 * MAX_STREAMED_BYTES
"""More would let streams that are not read hold what all requests share."""
_MESSAGE_BYTES: Final = 128


class Inbox:
    """One call's. `drained` is set while all that was sent has left.

    `owed_since`: since when the caller owes its first message, or the rest of one that it began.
    """

    __slots__ = (
        "_arrived",
        "_call",
        "_count",
        "_encoding",
        "_is_over",
        "_max_bytes",
        "_reader",
        "_taken",
        "_takes_one",
        "_waiting",
        "_waiting_bytes",
        "drained",
        "owed_since",
    )

    def __init__(self, call: Call, encoding: str, max_bytes: int, takes_one: bool) -> None:
        self.drained = asyncio.Event()
        self._call = call
        self._encoding = encoding
        self._max_bytes = min(max_bytes, MAX_STREAMED_BYTES)
        self._reader = MessageReader(self._max_bytes)
        self.owed_since: float | None = call.began
        self._waiting: deque[Message] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._taken = 0
        self._takes_one = takes_one
        self._count = 0
        self._is_over = False

    @property
    def received(self) -> int:
        """How many bytes of an unfinished message are here."""
        return self._reader.received

    def put(self, piece: bytes | memoryview, is_last: bool) -> None:
        """More bytes. ServingError if they are no messages, or too many."""
        reader, waiting = self._reader, self._waiting
        held = reader.held
        found = reader.feed(piece)
        waiting += found
        cost = sum(map(_cost, found))
        self._waiting_bytes += cost
        self._call.hold(cost + reader.held - held)
        if self._waiting_bytes > _MAX_WAITING_BYTES:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"Messages that nobody has read take more than {_MAX_WAITING_BYTES} bytes",
            )
        self._taken += len(piece)
        if is_last and reader.is_inside:
            raise invalid_argument("The request ends inside a message")
        self._count += len(found)
        if self._takes_one and (self._count > 1 or (is_last and not self._count)):
            raise not_one()
        self._is_over = is_last
        if not waiting:
            # Part of a message, which could never be finished if its own beginning kept the window closed.
            self._give_window()
        if waiting or not reader.is_inside:
            self.owed_since = None
        elif self.owed_since is None:
            self.owed_since = monotonic()
        self._arrived.set()

    async def messages(self) -> AsyncIterator[bytes]:
        """The messages, until the caller has no more."""
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                cost = _cost(message)
                self._waiting_bytes -= cost
                self._call.let_go(cost)
                if not self._waiting:
                    self._give_window()
                    if self._reader.is_inside:
                        self.owed_since = monotonic()
                yield inflate(message, self._encoding, self._max_bytes)
            if self._is_over:
                return
            self._arrived.clear()
            await self._arrived.wait()

    def _give_window(self) -> None:
        self._call.give_window(self._taken)
        self._taken = 0


def not_one() -> ServingError:
    """gRPC's status for a request of no message, or of several, where one is expected."""
    return ServingError(Code.UNIMPLEMENTED, "This method takes exactly one message")


def _cost(message: Message) -> int:
    """What keeping it takes."""
    return len(message.body) + _MESSAGE_BYTES
