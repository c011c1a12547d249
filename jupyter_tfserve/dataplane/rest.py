"""TensorFlow Serving's REST API: the URL grammar, and each route's way from HTTP to the data plane.

Follows http_rest_api_util.cc and http_rest_api_handler.cc; docs/compatibility.md lists where it differs on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

import orjson

from jupyter_tfserve.codec.json_models import encode_error, encode_metadata, encode_status
from jupyter_tfserve.codec.json_predict import bind_predict, encode_predict, parse_predict
from jupyter_tfserve.codec.protos import SignatureDefMap
from jupyter_tfserve.dataplane.http_message import HttpRequest, HttpResponse, error_page
from jupyter_tfserve.dataplane.predict import DataPlane, SignatureNotFound
from jupyter_tfserve.errors import HTTP_STATUS, Code, ServingError, invalid_argument
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import ModelSpec, Signature, Tensors, parse_version

OFFLOADED_BODY_BYTES = 1 << 20
"""Bodies from this size on are decoded in a thread: the loop goes on answering others."""

_POST = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
    r":(?P<verb>predict|classify|regress)",
    re.IGNORECASE,
)
_GET = re.compile(
    r"/v1/models(?:/(?P<name>[^/:]+))?(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
    r"(?P<verb>/metadata)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Route:
    """What a URL means: `verb` is `predict`, `metadata`, `status` or `models`."""

    verb: str
    spec: ModelSpec


def parse_route(method: str, target: str) -> Route:
    """The route of a request line below `/v1/`; INVALID_ARGUMENT for anything outside the grammar.

    Unlike upstream a query string is no part of the model's name.
    """
    path = target.partition("?")[0].partition("#")[0]
    match = (_POST if method == "POST" else _GET).fullmatch(path) if method in ("GET", "HEAD", "POST") else None
    if match is None:
        raise invalid_argument(f"Malformed request: {method} {target}")
    name, version, label, verb = match.group("name", "version", "label", "verb")
    spec = ModelSpec(
        unquote(name or ""), _version(version), None if label is None else unquote(label)
    )
    if method == "POST":
        return Route(verb, spec)
    if not spec.name:
        if version is None and label is None and verb is None:
            return Route("models", spec)
        raise invalid_argument("Missing model name in request.")
    return Route("metadata" if verb == "/metadata" else "status", spec)


_cached_route = lru_cache(maxsize=1024)(parse_route)
_CACHED_TARGET = 256


class RestApi:
    """Answers `/v1/…`, `/healthz` and `/readyz`. `list_models` and `is_ready` are the engine's."""

    def __init__(
        self,
        data_plane: DataPlane,
        limits: LimitOptions,
        timeout_ms: int,
        list_models: Callable[[], object],
        is_ready: Callable[[], bool],
    ) -> None:
        self._data_plane = data_plane
        self._limits = limits
        self._timeout_s = timeout_ms / 1000 if timeout_ms > 0 else None
        self._list_models = list_models
        self._is_ready = is_ready

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """The answer to one request; errors become answers here."""
        target = request.target
        if target[:4].lower() != "/v1/":
            return self._outside(target.partition("?")[0])
        try:
            parse = _cached_route if len(target) <= _CACHED_TARGET else parse_route
            route = parse(request.method, target)
            if route.verb == "predict":
                return HttpResponse(200, await self._predict(route.spec, request.body))
            return HttpResponse(200, self._inspect(route, request))
        except ServingError as error:
            return error_response(error)

    async def _predict(self, spec: ModelSpec, body: bytes) -> bytes:
        limits = self._limits
        document = parse_predict(body, limits)
        row_format = False

        def bind(signature: Signature, key: str) -> tuple[Tensors, tuple[str, ...]]:
            nonlocal row_format
            inputs, row_format = bind_predict(document, signature, limits)
            return inputs, tuple(signature.outputs)

        if document.signature_name:
            spec = ModelSpec(spec.name, spec.version, spec.label, document.signature_name)
        offload = len(body) >= OFFLOADED_BODY_BYTES
        try:
            prediction = await self._data_plane.predict(spec, bind, self._timeout_s, offload)
        except SignatureNotFound as error:
            # REST has a text and a code of its own for it.
            message = f'Serving signature name: "{error.key}" not found in signature def'
            raise invalid_argument(message, error.hint) from None
        return encode_predict(prediction.outputs, row_format)

    def _inspect(self, route: Route, request: HttpRequest) -> bytes:
        if route.verb == "status":
            return encode_status(
                [
                    (status.version, status.state.name, status.code.name, status.message)
                    for status in self._data_plane.status(route.spec)
                ]
            )
        if route.verb == "metadata":
            version, signature_defs = self._data_plane.metadata(route.spec)
            return encode_metadata(route.spec.name, version, SignatureDefMap.FromString(signature_defs))
        if route.verb == "models":
            return orjson.dumps(self._list_models())
        raise invalid_argument(f"Malformed request: {request.method} {request.target}")

    def _outside(self, path: str) -> HttpResponse:
        if path == "/healthz":
            return HttpResponse(200, b'{"status": "ok"}')
        if path == "/readyz":
            ready = self._is_ready()
            return HttpResponse(200 if ready else 503, b'{"ready": true}' if ready else b'{"ready": false}')
        return error_page(404)


def error_response(error: ServingError) -> HttpResponse:
    """The error as TensorFlow Serving's JSON body, its hint beside it."""
    retry = {"Retry-After": "1"} if error.code in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED) else {}
    return HttpResponse(HTTP_STATUS[error.code], encode_error(error.message, error.hint), headers=retry)


def _version(digits: str | None) -> int | None:
    if digits is None:
        return None
    version = parse_version(digits.lstrip("0") or "0")
    if version is None:
        raise invalid_argument(f"Failed to convert version: {digits} to numeric.")
    return version
