"""How a gRPC call ends: an error to a status, its message and details, and the header blocks that carry them. Pure."""

from __future__ import annotations

import logging
import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote

from jupyter_tfserve.codec.status_details import DETAILS_KEY, encode_details
from jupyter_tfserve.dataplane.http2.header_blocks import header_block
from jupyter_tfserve.errors import Code, Overloaded, ServingError

Metadata: TypeAlias = "Sequence[tuple[str, str | bytes]]"

MAX_MESSAGE_BYTES: Final = 1024
TRUNCATED: Final = "...TRUNCATED"
ANSWER_HEADERS: Final = header_block(
    (
        (b":status", b"200"),
        (b"content-type", b"application/grpc"),
        (b"grpc-accept-encoding", b"identity, deflate, gzip"),
    )
)
OK_TRAILERS: Final = header_block(((b"grpc-status", b"0"),))

_PUSHBACK: Final = "grpc-retry-pushback-ms"
"""gRPC's own word for Retry-After: clients that retry by policy wait so long."""
_AS_IT_IS: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """A call's end other than OK."""

    code: Code
    message: str
    metadata: Metadata = ()


def failure_of(error: Exception) -> Failure:
    """What the caller is told of an error; nothing of the inside if it is no ServingError, which the log has then."""
    if not isinstance(error, ServingError):
        logger.error("A gRPC call failed unexpectedly", exc_info=error)
        return Failure(Code.INTERNAL, "The server failed to answer this request")
    message = truncate_message(error.message)
    metadata: list[tuple[str, str | bytes]] = []
    if error.hint is not None:
        # The hint, cut as the message is.
        details = encode_details(error.code, message, truncate_message(error.hint))
        metadata.append((DETAILS_KEY, details))
    if isinstance(error, Overloaded):
        metadata.append((_PUSHBACK, str(math.ceil(error.retry_after_s * 1000))))
    return Failure(error.code, message, metadata)


def truncate_message(message: str) -> str:
    """The message as a status may carry it: cut to 1024 bytes and marked where it is longer.

    A character that the cut would split is left out; what UTF-8 cannot hold becomes `?`.
    """
    encoded = message.encode(errors="replace")
    if len(encoded) <= MAX_MESSAGE_BYTES:
        return encoded.decode()
    return encoded[:MAX_MESSAGE_BYTES].decode(errors="ignore") + TRUNCATED


def trailers_block(metadata: Metadata) -> bytes:
    """The end of a call that went well, with its trailing metadata."""
    return OK_TRAILERS + _metadata_block(metadata)


def failure_block(failure: Failure, with_headers: bool) -> bytes:
    """The end of a call that failed; `with_headers` if it is the whole answer."""
    status = (
        (b"grpc-status", str(int(failure.code)).encode()),
        (b"grpc-message", quote(failure.message, safe=_AS_IT_IS).encode()),
    )
    head = ANSWER_HEADERS if with_headers else b""
    return head + header_block(status) + _metadata_block(failure.metadata)


def _metadata_block(metadata: Metadata) -> bytes:
    return header_block(
        (name.encode(), value.encode() if isinstance(value, str) else b64encode(value).rstrip(b"="))
        for name, value in metadata
    )
