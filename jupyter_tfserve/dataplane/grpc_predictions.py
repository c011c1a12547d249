"""PredictionService.Predict in the two forms in which it is asked: begun in the turn of the loop that brought it, to be
told what came of it, or awaited with all that it may have to wait for.

The first takes what nearly everyone sends and leaves everything else, errors before the model is run included, to the
second; parsing, binding and encoding are the same functions. The sibling of `rest_predict`.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any, Final, Protocol

from jupyter_tfserve.batching.stopwatch import Stopwatch, server_timing
from jupyter_tfserve.codec.explanation import explained_tensors, look_at_protos
from jupyter_tfserve.codec.protos import PredictRequest
from jupyter_tfserve.codec.signatures import check_predict_method
from jupyter_tfserve.dataplane.grpc_edge import named_spec, parse_message
from jupyter_tfserve.dataplane.grpc_predict import bind_predict_request, encode_predict_response
from jupyter_tfserve.dataplane.inference import Predictor
from jupyter_tfserve.dataplane.metrics import RequestMetrics
from jupyter_tfserve.dataplane.predict import Asker, Ongoing, Prediction
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.options import GrpcOptions, LimitOptions
from jupyter_tfserve.types import ModelSpec, Signature, Tensors

TIMING_METADATA: Final = "x-tfserve-timing"
"""Who sends it gets a prediction's times in the trailing metadata, under the name of REST's header."""
TIMING_TRAILER: Final = "server-timing"


class PredictionBeginner(Protocol):
    """Begins predictions: `dataplane.predict.DataPlane`."""

    def begin(self, spec: ModelSpec, asker: Asker, timeout_s: float | None) -> Ongoing | None:
        """Tells `asker` in a later turn of the loop; None, and nothing has happened, for what is to be awaited."""


class PredictBinding:
    """A parsed request, and what binding it to a signature has told: which one that was."""

    __slots__ = ("_checks_method", "_limits", "asked", "request")

    def __init__(self, request: Any, limits: LimitOptions, checks_method: bool) -> None:
        self.request = request
        self.asked: Signature | None = None
        self._limits = limits
        self._checks_method = checks_method

    def bind(self, signature: Signature, _key: str, /) -> tuple[Tensors, tuple[str, ...]]:
        """See `Bind`."""
        self.asked = signature
        if self._checks_method:
            check_predict_method(signature)
        return bind_predict_request(self.request, signature, self._limits)

    def explained(self, error: ServingError) -> ServingError:
        """The error, with a hint where the request does not fit the signature that it was bound to."""
        if self.asked is None:
            return error
        return explained_tensors(error, look_at_protos(self.request.inputs), self.asked)


class Predictions:
    """Predict for one predictor. Only with a `beginner` is anything begun."""

    def __init__(
        self,
        predictor: Predictor,
        limits: LimitOptions,
        options: GrpcOptions,
        metrics: RequestMetrics,
        beginner: PredictionBeginner | None = None,
    ) -> None:
        self.limits = limits
        self.checks_method = options.enable_signature_method_name_check
        self.metrics = metrics
        self._as_content = options.enable_serialization_as_tensor_content
        self._predictor = predictor
        self._beginner = beginner

    async def predict(self, body: bytes, context: Any) -> bytes:
        """The answer's bytes."""
        watch = Stopwatch(perf_counter()) if _is_timing_wanted(context) else None
        request = parse_message(PredictRequest, body)
        binding = PredictBinding(request, self.limits, self.checks_method)
        with self.metrics.timed(request.model_spec.name, "Predict") as timer:
            try:
                prediction = await self._predictor.predict(
                    named_spec(request), binding.bind, context.time_remaining(), watch=watch
                )
            except ServingError as error:
                raise binding.explained(error) from None
            timer.run_s, timer.traffic = prediction.run_s, prediction.traffic
            encoded = self.encoded(prediction)
        if watch is not None:
            told = server_timing(watch, perf_counter())
            context.set_trailing_metadata(((TIMING_TRAILER, told),))
        return encoded

    def begin(self, body: bytes, context: Any) -> BegunPrediction | None:
        """The same for a call that is told, in a later turn of the loop; None, and nothing has happened, if `predict` is
        needed."""
        if self._beginner is None or _is_timing_wanted(context):
            return None
        began = perf_counter()
        try:
            request = parse_message(PredictRequest, body)
            spec = named_spec(request)
        except ServingError:
            return None
        begun = BegunPrediction(self, request, context, began)
        try:
            begun.ongoing = self._beginner.begin(spec, begun, context.time_remaining())
        except BaseException as error:
            # Not for us to answer; counted here, where the model is known.
            self.metrics.failed(spec.name, error)
            raise
        return None if begun.ongoing is None else begun

    def encoded(self, prediction: Prediction) -> bytes:
        """The answer's bytes."""
        return encode_predict_response(
            prediction.name,
            prediction.version,
            prediction.signature_name,
            prediction.outputs,
            self._as_content,
        )


class BegunPrediction(PredictBinding):
    """One prediction from the queue to its answer. Is told once, and tells its call, unless that is over."""

    __slots__ = ("_began", "_call", "_predictions", "ongoing")

    def __init__(self, predictions: Predictions, request: Any, call: Any, began: float) -> None:
        super().__init__(request, predictions.limits, predictions.checks_method)
        self.ongoing: Ongoing | None = None
        self._predictions = predictions
        self._call = call
        self._began = began

    @property
    def _model(self) -> str:
        name: str = self.request.model_spec.name
        return name

    def answered(self, prediction: Prediction, /) -> None:
        """See `Asker`."""
        self.ongoing = None
        metrics = self._predictions.metrics
        try:
            encoded = self._predictions.encoded(prediction)
        except Exception as error:  # the request edge: whatever went wrong costs this call only
            metrics.failed(self._model, error)
            self._call.fail_by(error)
            return
        metrics.succeeded(self._model, "Predict", self._began, prediction.run_s, prediction.traffic)
        self._call.answer(encoded)

    def failed(self, error: ServingError, /) -> None:
        """See `Asker`."""
        if self.ongoing is None:
            return
        self.ongoing = None
        self._predictions.metrics.failed(self._model, error)
        self._call.fail_by(self.explained(error))

    def cancel(self) -> None:
        """Nobody waits any more."""
        ongoing, self.ongoing = self.ongoing, None
        if ongoing is not None:
            ongoing.cancel()
            self._predictions.metrics.failed(self._model, asyncio.CancelledError())


def _is_timing_wanted(context: Any) -> bool:
    # A loop: making a generator would take as long as looking.
    for name, _ in context.invocation_metadata() or ():  # noqa: SIM110
        if name == TIMING_METADATA:
            return True
    return False
