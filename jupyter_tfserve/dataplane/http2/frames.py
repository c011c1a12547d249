"""HTTP/2's frames as bytes (RFC 9113, sections 4 and 6), and the two ways in which a peer can be wrong. Pure."""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEAD_BYTES: Final = 9
MAX_WINDOW: Final = 2**31 - 1
MAX_STREAM_ID: Final = 2**31 - 1
DEFAULT_WINDOW: Final = 65_535
MIN_MAX_FRAME: Final = 2**14
MAX_MAX_FRAME: Final = 2**24 - 1

# Plain numbers, since they are compared for every frame; an enum's member costs ten times as much to reach.
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITISED: Final = 0x20

read_head: Final = struct.Struct(">HBBBL").unpack_from
"""(length >> 8, length & 255, type, flags, stream) of the frame at an offset; the stream's highest bit means nothing."""
_HEAD: Final = struct.Struct(">HBBBL").pack
_SETTING: Final = struct.Struct(">HL")
_NUMBER: Final = struct.Struct(">L")
_GOAWAY: Final = struct.Struct(">LL")


class ErrorCode(enum.IntEnum):
    """Why a stream or a connection ends (RFC 9113, section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Setting(enum.IntEnum):
    """What one side tells the other about itself (RFC 9113, section 6.5.2)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ConnectionFault(Exception):
    """The peer broke the protocol in a way that ends the connection; `reason` may be told to it."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class StreamFault(Exception):
    """The peer broke the protocol in a way that ends one stream."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.name)
        self.code = code


def frame_head(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    """A frame's first nine bytes."""
    return _HEAD(length >> 8, length & 255, kind, flags, stream_id)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return frame_head(len(payload), kind, flags, stream_id) + payload


def settings_frame(settings: Mapping[Setting, int]) -> bytes:
    """SETTINGS."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*one) for one in settings.items()))


def rst_stream_frame(stream_id: int, code: ErrorCode) -> bytes:
    """RST_STREAM."""
    return frame(RST_STREAM, 0, stream_id, _NUMBER.pack(code))


def window_update_frame(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, _NUMBER.pack(increment))


def goaway_frame(last_stream_id: int, code: ErrorCode, reason: str = "") -> bytes:
    """GOAWAY: no stream above `last_stream_id` was or will be looked at."""
    return frame(GOAWAY, 0, 0, _GOAWAY.pack(last_stream_id, code) + reason.encode())


def parse_settings(payload: bytes) -> list[tuple[int, int]]:
    """SETTINGS' pairs, each checked; those that nobody knows as well, to be ignored."""
    if len(payload) % _SETTING.size:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS holds pairs of six bytes")
    pairs = list(_SETTING.iter_unpack(payload))
    for name, value in pairs:
        if name == Setting.ENABLE_PUSH and value > 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is 0 or 1")
        if name == Setting.INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is below 2^31")
        if name == Setting.MAX_FRAME_SIZE and not MIN_MAX_FRAME <= value <= MAX_MAX_FRAME:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE is from 2^14 to 2^24-1")
    return pairs


def parse_number(payload: bytes, name: str) -> int:
    """The one number of RST_STREAM or WINDOW_UPDATE, without its highest bit."""
    if len(payload) != _NUMBER.size:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"{name} holds four bytes")
    number: int = _NUMBER.unpack(payload)[0]
    return number & MAX_WINDOW


def without_padding(payload: bytes) -> bytes:
    """The contents of a padded DATA or HEADERS frame."""
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "More padding than frame")
    return payload[1 : len(payload) - payload[0]]


def header_fragment(payload: bytes, flags: int) -> bytes:
    """A HEADERS frame's part of the header block: without padding and without priority, which nobody goes by."""
    if flags & PADDED:
        payload = without_padding(payload)
    if flags & PRIORITISED:
        if len(payload) < 5:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS is too short for its priority")
        payload = payload[5:]
    return payload
