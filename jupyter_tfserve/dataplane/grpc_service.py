"""PredictionService and ModelService: messages in, messages out, the work done by a `Predictor`.

On the data path this is the gRPC edge, the sibling of `rest`: parse, ask the predictor, encode. Handlers get
raw bytes, so that a body which is no message is the caller's INVALID_ARGUMENT; grpcio would say INTERNAL.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from jupyter_tfserve.codec.protos import (
    MODEL_SERVICE,
    PREDICTION_SERVICE,
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    GetModelStatusRequest,
    GetModelStatusResponse,
    PredictRequest,
    ReloadConfigRequest,
    ReloadConfigResponse,
    SignatureDefMap,
)
from jupyter_tfserve.dataplane.grpc_predict import bind_predict_request, encode_predict_response
from jupyter_tfserve.dataplane.grpc_status import GRPC_STATUS, truncate_message
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import ModelSpec, Signature, Tensors

if TYPE_CHECKING:
    from jupyter_tfserve.dataplane.predict import Bind, Prediction
    from jupyter_tfserve.lifecycle.states import VersionStatus

_LOG: Final = logging.getLogger(__name__)

_NOT_OFFERED: Final = ("Classify", "Regress", "MultiInference")

_Handler: TypeAlias = Callable[[bytes, Any], Awaitable[bytes]]


class Predictor(Protocol):
    """What the services need: `dataplane.predict.DataPlane`. Every method raises ServingError."""

    async def predict(self, spec: ModelSpec, bind: Bind, timeout_s: float | None) -> Prediction:
        """The outputs of one run, and the version that gave them."""

    def metadata(self, spec: ModelSpec) -> tuple[int, bytes]:
        """The version that answers, and its serialized SignatureDefMap."""

    def status(self, spec: ModelSpec) -> Sequence[VersionStatus]:
        """The versions in descending order, or the one that `spec` names."""

    async def reload_config(self, config: Any) -> None:
        """Replaces the configuration; returns when its new models are available or failed."""


class GrpcServices:
    """Both services of one engine. Cancelling a call cancels what the predictor does for it, nothing else."""

    def __init__(self, predictor: Predictor, limits: LimitOptions) -> None:
        self._predictor = predictor
        self._limits = limits

    def generic_handlers(self) -> list[Any]:
        """The handlers to add to a grpc.aio server."""
        prediction: dict[str, _Handler] = {"Predict": self._predict, "GetModelMetadata": self._metadata}
        prediction.update((method, _not_offered(method)) for method in _NOT_OFFERED)
        model = {"GetModelStatus": self._status, "HandleReloadConfigRequest": self._reload_config}
        return [_generic_handler(PREDICTION_SERVICE, prediction), _generic_handler(MODEL_SERVICE, model)]

    async def _predict(self, body: bytes, context: Any) -> bytes:
        request = _parse(PredictRequest, body)
        limits = self._limits

        def bind(signature: Signature, _key: str) -> tuple[Tensors, tuple[str, ...]]:
            return bind_predict_request(request, signature, limits)

        answer = await self._predictor.predict(_named_spec(request), bind, context.time_remaining())
        return encode_predict_response(answer.name, answer.version, answer.signature_name, answer.outputs)

    async def _metadata(self, body: bytes, _context: Any) -> bytes:
        request = _parse(GetModelMetadataRequest, body)
        _model_spec(request)
        _check_metadata_fields(request.metadata_field)
        spec = _named_spec(request)
        version, signature_def_map = self._predictor.metadata(spec)
        response = GetModelMetadataResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = version
        packed = response.metadata["signature_def"]
        packed.type_url = f"type.googleapis.com/{SignatureDefMap.DESCRIPTOR.full_name}"
        packed.value = signature_def_map
        return _serialize(response)

    async def _status(self, body: bytes, _context: Any) -> bytes:
        request = _parse(GetModelStatusRequest, body)
        response = GetModelStatusResponse()
        for known in self._predictor.status(_model_spec(request)):
            entry = response.model_version_status.add()
            entry.version = known.version
            entry.state = int(known.state)
            entry.status.error_code = int(known.code)
            entry.status.error_message = known.message
        return _serialize(response)

    async def _reload_config(self, body: bytes, _context: Any) -> bytes:
        request = _parse(ReloadConfigRequest, body)
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        await self._predictor.reload_config(request.config)
        response = ReloadConfigResponse()
        response.status.SetInParent()
        for name in request.metric_names:
            # No metric is kept by TensorFlow Serving's names, and an unknown one has not increased.
            response.metric.add(name=name, int64_value_increase=0)
        return _serialize(response)


def _generic_handler(service: str, handlers: Mapping[str, _Handler]) -> Any:
    methods = {
        name: grpc.unary_unary_rpc_method_handler(_edge(handler)) for name, handler in handlers.items()
    }
    return grpc.method_handlers_generic_handler(service, methods)


def _edge(handler: _Handler) -> _Handler:
    """The handler with its errors turned into a status."""

    async def answer(body: bytes, context: Any) -> bytes:
        try:
            return await handler(body, context)
        except ServingError as error:
            code, message = error.code, error.message
        except Exception:
            # The request edge: a fault of ours costs this call only, and tells nothing of the inside.
            _LOG.exception("A gRPC call failed unexpectedly")
            code, message = Code.INTERNAL, "The server failed to answer this request"
        await context.abort(GRPC_STATUS[code], truncate_message(message))
        raise AssertionError("abort always raises")

    return answer


def _not_offered(method: str) -> _Handler:
    async def refuse(_body: bytes, _context: Any) -> bytes:
        raise ServingError(Code.UNIMPLEMENTED, f"{method} is not offered by this server; use Predict")

    return refuse


def _parse(message_type: Any, body: bytes) -> Any:
    message = message_type()
    try:
        message.ParseFromString(body)
    except DecodeError:
        raise invalid_argument(f"The request body is not a {message_type.DESCRIPTOR.full_name}") from None
    return message


def _serialize(message: Any) -> bytes:
    encoded: bytes = message.SerializeToString()
    return encoded


def _model_spec(request: Any) -> ModelSpec:
    """The request's ModelSpec; version 0 is a version, and an empty label is a label."""
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    spec = request.model_spec
    choice = spec.WhichOneof("version_choice")
    return ModelSpec(
        name=spec.name,
        version=spec.version.value if choice == "version" else None,
        label=spec.version_label if choice == "version_label" else None,
        signature_name=spec.signature_name,
    )


def _named_spec(request: Any) -> ModelSpec:
    spec = _model_spec(request)
    if not spec.name:
        raise invalid_argument("ModelSpec has no name specified.")
    return spec


def _check_metadata_fields(fields: Sequence[str]) -> None:
    if not fields:
        raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
    for name in fields:
        if name != "signature_def":
            raise invalid_argument(f"Metadata field {name} is not supported")
