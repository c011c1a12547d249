"""The control API: what magics, panels and the Jupyter server may ask of an engine, as HTTP and JSON.

Served on a loopback port of its own, for whoever holds the token of the connection file; the data plane's
routes are there as well, so that the Jupyter proxy needs one address only. docs/control_api.md lists the routes.
"""

from __future__ import annotations

import hmac
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote

import orjson

from jupyter_tfserve.dataplane.http_message import HttpHandler, HttpRequest, HttpResponse
from jupyter_tfserve.errors import HTTP_STATUS, Code, ServingError, invalid_argument, not_found
from jupyter_tfserve.types import parse_version

Reply: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A routed call: the path's parts by name, the query, the JSON body (an object, empty if there was none)."""

    parts: dict[str, str]
    query: dict[str, str]
    body: dict[str, Any]

    def version(self) -> int:
        """The version that the path names; NOT_FOUND if it is no version."""
        version = parse_version(self.parts["version"])
        if version is None:
            raise not_found(f"'{self.parts['version']}' is not a version: expected a whole number")
        return version

    def number(self, name: str, default: float) -> float:
        """A finite number of the query."""
        text = self.query.get(name)
        if text is None:
            return default
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise invalid_argument(f"{name}={text}: expected a number")
        return number

    def field(self, name: str, kind: type) -> Any:
        """A required member of the body, of the given JSON type."""
        value = self.body.get(name)
        if type(value) is not kind:
            raise invalid_argument(f"The body needs '{name}' as {kind.__name__}")
        return value


ControlCall: TypeAlias = "Callable[[ControlRequest], Awaitable[Reply]]"


class ControlRouter:
    """Verb and path pattern to call. Patterns name their parts: `/control/models/{model}`."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], ControlCall]] = []

    def add(self, method: str, pattern: str, call: ControlCall) -> None:
        """Routes `method` on `pattern` to `call`."""
        expression = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
        self._routes.append((method, re.compile(expression), call))

    def find(self, method: str, path: str) -> tuple[ControlCall, dict[str, str]]:
        """The call and the path's parts; NOT_FOUND or UNIMPLEMENTED naming what there is."""
        methods: list[str] = []
        for known, pattern, call in self._routes:
            match = pattern.fullmatch(path)
            if match is not None and known == method:
                return call, {name: unquote(part) for name, part in match.groupdict().items()}
            if match is not None:
                methods.append(known)
        if methods:
            raise ServingError(
                Code.UNIMPLEMENTED, f"{method} is not possible here; use {' or '.join(methods)}"
            )
        raise not_found(f"The control API has no {path}")


class ControlApi:
    """The control port's handler: checks the token, then control calls or the data plane."""

    def __init__(self, router: ControlRouter, token: str, data_plane: HttpHandler) -> None:
        self._router = router
        self._expected = f"Bearer {token}".encode()
        self._data_plane = data_plane

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """The answer to one request."""
        given = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._expected):
            return _error(
                ServingError(Code.UNAUTHENTICATED, "This port needs the token of the connection file")
            )
        path, _, query = request.target.partition("?")
        if not path.startswith("/control/"):
            return await self._data_plane(request)
        try:
            call, parts = self._router.find(request.method, path)
            reply = await call(ControlRequest(parts, _query(query), _body(request.body)))
        except ServingError as error:
            return _error(error)
        return HttpResponse(200, orjson.dumps(reply))


def _query(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}


def _body(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid_argument(f"The body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise invalid_argument("The body must be a JSON object")
    return document


def _error(error: ServingError) -> HttpResponse:
    document = {"error": error.message, "code": error.code.name, "hint": error.hint}
    return HttpResponse(HTTP_STATUS[error.code], orjson.dumps(document))
