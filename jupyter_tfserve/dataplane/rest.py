"""TensorFlow Serving's REST API: each route's way from HTTP to the data plane and back.

Follows http_rest_api_handler.cc; the URL grammar is `rest_routes`'s. docs/compatibility.md lists where both
differ on purpose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Final

import orjson

from jupyter_tfserve.batching.stopwatch import Stopwatch, server_timing
from jupyter_tfserve.codec.gzip_answer import MIN_BYTES
from jupyter_tfserve.codec.gzip_body import inflate
from jupyter_tfserve.codec.json_examples import (
    ExampleDocument,
    encode_classify,
    encode_regress,
    parse_examples,
)
from jupyter_tfserve.codec.json_models import encode_metadata, encode_status
from jupyter_tfserve.codec.media_types import Media, exchanged_media
from jupyter_tfserve.codec.protos import SignatureDefMap
from jupyter_tfserve.dataplane.bodies import PredictBodies
from jupyter_tfserve.dataplane.http_message import (
    HTML,
    JSON,
    Begun,
    HttpRequest,
    HttpResponse,
    Reply,
    error_page,
)
from jupyter_tfserve.dataplane.inference import InferenceOptions, classify, regress
from jupyter_tfserve.dataplane.metrics import RequestMetrics
from jupyter_tfserve.dataplane.openapi import OpenApiDocuments
from jupyter_tfserve.dataplane.predict import DataPlane, Prediction, Run, SignatureNotFound
from jupyter_tfserve.dataplane.rest_answers import NO_HEADERS, compressed, error_response
from jupyter_tfserve.dataplane.rest_predict import JsonPredictions, no_signature, with_signature
from jupyter_tfserve.dataplane.rest_routes import METHODS, Route, Verb, allowed_methods, find_route
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import ModelSpec

OFFLOADED_BODY_BYTES: Final = 1 << 18
"""Bodies of Examples from this size on are decoded in a thread: the loop goes on answering others."""
OFFLOADED_GZIP_BYTES: Final = 4096
"""The same for compressed ones: each of these bytes may become a thousand."""
TIMING_HEADER: Final = "x-tfserve-timing"
"""Who sends it gets a prediction's times in the answer's Server-Timing."""

_CORS_HEADERS: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
_JSON_ONLY: Final = ((Media.JSON, None), (Media.JSON, Media.JSON))
_NO_RUN: Final = Prediction("", 0, "", {})
"""Of routes that ask no model."""


class RestApi:
    """Answers `/v1/…`, `/healthz` and `/readyz`. `list_models` and `is_ready` are the engine's.

    `enable_cors` lets web pages of any origin ask; `check_method_names` is upstream's
    `--enable_signature_method_name_check`.
    """

    def __init__(
        self,
        data_plane: DataPlane,
        limits: LimitOptions,
        timeout_ms: int,
        list_models: Callable[[], object],
        is_ready: Callable[[], bool],
        enable_cors: bool = False,
        check_method_names: bool = False,
        metrics: RequestMetrics | None = None,
    ) -> None:
        self._data_plane = data_plane
        self._limits = limits
        self._timeout_s = timeout_ms / 1000 if timeout_ms > 0 else None
        self._list_models = list_models
        self._is_ready = is_ready
        self._headers = _CORS_HEADERS if enable_cors else NO_HEADERS
        self._check_method_names = check_method_names
        self._bodies = PredictBodies(data_plane, limits, check_method_names)
        self._inference_options = InferenceOptions(limits, check_method_names)
        self._metrics = metrics or RequestMetrics("REST")
        self._json = JsonPredictions(
            data_plane, limits, self._timeout_s, check_method_names, self._metrics, self._headers
        )
        self._documents = OpenApiDocuments()

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """The answer to one request; errors become answers here."""
        target, method = request.target, request.method
        if target[:4].lower() != "/v1/" or method not in METHODS or not target.isascii():
            return self._outside(request)
        began, model = perf_counter(), ""
        try:
            if method == "OPTIONS":
                self._metrics.succeeded("", "", began)
                return HttpResponse(200, b"", HTML, {"Allow": allowed_methods(target), **self._headers})
            route = find_route(method, target)
            model = route.spec.name
            if self._data_plane.flows is not None and method == "POST":
                # What will be refused is refused before its body is looked at.
                self._data_plane.flows.check(model)
            body = request.body
            if "content-encoding" in request.headers and method == "POST":
                body = await self._decoded(request)
            headers, media_type = self._headers, JSON
            run: Run
            if route.verb is Verb.PREDICT:
                sent = request.headers
                watch = Stopwatch(began) if TIMING_HEADER in sent else None
                content_type, accept = sent.get("content-type"), sent.get("accept")
                # What nearly everyone sends, told by comparisons: a look-up in a set would cost twice as much.
                if (content_type is None or content_type == JSON) and (accept is None or accept == "*/*"):
                    answer, run = await self._json.predict(route.spec, body, watch)
                else:
                    answer, media_type, run = await self._predict_by_type(route.spec, request, body, watch)
                self._metrics.succeeded(model, "predict", began, run.run_s, run.traffic)
                if watch is not None:
                    headers = {**headers, "Server-Timing": server_timing(watch, perf_counter())}
            else:
                answer, run = await self._answer(route, body)
                api = route.verb.value if method == "POST" else ""
                self._metrics.succeeded(model, api, began, run.run_s, run.traffic)
            if len(answer) >= MIN_BYTES and "accept-encoding" in request.headers:
                answer, headers = await compressed(answer, request.headers["accept-encoding"], headers)
            return HttpResponse(200, answer, media_type, headers)
        except ServingError as error:
            self._metrics.failed(model, error)
            return error_response(error, self._headers)
        except BaseException as error:
            # Not for us to answer; counted here, where the model is known.
            self._metrics.failed(model, error)
            raise

    def begin(self, request: HttpRequest, reply: Reply) -> Begun | None:
        """Begins to answer what most senders ask, without a coroutine; `reply` is told in a later turn of the loop.

        None, and nothing has happened, for all that is to be left to `handle`.
        """
        target, sent = request.target, request.headers
        if request.method != "POST" or not target.isascii() or not _asks_for_json_alone(sent):
            return None
        try:
            route = find_route("POST", target)
        except ServingError:
            return None
        return self._json.begin(route.spec, request, reply) if route.verb is Verb.PREDICT else None

    async def _answer(self, route: Route, body: bytes) -> tuple[bytes, Run]:
        """The body, and what a model did for it, as every route below tells it."""
        match route.verb:
            case Verb.CLASSIFY:
                return await self._classify(route.spec, body)
            case Verb.REGRESS:
                return await self._regress(route.spec, body)
            case Verb.METADATA:
                return await self._metadata(route.spec), _NO_RUN
            case Verb.STATUS:
                return self._status(route.spec), _NO_RUN
            case Verb.OPENAPI:
                return await self._openapi(route.spec), _NO_RUN
            case _:
                return orjson.dumps(self._list_models()), _NO_RUN

    async def _predict_by_type(
        self, spec: ModelSpec, request: HttpRequest, body: bytes, watch: Stopwatch | None
    ) -> tuple[bytes, str, Prediction]:
        """The same for who names the types of the bodies: the answer, its type, and what the model did."""
        media = exchanged_media(request.headers.get("content-type"), request.headers.get("accept"))
        if media in _JSON_ONLY:
            answer, prediction = await self._json.predict(spec, body, watch)
            return answer, JSON, prediction
        try:
            return await self._bodies.predict(spec, request.target, media, body, self._timeout_s, watch)
        except SignatureNotFound as error:
            raise no_signature(error) from None

    async def _classify(self, spec: ModelSpec, body: bytes) -> tuple[bytes, Run]:
        document = await self._examples(body)
        spec = with_signature(spec, document.signature_name)
        answer = await classify(
            self._data_plane, spec, document.input, self._inference_options, self._timeout_s
        )
        return encode_classify(answer.result), answer

    async def _regress(self, spec: ModelSpec, body: bytes) -> tuple[bytes, Run]:
        document = await self._examples(body)
        spec = with_signature(spec, document.signature_name)
        answer = await regress(
            self._data_plane, spec, document.input, self._inference_options, self._timeout_s
        )
        return encode_regress(answer.result), answer

    async def _examples(self, body: bytes) -> ExampleDocument:
        if len(body) >= OFFLOADED_BODY_BYTES:
            return await asyncio.to_thread(parse_examples, body, self._limits)
        return parse_examples(body, self._limits)

    def _status(self, spec: ModelSpec) -> bytes:
        return encode_status(
            [
                (status.version, status.state.name, status.code.name, status.message)
                for status in self._data_plane.status(spec)
            ]
        )

    async def _metadata(self, spec: ModelSpec) -> bytes:
        version, signature_defs = await self._data_plane.metadata(spec, self._timeout_s)
        return encode_metadata(spec.name, version, SignatureDefMap.FromString(signature_defs))

    async def _openapi(self, spec: ModelSpec) -> bytes:
        version, signatures = await self._data_plane.signatures(spec, self._timeout_s)
        return self._documents.document(spec, version, signatures)

    async def _decoded(self, request: HttpRequest) -> bytes:
        """The body without its compression; an encoding that is not gzip is ignored, as upstream does."""
        body, limit = request.body, self._limits.max_body_bytes
        if "gzip" not in request.headers["content-encoding"].lower():
            return body
        if len(body) >= OFFLOADED_GZIP_BYTES:
            return await asyncio.to_thread(inflate, body, limit)
        return inflate(body, limit)

    def _outside(self, request: HttpRequest) -> HttpResponse:
        """What is none of the API's: health, and pages of the HTTP library's kind."""
        if request.method not in METHODS:
            return error_page(501)
        if not request.target.isascii():
            return error_page(400)
        path = request.target.partition("?")[0]
        if path == "/healthz":
            return HttpResponse(200, b'{"status": "ok"}')
        if path == "/readyz":
            ready = self._is_ready()
            return HttpResponse(200 if ready else 503, b'{"ready": true}' if ready else b'{"ready": false}')
        return error_page(404)


def _asks_for_json_alone(sent: Mapping[str, str]) -> bool:
    """Whether the headers say what nearly everyone's do: JSON as it is, and nothing told of its times."""
    # Told by comparisons: a look-up in a set would cost twice as much.
    content_type, accept = sent.get("content-type"), sent.get("accept")
    return (
        (content_type is None or content_type == JSON)
        and (accept is None or accept == "*/*")
        and "content-encoding" not in sent
        and TIMING_HEADER not in sent
    )
