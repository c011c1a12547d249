"""The data plane under Jupyter's URL, `<base_url>/jupyter-tfserve/v1/...`: passed to our engine only.

Bodies stream both ways. The engine gets our token; of the client's headers it gets the listed ones only, so
that neither cookie nor Jupyter token leaves the Jupyter server.
"""

from __future__ import annotations

import asyncio
import re
from http.client import responses
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from jupyter_core.utils import ensure_async
from tornado import web
from tornado.httputil import HTTPHeaders

from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.extension.body_pipe import BodyPipe
from jupyter_tfserve.extension.engine_exchange import EngineExchange, EngineRequestHead
from jupyter_tfserve.extension.engines import DEFAULT_ENGINE
from jupyter_tfserve.extension.handlers.base import RESOURCE, TFServeHandler, guarded

BODY_HEADERS: Final = ("Content-Encoding", "Content-Length", "Content-Type")
REQUEST_HEADERS: Final = ("Accept", "Accept-Encoding", "Traceparent", "User-Agent", "X-Request-Id")
RESPONSE_HEADERS: Final = (*BODY_HEADERS, "Allow", "Retry-After", "Vary", "X-Request-Id")
PRIVATE_ARGUMENTS: Final = frozenset({"token", "_xsrf", "no_track_activity"})
ACTIONS: Final = {"GET": "read", "POST": "execute"}

_TARGET: Final = re.compile(r"/v1(/[A-Za-z0-9._~%!$&'()*+,;=:@-]+)+")


def data_plane_target(path: str, query: str) -> str:
    """The engine's target for `path` below our prefix. INVALID_ARGUMENT for what is no plain path."""
    target = "/v1/" + path
    if _TARGET.fullmatch(target) is None or {".", ".."} & set(unquote(target).split("/")):
        raise invalid_argument("the path is not one of the data plane's")
    kept = [(name, value) for name, value in parse_qsl(query, True) if name not in PRIVATE_ARGUMENTS]
    return f"{target}?{urlencode(kept)}" if kept else target


