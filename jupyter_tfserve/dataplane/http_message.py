"""One HTTP request and one response as values, and the bytes of a response's head."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, TypeAlias

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


def response_head(response: HttpResponse, date: bytes, keep_alive: bool) -> bytes:
    """Status line and headers, with the empty line that ends them."""
    lines = [
        STATUS_LINES[response.status],
        b"Content-Type: ",
        response.content_type.encode("latin-1"),
        b"\r\nDate: ",
        date,
        b"\r\nContent-Length: ",
        str(len(response.body)).encode(),
        b"\r\n",
    ]
    for name, value in response.headers.items():
        lines.append(f"{name}: {value}\r\n".encode("latin-1"))
    if not keep_alive:
        lines.append(b"Connection: close\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def error_page(status: int) -> HttpResponse:
    """The HTML page that TensorFlow Serving's HTTP library answers outside its API."""
    phrase = HTTPStatus(status).phrase
    page = (
        f"<HTML><HEAD>\n<TITLE>{status} {phrase}</TITLE>\n</HEAD><BODY>\n<H1>{phrase}</H1>\n</BODY></HTML>\n"
    )
    return HttpResponse(status, page.encode(), HTML)
