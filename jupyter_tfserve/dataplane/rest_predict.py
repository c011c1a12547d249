"""A prediction in JSON over REST, in the two forms in which it is asked: begun in the turn of the loop that brought it,
to be told what came of it, or awaited with all that it may have to wait for.

The first takes what nearly everyone sends and leaves everything else, errors before the model is run included, to the
second; parsing, binding and encoding are the same functions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from functools import partial
from time import perf_counter
from typing import Any, Final

from jupyter_tfserve.batching.stopwatch import Stopwatch
from jupyter_tfserve.codec.explanation import explained
from jupyter_tfserve.codec.gzip_answer import MIN_BYTES
from jupyter_tfserve.codec.json_predict import (
    PredictDocument,
    bind_buffers,
    bind_predict,
    encode_predict,
    parse_predict,
)
from jupyter_tfserve.codec.signatures import check_predict_method
from jupyter_tfserve.dataplane.http_message import JSON, HttpRequest, HttpResponse, Reply, internal_error
from jupyter_tfserve.dataplane.json_turns import OWN_TURN_BYTES, JsonTurns
from jupyter_tfserve.dataplane.metrics import RequestMetrics
from jupyter_tfserve.dataplane.predict import DataPlane, Ongoing, Prediction, Rebind, SignatureNotFound
from jupyter_tfserve.dataplane.rest_answers import compressed, error_response
from jupyter_tfserve.errors import ServingError, invalid_argument
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import ModelSpec, Signature, Tensors

EXPLAINED_IN_THREAD_BYTES: Final = 1 << 13
"""Of a refused body, where it and the signature differ is found in a thread from this size on: up to 50 ms."""
NUMBERS_ON_LOOP: Final = 1 << 15
"""Of one output. More of them are printed in a thread: ten milliseconds at worst, and the loop has others to answer."""


class JsonBinding:
    """A parsed body, and what binding it to a signature has told: which one that was, and how to answer."""

    __slots__ = ("_checks_method", "_is_quick_only", "_limits", "asked", "document", "row_format")

    def __init__(
        self,
        document: PredictDocument,
        limits: LimitOptions,
        checks_method: bool,
        is_quick_only: bool = False,
    ) -> None:
        """`is_quick_only`: what takes long is to be asked again, in a thread (`Rebind`)."""
        self.document = document
        self.asked: Signature | None = None
        self.row_format = False
        self._limits = limits
        self._checks_method = checks_method
        self._is_quick_only = is_quick_only

    def bind(self, signature: Signature, _key: str, /) -> tuple[Tensors, tuple[str, ...]]:
        """See `Bind`."""
        self.asked = signature
        if self._checks_method:
            check_predict_method(signature)
        if self._is_quick_only:
            bound = bind_buffers(self.document, signature, self._limits)
            if bound is None:
                self._is_quick_only = False
                raise Rebind
        else:
            bound = bind_predict(self.document, signature, self._limits)
        inputs, self.row_format = bound
        return inputs, tuple(signature.outputs)

    async def explained(self, error: ServingError) -> ServingError:
        """The error, with a hint where the body does not fit the signature that it was bound to."""
        if self.asked is None:
            return error
        document = self.document.document
        if len(document.body) >= EXPLAINED_IN_THREAD_BYTES:
            return await asyncio.to_thread(explained, error, document.tree, self.asked)
        return explained(error, document.tree, self.asked)


class JsonPredictions:
    """Predictions in JSON of one data plane. `checks_method`: upstream's `--enable_signature_method_name_check`.

    `headers` go with every answer that was begun.
    """

    def __init__(
        self,
        data_plane: DataPlane,
        limits: LimitOptions,
        timeout_s: float | None,
        checks_method: bool,
        metrics: RequestMetrics,
        headers: Mapping[str, str],
    ) -> None:
        self.data_plane = data_plane
        self.limits = limits
        self.timeout_s = timeout_s
        self.checks_method = checks_method
        self.metrics = metrics
        self.headers = headers
        self._turns = JsonTurns(limits)

    async def predict(
        self, spec: ModelSpec, body: bytes, watch: Stopwatch | None
    ) -> tuple[bytes, Prediction]:
        """The answer's body, and what the model did for it."""
        offload, is_large = False, len(body) >= OWN_TURN_BYTES
        if is_large:
            document, offload = await self._turns.parse(body)
        else:
            document = parse_predict(body, self.limits)
        binding = JsonBinding(document, self.limits, self.checks_method, is_large and not offload)
        spec = with_signature(spec, document.signature_name)
        plane, timeout_s = self.data_plane, self.timeout_s
        try:
            try:
                prediction = await plane.predict(spec, binding.bind, timeout_s, offload, watch=watch)
            except Rebind:
                prediction = await plane.predict(spec, binding.bind, timeout_s, offload=True, watch=watch)
        except SignatureNotFound as error:
            raise no_signature(error) from None
        except ServingError as error:
            raise await binding.explained(error) from None
        outputs = prediction.outputs
        if has_many_numbers(outputs):
            return await asyncio.to_thread(encode_predict, outputs, binding.row_format), prediction
        return encode_predict(outputs, binding.row_format), prediction

    def begin(self, spec: ModelSpec, request: HttpRequest, reply: Reply) -> BegunPrediction | None:
        """The same for who is told, in a later turn of the loop; None, and nothing has happened, if `predict` is needed.

        REQUIRES: the request's headers ask for nothing but JSON.
        """
        body, began = request.body, perf_counter()
        if len(body) >= OWN_TURN_BYTES:
            return None
        try:
            document = parse_predict(body, self.limits)
        except ServingError:
            return None
        begun = BegunPrediction(self, document, request, reply, spec.name, began)
        try:
            begun.ongoing = self.data_plane.begin(
                with_signature(spec, document.signature_name), begun, self.timeout_s
            )
        except BaseException as error:
            # Not for us to answer; counted here, where the model is known.
            self.metrics.failed(spec.name, error)
            raise
        return None if begun.ongoing is None else begun


