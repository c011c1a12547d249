"""One stream of a connection: its two windows, and the hooks by which whoever answers learns what arrives."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from jupyter_tfserve.dataplane.http2.frames import END_HEADERS, END_STREAM, HEADERS, ErrorCode, frame

if TYPE_CHECKING:
    from jupyter_tfserve.dataplane.http2.connection import Connection


class Stream:
    """A request and its answer. Who answers overrides the hooks; the connection calls them, and nobody else.

    Made when the request's headers are there. After `finish` or `gone` it is not part of the connection any more.
    """

    __slots__ = (
        "began",
        "connection",
        "id",
        "is_open",
        "is_request_whole",
        "length_left",
        "receive_window",
        "send_window",
        "taken",
        "trailers",
        "unsent",
    )

    def __init__(self, connection: Connection[Any], stream_id: int) -> None:
        self.connection = connection
        self.id = stream_id
        self.send_window = connection.out.initial_window
        self.receive_window = connection.options.stream_window
        self.taken = 0
        self.is_open = True
        self.is_request_whole = False
        self.length_left: int | None = None
        """How many bytes of body are still to come, if the headers say. Set by who answers, before the first comes."""
        self.unsent: deque[memoryview] | None = None
        self.trailers: bytes | None = None
        self.began = connection.now

    # Hooks

    def opened(self) -> None:
        """The headers are there. StreamFault if they are no request's."""

    def received(self, piece: bytes | memoryview, is_last: bool) -> None:
        """The body's next piece, maybe empty; `is_last`: the request is whole. A memoryview is good for this call."""

    def drained(self) -> None:
        """All that was sent has left."""

    def gone(self) -> None:
        """The peer has reset the stream or is not there any more: nothing can be sent."""

    def is_late(self, now: float) -> bool:
        """Whether the request's body comes more slowly than allowed. Asked about once a second while it is not whole."""
        return False

    def too_late(self) -> None:
        """Ends the stream, because of that."""
        self.reset(ErrorCode.CANCEL)

    def stopping(self) -> None:
        """The server's grace is over: ends the stream."""
        self.reset(ErrorCode.CANCEL)

    # What the answering side does

    def give_window(self, size: int) -> None:
        """The peer may send as many bytes more; `size` of what it sent is taken."""
        self.connection.give_window(self, size)

    def send_headers(self, block: bytes, is_end: bool = False) -> None:
        """HEADERS; with `is_end` they are the whole answer."""
        flags = END_HEADERS | END_STREAM if is_end else END_HEADERS
        self.connection.out.write(frame(HEADERS, flags, self.id, block))
        if is_end:
            self.finish()

    def send(self, data: bytes, trailers: bytes | None = None) -> None:
        """DATA, and with `trailers` the answer's end. What the windows don't take now goes out by itself later."""
        self.connection.out.send(self, data, trailers)

    def sent(self) -> None:
        """Called when all that `send` was given is out."""
        if self.trailers is not None:
            self.finish()
        else:
            self.drained()

    def finish(self) -> None:
        """The answer is out. A peer that still sends its request is told to stop."""
        self.connection.finish(self)

    def reset(self, code: ErrorCode) -> None:
        """Ends the stream without an answer."""
        self.connection.reset(self, code)
