"""One HTTP request and one response as values, and the bytes of a response's head."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Protocol, TypeAlias

from jupyter_tfserve.codec.json_models import encode_error

logger = logging.getLogger(__name__)

JSON: Final = "application/json"
HTML: Final = "text/html"

_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#]*)")
_REQUEST_LINE: Final = re.compile(rb"[!-~]+ [!-~]+ HTTP/1\.[0-9]\r?\n")


@dataclass(slots=True)
class HttpRequest:
    """A whole request. `target` is as sent, with its query; header names are lower case, the first value wins."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class HttpResponse:
    """A whole response; Date, Content-Length and Connection are added on the wire."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


HttpHandler: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponse]]
"""Answers one request. Runs on the server's loop; cancelled when the peer goes away."""

Reply: TypeAlias = Callable[[HttpResponse], None]
"""Takes the answer to one request, once."""


class Begun(Protocol):
    """A request whose answer somebody is waiting for."""

    def cancel(self) -> object:
        """The peer has gone away: no answer is wanted."""


HttpBeginner: TypeAlias = Callable[[HttpRequest, Reply], "Begun | None"]
"""Begins to answer without a coroutine, and replies in a later turn of the loop; None, and nothing has happened, for a
request that the handler is to answer. Raises nothing."""

HeadDoor: TypeAlias = Callable[[str, str, Mapping[str, str]], "HttpResponse | None"]
"""The refusal of a request whose head (method, target, headers) is enough to refuse it, or None."""


def _status_lines() -> dict[int, bytes]:
    lines = {int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode() for status in HTTPStatus}
    lines[499] = b"HTTP/1.1 499 Client Closed Request\r\n"
    return lines


STATUS_LINES: Final = _status_lines()


def origin_form(target: bytes) -> tuple[bytes, str]:
    """A request target as its path and query, and the host that it names in its absolute form, which proxies send.

    That host counts instead of the Host header. Any other target stays as it is, with no host.
    """
    match = _ABSOLUTE.match(target)
    if match is None:
        return target, ""
    path = target[match.end() :]
    return path if path.startswith(b"/") else b"/" + path, match[1].decode("latin-1")


def is_request_line(text: bytes) -> bool:
    """Whether the text begins as an HTTP request does, whatever its method is called."""
    return _REQUEST_LINE.match(text) is not None


def head_lines(status: int, content_type: str, date: bytes) -> bytes:
    """The begin of a response's head, up to its length: what answers of one second have in common."""
    kind = content_type.encode("latin-1")
    return b"%bContent-Type: %b\r\nDate: %b\r\nContent-Length: " % (STATUS_LINES[status], kind, date)


def response_head(response: HttpResponse, lines: bytes, keep_alive: bool) -> bytes:
    """Status line and headers, with the empty line that ends them. `lines` are its `head_lines`."""
    if keep_alive and not response.headers:
        return b"%b%d\r\n\r\n" % (lines, len(response.body))
    more = "".join([f"{name}: {value}\r\n" for name, value in response.headers.items()])
    end = b"\r\n" if keep_alive else b"Connection: close\r\n\r\n"
    return b"%b%d\r\n%b%b" % (lines, len(response.body), more.encode("latin-1"), end)


def internal_error(request: HttpRequest) -> HttpResponse:
    """The answer to a request whose handler failed unexpectedly, the exception that is being handled logged.

    REQUIRES: called where that is caught.
    """
    logger.exception("The handler of %s failed", request.method)
    return HttpResponse(500, encode_error("Internal error; the server's log has the details"))


def error_page(status: int) -> HttpResponse:
    """The HTML page that TensorFlow Serving's HTTP library answers outside its API."""
    phrase = HTTPStatus(status).phrase
    page = (
        f"<HTML><HEAD>\n<TITLE>{status} {phrase}</TITLE>\n</HEAD><BODY>\n<H1>{phrase}</H1>\n</BODY></HTML>\n"
    )
    return HttpResponse(status, page.encode(), HTML)