class BegunPrediction(JsonBinding):
    """One prediction from the queue to its answer. Is told, and tells `reply`, once."""

    __slots__ = ("_began", "_model", "_reply", "_request", "_rest", "_tail", "ongoing")

    def __init__(
        self,
        rest: JsonPredictions,
        document: PredictDocument,
        request: HttpRequest,
        reply: Reply,
        model: str,
        began: float,
    ) -> None:
        super().__init__(document, rest.limits, rest.checks_method)
        self.ongoing: Ongoing | None = None
        self._rest = rest
        self._request = request
        self._reply = reply
        self._model = model
        self._began = began
        self._tail: asyncio.Future[bytes] | asyncio.Task[HttpResponse] | None = None

    def answered(self, prediction: Prediction, /) -> None:
        """See `Asker`."""
        # Each holds the other: left so, every request would be the garbage collector's.
        self.ongoing = None
        if not has_many_numbers(prediction.outputs):
            self._answer(prediction)
            return
        loop = asyncio.get_running_loop()
        try:
            encoding = loop.run_in_executor(None, encode_predict, prediction.outputs, self.row_format)
        except Exception as error:
            # The request edge: the system may have no thread for us.
            self._broke(error)
            return
        encoding.add_done_callback(partial(self._answer, prediction))
        self._tail = encoding

    def _answer(self, prediction: Prediction, encoding: asyncio.Future[bytes] | None = None) -> None:
        rest = self._rest
        if encoding is not None and encoding.cancelled():
            rest.metrics.failed(self._model, asyncio.CancelledError())
            return
        try:
            body = (
                encode_predict(prediction.outputs, self.row_format) if encoding is None else encoding.result()
            )
        except ServingError as error:
            rest.metrics.failed(self._model, error)
            self._reply(error_response(error, rest.headers))
            return
        except Exception as error:
            # The request edge: whatever went wrong costs this request only.
            self._broke(error)
            return
        rest.metrics.succeeded(self._model, "predict", self._began, prediction.run_s, prediction.traffic)
        if len(body) >= MIN_BYTES and "accept-encoding" in self._request.headers:
            self._end_by(self._compress(body))
        else:
            self._reply(HttpResponse(200, body, JSON, rest.headers))

    def failed(self, error: ServingError, /) -> None:
        """See `Asker`."""
        self.ongoing = None
        self._rest.metrics.failed(self._model, error)
        self._end_by(self._explain(error))

    def cancel(self) -> None:
        """Nobody waits any more."""
        if self._tail is not None:
            self._tail.cancel()
        elif self.ongoing is not None and not self.ongoing.done():
            self.ongoing.cancel()
            self.ongoing = None
            self._rest.metrics.failed(self._model, asyncio.CancelledError())

    def _end_by(self, making: Coroutine[Any, Any, HttpResponse]) -> None:
        """Replies what that makes, in a later turn of the loop."""
        tail = asyncio.get_running_loop().create_task(making)
        tail.add_done_callback(self._end)
        self._tail = tail

    def _end(self, tail: asyncio.Task[HttpResponse]) -> None:
        if tail.cancelled():
            return
        try:
            response = tail.result()
        except Exception as error:
            # The request edge, as above.
            self._broke(error)
        else:
            self._reply(response)

    def _broke(self, error: Exception) -> None:
        """REQUIRES: called where that is caught."""
        self._rest.metrics.failed(self._model, error)
        self._reply(internal_error(self._request))

    async def _compress(self, body: bytes) -> HttpResponse:
        accepted = self._request.headers["accept-encoding"]
        body, headers = await compressed(body, accepted, self._rest.headers)
        return HttpResponse(200, body, JSON, headers)

    async def _explain(self, error: ServingError) -> HttpResponse:
        return error_response(await self.explained(error), self._rest.headers)


def has_many_numbers(outputs: Tensors) -> bool:
    """Whether printing them is to be left to a thread."""
    for tensor in outputs.values():  # noqa: SIM110 - `any` would cost a generator, on every request's way
        if tensor.size > NUMBERS_ON_LOOP:
            return True
    return False


def with_signature(spec: ModelSpec, signature_name: str) -> ModelSpec:
    """What is asked, of that signature; of the default one if it has no name."""
    return ModelSpec(spec.name, spec.version, spec.label, signature_name) if signature_name else spec


def no_signature(error: SignatureNotFound) -> ServingError:
    """REST has a text and a code of its own for it."""
    message = f'Serving signature name: "{error.key}" not found in signature def'
    return invalid_argument(message, error.hint)
