"""An answered request as the PredictionLog that TensorFlow Serving logs and warms up with.

The log is made from tensors, so it is the same whether the request came as JSON or as a message. Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError

from jupyter_tfserve.codec.classification import (
    CLASSIFY_METHOD,
    INPUTS,
    put_classifications,
    read_classifications,
)
from jupyter_tfserve.codec.protos import PredictionLog
from jupyter_tfserve.codec.regression import put_regressions, read_regressions
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.types import ModelSpec, Tensors

WARMUP_FILE: Final = "assets.extra/tf_serving_warmup_requests"
"""Where below a version's folder PredictionLogs lie that are replayed before it is served."""


class LogKind(enum.Enum):
    """What was asked for, by the PredictionLog's field."""

    PREDICT = "predict_log"
    CLASSIFY = "classify_log"
    REGRESS = "regress_log"
    MULTI_INFERENCE = "multi_inference_log"


@dataclass(frozen=True, slots=True)
class SignatureRun:
    """One signature's part of an answer; `method_name` is what a MultiInference's task asked for."""

    signature_name: str
    outputs: Tensors
    method_name: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer. `spec` is as it was asked, `version` the one that answered.

    `output_filter` is empty where all outputs were asked for.
    """

    kind: LogKind
    spec: ModelSpec
    version: int
    inputs: Tensors
    runs: tuple[SignatureRun, ...]
    output_filter: tuple[str, ...] = ()


def encode_prediction_log(exchange: Exchange, metadata: Any) -> bytes:
    """The serialized PredictionLog of an exchange, `metadata` (a LogMetadata message) completed by its model.

    INVALID_ARGUMENT for examples that are none: the model may have answered them all the same.
    """
    log = PredictionLog()
    log.log_metadata.CopyFrom(metadata)
    _put_answering_spec(exchange, exchange.runs[0], log.log_metadata.model_spec)
    part = getattr(log, exchange.kind.value)
    try:
        _PUT[exchange.kind](exchange, part.request, part.response)
    except DecodeError:
        raise invalid_argument("The request's examples are not tf.Examples") from None
    encoded: bytes = log.SerializeToString()
    return encoded


def _put_predict(exchange: Exchange, request: Any, response: Any) -> None:
    (run,) = exchange.runs
    _put_asked_spec(exchange, run, request.model_spec)
    _put_answering_spec(exchange, run, response.model_spec)
    for alias, tensor in exchange.inputs.items():
        encode_tensor(tensor, request.inputs[alias])
    for alias, tensor in run.outputs.items():
        encode_tensor(tensor, response.outputs[alias])
    request.output_filter.extend(exchange.output_filter)


def _put_examples_request(exchange: Exchange, request: Any, response: Any) -> None:
    (run,) = exchange.runs
    _put_asked_spec(exchange, run, request.model_spec)
    _put_examples(exchange, request.input)
    _put_answering_spec(exchange, run, response.model_spec)


def _put_classify(exchange: Exchange, request: Any, response: Any) -> None:
    _put_examples_request(exchange, request, response)
    classifications = read_classifications(exchange.runs[0].outputs, len(exchange.inputs[INPUTS]))
    put_classifications(classifications, response.result)


def _put_regress(exchange: Exchange, request: Any, response: Any) -> None:
    _put_examples_request(exchange, request, response)
    put_regressions(read_regressions(exchange.runs[0].outputs, len(exchange.inputs[INPUTS])), response.result)


def _put_multi_inference(exchange: Exchange, request: Any, response: Any) -> None:
    count = len(exchange.inputs[INPUTS])
    _put_examples(exchange, request.input)
    for run in exchange.runs:
        task, result = request.tasks.add(method_name=run.method_name), response.results.add()
        _put_asked_spec(exchange, run, task.model_spec)
        _put_answering_spec(exchange, run, result.model_spec)
        if run.method_name == CLASSIFY_METHOD:
            put_classifications(read_classifications(run.outputs, count), result.classification_result)
        else:
            put_regressions(read_regressions(run.outputs, count), result.regression_result)


def _put_examples(exchange: Exchange, message: Any) -> None:
    for text in exchange.inputs[INPUTS].tolist():
        message.example_list.examples.add().ParseFromString(text)


def _put_asked_spec(exchange: Exchange, run: SignatureRun, message: Any) -> None:
    message.name = exchange.spec.name
    message.signature_name = run.signature_name
    if exchange.spec.version is not None:
        message.version.value = exchange.spec.version
    elif exchange.spec.label is not None:
        message.version_label = exchange.spec.label


def _put_answering_spec(exchange: Exchange, run: SignatureRun, message: Any) -> None:
    message.name = exchange.spec.name
    message.signature_name = run.signature_name
    message.version.value = exchange.version


_PUT: Final[Mapping[LogKind, Callable[[Exchange, Any, Any], None]]] = {
    LogKind.PREDICT: _put_predict,
    LogKind.CLASSIFY: _put_classify,
    LogKind.REGRESS: _put_regress,
    LogKind.MULTI_INFERENCE: _put_multi_inference,
}
