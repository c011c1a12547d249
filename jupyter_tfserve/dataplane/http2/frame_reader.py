"""A connection's bytes to frames, however the network cuts them. No I/O.

A frame that is whole in what was read costs one slice; any other DATA frame is handed on as it comes and is never here as
a whole, so that frames may be large; those of other types wait until they are whole, in an amount of memory that the
headers' limit bounds.
"""

from __future__ import annotations

from typing import Protocol

from jupyter_tfserve.dataplane.http2.frames import (
    DATA,
    FRAME_HEAD_BYTES,
    MAX_STREAM_ID,
    PADDED,
    PREFACE,
    ConnectionFault,
    ErrorCode,
    StreamFault,
    read_head,
)
from jupyter_tfserve.dataplane.http2.options import HEADER_ROOM, Http2Options


class Http1Peer(Exception):
    """The peer speaks HTTP/1."""


class FrameSink(Protocol):
    """Takes frames in their order. Either method may raise a fault."""

    def greeted(self) -> None:
        """The peer's preface is there."""

    def frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """A whole frame of any type but DATA."""

    def data(self, flags: int, stream_id: int, payload: bytes | memoryview, size: int) -> None:
        """A DATA frame or a part of one, without padding. The flags come with the last part.

        `size` is what it counts in the windows. A memoryview is good for this call only.
        """

    def fault(self, stream_id: int, code: ErrorCode) -> None:
        """The stream's last frame was wrong in a way that ends the stream."""


class FrameReader:
    """Reads one connection. `is_stopped` ends it: what comes later is not looked at."""

    __slots__ = (
        "_data_flags",
        "_data_left",
        "_data_stream",
        "_extra",
        "_kept",
        "_max_frame",
        "_max_other",
        "_needed",
        "_padding_left",
        "_sink",
        "halves",
        "is_greeted",
        "is_stopped",
    )

    def __init__(self, sink: FrameSink, options: Http2Options) -> None:
        self._sink = sink
        self._max_frame = options.max_frame_bytes
        self._max_other = max(options.max_header_bytes * HEADER_ROOM, 1024)
        self._kept = bytearray()
        self._needed = len(PREFACE)
        self._data_left = 0
        self._data_flags = 0
        self._data_stream = 0
        self._extra = 0
        self._padding_left = 0
        self.halves = 0
        """How many frames have waited here for their rest."""
        self.is_greeted = False
        self.is_stopped = False

    @property
    def is_inside(self) -> bool:
        """Whether a part of a frame waits here for its rest; not of DATA, which is handed on as it comes."""
        return bool(self._kept) and self._needed > FRAME_HEAD_BYTES + 1

    def feed(self, data: bytes | memoryview) -> None:
        """Hands on all frames that end in `data`. ConnectionFault or Http1Peer: nothing more can be read."""
        if self._kept:
            self._kept += data
            if len(self._kept) < self._needed:
                return
            data = bytes(self._kept)
            self._kept.clear()
        at = 0
        if not self.is_greeted:
            data = bytes(data)
            if not self._greet(data):
                return
            at = len(PREFACE)
        elif self._data_left or self._padding_left:
            at = self._go_on(data, 0, len(data))
        self._read(data, at)

    def _greet(self, data: bytes) -> bool:
        """Whether the preface is there; keeps what may become one."""
        if data.startswith(PREFACE):
            self.is_greeted = True
            self._sink.greeted()
            return True
        if b" HTTP/1." in data.partition(b"\r\n")[0]:
            raise Http1Peer
        if not PREFACE.startswith(data):
            raise ConnectionFault(
                ErrorCode.PROTOCOL_ERROR, "The connection does not begin with HTTP/2's preface"
            )
        self._kept += data
        self._needed = 0  # whatever comes decides
        return False

    def _read(self, data: bytes | memoryview, at: int) -> None:
        end, sink = len(data), self._sink
        needed = FRAME_HEAD_BYTES
        while end - at >= FRAME_HEAD_BYTES:
            high, low, kind, flags, stream_id = read_head(data, at)
            length = high << 8 | low
            stream_id &= MAX_STREAM_ID
            if length > self._max_other or length > self._max_frame:
                self._check_size(kind, length)
            begin = at + FRAME_HEAD_BYTES
            stop = begin + length
            if stop > end or flags & PADDED:
                if kind == DATA and (begin < end or not flags & PADDED or not length):
                    at = self._begin_data(data, begin, flags, stream_id, length)
                    if self.is_stopped:
                        return
                    continue
                if stop > end:
                    needed = FRAME_HEAD_BYTES + (1 if kind == DATA else length)
                    break
            payload = data[begin:stop]
            try:
                if kind == DATA:
                    sink.data(flags, stream_id, payload, length)
                else:
                    sink.frame(
                        kind, flags, stream_id, payload if isinstance(payload, bytes) else bytes(payload)
                    )
            except StreamFault as fault:
                sink.fault(stream_id, fault.code)
            if self.is_stopped:
                return
            at = stop
        if at < end:
            self._kept += data[at:] if at else data
            self._needed = needed
            self.halves += 1

    def _begin_data(self, data: bytes | memoryview, at: int, flags: int, stream_id: int, length: int) -> int:
        """Hands on what is here of a DATA frame; where it ends in `data`."""
        self._extra = self._padding_left = 0
        if flags & PADDED:
            if not length or data[at] >= length:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "More padding than frame")
            self._padding_left = data[at]
            self._extra = 1 + self._padding_left
            at += 1
        self._data_left, self._data_flags, self._data_stream = length - self._extra, flags, stream_id
        return self._go_on(data, at, len(data))

    def _go_on(self, data: bytes | memoryview, at: int, end: int) -> int:
        """Hands on the next part of a DATA frame; where it ends in `data`. Padding counts with the first part."""
        size = min(end - at, self._data_left)
        self._data_left -= size
        if size or self._extra:
            flags = 0 if self._data_left else self._data_flags
            counted, self._extra = size + self._extra, 0
            try:
                self._sink.data(flags, self._data_stream, data[at : at + size], counted)
            except StreamFault as fault:
                self._sink.fault(self._data_stream, fault.code)
        at += size
        if self._padding_left and not self._data_left:
            padding = min(self._padding_left, end - at)
            self._padding_left -= padding
            at += padding
        return at

    def _check_size(self, kind: int, length: int) -> None:
        if length > self._max_frame:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "The frame is larger than MAX_FRAME_SIZE")
        if kind != DATA:
            raise ConnectionFault(
                ErrorCode.ENHANCE_YOUR_CALM, "The frame is larger than anything that it could hold"
            )
