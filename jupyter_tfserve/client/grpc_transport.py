"""The client's gRPC side. TensorFlow is not imported, but must be installed: its generated messages are used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import grpc
import numpy as np
from numpy.typing import NDArray

from jupyter_tfserve.client.values import ClassScore, ExampleFeatures, Examples, Metadata, VersionStatus
from jupyter_tfserve.codec.protos import (
    ClassificationRequest,
    Example,
    Feature,
    GetModelMetadataRequest,
    GetModelStatusRequest,
    ModelServiceStub,
    ModelVersionStatus,
    PredictionServiceStub,
    PredictRequest,
    RegressionRequest,
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
        self._prediction = PredictionServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)
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
        response = self._call(self._prediction.Predict, request, timeout_s)
        return {alias: decode_tensor(proto, self._limits) for alias, proto in response.outputs.items()}

    def classify(self, spec: ModelSpec, examples: Examples, timeout_s: float) -> list[list[ClassScore]]:
        """The classes of each Example."""
        request = _example_request(ClassificationRequest, spec, examples)
        result = self._call(self._prediction.Classify, request, timeout_s).result
        return [[ClassScore(c.label, c.score) for c in one.classes] for one in result.classifications]

    def regress(self, spec: ModelSpec, examples: Examples, timeout_s: float) -> NDArray[np.float32]:
        """The value of each Example."""
        request = _example_request(RegressionRequest, spec, examples)
        result = self._call(self._prediction.Regress, request, timeout_s).result
        return np.array([one.value for one in result.regressions], dtype=np.float32)

    def status(self, spec: ModelSpec, timeout_s: float) -> tuple[VersionStatus, ...]:
        """The versions in descending order."""
        request = GetModelStatusRequest()
        _put_spec(spec, request.model_spec)
        response = self._call(self._models.GetModelStatus, request, timeout_s)
        return tuple(
            VersionStatus(
                one.version,
                ModelVersionStatus.State.Name(one.state),
                Code(one.status.error_code).name,
                one.status.error_message,
            )
            for one in response.model_version_status
        )

    def metadata(self, spec: ModelSpec, timeout_s: float) -> Metadata:
        """The version that answers, and its signatures."""
        request = GetModelMetadataRequest(metadata_field=["signature_def"])
        _put_spec(spec, request.model_spec)
        response = self._call(self._prediction.GetModelMetadata, request, timeout_s)
        signatures = parse_signatures(response.metadata["signature_def"].value)
        return Metadata(response.model_spec.name, response.model_spec.version.value, signatures)

    def close(self) -> None:
        """Gives the connections back."""
        self._channel.close()

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
