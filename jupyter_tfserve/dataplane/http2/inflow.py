"""What a peer's frames do to streams, windows and settings, and what can be wrong with each (RFC 9113, 5 and 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic

from jupyter_tfserve.dataplane.http2.allowance import Allowance
from jupyter_tfserve.dataplane.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    MAX_WINDOW,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ConnectionFault,
    ErrorCode,
    Setting,
    StreamFault,
    frame,
    header_fragment,
    parse_number,
    parse_settings,
    rst_stream_frame,
    window_update_frame,
)
from jupyter_tfserve.dataplane.http2.header_blocks import Head, HeaderReader
from jupyter_tfserve.dataplane.http2.options import HEADER_ROOM, MAX_LARGE_BLOCKS

if TYPE_CHECKING:
    from jupyter_tfserve.dataplane.http2.connection import Connection
    from jupyter_tfserve.dataplane.http2.stream import Stream

_PROTOCOL: Final = ErrorCode.PROTOCOL_ERROR
_CALM: Final = ErrorCode.ENHANCE_YOUR_CALM
_ANY: Final = -1
_MAX_SKIPPED: Final = 64
"""So many gaps in the streams' numbers are known again; no client leaves any."""
_MAX_SETTINGS_BYTES: Final = 64 * 6


class Inflow(Generic[Head]):
    """One connection's way in. `last_id`: the newest stream; `header_since`: when half a header block came."""

    def __init__(self, connection: Connection[Head]) -> None:
        options = connection.options
        self.last_id = 0
        self.header_since: float | None = None
        self._connection = connection
        self._service = connection.service
        self._options = options
        self._streams = connection.streams
        self._out = connection.out
        limit = options.max_header_bytes
        self._heads = HeaderReader(
            connection.service.read_head, limit * HEADER_ROOM, options.limits.max_headers * 2, limit * 2
        )
        self._is_block_large = False
        self._skipped: list[range] = []
        self._window = options.connection_window
        self._taken = 0
        self._expected = SETTINGS
        self._block = bytearray()
        self._block_flags = 0
        self._block_stream = 0
        self._resets = Allowance(options.resets_at_once, options.resets_per_s)
        self._faults = Allowance(options.faults_at_once, options.faults_per_s)
        self._refused = Allowance(options.empty_at_once, options.empty_per_s)
        self._pings = Allowance(options.pings_at_once, options.pings_per_s)
        self._empty = Allowance(options.empty_at_once, options.empty_per_s)

    def greeted(self) -> None:
        """FrameSink's."""
        self._connection.introduce()

    def frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """FrameSink's."""
        if kind == HEADERS:
            self._headers(flags, stream_id, payload)
        elif kind == WINDOW_UPDATE and self._expected == _ANY:
            # grpcio's clients send two of them for each call.
            self._window_update(stream_id, payload)
        else:
            self._other_frame(kind, flags, stream_id, payload)

    def _other_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._expected != _ANY:
            self._check_expected(kind, stream_id)
        if kind == SETTINGS:
            self._settings(flags, stream_id, payload)
        elif kind == PING:
            self._ping(flags, stream_id, payload)
        elif kind == RST_STREAM:
            self._rst_stream(stream_id, payload)
        elif kind == CONTINUATION:
            self._continuation(flags, stream_id, payload)
        elif kind == GOAWAY:
            if stream_id or len(payload) < 8:
                raise ConnectionFault(_PROTOCOL, "GOAWAY is the connection's and holds eight bytes or more")
            self._spend_empty()
        elif kind == PUSH_PROMISE:
            raise ConnectionFault(_PROTOCOL, "A client can't push")
        elif kind == PRIORITY:
            self._priority(stream_id, payload)
        else:
            self._spend_empty()

    def data(self, flags: int, stream_id: int, payload: bytes | memoryview, size: int) -> None:
        """FrameSink's."""
        if self._expected != _ANY:
            self._check_expected(DATA, stream_id)
        self._window -= size
        if self._window < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "More DATA than the connection's window")
        self._taken += size
        if self._taken > self._options.connection_window >> 1:
            self._out.write(window_update_frame(0, self._taken))
            self._window += self._taken
            self._taken = 0
        stream = self._streams.get(stream_id)
        if stream is None:
            self._check_known(stream_id)
            self._spend_empty()
            return
        if stream.is_request_whole:
            raise StreamFault(ErrorCode.STREAM_CLOSED)
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR)
        if stream.length_left is not None:
            stream.length_left -= len(payload)
            _check_length(stream, bool(flags & END_STREAM))
        if flags & END_STREAM:
            stream.is_request_whole = True
            stream.received(payload, True)
            return
        if payload:
            stream.received(payload, False)
        else:
            self._spend_empty()
        if size > len(payload):
            self._connection.give_window(stream, size - len(payload))

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._expected != _ANY:
            self._check_expected(HEADERS, stream_id)
        if not stream_id & 1:
            raise ConnectionFault(_PROTOCOL, "A client's streams have odd numbers")
        payload = header_fragment(payload, flags)
        if flags & END_HEADERS:
            self._open(flags, stream_id, payload)
        else:
            self._expected, self._block_stream, self._block_flags = CONTINUATION, stream_id, flags
            self.header_since = self._connection.now
            self._collect(payload)

    def _continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._expected != CONTINUATION:
            raise ConnectionFault(_PROTOCOL, "CONTINUATION goes on with nothing")
        self._spend_empty()
        self._collect(payload)
        if flags & END_HEADERS:
            block = bytes(self._block)
            self.forget_block()
            self._expected, self.header_since = _ANY, None
            self._open(self._block_flags, stream_id, block)

    def _collect(self, payload: bytes) -> None:
        self._block += payload
        size, limit = len(self._block), self._options.max_header_bytes
        if size > limit * 2 and not self._is_block_large:
            if self._service.large_blocks >= MAX_LARGE_BLOCKS:
                raise ConnectionFault(_CALM, "The headers are too large for now")
            self._is_block_large = True
            self._service.large_blocks += 1
        if size > limit * HEADER_ROOM:
            raise ConnectionFault(_CALM, "The headers are too large")

    def forget_block(self) -> None:
        """Nothing of a header block is kept any more."""
        self._block = bytearray()
        if self._is_block_large:
            self._is_block_large = False
            self._service.large_blocks -= 1

    def _open(self, flags: int, stream_id: int, block: bytes) -> None:
        head = self._heads.read(block)
        if stream_id <= self.last_id:
            self._trailers(flags, stream_id)
            return
        if stream_id > self.last_id + 2 and len(self._skipped) < _MAX_SKIPPED:
            self._skipped.append(range(self.last_id + 1, stream_id))
        self.last_id = stream_id
        is_enough = len(self._streams) >= self._options.max_concurrent_streams or self._out.is_full
        if is_enough or self._connection.is_going_away:
            raise StreamFault(ErrorCode.REFUSED_STREAM)
        stream = self._service.open(self._connection, stream_id, head)
        self._streams[stream_id] = stream
        stream.is_request_whole = bool(flags & END_STREAM)
        stream.opened()
        if flags & END_STREAM and stream.is_open:
            _check_length(stream, True)
            stream.received(b"", True)

    def _trailers(self, flags: int, stream_id: int) -> None:
        """A second header block on a stream: a request's trailers, or those of one that is over. Nobody asks for them."""
        stream = self._streams.get(stream_id)
        if stream is None:
            if any(stream_id in one for one in self._skipped):
                raise ConnectionFault(_PROTOCOL, "A client's streams have growing numbers")
            self._spend_empty()
        elif stream.is_request_whole:
            raise StreamFault(ErrorCode.STREAM_CLOSED)
        elif not flags & END_STREAM:
            raise StreamFault(_PROTOCOL)
        else:
            _check_length(stream, True)
            stream.is_request_whole = True
            stream.received(b"", True)

    def _rst_stream(self, stream_id: int, payload: bytes) -> None:
        parse_number(payload, "RST_STREAM")
        stream = self._streams.get(stream_id)
        if stream is None:
            # Its caller did not know that the answer was on its way.
            self._check_known(stream_id)
            self._spend_empty()
            return
        self._connection.end(stream)
        if stream.began == self._connection.now and self._resets.overdraw():
            self._connection.rest()

    @property
    def overdrawn_s(self) -> float:
        """How long the peer should not be read, for the streams that it opened and reset."""
        return self._resets.overdrawn_s()

    def _window_update(self, stream_id: int, payload: bytes) -> None:
        increment = parse_number(payload, "WINDOW_UPDATE")
        if not stream_id:
            if not increment:
                raise ConnectionFault(_PROTOCOL, "WINDOW_UPDATE opens by nothing")
            self._out.widen(increment)
        elif (stream := self._streams.get(stream_id)) is None:
            self._check_known(stream_id)
        elif not increment:
            raise StreamFault(_PROTOCOL)
        else:
            self._out.widen_stream(stream, increment)
        if self._out.crumbs:
            self._out.crumbs = 0
            self._spend_empty()

    def _settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(_PROTOCOL, "SETTINGS is the connection's")
        if flags & ACK:
            if payload:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS' acknowledgement is empty")
            self._spend_empty()
            return
        self._spend_ping()
        if len(payload) > _MAX_SETTINGS_BYTES:
            raise ConnectionFault(_CALM, "The SETTINGS are too many")
        # The last of each counts: a window of its own for each of them would go through all streams each time.
        settings = dict(parse_settings(payload))
        if (window := settings.get(Setting.INITIAL_WINDOW_SIZE)) is not None:
            self._set_initial_window(window)
        if (size := settings.get(Setting.MAX_FRAME_SIZE)) is not None:
            self._out.set_max_frame(size)
        self._expected = _ANY
        self._out.write(frame(SETTINGS, ACK, 0))
        self._out.widened()

    def _set_initial_window(self, size: int) -> None:
        change, self._out.initial_window = size - self._out.initial_window, size
        for stream in self._streams.values():
            stream.send_window += change
            if stream.send_window > MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "A stream's window is above 2^31-1")

    def _ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(_PROTOCOL, "PING is the connection's")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING holds eight bytes")
        self._spend_ping()
        if flags & ACK:
            self._connection.pinged_at = None
        else:
            self._out.write(frame(PING, ACK, 0, payload))

    def _priority(self, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise ConnectionFault(_PROTOCOL, "PRIORITY is a stream's")
        self._spend_empty()
        if len(payload) != 5:
            raise StreamFault(ErrorCode.FRAME_SIZE_ERROR)

    def _check_known(self, stream_id: int) -> None:
        """That the stream is over, rather than never begun: its peer may not know yet."""
        if stream_id == 0 or not stream_id & 1 or stream_id > self.last_id:
            raise ConnectionFault(_PROTOCOL, "The frame is of a stream that was never opened")

    def _check_expected(self, kind: int, stream_id: int) -> None:
        """While only one type of frame may come: SETTINGS at first, CONTINUATION after half a header block."""
        if kind != self._expected:
            name = "SETTINGS" if self._expected == SETTINGS else "CONTINUATION"
            raise ConnectionFault(_PROTOCOL, f"This frame should be {name}")
        if kind == CONTINUATION and stream_id != self._block_stream:
            raise ConnectionFault(_PROTOCOL, "CONTINUATION is of another stream than its HEADERS")

    def _spend_empty(self) -> None:
        if not self._empty.spend():
            raise ConnectionFault(_CALM, "Too many frames that bring nothing")

    def _spend_ping(self) -> None:
        if not self._pings.spend():
            raise ConnectionFault(_CALM, "Too many PING or SETTINGS frames")

    def fault(self, stream_id: int, code: ErrorCode) -> None:
        """FrameSink's."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._connection.reset(stream, code)
        else:
            self._out.write(rst_stream_frame(stream_id, code))
        allowance = self._refused if code is ErrorCode.REFUSED_STREAM else self._faults
        if not allowance.spend():
            raise ConnectionFault(_CALM, "Too many streams must be reset")


def _check_length(stream: Stream, is_last: bool) -> None:
    """That the body is as long as its headers say (RFC 9113, section 8.1.1)."""
    left = stream.length_left
    if left is not None and (left < 0 or (is_last and left)):
        raise StreamFault(_PROTOCOL)
