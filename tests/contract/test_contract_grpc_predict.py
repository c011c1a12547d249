"""Predict over gRPC with the unmodified tensorflow-serving-api client: examples, statuses and their texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jupyter_tfserve.codec import protos
from jupyter_tfserve.codec.tensor_proto import decode_tensor
from jupyter_tfserve.options import LimitOptions
from tests.contract.echo import echo_inputs
from tests.contract.grpc_requests import (
    BOTH,
    FAILED,
    INVALID,
    MISSING,
    TF2,
    TIMEOUT_S,
    TWO,
    effective,
    failure,
    floats,
    predict,
    spec,
)


@pytest.mark.parametrize("outputs", [(), ("y",)])
def test_predict_answers_in_float_val(prediction, outputs: Any) -> None:
    response = prediction.Predict(predict({"x": floats(2)}, outputs=outputs), timeout=TIMEOUT_S)
    assert list(response.outputs) == ["y"]
    answer = response.outputs["y"]
    assert (answer.dtype, list(answer.float_val), answer.tensor_content) == (1, [3.0], b"")
    assert effective(response) == (TWO, 123, "serving_default")


def test_scalar_comes_back_as_scalar(prediction) -> None:
    response = prediction.Predict(predict({"x": np.float32(2.0).reshape(())}), timeout=TIMEOUT_S)
    answer = response.outputs["y"]
    assert answer.HasField("tensor_shape")
    assert (len(answer.tensor_shape.dim), list(answer.float_val)) == (0, [3.0])


def test_predict_runs_any_kind_of_signature(prediction) -> None:
    answer = prediction.Predict(
        predict({"inputs": floats(2)}, signature="regress_x2_to_y3"), timeout=TIMEOUT_S
    )
    assert list(answer.outputs["outputs"].float_val) == [4.0]
    answer = prediction.Predict(predict({"inputs": floats(2)}, BOTH, "classify_x2_to_y3"), timeout=TIMEOUT_S)
    assert list(answer.outputs["scores"].float_val) == [4.0]


def test_signatures_without_inputs_keep_their_count(prediction) -> None:
    def call(signature: str, **inputs: Any) -> float:
        response = prediction.Predict(predict(inputs, "counter", signature), timeout=TIMEOUT_S)
        (value,) = response.outputs["output"].float_val
        return value

    call("reset_counter")
    assert [call(f"{verb}_counter") for verb in ("get", "incr", "reset", "incr")] == [0, 1, 0, 1]
    assert call("incr_counter_by", delta=np.float32(3).reshape(())) == 4


def test_input_with_a_default_may_be_left_out(prediction) -> None:
    assert list(prediction.Predict(predict({}, TF2), timeout=TIMEOUT_S).outputs["y"].float_val) == [3.0]
    response = prediction.Predict(predict({"x": floats(4)}, TF2), timeout=TIMEOUT_S)
    assert list(response.outputs["y"].float_val) == [4.0]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (predict({}, "counter"), (FAILED, 'Serving signature key "serving_default" not found.')),
        (predict({"x": floats(1)}, signature="no"), (FAILED, 'Serving signature key "no" not found.')),
        (
            predict({}),
            (
                INVALID,
                "input size does not match signature: 0!=1 len({}) != len({x}). "
                "Sent extra: {}. Missing but required: {x}.",
            ),
        ),
        (
            predict({"unknown_key2": floats(1), "unknown_key1": floats(1)}),
            (
                INVALID,
                "input size does not match signature: 2!=1 len({unknown_key1,unknown_key2}) != len({x}). "
                "Sent extra: {unknown_key1,unknown_key2}. Missing but required: {x}.",
            ),
        ),
        (
            predict({"z": floats(1)}),
            (
                INVALID,
                "Signature input alias: x(feed name: x:0) not found in request and no default value provided. "
                "Inputs expected to be in the request {z}, or default input alias set: ",
            ),
        ),
        (
            predict({"z": floats(1)}, TF2),
            (INVALID, "Inputs contains invalid name. Used request inputs: , request input: z"),
        ),
        (
            predict({"x": floats(1)}, outputs=("output_filter",)),
            (
                INVALID,
                "output tensor alias not found in signature: output_filter "
                "Outputs expected to be in the set {y}.",
            ),
        ),
        (predict({"x": floats(1)}, outputs=("y", "y")), (INVALID, "duplicate output tensor alias: y")),
        (
            predict({"x": np.array([b"a"], object)}),
            (INVALID, "Expects arg[0] to be float but string is provided"),
        ),
        (
            predict({"x": np.array([True])}),
            (INVALID, "Expects arg[0] to be float but bool is provided"),
        ),
    ],
)
def test_predict_request_that_is_wrong_is_told_how(prediction, request_: Any, status: Any) -> None:
    assert failure(prediction.Predict, request_) == status


def test_tensor_that_is_none_is_named(prediction) -> None:
    request = spec(protos.PredictRequest())
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=2)
    request.inputs["x"].tensor_content = b"\0\0\0"
    assert failure(prediction.Predict, request) == (INVALID, "tensor parsing error: x")


def test_tensor_proto_s_short_forms_are_read(prediction) -> None:
    """The last value repeats, none at all is zeros, surplus ones are dropped, raw bytes will do."""

    def answer(size: int, values: Any = (), content: bytes = b"") -> list[float]:
        request = spec(protos.PredictRequest())
        tensor = request.inputs["x"]
        tensor.dtype = 1
        tensor.tensor_shape.dim.add(size=size)
        tensor.float_val.extend(values)
        tensor.tensor_content = content
        return list(prediction.Predict(request, timeout=TIMEOUT_S).outputs["y"].float_val)

    assert answer(3, [2, 4]) == [3, 4, 4]
    assert answer(2) == [2, 2]
    assert answer(1, [2, 4]) == [3]
    assert answer(2, content=floats(2, 4).tobytes()) == [3, 4]


def test_each_dtype_comes_back_in_its_own_field(prediction) -> None:
    sent = {
        "int8": np.array([-1], np.int8),
        "uint16": np.array([7], np.uint16),
        "int64": np.array([2**40]),
        "uint32": np.array([2**32 - 1], np.uint32),
        "half": np.array([0.5], np.float16),
        "string": np.array([b"\xff\0"], object),
        "complex64": np.array([1 - 2j], np.complex64),
    }
    outputs = prediction.Predict(predict(echo_inputs(sent), "echo"), timeout=TIMEOUT_S).outputs
    assert list(outputs["int8"].int_val) == [-1]
    assert list(outputs["uint16"].int_val) == [7]
    assert list(outputs["int64"].int64_val) == [2**40]
    assert list(outputs["uint32"].uint32_val) == [2**32 - 1]
    assert list(outputs["half"].half_val) == [0x3800]
    assert list(outputs["string"].string_val) == [b"\xff\0"]
    assert list(outputs["complex64"].scomplex_val) == [1, -2]
    for name, tensor in sent.items():
        assert np.array_equal(decode_tensor(outputs[name], LimitOptions()), tensor)


def test_model_s_own_error_comes_through(prediction) -> None:
    code, message = failure(prediction.Predict, predict({"x": floats(-1)}, "fail_run"))
    assert code is INVALID
    assert "x must not be negative" in message


def test_long_status_message_is_cut(prediction) -> None:
    name = "n" * 2000
    code, message = failure(prediction.Predict, predict({"x": floats(1)}, name))
    assert code is MISSING
    assert message == f"Servable not found for request: Latest({name}"[:1024] + "...TRUNCATED"
