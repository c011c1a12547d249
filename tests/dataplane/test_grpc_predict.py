"""grpc_predict: a PredictRequest against a signature, in upstream's order and words."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_tfserve.codec.protos import PredictRequest, PredictResponse
from jupyter_tfserve.codec.tensor_proto import decode_tensor, encode_tensor
from jupyter_tfserve.dataplane.grpc_predict import bind_predict_request, encode_predict_response
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import Signature, TensorSpec

LIMITS = LimitOptions()
FLOAT = np.array([1.0, 2.0], np.float32)
TEXT = np.array([b"a"], object)


def spec(name: str, dtype: str = "float") -> TensorSpec:
    return TensorSpec(f"{name}:0", dtype, None)


ONE = Signature("tensorflow/serving/predict", {"x": spec("x")}, {"y": spec("y"), "z": spec("z")})
TWO = Signature("", {"b": spec("b", "string"), "a": spec("a")}, {"y": spec("y")})
DEFAULTED = Signature("", {"a": spec("a"), "b": spec("b")}, {"y": spec("y")}, {"b": FLOAT})
NONE = Signature("", {}, {"y": spec("y")})


def request(inputs, output_filter=()) -> PredictRequest:
    message = PredictRequest(output_filter=output_filter)
    for alias, tensor in inputs.items():
        encode_tensor(tensor, message.inputs[alias])
    return message


def refusal(message, signature, limits=LIMITS) -> ServingError:
    with pytest.raises(ServingError) as caught:
        bind_predict_request(message, signature, limits)
    return caught.value


def test_inputs_and_all_outputs_are_bound_when_no_filter_is_given():
    inputs, outputs = bind_predict_request(request({"x": FLOAT}), ONE, LIMITS)
    assert inputs["x"].tolist() == [1.0, 2.0]
    assert inputs["x"].dtype == np.float32
    assert sorted(outputs) == ["y", "z"]


def test_only_the_named_outputs_are_bound_when_a_filter_is_given():
    assert bind_predict_request(request({"x": FLOAT}, ["z"]), ONE, LIMITS)[1] == ("z",)


def test_nothing_is_bound_when_the_signature_has_no_inputs():
    assert bind_predict_request(request({}), NONE, LIMITS) == ({}, ("y",))


def test_defaults_fill_in_when_the_request_leaves_them_out():
    inputs, _ = bind_predict_request(request({"a": FLOAT * 3}), DEFAULTED, LIMITS)
    assert inputs["a"].tolist() == [3.0, 6.0]
    assert inputs["b"] is FLOAT


def test_the_requests_value_wins_when_there_is_a_default_too():
    inputs, _ = bind_predict_request(request({"a": FLOAT, "b": FLOAT * 2}), DEFAULTED, LIMITS)
    assert inputs["b"].tolist() == [2.0, 4.0]


MISSING = (
    "Signature input alias: {0}(feed name: {0}:0) not found in request and no default value provided. "
    "Inputs expected to be in the request {{{1}}}, or default input alias set: {2}"
)


@pytest.mark.parametrize(
    ("signature", "inputs", "output_filter", "message"),
    [
        (
            ONE,
            {},
            (),
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. "
            "Missing but required: {x}.",
        ),
        (
            ONE,
            {"unknown_key2": FLOAT, "unknown_key1": FLOAT},
            (),
            "input size does not match signature: 2!=1 len({unknown_key1,unknown_key2}) != len({x}). "
            "Sent extra: {unknown_key1,unknown_key2}. Missing but required: {x}.",
        ),
        (
            DEFAULTED,
            {"a": FLOAT, "b": FLOAT, "c": FLOAT},
            (),
            "input size does not match signature: 3!=2 len({a,b,c}) != len({a,b}). Sent extra: {c}. "
            "Missing but required: {}.",
        ),
        (ONE, {"w": FLOAT}, (), MISSING.format("x", "w", "")),
        (DEFAULTED, {"b": FLOAT}, (), MISSING.format("a", "b", "b")),
        (DEFAULTED, {}, (), MISSING.format("a", "", "b")),
        (
            DEFAULTED,
            {"a": FLOAT, "w": FLOAT},
            (),
            "Inputs contains invalid name. Used request inputs: a, request input: a,w",
        ),
        (
            ONE,
            {"x": FLOAT},
            ("output_filter",),
            "output tensor alias not found in signature: output_filter "
            "Outputs expected to be in the set {y,z}.",
        ),
        (ONE, {"x": FLOAT}, ("y", "y"), "duplicate output tensor alias: y"),
        (ONE, {"x": TEXT}, (), "Expects arg[0] to be float but string is provided"),
        (ONE, {"x": np.array([True])}, (), "Expects arg[0] to be float but bool is provided"),
        (TWO, {"a": FLOAT, "b": FLOAT}, (), "Expects arg[1] to be string but float is provided"),
        (TWO, {"a": TEXT, "b": FLOAT}, (), "Expects arg[0] to be float but string is provided"),
    ],
)
def test_request_is_refused_in_upstreams_words_when_it_does_not_fit(
    signature, inputs, output_filter, message
):
    error = refusal(request(inputs, output_filter), signature)
    assert (error.code, error.message) == (Code.INVALID_ARGUMENT, message)


def invalid_tensor(alias: str = "x") -> PredictRequest:
    message = PredictRequest()
    message.inputs[alias].dtype = 1
    message.inputs[alias].tensor_content = b"123"
    return message


def test_alias_is_named_when_its_tensor_cannot_be_parsed():
    error = refusal(invalid_tensor(), ONE)
    assert (error.code, error.message) == (Code.INVALID_ARGUMENT, "tensor parsing error: x")


@pytest.mark.parametrize(
    ("message", "signature", "expected"),
    [
        (invalid_tensor("w"), ONE, "Signature input alias: x"),
        (request({"x": TEXT}, ["nope"]), ONE, "output tensor alias not found"),
        (request({"a": FLOAT, "w": FLOAT}, ["nope"]), DEFAULTED, "Inputs contains invalid name"),
    ],
    ids=["name_before_parsing", "filter_before_dtype", "names_before_filter"],
)
def test_the_first_fault_in_upstreams_order_is_named_when_there_are_two(message, signature, expected):
    assert refusal(message, signature).message.startswith(expected)


def test_all_inputs_together_are_bounded_when_each_alone_would_fit():
    limits = LimitOptions(max_tensor_bytes=12)
    both = request({"a": FLOAT, "b": FLOAT})
    error = refusal(both, DEFAULTED, limits)
    assert error.code is Code.RESOURCE_EXHAUSTED
    assert "the limit max_tensor_bytes is 12" in error.message
    bind_predict_request(both, DEFAULTED, LimitOptions(max_tensor_bytes=16))


def test_response_names_the_version_and_holds_the_outputs_when_encoded():
    encoded = encode_predict_response("m", 3, "serving_default", {"y": FLOAT, "t": TEXT})
    response = PredictResponse.FromString(encoded)
    assert (response.model_spec.name, response.model_spec.version.value) == ("m", 3)
    assert response.model_spec.signature_name == "serving_default"
    assert not response.model_spec.version_label
    assert list(response.outputs["y"].float_val) == [1.0, 2.0]
    assert decode_tensor(response.outputs["t"], LIMITS).tolist() == [b"a"]


def test_response_uses_tensor_content_when_asked():
    encoded = encode_predict_response("m", 3, "", {"y": FLOAT}, as_content=True)
    assert PredictResponse.FromString(encoded).outputs["y"].tensor_content == FLOAT.tobytes()
