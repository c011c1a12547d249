"""Exchanges as PredictionLogs: what was asked, what was answered, by whom."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_tfserve.codec.classification import CLASSIFY_METHOD
from jupyter_tfserve.codec.prediction_log import Exchange, LogKind, SignatureRun, encode_prediction_log
from jupyter_tfserve.codec.protos import Example, LogMetadata, PredictionLog
from jupyter_tfserve.codec.regression import REGRESS_METHOD
from jupyter_tfserve.codec.tensor_proto import decode_tensor
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import ModelSpec, Tensors

SCORES = np.float32([[0.25, 0.75]])


def example(value: float = 1) -> bytes:
    message = Example()
    message.features.feature["x"].float_list.value.append(value)
    return bytes(message.SerializeToString())


def texts(*values: bytes) -> Tensors:
    return {"inputs": np.array(values, object)}


def logged(exchange: Exchange):
    metadata = LogMetadata(saved_model_tags=["serve"])
    metadata.sampling_config.sampling_rate = 0.5
    return PredictionLog.FromString(encode_prediction_log(exchange, metadata))


def test_predict_log_has_the_tensors_of_both_sides() -> None:
    inputs = {"x": np.float32([1, 2]), "name": np.array([b"a", b"\xff"], object)}
    run = SignatureRun("triple", {"y": np.float32([3, 6])})
    log = logged(Exchange(LogKind.PREDICT, ModelSpec("m", label="stable"), 7, inputs, (run,), ("y",)))
    request, response = log.predict_log.request, log.predict_log.response
    assert (request.model_spec.name, request.model_spec.version_label) == ("m", "stable")
    assert request.model_spec.signature_name == "triple"
    assert list(request.output_filter) == ["y"]
    for alias, tensor in inputs.items():
        assert decode_tensor(request.inputs[alias], LimitOptions()).tolist() == tensor.tolist()
    assert decode_tensor(response.outputs["y"], LimitOptions()).tolist() == [3, 6]
    for spec in (response.model_spec, log.log_metadata.model_spec):
        assert (spec.name, spec.version.value, spec.signature_name) == ("m", 7, "triple")


def test_metadata_keeps_sampling_and_tags() -> None:
    run = SignatureRun("k", {"y": np.float32([1])})
    log = logged(Exchange(LogKind.PREDICT, ModelSpec("m", version=3), 3, {}, (run,)))
    assert log.log_metadata.sampling_config.sampling_rate == 0.5
    assert list(log.log_metadata.saved_model_tags) == ["serve"]
    assert log.predict_log.request.model_spec.version.value == 3
    assert not log.predict_log.request.output_filter


def test_classify_log_has_examples_and_classes() -> None:
    outputs = {"scores": SCORES, "classes": np.array([[b"a", b"b"]], object)}
    run = SignatureRun("c", outputs)
    log = logged(Exchange(LogKind.CLASSIFY, ModelSpec("m"), 1, texts(example(5)), (run,)))
    request, response = log.classify_log.request, log.classify_log.response
    assert [e.SerializeToString() for e in request.input.example_list.examples] == [example(5)]
    assert request.model_spec.WhichOneof("version_choice") is None
    (row,) = response.result.classifications
    assert [(entry.label, entry.score) for entry in row.classes] == [("a", 0.25), ("b", 0.75)]


def test_regress_log_has_examples_and_values() -> None:
    run = SignatureRun("r", {"outputs": np.float32([[1.5], [2.5]])})
    log = logged(Exchange(LogKind.REGRESS, ModelSpec("m"), 1, texts(example(1), example(2)), (run,)))
    assert len(log.regress_log.request.input.example_list.examples) == 2
    assert [value.value for value in log.regress_log.response.result.regressions] == [1.5, 2.5]


def test_multi_inference_log_has_a_result_for_each_task() -> None:
    runs = (
        SignatureRun("c", {"scores": SCORES}, CLASSIFY_METHOD),
        SignatureRun("r", {"outputs": np.float32([[1.5]])}, REGRESS_METHOD),
    )
    log = logged(Exchange(LogKind.MULTI_INFERENCE, ModelSpec("m"), 4, texts(example()), runs))
    request, response = log.multi_inference_log.request, log.multi_inference_log.response
    assert [(task.model_spec.signature_name, task.method_name) for task in request.tasks] == [
        ("c", CLASSIFY_METHOD),
        ("r", REGRESS_METHOD),
    ]
    assert [result.model_spec.version.value for result in response.results] == [4, 4]
    assert response.results[0].classification_result.classifications[0].classes[1].score == 0.75
    assert response.results[1].regression_result.regressions[0].value == 1.5


def test_text_that_is_no_example_is_refused() -> None:
    run = SignatureRun("r", {"outputs": np.float32([[1.5]])})
    with pytest.raises(ServingError, match=r"not tf\.Examples"):
        logged(Exchange(LogKind.REGRESS, ModelSpec("m"), 1, texts(b"\xff\xff"), (run,)))
