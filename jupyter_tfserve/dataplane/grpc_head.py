"""A call by its headers: which method, until when, with what metadata; or why they are not those of a call. Pure."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

from jupyter_tfserve.dataplane.grpc_messages import ENCODINGS
from jupyter_tfserve.dataplane.http2.header_blocks import Headers, list_bytes
from jupyter_tfserve.errors import Code, ServingError, invalid_argument

Handler: TypeAlias = Callable[[bytes, Any], Awaitable[bytes]]
"""The serialized answer to a serialized request; its second argument is a `grpc_call.Call`, or as much of one."""


class Begun(Protocol):
    """A call whose answer somebody is waiting for."""

    def cancel(self) -> object:
        """The caller has gone away: no answer is wanted."""


Beginner: TypeAlias = Callable[[bytes, Any], "Begun | None"]
"""Begins to answer a request without a coroutine, and tells the call (`answer`, `fail_by`) in a later turn of the loop;
None, and nothing has happened, for a request that the handler is to answer."""
_NONE: Final[Mapping[str, Beginner]] = MappingProxyType({})

_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_SECONDS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_CONTENT_TYPE: Final = re.compile(rb"application/grpc(?:$|[+;])")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_PSEUDO: Final = frozenset((b":method", b":scheme", b":path", b":authority"))
_NO_METADATA: Final = frozenset(
    (b"te", b"content-type", b"grpc-timeout", b"grpc-encoding", b"grpc-accept-encoding")
)


@dataclass(frozen=True, slots=True)
class StreamHandler:
    """The serialized answers to serialized requests, as these come. `takes_one`: of which there is exactly one."""

    answer: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]
    takes_one: bool = False


@dataclass(frozen=True, slots=True)
class CallHead:
    """A call's headers. A call with a `refusal` is refused; one that is `is_malformed` or no POST is not even a call."""

    path: str = ""
    handler: Handler | None = None
    beginner: Beginner | None = None
    """Asked before the handler."""
    stream_handler: StreamHandler | None = None
    timeout_s: float | None = None
    encoding: str = "identity"
    metadata: tuple[tuple[str, str | bytes], ...] = ()
    refusal: ServingError | None = None
    http_status: int = 200
    is_malformed: bool = False
    content_length: int | None = None


class HeadParser:
    """Reads heads for the methods of one server. Headers above either limit are refused by RESOURCE_EXHAUSTED."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        stream_handlers: Mapping[str, StreamHandler],
        max_bytes: int,
        max_headers: int,
        beginners: Mapping[str, Beginner] = _NONE,
    ) -> None:
        self._handlers = handlers
        self._beginners = beginners
        self._stream_handlers = stream_handlers
        self._max_bytes = max_bytes
        self._max_headers = max_headers

    def parse(self, headers: Headers) -> CallHead:
        """The head; one that refuses the call if the headers are wrong."""
        if _is_malformed(headers):
            return CallHead(is_malformed=True)
        # The first of each name counts, as it does for REST.
        by_name = dict(reversed(headers))
        if by_name[b":method"] != b"POST":
            return CallHead(http_status=405)
        if not _CONTENT_TYPE.match(by_name.get(b"content-type", b"")):
            return CallHead(http_status=415)
        path = by_name[b":path"].decode("latin-1")
        length = int(by_name[b"content-length"]) if b"content-length" in by_name else None
        try:
            self._check_size(headers)
            return CallHead(
                path,
                self._handlers.get(path),
                self._beginners.get(path),
                self._stream_handlers.get(path),
                _timeout_s(by_name.get(b"grpc-timeout")),
                by_name.get(b"grpc-encoding", b"identity").decode("latin-1"),
                _metadata(headers, self._max_headers),
                self._refusal(path, by_name),
                content_length=length,
            )
        except ServingError as error:
            return CallHead(path, metadata=_credentials(by_name), refusal=error, content_length=length)

    def _check_size(self, headers: Headers) -> None:
        if list_bytes(headers) > self._max_bytes:
            text = f"The call's metadata is too large; the limit is {self._max_bytes} bytes"
            raise ServingError(Code.RESOURCE_EXHAUSTED, text)
        if len(headers) > self._max_headers:
            raise _too_many(self._max_headers)

    def _refusal(self, path: str, by_name: Mapping[bytes, bytes]) -> ServingError | None:
        if path not in self._handlers and path not in self._stream_handlers:
            return ServingError(Code.UNIMPLEMENTED, "Method not found!")
        encoding = by_name.get(b"grpc-encoding", b"identity").decode("latin-1")
        if encoding not in ENCODINGS:
            return ServingError(Code.UNIMPLEMENTED, "grpc-encoding must be identity, deflate or gzip")
        return None


def _is_malformed(headers: Headers) -> bool:
    """Whether HTTP/2 forbids these headers (RFC 9113, section 8.2 and 8.3)."""
    pseudo: set[bytes] = set()
    is_begin = True
    for name, value in headers:
        if name.startswith(b":"):
            if not is_begin or name not in _PSEUDO or name in pseudo:
                return True
            pseudo.add(name)
        else:
            is_begin = False
            if name in _HOP_BY_HOP or not _NAME.fullmatch(name) or (name == b"te" and value != b"trailers"):
                return True
            if name == b"content-length" and not _LENGTH.fullmatch(value):
                return True
        if b"\r" in value or b"\n" in value or b"\0" in value:
            return True
    return not pseudo.issuperset((b":method", b":scheme", b":path"))


def _timeout_s(value: bytes | None) -> float | None:
    if value is None:
        return None
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        raise invalid_argument("grpc-timeout must be up to eight digits and a unit of H, M, S, m, u or n")
    return int(match[1]) * _SECONDS[match[2]]


def _too_many(limit: int) -> ServingError:
    text = f"The call has too many metadata entries; the limit is {limit}"
    return ServingError(Code.RESOURCE_EXHAUSTED, text)


def _credentials(by_name: Mapping[bytes, bytes]) -> tuple[tuple[str, str], ...]:
    """What the door looks at: who shows a key is told what else is wrong, and nobody else is."""
    value = by_name.get(b"authorization")
    return () if value is None else (("authorization", value.decode("latin-1")),)


def _metadata(headers: Headers, limit: int) -> tuple[tuple[str, str | bytes], ...]:
    found: list[tuple[str, str | bytes]] = []
    for name, value in headers:
        if name.startswith(b":") or name in _NO_METADATA:
            continue
        key = name.decode("latin-1")
        if name.endswith(b"-bin"):
            # A comma parts two entries, so that four kilobytes could be as many of them.
            if len(found) + value.count(b",") >= limit:
                raise _too_many(limit)
            found.extend((key, _from_base64(key, one)) for one in value.split(b","))
        else:
            found.append((key, value.decode("latin-1")))
    return tuple(found)


def _from_base64(name: str, value: bytes) -> bytes:
    try:
        return b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except Base64Error:
        raise invalid_argument(f"The metadata entry {name} is not base64") from None
