"""One HTTP/2 connection on asyncio: its streams, its time limits, its end.

Written here for what a call costs: all frames of one read reach their streams in one turn of the loop, so that their
calls share batches, and all answers of one turn leave in one write (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic
from typing import Any, Final, Generic, cast

from jupyter_tfserve.dataplane.http2.frame_reader import FrameReader, Http1Peer
from jupyter_tfserve.dataplane.http2.frames import (
    DEFAULT_WINDOW,
    PING,
    ConnectionFault,
    ErrorCode,
    Setting,
    frame,
    goaway_frame,
    rst_stream_frame,
    settings_frame,
    window_update_frame,
)
from jupyter_tfserve.dataplane.http2.header_blocks import Head
from jupyter_tfserve.dataplane.http2.inflow import Inflow
from jupyter_tfserve.dataplane.http2.outflow import Outflow
from jupyter_tfserve.dataplane.http2.service import Http2Service
from jupyter_tfserve.dataplane.http2.stream import Stream
from jupyter_tfserve.dataplane.pace import FullBuffer

_LINGER_S: Final = 2.0
_LONGEST_REST_S: Final = 1.0
_LARGE_READ: Final = 32 * 2**10
_HTTP1_TEXT: Final = b"This port speaks gRPC over HTTP/2; REST has another port\n"
_ANSWER_TO_HTTP1: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_HTTP1_TEXT), _HTTP1_TEXT)
)


class Connection(asyncio.BufferedProtocol, Generic[Head]):
    """One connection. Owned by the server's loop."""

    def __init__(self, service: Http2Service[Head]) -> None:
        self.service = service
        self.options = service.options
        self.streams: dict[int, Stream] = {}
        self.out: Outflow = cast("Outflow", None)
        self.peer = ""
        self.now = monotonic()
        """When bytes came last."""
        self.pinged_at: float | None = None
        """Since when the peer owes an answer to a PING."""
        self.is_going_away = False
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._in: Inflow[Head] = cast("Inflow[Head]", None)
        self._reader: FrameReader = cast("FrameReader", None)
        self._room = service.read_room
        self._is_closing = False
        self._is_resting = False
        self._half_frame = (0, 0.0)
        self._began = self._idle_since = self.now
        self._full_buffer: FullBuffer | None = None
        self._linger_since: float | None = None

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.out = Outflow(
            self._transport, asyncio.get_running_loop().call_soon, self.options.limits, self.service
        )
        self.peer = peer_name(transport)
        self._in = Inflow(self)
        self._reader = FrameReader(self._in, self.options)
        if not _speaks_http2(transport):
            self._stop_reading()
            self._transport.close()
        elif not self.service.opened(self):
            self._refuse()

    def _refuse(self) -> None:
        # Closed at once: a connection over the limit must not linger, and no sweep would find it.
        reason = f"Too many connections; the limit is {self.options.limits.max_connections}"
        self._stop_reading()
        self.introduce()
        self.out.write(goaway_frame(0, ErrorCode.ENHANCE_YOUR_CALM, reason))
        self.out.flush()
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_reading()
        self._in.forget_block()
        self._end_streams()
        self.service.closed(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        piece = self._room[:nbytes]
        # Small frames cost less as bytes, large ones if they are copied to where they stay and nowhere else.
        self.data_received(bytes(piece) if nbytes < _LARGE_READ else piece)

    def data_received(self, data: bytes | memoryview) -> None:
        """What was read; a memoryview is good for this call only."""
        if self._is_closing:
            return
        self.now = monotonic()
        try:
            self._reader.feed(data)
        except ConnectionFault as fault:
            self.close(fault.code, fault.reason)
        except Http1Peer:
            self.out.write(_ANSWER_TO_HTTP1)
            self._shut()

    def pause_writing(self) -> None:
        # Who does not read is not read either: what it asks for would only wait here.
        self._full_buffer = FullBuffer(self._transport, self.options.limits, monotonic())
        self.out.pause()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._full_buffer = None
        if self._linger_since is not None:
            self._linger_since = monotonic()
        self._resume_reading()
        self.out.resume()

    def _resume_reading(self) -> None:
        is_wanted = self._full_buffer is None and not self._is_resting
        if is_wanted and not self._transport.is_closing():
            self._transport.resume_reading()

    def rest(self) -> None:
        """Reads no more for as long as the peer has overdrawn what it may reset; answers go out meanwhile."""
        if not self._is_resting and not self._transport.is_closing():
            self._is_resting = True
            self._transport.pause_reading()
            # Later: what this piece of bytes still holds is to count.
            asyncio.get_running_loop().call_soon(self._rest)

    def _rest(self) -> None:
        seconds = min(self._in.overdrawn_s, _LONGEST_REST_S)
        if seconds > 0 and not self._transport.is_closing():
            asyncio.get_running_loop().call_later(seconds, self._rest)
        else:
            self._is_resting = False
            self._resume_reading()

    def introduce(self) -> None:
        """Sends our settings, before anything else."""
        options = self.options
        settings = {
            Setting.MAX_CONCURRENT_STREAMS: options.max_concurrent_streams,
            Setting.INITIAL_WINDOW_SIZE: options.stream_window,
            Setting.MAX_FRAME_SIZE: options.max_frame_bytes,
            Setting.MAX_HEADER_LIST_SIZE: options.max_header_bytes,
        }
        self.out.write(settings_frame(settings))
        if options.connection_window > DEFAULT_WINDOW:
            self.out.write(window_update_frame(0, options.connection_window - DEFAULT_WINDOW))

    # The streams' side

    def give_window(self, stream: Stream, size: int) -> None:
        """`size` bytes of the stream's request are taken, so the peer may send as many more."""
        stream.taken += size
        if stream.taken > self.options.stream_window >> 1 and stream.is_open and not stream.is_request_whole:
            self.out.write(window_update_frame(stream.id, stream.taken))
            stream.receive_window += stream.taken
            stream.taken = 0

    def finish(self, stream: Stream, last: bytes = b"") -> None:
        """The stream's answer is out with these last frames of it."""
        if self.streams.pop(stream.id, None) is None:
            return
        stream.is_open = False
        if not stream.is_request_whole:
            last += rst_stream_frame(stream.id, ErrorCode.NO_ERROR)
        if not self.streams:
            # No other stream's answer could leave with it.
            self.out.write_now(last)
            self._no_streams()
        elif last:
            self.out.write(last)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """The stream ends without an answer."""
        if stream.is_open:
            self.out.write(rst_stream_frame(stream.id, code))
            self.end(stream)

    def end(self, stream: Stream) -> None:
        """The stream is over, as its peer knows."""
        del self.streams[stream.id]
        stream.is_open = False
        self.out.drop(stream)
        stream.gone()
        if not self.streams:
            self._no_streams()

    def _end_streams(self) -> None:
        for stream in list(self.streams.values()):
            self.end(stream)

    def _no_streams(self) -> None:
        self._idle_since = monotonic()
        if self.is_going_away and not self._is_closing:
            self._shut()

    # Time

    def check_deadlines(self, now: float) -> None:
        """Called once a second by the server: reaps peers that send, read or idle slower than allowed."""
        if self._full_buffer is not None:
            if self._full_buffer.is_too_slow(now):
                self.abort()
        elif self._linger_since is not None:
            if now - self._linger_since > _LINGER_S:
                self.abort()
        elif self.out.is_too_slow(now):
            self.close(ErrorCode.ENHANCE_YOUR_CALM, "The windows stayed closed for too long")
        elif self._is_introduction_late(now):
            self.close(ErrorCode.SETTINGS_TIMEOUT, "The preface or a header came too slowly")
        else:
            for stream in [one for one in self.streams.values() if not one.is_request_whole]:
                if stream.is_late(now):
                    stream.too_late()
            self._check_age(now)
            self._keep_alive(now)

    def _is_introduction_late(self, now: float) -> bool:
        if not self._reader.is_greeted:
            since: float | None = self._began
        else:
            since = self._in.header_since
            if since is None:
                since = self._half_frame_since(now)
        return since is not None and now - since > self.options.limits.header_timeout_s

    def _half_frame_since(self, now: float) -> float | None:
        """When half a frame that is no DATA was seen first, which is a second after it came at most."""
        if not self._reader.is_inside:
            return None
        if self._half_frame[0] != self._reader.halves:
            self._half_frame = (self._reader.halves, now)
        return self._half_frame[1]

    def _check_age(self, now: float) -> None:
        options, age = self.options, now - self._began
        if age > options.max_age_s + options.max_age_grace_s:
            self.close(ErrorCode.NO_ERROR, "The connection is too old")
        elif age > options.max_age_s or (not self.streams and now - self._idle_since > options.max_idle_s):
            self.go_away()

    def _keep_alive(self, now: float) -> None:
        options = self.options
        if self.pinged_at is not None:
            if now - max(self.pinged_at, self.now) > options.keepalive_timeout_s:
                self.abort()
        elif now - self.now > options.keepalive_s and (self.streams or options.keepalive_without_streams):
            self.pinged_at = now
            self.out.write(frame(PING, 0, 0, b"tfserve?"))

    # The end

    def go_away(self) -> None:
        """Takes no new streams and closes when those that are open are over."""
        if self.is_going_away:
            return
        self.is_going_away = True
        self.out.write(goaway_frame(self._in.last_id, ErrorCode.NO_ERROR))
        if not self.streams:
            self._no_streams()

    def stop(self) -> None:
        """Ends the streams that are still open, and with them the connection."""
        for stream in list(self.streams.values()):
            stream.stopping()
        if not self._is_closing:
            self._shut()

    def close(self, code: ErrorCode, reason: str) -> None:
        """Says why and closes; whatever is open ends."""
        if self._is_closing:
            return
        self._stop_reading()
        self.is_going_away = True
        self._end_streams()
        self.out.write(goaway_frame(self._in.last_id, code, reason))
        self._shut()

    def abort(self) -> None:
        """Cuts the connection."""
        self._stop_reading()
        self._transport.abort()

    def _stop_reading(self) -> None:
        self._is_closing = self._reader.is_stopped = True

    def _shut(self) -> None:
        self._stop_reading()
        self.out.flush()
        self.out.is_closed = True
        if self._transport.can_write_eof():
            # Closing at once, with unread bytes, would reset the connection under the last words.
            self._linger_since = monotonic()
            with contextlib.suppress(OSError):  # the peer may be gone already
                self._transport.write_eof()
        else:
            self._transport.close()


def _speaks_http2(transport: asyncio.BaseTransport) -> bool:
    """Whether a peer behind TLS has agreed to HTTP/2 there, as RFC 9113, section 3.2, has it; without TLS it is known."""
    tls: Any = transport.get_extra_info("ssl_object")
    return tls is None or tls.selected_alpn_protocol() == "h2"


def peer_name(transport: asyncio.BaseTransport) -> str:
    """The other end as gRPC names it: `ipv4:127.0.0.1:4711`, `ipv6:[::1]:4711` or `unix:`."""
    peer: Any = transport.get_extra_info("peername")
    if not isinstance(peer, tuple):
        return "unix:"
    host, port = str(peer[0]), peer[1]
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
