"""PredictionService and ModelService: messages in, messages out, the work done by a `Predictor`.

On the data path this is the sibling of `rest`: parse, ask the predictor, encode. Classify, Regress and
MultiInference are `grpc_inference`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_tfserve.codec.protos import (
    MODEL_SERVICE,
    PREDICTION_SERVICE,
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    GetModelStatusRequest,
    GetModelStatusResponse,
    ReloadConfigRequest,
    ReloadConfigResponse,
    SignatureDefMap,
)
from jupyter_tfserve.dataplane.auth import KeyRing
from jupyter_tfserve.dataplane.grpc_door import by_path
from jupyter_tfserve.dataplane.grpc_edge import (
    Handler,
    named_spec,
    parse_message,
    requested_spec,
    serialize,
)
from jupyter_tfserve.dataplane.grpc_head import Beginner, Begun
from jupyter_tfserve.dataplane.grpc_inference import ExampleMethods
from jupyter_tfserve.dataplane.grpc_predictions import PredictionBeginner, Predictions
from jupyter_tfserve.dataplane.inference import Predictor as InferencePredictor
from jupyter_tfserve.dataplane.metrics import Metrics
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.options import GrpcOptions, LimitOptions
from jupyter_tfserve.types import ModelSpec

if TYPE_CHECKING:
    from jupyter_tfserve.lifecycle.states import VersionStatus


class Predictor(InferencePredictor, Protocol):
    """What the services need: `dataplane.predict.DataPlane`. Every method raises ServingError."""

    async def metadata(self, spec: ModelSpec, timeout_s: float | None) -> tuple[int, bytes]:
        """The version that answers, and its serialized SignatureDefMap."""

    def status(self, spec: ModelSpec) -> Sequence[VersionStatus]:
        """The versions in descending order, or the one that `spec` names."""

    async def reload_config(self, config: Any) -> None:
        """Replaces the configuration; returns when its new models are available or failed."""


class GrpcServices:
    """Both services of one engine. Cancelling a call cancels what the predictor does for it, nothing else."""

    def __init__(
        self,
        predictor: Predictor,
        limits: LimitOptions,
        options: GrpcOptions,
        metrics: Metrics | None = None,
        beginner: PredictionBeginner | None = None,
    ) -> None:
        """With a `beginner` predictions are begun by it as far as it takes them."""
        self._predictor = predictor
        self._metrics = metrics or Metrics()
        self._predictions = Predictions(predictor, limits, options, self._metrics.grpc, beginner)
        self._examples = ExampleMethods(
            predictor, limits, options.enable_signature_method_name_check, self._metrics
        )
        self.predict = self._predictions.predict
        """PredictionService.Predict."""

    def handlers(self) -> dict[str, dict[str, Handler]]:
        """Each service's methods by name."""
        prediction: dict[str, Handler] = {
            "Predict": self.predict,
            "GetModelMetadata": self._metadata,
            **self._examples.handlers(),
        }
        model: dict[str, Handler] = {
            "GetModelStatus": self._status,
            "HandleReloadConfigRequest": self._reload_config,
        }
        return {PREDICTION_SERVICE: prediction, MODEL_SERVICE: model}

    def methods(self, ring: KeyRing | None) -> dict[str, Handler]:
        """The same by `/service/name`, held to the keys of `ring`."""
        return by_path(self.handlers(), ring)

    def beginners(self, ring: KeyRing | None) -> dict[str, Beginner]:
        """Those that need no coroutine by `/service/name`. While there are keys these are the handlers' affair."""
        begin = self._predictions.begin

        def begin_without_keys(body: bytes, context: Any) -> Begun | None:
            return None if ring is not None and ring.is_used else begin(body, context)

        return {f"/{PREDICTION_SERVICE}/Predict": begin_without_keys}

    async def _metadata(self, body: bytes, context: Any) -> bytes:
        request = parse_message(GetModelMetadataRequest, body)
        requested_spec(request)
        _check_metadata_fields(request.metadata_field)
        spec = named_spec(request)
        version, signature_def_map = await self._predictor.metadata(spec, context.time_remaining())
        response = GetModelMetadataResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = version
        packed = response.metadata["signature_def"]
        packed.type_url = f"type.googleapis.com/{SignatureDefMap.DESCRIPTOR.full_name}"
        packed.value = signature_def_map
        return serialize(response)

    async def _status(self, body: bytes, _context: Any) -> bytes:
        request = parse_message(GetModelStatusRequest, body)
        response = GetModelStatusResponse()
        for known in self._predictor.status(requested_spec(request)):
            entry = response.model_version_status.add()
            entry.version = known.version
            entry.state = int(known.state)
            entry.status.error_code = int(known.code)
            entry.status.error_message = known.message
        return serialize(response)

    async def _reload_config(self, body: bytes, _context: Any) -> bytes:
        request = parse_message(ReloadConfigRequest, body)
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        before = [self._metrics.first_value(name) for name in request.metric_names]
        await self._predictor.reload_config(request.config)
        response = ReloadConfigResponse()
        response.status.SetInParent()
        for name, value in zip(request.metric_names, before, strict=True):
            response.metric.add(name=name, int64_value_increase=self._metrics.first_value(name) - value)
        return serialize(response)


def _check_metadata_fields(fields: Sequence[str]) -> None:
    if not fields:
        raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
    for name in fields:
        if name != "signature_def":
            raise invalid_argument(f"Metadata field {name} is not supported")
