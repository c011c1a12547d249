"""The client's gRPC side. Needs grpcio and protobuf; TensorFlow is neither imported nor needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import grpc
import numpy as np
from numpy.typing import NDArray

from jupyter_tfserve.client.values import ClassScore, ExampleFeatures, Examples, Metadata, VersionStatus
from jupyter_tfserve.codec.client_protos import (
    ClassificationRequest,
    ClassificationResponse,
    Example,
    Feature,
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    GetModelStatusRequest,
    GetModelStatusResponse,
    PredictRequest,
    PredictResponse,
    RegressionRequest,
    RegressionResponse,
)
from jupyter_tfserve.codec.signatures import parse_signatures
from jupyter_tfserve.codec.status_details import DETAILS_KEY, read_hint
from jupyter_tfserve.codec.tensor_proto import decode_tensor, encode_tensor
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import ModelSpec, Signature, Tensor, Tensors

_CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # As for REST: a proxy that the environment names must not stand before this very host.
    ("grpc.enable_http_proxy", 0),
)
_STATES: Final = {
    0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END",
}  # fmt: skip
"""ModelVersionStatus.State"""


class GrpcTransport:
    """One server's gRPC port; `host:port` or `unix:PATH`. `credentials` None is plain text."""

    def __init__(
        self, address: str, headers: Mapping[str, str], credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        self._channel = (
            grpc.insecure_channel(address, _CHANNEL_OPTIONS)
            if credentials is None
            else grpc.secure_channel(address, credentials, _CHANNEL_OPTIONS)
        )
        self._predict = self._method("PredictionService/Predict", PredictResponse)
        self._classify = self._method("PredictionService/Classify", ClassificationResponse)
        self._regress = self._method("PredictionService/Regress", RegressionResponse)
        self._metadata = self._method("PredictionService/GetModelMetadata", GetModelMetadataResponse)
        self._status = self._method("ModelService/GetModelStatus", GetModelStatusResponse)
        self._headers = tuple((name.lower(), value) for name, value in headers.items())
        self._limits = LimitOptions()

    def predict(
        self, spec: ModelSpec, inputs: Tensors, signature: Signature, timeout_s: float
    ) -> dict[str, Tensor]:
        """The outputs by alias."""
        request = PredictRequest()
        _put_spec(spec, request.model_spec)
        for alias, tensor in inputs.items():
            encode_tensor(tensor, request.inputs[alias], as_content=True)
        response = self._call(self._predict, request, timeout_s)
        return {alias: decode_tensor(proto, self._limits) for alias, proto in response.outputs.items()}

    def classify(self, spec: ModelSpec, examples: Examples, timeout_s: float) -> list[list[ClassScore]]:
        """The classes of each Example."""
        request = _example_request(ClassificationRequest, spec, examples)
        result = self._call(self._classify, request, timeout_s).result
        return [[ClassScore(c.label, c.score) for c in one.classes] for one in result.classifications]

    def regress(self, spec: ModelSpec, examples: Examples, timeout_s: float) -> NDArray[np.float32]:
        """The value of each Example."""
        request = _example_request(RegressionRequest, spec, examples)
        result = self._call(self._regress, request, timeout_s).result
        return np.array([one.value for one in result.regressions], dtype=np.float32)

    def status(self, spec: ModelSpec, timeout_s: float) -> tuple[VersionStatus, ...]:
        """The versions in descending order."""
        request = GetModelStatusRequest()
        _put_spec(spec, request.model_spec)
        response = self._call(self._status, request, timeout_s)
        return tuple(
            VersionStatus(
                one.version,
                _STATES.get(one.state, str(one.state)),
                Code(one.status.error_code).name,
                one.status.error_message,
            )
            for one in response.model_version_status
        )

    def metadata(self, spec: ModelSpec, timeout_s: float) -> Metadata:
        """The version that answers, and its signatures."""
        request = GetModelMetadataRequest(metadata_field=["signature_def"])
        _put_spec(spec, request.model_spec)
        response = self._call(self._metadata, request, timeout_s)
        signatures = parse_signatures(response.metadata["signature_def"].value)
        return Metadata(response.model_spec.name, response.model_spec.version.value, signatures)

    def close(self) -> None:
        """Gives the connections back."""
        self._channel.close()

    def _method(self, path: str, response_type: Any) -> Any:
        return self._channel.unary_unary(
            f"/tensorflow.serving.{path}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=response_type.FromString,
        )

    def _call(self, method: Any, request: Any, timeout_s: float) -> Any:
        try:
            return method(request, timeout=timeout_s, metadata=self._headers)
        except grpc.RpcError as error:
            raise ServingError(Code[error.code().name], error.details() or "", _hint(error)) from error


def _hint(error: Any) -> str | None:
    """What the server wrote beside its error, as REST's `hint`."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return read_hint(value)
    return None


def _put_spec(spec: ModelSpec, proto: Any) -> None:
    proto.name, proto.signature_name = spec.name, spec.signature_name
    if spec.version is not None:
        proto.version.value = spec.version
    elif spec.label is not None:
        proto.version_label = spec.label


def _example_request(request_type: Any, spec: ModelSpec, examples: Examples) -> Any:
    request = request_type()
    _put_spec(spec, request.model_spec)
    if examples.context is None:
        request.input.example_list.examples.extend(map(_example, examples.examples))
    else:
        with_context = request.input.example_list_with_context
        with_context.examples.extend(map(_example, examples.examples))
        with_context.context.CopyFrom(_example(examples.context))
    return request


def _example(features: ExampleFeatures) -> Any:
    example = Example()
    for name, value in features.items():
        example.features.feature[name].CopyFrom(_feature(name, value))
    return example


def _feature(name: str, value: Any) -> Any:
    """The kind that REST would give it: whole numbers and truths int64, other numbers float, texts bytes."""
    values = [value] if isinstance(value, (str, bytes)) else np.ravel(value).tolist()
    feature = Feature()
    try:
        if not values:
            return feature
        if isinstance(values[0], (str, bytes)):
            feature.bytes_list.value.extend(v.encode() if isinstance(v, str) else v for v in values)
        elif isinstance(values[0], (bool, int)):
            feature.int64_list.value.extend(values)
        else:
            feature.float_list.value.extend(values)
    except (AttributeError, TypeError, ValueError):
        raise invalid_argument(f"Unexpected element type in feature: {name}") from None
    return feature