@web.stream_request_body
class DataPlaneHandler(TFServeHandler):
    """One request on its way to the engine and back."""

    def initialize(self, name: str, *args: Any, **kwargs: Any) -> None:
        """tornado's constructor."""
        super().initialize(name, *args, **kwargs)
        self._pipe: BodyPipe | None = None
        self._exchange: asyncio.Future[None] | None = None
        self._received = 0

    async def prepare(self) -> None:  # type: ignore[override]
        """Lets the request in and opens the way to the engine before the body is read.

        tornado calls a verb when the body is complete, too late for one that streams: so the verbs' checks
        are made here, and their decorators stay for whoever audits handlers.
        """
        await super().prepare()
        action = ACTIONS.get(self.request.method or "")
        if self._finished or action is None:
            return
        await self._let_in(action)
        self._refuse_what_cannot_pass()
        head = self._engine_request()
        if self.request.method == "POST":
            self._pipe = BodyPipe()
        self.engines.request_began()
        self._exchange = asyncio.ensure_future(self._exchange_in_time(head))
        self._exchange.add_done_callback(self._exchange_ended)

    @guarded("read")
    async def get(self, path: str) -> None:
        """Status and metadata."""
        await self._finish_exchange()

    @guarded("execute")
    async def post(self, path: str) -> None:
        """Predictions: they run a model."""
        await self._finish_exchange()

    async def data_received(self, chunk: bytes) -> None:
        """A part of the client's body; returns when the engine has taken what came before."""
        self._received += len(chunk)
        if self._received > self.extension_options.max_body_bytes:
            self._abandon()
            if not self._finished:
                self.send_error(413, exc_info=(web.HTTPError, self._too_large(), None))
        elif self._pipe is not None:
            await self._pipe.write(chunk)

    def on_connection_close(self) -> None:
        """The client left: the request to the engine ends too."""
        self._abandon()
        super().on_connection_close()

    def compute_etag(self) -> None:
        """None: answers pass as they are."""

    def begin_answer(self, status: int, headers: HTTPHeaders) -> None:
        """The engine's status and headers."""
        # The data plane never redirects: nothing to follow, nothing that a client should follow.
        status = 502 if 300 <= status < 400 else status
        self.set_status(status, responses.get(status, "Unknown"))
        self.clear_header("Content-Type")
        for name in RESPONSE_HEADERS:
            if name in headers:
                self.set_header(name, headers[name])

    async def write_answer(self, chunk: bytes) -> None:
        """A part of the engine's answer; returns when the client has taken it."""
        self.write(chunk)
        await self.flush()

    async def _let_in(self, action: str) -> None:
        user = self.current_user
        if not user:
            raise web.HTTPError(403)
        if not await ensure_async(self.authorizer.is_authorized(self, user, action, RESOURCE)):
            raise web.HTTPError(403, f"User is not authorized to {action} on resource: {RESOURCE}.")

    def _refuse_what_cannot_pass(self) -> None:
        headers = self.request.headers
        if "Upgrade" in headers:
            raise invalid_argument("this address speaks plain HTTP; 'Upgrade' is refused")
        if "Content-Length" in headers and "Transfer-Encoding" in headers:
            raise invalid_argument("a request has a Content-Length or a Transfer-Encoding, not both")
        limit = self.extension_options.max_body_bytes
        length = headers.get("Content-Length", "0")
        if length.isascii() and length.isdecimal() and (len(length) > 18 or int(length) > limit):
            raise self._too_large()
        # Ours is the answer to a body that grows too large; tornado's would be a bare 400.
        self.request.connection.set_max_body_size(2 * limit + 2**20)  # type: ignore[union-attr]

    def _too_large(self) -> web.HTTPError:
        limit = self.extension_options.max_body_bytes
        return web.HTTPError(413, f"the body is larger than {limit} bytes (c.TFServe.max_body_bytes)")

    def _engine_request(self) -> EngineRequestHead:
        connection = self.engines.connection(DEFAULT_ENGINE)
        path = self.request.path.partition("/jupyter-tfserve/v1/")[2]
        names = REQUEST_HEADERS if self.request.method == "GET" else (*REQUEST_HEADERS, *BODY_HEADERS)
        headers = HTTPHeaders({"Authorization": f"Bearer {connection.token}"})
        headers["Host"] = urlsplit(connection.control_url).netloc
        for name in names:
            if name in self.request.headers:
                headers[name] = self.request.headers[name]
        method = self.request.method or "GET"
        return EngineRequestHead(
            connection.control_url, method, data_plane_target(path, self.request.query), headers
        )

    async def _exchange_in_time(self, head: EngineRequestHead) -> None:
        limit_s = self.extension_options.proxy_timeout_s
        exchange = EngineExchange(self, self.engines.connections)
        try:
            await asyncio.wait_for(exchange.run(head, self._pipe), limit_s or None)
        except asyncio.TimeoutError:
            raise ServingError(
                Code.DEADLINE_EXCEEDED,
                f"the engine did not answer within {limit_s:g} s",
                "The limit is c.TFServe.proxy_timeout_s.",
            ) from None

    def _exchange_ended(self, exchange: asyncio.Future[None]) -> None:
        self.engines.request_ended()
        if not exchange.cancelled():
            exchange.exception()  # seen: the verb may never come to ask for it

    async def _finish_exchange(self) -> None:
        if self._exchange is None:
            return
        if self._pipe is not None:
            await self._pipe.end()
        try:
            await self._exchange
        except ServingError:
            if not self._headers_written:
                raise
            self._cut()
        except asyncio.CancelledError:
            self._cut()
        else:
            self.finish(set_content_type=self._headers.get("Content-Type", "application/json"))

    def _cut(self) -> None:
        """An answer that broke off must not look whole: the client sees its connection end."""
        self._auto_finish = False
        self.request.connection.close()  # type: ignore[union-attr]

    def _abandon(self) -> None:
        if self._exchange is not None:
            self._exchange.cancel()
