"""What a connection sends: everything of one turn of the loop in one write, DATA as the peer's windows allow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from jupyter_tfserve.dataplane.http2.frames import (
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_WINDOW,
    MIN_MAX_FRAME,
    ConnectionFault,
    ErrorCode,
    StreamFault,
    frame,
    frame_head,
)
from jupyter_tfserve.dataplane.pace import Pace
from jupyter_tfserve.dataplane.write_parts import write_parts
from jupyter_tfserve.options import LimitOptions

if TYPE_CHECKING:
    from jupyter_tfserve.dataplane.http2.stream import Stream

_CRUMB: Final = 64
_JOIN_BELOW: Final = 64 * 2**10
_FLUSH_FROM: Final = 2**20
"""So much waits for the turn's end at most: the transport says when it has enough."""


class Unsent(Protocol):
    """Counts what waits to be taken, of all connections."""

    def hold(self, size: int) -> None:
        """So many bytes more; fewer, if negative."""


class Outflow:
    """One connection's way out. `window` is what the peer takes in all; each stream has its own beside it."""

    __slots__ = (
        "_flush_at",
        "_held",
        "_max_held",
        "_pace",
        "_peers_max_frame",
        "_queue",
        "_queued_bytes",
        "_ready",
        "_stalled",
        "_taken",
        "_transport",
        "_unsent",
        "crumbs",
        "held",
        "initial_window",
        "is_closed",
        "is_full",
        "max_frame",
        "window",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        call_soon: Callable[[Callable[[], None]], object],
        limits: LimitOptions,
        unsent: Unsent,
    ) -> None:
        self.window = DEFAULT_WINDOW
        self.initial_window = DEFAULT_WINDOW
        self.max_frame = self._peers_max_frame = MIN_MAX_FRAME
        """How large a frame may be; 0 while the transport has enough."""
        self.is_closed = False
        """Whether nothing more goes out: what is written then is dropped."""
        self.crumbs = 0
        """Frames that were tiny since the windows were, though there was more to send."""
        self.held = 0
        """The bytes of answers that have not left to their end."""
        self.is_full = False
        """Whether these, but for the largest, are more than one connection may leave waiting."""
        self._held: dict[int, int] = {}
        self._max_held = limits.max_unfinished_bytes >> 2
        self._unsent = unsent
        self._pace = Pace(limits, 0.0)
        self._taken = 0
        self._ready: dict[int, Stream] = {}
        # Those whose own window is closed. Apart, since a peer can have a thousand of them looked at by one small frame.
        self._stalled: dict[int, Stream] = {}
        self._transport = transport
        self._flush_at = call_soon
        self._queue: list[bytes | memoryview] = []
        self._queued_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Sends frames in this turn of the loop."""
        if self.is_closed:
            return
        if not self._queue:
            self._flush_at(self.flush)
        self._queue.append(data)
        self._queued_bytes += len(data)
        if self._queued_bytes >= _FLUSH_FROM:
            self.flush()

    def write_now(self, data: bytes) -> None:
        """Sends frames, and what this turn has so far, at once."""
        if self._queue:
            self._queue.append(data)
            self._queued_bytes += len(data)
            self.flush()
        elif not self.is_closed and not self._transport.is_closing():
            self._transport.write(data)

    def flush(self) -> None:
        """Sends now what this turn has so far."""
        if not self._queue or self._transport.is_closing():
            return
        queue, size = self._queue, self._queued_bytes
        self._queue = []
        self._queued_bytes = 0
        if size < _JOIN_BELOW:
            self._transport.write(b"".join(queue))
        else:
            write_parts(self._transport, queue)

    def pause(self) -> None:
        """The transport has enough: what may wait does."""
        self.max_frame = 0

    def resume(self) -> None:
        """The transport takes more."""
        self.max_frame = self._peers_max_frame
        self._pace.begin(monotonic())
        self._pump()

    def set_max_frame(self, size: int) -> None:
        """The peer takes frames of this size."""
        self._peers_max_frame = size
        if self.max_frame:
            self.max_frame = size

    @property
    def is_waiting(self) -> bool:
        """Whether there is more to send than the windows allow."""
        return bool(self._ready or self._stalled)

    def is_too_slow(self, now: float) -> bool:
        """Whether the peer opens its windows too slowly for what waits. Asked about once a second."""
        taken, self._taken = self._taken, 0
        return self.is_waiting and self._pace.is_too_slow(taken, now)

    def send(self, stream: Stream, data: bytes, trailers: bytes | None = None) -> None:
        """DATA, then the block of `trailers` and the stream's end if there are any; waits for the windows by itself."""
        unsent = stream.unsent
        if unsent is None:
            unsent = stream.unsent = deque()
        is_first = not unsent
        if data:
            unsent.append(memoryview(data))
        if trailers is not None:
            stream.trailers = trailers
        if not unsent:
            self._end(stream)
        elif is_first:
            if not self.is_waiting:
                self._pace.begin(monotonic())
            self._hold(stream.id, len(data))
            self._ready[stream.id] = stream
            self._pump()
        else:
            self._hold(stream.id, len(data))

    def drop(self, stream: Stream) -> None:
        """The stream sends no more."""
        self._ready.pop(stream.id, None)
        self._stalled.pop(stream.id, None)
        if stream.unsent:
            stream.unsent.clear()
            self._let_go(stream.id)

    def _hold(self, stream_id: int, size: int) -> None:
        # Until the last byte is out: a part of an answer keeps all of it.
        self._held[stream_id] = self._held.get(stream_id, 0) + size
        self._count(size)

    def _let_go(self, stream_id: int) -> None:
        self._count(-self._held.pop(stream_id, 0))

    def _count(self, size: int) -> None:
        self.held += size
        # One answer may be as large as it likes, and small calls beside it are no fault.
        self.is_full = self.held > self._max_held and self.held - max(self._held.values()) > self._max_held
        self._unsent.hold(size)

    def widen(self, increment: int) -> None:
        """The peer takes more in all."""
        self.window += increment
        if self.window > MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "The connection's window is above 2^31-1")
        if self._ready:
            self._pump()

    def widen_stream(self, stream: Stream, increment: int) -> None:
        """The peer takes more on this stream."""
        stream.send_window += increment
        if stream.send_window > MAX_WINDOW:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR)
        if stream.id in self._stalled:
            self._ready[stream.id] = self._stalled.pop(stream.id)
            self._pump()

    def widened(self) -> None:
        """The windows of all streams have changed."""
        self._ready.update(self._stalled)
        self._stalled.clear()
        self._pump()

    def _pump(self) -> None:
        """Sends what the windows allow, a frame of each stream in turn."""
        while self._ready and self.window > 0 and self.max_frame:
            for stream in list(self._ready.values()):
                self._send_frame(stream)
                if self.window <= 0 or not self.max_frame:
                    return

    def _send_frame(self, stream: Stream) -> None:
        """Sends the stream's next frame, and lets the others go first; puts it aside if its own window is closed."""
        unsent = stream.unsent
        if not unsent or self._ready.pop(stream.id, None) is None:
            return
        view = unsent[0]
        size = min(len(view), self.window, stream.send_window, self.max_frame)
        if size <= 0:
            self._stalled[stream.id] = stream
            return
        self._taken += size
        self.window -= size
        stream.send_window -= size
        self.write(frame_head(size, DATA, 0, stream.id))
        self.write(view[:size])
        if size < len(view):
            self.crumbs += size < _CRUMB
            unsent[0] = view[size:]
        else:
            unsent.popleft()
        if unsent:
            self._ready[stream.id] = stream
        else:
            self._end(stream)

    def _end(self, stream: Stream) -> None:
        if stream.id in self._held:
            self._let_go(stream.id)
        if stream.trailers is not None:
            self.write(frame(HEADERS, END_HEADERS | END_STREAM, stream.id, stream.trailers))
        stream.sent()
