"""The page of metrics, before the handler of everything else. It answers any verb, as upstream's does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from jupyter_tfserve.dataplane.http_message import HttpHandler, HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.metrics_text import CONTENT_TYPE

_BAD_REQUEST: Final = 400


def with_metrics(path: str, write_page: Callable[[], bytes], handler: HttpHandler) -> HttpHandler:
    """`handler`, with the page that `write_page` makes at `path`."""

    # No coroutine of its own: every request comes through here.
    def handle(request: HttpRequest) -> Awaitable[HttpResponse]:
        if request.target.startswith(path):
            rest = request.target[len(path) :]
            if not rest or rest[0] == "?":
                return _answer(path, request.target, write_page)
        return handler(request)

    return handle


async def _answer(path: str, target: str, write_page: Callable[[], bytes]) -> HttpResponse:
    if target != path:
        text = f"Unexpected path: {target}. Should be {path}"
        return HttpResponse(_BAD_REQUEST, text.encode(), CONTENT_TYPE)
    return HttpResponse(200, write_page(), CONTENT_TYPE)
