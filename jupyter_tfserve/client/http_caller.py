"""HTTP towards one server: kept connections, and every failure a `ServingError`."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import httpx
import orjson

from jupyter_tfserve.errors import HTTP_STATUS, Code, ServingError

CONNECT_TIMEOUT_S: Final = 5.0

_CODE_OF_STATUS: Final = {
    **{status: code for code, status in HTTP_STATUS.items()},
    # Several codes share these statuses; these are the ones that the data plane means by them.
    400: Code.INVALID_ARGUMENT,
    409: Code.ALREADY_EXISTS,
    500: Code.INTERNAL,
}


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A successful answer. Header names are taken in any case."""

    body: bytes
    headers: Mapping[str, str]


class HttpCaller:
    """One server. Safe to share between threads; close it after use.

    `subject` is how errors call the server, `gone_hint` what to do when it does not answer.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        timeout_s: float,
        subject: str = "The server",
        gone_hint: str | None = None,
        root_certificates: bytes | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=base_url,
            headers=_merged(headers),
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
            verify=ssl.create_default_context(cadata=root_certificates.decode())
            if root_certificates
            else True,
            # A proxy that the environment names must never see a token, nor stand before this very host.
            trust_env=False,
        )
        self._subject = subject
        self._gone_hint = gone_hint

    def close(self) -> None:
        """Close the kept connections."""
        self._http.close()

    def send(self, method: str, path: str, content: bytes | None, timeout_s: float | None) -> bytes:
        """The body of a successful answer; else the error that it stands for, DEADLINE_EXCEEDED or UNAVAILABLE."""
        return self.exchange(method, path, content, timeout_s).body

    def exchange(
        self,
        method: str,
        path: str,
        content: bytes | None,
        timeout_s: float | None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> HttpAnswer:
        """As `send`, with headers on both ways."""
        timeout = self._http.timeout if timeout_s is None else httpx.Timeout(timeout_s)
        headers = headers if content is None else {"Content-Type": "application/json", **headers}
        try:
            reply = self._http.request(method, path, content=content, headers=headers, timeout=timeout)
        except httpx.TimeoutException as error:
            text = f"{self._subject} did not answer in time."
            raise ServingError(Code.DEADLINE_EXCEEDED, text) from error
        except httpx.HTTPError as error:
            text = f"{self._subject} does not answer."
            raise ServingError(Code.UNAVAILABLE, text, self._gone_hint) from error
        if reply.is_success:
            return HttpAnswer(reply.content, reply.headers)
        raise error_of(reply.status_code, reply.content, self._subject)


def _merged(headers: Mapping[str, str]) -> httpx.Headers:
    # Compressing costs the server more time than a fast way takes; whoever has a slow one says so in `headers`.
    merged = httpx.Headers({"Accept-Encoding": "identity"})
    merged.update(headers)
    return merged


def error_of(status: int, body: bytes, subject: str = "The engine") -> ServingError:
    """The error that a server's answer stands for; a foreign answer keeps its status."""
    code = _CODE_OF_STATUS.get(status, Code.UNKNOWN)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("error"), str):
        return ServingError(code, f"{subject} answered with HTTP status {status}.")
    hint = document.get("hint")
    return ServingError(
        Code.__members__.get(str(document.get("code")), code),
        document["error"],
        hint if isinstance(hint, str) else None,
    )
