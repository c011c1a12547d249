"""What REST's answers have in common: errors in TensorFlow Serving's JSON, and compression for who asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from jupyter_tfserve.codec.gzip_answer import deflate
from jupyter_tfserve.codec.gzip_body import BodyTooLarge
from jupyter_tfserve.codec.json_models import encode_error
from jupyter_tfserve.codec.media_types import accepts_gzip
from jupyter_tfserve.dataplane.admission import retry_after_seconds
from jupyter_tfserve.dataplane.http_message import JSON, HttpResponse
from jupyter_tfserve.errors import HTTP_STATUS, Code, Overloaded, ServingError

OFFLOADED_ANSWER_BYTES: Final = 1 << 15
"""Answers from this size on are compressed in a thread, where they are."""
NO_HEADERS: Final[Mapping[str, str]] = {}


def error_response(error: ServingError, headers: Mapping[str, str] = NO_HEADERS) -> HttpResponse:
    """The error as TensorFlow Serving's JSON body, its hint beside it."""
    status = 413 if isinstance(error, BodyTooLarge) else HTTP_STATUS[error.code]
    if isinstance(error, Overloaded):
        headers = {**headers, "Retry-After": retry_after_seconds(error)}
    elif error.code is Code.UNAVAILABLE:
        headers = {**headers, "Retry-After": "1"}
    return HttpResponse(status, encode_error(error.message, error.hint), JSON, headers)


async def compressed(
    answer: bytes, accept_encoding: str, headers: Mapping[str, str]
) -> tuple[bytes, Mapping[str, str]]:
    """The answer and its headers, as gzip if that is what the sender asks for."""
    headers = {**headers, "Vary": "Accept-Encoding"}
    if not accepts_gzip(accept_encoding):
        return answer, headers
    if len(answer) >= OFFLOADED_ANSWER_BYTES:
        answer = await asyncio.to_thread(deflate, answer)
    else:
        answer = deflate(answer)
    return answer, {**headers, "Content-Encoding": "gzip"}
