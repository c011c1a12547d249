"""One request to an engine's control port, on the caller's asyncio loop.

For the owners of an engine (supervisor, Jupyter extension); notebooks use the blocking `client`. tornado's
client knows nothing of proxies in the environment, so the token goes to the loopback port and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from jupyter_tfserve.engine.connection import Connection
from jupyter_tfserve.errors import Code, ServingError

CONNECT_TIMEOUT_S: Final = 5.0
MAX_REPLY_BYTES: Final = 64 * 2**20
MAX_REQUESTS: Final = 256
"""tornado's own limit of 10 would let ten slow calls stall all others."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the engine answered: any status, and the body as it came."""

    status: int
    body: bytes


class ControlCaller:
    """Calls engines; close it after use. REQUIRES: used on the event loop that it was made on."""

    def __init__(self) -> None:
        self._client: AsyncHTTPClient = SimpleAsyncHTTPClient(
            force_instance=True, max_clients=MAX_REQUESTS, max_body_size=MAX_REPLY_BYTES
        )

    async def call(
        self,
        connection: Connection,
        method: str,
        path: str,
        body: bytes | None = None,
        timeout_s: float = 30.0,
    ) -> Reply:
        """The engine's answer to `method path`; UNAVAILABLE if there is none within `timeout_s`."""
        request = HTTPRequest(
            connection.control_url.rstrip("/") + path,
            method=method,
            body=body,
            headers={"Authorization": f"Bearer {connection.token}", "Content-Type": "application/json"},
            connect_timeout=min(CONNECT_TIMEOUT_S, timeout_s),
            request_timeout=timeout_s,
            follow_redirects=False,
            allow_nonstandard_methods=True,
        )
        try:
            response = await self._client.fetch(request, raise_error=False)
        except (OSError, HTTPClientError):
            # Refused, cut off or too late; any status that the engine sent is no error here.
            raise unreachable() from None
        return Reply(response.code, response.body)

    def close(self) -> None:
        """Close the client; calls under way fail."""
        self._client.close()


def unreachable() -> ServingError:
    """The error of an engine that does not answer."""
    return ServingError(
        Code.UNAVAILABLE,
        "the engine does not answer",
        "Look at its log; if it stays so, restart it.",
    )
