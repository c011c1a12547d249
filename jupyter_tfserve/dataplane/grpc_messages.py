"""gRPC's messages in a stream of bytes: five bytes of head, then the message, compressed or not. Pure."""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

from jupyter_tfserve.dataplane.grpc_status import ANSWER_HEADERS, OK_TRAILERS
from jupyter_tfserve.dataplane.http2.frames import DATA, END_HEADERS, END_STREAM, HEADERS
from jupyter_tfserve.dataplane.message_room import MessageRoom
from jupyter_tfserve.errors import Code, ServingError, invalid_argument

HEAD_BYTES: Final = 5
ENCODINGS: Final = frozenset(("identity", "deflate", "gzip"))
_HEAD: Final = struct.Struct(">BL")
_ZLIB_OR_GZIP: Final = 32 + zlib.MAX_WBITS

_BEFORE: Final = struct.Struct(f">HBBBL{len(ANSWER_HEADERS)}sHBBBLBL").pack
_AFTER: Final = struct.Struct(f">HBBBL{len(OK_TRAILERS)}s").pack


class Message(NamedTuple):
    """One message as it came."""

    is_compressed: bool
    body: bytes


class MessageReader:
    """The messages of one call's bytes, however these are cut."""

    __slots__ = ("_body_bytes", "_head", "_is_compressed", "_max_bytes", "_room")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._head = b""
        self._room: MessageRoom | None = None
        self._is_compressed = False
        self._body_bytes = 0

    @property
    def is_inside(self) -> bool:
        """Whether a message has begun and is not whole."""
        return bool(self._head)

    @property
    def held(self) -> int:
        """How much memory an unfinished message takes."""
        return 0 if self._room is None else self._room.held

    @property
    def received(self) -> int:
        """How much of an unfinished message is here."""
        return 0 if self._room is None else self._room.received

    def feed(self, piece: bytes | memoryview) -> list[Message]:
        """What is whole now. RESOURCE_EXHAUSTED before a message above the limit is collected."""
        found: list[Message] = []
        rest = memoryview(piece)
        while True:
            if len(self._head) < HEAD_BYTES:
                missing = HEAD_BYTES - len(self._head)
                self._head, rest = self._head + rest[:missing], rest[missing:]
                if len(self._head) < HEAD_BYTES:
                    return found
                self._read_head()
            body, rest = self._collect(rest)
            if body is None:
                return found
            found.append(Message(self._is_compressed, body))
            self._head = b""

    def _collect(self, rest: memoryview) -> tuple[bytes | None, memoryview]:
        """The message's body if it is whole with these bytes, and what is left of them."""
        room, missing = self._room, self._body_bytes
        if room is None:
            if len(rest) >= missing:
                return bytes(rest[:missing]), rest[missing:]
            room = self._room = MessageRoom(missing)
        missing -= room.received
        room.add(rest[:missing])
        if len(rest) < missing:
            return None, rest
        self._room = None
        return room.take(), rest[missing:]

    def _read_head(self) -> None:
        flag, self._body_bytes = _HEAD.unpack(self._head)
        if flag > 1:
            raise invalid_argument("The request is no gRPC message: its first byte is neither 0 nor 1")
        self._is_compressed = flag == 1
        if self._body_bytes > self._max_bytes:
            raise too_large(self._body_bytes, self._max_bytes)


def too_large(size: int, max_bytes: int) -> ServingError:
    """RESOURCE_EXHAUSTED, in grpcio's words."""
    return ServingError(
        Code.RESOURCE_EXHAUSTED, f"SERVER: Received message larger than max ({size} vs. {max_bytes})"
    )


def inflate(message: Message, encoding: str, max_bytes: int) -> bytes:
    """The message's bytes; holds at most `max_bytes` + 1 of them. INVALID_ARGUMENT if they are not of that encoding."""
    if not message.is_compressed:
        return message.body
    if encoding == "identity":
        raise invalid_argument("The message is compressed, and grpc-encoding does not say how")
    inflater = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        body = inflater.decompress(message.body, max_bytes + 1)
    except zlib.error:
        raise invalid_argument(f"The message is not valid {encoding}") from None
    if len(body) > max_bytes:
        raise too_large(len(body), max_bytes)
    if not inflater.eof:
        raise invalid_argument(f"The message is not valid {encoding}: its end is missing")
    if inflater.unused_data:
        raise invalid_argument(f"The message is not valid {encoding}: it goes on after its end")
    return body


def message_head(size: int) -> bytes:
    """What goes before a message that is not compressed."""
    return _HEAD.pack(0, size)


def whole_answer(stream_id: int, message: bytes) -> bytes:
    """The frames of an answer that went well: headers, the message, trailers. REQUIRES: it fits one DATA frame."""
    size = len(message)
    data = size + HEAD_BYTES
    before = _BEFORE(
        len(ANSWER_HEADERS) >> 8,
        len(ANSWER_HEADERS) & 255,
        HEADERS,
        END_HEADERS,
        stream_id,
        ANSWER_HEADERS,
        data >> 8,
        data & 255,
        DATA,
        0,
        stream_id,
        0,
        size,
    )
    after = _AFTER(0, len(OK_TRAILERS), HEADERS, END_HEADERS | END_STREAM, stream_id, OK_TRAILERS)
    return b"".join((before, message, after))
