"""The requests of the gRPC contract, and what came of them."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest

from jupyter_tfserve.codec import protos
from jupyter_tfserve.codec.tensor_proto import encode_tensor

TWO, BOTH, TF2, ODD = "half_plus_two", "half_plus_two_2_versions", "half_plus_two_tf2", "odd_signatures"
CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
INVALID = grpc.StatusCode.INVALID_ARGUMENT
MISSING = grpc.StatusCode.NOT_FOUND
FAILED = grpc.StatusCode.FAILED_PRECONDITION
TIMEOUT_S = 30


def spec(message: Any, model: str = TWO, signature: str = "", **choice: Any) -> Any:
    """The message, its ModelSpec filled in; `version` or `label` as given."""
    message.model_spec.name = model
    message.model_spec.signature_name = signature
    if "version" in choice:
        message.model_spec.version.value = choice["version"]
    if "label" in choice:
        message.model_spec.version_label = choice["label"]
    return message


def predict(
    inputs: dict[str, Any], model: str = TWO, signature: str = "", outputs: Any = (), **choice: Any
) -> Any:
    request = spec(protos.PredictRequest(), model, signature, **choice)
    for alias, value in inputs.items():
        encode_tensor(value, request.inputs[alias])
    request.output_filter.extend(outputs)
    return request


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


def example(**features: float) -> Any:
    message = protos.Example()
    for name, value in features.items():
        message.features.feature[name].float_list.value.append(value)
    return message


def inference(kind: Any, signature: str, *examples: Any, model: str = TWO, context: Any = None) -> Any:
    request = spec(kind(), model, signature)
    if context is None:
        request.input.example_list.examples.extend(examples)
    else:
        request.input.example_list_with_context.context.CopyFrom(context)
        request.input.example_list_with_context.examples.extend(examples)
    return request


def regression(signature: str, *examples: Any, **more: Any) -> Any:
    return inference(protos.RegressionRequest, signature, *examples, **more)


def classification(signature: str, *examples: Any, **more: Any) -> Any:
    return inference(protos.ClassificationRequest, signature, *examples, **more)


def failure(method: Any, request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        method(request, timeout=TIMEOUT_S)
    return raised.value.code(), raised.value.details()


def effective(response: Any) -> tuple[str, int, str]:
    found = response.model_spec
    assert found.WhichOneof("version_choice") in (None, "version")
    return found.name, found.version.value, found.signature_name
