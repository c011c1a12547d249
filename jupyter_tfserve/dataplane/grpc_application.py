"""What all gRPC calls of a server share: the methods, who may ask, and how much may be under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from jupyter_tfserve.dataplane.grpc_call import Call
from jupyter_tfserve.dataplane.grpc_head import CallHead, HeadParser
from jupyter_tfserve.dataplane.grpc_places import Places, StreamPlaces
from jupyter_tfserve.dataplane.http2.connection import Connection
from jupyter_tfserve.dataplane.http2.header_blocks import Headers
from jupyter_tfserve.errors import Code, ServingError

_INFLATING_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What calls may cost. Bytes."""

    max_receive_bytes: int
    max_send_bytes: int
    max_unfinished_bytes: int
    """Requests of which a part is here, all together."""
    max_under_way: int


class GrpcApplication:
    """Answers the streams of all connections. REQUIRES: a running loop, which owns it.

    `door` raises ServingError for a caller who may not ask for a path, by the call's metadata.
    """

    def __init__(
        self, parser: HeadParser, limits: CallLimits, door: Callable[[CallHead], None] | None = None
    ) -> None:
        loop = asyncio.get_running_loop()
        self.create_task: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]] = loop.create_task
        self.call_later = loop.call_later
        self.max_receive_bytes = limits.max_receive_bytes
        self.max_send_bytes = limits.max_send_bytes
        self.calls = Places(limits.max_under_way)
        self.streams = StreamPlaces(limits.max_under_way)
        self.refused = Places(limits.max_under_way)
        """Calls whose refusal waits for their message: a stranger takes no caller's place."""
        self.inflaters = ThreadPoolExecutor(_INFLATING_AT_ONCE, "grpc-inflate")
        """So few at once, whoever is cancelled meanwhile: each may make a whole message out of little."""
        self._parser = parser
        self._door = door
        self._max_unfinished = limits.max_unfinished_bytes
        self._unfinished = 0

    def read_head(self, headers: Headers) -> CallHead:
        """Application's."""
        return self._parser.parse(headers)

    def open(self, connection: Connection[Any], stream_id: int, head: CallHead) -> Call:
        """Application's."""
        return Call(connection, stream_id, head, self)

    def refusal(self, head: CallHead) -> ServingError | None:
        """Why this call is refused by its headers, if it is: a stranger learns nothing else."""
        if self._door is not None:
            try:
                self._door(head)
            except ServingError as error:
                return error
        return head.refusal

    def hold(self, size: int) -> None:
        """So much more of unfinished requests is here. RESOURCE_EXHAUSTED if that is too much."""
        self._unfinished += size
        if self._unfinished > self._max_unfinished:
            text = f"Unfinished requests hold more than {self._max_unfinished} bytes; try again later"
            raise ServingError(Code.RESOURCE_EXHAUSTED, text)

    def let_go(self, size: int) -> None:
        """So much is not here any more, or whole."""
        self._unfinished -= size
